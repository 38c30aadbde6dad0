//! Bodies that go from socket to socket, and through no memory of the proxy's: large ones, to a provider without TLS.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::Duration;

use rustix::fs::sendfile;
use rustix::process::Signal;
use socket2::SockRef;

use crate::support::{Ending, OK, Provider, Proxy, Watch, Wire, latin1, pattern, start, watched};

const LARGE: usize = 3_000_000;

fn head(size: usize) -> String {
    format!("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: {size}\r\n\r\n")
}

/// How many ends of pipes a process has open.
fn pipes(proxy: &Proxy) -> usize {
    let open = fs::read_dir(format!("/proc/{}/fd", proxy.pid())).unwrap();
    let target =
        |entry: std::io::Result<fs::DirEntry>| fs::read_link(entry.unwrap().path()).unwrap_or_default();
    open.map(target).filter(|target| target.to_string_lossy().starts_with("pipe:")).count()
}

/// Sends a body of the pattern until the provider does not take more, which it does not look at.
fn stuck(provider: &Provider, proxy: &Proxy) -> (Wire, Wire, u64) {
    let mut client = proxy.connect();
    client.send(head(1 << 30));
    let mut upstream = provider.accept();
    upstream.head();
    client.socket().set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let sent = pattern::send_until_stuck(&client, 1 << 30);
    (client, upstream, sent)
}

#[test]
fn a_large_body_goes_through_a_pipe_which_is_used_again() {
    let (provider, proxy) = start();
    let before = pipes(&proxy);
    for _ in 0..3 {
        let (client, mut upstream, sent) = stuck(&provider, &proxy);
        // One that is not empty when its body breaks off is of no use to the next.
        assert_eq!(pipes(&proxy), before + 2);
        pattern::expect(&mut upstream, sent);
        client.reset();
        upstream.expect_end();
        proxy.wait_for_metric("perimeter_open_exchanges", 0.0);
        assert!(pipes(&proxy) <= before + 2, "{} ends of pipes", pipes(&proxy));
    }
}

#[test]
fn a_body_of_any_size_around_what_is_read_with_its_head_is_told_as_it_came() {
    let (provider, proxy, watch) = watched();
    for size in [65_535, 65_536, 65_600, 131_072, 131_073, 131_200, 196_700, 400_000] {
        let (mut client, body) = (proxy.connect(), pattern::bytes(size));
        // All of it at once, so that as much comes with the head as may.
        client.send([head(size).into_bytes(), body.clone()].concat());
        let mut upstream = provider.accept();
        upstream.head();
        assert!(upstream.exactly(size) == body);
        upstream.send(OK);
        client.head();
        client.expect("ok");
        let told = watch.wait(0, |told| told.ends() == 1);
        watch.go_on();
        assert!(told.only().text("on_request_chunk") == latin1(&body), "{size}");
    }
}

#[test]
fn large_bodies_beside_each_other_are_told_whole_where_there_are_hardly_any_pipes() {
    const CLIENTS: usize = 12;
    const SIZE: usize = 600_000;
    let provider = Provider::start();
    let watch = Watch::of(&[("witness", "")]);
    let proxy = watch
        .setup(&provider)
        .yaml("server: {workers: 1}\nobserve: {journal: 256MiB, mailbox: 256MiB, memory: 1GiB}")
        .descriptors(64)
        .start();
    let body = pattern::bytes(SIZE);
    let mut wires: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut client = proxy.connect();
            client.send(head(SIZE));
            let mut upstream = provider.accept();
            upstream.head();
            (client, upstream)
        })
        .collect();
    thread::scope(|scope| {
        for (client, upstream) in &mut wires {
            scope.spawn(|| client.send(&body));
            scope.spawn(|| assert!(upstream.exactly(SIZE) == body));
        }
    });
    for (client, upstream) in &mut wires {
        upstream.send(OK);
        client.head();
        client.expect("ok");
    }
    let told = watch.wait(0, |told| told.ends() == CLIENTS);
    for exchange in told.exchanges() {
        assert!(exchange.text("on_request_chunk") == latin1(&body));
        assert_eq!(exchange.unseen(), (0, 0));
    }
}

#[test]
fn what_is_told_of_a_large_body_that_breaks_off_is_what_came_of_it() {
    let (provider, proxy, watch) = watched();
    for leave in [Wire::close, Wire::reset_and_arrive] {
        let mut client = proxy.connect();
        client.send(head(LARGE));
        let mut upstream = provider.accept();
        upstream.head();
        let mut sender = client.writer();
        let sends = thread::spawn(move || pattern::send(&mut sender, 1_000_000));
        pattern::expect(&mut upstream, 1_000_000);
        sends.join().unwrap();
        leave(client);
        let (rest, _) = upstream.rest();
        assert!(rest.is_empty(), "{} bytes more than were sent", rest.len());
        let told = watch.wait(0, |told| told.ends() == 1);
        watch.go_on();
        let exchange = told.only();
        assert!(exchange.text("on_request_chunk") == latin1(pattern::bytes(1_000_000)));
        let end = exchange.ended().0.to_string();
        assert!(end.contains("error reading a body from connection") || end.contains("aborted"), "{end}");
    }
}

#[test]
fn a_large_body_that_nobody_reads_ends_its_connection_behind_the_answer() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    // Without a `Host` it is refused before the provider hears of it.
    client.send(head(LARGE).replace("Host: app\r\n", ""));
    client.send(&pattern::bytes(LARGE)[..200_000]);
    assert_eq!(client.head().status(), 400);
    let (_, ending) = client.rest();
    assert_eq!(ending, Ending::Fin);

    // A provider that answers and leaves, while much of the body has not come.
    let mut client = proxy.connect();
    client.send(head(LARGE));
    client.send(&pattern::bytes(LARGE)[..200_000]);
    let mut upstream = provider.accept();
    upstream.head();
    upstream.exactly(200_000);
    upstream.send("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno.");
    upstream.close();
    assert_eq!(client.head().status(), 413);
    client.expect("no.");
    // What the client still sends is nobody's.
    let _ = client.try_send(vec![b'x'; 10_000]);
    client.expect_end();
    proxy.wait_for_metric("perimeter_open_exchanges", 0.0);
}

#[test]
fn behind_a_large_body_comes_the_next_request_whole_or_in_parts() {
    let (provider, proxy, _watch) = watched();
    let mut client = proxy.connect();
    let body = pattern::bytes(LARGE);
    let mut upstream = None;
    let next = "POST /next HTTP/1.1\r\nHost: app\r\nContent-Length: 4\r\n\r\nnext";
    for cut in [0, 1, 20, next.len()] {
        let upstream = upstream.get_or_insert_with(|| {
            client.send(head(LARGE));
            provider.accept()
        });
        if cut > 0 {
            client.send(head(LARGE));
        }
        thread::scope(|scope| {
            let mut writer = client.writer();
            let (now, later) = next.split_at(cut);
            let body = &body;
            scope.spawn(move || {
                // Together with the last bytes before it.
                writer.send([body, now.as_bytes()].concat());
                writer.send(later);
            });
            upstream.head();
            assert!(upstream.exactly(LARGE) == *body);
        });
        upstream.send(OK);
        client.head();
        client.expect("ok");
        assert_eq!(upstream.head().target(), "/next");
        upstream.expect("next");
        upstream.send(OK);
        client.head();
        client.expect("ok");
    }
}

/// So much of a body has arrived when it is answered.
const EARLY: usize = 200_000;

/// Sends the beginning of a large body, with this line in its head; it was answered.
fn answered_early(provider: &Provider, proxy: &Proxy, line: &str, size: usize) -> (Wire, Wire) {
    let mut client = proxy.connect();
    client.send(head(size).replace("Host: app", &format!("Host: app{line}")));
    client.send(&pattern::bytes(size)[..EARLY]);
    let mut upstream = provider.accept();
    upstream.head();
    upstream.exactly(EARLY);
    upstream.send(OK);
    client.head();
    client.expect("ok");
    (client, upstream)
}

#[test]
fn a_large_body_that_was_answered_early_arrives_whole_and_nothing_besides() {
    const SIZE: usize = 12_000_000;
    let body = pattern::bytes(SIZE);
    for line in ["", "\r\nConnection: close"] {
        let (provider, proxy) = start();
        let (client, mut upstream) = answered_early(&provider, &proxy, line, SIZE);
        let mut sender = client.writer();
        thread::scope(|scope| {
            let body = &body;
            scope.spawn(move || {
                sender.send(&body[EARLY..]);
                if !line.is_empty() {
                    // What stands behind the last request of a connection is nobody's.
                    let _ = sender.try_send("GET /next HTTP/1.1\r\nHost: app\r\n\r\n".repeat(100_000));
                }
            });
            // The proxy has time to be done with the connection where it thinks that it is.
            thread::sleep(Duration::from_millis(1_500));
            assert!(upstream.exactly(SIZE - EARLY) == body[EARLY..], "{line:?}");
        });
        // And to take what stands behind for another one.
        thread::sleep(Duration::from_millis(1_500));
        proxy.stop();
        assert!(upstream.rest().0.is_empty());
        assert_eq!(provider.rest(), "");
    }
}

#[test]
fn a_connection_ends_where_a_large_body_is_nobodys() {
    let (provider, mut proxy) = start();
    // hyper itself does not take these.
    for refused in ["POST / HTTP/1.7\r\nHost: a", "PO(ST / HTTP/1.1\r\nHost: a", "POST / HTTP/1.1\r\nA B: c"]
    {
        let mut client = proxy.connect();
        client.send(format!("{refused}\r\nContent-Length: {LARGE}\r\n\r\n"));
        assert!(client.head().status() >= 400);
        client.rest();
    }
    // This one comes behind the last request of its connection.
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n");
    let mut upstream = provider.accept();
    upstream.head();
    client.send(head(LARGE));
    client.send(&pattern::bytes(LARGE)[..EARLY]);
    upstream.send(OK);
    client.head();
    client.expect("ok");
    client.rest();
    proxy.wait_for_metric("perimeter_open_connections", 0.0);
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.exit().code, Some(0));
    assert!(upstream.rest().0.is_empty());
    assert_eq!(provider.rest(), "");
}

#[test]
fn a_large_body_that_was_answered_early_arrives_whole_while_the_proxy_stops() {
    let (provider, mut proxy) = start();
    let (mut client, mut upstream) = answered_early(&provider, &proxy, "", LARGE);
    proxy.signal(Signal::TERM);
    proxy.wait_until_it_stops_accepting();
    let body = pattern::bytes(LARGE);
    for part in body[EARLY..].chunks(100_000) {
        client.send(part);
        assert!(upstream.exactly(part.len()) == part);
    }
    client.expect_end();
    assert_eq!(proxy.exit().code, Some(0));
}

#[test]
fn a_connection_ends_behind_an_answer_that_its_client_took_late_where_the_body_was_left() {
    let (provider, proxy) = start();
    for answer in [2_600_000, 3_000_000, 3_400_000, 4_200_000] {
        let mut client = proxy.connect();
        SockRef::from(client.socket()).set_recv_buffer_size(48 * 1024).unwrap();
        client.send(head(LARGE));
        client.send(&pattern::bytes(LARGE)[..EARLY]);
        let mut upstream = provider.accept();
        upstream.head();
        upstream.exactly(EARLY);
        let answerer = thread::spawn(move || {
            upstream.send(format!("HTTP/1.1 413 Too Large\r\nContent-Length: {answer}\r\n\r\n"));
            pattern::send(&mut upstream, answer);
            upstream.close();
        });
        // The client takes nothing of it until it is all in hand.
        thread::sleep(Duration::from_millis(300));
        assert_eq!(client.head().status(), 413);
        pattern::expect(&mut client, answer);
        client.expect_end();
        answerer.join().unwrap();
    }
}

#[test]
fn a_large_body_that_is_pipelined_behind_another_is_not_left_with_it() {
    let (provider, proxy) = start();
    let body = pattern::bytes(LARGE);
    let mut client = proxy.connect();
    client.send(head(LARGE));
    let mut upstream = provider.accept();
    upstream.head();
    thread::scope(|scope| {
        let mut sender = client.writer();
        let body = &body;
        scope.spawn(move || {
            sender.send(body);
            sender.send(head(LARGE));
            sender.send(&body[..EARLY]);
        });
        assert!(upstream.exactly(LARGE) == *body);
    });
    upstream.send(OK);
    client.head();
    client.expect("ok");
    upstream.head();
    upstream.exactly(EARLY);
    upstream.send(OK);
    client.head();
    client.expect("ok");
    // The second was answered early, and goes on.
    for part in body[EARLY..].chunks(200_000) {
        client.send(part);
        assert!(upstream.exactly(part.len()) == part);
    }
}

#[test]
fn a_length_beyond_all_bodies_is_refused() {
    let (_provider, proxy) = start();
    for length in [u64::MAX, u64::MAX - 1] {
        let mut client = proxy.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: {length}\r\n\r\n"));
        assert_eq!(client.head().status(), 431);
    }
}

/// What is recorded is what was sent, even where it was a file that its sender writes into at once.
#[test]
fn pages_that_are_not_shared_are_recorded_as_they_passed() {
    const SIZE: usize = 1_000_000;
    let provider = Provider::start();
    let watch = Watch::of(&[("witness", "")]);
    let proxy = watch.setup(&provider).yaml("observe: {share_pages: false}").start();
    let before = pipes(&proxy);
    let path = proxy.folder().join("sent");
    for _ in 0..5 {
        fs::write(&path, vec![b'a'; SIZE]).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let mut client = proxy.connect();
        client.send(head(SIZE));
        let mut upstream = provider.accept();
        upstream.head();
        let socket = client.socket().try_clone().unwrap();
        let came = thread::scope(|scope| {
            scope.spawn(|| {
                let mut sent = 0;
                while sent < SIZE {
                    sent += sendfile(&socket, &file, None, SIZE - sent).unwrap();
                }
            });
            upstream.exactly(SIZE)
        });
        file.write_all_at(&vec![b'b'; SIZE], 0).unwrap();
        assert_eq!(pipes(&proxy), before);
        client.close();
        let told = watch.wait(0, |told| told.ends() == 1);
        watch.go_on();
        assert!(told.only().text("on_request_chunk") == latin1(came));
    }
}
