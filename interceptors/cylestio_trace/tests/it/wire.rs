//! Field by field: what goes over the wire, and what does not.

use perimeter_cylestio_trace::{CylestioTrace, StartError};
use perimeter_interceptor::Interceptor as _;
use perimeter_interceptor::testing::{Scene, comply, play};
use perimeter_recorder::TestRecorder;
use serde_json::json;

use crate::platform::{Platform, SECRET, jwt, status};
use crate::scene::{Hired, KEY, call, logged, quick, settings, trace};

#[test]
fn the_key_is_exchanged_as_descope_wants_it() {
    let platform = Platform::taking(|_, _| status(201));
    play(trace(&platform), call("s")).assert_faultless();
    let exchange = &platform.exchanges()[0];
    assert_eq!(exchange.line, "POST /v1/auth/accesskey/exchange HTTP/1.1");
    assert_eq!(exchange.body, r#"{"loginOptions": {}}"#);
    for (name, value) in [
        ("authorization", format!("Bearer P2zF0Fh3eZsfOBM2cqh03EPfa6G4:{KEY}").as_str()),
        ("content-type", "application/json"),
        ("x-descope-sdk-name", "perimeter"),
        ("x-descope-sdk-version", env!("CARGO_PKG_VERSION")),
        ("x-descope-project-id", "P2zF0Fh3eZsfOBM2cqh03EPfa6G4"),
    ] {
        assert_eq!(exchange.headers[name], value);
    }
    assert_eq!(platform.seen()[0].line, exchange.line, "first of all");
}

#[test]
fn each_event_is_a_request_of_its_own_and_its_body_nothing_else() {
    let platform = Platform::taking(|_, _| status(200));
    let recorder = TestRecorder::default();
    play(trace(&platform), call("s")).assert_faultless();
    play(recorder.interceptor(), call("s")).assert_faultless();
    let events = platform.events();
    assert_eq!(events.iter().map(|request| request.event()).collect::<Vec<_>>(), recorder.events());
    assert_eq!(events.len(), 3);
    for request in events {
        assert_eq!(request.line, "POST /v1/telemetry HTTP/1.1");
        assert_eq!(request.headers["content-type"], "application/json");
        assert_eq!(request.headers["user-agent"], "cylestio-perimeter/1.0");
        assert_eq!(request.token(), jwt("one", 3_600));
        assert!(!request.body.contains('\n'));
    }
}

#[test]
fn a_slash_at_the_end_of_an_address_does_no_harm() {
    let platform = Platform::taking(|_, _| status(200));
    let url = format!("{}/base/", platform.url());
    let settings = settings(&platform, json!({"api_url": url, "timeout": "30s"}));
    let interceptor = CylestioTrace::with_schedule(settings, quick()).unwrap().interceptor();
    play(interceptor, call("s")).assert_faultless();
    assert!(platform.events().iter().all(|event| event.line.starts_with("POST /base/v1/telemetry ")));
}

#[test]
fn secrets_in_events_stay_here_unless_they_are_to_go() {
    let secret = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKL";
    let said = || {
        let text = format!("my key is {secret}");
        let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]});
        let scene = Scene::post("/v1/chat/completions").request(body.to_string());
        scene.asks("gpt-4o", &text).response(200).end().in_session("s")
    };
    for (redact, told) in [(true, false), (false, true)] {
        let platform = Platform::taking(|_, _| status(200));
        let settings = settings(&platform, json!({"redact_credentials": redact}));
        let interceptor = CylestioTrace::with_schedule(settings, quick()).unwrap().interceptor();
        play(interceptor, said()).assert_faultless();
        let bodies: String = platform.events().into_iter().map(|event| event.body).collect();
        assert_eq!((bodies.contains(secret), bodies.contains("[REDACTED]")), (told, !told), "{bodies}");
    }
}

#[test]
fn neither_key_nor_token_shows_in_what_is_logged_or_debugged() {
    let platform = Platform::taking(|_, tries| status(if tries == 1 { 403 } else { 500 }));
    let interceptor = trace(&platform);
    let debugged = format!("{interceptor:?}");
    let mut hired = Hired::new(interceptor);
    hired.tell(call("s"));
    let stopped = hired.stop().unwrap_err();
    for text in [debugged, stopped, logged(), format!("{:?}", settings(&platform, json!({})))] {
        for line in text.lines() {
            assert!(!line.contains(KEY) && !line.contains(SECRET), "{line}");
        }
    }
}

#[test]
fn without_a_key_it_does_not_start_and_says_why() {
    let platform = Platform::taking(|_, _| status(200));
    let mut without = settings(&platform, json!({}));
    without.access_key = None;
    // The environment of tests says none.
    let error = CylestioTrace::new(without).unwrap_err();
    assert_eq!(error, StartError::NoKey);
    assert!(error.to_string().contains("set access_key"), "{error}");
}

#[test]
fn what_it_counts_has_names_that_prometheus_takes() {
    let platform = Platform::taking(|_, _| status(200));
    let counters = trace(&platform).counters();
    let names: Vec<_> = counters.iter().map(|counter| counter.name).collect();
    assert_eq!(names, ["cylestio_sent_total", "cylestio_lost_total", "cylestio_queue_bytes"]);
    assert!(counters.iter().all(|counter| counter.help.ends_with('.')));
}

#[test]
fn it_holds_what_every_interceptor_must_hold() {
    let platform = Platform::taking(|_, _| status(200));
    comply(|| trace(&platform));
}
