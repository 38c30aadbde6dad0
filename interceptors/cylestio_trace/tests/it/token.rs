//! The token: fetched once, renewed in time, and once where it is refused.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use perimeter_cylestio_trace::CylestioTrace;
use perimeter_interceptor::testing::{Script, play};
use serde_json::json;

use crate::platform::{Platform, Reply, Request, after, jwt, status, token};
use crate::scene::{Hired, call, logged, quick, settings, trace};

/// Gives a token with another name each time, good for so many seconds.
fn numbered(lifetime: u64, events: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Platform {
    let given = AtomicUsize::new(0);
    Platform::start(move |request, tries| match request.is_exchange() {
        true => token(&given.fetch_add(1, SeqCst).to_string(), lifetime),
        false => events(request, tries),
    })
}

fn many(sessions: usize) -> Script {
    (0..sessions).fold(Script::new(), |script, number| script.scene(call(&format!("s{number}"))))
}

#[test]
fn one_token_does_for_all_events_of_all_threads() {
    let platform = numbered(3_600, |_, _| status(200));
    play(trace(&platform), many(20)).assert_faultless();
    assert_eq!((platform.exchanges().len(), platform.events().len()), (1, 60));
}

#[test]
fn a_token_with_thirty_seconds_left_is_not_shown_any_more() {
    let platform = numbered(30, |_, _| status(200));
    play(trace(&platform), call("s")).assert_faultless();
    let shown: Vec<_> = platform.events().iter().map(|event| event.token().to_owned()).collect();
    assert_eq!(shown, [jwt("0", 30), jwt("1", 30), jwt("2", 30)]);
    let lasting = numbered(600, |_, _| status(200));
    play(trace(&lasting), call("s")).assert_faultless();
    assert_eq!(lasting.exchanges().len(), 1);
}

#[test]
fn a_token_that_is_refused_is_renewed_and_the_same_event_sent_again() {
    for refusal in [401, 403] {
        let platform = numbered(3_600, move |request, _| {
            status(if request.token() == jwt("0", 3_600) { refusal } else { 200 })
        });
        let mut hired = Hired::new(trace(&platform));
        hired.tell(call("s"));
        hired.wait(3, 0);
        let events = platform.events();
        assert_eq!(
            (events.len(), platform.exchanges().len()),
            (4, 2),
            "three events, the first of them twice"
        );
        assert_eq!(events[0].body, events[1].body);
        assert!(events[1..].iter().all(|event| event.token() == jwt("1", 3_600)));
        hired.stop().unwrap();
    }
}

#[test]
fn threads_that_are_refused_together_share_one_new_token() {
    let platform =
        numbered(3_600, |request, _| status(if request.token() == jwt("0", 3_600) { 401 } else { 200 }));
    play(trace(&platform), many(20)).assert_faultless();
    assert_eq!(platform.exchanges().len(), 2);
}

#[test]
fn a_platform_that_refuses_every_token_gets_each_event_twice_and_loses_it() {
    let platform = numbered(3_600, |_, _| status(401));
    let mut hired = Hired::new(trace(&platform));
    hired.tell(call("s"));
    hired.wait(0, 3);
    assert_eq!(platform.events().len(), 6);
    assert!(hired.stop().unwrap_err().contains("Undelivered(3)"));
}

#[test]
fn a_key_that_is_refused_is_said_once_and_not_tried_for_every_event() {
    let platform = Platform::start(|request, _| status(if request.is_exchange() { 418 } else { 200 }));
    let mut schedule = quick();
    schedule.refused = Duration::from_secs(3_600);
    let interceptor = CylestioTrace::with_schedule(settings(&platform, json!({})), schedule).unwrap();
    let mut hired = Hired::new(interceptor.interceptor());
    hired.tell(many(5));
    hired.wait(0, 15);
    assert_eq!((platform.exchanges().len(), platform.events().len()), (1, 0));
    assert!(hired.stop().is_err());
    assert_eq!(logged().matches("the access key is refused with 418").count(), 1);
}

#[test]
fn a_key_that_is_taken_again_is_found_out() {
    let asked = AtomicUsize::new(0);
    let platform = Platform::start(move |request, _| match request.is_exchange() {
        true if asked.fetch_add(1, SeqCst) == 0 => status(401),
        true => token("late", 3_600),
        false => status(200),
    });
    let mut hired = Hired::new(trace(&platform));
    hired.tell(call("s"));
    hired.wait(2, 1);
    assert!(hired.stop().is_err());
}

#[test]
fn an_exchange_that_dies_fails_or_is_throttled_is_tried_again() {
    for first in [Reply::Die, status(500), status(503)] {
        let asked = AtomicUsize::new(0);
        let platform = Platform::start(move |request, _| match request.is_exchange() {
            true => match asked.fetch_add(1, SeqCst) {
                0 => first.clone(),
                1 => after(429, "0"),
                _ => token("third", 3_600),
            },
            false => status(200),
        });
        let mut hired = Hired::new(trace(&platform));
        hired.tell(call("s"));
        hired.wait(3, 0);
        assert_eq!(platform.exchanges().len(), 3);
        hired.stop().unwrap();
    }
}

#[test]
fn an_answer_without_a_token_is_no_token() {
    for body in ["", "{}", "[]", r#"{"sessionJwt": ""}"#, r#"{"sessionJwt": "two\r\nlines"}"#] {
        let platform = Platform::start(move |_, _| Reply::Answer(200, None, body.to_owned()));
        let mut hired = Hired::new(trace(&platform));
        hired.tell(call("s"));
        hired.wait(0, 3);
        assert_eq!(platform.events().len(), 0);
        assert!(hired.stop().is_err());
    }
}
