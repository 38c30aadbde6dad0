use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Waker;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Request};
use perimeter_interceptor::Peer;
use proptest::prelude::*;

use super::*;
use crate::journal::{self, Appetite, Journal, Reader, RequestHead, What};
use crate::memory::Memory;
use crate::queue::Taken;

#[derive(Clone, Debug)]
enum Step {
    Data(usize),
    Pending,
    Trailers,
    Error,
}

/// A body of these steps.
#[derive(Clone, Debug)]
struct Scripted {
    steps: VecDeque<Step>,
    /// Whether it knows its length.
    exact: bool,
    /// Whether it says that it is over as soon as it is, rather than when it is asked once more.
    early: bool,
    over: bool,
    given: u8,
}

impl Scripted {
    fn left(&self) -> u64 {
        let data = self.steps.iter().map(|step| if let Step::Data(size) = step { *size as u64 } else { 0 });
        data.sum()
    }
}

impl HttpBody for Scripted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(step) = self.steps.pop_front() else {
            self.over = true;
            return Poll::Ready(None);
        };
        let frame = match step {
            Step::Pending => return Poll::Pending,
            Step::Data(size) => {
                self.given = self.given.wrapping_add(1);
                Ok(Frame::data(Bytes::from(vec![self.given; size])))
            }
            Step::Trailers => Ok(Frame::trailers(trailers())),
            Step::Error => Err("broke".into()),
        };
        if frame.is_err() || frame.as_ref().is_ok_and(Frame::is_trailers) {
            self.steps.clear();
        }
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.over || (self.early && self.steps.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        if self.exact { SizeHint::with_exact(self.left()) } else { SizeHint::new() }
    }
}

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("t"))])
}

fn script() -> impl Strategy<Value = Scripted> {
    let data = prop_oneof![Just(0_usize), 1..200_usize, 4_000..5_000_usize];
    let step = prop_oneof![6 => data.prop_map(Step::Data), 1 => Just(Step::Pending)];
    let last = prop_oneof![3 => Just(None), 1 => Just(Some(Step::Trailers)), 1 => Just(Some(Step::Error))];
    (prop::collection::vec(step, 0..8), last, any::<bool>(), any::<bool>()).prop_map(
        |(steps, last, exact, early)| {
            let steps = steps.into_iter().chain(last).collect();
            Scripted { steps, exact, early, over: false, given: 0 }
        },
    )
}

/// How somebody reads a body.
#[derive(Clone, Copy, Debug)]
struct Manner {
    /// Does not ask a body that says it is over, as hyper does not.
    stops_at_the_end: bool,
    /// Goes away after so many questions.
    patience: usize,
}

/// What a body let see of itself, answer by answer.
#[derive(Debug, PartialEq)]
struct Seen {
    answer: Answer,
    is_end_stream: bool,
    size: (u64, Option<u64>),
}

#[derive(Debug, PartialEq)]
enum Answer {
    Created,
    Pending,
    Data(Bytes),
    Trailers(HeaderMap),
    Error(String),
    Over,
}

fn read(mut body: impl HttpBody<Data = Bytes, Error = BoxError> + Unpin, manner: Manner) -> Vec<Seen> {
    let mut seen: Vec<Seen> = Vec::new();
    let mut answer = Answer::Created;
    loop {
        let hint = body.size_hint();
        let is_last = matches!(answer, Answer::Over | Answer::Error(_));
        let is_end_stream = body.is_end_stream();
        seen.push(Seen { answer, is_end_stream, size: (hint.lower(), hint.upper()) });
        if is_last || seen.len() > manner.patience || (manner.stops_at_the_end && is_end_stream) {
            return seen;
        }
        answer = match Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => Answer::Pending,
            Poll::Ready(None) => Answer::Over,
            Poll::Ready(Some(Err(error))) => Answer::Error(error.to_string()),
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => Answer::Data(data),
                Err(frame) => Answer::Trailers(frame.into_trailers().unwrap()),
            },
        };
    }
}

/// How a body ended for its reader.
fn end_of(seen: &[Seen]) -> BodyEnd {
    let is_end = |seen: &&Seen| {
        matches!(seen.answer, Answer::Trailers(_) | Answer::Error(_) | Answer::Over)
            || (seen.is_end_stream && !matches!(seen.answer, Answer::Pending))
    };
    match seen.iter().find(is_end).map(|seen| &seen.answer) {
        None => BodyEnd::Aborted,
        Some(Answer::Error(error)) => BodyEnd::Failed(error.as_str().into()),
        Some(Answer::Trailers(trailers)) => BodyEnd::Complete { trailers: Some(Arc::new(trailers.clone())) },
        Some(_) => BodyEnd::COMPLETE,
    }
}

fn bytes_of(seen: &[Seen]) -> Vec<u8> {
    let data = |seen: &Seen| if let Answer::Data(data) = &seen.answer { data.to_vec() } else { Vec::new() };
    seen.iter().flat_map(data).collect()
}

/// What the journal has of one lane.
#[derive(Debug, Default, PartialEq)]
struct Told {
    bytes: Vec<u8>,
    ends: Vec<BodyEnd>,
    unseen: u64,
}

fn told_of(reader: &mut Reader, peer: Peer) -> Told {
    let (mut told, mut batch) = (Told::default(), Vec::new());
    while reader.take(&mut batch, Duration::ZERO) == Taken::Some {
        for record in batch.drain(..) {
            let weight = record.weight();
            match record.what {
                What::Chunk { from, data, ends, .. } if from == peer => {
                    assert!(told.ends.is_empty(), "a chunk behind the end");
                    told.bytes.extend(data.into_bytes().unwrap());
                    told.ends.extend(ends.then_some(BodyEnd::COMPLETE));
                }
                What::Closed { from, end, unseen, .. } if from == peer => {
                    told.ends.push(end);
                    told.unseen += unseen;
                }
                _ => {}
            }
            reader.release(weight);
        }
    }
    told
}

fn exchange(journal: &Journal, peer: Peer) -> Option<Lane> {
    let head = RequestHead::Parts(Box::new(Request::new(()).into_parts().0));
    let lanes = journal.open(head, ([127, 0, 0, 1], 1).into(), None, Instant::now())?;
    Some(match peer {
        Peer::Client => lanes.client,
        Peer::Upstream => lanes.upstream,
    })
}

fn manner() -> impl Strategy<Value = Manner> {
    let patience = prop_oneof![2 => Just(usize::MAX), 1 => 0..10_usize];
    (any::<bool>(), patience).prop_map(|(stops_at_the_end, patience)| Manner { stops_at_the_end, patience })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_tapped_body_is_the_body_and_its_lane_is_told_all_of_it(
        body in script(),
        manner in manner(),
        // The smallest hold nothing, the largest all.
        capacity in prop_oneof![Just(1 << 20), 0..20_000_usize],
        peer in prop::sample::select(vec![Peer::Client, Peer::Upstream]),
    ) {
        let memory = Arc::new(Memory::new(usize::MAX));
        let (journal, mut reader) = journal::journal(capacity, memory.clone(), Appetite::ALL);
        let lane = exchange(&journal, peer);
        let is_told = lane.is_some();
        let bare = read(body.clone(), manner);
        prop_assert_eq!(&read(Tap::new(body, lane), manner), &bare);

        let told = told_of(&mut reader, peer);
        let (bytes, unseen) = (bytes_of(&bare), told.unseen);
        if is_told {
            prop_assert!(bytes.starts_with(&told.bytes));
            prop_assert_eq!(told.unseen, (bytes.len() - told.bytes.len()) as u64);
            prop_assert_eq!(told.ends, [end_of(&bare)]);
            prop_assert!(capacity < 1 << 20 || told.unseen == 0);
        } else {
            prop_assert_eq!(told, Told::default());
        }
        prop_assert_eq!(journal.losses().unseen.load(Relaxed), unseen);
        prop_assert_eq!(memory.used(), 0);
    }
}
