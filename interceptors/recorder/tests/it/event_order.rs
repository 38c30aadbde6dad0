//! Whatever happens at the same time, and wherever it breaks off: each event once, causes before effects.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use perimeter_interceptor::SessionEnd;
use perimeter_interceptor::testing::{Scene, Script, scenes};
use proptest::collection::vec;
use proptest::prelude::{Strategy, prop};
use proptest::{prop_assert, prop_assert_eq, proptest};
use serde_json::Value;

use crate::events::events_of;
use crate::events::script::{ask_for_the_weather, bring_the_weather, hosted_search, overloaded};

const SESSIONS: [Option<&str>; 3] = [Some("a"), Some("b"), None];

fn any_scene() -> impl Strategy<Value = Scene> {
    let mut all = scenes::all();
    all.extend([ask_for_the_weather, bring_the_weather, hosted_search, overloaded].map(|scene| scene("a")));
    let cut = prop::option::of(1..20_usize);
    (prop::sample::select(all), prop::sample::select(SESSIONS.to_vec()), cut).prop_map(
        |(scene, session, cut)| {
            let scene = session.into_iter().fold(scene, Scene::in_session);
            cut.into_iter().fold(scene, |scene, notices| scene.cut_short(notices))
        },
    )
}

/// Scenes at the same time, in an order that the number gives.
fn any_act() -> impl Strategy<Value = (Vec<Scene>, u64)> {
    (vec(any_scene(), 1..8), 0..u64::MAX)
}

/// A session's span begins again where the session goes on; any other only once.
#[derive(Default)]
struct Seen {
    begun: BTreeSet<String>,
    ended: BTreeSet<String>,
}

impl Seen {
    fn begins(&mut self, span: &str) -> bool {
        self.begun.insert(span.to_owned())
    }

    fn ends(&mut self, span: &str) -> bool {
        self.begun.contains(span) && self.ended.insert(span.to_owned())
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(128))]

    #[test]
    fn each_event_is_told_once_and_behind_its_cause(acts in vec(any_act(), 1..4)) {
        let mut script = Script::new();
        for (scenes, seed) in acts {
            script = script.shuffled(seed, scenes);
            for session in SESSIONS.into_iter().flatten() {
                script = script.session_end(SessionEnd::new(session, 1, Duration::ZERO));
            }
        }
        let (mut calls, mut tools) = (Seen::default(), Seen::default());
        let mut sessions = BTreeMap::<String, (bool, u64)>::new();
        for event in events_of(script) {
            let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            let (name, span, parent) = (text("name"), text("span_id"), text("parent_span_id"));
            let is_session = name.starts_with("session.");
            let (open, count) = sessions.entry(text("session_id")).or_default();
            *count += 1;
            prop_assert_eq!(*open, name != "session.start", "{:#}", event);
            prop_assert_eq!(parent.is_empty(), is_session);
            match &*name {
                "session.start" => *open = true,
                "session.end" => {
                    *open = false;
                    prop_assert_eq!(event["attributes"]["session.events_count"].as_u64(), Some(*count));
                }
                "llm.call.start" => prop_assert!(calls.begins(&span), "{:#}", event),
                "llm.call.finish" | "llm.call.error" => prop_assert!(calls.ends(&span), "{:#}", event),
                "tool.execution" => {
                    prop_assert!(calls.ended.contains(&parent) && tools.begins(&span), "{:#}", event);
                }
                _ => {
                    // A tool that was asked for elsewhere has a span of its own.
                    let is_joined = tools.begun.contains(&span);
                    prop_assert_eq!(is_joined, calls.begun.contains(&parent), "{:#}", event);
                    tools.begins(&span);
                    prop_assert!(tools.ends(&span), "{:#}", event);
                }
            }
            prop_assert!(is_session || event["attributes"]["exchange_id"] != Value::Null);
        }
        prop_assert_eq!(calls.begun, calls.ended);
        for session in SESSIONS.into_iter().flatten() {
            prop_assert!(sessions.get(session).is_none_or(|(open, _)| !open));
        }
    }
}
