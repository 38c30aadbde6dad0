//! Whatever a message is made of, and however it is cut on its way, it arrives equal: heads, bodies and framing, in
//! both directions. Only what the other modules name as taken off or added is left out here.

use std::ops::Range;
use std::thread;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::{Head, Provider, Proxy, Wire};

/// A message as one side says it.
#[derive(Clone, Debug)]
struct Message {
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    framing: Framing,
    /// Where the bytes on the wire are cut, as shares of them all.
    cuts: Vec<f64>,
}

#[derive(Clone, Debug)]
enum Framing {
    Sized,
    /// With chunks of these sizes, over and over.
    Chunked(Vec<usize>),
}

impl Message {
    /// All its bytes, after that first line.
    fn bytes(&self, first_line: &str) -> Vec<u8> {
        let mut bytes = format!("{first_line}\r\n").into_bytes();
        for (name, value) in &self.fields {
            bytes.extend(name.as_bytes());
            bytes.extend(b": ");
            bytes.extend(value);
            bytes.extend(b"\r\n");
        }
        match &self.framing {
            Framing::Sized => {
                bytes.extend(format!("Content-Length: {}\r\n\r\n", self.body.len()).bytes());
                bytes.extend(&self.body);
            }
            Framing::Chunked(sizes) => {
                bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                for chunk in cut_in_turn(&self.body, sizes) {
                    bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                    bytes.extend(chunk);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\n\r\n");
            }
        }
        bytes
    }

    /// Sends it in its pieces.
    fn send(&self, wire: &mut Wire, first_line: &str) {
        let bytes = self.bytes(first_line);
        let mut cuts: Vec<usize> =
            self.cuts.iter().map(|share| (share * bytes.len() as f64) as usize).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        for piece in cuts.windows(2) {
            wire.send(&bytes[piece[0]..piece[1]]);
        }
    }

    /// Checks that this is what arrived.
    fn check(&self, head: &Head, body: &[u8], which: &str) {
        let framing = match self.framing {
            Framing::Sized => format!("Content-Length: {}", self.body.len()),
            Framing::Chunked(_) => "Transfer-Encoding: chunked".to_owned(),
        };
        let expected: Vec<String> = self
            .fields
            .iter()
            .map(|(name, value)| format!("{name}: {}", crate::support::latin1(value)))
            .collect();
        let is_framing = |name: &str| {
            name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
        };
        let (framings, fields): (Vec<_>, Vec<_>) = head
            .fields()
            .into_iter()
            .filter(|(name, _)| *name != "Host")
            .partition(|(name, _)| is_framing(name));
        let line = |(name, value): (&str, &str)| format!("{name}: {value}");
        assert_eq!(fields.into_iter().map(line).collect::<Vec<_>>(), expected, "the fields of the {which}");
        let framings: Vec<_> = framings.into_iter().map(|field| line(field).to_lowercase()).collect();
        assert_eq!(framings, [framing.to_lowercase()], "the framing of the {which}");
        assert!(body == self.body, "the body of the {which}");
    }
}

/// The pieces of `body` by sizes that are used in turn.
fn cut_in_turn<'a>(body: &'a [u8], sizes: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut sizes = sizes.iter().cycle();
    let mut rest = body;
    std::iter::from_fn(move || {
        let size = (*sizes.next()?).min(rest.len());
        let (chunk, after) = rest.split_at(size);
        rest = after;
        (!chunk.is_empty()).then_some(chunk)
    })
}

fn name() -> impl Strategy<Value = String> {
    // Few letters, so that names meet again in another case; none of those that mean something on the way.
    "[Xx]-[aAbB1_.]{1,3}"
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let inner = prop_oneof![4 => 0x21_u8..=0x7e, 1 => 0x80_u8..=0xff, 1 => Just(b' '), 1 => Just(b'\t')];
    proptest::collection::vec(inner, 0..60).prop_map(|bytes| bytes.trim_ascii().to_vec())
}

fn framing() -> impl Strategy<Value = Framing> {
    prop_oneof![
        Just(Framing::Sized),
        proptest::collection::vec(1_usize..5000, 1..5).prop_map(Framing::Chunked),
    ]
}

fn body(size: Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(Vec::new()), proptest::collection::vec(any::<u8>(), size)]
}

fn message() -> impl Strategy<Value = Message> {
    let fields = proptest::collection::vec((name(), value()), 0..12);
    let cuts = proptest::collection::vec(0.0..1.0, 0..8);
    (fields, body(1..40_000), framing(), cuts).prop_map(|(fields, body, framing, cuts)| Message {
        fields,
        body,
        framing,
        cuts,
    })
}

fn target() -> impl Strategy<Value = String> {
    r"(/[a-zA-Z0-9%._~!$&'()*+,;=:@{}|^-]{0,8}){1,4}(\?[a-zA-Z0-9%._~!$&'()*+,;=:@/?{}|^`-]{0,20})?"
}

#[test]
fn any_message_arrives_equal_however_it_is_cut() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).start();
    let config = ProptestConfig {
        cases: 64,
        failure_persistence: None,
        max_shrink_time: 60_000,
        ..ProptestConfig::default()
    };
    let exchange = (target(), message(), message());
    let result = TestRunner::new(config).run(&exchange, |(target, request, response)| {
        let mut client = proxy.connect();
        thread::scope(|scope| {
            let sender = scope.spawn(|| {
                request.send(&mut client, &format!("POST {target} HTTP/1.1\r\nHost: app"));
                let head = client.head();
                let body = client.body(&head);
                (head, body)
            });
            let mut upstream = provider.accept();
            let head = upstream.head();
            let body = upstream.body(&head);
            assert_eq!(head.first_line(), format!("POST {target} HTTP/1.1"));
            request.check(&head, &body, "request");
            response.send(&mut upstream, "HTTP/1.1 200 As You Like");
            let (head, body) = sender.join().unwrap();
            assert_eq!(head.first_line(), "HTTP/1.1 200 As You Like");
            response.check(&head, &body, "response");
            upstream.close();
        });
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn any_messages_on_one_connection_stay_apart() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).start();
    let config = ProptestConfig {
        cases: 16,
        failure_persistence: None,
        max_shrink_time: 60_000,
        ..ProptestConfig::default()
    };
    let exchanges = proptest::collection::vec((target(), message(), message()), 2..5);
    let result = TestRunner::new(config).run(&exchanges, |exchanges| {
        let mut client = proxy.connect();
        let mut writer = client.writer();
        thread::scope(|scope| {
            // All requests at once, one behind the other.
            scope.spawn(|| {
                for (target, request, _) in &exchanges {
                    request.send(&mut writer, &format!("POST {target} HTTP/1.1\r\nHost: app"));
                }
            });
            let mut upstream = provider.accept();
            for (target, request, response) in &exchanges {
                let head = upstream.head();
                let body = upstream.body(&head);
                assert_eq!(head.first_line(), format!("POST {target} HTTP/1.1"));
                request.check(&head, &body, "request");
                response.send(&mut upstream, "HTTP/1.1 200 As You Like");
                let head = client.head();
                let body = client.body(&head);
                response.check(&head, &body, "response");
            }
            upstream.close();
        });
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
