//! Fuzz targets: every reader of foreign bytes, given any bytes, in pieces of any size.
//!
//! Each runs for a moment with every `cargo test`. For hours of it, with coverage to guide it (this needs cargo-bolero
//! and what it installs): `cargo bolero test -p perimeter fuzz::server_sent_events`. What it finds goes into
//! `src/__fuzz__/`, and is played again by every `cargo test` from then on.

use std::time::Duration;

use bolero::check;
use bytes::Bytes;
use perimeter_interceptor::{CallId, LlmEvent, Peer};

use crate::dialect::{Asked, Conversation, Form, Heading, Histories, Prompt, Reader, request_of};
use crate::scribe::decode::Decoder;
use crate::scribe::events::Events;
use crate::scribe::sse::Read;
use crate::scribe::websocket::{MessageReader, agreed};

/// For so long each runs with the other tests.
const MOMENT: Duration = Duration::from_millis(300);

/// What a reader is allowed to hold.
const LIMIT: usize = 4096;

/// How large the pieces are in which the rest comes: the first byte says it.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (size, rest) =
        bytes.split_first().map_or((1, bytes), |(size, rest)| (usize::from(*size).max(1), rest));
    rest.chunks(size)
}

fn events(bytes: &[u8], mut events: Events) {
    let mut told = 0;
    let mut tell = |read: Read<'_>| {
        if let Read::Event(event) = read {
            told += event.data.len();
        }
    };
    for piece in pieces(bytes) {
        events.feed(piece, &mut tell);
        assert!(events.held() <= 3 * LIMIT + 1024, "{} bytes are held", events.held());
    }
    events.finish(&mut tell);
    assert!(told <= bytes.len());
}

fn call(bytes: &[u8]) {
    let Some(([target, form, status], bytes)) = bytes.split_first_chunk() else { return };
    let targets = crate::dialect::golden::DIALECTS;
    let (_, target) = targets[usize::from(*target) % targets.len()];
    let head = crate::dialect::golden::request_head(&format!("POST {target}"));
    let asked = Asked::of(&head).unwrap();
    asked.read_request(CallId(0), None, bytes, true);
    let form = [Form::Events, Form::Frames, Form::Whole, Form::Unknown][usize::from(*form) % 4];
    let mut reader = asked.reader(CallId(0), u16::from(*status) * 2, form, LIMIT);
    let mut ends = 0;
    let mut tell = |event: LlmEvent| {
        ends += u32::from(matches!(event, LlmEvent::Completion(_) | LlmEvent::Failure(_)));
    };
    for piece in pieces(bytes) {
        reader.read(piece, &mut tell);
    }
    reader.finish(true, &mut tell);
    assert!(ends <= 1);
}

#[test]
fn server_sent_events() {
    check!().with_test_time(MOMENT).for_each(|bytes: &[u8]| events(bytes, Events::sse(LIMIT)));
}

#[test]
fn frames() {
    check!().with_test_time(MOMENT).for_each(|bytes: &[u8]| events(bytes, Events::frames(LIMIT)));
}

#[test]
fn list() {
    check!().with_test_time(MOMENT).for_each(|bytes: &[u8]| events(bytes, Events::list(LIMIT)));
}

#[test]
fn calls_of_every_dialect() {
    check!().with_test_time(MOMENT).for_each(call);
}

/// Each line is a message; each request holds those up to its own, or up to it without the one before. What is told
/// of it is the end of what a reading of all of it tells, behind the system prompt.
fn history(bytes: &[u8]) {
    let Some((target, bytes)) = bytes.split_first() else { return };
    let targets = crate::dialect::golden::DIALECTS;
    let (_, target) = targets[usize::from(*target) % targets.len()];
    let head = crate::dialect::golden::request_head(&format!("POST {target}"));
    let asked = Asked::of(&head).unwrap();
    let mut histories = Histories::default();
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').take(32).collect();
    for end in 0..=lines.len() {
        let mut messages = lines[..end].to_vec();
        if end % 4 == 3 {
            messages.remove(end - 2);
        }
        let list = messages.join(&b","[..]);
        let body = ["messages", "input", "contents"]
            .map(|name| [b"\"", name.as_bytes(), b"\":[", &list, b"]"].concat());
        let body = [b"{", &*body.join(&b","[..]), b"}"].concat();
        for body in [&*body, lines.get(end).copied().unwrap_or_default()] {
            let full = asked.read_request(CallId(0), None, body, true);
            let news = histories.read(&asked, CallId(0), None, body, true);
            assert_eq!((&news.prompt.model, news.prompt.partial), (&full.model, full.partial));
            assert_eq!(news.prompt.names, full.names);
            assert!(news.passed + news.prompt.turns.len() <= full.turns.len());
            assert!(full.turns.ends_with(&news.prompt.turns));
            assert!(histories.weight() <= 64 * 1024 + 64 * bytes.len());
        }
    }
}

#[test]
fn histories() {
    check!().with_test_time(MOMENT).for_each(history);
}

#[test]
fn content_codings() {
    check!().with_test_time(MOMENT).for_each(|bytes: &[u8]| {
        for coding in ["gzip", "deflate", "br", "zstd", "gzip, br"] {
            let decoder = Decoder::of(std::iter::once(coding.as_bytes()), LIMIT).unwrap();
            let mut decoder = decoder.unwrap();
            let mut out = 0;
            for piece in pieces(bytes) {
                if decoder.decode(piece, &mut |piece| out += piece.len()).is_err() {
                    break;
                }
            }
            assert!(out <= LIMIT + 64 * bytes.len() + 64 * 1024);
        }
    });
}

#[test]
fn websockets() {
    check!().with_test_time(MOMENT).for_each(|bytes: &[u8]| {
        for extensions in ["", "permessage-deflate", "permessage-deflate; client_no_context_takeover"] {
            let deflate = agreed([extensions.as_bytes()].into_iter(), Peer::Client).unwrap();
            let mut reader = MessageReader::new(LIMIT, deflate);
            for piece in pieces(bytes) {
                reader.feed(piece, &mut |message| assert!(message.data.len() <= LIMIT));
                assert!(reader.held() <= LIMIT + 64 * 1024);
            }
        }
    });
}

/// Each line is a message, of the client and of the provider.
#[test]
fn messages_of_sockets() {
    check!().with_test_time(MOMENT).for_each(|bytes: &[u8]| {
        for target in ["/v1/responses", "/v1/realtime"] {
            let head = crate::dialect::golden::request_head(&format!("GET {target}"));
            let asked = Asked::of_socket(&head).unwrap();
            let mut reader = Reader::of_messages(&asked, CallId(0), LIMIT);
            let mut conversation = Conversation::new(LIMIT);
            for line in bytes.split(|byte| *byte == b'\n') {
                let heading = Heading::of(line);
                conversation.add(heading.kind(), line, true);
                assert!(conversation.held() <= 64 * LIMIT);
                reader.message(line, &mut |_| {});
                let body = request_of(&Bytes::copy_from_slice(line));
                asked.read_request(CallId(0), None, &body, true);
            }
            conversation.begin(CallId(0), &mut Prompt::default());
            reader.finish(false, &mut |_| {});
        }
    });
}
