//! No message that two parsers could read differently reaches the provider, and never two requests where the client
//! sent one. Each test sends its message with another request right behind it on the same connection.

mod bodies;
mod heads;
mod lengths;
mod patience;

use crate::support::{Ending, Head, Provider, Proxy, Wire, latin1, start};

/// What follows every message, and must never come out as a request of its own.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: app\r\nX-Padding: 0123456789\r\n\r\n";

/// Sends what must be refused before anything of it is forwarded; returns the refusal, which is all there is.
#[track_caller]
fn refused(message: impl AsRef<[u8]>) -> Head {
    let (provider, proxy) = start();
    refused_by(&provider, proxy, message)
}

/// As [`refused`], by a proxy of one's own.
#[track_caller]
fn refused_by(provider: &Provider, proxy: Proxy, message: impl AsRef<[u8]>) -> Head {
    let mut client = proxy.connect();
    client.send([message.as_ref(), SMUGGLED.as_bytes()].concat());
    let head = client.head();
    client.body(&head);
    client.expect_end();
    client.close();
    proxy.stop();
    assert_eq!(provider.rest(), "", "something was forwarded");
    head
}

/// Checks that `message` gets a 400, whoever refuses it.
#[track_caller]
fn check_refused(message: impl AsRef<[u8]>) {
    let message = message.as_ref();
    let head = refused(message);
    assert_eq!(head.status(), 400, "{:?} got {head:?}", latin1(message));
}

/// Checks that `message` gets the 400 of our own check.
#[track_caller]
fn check_ambiguous(message: impl AsRef<[u8]>) {
    let head = refused(message);
    assert_eq!(
        (head.status(), head.value("x-perimeter-error")),
        (400, Some("ambiguous_request")),
        "{head:?}"
    );
}

/// Sends what may travel as one plain request, after which the client connection must end. Returns what travelled.
#[track_caller]
fn plain_and_last(message: impl AsRef<[u8]>) -> (Head, Vec<u8>) {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send([message.as_ref(), SMUGGLED.as_bytes()].concat());
    let mut upstream = provider.accept();
    let head = upstream.head();
    let body = upstream.body(&head);
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(client.head().status(), 200);
    client.expect("ok");
    assert_eq!(client.expect_end(), Ending::Fin);
    client.close();
    proxy.stop();
    upstream.expect_end();
    assert_eq!(provider.rest(), "", "something was forwarded besides");
    (head, body)
}

/// Sends a head, and when it has travelled a body that breaks its framing.
#[track_caller]
fn cut_off(body: impl AsRef<[u8]>) {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut upstream = provider.accept();
    upstream.head();
    let _ = client.try_send([body.as_ref(), SMUGGLED.as_bytes()].concat());
    let (travelled, _) = upstream.rest();
    let travelled = latin1(travelled);
    assert!(
        !travelled.contains("0\r\n\r\n") && !travelled.contains("smuggled"),
        "this travelled: {travelled:?}"
    );
    assert_400_or_nothing(client);
    proxy.stop();
    assert_eq!(provider.rest(), "", "something was forwarded besides");
}

#[track_caller]
fn assert_400_or_nothing(mut client: Wire) {
    let answer = latin1(client.rest().0);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "the client got {answer:?}");
    assert_eq!(
        answer.matches("HTTP/1.1").count(),
        usize::from(!answer.is_empty()),
        "the client got {answer:?}"
    );
}
