//! What `testing` promises to those who test interceptors with it.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bytes::Bytes;
use perimeter_interceptor::host::{Misfortune, Notice, What};
use perimeter_interceptor::testing::{Recorder, Scene, Script, assert_legal, breaches, comply, play, scenes};
use perimeter_interceptor::{
    Cx, End, ExchangeId, Interceptor, Interest, LlmEvent, Peer, RequestHead, ResponseHead, Result,
    SessionEnd, Usage,
};

/// Sends on what it is told.
struct Witness {
    to: Sender<String>,
    interest: Interest,
}

impl Witness {
    fn new(interest: Interest) -> (Self, Receiver<String>) {
        let (to, told) = channel();
        (Self { to, interest }, told)
    }
}

impl Interceptor for Witness {
    type State = ();

    fn interest(&self) -> Interest {
        self.interest
    }
    fn on_request_head(&mut self, cx: Cx<'_>, head: &RequestHead) -> Result<Option<()>> {
        self.to.send(format!("{} {}", cx.exchange.id.bits(), head.method))?;
        Ok((head.uri.path() != "/skipped").then_some(()))
    }
    fn on_response_head(&mut self, cx: Cx<'_>, (): &mut (), head: &ResponseHead) -> Result {
        Ok(self.to.send(format!("{} {}", cx.exchange.id.bits(), head.status.as_u16()))?)
    }
    fn on_response_chunk(&mut self, cx: Cx<'_>, (): &mut (), chunk: &Bytes) -> Result {
        Ok(self.to.send(format!("{} {} bytes", cx.exchange.id.bits(), chunk.len()))?)
    }
    fn on_end(&mut self, cx: Cx<'_>, (): (), end: &End) -> Result {
        Ok(self.to.send(format!("{} end, {} unseen", cx.exchange.id.bits(), end.unseen.total()))?)
    }
    fn on_session_end(&mut self, session: &SessionEnd) -> Result {
        Ok(self.to.send(format!("session {}", session.id))?)
    }
    fn on_idle(&mut self) -> Result {
        Ok(self.to.send("idle".to_owned())?)
    }
    fn on_shutdown(self) -> Result {
        Ok(self.to.send("shutdown".to_owned())?)
    }
}

fn told(script: impl Into<Script>, interest: Interest) -> Vec<String> {
    let (witness, told) = Witness::new(interest);
    play(witness, script).assert_faultless();
    told.iter().collect()
}

fn get(path: &str) -> Scene {
    Scene::get(path).response(200).response_chunk("abc")
}

#[test]
fn a_play_tells_a_scene_in_order_then_idles_then_shuts_down() {
    let told = told(get("/"), Interest::ALL);
    assert_eq!(told, ["1 GET", "1 200", "1 3 bytes", "1 end, 0 unseen", "idle", "shutdown"]);
}

#[test]
fn a_play_tells_only_what_is_wanted() {
    let told = told(get("/"), Interest::LLM);
    assert_eq!(told, ["1 GET", "1 200", "1 end, 0 unseen", "idle", "shutdown"]);
}

#[test]
fn scenes_together_alternate_and_are_numbered_as_they_begin() {
    let script = Script::new().scene(get("/")).together([get("/"), get("/").named("longer").end()]);
    let told = told(script, Interest::NONE);
    let together = ["2 GET", "3 GET", "2 200", "3 200", "2 end, 0 unseen", "3 end, 0 unseen"];
    assert_eq!(told[4..10], together);
}

#[test]
fn skipped_exchanges_are_not_counted_as_followed() {
    let (witness, _told) = Witness::new(Interest::ALL);
    let played = play(witness, Script::from_iter([get("/"), get("/skipped"), get("/")]));
    played.assert_faultless();
    assert_eq!(played.followed, 2);
}

#[test]
fn the_end_of_a_session_is_told() {
    let script = Script::new().session_end(SessionEnd::new("s", 1, Duration::ZERO));
    assert_eq!(told(script, Interest::NONE), ["session s", "idle", "shutdown"]);
}

#[test]
fn bytes_of_a_side_that_is_lost_are_counted_and_not_told() {
    let scene = get("/").loses(Peer::Upstream).response_chunk("de").response_chunk("f");
    assert_eq!(told(scene, Interest::ALL)[2..4], ["1 3 bytes", "1 end, 3 unseen"]);
}

#[test]
fn every_ready_made_scene_is_legal_and_has_a_name_of_its_own() {
    let mut names = BTreeSet::new();
    for scene in scenes::all() {
        let script = Script::from(scene);
        assert_legal(&script.notices());
        let name = script.name_of(ExchangeId::new(1)).unwrap();
        assert!(names.insert(name.to_owned()), "two scenes are called {name}");
    }
}

#[test]
fn ready_made_scenes_hold_each_kind_of_notice_and_each_kind_of_event() {
    let script: Script = scenes::all().into_iter().collect();
    let (mut callbacks, mut events) = (BTreeSet::new(), BTreeSet::new());
    for notice in script.notices() {
        let Notice::Exchange { what, .. } = notice else { continue };
        callbacks.insert(what.callback());
        if let What::Llm(event) = what {
            events.insert(match event {
                LlmEvent::Call(_) => "call",
                LlmEvent::Delta(_) => "delta",
                LlmEvent::ToolUse(_) => "tool use",
                LlmEvent::Completion(_) => "completion",
                LlmEvent::Cut(_) => "cut",
                LlmEvent::Failure(_) => "failure",
                _ => "something new",
            });
        }
    }
    assert_eq!(callbacks.len(), 10, "{callbacks:?}");
    assert_eq!(events.len(), 6, "{events:?}");
}

#[test]
fn a_shuffle_keeps_each_scene_in_order_and_depends_on_its_seed_alone() {
    let order = |seed| told(Script::new().shuffled(seed, scenes::all()), Interest::ALL);
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
    assert!(breaches(&Script::new().shuffled(3, scenes::all()).notices()).is_empty());
}

#[test]
fn a_scene_cut_short_ends_as_when_the_client_leaves() {
    let scene = scenes::streamed();
    for notices in 1..12 {
        let script = Script::from(scene.cut_short(notices));
        assert_legal(&script.notices());
        let notices = script.notices();
        let Some(Notice::Exchange { what: What::End(end), .. }) = notices.last() else { panic!("no end") };
        assert!(!end.response.is_complete());
    }
    let whole = Script::from(scene.cut_short(1_000));
    assert_eq!(whole.notices().len(), Script::from(scene).notices().len());
}

#[test]
#[should_panic(expected = "a chunk of the response before its head")]
fn a_script_that_no_proxy_would_tell_is_refused() {
    let (witness, _told) = Witness::new(Interest::ALL);
    let _ = play(witness, Scene::get("/").response_chunk("early"));
}

/// Does one thing wrong.
struct Careless<S> {
    state: fn(&RequestHead) -> Option<S>,
    on_llm: fn(Cx<'_>, &mut S, &LlmEvent) -> Result,
    on_end: fn(S, &End) -> Result,
}

impl<S: 'static> Careless<S> {
    fn new(state: fn(&RequestHead) -> Option<S>) -> Self {
        Self { state, on_llm: |_, _, _| Ok(()), on_end: |_, _| Ok(()) }
    }
}

impl<S: 'static> Interceptor for Careless<S> {
    type State = S;

    fn on_request_head(&mut self, _: Cx<'_>, head: &RequestHead) -> Result<Option<S>> {
        Ok((self.state)(head))
    }
    fn on_llm(&mut self, cx: Cx<'_>, state: &mut S, event: &LlmEvent) -> Result {
        (self.on_llm)(cx, state, event)
    }
    fn on_end(&mut self, _: Cx<'_>, state: S, end: &End) -> Result {
        (self.on_end)(state, end)
    }
}

/// What compliance has to say of interceptors like this one.
fn verdict<S: 'static>(make: impl Fn() -> Careless<S>) -> String {
    match catch_unwind(AssertUnwindSafe(|| comply(make))) {
        Ok(()) => String::new(),
        Err(panic) => panic.downcast::<String>().map_or_else(|_| "no words".to_owned(), |words| *words),
    }
}

#[test]
fn an_interceptor_that_does_nothing_complies() {
    assert_eq!(verdict(|| Careless::new(|_| Some(()))), "");
}

#[test]
fn one_that_expects_a_usage_does_not_comply() {
    let verdict = verdict(|| Careless {
        on_llm: |_, (), event| {
            let LlmEvent::Completion(completion) = event else { return Ok(()) };
            completion.usage.ok_or("no usage")?;
            Ok(())
        },
        ..Careless::new(|_| Some(()))
    });
    assert!(verdict.contains("on_llm failed: no usage (first in: \"nothing known\", alone)"), "{verdict}");
}

#[test]
fn one_that_adds_without_care_does_not_comply() {
    let verdict = verdict(|| Careless {
        on_llm: |_, sum, event| {
            if let LlmEvent::Completion(completion) = event {
                let Usage { input, output, .. } = completion.usage.unwrap_or_default();
                *sum += input + output;
            }
            Ok(())
        },
        ..Careless::new(|_| Some(0_u64))
    });
    assert!(verdict.contains("on_llm panicked: attempt to add with overflow"), "{verdict}");
}

#[test]
fn one_that_divides_by_the_time_passed_does_not_comply() {
    let verdict = verdict(|| Careless {
        on_llm: |cx, (), _| {
            let _per_millisecond = 1_000 / cx.elapsed.as_millis();
            Ok(())
        },
        ..Careless::new(|_| Some(()))
    });
    assert!(verdict.contains("attempt to divide by zero (first in: \"instant\", alone)"), "{verdict}");
}

#[test]
fn one_that_cuts_text_anywhere_does_not_comply() {
    let verdict = verdict(|| Careless {
        on_llm: |_, (), event| {
            let LlmEvent::Call(call) = event else { return Ok(()) };
            let text = call.news.last().map(|turn| turn.text()).unwrap_or_default();
            let _first = &text[..text.len().min(11)];
            Ok(())
        },
        ..Careless::new(|head| (head.method == "POST").then_some(()))
    });
    assert!(verdict.contains("not a char boundary"), "{verdict}");
}

#[test]
fn one_that_expects_a_call_in_every_exchange_does_not_comply() {
    let verdict = verdict(|| Careless {
        on_llm: |_, called, _| {
            *called = Some(());
            Ok(())
        },
        on_end: |called, _| Ok(called.ok_or("no call")?),
        ..Careless::new(|_| Some(None))
    });
    assert!(verdict.contains("on_end failed: no call"), "{verdict}");
}

/// Thinks that there is one exchange at a time.
struct OneAtATime(Option<ExchangeId>);

impl Interceptor for OneAtATime {
    type State = ();

    fn on_request_head(&mut self, cx: Cx<'_>, _: &RequestHead) -> Result<Option<()>> {
        assert!(self.0.replace(cx.exchange.id).is_none(), "two at a time");
        Ok(Some(()))
    }
    fn on_end(&mut self, _: Cx<'_>, (): (), _: &End) -> Result {
        self.0 = None;
        Ok(())
    }
}

#[test]
#[should_panic(expected = "two at a time (first in: \"streamed\", all together)")]
fn one_that_thinks_of_one_exchange_at_a_time_does_not_comply() {
    comply(|| OneAtATime(None));
}

#[test]
fn a_fault_is_told_with_its_scene_and_its_cause() {
    let make = || Careless {
        on_end: |(), end| if end.response.is_complete() { Ok(()) } else { Err("disk full".into()) },
        ..Careless::new(|_| Some(()))
    };
    let played = play(make(), Script::from_iter([scenes::whole(), scenes::broken_off()]));
    assert_eq!(played.to_string(), "\n  on_end failed: disk full in the scene \"broken off\"");
    assert!(matches!(played.faults[..], [ref fault] if matches!(fault.what, Misfortune::Error(_))));
    assert_eq!(played.scene_of(&played.faults[0]), Some("broken off"));
    played.assert_no_panics();
}

#[test]
fn a_recorder_keeps_what_was_told_as_it_was_told() {
    let recorder = Recorder::new();
    let script =
        Script::new().shuffled(5, scenes::all()).session_end(SessionEnd::new("s", 1, Duration::ZERO));
    play(recorder.clone(), script.clone()).assert_faultless();
    assert_eq!(recorder.notices(), script.notices());

    let of_the_model = Recorder::of(Interest::LLM);
    play(of_the_model.clone(), script).assert_faultless();
    let no_chunks = |notice: &Notice| match notice {
        Notice::Exchange { what, .. } => !what.callback().ends_with("_chunk"),
        Notice::SessionEnd(_) => true,
    };
    let kept: Vec<Notice> = recorder.notices().into_iter().filter(no_chunks).collect();
    assert_eq!(of_the_model.notices(), kept);
    assert_legal(&kept);
}

#[test]
fn one_may_wait_for_what_a_recorder_is_told_on_another_thread() {
    let recorder = Recorder::new();
    let hired = recorder.clone();
    let played = std::thread::spawn(move || play(hired, Script::from_iter(scenes::all())));
    let notices = recorder.wait_for_ends(scenes::all().len(), Duration::from_secs(60));
    assert_legal(&notices);
    played.join().unwrap().assert_faultless();
}

#[test]
#[should_panic(expected = "this is not enough: []")]
fn one_does_not_wait_for_ever() {
    Recorder::new().wait_for_ends(1, Duration::ZERO);
}
