use http::{HeaderMap, StatusCode, Version};
use perimeter_interceptor::{Call, Delta, Said, Session};

use super::*;

const THRESHOLD: Duration = Duration::from_secs(2);

/// One exchange, at times in milliseconds from its beginning.
struct Played {
    began: Instant,
    flows: Flows,
}

impl Played {
    fn new() -> Self {
        let began = Instant::now();
        Self { began, flows: Flows::new(began, THRESHOLD) }
    }

    /// One whose answer began.
    fn answered(at: u64, content_type: &'static str) -> Self {
        let mut played = Self::new();
        let fields = [(CONTENT_TYPE, HeaderValue::from_static(content_type))];
        let headers: HeaderMap = fields.into_iter().collect();
        let head = ResponseHead::new(StatusCode::OK, Version::HTTP_11, headers);
        played.flows.head(played.at(at), &head);
        played
    }

    fn at(&self, millis: u64) -> Instant {
        self.began + Duration::from_millis(millis)
    }

    fn chunk(&mut self, at: u64, asked: Option<u64>, bytes: &[u8]) {
        let asked = asked.map(|asked| self.at(asked));
        self.flows.chunk(self.at(at), asked, bytes);
    }

    fn says(&mut self, at: u64, call: u32) {
        let delta = Delta::new(CallId(call), Said::Text("a".into()));
        self.flows.pass(self.at(at), LlmEvent::Delta(delta));
    }

    fn asks(&mut self, at: u64, call: u32) {
        let call = Call::new(CallId(call), "openai_responses", Arc::new(Session::new("s")));
        self.flows.pass(self.at(at), LlmEvent::Call(Arc::new(call)));
    }

    fn completes(&mut self, at: u64, call: u32) -> Option<Stream> {
        let said = LlmEvent::Completion(Arc::new(Completion::new(CallId(call))));
        let LlmEvent::Completion(said) = self.flows.pass(self.at(at), said) else { unreachable!() };
        said.stream.as_deref().cloned()
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn stalls(stream: &Stream) -> Vec<(u128, u128, Peer)> {
    stream.stalls.iter().map(|stall| (stall.at.as_millis(), stall.lasted.as_millis(), stall.by)).collect()
}

#[test]
fn a_stream_is_told_with_its_times_and_gaps() {
    let mut played = Played::answered(200, "text/event-stream; charset=utf-8");
    played.chunk(250, Some(200), b"data: {\"role\"}\n\n");
    played.chunk(600, Some(250), b"data: {}\n\n");
    played.says(600, 0);
    played.chunk(700, Some(600), b"data: {}\n\n");
    played.says(700, 0);
    let stream = played.completes(710, 0).unwrap();
    assert_eq!((stream.first_byte, stream.first_chunk), (ms(200), Some(ms(250))));
    assert_eq!((stream.first_token, stream.last_token, stream.last), (Some(ms(600)), Some(ms(700)), ms(700)));
    assert_eq!((stream.chunks, stream.bytes), (3, 36));
    assert_eq!((stream.gaps.count(), stream.gaps.sum(), stream.gaps.max()), (2, ms(450), ms(350)));
    assert_eq!(stream.stall_count, 0);
}

#[test]
fn what_comes_whole_is_no_stream() {
    let mut played = Played::answered(200, "application/json");
    played.chunk(5_000, None, b"{}");
    assert_eq!(played.completes(5_000, 0), None);
}

#[test]
fn what_comes_piece_by_piece_is_a_stream_whatever_it_is_called() {
    let mut played = Played::answered(200, "application/json");
    played.chunk(300, None, b"[{}");
    played.says(300, 0);
    assert_eq!(played.completes(400, 0).unwrap().first_token, Some(ms(300)));
}

#[test]
fn a_silent_upstream_is_told_from_a_client_that_does_not_read() {
    let mut played = Played::answered(0, "text/event-stream");
    played.chunk(100, Some(0), b"data: 1\n\n");
    // Asked at once, and long not answered.
    played.chunk(4_100, Some(101), b"data: 2\n\n");
    // There when it was asked for, long after.
    played.chunk(10_000, None, b"data: 3\n\n");
    // First the one, then the other.
    played.chunk(17_000, Some(14_000), b"data: 4\n\n");
    let stream = played.completes(17_001, 0).unwrap();
    let (upstream, client) = (Peer::Upstream, Peer::Client);
    let expected =
        [(101, 3_999, upstream), (4_100, 5_900, client), (10_000, 4_000, client), (14_000, 3_000, upstream)];
    assert_eq!(stalls(&stream), expected);
    assert_eq!((stream.stalled_upstream, stream.stalled_client), (ms(6_999), ms(9_900)));
    assert_eq!((stream.gaps.count(), stream.gaps.max()), (3, ms(7_000)));
}

#[test]
fn waiting_for_the_first_part_is_no_stall() {
    let mut played = Played::answered(100, "text/event-stream");
    played.chunk(60_000, Some(100), b"data: 1\n\n");
    let stream = played.completes(60_000, 0).unwrap();
    assert_eq!((stream.stall_count, stream.gaps.count(), stream.first_chunk), (0, 0, Some(ms(60_000))));
}

#[test]
fn keeping_a_connection_alive_does_not_hide_a_silence() {
    let mut played = Played::answered(0, "text/event-stream");
    played.chunk(0, None, b"data: 1\n\n");
    played.chunk(1_500, Some(0), b": OPENROUTER PROCESSING\n\n");
    played.chunk(3_000, Some(1_500), b"event: ping\ndata: {\"type\": \"ping\"}\n\n");
    played.chunk(4_500, Some(3_000), b"data: 2\n\n");
    let stream = played.completes(4_500, 0).unwrap();
    assert_eq!(stalls(&stream), [(0, 4_500, Peer::Upstream)]);
    assert_eq!((stream.chunks, stream.gaps.count()), (2, 1));
    assert!(!says_nothing(b": c\n\ndata: 1\n\n") && !says_nothing(b"event: pong") && !says_nothing(b"d"));
}

#[test]
fn what_was_waited_for_in_vain_is_a_stall_too() {
    for (asked, by) in [(Some(1), Peer::Upstream), (None, Peer::Client)] {
        let mut played = Played::answered(0, "text/event-stream");
        played.chunk(0, None, b"data: 1\n\n");
        played.flows.broke_off(played.at(9_000), asked.map(|asked| played.at(asked)));
        let stream = played.completes(9_000, 0).unwrap();
        assert_eq!((stream.stalls[0].by, stream.stall_count, stream.last), (by, 1, ms(9_000)));
        assert_eq!(stream.gaps.count(), 0);
    }
}

#[test]
fn each_call_of_a_socket_is_a_stream_from_its_own_beginning() {
    let mut played = Played::new();
    played.flows.upgraded();
    played.asks(1_000, 0);
    played.asks(1_100, 1);
    played.says(1_500, 0);
    played.says(1_600, 1);
    played.says(5_000, 0);
    let (first, second) = (played.completes(5_100, 0).unwrap(), played.completes(5_200, 1).unwrap());
    assert_eq!((first.first_byte, first.first_token, first.chunks), (ms(500), Some(ms(500)), 3));
    assert_eq!(stalls(&first), [(500, 3_500, Peer::Upstream)]);
    assert_eq!((second.first_byte, second.chunks, second.stall_count), (ms(500), 2, 1));
    assert!(played.flows.calls.is_empty());
}

#[test]
fn a_clock_that_is_asked_in_any_order_does_no_harm() {
    let mut played = Played::answered(100, "text/event-stream");
    played.chunk(50, Some(200), b"data: 1\n\n");
    played.chunk(40, Some(10), b"data: 2\n\n");
    assert_eq!(played.completes(30, 0).unwrap().chunks, 2);
}

#[test]
fn a_stream_that_was_not_seen_to_its_end_has_no_times() {
    let mut played = Played::answered(10, "text/event-stream");
    played.chunk(20, None, b"data: 1\n\n");
    played.says(20, 1);
    played.flows.missed();
    assert_eq!(played.completes(9000, 1), None);
}
