use flate2::{Compress, Compression, FlushCompress};
use perimeter_interceptor::Peer;
use proptest::collection::vec;
use proptest::prelude::*;

use super::deflate::{TAIL, UnknownExtension};
use super::*;

const LIMIT: usize = 1 << 20;

fn by_default(from: Peer) -> Option<Deflate> {
    agreed([&b"permessage-deflate"[..]].into_iter(), from).unwrap()
}

fn read(reader: &mut MessageReader, pieces: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
    let mut messages = Vec::new();
    for piece in pieces {
        reader.feed(piece, &mut |message| messages.push((message.data.to_vec(), message.whole)));
    }
    messages
}

/// A frame, as the standard's drawing has it.
fn framed(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    let bit = if mask.is_some() { 0x80 } else { 0 };
    match payload.len() {
        short @ 0..=125 => frame.push(bit | short as u8),
        medium @ 126..=65535 => {
            frame.push(bit | 126);
            frame.extend((medium as u16).to_be_bytes());
        }
        long => {
            frame.push(bit | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend(mask.unwrap_or_default().iter().take(if mask.is_some() { 4 } else { 0 }));
    let key = mask.unwrap_or_default();
    frame.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]));
    frame
}

/// Compresses messages as a sender does.
struct Sender {
    state: Compress,
    takes_over: bool,
}

impl Sender {
    fn new(takes_over: bool) -> Self {
        Self { state: Compress::new(Compression::default(), false), takes_over }
    }

    fn compress(&mut self, message: &[u8]) -> Vec<u8> {
        if !self.takes_over {
            self.state = Compress::new(Compression::default(), false);
        }
        if message.is_empty() {
            // An empty block (RFC 7692 section 7.2.3.6).
            return vec![0];
        }
        let mut out = Vec::with_capacity(message.len() + 1024);
        self.state.compress_vec(message, &mut out, FlushCompress::Sync).unwrap();
        assert!(out.ends_with(TAIL), "{out:?}");
        out.truncate(out.len() - TAIL.len());
        out
    }
}

#[derive(Clone, Debug)]
struct Said {
    message: Vec<u8>,
    compressed: bool,
    mask: Option<[u8; 4]>,
    /// How many bytes each fragment takes; the last takes the rest.
    fragments: Vec<usize>,
    /// What comes between the fragments.
    pings: bool,
}

fn said() -> impl Strategy<Value = Said> {
    let message = prop_oneof![
        4 => vec(any::<u8>(), 0..300),
        1 => (65_000_usize..70_000).prop_map(|length| b"ab".repeat(length / 2)),
        4 => Just(br#"{"type":"response.output_text.delta","delta":"Hello"}"#.to_vec()),
    ];
    let mask = proptest::option::of(any::<[u8; 4]>());
    (message, any::<bool>(), mask, vec(0_usize..200, 0..4), any::<bool>()).prop_map(
        |(message, compressed, mask, fragments, pings)| Said { message, compressed, mask, fragments, pings },
    )
}

fn encode(all: &[Said], takes_over: bool) -> Vec<u8> {
    let mut sender = Sender::new(takes_over);
    let mut out = Vec::new();
    for said in all {
        let payload = if said.compressed { sender.compress(&said.message) } else { said.message.clone() };
        let mut rest = &payload[..];
        let mut first = 1 | if said.compressed { 0x40 } else { 0 };
        for fragment in &said.fragments {
            let (now, later) = rest.split_at(rest.len().min(*fragment));
            rest = later;
            out.extend(framed(first, said.mask, now));
            first = 0;
            if said.pings {
                out.extend(framed(0x89, said.mask, b"are you there?"));
                out.extend(framed(0x8a, None, b""));
            }
        }
        out.extend(framed(first | 0x80, said.mask, rest));
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_said_is_read_wherever_it_is_cut(
        all in vec(said(), 0..6),
        takes_over in any::<bool>(),
        cuts in vec(1_usize..2000, 1..20),
    ) {
        let bytes = encode(&all, takes_over);
        let deflate = Deflate::new(takes_over);
        let mut pieces = Vec::new();
        let (mut rest, mut cuts) = (&bytes[..], cuts.into_iter().cycle());
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            pieces.push(piece);
            rest = later;
        }
        let expected: Vec<_> = all.iter().map(|said| (said.message.clone(), true)).collect();
        prop_assert_eq!(&read(&mut MessageReader::new(LIMIT, Some(deflate)), &pieces), &expected);
        prop_assert_eq!(&read(&mut MessageReader::new(LIMIT, Some(deflate)), &[&bytes]), &expected);
    }

    #[test]
    fn any_bytes_are_read_without_panic_and_within_bounds(
        bytes in vec(prop_oneof![any::<u8>(), Just(0xc1), Just(0x81), Just(0), Just(2)], 0..2000),
        cut in 1_usize..100,
        takes_over in any::<bool>(),
    ) {
        let limit = 512;
        for deflate in [None, Some(Deflate::new(takes_over))] {
            let mut reader = MessageReader::new(limit, deflate);
            for piece in bytes.chunks(cut) {
                reader.feed(piece, &mut |message| assert!(message.data.len() <= limit));
                prop_assert!(reader.held() <= limit + 48 * 1024);
            }
        }
    }
}

#[test]
fn a_message_beyond_the_limit_is_told_as_cut_and_those_behind_it_whole() {
    for compressed in [false, true] {
        let said = |message: &[u8]| Said {
            message: message.to_vec(),
            compressed,
            mask: Some([1, 2, 3, 4]),
            fragments: vec![50, 50],
            pings: true,
        };
        let bytes = encode(&[said(b"a"), said(&[b'x'; 300]), said(b"b")], true);
        let mut reader = MessageReader::new(200, by_default(Peer::Client));
        let whole = |text: &str| (text.as_bytes().to_vec(), true);
        assert_eq!(read(&mut reader, &[&bytes]), [whole("a"), (vec![b'x'; 200], false), whole("b")]);
    }
}

#[test]
fn a_long_socket_is_read_to_its_end_whatever_the_limit() {
    let message = br#"{"type":"response.output_text.delta","delta":"Hello there, how are you"}"#;
    let mut sender = Sender::new(true);
    let mut reader = MessageReader::new(1000, by_default(Peer::Upstream));
    for _ in 0..20_000 {
        let frame = framed(0xc1, None, &sender.compress(message));
        assert_eq!(read(&mut reader, &[&frame]), [(message.to_vec(), true)]);
    }
}

#[test]
fn a_bomb_ends_the_reading_and_holds_nothing() {
    let mut sender = Sender::new(true);
    let frame = framed(0xc2, None, &sender.compress(&vec![0; 8 << 20]));
    assert!(frame.len() < 10_000);
    let mut reader = MessageReader::new(1000, by_default(Peer::Upstream));
    assert_eq!(read(&mut reader, &[&frame, &framed(0x81, None, b"more")]), []);
    assert_eq!(reader.held(), 0);
}

#[test]
fn nothing_is_read_behind_a_close() {
    let bytes =
        [framed(0x81, None, b"a"), framed(0x88, None, b"\x03\xe8"), framed(0x81, None, b"b")].concat();
    assert_eq!(read(&mut MessageReader::new(LIMIT, None), &[&bytes]), [(b"a".to_vec(), true)]);
}

#[test]
fn what_no_websocket_may_say_ends_the_reading() {
    let long_ping = framed(0x89, None, &[0; 126]);
    let huge = [0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0].to_vec();
    let twice = [framed(0x01, None, b"a"), framed(0x81, None, b"b")].concat();
    for bytes in [
        framed(0xc1, None, b"x"),
        framed(0xa1, None, b"x"),
        framed(0x83, None, b"x"),
        framed(0x80, None, b"x"),
        framed(0x09, None, b"x"),
        long_ping,
        huge,
        twice,
    ] {
        let mut reader = MessageReader::new(LIMIT, None);
        let bytes = [bytes, framed(0x81, None, b"later")].concat();
        assert_eq!(read(&mut reader, &[&bytes]), [], "{bytes:?}");
    }
}

#[test]
fn what_was_agreed_is_read_as_the_standard_writes_it() {
    let of = |value: &'static str, from| agreed([value.as_bytes()].into_iter(), from);
    let takes_over = Deflate::new(true);
    let forgets = Deflate::new(false);
    for (value, client, upstream) in [
        ("", Ok(None), Ok(None)),
        ("permessage-deflate", Ok(Some(takes_over)), Ok(Some(takes_over))),
        ("Permessage-Deflate; server_max_window_bits=10", Ok(Some(takes_over)), Ok(Some(takes_over))),
        ("permessage-deflate; server_no_context_takeover", Ok(Some(takes_over)), Ok(Some(forgets))),
        (
            "permessage-deflate;client_no_context_takeover ; client_max_window_bits=\"9\"",
            Ok(Some(forgets)),
            Ok(Some(takes_over)),
        ),
        ("x-webkit-deflate-frame", Err(UnknownExtension), Err(UnknownExtension)),
        ("permessage-deflate, permessage-deflate", Err(UnknownExtension), Err(UnknownExtension)),
    ] {
        assert_eq!(of(value, Peer::Client), client, "{value}");
        assert_eq!(of(value, Peer::Upstream), upstream, "{value}");
    }
}
