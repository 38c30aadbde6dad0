//! One connection, many exchanges, on both sides.

use crate::support::{Ending, GET, OK, Provider, Proxy, Wire, latin1, start};

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: app\r\n\r\n")
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A proxy with one thread: the pool of a thread is its own.
fn start_with_one_worker() -> (Provider, Proxy) {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml("server: {workers: 1}").start();
    (provider, proxy)
}

#[test]
fn a_client_connection_serves_many_exchanges() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send(get("/0"));
    let mut upstream = provider.accept();
    for n in 0..20 {
        assert_eq!(upstream.head().target(), format!("/{n}"));
        upstream.send(ok(&format!("answer {n}")));
        let head = client.head();
        assert_eq!(client.body(&head), format!("answer {n}").as_bytes());
        client.send(get(&format!("/{}", n + 1)));
    }
}

#[test]
fn an_upstream_connection_serves_many_clients() {
    let (provider, proxy) = start_with_one_worker();
    let mut client = proxy.connect();
    client.send(GET);
    let mut upstream = provider.accept();
    for _ in 0..10 {
        upstream.head();
        upstream.send(OK);
        client.head();
        client.expect("ok");
        client.close();
        client = proxy.connect();
        client.send(GET);
    }
}

#[test]
fn a_client_that_asks_to_close_does_not_close_the_upstream_connection() {
    let (provider, proxy) = start_with_one_worker();
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n");
    let mut upstream = provider.accept();
    upstream.head();
    upstream.send(OK);
    client.head();
    client.expect("ok");
    assert_eq!(client.expect_end(), Ending::Fin);
    let mut client = proxy.connect();
    client.send(get("/second"));
    assert_eq!(upstream.head().target(), "/second");
}

#[test]
fn an_upstream_that_asks_to_close_does_not_close_the_client_connection() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send(GET);
    let mut upstream = provider.accept();
    upstream.head();
    upstream.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    let head = client.head();
    assert_eq!(head.fields(), [("Content-Length", "2")]);
    client.expect("ok");
    client.send(get("/second"));
    assert_eq!(provider.accept().head().target(), "/second");
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send(get("/0") + &get("/1") + &get("/2"));
    let mut upstream = provider.accept();
    for n in 0..3 {
        assert_eq!(upstream.head().target(), format!("/{n}"));
        upstream.send(ok(&format!("answer {n}")));
    }
    for n in 0..3 {
        let head = client.head();
        assert_eq!(client.body(&head), format!("answer {n}").as_bytes());
    }
}

#[test]
fn pipelined_requests_with_bodies_keep_their_bodies_apart() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send(
        "POST /0 HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nfirst\
         POST /1 HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nsecond\r\n0\r\n\r\n\
         POST /2 HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nthird",
    );
    let mut upstream = provider.accept();
    for (n, body) in ["first", "second", "third"].into_iter().enumerate() {
        let head = upstream.head();
        assert_eq!(head.target(), format!("/{n}"));
        assert_eq!(upstream.body(&head), body.as_bytes());
        upstream.send(ok(body));
    }
    for body in ["first", "second", "third"] {
        let head = client.head();
        assert_eq!(client.body(&head), body.as_bytes());
    }
}

#[test]
fn a_pipelined_request_waits_for_the_response_before_it() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send(get("/0") + &get("/1"));
    let mut upstream = provider.accept();
    assert_eq!(upstream.head().target(), "/0");
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
    client.head();
    client.expect_in_chunks("hi");
    upstream.expect_silence();
    upstream.send("0\r\n\r\n");
    assert_eq!(client.chunked(), (Vec::new(), String::new()));
    assert_eq!(upstream.head().target(), "/1");
}

#[test]
fn a_connection_is_used_again_after_every_kind_of_body() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send(GET);
    let mut upstream = provider.accept();
    let answers = [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno",
    ];
    for answer in answers {
        upstream.head();
        upstream.send(answer);
        let head = client.head();
        if head.status() != 204 {
            client.body(&head);
        }
        client.send(GET);
    }
    upstream.head();
}

#[test]
fn exchanges_that_are_open_at_once_have_connections_of_their_own() {
    let (provider, proxy) = start();
    let mut clients: Vec<_> = (0..8).map(|_| proxy.connect()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(get(&format!("/{n}")));
    }
    let mut open: Vec<_> = (0..8).map(|_| provider.accept()).collect();
    for upstream in &mut open {
        let target = upstream.head().target().to_owned();
        upstream.send(ok(&target));
    }
    for (n, client) in clients.iter_mut().enumerate() {
        let head = client.head();
        assert_eq!(client.body(&head), format!("/{n}").as_bytes());
    }
}

#[test]
fn a_client_that_never_asks_anything_bothers_nobody() {
    let (provider, proxy) = start();
    let idle = proxy.connect();
    let mut client = proxy.connect();
    client.send(GET);
    let mut upstream = provider.accept();
    upstream.head();
    upstream.send(OK);
    client.head();
    client.expect("ok");
    idle.close();
    client.close();
    upstream.close();
    proxy.stop();
    assert_eq!(provider.rest(), "");
}

#[test]
fn an_empty_line_before_a_request_is_skipped() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send(format!("\r\n{GET}"));
    assert_eq!(provider.accept().head().first_line(), "GET /v1/models HTTP/1.1");
}

/// A request that is answered before it has been sent, over a connection that is kept then.
fn answered_early(proxy: &Proxy, provider: &Provider, client: &mut Wire) -> Wire {
    client.send("POST /v1/x HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\n01234");
    let mut upstream = provider.accept();
    upstream.head();
    upstream.expect("01234");
    upstream.send("HTTP/1.1 429 Too Many\r\nContent-Length: 2\r\n\r\nno");
    client.head();
    client.expect("no");
    client.send("56789");
    upstream.expect("56789");
    proxy.wait_for_log(|log| log.contains("429"));
    upstream
}

const IN_CHUNKS: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn a_connection_that_was_answered_early_brings_answers_in_chunks() {
    let (provider, proxy) = start_with_one_worker();
    let mut client = proxy.connect();
    let mut upstream = answered_early(&proxy, &provider, &mut client);
    for _ in 0..2 {
        client.send(get("/a"));
        upstream.head();
        upstream.send([IN_CHUNKS, "3\r\nabc\r\n"].concat());
        client.head();
        client.expect_in_chunks("abc");
        upstream.send("1;e\r\nx\r\n5\r\n12345\r\n");
        client.expect_in_chunks("x12345");
        upstream.send("0\r\n\r\n");
        assert!(client.chunked().0.is_empty());
    }
    client.send(get("/a"));
    upstream.head();
    upstream.send([IN_CHUNKS, "3\r\nabc\r\n"].concat());
    client.head();
    client.expect_in_chunks("abc");
    upstream.close();
    let (rest, _) = client.rest();
    assert_eq!(latin1(rest), "", "a broken body has no last chunk");
}

#[test]
fn an_early_answer_comes_in_chunks_while_the_request_is_sent_however_often() {
    let (provider, proxy) = start_with_one_worker();
    let mut client = proxy.connect();
    let mut upstream = answered_early(&proxy, &provider, &mut client);
    for _ in 0..2 {
        client.send("POST /v1/x HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\n01234");
        upstream.head();
        upstream.expect("01234");
        upstream.send([IN_CHUNKS, "3\r\nabc\r\n"].concat());
        client.head();
        client.expect_in_chunks("abc");
        upstream.send("2\r\nde\r\n");
        client.expect_in_chunks("de");
        client.send("56789");
        upstream.expect("56789");
        upstream.send("0\r\n\r\n");
        assert!(client.chunked().0.is_empty());
    }
}

#[test]
fn an_early_answer_that_closes_the_connection_does_not_cut_its_request() {
    let (provider, proxy) = start_with_one_worker();
    for answer in [
        "HTTP/1.1 429 Too Many\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.0 429 Too Many\r\nContent-Length: 2\r\n\r\nno",
    ] {
        let mut client = proxy.connect();
        client.send("POST /v1/x HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\n01234");
        let mut upstream = provider.accept();
        upstream.head();
        upstream.expect("01234");
        upstream.send(answer);
        client.head();
        client.expect("no");
        upstream.expect_silence();
        client.send("56789");
        upstream.expect("56789");
        assert_eq!(upstream.expect_end(), Ending::Fin);
        client.send(get("/next"));
        assert_eq!(provider.accept().head().target(), "/next");
    }
}

#[test]
fn a_provider_that_leaves_behind_an_early_answer_ends_its_request() {
    let (provider, proxy) = start_with_one_worker();
    let mut client = proxy.connect();
    client.send("POST /v1/x HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\n01234");
    let mut upstream = provider.accept();
    upstream.head();
    upstream.expect("01234");
    upstream.send("HTTP/1.1 429 Too Many\r\nContent-Length: 2\r\n\r\nno");
    client.head();
    client.expect("no");
    upstream.close();
    assert_eq!(client.expect_end(), Ending::Fin);
}

#[test]
fn a_request_that_was_answered_early_is_sent_whatever_others_do_and_however_short_connections_are_kept() {
    let (provider, proxy) = start_with_one_worker();
    for keep_alive in ["", "Keep-Alive: timeout=1\r\n"] {
        let mut client = proxy.connect();
        client.send("POST /v1/x HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\n01234");
        let mut upstream = provider.accept();
        upstream.head();
        upstream.expect("01234");
        upstream.send(format!("HTTP/1.1 429 Too Many\r\n{keep_alive}Content-Length: 2\r\n\r\nno"));
        client.head();
        client.expect("no");
        let mut other = proxy.connect();
        other.send(get("/other"));
        let mut fresh = provider.accept();
        fresh.head();
        fresh.send(OK);
        other.head();
        other.expect("ok");
        fresh.close();
        client.send("56789");
        upstream.expect("56789");
    }
}

#[test]
fn an_idle_upstream_connection_is_closed_before_its_provider_would() {
    let (provider, proxy) = start_with_one_worker();
    let mut client = proxy.connect();
    // Also where there has been none for a while.
    for _ in 0..2 {
        client.send(GET);
        let mut upstream = provider.accept();
        upstream.head();
        upstream.send("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=2\r\nContent-Length: 2\r\n\r\nok");
        client.head();
        client.expect("ok");
        assert_eq!(upstream.expect_end(), Ending::Fin);
    }
}

#[test]
fn bytes_behind_an_answer_are_nobodys() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx: y\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\nevil",
    ] {
        let (provider, proxy) = start_with_one_worker();
        let mut client = proxy.connect();
        client.send(GET);
        let mut upstream = provider.accept();
        upstream.head();
        upstream.send(answer);
        let head = client.head();
        if head.status() == 200 {
            assert_eq!(client.body(&head), b"ok");
        }
        upstream.expect_end();
        client.send(get("/next"));
        let mut fresh = provider.accept();
        fresh.head();
        fresh.send(ok("good"));
        let head = client.head();
        assert_eq!(client.body(&head), b"good");
    }
}
