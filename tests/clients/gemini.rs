//! Google's SDK for Gemini, in Python.

use std::net::SocketAddr;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::perimeter::Perimeter;
use crate::process::script;
use crate::provider::{Provider, Request};

/// What of a request must be the same with the proxy and without.
fn shape(request: &Request) -> (String, Option<String>, String) {
    let key = request.header("x-goog-api-key").map(str::to_owned);
    (request.line.clone(), key, String::from_utf8_lossy(&request.body).into_owned())
}

#[test]
fn gemini_for_python_sees_no_difference_and_is_understood() {
    let provider = Provider::start();
    let straight = script("python/gemini_sdk.py", &provider, &provider.url(""));
    let (direct, faults) = provider.take();
    assert!(faults.is_empty(), "{faults:#?}");
    // What is read does not depend on the type.
    for kind in ["gemini", "auto", "openai"] {
        let perimeter = Perimeter::start(kind, &provider.url(""));
        let proxied = script("python/gemini_sdk.py", &provider, &perimeter.url);
        assert_eq!(straight, proxied, "{kind}");
        let (requests, faults) = provider.take();
        assert!(faults.is_empty(), "{faults:#?}");
        assert_eq!(
            direct.iter().map(shape).collect::<Vec<_>>(),
            requests.iter().map(shape).collect::<Vec<_>>(),
            "{kind}"
        );
        let lines = perimeter.stop().lines();
        check(&lines);
    }
}

/// Six calls: plain, streamed, a tool, a streamed tool, its result, a failure.
#[track_caller]
fn check(lines: &[Value]) {
    let asked: Vec<_> = lines.iter().filter(|line| line["direction"] == "request").collect();
    let models: Vec<_> = asked.iter().map(|line| line["model"].as_str().unwrap()).collect();
    assert_eq!(models, ["plain", "plain", "tools", "tools", "plain", "limited"]);
    let answers: Vec<_> = lines.iter().filter(|line| line["direction"] != "request").collect();
    assert_eq!(answers.len(), 6, "{lines:#?}");
    let parts = |call: usize| &answers[call]["response"]["candidates"][0]["content"]["parts"];
    assert_eq!(parts(0)[0]["text"], "Grüße, 世界 👋", "{:#}", answers[0]);
    assert_eq!(parts(1)[0]["thought"], true, "{:#}", answers[1]);
    assert_eq!(parts(1)[1]["text"], "Grüße, 世界 👋", "{:#}", answers[1]);
    for call in [2, 3] {
        assert_eq!(parts(call)[0]["functionCall"]["args"]["city"], "Köln", "{:#}", answers[call]);
    }
    assert_eq!(answers[5]["metadata"]["status_code"], 429, "{:#}", answers[5]);
}

/// Our own failure is in Google's form, so that its SDK shows the message and the status.
#[test]
fn googles_sdk_shows_a_failure_of_the_proxy_itself() {
    let provider = Provider::start();
    // Bound, so that nobody else gets the port, and deaf.
    let nobody = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    nobody.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let nobody_there = nobody.local_addr().unwrap().as_socket().unwrap();
    for kind in ["gemini", "auto"] {
        let perimeter = Perimeter::start(kind, &format!("http://{nobody_there}"));
        let told = script("python/gemini_failure.py", &provider, &perimeter.url);
        let mut lines = told.lines();
        assert_eq!(lines.next(), Some("ServerError 502 UNAVAILABLE upstream_connect"), "{kind}: {told}");
        assert!(lines.next().is_some_and(|message| message.starts_with("perimeter: ")), "{kind}: {told}");
        perimeter.stop();
    }
}
