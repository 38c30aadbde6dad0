//! `Expect: 100-continue` means what it means end to end.

use std::time::{Duration, Instant};

use crate::support::{Ending, OK, Provider, Proxy, Wire, start};

const POST: &str = "POST / HTTP/1.1\r\nHost: app\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

/// The proxy's own 100 comes after this long; what is said about the time before can only be said within it.
const OWN_CONTINUE: Duration = Duration::from_secs(1);

/// An exchange whose head has reached the provider.
fn posted(provider: &Provider, proxy: &Proxy, head: &str) -> (Wire, Wire) {
    let mut client = proxy.connect();
    client.send(head);
    let mut upstream = provider.accept();
    assert_eq!(upstream.head().value("Expect"), Some("100-continue"));
    (client, upstream)
}

/// Runs `attempt` until it says something about less than a second: a machine that was busy elsewhere in between
/// says nothing about the proxy.
fn within_a_second(attempt: impl Fn(Instant) -> Option<()>) {
    let said = (0..10).any(|_| attempt(Instant::now()).is_some());
    assert!(said, "ten attempts in a row took more than a second");
}

fn is_too_late(begin: Instant) -> bool {
    begin.elapsed() >= OWN_CONTINUE
}

#[test]
fn the_client_hears_no_100_before_the_provider_says_it() {
    let (provider, proxy) = start();
    within_a_second(|begin| {
        let (mut client, mut upstream) = posted(&provider, &proxy, POST);
        let heard = client.heard_anything();
        if is_too_late(begin) {
            return None;
        }
        assert!(!heard, "the client heard something before the provider had spoken");
        upstream.send(CONTINUE);
        client.expect(CONTINUE);
        client.send("hello");
        upstream.expect("hello");
        upstream.send(OK);
        assert_eq!(client.head().status(), 200);
        Some(())
    });
}

#[test]
fn the_100_of_the_provider_reaches_the_client_once() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = posted(&provider, &proxy, POST);
    upstream.send(CONTINUE);
    client.expect(CONTINUE);
    client.send("hello");
    upstream.expect("hello");
    upstream.send(OK);
    assert_eq!(client.head().text(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    client.expect("ok");
}

#[test]
fn a_final_status_instead_of_a_100_reaches_the_client_without_a_100() {
    let (provider, proxy) = start();
    within_a_second(|begin| {
        let (mut client, mut upstream) = posted(&provider, &proxy, POST);
        upstream.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
        let head = client.head();
        if is_too_late(begin) {
            return None;
        }
        assert_eq!(head.first_line(), "HTTP/1.1 401 Unauthorized");
        client.expect("no");
        Some(())
    });
}

#[test]
fn a_body_withheld_after_a_final_status_is_never_mistaken_for_a_request() {
    let (provider, proxy) = start();
    within_a_second(|begin| {
        let (mut client, mut upstream) = posted(&provider, &proxy, POST);
        upstream.send("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 2\r\n\r\nno");
        let head = client.head();
        if is_too_late(begin) {
            return None;
        }
        assert_eq!(head.status(), 413);
        client.expect("no");
        // Whether the client now sends its body or the next request, the proxy cannot know: it hangs up.
        assert_eq!(client.expect_end(), Ending::Fin);
        Some(())
    });
}

#[test]
fn a_provider_that_says_neither_gets_the_body_after_a_second() {
    let (provider, proxy) = start();
    let begin = Instant::now();
    let (mut client, mut upstream) = posted(&provider, &proxy, POST);
    client.expect(CONTINUE);
    assert!(begin.elapsed() >= OWN_CONTINUE, "the proxy's own 100 came after {:?}", begin.elapsed());
    client.send("hello");
    upstream.expect("hello");
    // A 100 that comes after all is no second one for the client.
    upstream.send(CONTINUE);
    upstream.send(OK);
    assert_eq!(client.head().status(), 200);
    client.expect("ok");
}

#[test]
fn a_client_that_does_not_wait_for_the_100_is_served_as_well() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = posted(&provider, &proxy, &format!("{POST}hello"));
    upstream.send(CONTINUE);
    upstream.expect("hello");
    upstream.send(OK);
    let head = client.head();
    let head = if head.status() == 100 { client.head() } else { head };
    assert_eq!(head.status(), 200);
    client.expect("ok");
}

#[test]
fn a_chunked_body_can_be_withheld_as_well() {
    let (provider, proxy) = start();
    let head = "POST / HTTP/1.1\r\nHost: app\r\nExpect: 100-Continue\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = proxy.connect();
    client.send(head);
    let mut upstream = provider.accept();
    assert_eq!(upstream.head().value("Expect"), Some("100-Continue"));
    upstream.send(CONTINUE);
    client.expect(CONTINUE);
    client.send("5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(upstream.chunked().0, b"hello");
    upstream.send(OK);
    assert_eq!(client.head().status(), 200);
}

#[test]
fn after_a_100_the_connection_goes_on_as_after_any_exchange() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = posted(&provider, &proxy, POST);
    for _ in 0..3 {
        upstream.send(CONTINUE);
        client.expect(CONTINUE);
        client.send("hello");
        upstream.expect("hello");
        upstream.send(OK);
        assert_eq!(client.head().status(), 200);
        client.expect("ok");
        client.send(POST);
        upstream.head();
    }
}

#[test]
fn a_client_that_leaves_while_it_waits_for_the_100_ends_the_upstream_request() {
    let (provider, proxy) = start();
    let (client, mut upstream) = posted(&provider, &proxy, POST);
    client.close();
    upstream.expect_end();
}

#[test]
fn an_http_1_0_client_never_gets_a_100() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello");
    let mut upstream = provider.accept();
    upstream.head();
    let _ = upstream.try_send(CONTINUE);
    upstream.expect("hello");
    upstream.send(OK);
    assert_eq!(client.head().first_line(), "HTTP/1.0 200 OK");
}

#[test]
fn the_head_behind_a_100_keeps_its_looks_where_both_come_at_once() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = posted(&provider, &proxy, POST);
    let head = "HTTP/1.1 200 OK\r\nX-FoO: a\r\nSet-COOKIE: 1\r\nX-Mid: m\r\nSet-COOKIE: 2\r\nContent-Length: 0\r\n\r\n";
    upstream.send(format!("HTTP/1.1 100 Continue\r\nX-I: 1\r\n\r\n{head}"));
    let mut answer = client.head();
    if answer.status() == 100 {
        answer = client.head();
    }
    assert_eq!(answer.text(), head);
}
