use std::collections::VecDeque;
use std::task::Waker;

use proptest::prelude::*;

use super::*;

/// Gives one piece at each read, as far as there is room for it; then nothing, or an end.
struct Pieces {
    pieces: VecDeque<Vec<u8>>,
    ends: bool,
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(piece) = self.pieces.front_mut() else {
            return if self.ends { Poll::Ready(Ok(())) } else { Poll::Pending };
        };
        let len = piece.len().min(buf.remaining());
        buf.put_slice(&piece[..len]);
        piece.drain(..len);
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        Poll::Ready(Ok(()))
    }
}

/// How reading ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Pending,
    Hypers,
    Broken(&'static str),
}

/// The data that is told of a body, how that ended, and what hyper is left with.
fn read(first: &[u8], pieces: &[&[u8]], ends: bool) -> (Vec<u8>, Ended, Vec<u8>) {
    let pieces = pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| piece.to_vec()).collect();
    let (mut chunks, mut io) = (Chunks::new(first), Pieces { pieces, ends });
    let (mut data, mut cx) = (Vec::new(), Context::from_waker(Waker::noop()));
    let ended = loop {
        match chunks.poll_next(Pin::new(&mut io), &mut cx) {
            Poll::Ready(Next::Data(more)) => {
                assert!(!more.is_empty());
                data.extend_from_slice(&more);
            }
            Poll::Ready(Next::Hypers(failed)) => {
                assert!(failed.is_none());
                break Ended::Hypers;
            }
            Poll::Ready(Next::Broken(why)) => break Ended::Broken(why),
            Poll::Pending => break Ended::Pending,
        }
    };
    let rest = [&chunks.into_rest(), io.pieces.make_contiguous().concat().as_slice()].concat();
    (data, ended, rest)
}

fn whole(body: &str) -> (String, Ended, String) {
    let (data, ended, rest) = read(body.as_bytes(), &[], true);
    (String::from_utf8(data).unwrap(), ended, String::from_utf8(rest).unwrap())
}

#[test]
fn what_is_no_size_and_data_is_hypers_to_read() {
    let hypers = |data: &str, rest: &str| (data.to_owned(), Ended::Hypers, rest.to_owned());
    for (body, told) in [
        ("5\r\nhello\r\n0\r\n\r\n", hypers("hello", "0\r\n\r\n")),
        ("5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", hypers("hello", "0\r\nX-Sum: 1\r\n\r\n")),
        ("0000005\r\nhello\r\nA\r\n0123456789\r\n00\r\n\r\n", hypers("hello0123456789", "00\r\n\r\n")),
        ("1\r\na\r\n5;x=1\r\nhello\r\n", hypers("a", "5;x=1\r\nhello\r\n")),
        ("5 \r\nhello\r\n", hypers("", "5 \r\nhello\r\n")),
        ("5\nhello\r\n", hypers("", "5\nhello\r\n")),
        ("5\rhello\r\n", hypers("", "5\rhello\r\n")),
        ("\r\n", hypers("", "\r\n")),
        ("1\r\na\r\n\r\n", hypers("a", "\r\n")),
        ("1\r\na\r\n-1\r\n", hypers("a", "-1\r\n")),
        ("10000000000000000\r\n", hypers("", "10000000000000000\r\n")),
        // The end, where it does not belong: hyper is told what it would have known by then.
        ("", hypers("", "")),
        ("5", hypers("", "5")),
        ("5\r", hypers("", "5\r")),
        ("5\r\n", hypers("", "5\r\n")),
        ("1f\r\nhel", hypers("hel", "1c\r\n")),
        ("fffffffffffffff\r\nhel", hypers("hel", "ffffffffffffffc\r\n")),
        ("5\r\nhello", hypers("hello", "")),
        ("5\r\nhello\r", hypers("hello", "")),
        ("5\r\nhello\r\n", hypers("hello", "")),
    ] {
        assert_eq!(whole(body), told, "{body:?}");
    }
}

#[test]
fn data_without_a_line_end_behind_it_is_broken() {
    for (body, wrong) in [
        ("5\r\nhello5\r\nworld\r\n", "CR"),
        ("5\r\nhello\n", "CR"),
        ("5\r\nhello\r\r\n", "LF"),
        ("1\r\nabc\r\n0\r\n\r\n", "CR"),
    ] {
        let Ended::Broken(why) = whole(body).1 else { panic!("{body:?} is broken") };
        assert_eq!(why, format!("Invalid chunk body {wrong}"), "{body:?}");
    }
}

#[test]
fn data_is_told_as_far_as_it_came() {
    let (data, ended, _) = read(b"a\r\n01234", &[], false);
    assert_eq!((data.as_slice(), ended), (&b"01234"[..], Ended::Pending));
    let (data, ended, rest) = read(b"", &[b"a\r\n01234", b"56"], false);
    assert_eq!((data.as_slice(), ended, rest.as_slice()), (&b"0123456"[..], Ended::Pending, &b"3\r\n"[..]));
}

#[test]
fn reading_that_fails_is_told_to_hyper() {
    struct Fails;
    impl AsyncRead for Fails {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }
    }
    let mut chunks = Chunks::new(b"5\r\nhel");
    let mut next = || chunks.poll_next(Pin::new(&mut Fails), &mut Context::from_waker(Waker::noop()));
    assert!(matches!(next(), Poll::Ready(Next::Data(data)) if data == "hel"));
    let Poll::Ready(Next::Hypers(Some(error))) = next() else { panic!("it failed") };
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(chunks.into_rest(), "2\r\n");
}

/// The lengths of chunks, where the bytes are cut, and what stands behind the chunks.
fn bodies() -> impl Strategy<Value = (Vec<usize>, Vec<prop::sample::Index>, usize)> {
    let length = prop_oneof![4 => 1..20_usize, 2 => 1..2_000_usize, 1 => 10_000..200_000_usize];
    (
        prop::collection::vec(length, 0..20),
        prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        0..TAILS.len(),
    )
}

const TAILS: [&str; 4] = ["0\r\n\r\n", "0\r\nA: b\r\n\r\n", "3;e\r\nabc\r\n0\r\n\r\n", "x"];

proptest! {
    #[test]
    fn wherever_it_is_cut_all_data_is_told_and_hyper_is_left_with_the_rest((lengths, cuts, tail) in bodies()) {
        let (mut body, mut data) = (Vec::new(), Vec::new());
        for (at, length) in lengths.iter().enumerate() {
            let chunk: Vec<u8> = (0..*length).map(|byte| (byte + at) as u8).collect();
            let size = if at % 2 == 0 { format!("{length:x}\r\n") } else { format!("{length:04X}\r\n") };
            body.extend_from_slice(&[size.as_bytes(), &chunk, b"\r\n"].concat());
            data.extend_from_slice(&chunk);
        }
        body.extend_from_slice(TAILS[tail].as_bytes());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len())).collect();
        cuts.sort_unstable();
        let (mut pieces, mut from) = (Vec::new(), 0);
        for cut in cuts {
            pieces.push(&body[from..cut]);
            from = cut;
        }
        pieces.push(&body[from..]);
        let (first, pieces) = pieces.split_first().unwrap();
        let (told, ended, rest) = read(first, pieces, false);
        prop_assert!(told == data);
        prop_assert_eq!((ended, rest.as_slice()), (Ended::Hypers, TAILS[tail].as_bytes()));
    }
}
