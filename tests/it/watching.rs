//! Interceptors beside the traffic: what they are told, and that nothing they do can be felt by anybody else.

pub(crate) mod program;
mod witness;

mod chance;
mod endings;
mod tunnels;
mod whole;

mod isolation;
mod loss;
mod memory;
mod order;
mod turns;
mod unwatched;

mod credentials;
mod events;
mod finishing;
mod found;
mod gemini;
mod index;
mod labels;
mod names;
mod platform;
mod settings;
pub(crate) mod sockets;
mod streams;

use crate::support::{PLAIN, Provider, Proxy, asked};

const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// The plainest answer, on a connection that will not be used again.
const LAST: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";

/// One plain exchange on a connection of its own.
#[track_caller]
fn exchange(provider: &Provider, proxy: &Proxy) {
    let (mut client, mut upstream) = asked(provider, proxy, PLAIN);
    upstream.send(LAST);
    upstream.close();
    assert_eq!(client.head().status(), 200);
    client.expect("ok");
}

/// A stream of which the client has each event before the provider says the next; what its body is.
#[track_caller]
fn stream(provider: &Provider, proxy: &Proxy) -> String {
    let (mut client, mut upstream) = asked(provider, proxy, PLAIN);
    upstream.send(EVENTS.replace("Content-Type", "Connection: close\r\nContent-Type"));
    assert_eq!(client.head().status(), 200);
    let mut said = String::new();
    for n in 0..20 {
        let event = format!("data: {n}\n\n");
        upstream.send_chunk(&event);
        client.expect_in_chunks(&event);
        said.push_str(&event);
    }
    upstream.send("0\r\n\r\n");
    assert_eq!(client.chunked().0, b"");
    upstream.close();
    said
}
