use proptest::prelude::*;

use super::*;

/// A header whose value is a text.
pub(crate) fn header(name: &str, value: &str) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[u8::try_from(name.len()).unwrap()], name.as_bytes(), &[7], &length, value.as_bytes()].concat()
}

/// A frame as Amazon makes it.
pub(crate) fn frame(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = PRELUDE + headers.len() + payload.len() + TRAILER;
    let mut frame = u32::try_from(length).unwrap().to_be_bytes().to_vec();
    frame.extend(u32::try_from(headers.len()).unwrap().to_be_bytes());
    frame.extend(crc(&frame).to_be_bytes());
    frame.extend_from_slice(headers);
    frame.extend_from_slice(payload);
    frame.extend(crc(&frame).to_be_bytes());
    frame
}

/// A chunk that holds this event.
pub(crate) fn chunk(event: &[u8]) -> Vec<u8> {
    let headers = [
        header(":event-type", "chunk"),
        header(":content-type", "application/json"),
        header(":message-type", "event"),
    ];
    let payload = format!(r#"{{"bytes":"{}","p":"abcdef"}}"#, STANDARD.encode(event));
    frame(&headers.concat(), payload.as_bytes())
}

/// An exception of this type.
pub(crate) fn exception(kind: &str, payload: &str) -> Vec<u8> {
    let headers = [
        header(":exception-type", kind),
        header(":content-type", "application/json"),
        header(":message-type", "exception"),
    ];
    frame(&headers.concat(), payload.as_bytes())
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Event(String, Vec<u8>),
    TooLarge,
}

fn event(data: &[u8]) -> Told {
    Told::Event(String::new(), data.to_vec())
}

fn read<'a>(limit: usize, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Told> {
    let mut told = Vec::new();
    let mut reader = FrameReader::new(limit);
    for chunk in chunks {
        reader.feed(chunk, &mut |read| {
            told.push(match read {
                Read::Event(Event { name, data }) => {
                    Told::Event(String::from_utf8(name.to_vec()).unwrap(), data.to_vec())
                }
                Read::TooLarge => Told::TooLarge,
            });
        });
        assert!(reader.held() <= limit.max(PRELUDE), "{} of {limit}", reader.held());
    }
    told
}

#[test]
fn what_a_chunk_holds_is_an_event() {
    let stream = [chunk(b"{\"type\":\"ping\"}"), chunk(b"")].concat();
    assert_eq!(read(1000, [&*stream]), [event(b"{\"type\":\"ping\"}"), event(b"")]);
}

#[test]
fn an_exception_is_an_error_in_the_form_of_anthropic() {
    let told = |frame: &[u8]| match read(1000, [frame]).remove(0) {
        Told::Event(name, data) => (name, String::from_utf8(data).unwrap()),
        Told::TooLarge => panic!("too large"),
    };
    let error = |kind: &str, message: &str| {
        let data = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}}}}"#);
        ("error".to_owned(), data)
    };
    let throttled = exception("throttlingException", r#"{"message":"Slow down."}"#);
    assert_eq!(told(&throttled), error("throttlingException", "Slow down."));
    assert_eq!(told(&exception("x", "no JSON")), error("x", "no JSON"));
    let headers = [
        header(":message-type", "error"),
        header(":error-code", "InternalFailure"),
        header(":error-message", "It broke."),
    ];
    assert_eq!(told(&frame(&headers.concat(), b"")), error("InternalFailure", "It broke."));
}

#[test]
fn headers_of_every_type_are_passed_over() {
    let lengths = [(0, 0), (1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (8, 8), (9, 16)];
    let mut headers = Vec::new();
    for (kind, length) in lengths {
        headers.extend_from_slice(&[1, b'a', kind]);
        headers.resize(headers.len() + length, 0xff);
    }
    headers.extend_from_slice(b"\x01b\x06\x00\x03xyz");
    headers.extend(header(":message-type", "event"));
    headers.extend(header(":event-type", "chunk"));
    assert_eq!(read(1000, [&*frame(&headers, br#"{"bytes":"aGk="}"#)]), [event(b"hi")]);
}

#[test]
fn other_frames_are_passed_over() {
    let other = frame(&[header(":message-type", "event"), header(":event-type", "hum")].concat(), b"la");
    let stream = [other, frame(b"", b""), chunk(b"hi")].concat();
    assert_eq!(read(1000, [&*stream]), [event(b"hi")]);
}

#[test]
fn a_frame_beyond_the_limit_is_passed_over_and_told() {
    let stream = [chunk(b"one"), chunk(&[b'x'; 3000]), chunk(b"two")].concat();
    for size in [1, 7, 1000, 10_000] {
        let told = read(500, stream.chunks(size));
        assert_eq!(told, [event(b"one"), Told::TooLarge, event(b"two")]);
    }
}

#[test]
fn a_limit_that_falls_holds_for_the_frame_that_has_begun() {
    let large = chunk(&[b'x'; 300]);
    let (begun, rest) = large.split_at(200);
    let mut reader = FrameReader::new(10_000);
    let mut lost = 0;
    reader.feed(begun, &mut |_| panic!("not whole"));
    reader.limit(100);
    reader.feed(rest, &mut |read| lost += usize::from(read == Read::TooLarge));
    assert_eq!((lost, reader.held()), (1, 0));
}

#[test]
fn nothing_is_read_behind_a_frame_that_is_wrong() {
    let good = chunk(b"hi");
    let header = frame(b"\x01a\x0a", b"");
    let no_json =
        frame(&[self::header(":message-type", "event"), self::header(":event-type", "chunk")].concat(), b"x");
    let mut wrong = vec![header, no_json, vec![0; 12], vec![0xff; 12], b"{\"message\": \"no\"}".to_vec()];
    for at in [0, 5, 9, 20, good.len() - 1] {
        let mut frame = good.clone();
        frame[at] ^= 1;
        wrong.push(frame);
    }
    for wrong in wrong {
        let told = read(1000, [&*[&*good, &*wrong, &*good].concat()]);
        assert_eq!(told, [event(b"hi"), Told::TooLarge], "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn what_is_put_in_comes_out_however_it_is_cut(
        events in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
        size in 1usize..300,
    ) {
        let stream: Vec<u8> = events.iter().flat_map(|event| chunk(event)).collect();
        let expected: Vec<Told> = events.iter().map(|data| event(data)).collect();
        prop_assert_eq!(read(10_000, stream.chunks(size)), expected);
    }

    #[test]
    fn any_bytes_are_read_to_their_end(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        size in 1usize..100,
        limit in prop::sample::select(vec![0usize, 20, 100, 1000]),
    ) {
        read(limit, bytes.chunks(size));
        // With a prelude that is right, what follows is looked at.
        let framed = frame(&bytes, &bytes);
        let told = read(limit, framed.chunks(size));
        prop_assert!(told.len() <= 1);
    }
}
