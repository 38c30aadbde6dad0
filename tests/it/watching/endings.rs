//! The end of every exchange is told, once, as its last notice, whatever ends it.

use rustix::process::Signal;
use serde_json::json;

use super::EVENTS;
use crate::support::provider::Nobody;
use crate::support::told::Exchange;
use crate::support::{GET, Gate, OK, PLAIN, Provider, Proxy, Watch, Wire, answered, asked, pattern, watched};

/// How a peer can leave.
const WAYS: [fn(Wire); 2] = [Wire::close, Wire::reset];

/// What was told of the only exchange of this story.
#[track_caller]
fn told_of(story: impl FnOnce(&Provider, &Proxy)) -> Exchange {
    let (provider, proxy, watch) = watched();
    story(&provider, &proxy);
    watch.wait(0, |told| told.ends() > 0);
    watch.stop(proxy).only()
}

/// That it ended so.
#[track_caller]
fn assert_ended(exchange: &Exchange, request: &str, response: &str) {
    let kind = |end: &serde_json::Value| match end {
        serde_json::Value::Object(end) => end.keys().next().unwrap().clone(),
        end => end.as_str().unwrap().to_owned(),
    };
    let (told_request, told_response) = exchange.ended();
    assert_eq!(
        (kind(told_request).as_str(), kind(told_response).as_str()),
        (request, response),
        "{exchange:#?}"
    );
    assert_eq!(exchange.unseen(), (0, 0));
    assert_eq!(exchange.course().last(), Some(&"on_end"));
}

#[test]
fn a_plain_exchange_is_told_from_its_head_to_its_end() {
    let exchange = told_of(|provider, proxy| {
        let mut client = proxy.connect();
        client.send("POST /plain?a=b HTTP/1.1\r\nHost: app\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nhello");
        let mut upstream = provider.accept();
        upstream.head();
        upstream.expect("hello");
        upstream.send("HTTP/1.1 201 Created\r\nX-B: 2\r\nContent-Length: 2\r\n\r\nok");
        assert_eq!(client.head().status(), 201);
        client.expect("ok");
    });
    assert_eq!(
        exchange.course(),
        [
            "on_request_head",
            "on_request_chunk",
            "on_request_end",
            "on_response_head",
            "on_response_chunk",
            "on_end"
        ]
    );
    let head = exchange.line("on_request_head");
    assert_eq!((&head["method"], &head["target"]), (&json!("POST"), &json!("/plain?a=b")));
    // As the client sent it, not as it went on.
    assert_eq!(head["headers"], json!([["host", "app"], ["x-a", "1"], ["content-length", "5"]]));
    let head = exchange.line("on_response_head");
    assert_eq!(head["status"], 201);
    assert_eq!(head["headers"], json!([["x-b", "2"], ["content-length", "2"]]));
    assert_eq!(exchange.text("on_request_chunk"), "hello");
    assert_eq!(exchange.text("on_response_chunk"), "ok");
    assert_ended(&exchange, "complete", "complete");
}

#[test]
fn a_client_that_leaves_before_the_head_ends_an_exchange_without_a_response() {
    for leave in WAYS {
        let exchange = told_of(|provider, proxy| {
            let (client, mut upstream) = asked(provider, proxy, PLAIN);
            leave(client);
            upstream.expect_end();
        });
        assert_eq!(exchange.course(), ["on_request_head", "on_request_end", "on_end"]);
        assert_ended(&exchange, "complete", "aborted");
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_upload_has_not_said_all() {
    for leave in WAYS {
        for framing in ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"]
        {
            let exchange = told_of(|provider, proxy| {
                let mut client = proxy.connect();
                client.send(format!("POST / HTTP/1.1\r\nHost: app\r\n{framing}"));
                let mut upstream = provider.accept();
                let head = upstream.head();
                if head.is_chunked() {
                    upstream.expect_in_chunks("hello")
                } else {
                    upstream.expect("hello")
                }
                leave(client);
                upstream.expect_end();
            });
            assert_eq!(exchange.text("on_request_chunk"), "hello");
            // It may still be there to read our answer, as far as anybody can know.
            assert_ne!(exchange.ended().0, "complete", "{exchange:#?}");
        }
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_stream_aborts_the_response() {
    for leave in WAYS {
        let exchange = told_of(|provider, proxy| {
            let (mut client, mut upstream) = answered(provider, proxy, GET, EVENTS);
            upstream.send_chunk("data: 1\n\n");
            client.expect_in_chunks("data: 1\n\n");
            leave(client);
            upstream.expect_end();
        });
        assert_eq!(exchange.text("on_response_chunk"), "data: 1\n\n");
        assert_ended(&exchange, "complete", "aborted");
    }
}

#[test]
fn an_upstream_that_leaves_in_the_middle_of_a_chunk_fails_the_response() {
    for leave in WAYS {
        let exchange = told_of(|provider, proxy| {
            let (mut client, mut upstream) = answered(provider, proxy, GET, EVENTS);
            upstream.send_chunk("data: 1\n\n");
            client.expect_in_chunks("data: 1\n\n");
            upstream.send("10\r\ndata:");
            client.expect_in_chunks("data:");
            leave(upstream);
            client.rest();
        });
        assert_eq!(exchange.text("on_response_chunk"), "data: 1\n\ndata:");
        assert_ended(&exchange, "complete", "failed");
    }
}

#[test]
fn both_leaving_at_once_is_one_end() {
    for leave in WAYS {
        let exchange = told_of(|provider, proxy| {
            let (mut client, mut upstream) = answered(provider, proxy, GET, EVENTS);
            upstream.send_chunk("data: 1\n\n");
            client.expect_in_chunks("data: 1\n\n");
            let other = std::thread::spawn(move || leave(upstream));
            leave(client);
            other.join().unwrap();
        });
        assert_eq!(exchange.ended().0, "complete");
        assert_ne!(exchange.ended().1, "complete");
    }
}

#[test]
fn an_upstream_that_closes_without_a_response_is_told_as_a_failure_and_our_answer() {
    let (provider, proxy, watch) = watched();
    // Not once more: what has a body is never sent twice.
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 2\r\n\r\nhi");
    let mut upstream = provider.accept();
    upstream.head();
    upstream.expect("hi");
    upstream.reset();
    let head = client.head();
    assert_eq!(head.status(), 502);
    let body = String::from_utf8(client.body(&head)).unwrap();
    let exchange = watch.stop(proxy).only();
    assert_eq!(exchange.line("on_failure")["code"], "upstream_closed");
    let told = exchange.line("on_response_head");
    assert_eq!(told["status"], 502);
    assert_eq!(exchange.text("on_response_chunk"), body);
    assert_ended(&exchange, "complete", "complete");
}

#[test]
fn an_upstream_that_refuses_is_told_as_a_failure_and_our_answer() {
    let nobody = Nobody::new();
    let watch = Watch::of(&[("witness", "")]);
    let proxy = watch.setup_to(nobody.url()).start();
    for request in [GET, "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 2\r\n\r\nhi"] {
        let mut client = proxy.connect();
        client.send(request);
        let head = client.head();
        assert_eq!(head.status(), 502);
        client.body(&head);
    }
    let told = watch.stop(proxy);
    for exchange in told.exchanges() {
        let course = exchange.course();
        let from_the_failure: Vec<_> =
            course.into_iter().skip_while(|callback| *callback != "on_failure").collect();
        assert!(
            from_the_failure.starts_with(&["on_failure", "on_response_head", "on_response_chunk"])
                || from_the_failure.contains(&"on_request_end"),
            "{exchange:#?}"
        );
        assert_eq!(exchange.line("on_failure")["code"], "upstream_connect");
        assert_eq!(exchange.line("on_response_head")["status"], 502);
        assert!(exchange.text("on_response_chunk").contains("upstream_connect"));
        assert_eq!(exchange.ended().1, "complete");
    }
    let exchanges = told.exchanges();
    assert_eq!(exchanges.len(), 2);
    assert_ended(&exchanges[0], "complete", "complete");
    // Nobody has asked for its body.
    assert_ended(&exchanges[1], "aborted", "complete");
}

#[test]
fn a_request_that_we_refuse_is_told_with_our_answer() {
    for (request, status, code) in [
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "ambiguous_request"),
        ("CONNECT app:443 HTTP/1.1\r\nHost: app:443\r\n\r\n", 405, "method_not_allowed"),
    ] {
        let exchange = told_of(|_, proxy| {
            let mut client = proxy.connect();
            client.send(request);
            let head = client.head();
            assert_eq!(head.status(), status);
            client.body(&head);
        });
        assert_eq!(exchange.line("on_failure")["code"], code);
        assert_eq!(exchange.line("on_response_head")["status"], status);
        assert_ended(&exchange, "complete", "complete");
    }
}

#[test]
fn an_upgrade_that_nobody_asked_for_is_told_as_a_failure_and_our_answer() {
    let exchange = told_of(|provider, proxy| {
        let (mut client, mut upstream) = asked(provider, proxy, GET);
        upstream.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
        let head = client.head();
        assert_eq!(head.status(), 502);
        client.body(&head);
    });
    assert_eq!(exchange.line("on_response_head")["status"], 502);
    assert!(exchange.course().contains(&"on_failure"));
    assert_ended(&exchange, "complete", "complete");
}

#[test]
fn a_request_that_goes_on_after_its_response_is_told_to_its_own_end() {
    let exchange = told_of(|provider, proxy| {
        let mut client = proxy.connect();
        client.send("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\nhello");
        let mut upstream = provider.accept();
        upstream.head();
        upstream.expect("hello");
        upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n");
        assert_eq!(client.head().status(), 200);
        client.expect_in_chunks("early");
        client.send("world");
        upstream.expect("world");
        upstream.send("0\r\n\r\n");
        assert_eq!(client.chunked().0, b"");
    });
    assert_eq!(exchange.text("on_request_chunk"), "helloworld");
    assert_eq!(
        exchange.course()[..4],
        ["on_request_head", "on_request_chunk", "on_response_head", "on_response_chunk"]
    );
    assert_ended(&exchange, "complete", "complete");
}

#[test]
fn a_body_that_breaks_its_framing_is_told_as_failed() {
    let exchange = told_of(|provider, proxy| {
        let mut client = proxy.connect();
        client.send("POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        let mut upstream = provider.accept();
        upstream.head();
        upstream.expect_in_chunks("hello");
        client.send("not a size\r\n");
        let head = client.head();
        assert_eq!(head.status(), 400);
        client.body(&head);
    });
    assert_eq!(exchange.text("on_request_chunk"), "hello");
    assert_eq!(exchange.line("on_failure")["code"], "malformed_body");
    assert_ended(&exchange, "failed", "complete");
}

#[test]
fn responses_without_a_body_are_complete() {
    for (request, response) in [
        ("HEAD / HTTP/1.1\r\nHost: app\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"),
        (PLAIN, "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nContent-Length: 10\r\n\r\n"),
        (PLAIN, "HTTP/1.1 204 No Content\r\n\r\n"),
        (PLAIN, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (PLAIN, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ] {
        let exchange = told_of(|provider, proxy| {
            let (mut client, mut upstream) = asked(provider, proxy, request);
            upstream.send(response);
            client.head();
        });
        assert_eq!(exchange.bytes("on_response_chunk"), 0);
        assert_eq!(exchange.course(), ["on_request_head", "on_request_end", "on_response_head", "on_end"]);
        assert_ended(&exchange, "complete", "complete");
    }
}

#[test]
fn a_response_that_ends_with_its_connection_is_complete() {
    let exchange = told_of(|provider, proxy| {
        let (mut client, mut upstream) = asked(provider, proxy, GET);
        upstream.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello");
        upstream.close();
        let head = client.head();
        assert_eq!(client.body(&head), b"hello");
    });
    assert_eq!(exchange.text("on_response_chunk"), "hello");
    assert_ended(&exchange, "complete", "complete");
}

#[test]
fn interim_responses_are_not_responses() {
    let exchange = told_of(|provider, proxy| {
        let (mut client, mut upstream) = asked(provider, proxy, GET);
        upstream.send(format!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{OK}"));
        while client.head().status() != 200 {}
        client.expect("ok");
    });
    assert_eq!(exchange.line("on_response_head")["status"], 200);
    assert_ended(&exchange, "complete", "complete");
}

#[test]
fn pipelined_requests_are_exchanges_of_their_own() {
    let (provider, proxy, watch) = watched();
    let mut client = proxy.connect();
    let count = 5;
    let requests: Vec<_> = (0..count).map(|n| GET.replace("models", &n.to_string())).collect();
    client.send(requests.concat());
    let mut upstream = provider.accept();
    for _ in 0..count {
        upstream.head();
        upstream.send(OK);
        assert_eq!(client.head().status(), 200);
        client.expect("ok");
    }
    let exchanges = watch.stop(proxy).exchanges();
    assert_eq!(exchanges.len(), count);
    for (number, exchange) in exchanges.iter().enumerate() {
        assert_eq!(exchange.line("on_request_head")["target"], format!("/v1/{number}"));
        assert_eq!(exchange.text("on_response_chunk"), "ok");
        assert_ended(exchange, "complete", "complete");
    }
}

#[test]
fn a_response_that_is_over_before_its_request_ends_an_exchange_that_was_not_wanted_whole() {
    let exchange = told_of(|provider, proxy| {
        let mut client = proxy.connect();
        client.send("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\nhello");
        let mut upstream = provider.accept();
        upstream.head();
        upstream.expect("hello");
        upstream.send("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno");
        upstream.close();
        assert_eq!(client.head().status(), 413);
        client.expect("no");
        client.close();
    });
    assert_eq!(exchange.text("on_request_chunk"), "hello");
    assert_eq!(exchange.text("on_response_chunk"), "no");
    assert_eq!(exchange.line("on_response_head")["status"], 413);
    assert_eq!(exchange.ended().1, "complete");
    assert_ne!(exchange.ended().0, "complete", "{exchange:#?}");
}

#[test]
fn a_body_that_was_held_back_and_not_wanted_is_aborted() {
    let exchange = told_of(|provider, proxy| {
        let mut client = proxy.connect();
        client.send("POST / HTTP/1.1\r\nHost: app\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n");
        let mut upstream = provider.accept();
        upstream.head();
        upstream.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno");
        assert_eq!(client.head().status(), 417);
        client.expect("no");
        client.close();
    });
    assert_eq!(exchange.bytes("on_request_chunk"), 0);
    assert_ended(&exchange, "aborted", "complete");
}

#[test]
fn a_body_that_was_held_back_and_then_wanted_is_told_whole() {
    let exchange = told_of(|provider, proxy| {
        let mut client = proxy.connect();
        client.send("POST / HTTP/1.1\r\nHost: app\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
        let mut upstream = provider.accept();
        upstream.head();
        upstream.send("HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(client.head().status(), 100);
        client.send("hello");
        upstream.expect("hello");
        upstream.send(OK);
        assert_eq!(client.head().status(), 200);
        client.expect("ok");
    });
    assert_eq!(exchange.text("on_request_chunk"), "hello");
    assert_eq!(exchange.line("on_response_head")["status"], 200);
    assert_ended(&exchange, "complete", "complete");
}

const GIB: u64 = 1 << 30;

#[test]
fn an_upload_of_a_gibibyte_ends_once_and_nobody_holds_it() {
    let provider = Provider::start();
    let watch = Watch::of(&[("witness", "texts: false")]);
    let proxy = watch.setup(&provider).yaml("observe: {memory: 32MiB}").start();
    let before = proxy.peak_memory();
    let mut client = proxy.connect();
    client.send(format!("POST /plain HTTP/1.1\r\nHost: app\r\nContent-Length: {GIB}\r\n\r\n"));
    let mut upstream = provider.accept();
    upstream.head();
    std::thread::scope(|scope| {
        scope.spawn(|| pattern::send(&mut client, GIB));
        pattern::expect(&mut upstream, GIB);
    });
    upstream.send(OK);
    assert_eq!(client.head().status(), 200);
    client.expect("ok");
    watch.wait(0, |told| told.ends() > 0);
    let growth = proxy.peak_memory().saturating_sub(before);
    // A large chunk keeps the buffer that it was read into, which may be twice as large.
    assert!(growth < (2 * 32 + 32) << 20, "the proxy grew by {growth} bytes");
    let exchange = watch.stop(proxy).only();
    assert_eq!(exchange.bytes("on_request_chunk") + exchange.unseen().0, GIB);
    // Whoever could not keep up with the upload is not told of the answer either.
    assert_eq!(exchange.bytes("on_response_chunk") + exchange.unseen().1, 2);
    assert_eq!(exchange.ended(), (&json!("complete"), &json!("complete")));
}

#[test]
fn an_exchange_that_finishes_within_the_drain_is_told_whole() {
    let (provider, mut proxy, watch) = watched();
    let (mut client, mut upstream) = answered(&provider, &proxy, GET, EVENTS);
    proxy.signal(Signal::TERM);
    proxy.wait_until_it_stops_accepting();
    upstream.send_chunk("last words");
    upstream.send("0\r\n\r\n");
    client.expect_in_chunks("last words");
    assert_eq!(proxy.exit().code, Some(0));
    let exchange = watch.after(0).only();
    assert_eq!(exchange.text("on_response_chunk"), "last words");
    assert_ended(&exchange, "complete", "complete");
}

#[test]
fn an_exchange_that_is_cut_off_at_the_end_of_the_drain_says_so() {
    let provider = Provider::start();
    let watch = Watch::of(&[("witness", "")]);
    let mut proxy = watch.setup(&provider).yaml("server: {drain: 300ms}").start();
    let (mut streaming, mut upstream) = answered(&provider, &proxy, GET, EVENTS);
    upstream.send_chunk("hello");
    streaming.expect_in_chunks("hello");
    let (_waiting, _upstream) = asked(&provider, &proxy, GET);
    let mut uploading = proxy.connect();
    uploading.send("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\nhello");
    let mut third = provider.accept();
    third.head();
    third.expect("hello");
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.exit().code, Some(0));
    let exchanges = watch.after(0).exchanges();
    assert_eq!(exchanges.len(), 3);
    assert_eq!(exchanges[0].text("on_response_chunk"), "hello");
    // Neither the client nor the provider is to blame.
    let stopped = &json!("stopped");
    assert_eq!(exchanges[0].ended(), (&json!("complete"), stopped));
    assert_eq!(exchanges[1].ended(), (&json!("complete"), stopped));
    assert_eq!(exchanges[2].text("on_request_chunk"), "hello");
    assert_eq!(exchanges[2].ended(), (stopped, stopped));
}

#[test]
fn a_second_signal_does_not_wait_for_anybody_who_watches() {
    let provider = Provider::start();
    let watch = Watch::of(&[("witness", "")]);
    let mut proxy = watch.setup(&provider).yaml("server: {drain: 10m, flush: 10m}").start();
    let (_client, _upstream) = answered(&provider, &proxy, GET, EVENTS);
    proxy.signal(Signal::TERM);
    proxy.wait_until_it_stops_accepting();
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.exit().code, Some(1));
}

#[test]
fn a_second_signal_does_not_wait_for_one_that_is_blocked() {
    let gate = Gate::new();
    let provider = Provider::start();
    let watch = Watch::of(&[("blocked", &format!("at: on_end, {}", gate.settings()))]);
    let mut proxy = watch.setup(&provider).yaml("server: {flush: 10m}").start();
    super::exchange(&provider, &proxy);
    let _held = gate.blocked();
    proxy.signal(Signal::TERM);
    proxy.wait_until_it_stops_accepting();
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.exit().code, Some(1));
}
