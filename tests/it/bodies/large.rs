//! Bodies larger than anybody would want to hold.

use std::thread;

use crate::support::{GET, OK, PLAIN, Provider, Proxy, asked, pattern, start};

const GIB: u64 = 1 << 30;

/// What a proxy may grow by, whatever passes through it.
const FLAT: u64 = 32 << 20;

#[test]
fn an_upload_of_a_gibibyte_passes_in_flat_memory() {
    let (provider, proxy) = start();
    let before = proxy.peak_memory();
    let mut client = proxy.connect();
    client.send(format!("POST /plain HTTP/1.1\r\nHost: app\r\nContent-Length: {GIB}\r\n\r\n"));
    let mut upstream = provider.accept();
    upstream.head();
    thread::scope(|scope| {
        scope.spawn(|| pattern::send(&mut client, GIB));
        pattern::expect(&mut upstream, GIB);
    });
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(client.head().status(), 204);
    let growth = proxy.peak_memory().saturating_sub(before);
    assert!(growth < FLAT, "the proxy grew by {growth} bytes");
}

#[test]
fn a_download_of_a_gibibyte_passes_in_flat_memory() {
    let (provider, proxy) = start();
    let before = proxy.peak_memory();
    let (mut client, mut upstream) = asked(&provider, &proxy, PLAIN);
    upstream.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {GIB}\r\n\r\n"));
    client.head();
    thread::scope(|scope| {
        scope.spawn(|| pattern::send(&mut upstream, GIB));
        pattern::expect(&mut client, GIB);
    });
    let growth = proxy.peak_memory().saturating_sub(before);
    assert!(growth < FLAT, "the proxy grew by {growth} bytes");
}

/// What those who watch may hold in these tests, and as much again for buffers that are not full.
const WATCHED: u64 = 2 * (16 << 20);

#[test]
fn a_file_of_a_gibibyte_is_measured_and_nobody_holds_it() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml("observe: {memory: 16MiB}").start();
    let before = proxy.peak_memory();
    let mut client = proxy.connect();
    let head = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";
    let length = head.len() as u64 + GIB;
    client.send(format!(
        "POST /v1/files HTTP/1.1\r\nHost: app\r\nContent-Type: multipart/form-data; boundary=b\r\n\
         Content-Length: {length}\r\n\r\n{head}"
    ));
    let mut upstream = provider.accept();
    upstream.head();
    upstream.expect(head);
    thread::scope(|scope| {
        scope.spawn(|| pattern::send(&mut client, GIB));
        pattern::expect(&mut upstream, GIB);
    });
    upstream.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    upstream.close();
    assert_eq!(client.head().status(), 204);
    let get = "GET /v1/files/file-1/content HTTP/1.1\r\nHost: app\r\n\r\n";
    let (mut client, mut upstream) = asked(&provider, &proxy, get);
    upstream.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {GIB}\r\n\r\n"));
    client.head();
    thread::scope(|scope| {
        scope.spawn(|| pattern::send(&mut upstream, GIB));
        pattern::expect(&mut client, GIB);
    });
    let growth = proxy.peak_memory().saturating_sub(before);
    assert!(growth < FLAT + WATCHED, "the proxy grew by {growth} bytes");
}

#[test]
fn a_large_chunked_upload_passes() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    client.send("POST /v1/files HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut upstream = provider.accept();
    let head = upstream.head();
    let count = 20 << 20;
    thread::scope(|scope| {
        scope.spawn(|| pattern::send_chunked(&mut client, count as u64));
        assert!(upstream.body(&head) == pattern::bytes(count));
    });
}

/// Many of their bytes are read together with their heads, and of those not every line is looked at.
#[test]
fn large_bodies_in_a_row_stay_behind_their_heads() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    let sizes = [300_000, 1, 100_000, 0, 2_000_000, 40_000];
    let head = |size| {
        format!(
            "POST /v1/{size} HTTP/1.1\r\nHost: app\r\nUser-Agent: SDK/1.0\r\nX-Request: a, b\r\n\
             Accept: */*\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
        )
    };
    let mut upstream = None;
    thread::scope(|scope| {
        let mut writer = client.writer();
        scope.spawn(move || {
            for size in sizes.repeat(3) {
                writer.send([head(size).as_bytes(), &pattern::bytes(size)].concat());
            }
        });
        for size in sizes.repeat(3) {
            let upstream = upstream.get_or_insert_with(|| provider.accept());
            let came = upstream.head();
            let wanted = head(size);
            let lines = wanted.trim_end().split("\r\n").filter(|line| !line.starts_with("Host:"));
            for line in lines {
                assert!(came.text().contains(line), "no {line} in {}", came.text());
            }
            assert!(upstream.body(&came) == pattern::bytes(size), "a body of {size} bytes");
            upstream.send(OK);
            client.head();
            client.expect("ok");
        }
    });
}

#[test]
fn a_large_chunked_download_passes() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = asked(&provider, &proxy, GET);
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    let head = client.head();
    let count = 20 << 20;
    thread::scope(|scope| {
        scope.spawn(|| pattern::send_chunked(&mut upstream, count as u64));
        assert!(client.body(&head) == pattern::bytes(count));
    });
}

#[test]
fn a_large_download_that_ends_with_the_connection_passes() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = asked(&provider, &proxy, GET);
    upstream.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    let head = client.head();
    let count = 20 << 20;
    thread::scope(|scope| {
        scope.spawn(move || {
            pattern::send(&mut upstream, count as u64);
            upstream.close();
        });
        assert!(client.body(&head) == pattern::bytes(count));
    });
}

#[test]
fn a_large_body_each_way_at_once_passes() {
    let (provider, proxy) = start();
    let count = 20_u64 << 20;
    let mut client = proxy.connect();
    client.send(format!("POST /v1/echo HTTP/1.1\r\nHost: app\r\nContent-Length: {count}\r\n\r\n"));
    let mut upstream = provider.accept();
    upstream.head();
    upstream.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {count}\r\n\r\n"));
    client.head();
    let (mut client_writer, mut upstream_writer) = (client.writer(), upstream.writer());
    thread::scope(|scope| {
        scope.spawn(|| pattern::send(&mut client_writer, count));
        scope.spawn(|| pattern::send(&mut upstream_writer, count));
        scope.spawn(|| pattern::expect(&mut upstream, count));
        pattern::expect(&mut client, count);
    });
}

/// However much of it the proxy holds when the answer begins.
#[test]
fn the_rest_of_an_upload_arrives_while_the_client_does_not_read_the_early_answer() {
    const UPLOADS: [usize; 3] = [3_100_000, 3_250_000, 3_350_000];
    const EARLY: usize = 1_000_000;
    const ANSWER: u64 = 12 << 20;
    for upload in UPLOADS {
        let (provider, proxy) = start();
        let mut client = proxy.connect();
        let mut sender = client.writer();
        let sends = thread::spawn(move || {
            sender.send(format!("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: {upload}\r\n\r\n"));
            pattern::send(&mut sender, upload as u64);
        });
        let mut upstream = provider.accept();
        upstream.head();
        let mut seen = upstream.exactly(EARLY);
        let mut answerer = upstream.writer();
        let answers = thread::spawn(move || {
            answerer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {ANSWER}\r\n\r\n"));
            pattern::send(&mut answerer, ANSWER);
        });
        seen.extend(upstream.exactly(upload - EARLY));
        assert!(seen == pattern::bytes(upload));
        let head = client.head();
        assert!(client.body(&head) == pattern::bytes(ANSWER as usize));
        sends.join().unwrap();
        answers.join().unwrap();
    }
}
