//! An upstream body that breaks off breaks off for the client: never a clean end that was not one.

use crate::support::tls::Authority;
use crate::support::{Ending, GET, Provider, Proxy, Wire, answered, asked, latin1, start};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const SIZED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
const TO_THE_END: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";

/// How an upstream can break off.
const WAYS: [fn(Wire); 2] = [Wire::close, Wire::reset];

/// What is left of a chunked body must not hold its last chunk.
#[track_caller]
fn assert_unfinished(rest: &[u8]) {
    assert!(!latin1(rest).contains("0\r\n\r\n"), "a broken body was ended cleanly: {:?}", latin1(rest));
}

#[test]
fn a_chunked_body_that_breaks_off_has_no_last_chunk_for_the_client() {
    let (provider, proxy) = start();
    for break_off in WAYS {
        let (mut client, mut upstream) = answered(&provider, &proxy, GET, CHUNKED);
        upstream.send_chunk("hello");
        client.expect_in_chunks("hello");
        break_off(upstream);
        assert_unfinished(&client.rest().0);
    }
}

#[test]
fn a_chunked_body_that_breaks_off_within_a_chunk_is_broken_for_the_client() {
    let (provider, proxy) = start();
    for break_off in WAYS {
        let (mut client, mut upstream) = answered(&provider, &proxy, GET, CHUNKED);
        upstream.send("a\r\nhello");
        client.expect_in_chunks("hello");
        break_off(upstream);
        assert_unfinished(&client.rest().0);
    }
}

#[test]
fn a_chunked_body_that_breaks_off_before_its_first_byte_is_broken_for_the_client() {
    let (provider, proxy) = start();
    for break_off in WAYS {
        let (mut client, upstream) = answered(&provider, &proxy, GET, CHUNKED);
        break_off(upstream);
        assert_unfinished(&client.rest().0);
    }
}

#[test]
fn a_chunked_body_that_breaks_off_within_its_last_chunk_is_broken_for_the_client() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = answered(&provider, &proxy, GET, CHUNKED);
    upstream.send("5\r\nhello\r\n0\r\n");
    client.expect_in_chunks("hello");
    upstream.close();
    assert_unfinished(&client.rest().0);
}

#[test]
fn a_body_that_is_shorter_than_its_length_is_so_for_the_client() {
    let (provider, proxy) = start();
    for break_off in WAYS {
        let (mut client, mut upstream) = asked(&provider, &proxy, GET);
        upstream.send(SIZED);
        assert_eq!(client.head().value("Content-Length"), Some("10"));
        upstream.send("hello");
        client.expect("hello");
        break_off(upstream);
        assert_eq!(client.rest().0, b"");
    }
}

#[test]
fn a_body_of_a_given_length_that_never_begins_is_broken_for_the_client() {
    let (provider, proxy) = start();
    for break_off in WAYS {
        let (mut client, mut upstream) = asked(&provider, &proxy, GET);
        upstream.send(SIZED);
        assert_eq!(client.head().value("Content-Length"), Some("10"));
        break_off(upstream);
        assert_eq!(client.rest().0, b"");
    }
}

#[test]
fn what_came_before_the_break_reaches_the_client() {
    let (provider, proxy) = start();
    for _ in 0..20 {
        let (mut client, mut upstream) = answered(&provider, &proxy, GET, SIZED);
        upstream.send("hello");
        upstream.close();
        assert_eq!(latin1(client.rest().0), "hello");
    }
}

#[test]
fn a_reset_of_a_body_that_ends_with_the_connection_is_no_clean_end_for_the_client() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = asked(&provider, &proxy, GET);
    upstream.send(TO_THE_END);
    let head = client.head();
    upstream.send("hello");
    if head.is_chunked() {
        client.expect_in_chunks("hello")
    } else {
        client.expect("hello")
    }
    upstream.reset();
    let (rest, ending) = client.rest();
    assert_unfinished(&rest);
    assert!(head.is_chunked() || ending == Ending::Reset, "a reset became a clean end");
}

#[test]
fn an_http_1_0_client_sees_a_reset_where_a_chunked_body_breaks_off() {
    let (provider, proxy) = start();
    for break_off in WAYS {
        let (mut client, mut upstream) = answered(&provider, &proxy, "GET / HTTP/1.0\r\n\r\n", CHUNKED);
        upstream.send_chunk("hello");
        client.expect("hello");
        break_off(upstream);
        assert_eq!(client.expect_end(), Ending::Reset);
    }
}

#[test]
fn an_http_1_0_client_sees_a_reset_where_a_body_that_ends_with_the_connection_is_reset() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = answered(&provider, &proxy, "GET / HTTP/1.0\r\n\r\n", TO_THE_END);
    upstream.send("hello");
    client.expect("hello");
    upstream.reset();
    assert_eq!(client.expect_end(), Ending::Reset);
}

#[test]
fn an_http_1_0_client_that_keeps_its_connection_sees_a_reset_as_well() {
    let (provider, proxy) = start();
    let request = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let (mut client, mut upstream) = answered(&provider, &proxy, request, CHUNKED);
    upstream.send_chunk("hello");
    client.expect("hello");
    upstream.close();
    assert_eq!(client.expect_end(), Ending::Reset);
}

#[test]
fn a_bad_chunk_size_within_a_response_breaks_it_for_the_client() {
    let (provider, proxy) = start();
    for nonsense in [
        "xyz\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\n",
        "\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
    ] {
        let (mut client, mut upstream) = answered(&provider, &proxy, GET, CHUNKED);
        upstream.send_chunk("hello");
        client.expect_in_chunks("hello");
        upstream.send(nonsense);
        assert_unfinished(&client.rest().0);
    }
}

#[test]
fn a_chunk_longer_than_its_size_breaks_the_response_for_the_client() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = answered(&provider, &proxy, GET, CHUNKED);
    upstream.send("5\r\nhello, world\r\n0\r\n\r\n");
    client.expect_in_chunks("hello");
    assert_unfinished(&client.rest().0);
}

#[test]
fn tls_that_just_stops_is_no_clean_end_of_a_body_that_ends_with_the_connection() {
    let authority = Authority::new();
    let tls = authority.server_for(&["127.0.0.1"]);
    let provider = Provider::start();
    let proxy =
        Proxy::to_url(format!("https://{}", provider.host())).env("SSL_CERT_FILE", authority.file()).start();
    let mut client = proxy.connect();
    client.send(GET);
    let mut upstream = provider.accept_tls(&tls).unwrap();
    upstream.head();
    upstream.send(TO_THE_END);
    let head = client.head();
    upstream.send("hello");
    if head.is_chunked() {
        client.expect_in_chunks("hello")
    } else {
        client.expect("hello")
    }
    upstream.cut();
    let (rest, ending) = client.rest();
    assert_unfinished(&rest);
    assert!(head.is_chunked() || ending == Ending::Reset, "TLS without its end became a clean end");
}

#[test]
fn a_broken_upstream_is_counted_as_that() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = answered(&provider, &proxy, GET, SIZED);
    upstream.send("hello");
    upstream.close();
    client.rest();
    proxy.wait_for_metric("perimeter_exchanges_total{status=\"2xx\",outcome=\"upstream_broke\"}", 1.0);
}
