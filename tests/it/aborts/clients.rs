//! A client that leaves ends its upstream request, whatever was under way.

use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::support::{GET, OK, Provider, Proxy, Wire, answered, asked, latin1, pattern, start};

const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// How a client can leave.
const WAYS: [fn(Wire); 2] = [Wire::close, Wire::reset];

/// Whether a metric comes to this value within a while.
fn comes_to(proxy: &Proxy, series: &str, value: f64, within: Duration) -> bool {
    let deadline = Instant::now() + within;
    while Instant::now() < deadline {
        if proxy.metric(series) == value {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

#[test]
fn a_client_that_leaves_before_the_response_head_ends_the_upstream_request() {
    let (provider, proxy) = start();
    for leave in WAYS {
        let (client, mut upstream) = asked(&provider, &proxy, GET);
        leave(client);
        upstream.expect_end();
    }
}

#[test]
fn a_client_that_leaves_with_its_body_sent_before_the_response_head_ends_the_upstream_request() {
    let (provider, proxy) = start();
    for leave in WAYS {
        let mut client = proxy.connect();
        client.send("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello");
        let mut upstream = provider.accept();
        upstream.head();
        upstream.expect("hello");
        leave(client);
        upstream.expect_end();
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_stream_ends_the_upstream_request() {
    let (provider, proxy) = start();
    for leave in WAYS {
        let (mut client, mut upstream) = answered(&provider, &proxy, GET, EVENTS);
        upstream.send_chunk("data: 1\n\n");
        client.expect_in_chunks("data: 1\n\n");
        leave(client);
        upstream.expect_end();
    }
}

#[test]
fn a_client_that_leaves_a_stream_which_never_said_anything_ends_the_upstream_request() {
    let (provider, proxy) = start();
    for leave in WAYS {
        let (client, mut upstream) = answered(&provider, &proxy, GET, EVENTS);
        leave(client);
        upstream.expect_end();
    }
}

#[test]
fn a_client_that_leaves_a_body_of_a_given_length_ends_the_upstream_request() {
    let (provider, proxy) = start();
    for leave in WAYS {
        let (mut client, mut upstream) =
            answered(&provider, &proxy, GET, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        client.expect("hello");
        leave(client);
        upstream.expect_end();
    }
}

#[test]
fn a_client_that_leaves_a_body_that_ends_with_the_connection_ends_the_upstream_request() {
    let (provider, proxy) = start();
    for leave in WAYS {
        let (client, mut upstream) =
            answered(&provider, &proxy, GET, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello");
        leave(client);
        upstream.expect_end();
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_upload_ends_the_upstream_request() {
    let (provider, proxy) = start();
    for leave in WAYS {
        let mut client = proxy.connect();
        client.send("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\nhello");
        let mut upstream = provider.accept();
        upstream.head();
        upstream.expect("hello");
        leave(client);
        upstream.expect_end();
    }
}

#[test]
fn a_chunked_upload_that_breaks_off_never_gets_a_last_chunk() {
    let (provider, proxy) = start();
    for leave in WAYS {
        let mut client = proxy.connect();
        client.send("POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        let mut upstream = provider.accept();
        upstream.head();
        upstream.expect_in_chunks("hello");
        leave(client);
        upstream.expect_end();
    }
}

#[test]
fn a_client_that_leaves_while_its_upload_is_stuck_ends_the_upstream_request() {
    let (provider, proxy) = start();
    for leave in WAYS {
        let mut client = proxy.connect();
        let total = 1 << 30;
        client.send(format!("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: {total}\r\n\r\n"));
        let mut upstream = provider.accept();
        upstream.head();
        SockRef::from(client.socket()).set_send_buffer_size(32 * 1024).unwrap();
        client.socket().set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let sent = pattern::send_until_stuck(&client, total);
        leave(client);
        // An orderly end waits in the client's kernel behind its last bytes: the provider reads just enough to let
        // it through, and then no more, so that only the proxy can be what ends this. How much that is, is the kernel's
        // affair.
        let mut read = 0;
        while !comes_to(&proxy, "perimeter_open_exchanges", 0.0, Duration::from_secs(2)) {
            assert!(read < sent / 2, "the exchange goes on, {read} bytes of {sent} were read");
            read = pattern::expect_or_end(&mut upstream, read..read + 512 * 1024);
        }
        assert!(upstream.rest().0.len() as u64 <= sent, "more arrived than was sent");
    }
}

#[test]
fn a_client_that_leaves_while_it_does_not_read_ends_the_upstream_request() {
    let (provider, proxy) = start();
    let total = 1 << 30;
    for leave in WAYS {
        let (client, upstream) =
            answered(&provider, &proxy, GET, &format!("HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n"));
        upstream.socket().set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        pattern::send_until_stuck(&upstream, total);
        leave(client);
        let mut upstream = upstream;
        upstream.expect_end();
    }
}

#[test]
fn a_client_that_leaves_with_a_pipelined_request_waiting_ends_the_upstream_request() {
    let (provider, proxy) = start();
    for leave in WAYS {
        let (client, mut upstream) = asked(&provider, &proxy, format!("{GET}{GET}"));
        leave(client);
        upstream.expect_end();
    }
}

#[test]
fn a_client_that_leaves_a_stream_with_a_pipelined_request_waiting_ends_the_upstream_request() {
    let (provider, proxy) = start();
    for leave in WAYS {
        let (mut client, mut upstream) = answered(&provider, &proxy, &format!("{GET}{GET}"), EVENTS);
        upstream.send_chunk("data: 1\n\n");
        client.expect_in_chunks("data: 1\n\n");
        leave(client);
        upstream.expect_end();
    }
}

#[test]
fn a_client_that_leaves_with_much_waiting_to_be_read_ends_the_upstream_request() {
    let (provider, proxy) = start();
    for leave in WAYS {
        let mut pipelined = GET.to_owned();
        pipelined.push_str("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 40000\r\n\r\n");
        pipelined.push_str(&"x".repeat(40_000));
        let (client, mut upstream) = asked(&provider, &proxy, pipelined);
        leave(client);
        upstream.expect_end();
    }
}

/// hyper's first room for a client's bytes: filled to its last byte, with a line in it that hyper is not shown.
#[test]
fn a_client_that_leaves_behind_what_just_filled_the_room_ends_the_upstream_request() {
    const ROOM: usize = 8192;
    let (provider, proxy) = start();
    for leave in WAYS {
        for room in [ROOM - 2, ROOM, ROOM + 2] {
            let head = "GET /v1/models HTTP/1.1\r\nHost: app\r\nUser-Agent: one/10.0\r\n\r\n";
            // Empty lines before the next request are nothing (RFC 9112 section 2.2).
            let request = format!("{head}{}", "\r\n".repeat((room - head.len()) / 2));
            assert_eq!(request.len(), room);
            let (client, mut upstream) = asked(&provider, &proxy, request);
            leave(client);
            upstream.expect_end();
        }
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_head_bothers_nobody() {
    let (provider, proxy) = start();
    for leave in WAYS {
        let mut client = proxy.connect();
        client.send("GET /v1/models HTTP/1.1\r\nHost: a");
        leave(client);
    }
    proxy.stop();
    assert_eq!(provider.rest(), "");
}

#[test]
fn known_limit_a_client_that_says_it_will_send_no_more_is_one_that_left() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = asked(&provider, &proxy, GET);
    client.half_close();
    upstream.expect_end();
    assert_eq!(client.rest().0, b"");
}

#[test]
fn an_exchange_ends_alone() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml("server: {workers: 1}").start();
    let (mut stays, mut upstream_stays) = answered(&provider, &proxy, GET, EVENTS);
    let (leaves, mut upstream_leaves) = answered(&provider, &proxy, GET, EVENTS);
    leaves.reset();
    upstream_leaves.expect_end();
    upstream_stays.send_chunk("data: still here\n\n");
    stays.expect_in_chunks("data: still here\n\n");
}

#[test]
fn what_the_provider_says_to_a_client_that_left_is_not_for_the_next_one() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml("server: {workers: 1}").start();
    let (client, mut upstream) = asked(&provider, &proxy, GET);
    client.close();
    upstream.expect_end();
    // Too late, and into a connection that is over.
    let _ = upstream.try_send(OK.replace("ok", "no"));
    let (mut client, mut upstream) = asked(&provider, &proxy, GET);
    upstream.send(OK);
    client.head();
    assert_eq!(latin1(client.exactly(2)), "ok");
}

#[test]
fn a_client_that_leaves_is_counted_as_one_that_left() {
    let (provider, proxy) = start();
    let (client, mut upstream) = answered(&provider, &proxy, GET, EVENTS);
    client.close();
    upstream.expect_end();
    proxy.wait_for_metric("perimeter_exchanges_total{status=\"2xx\",outcome=\"client_left\"}", 1.0);
    let (client, mut upstream) = asked(&provider, &proxy, GET);
    client.close();
    upstream.expect_end();
    proxy.wait_for_metric("perimeter_exchanges_total{status=\"none\",outcome=\"client_left\"}", 1.0);
}
