//! What is told is what passed: every byte, in order, whatever the framing and wherever it is cut.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use crate::support::{GET, Provider, Watch, Wire, asked, latin1, pattern, watched};

/// A body: its chunks, or its length and the writes it comes in.
#[derive(Clone, Debug)]
struct Body {
    chunked: bool,
    pieces: Vec<usize>,
    trailers: bool,
}

impl Body {
    fn head(&self) -> String {
        match self.chunked {
            true => "Transfer-Encoding: chunked\r\n\r\n".to_owned(),
            false => format!("Content-Length: {}\r\n\r\n", self.pieces.iter().sum::<usize>()),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        pattern::bytes(self.pieces.iter().sum())
    }

    fn send(&self, wire: &mut Wire) {
        let bytes = self.bytes();
        let mut rest = &bytes[..];
        for piece in &self.pieces {
            let (now, later) = rest.split_at(*piece);
            if self.chunked {
                wire.send_chunk(now)
            } else {
                wire.send(now)
            }
            rest = later;
        }
        if self.chunked {
            wire.send(if self.trailers { "0\r\nX-Sum: 7\r\n\r\n" } else { "0\r\n\r\n" });
        }
    }

    /// How its end is told.
    fn end(&self) -> serde_json::Value {
        match self.chunked && self.trailers {
            true => json!({"complete": [["x-sum", "7"]]}),
            false => json!("complete"),
        }
    }
}

fn bodies() -> impl Strategy<Value = Body> {
    let piece =
        prop_oneof![4 => 1..100_usize, 3 => 100..6_000_usize, 2 => 6_000..70_000_usize, 1 => Just(300_000)];
    (any::<bool>(), prop::collection::vec(piece, 0..12), any::<bool>())
        .prop_map(|(chunked, pieces, trailers)| Body { chunked, pieces, trailers })
}

#[test]
fn the_bytes_told_are_the_bytes_that_passed() {
    let (provider, proxy, watch) = watched();
    // Fewer and larger: each is a whole exchange.
    let mut runner = TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
    let result = runner.run(&(bodies(), bodies()), |(request, response)| {
        let mut client = proxy.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: app\r\n{}", request.head()));
        let mut upstream = provider.accept();
        let mut writer = client.writer();
        std::thread::scope(|scope| {
            scope.spawn(|| request.send(&mut writer));
            let head = upstream.head();
            assert!(upstream.body(&head) == request.bytes());
        });
        let mut writer = upstream.writer();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                writer.send(format!("HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\n{}", response.head()));
                response.send(&mut writer);
            });
            let head = client.head();
            assert!(client.body(&head) == response.bytes());
        });
        client.close();
        upstream.close();
        // The machine is shared: it may be a while until the last of them is told.
        let told = watch.wait(0, |told| told.ends() == 1);
        watch.go_on();
        let exchange = told.only();
        prop_assert!(exchange.text("on_request_chunk") == latin1(request.bytes()));
        prop_assert!(exchange.text("on_response_chunk") == latin1(response.bytes()));
        prop_assert_eq!(exchange.ended(), (&request.end(), &response.end()));
        prop_assert_eq!(exchange.unseen(), (0, 0));
        Ok(())
    });
    result.unwrap();
    watch.stop(proxy);
}

#[test]
fn whoever_wants_no_chunks_is_told_heads_and_ends_alone() {
    let provider = Provider::start();
    let watch = Watch::of(&[("witness", "chunks: false, llm: false")]);
    let proxy = watch.setup(&provider).start();
    let request = "POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n\
        5\r\nhello\r\n0\r\nX-A: 1\r\n\r\n";
    let (mut client, mut upstream) = asked(&provider, &proxy, request);
    upstream.chunked();
    upstream.send(super::EVENTS.replace("Content-Type", "Connection: close\r\nContent-Type"));
    client.head();
    upstream.send_chunk("hello");
    client.expect_in_chunks("hello");
    upstream.send("0\r\n\r\n");
    assert_eq!(client.chunked().0, b"");
    let (mut client, mut upstream) = asked(&provider, &proxy, GET);
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    client.head();
    client.expect("hello");
    upstream.close();
    client.rest();
    let (mut client, mut upstream) = super::tunnels::tunnel(&provider, &proxy);
    client.send("ping");
    upstream.expect("ping");
    client.close();
    upstream.expect_end();
    upstream.close();
    watch.wait(0, |told| told.ends() == 3);
    let exchanges = watch.stop(proxy).exchanges();
    let course = ["on_request_head", "on_request_end", "on_response_head", "on_end"];
    assert_eq!([exchanges[0].course(), exchanges[1].course()], [course; 2]);
    assert_eq!(exchanges[0].ended(), (&json!({"complete": [["x-a", "1"]]}), &json!("complete")));
    assert_eq!(exchanges[1].ended().0, "complete");
    assert!(exchanges[1].ended().1.get("failed").is_some(), "{:#?}", exchanges[1]);
    assert_eq!(exchanges[2].course(), ["on_request_head", "on_response_head", "on_upgrade", "on_end"]);
    assert_eq!(exchanges[2].ended(), (&json!("complete"), &json!("complete")));
    assert!(exchanges.iter().all(|exchange| exchange.unseen() == (0, 0)));
}
