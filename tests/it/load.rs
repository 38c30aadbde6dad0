//! Many at once, and more than there is room for.

use crate::support::{GET, OK, Provider, Proxy, Wire, start};

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: app\r\n\r\n")
}

/// Answers one exchange between these two.
fn answer(client: &mut Wire, upstream: &mut Wire) {
    upstream.send(OK);
    assert_eq!(client.head().status(), 200);
    client.expect("ok");
}

#[test]
fn two_hundred_streams_are_open_at_once() {
    let (provider, proxy) = start();
    let mut open: Vec<_> = (0..200)
        .map(|_| {
            let mut client = proxy.connect();
            client.send(GET);
            let mut upstream = provider.accept();
            upstream.head();
            upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            client.head();
            (client, upstream)
        })
        .collect();
    proxy.wait_for_metric("perimeter_open_exchanges", 200.0);
    for (n, (client, upstream)) in open.iter_mut().enumerate() {
        let event = format!("data: {n}\n\n");
        upstream.send_chunk(&event);
        client.expect_in_chunks(&event);
    }
}

#[test]
fn connections_beyond_the_limit_wait_until_there_is_room() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml("server: {workers: 1, max_connections: 2}").start();
    let (mut first, mut second, mut third) = (proxy.connect(), proxy.connect(), proxy.connect());
    second.send(get("/second"));
    let mut upstream = provider.accept();
    assert_eq!(upstream.head().target(), "/second");
    answer(&mut second, &mut upstream);
    upstream.close();
    third.send(get("/third"));
    first.send(get("/first"));
    let mut upstream = provider.accept();
    assert_eq!(upstream.head().target(), "/first", "the third was let in before there was room");
    answer(&mut first, &mut upstream);
    upstream.close();
    first.close();
    let mut upstream = provider.accept();
    assert_eq!(upstream.head().target(), "/third");
    answer(&mut third, &mut upstream);
}

#[test]
fn a_proxy_that_ran_out_of_descriptors_goes_on_when_it_has_some_again() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml("server: {workers: 1}").descriptors(64).start();
    let crowd: Vec<_> = (0..100).map(|_| proxy.connect()).collect();
    proxy.wait_for_log(|line| line.contains("cannot accept"));
    drop(crowd);
    let mut client = proxy.connect();
    client.send(GET);
    let mut upstream = provider.accept();
    upstream.head();
    answer(&mut client, &mut upstream);
}

#[test]
fn a_reader_of_the_log_that_goes_away_harms_nothing() {
    let (provider, proxy) = start();
    proxy.close_stderr();
    for _ in 0..5 {
        let mut client = proxy.connect();
        client.send(GET);
        let mut upstream = provider.accept();
        upstream.head();
        answer(&mut client, &mut upstream);
        upstream.close();
    }
}

#[test]
fn without_a_printer_nothing_is_said_on_stdout() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).args(&["--interceptors", "none"]).start();
    let mut client = proxy.connect();
    client.send(GET);
    let mut upstream = provider.accept();
    upstream.head();
    answer(&mut client, &mut upstream);
    proxy.wait_for_metric("perimeter_open_exchanges", 0.0);
    assert_eq!(proxy.stdout(), "");
}
