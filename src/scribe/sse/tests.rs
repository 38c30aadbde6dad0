use proptest::prelude::*;

use super::*;

/// What was read: name and data, or nothing for an event that was too large.
type Told = Option<(Vec<u8>, Vec<u8>)>;

fn read<'a>(limit: usize, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Told> {
    let mut reader = SseReader::new(limit);
    let mut told = Vec::new();
    let mut tell = |read: Read<'_>| {
        told.push(match read {
            Read::Event(Event { name, data }) => Some((name.to_vec(), data.to_vec())),
            Read::TooLarge => None,
        });
    };
    for chunk in chunks {
        reader.feed(chunk, &mut tell);
        assert!(reader.held() <= limit.max(256) + LONGEST_NAME);
    }
    reader.finish(&mut tell);
    told
}

fn event(name: &str, data: &str) -> Told {
    Some((name.into(), data.into()))
}

/// The standard's algorithm, line by line over the whole stream, with a blank line added to its end.
fn naive(stream: &[u8]) -> Vec<Told> {
    let stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    // Latin-1, so that any byte is a character.
    let text: String = stream.iter().map(|byte| *byte as char).collect();
    let text = text.replace("\r\n", "\n").replace('\r', "\n") + "\n\n";
    let bytes = |text: &str| text.chars().map(|c| c as u8).collect::<Vec<u8>>();
    let (mut told, mut name, mut data) = (Vec::new(), Vec::new(), None::<String>);
    for line in text.lines() {
        if line.is_empty() {
            if let Some(data) = data.take() {
                told.push(Some((std::mem::take(&mut name), bytes(&data))));
            }
            name = Vec::new();
        } else if !line.starts_with(':') {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => name = bytes(value),
                "data" => {
                    data = Some(match data {
                        Some(data) => data + "\n" + value,
                        None => value.to_owned(),
                    });
                }
                _ => {}
            }
        }
    }
    told
}

#[test]
fn fields_are_read_as_the_standard_says() {
    let told = |stream: &str| read(1000, [stream.as_bytes()]);
    assert_eq!(told("data: a\n\n"), [event("", "a")]);
    assert_eq!(told("data:a\n\ndata:  b\n\n"), [event("", "a"), event("", " b")]);
    assert_eq!(told("event: e\ndata: a\ndata\ndata: b\n\n"), [event("e", "a\n\nb")]);
    assert_eq!(told("event: e\n\ndata: a\n\n"), [event("", "a")]);
    assert_eq!(told(": comment\n\n:\n\nid: 1\nretry: 2\nDATA: x\n\n"), []);
    assert_eq!(
        told("\u{feff}data: a\r\n\r\ndata: b\r\rdata: c"),
        [event("", "a"), event("", "b"), event("", "c")]
    );
}

#[test]
fn an_event_that_is_too_large_is_said_and_passed_over() {
    let stream = format!("data: a\n\nevent: big\ndata: {}\ndata: more\n\ndata: b\n\n", "x".repeat(500));
    for size in [1, 7, 64, 2000] {
        assert_eq!(
            read(100, stream.as_bytes().chunks(size)),
            [event("", "a"), None, event("", "b")],
            "{size}"
        );
    }
    let many = format!("{}\n\ndata: b\n\n", "data: 1234567890\n".repeat(50));
    for size in [1, 7, 64, 2000] {
        assert_eq!(read(100, many.as_bytes().chunks(size)), [None, event("", "b")], "{size}");
    }
}

#[test]
fn a_comment_may_be_of_any_length() {
    let stream = format!("data: a\n:{}\ndata: b\n\n", "-".repeat(5000));
    for size in [1, 64, 9000] {
        assert_eq!(read(100, stream.as_bytes().chunks(size)), [event("", "a\nb")]);
    }
}

/// Pieces of streams, such that every turn of the reader is taken often.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(b"data".to_vec()),
        2 => Just(b"event".to_vec()),
        4 => Just(b":".to_vec()),
        3 => Just(b" ".to_vec()),
        6 => Just(b"\n".to_vec()),
        3 => Just(b"\r".to_vec()),
        1 => Just(b"\xef\xbb\xbf".to_vec()),
        3 => prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// `bytes` cut at these places.
fn cut<'a>(bytes: &'a [u8], at: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = at.iter().map(|at| at.index(bytes.len() + 1)).chain([0, bytes.len()]).collect();
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn it_reads_what_the_standard_reads_however_it_is_cut(
        stream in stream(),
        at in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let expected = naive(&stream);
        prop_assert_eq!(&read(100_000, [&*stream]), &expected);
        prop_assert_eq!(&read(100_000, stream.chunks(1)), &expected);
        prop_assert_eq!(&read(100_000, cut(&stream, &at)), &expected);
    }

    #[test]
    fn a_limit_holds_however_it_is_cut(
        stream in stream(),
        // Less than a byte order mark is no limit.
        limit in 3usize..60,
        at in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let expected = read(limit, [&*stream]);
        prop_assert!(expected.iter().flatten().all(|(_, data)| data.len() <= limit));
        prop_assert_eq!(&read(limit, stream.chunks(1)), &expected);
        prop_assert_eq!(&read(limit, cut(&stream, &at)), &expected);
    }
}
