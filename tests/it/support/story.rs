//! The beginnings and middles that many tests share.

use super::{Head, Provider, Proxy, Wire};
use crate::support::proxy::Setup;

/// The plainest request.
pub(crate) const GET: &str = "GET /v1/models HTTP/1.1\r\nHost: app\r\n\r\n";

/// A request that is no call to any model's API.
pub(crate) const PLAIN: &str = "GET /plain HTTP/1.1\r\nHost: app\r\n\r\n";

/// The plainest answer.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A provider, and a proxy in front of it.
pub(crate) fn start() -> (Provider, Proxy) {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).start();
    (provider, proxy)
}

/// A client and the provider's end of its exchange, whose request head (without a body) has arrived.
pub(crate) fn asked(provider: &Provider, proxy: &Proxy, request: impl AsRef<[u8]>) -> (Wire, Wire) {
    let mut client = proxy.connect();
    client.send(request);
    let mut upstream = provider.accept();
    upstream.head();
    (client, upstream)
}

/// As [`asked`], with an answer whose head has arrived at the client.
pub(crate) fn answered(provider: &Provider, proxy: &Proxy, request: &str, answer: &str) -> (Wire, Wire) {
    let (mut client, mut upstream) = asked(provider, proxy, request);
    upstream.send(answer);
    client.head();
    (client, upstream)
}

/// What reaches the provider when a client sends this head; the provider's own address reads `UPSTREAM` there.
#[track_caller]
pub(crate) fn forwarded(request: impl AsRef<[u8]>) -> Head {
    forwarded_by(Proxy::to, request)
}

/// As [`forwarded`], by a proxy that is set up in its own way.
#[track_caller]
pub(crate) fn forwarded_by(setup: impl FnOnce(&Provider) -> Setup, request: impl AsRef<[u8]>) -> Head {
    let provider = Provider::start();
    let proxy = setup(&provider).start();
    forwarded_through(&provider, &proxy, request)
}

/// As [`forwarded`], through a proxy that is there already.
#[track_caller]
pub(crate) fn forwarded_through(provider: &Provider, proxy: &Proxy, request: impl AsRef<[u8]>) -> Head {
    let mut client = proxy.connect();
    client.send(request);
    let mut upstream = provider.accept();
    let head = upstream.head();
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n");
    upstream.close();
    assert_eq!(client.head().status(), 204);
    head.with(&provider.host(), "UPSTREAM")
}

/// What reaches the client when the provider answers `GET` with these bytes and closes.
#[track_caller]
pub(crate) fn returned(response: impl AsRef<[u8]>) -> Head {
    returned_whole(response).0
}

/// As [`returned`], with the body.
#[track_caller]
fn returned_whole(response: impl AsRef<[u8]>) -> (Head, Vec<u8>) {
    let (provider, proxy) = start();
    returned_through(&provider, &proxy, response)
}

/// As [`returned_whole`], through a proxy that is there already.
#[track_caller]
pub(crate) fn returned_through(
    provider: &Provider,
    proxy: &Proxy,
    response: impl AsRef<[u8]>,
) -> (Head, Vec<u8>) {
    let (mut client, mut upstream) = asked(provider, proxy, GET);
    upstream.send(response);
    upstream.close();
    let head = client.head();
    let body = if matches!(head.status(), 204 | 304) { Vec::new() } else { client.body(&head) };
    (head, body)
}
