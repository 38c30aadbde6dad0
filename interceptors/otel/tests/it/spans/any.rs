//! Whatever sessions do, their traces hold together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use perimeter_interceptor::host::{Desk, Notice};
use perimeter_interceptor::testing::{Scene, Script};
use perimeter_interceptor::{Exchange, Interceptor, Relation, Session, SessionEnd};
use proptest::prelude::*;

use super::exchanges::{Answers, after, asks, at, result};
use super::{attribute, exporter, show, spans_of};

const SAID: &str = "what is said stays here";
const INPUT: &str = r#"{"prompt": "what is said stays here"}"#;

/// Something that happens in one of three sessions.
#[derive(Clone, Debug)]
struct Step {
    session: usize,
    /// Whether the session ends, and not a call begins.
    ends: bool,
    relation: Relation,
    thread: u32,
    back: u32,
    asks_for: Vec<u8>,
    brings: Vec<u8>,
    ending: u8,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let relations = prop::sample::select(vec![
        Relation::Turn,
        Relation::Turn,
        Relation::Turn,
        Relation::SubAgent,
        Relation::SubAgent,
        Relation::Side,
        Relation::Retry,
        Relation::Fork,
    ]);
    let tools = || prop::collection::vec(0_u8..6, 0..4);
    let step =
        (0_usize..3, prop::bool::weighted(0.1), relations, 0_u32..4, 1_u32..4, tools(), tools(), 0_u8..5);
    let step = step.prop_map(|(session, ends, relation, thread, back, asks_for, brings, ending)| Step {
        session,
        ends,
        relation,
        thread,
        back,
        asks_for,
        brings,
        ending,
    });
    prop::collection::vec(step, 1..40)
}

fn place(step: &Step, call: u32) -> Session {
    let mut place = match call {
        1 => at(1),
        _ => after(call, call.saturating_sub(step.back).max(1), step.relation, step.thread.min(call - 1)),
    };
    place.id = format!("session {}", step.session).into();
    place
}

fn scene(step: &Step, call: u32) -> Scene {
    let brings = step.brings.iter().map(|tool| result(&format!("toolu_{tool}"), SAID)).collect();
    let scene = asks(place(step, call), brings);
    let scene =
        step.asks_for.iter().fold(scene, |scene, tool| scene.uses(&format!("toolu_{tool}"), "Task", INPUT));
    match step.ending {
        0 => scene.cut(SAID).aborted(),
        1 => scene.cut(SAID).broken_off("reset"),
        _ => scene.answers_well(SAID),
    }
}

/// The spans of a script on a machine whose clock is set so many seconds forward, or back, before each exchange.
fn spans_by_clock(script: &Script, jumps: &[i64]) -> Vec<Span> {
    let (exporter, kept) = exporter("{}");
    let interest = exporter.interest();
    let mut desk = Desk::new(exporter, interest);
    let mut exchanges = BTreeMap::new();
    for mut notice in script.notices() {
        if let Notice::Exchange { exchange, .. } = &mut notice {
            let number = exchanges.len();
            let changed = exchanges.entry(exchange.id).or_insert_with(|| {
                let mut changed = Exchange::clone(exchange);
                let jump = jumps[number % jumps.len()];
                let hour = changed.began + Duration::from_secs(3600);
                changed.began = hour - Duration::from_secs(3600_u64.saturating_add_signed(-jump));
                Arc::new(changed)
            });
            *exchange = Arc::clone(changed);
        }
        desk.take(&notice).unwrap();
    }
    desk.shut_down().unwrap();
    kept.spans()
}

/// A script of these steps, and how many calls it has.
fn script(steps: &[Step], together: usize) -> (Script, usize) {
    let mut calls = [0_u32; 3];
    let (mut script, mut waiting) = (Script::new(), Vec::new());
    for step in steps {
        if step.ends {
            script = script.together(std::mem::take(&mut waiting));
            let session = format!("session {}", step.session);
            script =
                script.session_end(SessionEnd::new(session, calls[step.session], Duration::from_secs(1)));
            continue;
        }
        calls[step.session] += 1;
        waiting.push(scene(step, calls[step.session]));
        if waiting.len() > together {
            script = script.together(std::mem::take(&mut waiting));
        }
    }
    (script.together(waiting), calls.iter().sum::<u32>() as usize)
}

fn check(spans: &[Span], calls: usize) {
    let by_id: BTreeMap<_, _> = spans.iter().map(|span| (span.span_id.clone(), span)).collect();
    assert_eq!(by_id.len(), spans.len(), "each span is told once");
    let told: Vec<_> = spans.iter().filter(|span| span.name.starts_with("chat")).collect();
    assert_eq!(told.len(), calls);
    let traces: BTreeSet<_> = spans.iter().map(|span| &span.trace_id).collect();
    assert!(traces.len() <= 3);
    for span in spans.iter().filter(|span| !span.parent_span_id.is_empty()) {
        let above = by_id.get(&span.parent_span_id);
        let above =
            above.unwrap_or_else(|| panic!("nothing above {}", show::tree(std::slice::from_ref(span))));
        assert_eq!(above.trace_id, span.trace_id);
        let side = attribute(span, "perimeter.session.relation") == "\"side\"";
        if span.name.starts_with("chat") && !side {
            assert!(above.name.starts_with("invoke_agent"));
            assert!(above.start_time_unix_nano <= span.start_time_unix_nano);
            assert!(above.end_time_unix_nano >= span.end_time_unix_nano, "{}", show::outline(spans));
        }
    }
    assert!(!format!("{spans:?}").contains(SAID));
    // Nothing is above itself.
    for span in spans {
        let ups = std::iter::successors(Some(span), |span| by_id.get(&span.parent_span_id).copied());
        assert!(ups.take(spans.len() + 1).count() <= spans.len(), "{}", show::outline(spans));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn each_call_is_told_once_and_all_that_is_above_it_too(steps in steps(), together in 0_usize..4) {
        let (script, calls) = script(&steps, together);
        check(&spans_of(script), calls);
    }

    #[test]
    fn clocks_may_be_set(
        steps in steps(), together in 0_usize..4, jumps in prop::collection::vec(-3600_i64..3600, 1..9),
    ) {
        let (script, calls) = script(&steps, together);
        check(&spans_by_clock(&script, &jumps), calls);
    }
}
