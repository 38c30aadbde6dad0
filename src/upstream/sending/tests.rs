use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::Waker;

use http_body::SizeHint;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncRead, ReadBuf};

use super::*;

/// A body that is there, or comes piece by piece.
struct Pieces {
    pieces: VecDeque<Piece>,
    length: Option<u64>,
}

#[derive(Clone, Debug)]
enum Piece {
    Data(Vec<u8>),
    Trailers(Vec<(&'static str, &'static str)>),
    Wait,
    Fail,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(match self.pieces.pop_front() {
            Some(Piece::Data(data)) => Some(Ok(Frame::data(data.into()))),
            Some(Piece::Trailers(fields)) => {
                let fields = fields
                    .into_iter()
                    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
                Some(Ok(Frame::trailers(fields.collect())))
            }
            Some(Piece::Wait) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Piece::Fail) => Some(Err("failed".into())),
            None => None,
        })
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Takes so many bytes of each write, and of every other one nothing yet.
#[derive(Clone)]
struct Provider {
    taken: Arc<Mutex<Vec<u8>>>,
    each: usize,
    waits: bool,
    /// After so many bytes it takes none.
    fails_behind: usize,
}

impl Provider {
    fn new(each: usize, fails_behind: usize) -> Self {
        Self { taken: Arc::default(), each, waits: true, fails_behind }
    }

    fn taken(&self) -> String {
        String::from_utf8_lossy(&self.taken.lock().unwrap()).into_owned()
    }
}

impl AsyncWrite for Provider {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.waits = !self.waits;
        if self.waits {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut taken = self.taken.lock().unwrap();
        let len = buf.len().min(self.each).min(self.fails_behind - taken.len());
        if len == 0 {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        taken.extend_from_slice(&buf[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        self.poll_write(cx, &all)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Sink for Provider {}

impl AsyncRead for Provider {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

fn request(fields: &[(&str, &str)], pieces: &[Piece], length: Option<u64>) -> Request<Body> {
    let mut request = Request::post("/v1/x?y");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Body::new(Pieces { pieces: pieces.to_vec().into(), length })).unwrap()
}

fn send(sending: &mut Sending, provider: &mut Provider) -> Result<(), Cut> {
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..1_000_000 {
        if let Poll::Ready(sent) = sending.poll(Pin::new(provider), &mut cx) {
            return sent;
        }
        if sending.is_untouched() {
            return Ok(());
        }
    }
    panic!("it never ends");
}

fn ours(request: Request<Body>, each: usize) -> String {
    let mut provider = Provider::new(each, usize::MAX);
    let mut sending = Sending::new(request, None);
    sending.begin(false);
    send(&mut sending, &mut provider).unwrap();
    assert!(sending.was_taken());
    provider.taken()
}

/// What hyper writes, until it waits for the answer.
fn hypers(request: Request<Body>) -> String {
    let provider = Provider::new(usize::MAX, usize::MAX);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let io = TokioIo::new(provider.clone());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        // Whoever waits for nothing but the answer has nothing more to do.
        let a_while = async {
            for _ in 0..10_000 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = connection => panic!("it waits for the answer"),
            _ = sender.send_request(request) => panic!("there is no answer"),
            () = a_while => {}
        }
    });
    provider.taken()
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let data = prop_oneof![4 => 0..40_usize, 1 => 3_000..9_000_usize];
    let piece = prop_oneof![
        3 => data.prop_map(|len| Piece::Data((0..len).map(|at| b'a' + (at % 26) as u8).collect())),
        1 => Just(Piece::Wait),
    ];
    proptest::collection::vec(piece, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However it comes, and however slowly it is taken.
    #[test]
    fn a_request_is_what_hyper_writes(
        pieces in pieces(),
        framed in 0..4_u8,
        ends_with_trailers in any::<bool>(),
        each in prop_oneof![1..20_usize, 1_000..100_000_usize],
    ) {
        let mut pieces = pieces;
        let length: usize =
            pieces.iter().map(|piece| if let Piece::Data(data) = piece { data.len() } else { 0 }).sum();
        let text = length.to_string();
        let (fields, hint): (&[(&str, &str)], _) = match framed {
            0 => (&[("x-a", "b"), ("content-length", &text), ("X-A", "c")], None),
            1 => (&[("transfer-encoding", "chunked"), ("trailer", "x-sum, Content-Length"), ("x", "")], None),
            2 => (&[("x", "y")], Some(length as u64)),
            _ => (&[("x", "y")], None),
        };
        if ends_with_trailers && framed % 2 == 1 {
            pieces.push(Piece::Trailers(vec![("x-sum", "1"), ("content-length", "2"), ("x-other", "3")]));
        }
        prop_assert_eq!(ours(request(fields, &pieces, hint), each), hypers(request(fields, &pieces, hint)));
    }
}

#[test]
fn a_small_body_that_is_there_goes_out_with_its_head_in_one_piece() {
    let mut provider = Provider::new(usize::MAX, usize::MAX);
    let mut sending = Sending::new(
        request(&[("transfer-encoding", "chunked")], &[Piece::Data(b"hello".to_vec())], None),
        None,
    );
    let mut cx = Context::from_waker(Waker::noop());
    assert!(sending.poll(Pin::new(&mut provider), &mut cx).is_pending());
    assert_eq!(provider.taken(), "POST /v1/x?y HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
}

#[test]
fn what_was_not_begun_can_be_sent_whole_over_another_connection() {
    let pieces = [Piece::Data(b"hello".to_vec()), Piece::Wait, Piece::Data(b" world".to_vec())];
    let mut sending = Sending::new(request(&[("content-length", "11")], &pieces, None), None);
    sending.begin(true);
    send(&mut sending, &mut Provider::new(usize::MAX, 0)).unwrap();
    assert!(sending.is_untouched());
    let mut provider = Provider::new(usize::MAX, usize::MAX);
    sending.begin(true);
    send(&mut sending, &mut provider).unwrap();
    assert!(sending.was_taken());
    assert_eq!(provider.taken(), "POST /v1/x?y HTTP/1.1\r\ncontent-length: 11\r\n\r\nhello world");
}

#[test]
fn what_is_not_taken_goes_nowhere_and_is_no_error() {
    let pieces = [Piece::Data(vec![b'a'; 10_000]), Piece::Wait, Piece::Data(vec![b'b'; 10_000])];
    for (is_reused, fails_behind) in [(true, 7), (false, 7), (false, 0)] {
        let mut sending = Sending::new(request(&[("content-length", "20000")], &pieces, None), None);
        sending.begin(is_reused);
        send(&mut sending, &mut Provider::new(100, fails_behind)).unwrap();
        assert!(sending.has_ended() && !sending.was_taken() && !sending.is_untouched());
    }
}

#[test]
fn a_body_that_fails_or_is_too_short_is_told() {
    for pieces in [vec![Piece::Data(b"hel".to_vec()), Piece::Fail], vec![Piece::Data(b"hel".to_vec())]] {
        let mut provider = Provider::new(usize::MAX, usize::MAX);
        let mut sending = Sending::new(request(&[("content-length", "5")], &pieces, None), None);
        send(&mut sending, &mut provider).unwrap_err();
        assert!(!sending.has_ended());
    }
}
