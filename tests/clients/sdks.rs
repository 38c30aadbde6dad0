//! The SDKs of OpenAI and Anthropic, in Python and Node.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

use crate::compare::{assert_same, assert_same_but_for};
use crate::perimeter::Perimeter;
use crate::process::script;
use crate::provider::{Provider, Request};

#[test]
fn openai_for_python_sees_no_difference() {
    assert_same("openai", |provider, url| script("python/openai_sdk.py", provider, url));
}

#[test]
fn openai_for_node_sees_no_difference() {
    assert_same("openai", |provider, url| script("node/openai_sdk.mjs", provider, url));
}

#[test]
fn anthropic_for_python_sees_no_difference() {
    assert_same("anthropic", |provider, url| script("python/anthropic_sdk.py", provider, url));
}

#[test]
fn anthropic_for_node_sees_no_difference() {
    assert_same("anthropic", |provider, url| script("node/anthropic_sdk.mjs", provider, url));
}

/// Fifty streams at once, none of which goes on before all are open: no stream waits for another.
#[test]
fn fifty_streams_at_once_see_no_difference() {
    let in_order = |requests: &mut Vec<Request>| requests.sort_by(|one, other| one.body.cmp(&other.body));
    assert_same_but_for("openai", in_order, |provider, url| script("python/crowd.py", provider, url));
}

/// Our own failure is in the provider's form, so that its SDK shows the message and the code.
#[test]
fn sdks_show_a_failure_of_the_proxy_itself() {
    let provider = Provider::start();
    // Bound, so that nobody else gets the port, and deaf.
    let nobody = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    nobody.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let nobody_there = nobody.local_addr().unwrap().as_socket().unwrap();
    for (dialect, scripts) in [
        ("openai", ["python/openai_failure.py", "node/openai_failure.mjs"]),
        ("anthropic", ["python/anthropic_failure.py", "node/anthropic_failure.mjs"]),
    ] {
        let perimeter = Perimeter::start(dialect, &format!("http://{nobody_there}"));
        for name in scripts {
            let told = script(name, &provider, &perimeter.url);
            let mut lines = told.lines();
            assert_eq!(lines.next(), Some("InternalServerError 502 upstream_connect"), "{name}: {told}");
            assert!(lines.next().is_some_and(|message| !message.is_empty()), "{name}: {told}");
        }
        let watched = perimeter.stop();
        let lines = watched.lines();
        // Each asked for the models, and was told of the failure.
        assert_eq!(lines.len(), 2 * scripts.len(), "{}", watched.log);
        for line in lines.iter().filter(|line| line["direction"] == "request") {
            assert_eq!(line["metadata"]["operation"], "models", "{line}");
        }
        for line in lines.iter().filter(|line| line["direction"] != "request") {
            assert_eq!(line["direction"], "error", "{line}");
            assert_eq!(line["error_type"], "upstream_connect", "{line}");
        }
        assert_eq!(watched.printed.matches("GET /v1/models").count(), scripts.len(), "{}", watched.printed);
        assert_eq!(
            watched.printed.matches("✗ upstream_connect: ").count(),
            scripts.len(),
            "{}",
            watched.printed
        );
    }
}
