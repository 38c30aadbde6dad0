use std::collections::VecDeque;
use std::task::Waker;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncWrite, ReadBuf};

use super::super::body::Decoder;
use super::*;

/// A provider that takes everything, answers when it was asked, one piece for each read, and closes.
struct Script {
    pieces: VecDeque<Vec<u8>>,
    was_asked: bool,
    reader: Option<Waker>,
}

impl Script {
    fn new(bytes: &[u8], cuts: &[prop::sample::Index]) -> Self {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let (mut pieces, mut from) = (VecDeque::new(), 0);
        for cut in cuts.into_iter().chain([bytes.len()]).filter(|cut| *cut > 0) {
            if cut > from {
                pieces.push_back(bytes[from..cut].to_vec());
                from = cut;
            }
        }
        Self { pieces, was_asked: false, reader: None }
    }
}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.was_asked {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if let Some(piece) = self.pieces.front_mut() {
            let len = piece.len().min(buf.remaining());
            buf.put_slice(&piece[..len]);
            piece.drain(..len);
            if piece.is_empty() {
                self.pieces.pop_front();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.was_asked = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What was made of an answer.
#[derive(Debug, PartialEq, Eq)]
enum Made {
    NoHttp,
    Closed,
    Answer {
        status: u16,
        version: Version,
        reason: Option<Bytes>,
        fields: Vec<(String, Bytes)>,
        body: Bytes,
        trailers: Option<Vec<(String, Bytes)>>,
        is_whole: bool,
    },
}

fn fields(map: &HeaderMap) -> Vec<(String, Bytes)> {
    let copy = |value: &HeaderValue| Bytes::copy_from_slice(value.as_bytes());
    let mut fields: Vec<_> = map.iter().map(|(name, value)| (name.to_string(), copy(value))).collect();
    // Where lines of other names stand says nothing.
    fields.sort_by(|(name, _), (other, _)| name.cmp(other));
    fields
}

fn made(parts: &response::Parts, (body, trailers, is_whole): (Vec<u8>, Option<HeaderMap>, bool)) -> Made {
    // One that says nothing is not read.
    let says_nothing =
        |(name, value): &(String, Bytes)| name == "connection" && value.eq_ignore_ascii_case(b"keep-alive");
    Made::Answer {
        status: parts.status.as_u16(),
        version: parts.version,
        reason: parts
            .extensions
            .get::<ReasonPhrase>()
            .map(|reason| Bytes::copy_from_slice(reason.as_bytes())),
        fields: fields(&parts.headers).into_iter().filter(|field| !says_nothing(field)).collect(),
        body: body.into(),
        trailers: trailers.as_ref().map(fields),
        is_whole,
    }
}

fn ours(mut io: Script, method: &Method) -> Made {
    io.was_asked = true;
    let mut cx = Context::from_waker(Waker::noop());
    let (mut source, mut reading) = (Source::default(), Reading::default());
    let asked = (method, Shows::All);
    let Poll::Ready(head) = reading.poll(&mut source, Pin::new(&mut io), asked, |_| {}, &mut cx) else {
        panic!("there is always something to read")
    };
    let head = match head {
        Ok((head, _)) => head,
        Err(UpstreamError::Protocol { .. }) => return Made::NoHttp,
        Err(_) => return Made::Closed,
    };
    let mut decoder = Decoder::new(head.framing.unwrap_or(Framing::Sized(0)));
    let mut body = Vec::new();
    let is_whole = loop {
        match source.poll_data(Pin::new(&mut io), &mut decoder, &mut cx) {
            Poll::Ready(Some(Ok(data))) => {
                assert!(!data.is_empty());
                body.extend_from_slice(&data);
            }
            Poll::Ready(Some(Err(_))) => break Err(()),
            Poll::Ready(None) => break Ok(()),
            Poll::Pending => panic!("there is always something to read"),
        }
    };
    let trailers = is_whole.and_then(|()| decoder.trailers().map_err(drop));
    let is_whole = trailers.is_ok();
    assert!(decoder.has_ended() || !is_whole);
    made(&head.parts, (body, trailers.ok().flatten(), is_whole))
}

/// The fields of an answer when what was left out of it has been put back, and those that it came with.
fn put_back(mut io: Script) -> Option<[Vec<(String, Bytes)>; 2]> {
    io.was_asked = true;
    let mut cx = Context::from_waker(Waker::noop());
    let asked = (&Method::GET, Shows::Needed);
    let mut reading = Reading::default();
    let Poll::Ready(Ok((head, raw))) =
        reading.poll(&mut Source::default(), Pin::new(&mut io), asked, |_| {}, &mut cx)
    else {
        return None;
    };
    let mut written = b"HTTP/1.1 200 OK\r\n".to_vec();
    for (name, value) in &head.parts.headers {
        written.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    written.extend_from_slice(b"\r\n");
    let mut restored = Vec::new();
    raw.restore(&written, &mut restored);
    let says_nothing =
        |(name, value): &(String, Bytes)| name == "connection" && value.eq_ignore_ascii_case(b"keep-alive");
    Some([&restored, raw.bytes()].map(|bytes| {
        let mut fields = fields(&parse(bytes).unwrap().unwrap().headers);
        fields.retain(|field| !says_nothing(field));
        fields
    }))
}

fn hypers(io: Script, method: &Method) -> Made {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .allow_obsolete_multiline_headers_in_responses(true)
            .handshake(TokioIo::new(io))
            .await
            .unwrap();
        let request = Request::builder().method(method).body(Empty::<Bytes>::new()).unwrap();
        let made = async move {
            let (parts, mut incoming) = match sender.send_request(request).await {
                Ok(response) => response.into_parts(),
                Err(error) if error.is_parse() => return Made::NoHttp,
                Err(_) => return Made::Closed,
            };
            let (mut body, mut trailers, mut is_whole) = (Vec::new(), None, true);
            while let Some(frame) = incoming.frame().await {
                match frame.map(http_body::Frame::into_data) {
                    Ok(Ok(data)) => body.extend_from_slice(&data),
                    Ok(Err(frame)) => trailers = frame.into_trailers().ok(),
                    Err(_) => is_whole = false,
                }
            }
            made(&parts, (body, trailers, is_whole))
        };
        tokio::join!(made, connection).0
    })
}

#[track_caller]
fn check(bytes: &[u8], cuts: &[prop::sample::Index], method: &Method) {
    let ours = ours(Script::new(bytes, cuts), method);
    let hypers = hypers(Script::new(bytes, cuts), method);
    // What is wrong with a head that falls into several reads hyper sees earlier, or later.
    let is_none = |made: &Made| matches!(made, Made::NoHttp | Made::Closed);
    if !cuts.is_empty() && is_none(&ours) && is_none(&hypers) {
        return;
    }
    // hyper lets go of what it has not passed on yet when something goes wrong behind it.
    let (Made::Answer { body, is_whole: false, .. }, Made::Answer { body: passed, is_whole: false, .. }) =
        (&ours, &hypers)
    else {
        assert_eq!(ours, hypers, "{method} {:?}", String::from_utf8_lossy(bytes));
        return;
    };
    assert!(body.starts_with(passed.as_ref()), "{:?}", String::from_utf8_lossy(bytes));
}

const ANSWERS: [&str; 61] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nand more",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-a: b\r\n\r\nand more",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
    "HTTP/1.1 200 OK\r\n\r\nuntil the end",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nuntil the end",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-a: b\r\nX-A:c \r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nno field\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx: y\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b;c\r\nhello\r\n0;d\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 \t;a\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n05 \t\r\nhello\r\n00\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello5\r\nhello\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r5\r\nhello\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n;a\r\nhello\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 Caf\u{e9}\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 999 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/2 200\r\n\r\n",
    "HTTP/1.1 200 OK\nContent-Length: 2\nX: y\n\nok",
    "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\t d \r\n \r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nX-\u{e9}: b\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: \u{e9}\t\r\nConnection: X, close\r\nContent-Length: 2\r\n\r\nok",
    "220 mail.example ESMTP\r\n",
    "",
];

#[test]
fn an_answer_is_what_hyper_makes_of_it() {
    for answer in ANSWERS {
        for method in [Method::GET, Method::HEAD, Method::POST] {
            check(answer.as_bytes(), &[], &method);
        }
    }
}

#[test]
fn heads_have_the_bounds_that_hyper_has() {
    for lines in [99, 100, 101] {
        let head = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "X: y\r\n".repeat(lines - 1));
        check(head.as_bytes(), &[], &Method::GET);
    }
    let long = |len: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: {}\r\n\r\n", "y".repeat(len));
    check(long(300_000).as_bytes(), &[], &Method::GET);
    assert_eq!(ours(Script::new(long(2 * MAX_BYTES).as_bytes(), &[]), &Method::GET), Made::NoHttp);
}

/// A piece of an answer, some broken.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        4 => "(Content-Length|content-length): ?[0-9]{1,2}\r\n",
        4 => "Transfer-Encoding: (chunked|gzip, chunked|gzip|chunked, gzip|,)\r\n",
        2 => "Connection: (close|keep-alive|x, close)\r\n",
        4 => "[A-Za-z-]{1,8}: ?[ -~]{0,12}\r?\n",
        1 => "[ -~]{0,12}\r\n",
        1 => "[ \t][ -~]{0,6}\r\n",
    ];
    let chunk = prop_oneof![
        8 => proptest::collection::vec(any::<u8>(), 1..40)
            .prop_map(|data| [format!("{:x}\r\n", data.len()).as_bytes(), &data, b"\r\n"].concat()),
        1 => "[0-9a-f]{0,3}[ ;a-z]{0,4}\r?\n[ -~]{0,6}\r?\n?".prop_map(String::into_bytes),
        2 => Just(b"0\r\n\r\n".to_vec()),
        1 => "0\r\n([a-z]{1,3}: ?[ -~]{0,4}\r\n){0,3}\r?\n".prop_map(String::into_bytes),
    ];
    (
        prop_oneof![
            6 => Just("HTTP/1.1 200 OK\r\n".to_owned()),
            1 => "HTTP/1\\.[01] [1-5][0-9][0-9] ?[ -~]{0,6}\r?\n",
            1 => "(HTTP/1.1 10[0-9] X\r\n\r\n){0,2}HTTP/1.1 200 OK\r\n",
        ],
        proptest::collection::vec(line, 0..5),
        proptest::collection::vec(chunk, 0..6),
    )
        .prop_map(|(first, lines, chunks)| {
            [first.into_bytes(), lines.concat().into_bytes(), b"\r\n".to_vec(), chunks.concat()].concat()
        })
}

proptest! {
    #[test]
    fn wherever_an_answer_is_cut_it_is_what_hyper_makes_of_it(
        bytes in pieces(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        is_head in any::<bool>(),
    ) {
        check(&bytes, &cuts, if is_head { &Method::HEAD } else { &Method::GET });
    }

    #[test]
    fn what_is_left_out_of_a_head_is_put_back_once(
        bytes in pieces(),
        which in 0..ANSWERS.len(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..3),
    ) {
        let mut changed = ANSWERS[which].as_bytes().to_vec();
        if !changed.is_empty() {
            let at = at.index(changed.len());
            changed[at] = byte;
        }
        for bytes in [bytes, changed] {
            if let Some([restored, sent]) = put_back(Script::new(&bytes, &cuts)) {
                prop_assert_eq!(restored, sent, "{:?}", String::from_utf8_lossy(&bytes));
            }
        }
    }

    #[test]
    fn an_answer_with_a_byte_changed_is_what_hyper_makes_of_it(
        which in 0..ANSWERS.len(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..3),
    ) {
        let mut bytes = ANSWERS[which].as_bytes().to_vec();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        check(&bytes, &cuts, &Method::GET);
    }
}
