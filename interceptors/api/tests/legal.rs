//! Each rule of order, broken.

use std::sync::Arc;
use std::time::Duration;

use perimeter_interceptor::host::Notice;
use perimeter_interceptor::testing::{Scene, Script, breaches, scenes};
use perimeter_interceptor::{
    ApiFailure, BodyEnd, Branch, Call, CallId, Delta, LlmEvent, Peer, Relation, Said, Session, SessionEnd,
    Usage,
};

#[track_caller]
fn refused(scene: Scene, rule: &str) {
    let breaches = breaches(&Script::from(scene).notices());
    assert!(breaches.iter().any(|breach| breach.ends_with(rule)), "{rule}: {breaches:#?}");
}

#[track_caller]
fn allowed(scene: Scene) {
    assert_eq!(breaches(&Script::from(scene).notices()), [""; 0]);
}

fn call(id: u32, session: Session) -> LlmEvent {
    LlmEvent::Call(Arc::new(Call::new(CallId(id), "openai_chat", Arc::new(session))))
}

fn delta(id: u32) -> LlmEvent {
    LlmEvent::Delta(Delta::new(CallId(id), Said::Text("a".into())))
}

#[test]
fn an_exchange_begins_with_its_head_and_ends_once() {
    let notices = Script::from(scenes::streamed()).notices();
    assert!(breaches(&notices[1..])[0].ends_with("does not begin with its request head"));
    let endless = breaches(&notices[..notices.len() - 1]);
    assert_eq!(endless, ["00000000-0000-0000-0000-000000000001 has no end"]);
    refused(Scene::get("/").response(200).end().end(), "something comes after the end");
    refused(Scene::get("/").response(200).end().response_chunk("a").end(), "something comes after the end");
    let twice: Vec<Notice> = [&notices[..1], &notices[..]].concat();
    assert!(breaches(&twice)[0].ends_with("a second request head"));
}

#[test]
fn time_does_not_go_backwards() {
    let mut notices = Script::from(Scene::get("/").response(204)).notices();
    if let Notice::Exchange { elapsed, .. } = &mut notices[1] {
        *elapsed = Duration::from_secs(1);
    }
    let breaches = breaches(&notices);
    assert!(breaches.iter().all(|breach| breach.ends_with("time goes backwards")), "{breaches:?}");
    assert_eq!(breaches.len(), 2);
}

#[test]
fn a_request_is_over_when_it_is_over() {
    refused(Scene::post("/").request("a").request_chunk("b"), "a chunk of the request after its end");
    refused(Scene::post("/").request("a").request_end(BodyEnd::COMPLETE), "a second end of the request");

    let mut notices = Script::from(Scene::post("/").request("a").response(200)).notices();
    notices.remove(2);
    assert!(breaches(&notices)[0].ends_with("the request is complete, and its end was not told"));

    let other = Script::from(Scene::post("/").request_end(BodyEnd::Aborted).response(200)).notices();
    let notices: Vec<Notice> = [&notices[..1], &other[1..2], &notices[2..]].concat();
    assert!(breaches(&notices).iter().any(|breach| breach.ends_with("not agree with the request's end")));
}

#[test]
fn a_response_begins_with_one_head() {
    refused(Scene::get("/").response_chunk("a"), "a chunk of the response before its head");
    refused(Scene::get("/").response(200).response(200), "a second response head");
    refused(Scene::get("/"), "the response is complete, and its head was not told");
    allowed(Scene::get("/").aborted());
    allowed(Scene::get("/").loses(Peer::Upstream).unseen(Peer::Upstream, 1));
}

#[test]
fn a_failure_comes_once_and_before_the_response() {
    let failed = || Scene::get("/").failure("upstream_unreachable", "refused");
    refused(failed().failure("upstream_unreachable", "refused"), "a second failure");
    refused(Scene::get("/").response(200).failure("code", "words"), "a failure after the response's head");
    allowed(failed().response(502));
    allowed(failed().aborted());
}

#[test]
fn after_an_upgrade_there_are_upgraded_chunks_alone() {
    let upgraded = || Scene::get("/").response(101).upgrade("websocket");
    refused(Scene::get("/").upgrade("websocket"), "an upgrade before the response's head");
    refused(upgraded().upgrade("websocket"), "a second upgrade");
    refused(upgraded().request_chunk("a"), "a chunk of the request after the upgrade");
    refused(upgraded().request_end(BodyEnd::COMPLETE), "the end of the request after the upgrade");
    refused(upgraded().response_chunk("a"), "a chunk of the response after the upgrade");
    let early = Scene::get("/").response(101).upgraded_chunk(Peer::Client, "a");
    refused(early, "an upgraded chunk before the upgrade");
    allowed(upgraded().upgraded_chunk(Peer::Upstream, "a").ends(BodyEnd::Aborted, BodyEnd::COMPLETE));
}

#[test]
fn the_events_of_a_call_begin_with_it_and_stop_when_it_is_over() {
    let asked = || Scene::post("/").request("").asks("m", "a").response(200);
    let failure = || LlmEvent::Failure(Arc::new(ApiFailure::new(CallId(0), 500, "sorry")));
    let nothing = Usage::new(0, 0);
    refused(Scene::get("/").response(200).llm(delta(0)), "an event of a call that was not told");
    refused(asked().llm(delta(1)), "an event of a call that was not told");
    refused(asked().llm(call(0, Session::new("s"))), "a second time the same call");
    refused(asked().answers("a", nothing).says("b"), "an event of a call that is over");
    refused(asked().answers("a", nothing).llm(failure()), "an event of a call that is over");
    refused(asked().llm(failure()).cut(""), "an event of a call that is over");
    refused(asked().cut("").cut(""), "something other than a failure after a cut");
    refused(asked().cut("").answers("a", nothing), "something other than a failure after a cut");
    allowed(asked().says("a").cut("a").llm(failure()));
    allowed(asked().says("a"));
}

#[test]
fn calls_are_told_in_the_order_of_their_ids() {
    let call_of = |id, number| {
        let mut session = Session::new("s");
        session.call = number;
        session.is_new = number == 1;
        call(id, session)
    };
    let scene = || Scene::post("/").request("").response(200);
    refused(scene().llm(call_of(1, 1)), "the first call is not call 0");
    let backwards = scene().llm(call_of(0, 1)).llm(call_of(2, 2)).llm(call_of(1, 3));
    refused(backwards, "a call with a smaller id than the one before");
    allowed(scene().llm(call_of(0, 1)).llm(call_of(1, 2)).llm(delta(0)).llm(delta(1)));
}

#[test]
fn a_session_is_new_at_its_first_call_and_at_no_other() {
    for (number, is_new) in [(0, true), (1, false), (2, true)] {
        let mut session = Session::new("s");
        session.call = number;
        session.is_new = is_new;
        let scene = Scene::post("/").request("").llm(call(0, session)).response(200);
        refused(scene, "a session whose first call is not new, or another that is");
    }
}

#[test]
fn a_call_follows_from_an_earlier_one_or_from_none() {
    let placed = |call, parent, relation, thread| {
        Scene::post("/").request("").asks("m", "a").response(200).session(move |session| {
            (session.call, session.is_new) = (call, call == 1);
            (session.parent, session.relation, session.thread) = (parent, relation, thread);
        })
    };
    for (call, parent) in [(1, 1), (3, 3), (3, 4), (3, 0)] {
        refused(placed(call, Some(parent), Relation::Turn, 0), "a call that follows from no earlier one");
    }
    refused(placed(2, Some(1), Relation::Opening, 1), "an opening that follows from another call");
    refused(placed(1, None, Relation::Side, 1), "a line of talk that cannot have begun yet");
    refused(placed(3, Some(1), Relation::Fork, 3), "a line of talk that cannot have begun yet");
    allowed(placed(1, None, Relation::Side, 0));
    allowed(placed(2, None, Relation::Opening, 1));
    allowed(placed(3, Some(1), Relation::SubAgent, 2));
    allowed(placed(9, None, Relation::Turn, 0));
}

#[test]
fn the_end_of_a_session_tells_of_its_calls_alone() {
    let told = |failed, tree: &[Branch]| {
        let mut end = SessionEnd::new("s", 4, Duration::ZERO);
        (end.failed, end.tree) = (failed, tree.to_vec());
        let breaches = breaches(&Script::new().session_end(end).notices());
        breaches.iter().map(|breach| breach.rsplit(": ").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let branch = |call| Branch::new(call, Relation::Retry);
    let mut wrong = branch(4);
    wrong.parent = Some(4);
    assert_eq!(told(5, &[]), ["more calls failed than there were"]);
    for tree in [&[branch(0)][..], &[branch(5)], &[branch(3), branch(2)], &[branch(2), branch(2)]] {
        assert_eq!(told(0, tree), ["a branch that is no call of it, or not in order"]);
    }
    assert_eq!(told(0, &[wrong]), ["a call that follows from no earlier one"]);
    assert_eq!(told(4, &[Branch::new(1, Relation::Opening), branch(2), branch(4)]), [""; 0]);
}

#[test]
fn what_is_told_as_whole_has_the_length_that_its_head_says() {
    let sized = |length: &str| Scene::get("/").response(200).header("content-length", length);
    refused(sized("4").response_chunk("abc"), "told as whole, but 3 bytes of Some(4) (Upstream)");
    let request = Scene::post("/").header("content-length", "4").request("abc").response(200);
    refused(request, "told as whole, but 3 bytes of Some(4) (Client)");
    allowed(sized("3").response_chunk("ab").response_chunk("c"));
    allowed(sized("3"));
    allowed(sized("3").response_chunk("ab").loses(Peer::Upstream).response_chunk("c"));
    allowed(sized("3").response_chunk("ab").aborted());
}
