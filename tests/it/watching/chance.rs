//! Exchanges that go on and break off as chance has it: what the other end got was told before, and only what was said.

use serde_json::json;

use super::EVENTS;
use crate::support::{Provider, Proxy, Wire, latin1, pattern, watched};

const STORIES: u64 = 300;

/// Two of them are calls, of which nothing can be read.
const TARGETS: [&str; 3] = ["/", "/v1/chat/completions", "/v1/messages"];

const CODINGS: [&str; 4] = ["", "", "Content-Encoding: gzip\r\n", "Content-Encoding: br\r\n"];

/// The same throws for the same story, everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn piece(&mut self) -> Vec<u8> {
        let size = [1, 100, 5_000, 40_000][self.below(4) as usize];
        pattern::bytes(1 + self.below(size) as usize)
    }
}

/// What one side said, and how much of it the other has got.
#[derive(Default)]
struct Side {
    said: Vec<u8>,
    got: usize,
    ended: bool,
}

impl Side {
    /// Says a piece, and lets the other end read it.
    fn pass(&mut self, piece: &[u8], from: &mut Wire, to: &mut Wire) {
        from.send_chunk(piece);
        to.expect_in_chunks(piece);
        self.said.extend(piece);
        self.got = self.said.len();
    }

    /// Says a piece, and nobody knows how far it gets.
    fn say(&mut self, piece: &[u8], from: &mut Wire) {
        let framed = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        // The other side may be gone already.
        let _ = from.try_send(framed);
        self.said.extend(piece);
    }

    fn end(&mut self, from: &mut Wire, to: &mut Wire) {
        from.send("0\r\n\r\n");
        to.chunked();
        self.ended = true;
    }
}

struct Story {
    request: Side,
    response: Side,
    answered: bool,
}

impl Story {
    fn play(dice: &mut Dice, provider: &Provider, proxy: &Proxy) -> Self {
        let (request, response) = (Side::default(), Side::default());
        let mut story = Self { request, response, answered: false };
        let mut client = proxy.connect();
        let (target, coding) = (TARGETS[dice.below(3) as usize], CODINGS[dice.below(4) as usize]);
        client.send(format!(
            "POST {target} HTTP/1.1\r\nHost: app\r\n{coding}Transfer-Encoding: chunked\r\n\r\n"
        ));
        let mut upstream = provider.accept();
        upstream.head();
        for _ in 0..dice.below(8) {
            match dice.below(4) {
                0 if !story.request.ended => story.request.pass(&dice.piece(), &mut client, &mut upstream),
                1 if story.answered => story.response.pass(&dice.piece(), &mut upstream, &mut client),
                2 if !story.request.ended && dice.below(3) == 0 => {
                    story.request.end(&mut client, &mut upstream)
                }
                3 if !story.answered => {
                    let coding = CODINGS[dice.below(4) as usize];
                    let more = format!("Connection: close\r\n{coding}Content-Type");
                    upstream.send(EVENTS.replace("Content-Type", &more));
                    client.head();
                    story.answered = true;
                }
                _ => {}
            }
        }
        story.end(dice, client, upstream);
        story
    }

    fn end(&mut self, dice: &mut Dice, mut client: Wire, mut upstream: Wire) {
        let leave = [Wire::close as fn(Wire), Wire::reset][dice.below(2) as usize];
        if dice.below(2) == 0 && !self.request.ended {
            self.request.say(&dice.piece(), &mut client);
        }
        if dice.below(2) == 0 && self.answered {
            self.response.say(&dice.piece(), &mut upstream);
        }
        match dice.below(4) {
            0 => {
                leave(client);
                drop(upstream.rest());
            }
            1 => {
                leave(upstream);
                if self.answered {
                    drop(client.rest());
                } else {
                    let head = client.head();
                    assert_eq!(head.status(), 502);
                    client.body(&head);
                }
            }
            2 => {
                leave(client);
                leave(upstream);
            }
            _ => {
                leave(upstream);
                leave(client);
            }
        }
    }
}

#[test]
fn whatever_happens_all_that_came_through_was_told_and_nothing_else() {
    let (provider, proxy, watch) = watched();
    let stories: Vec<_> = (0..STORIES).map(|seed| Story::play(&mut Dice(seed), &provider, &proxy)).collect();
    watch.wait(0, |told| told.ends() == stories.len());
    // Nothing is held for what is over, and none of it was too much for us.
    proxy.wait_for_metric("perimeter_observe_memory_bytes", 0.0);
    assert_eq!(proxy.metric("perimeter_scribe_panics_total"), 0.0);
    assert_eq!(proxy.metric("perimeter_interceptor_errors_total{interceptor=\"witness\"}"), 0.0);
    let exchanges = watch.stop(proxy).exchanges();
    assert_eq!(exchanges.len(), stories.len());
    for (seed, (exchange, story)) in exchanges.iter().zip(&stories).enumerate() {
        let mut sides = vec![("on_request_chunk", &story.request, exchange.ended().0)];
        if story.answered {
            sides.push(("on_response_chunk", &story.response, exchange.ended().1));
        }
        for (callback, side, end) in sides {
            let (told, said) = (exchange.text(callback), latin1(&side.said));
            assert!(said.starts_with(&told), "story {seed}, {callback}: told what nobody said");
            let bytes = exchange.bytes(callback) as usize;
            assert!(
                bytes >= side.got,
                "story {seed}, {callback}: {bytes} told, and {} came through",
                side.got
            );
            assert_eq!(*end == "complete", side.ended, "story {seed}, {callback}: {end}");
        }
        assert_eq!(exchange.unseen(), (0, 0), "story {seed}");
        assert_eq!(exchange.line("on_end")["unseen"], json!([0, 0]));
    }
}
