//! What `observe.body_limit` cuts, and what it does not; and what a session remembers.

use super::*;

const LIMIT: usize = 10_000;

struct Streams {
    path: &'static str,
    begin: &'static str,
    event: &'static str,
    end: &'static str,
}

/// Streams whose events say one letter each.
const STREAMS: [Streams; 2] = [
    Streams {
        path: "/v1/chat/completions",
        begin: "",
        event: "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"}}]}\n\n",
        end: "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
    },
    Streams {
        path: "/v1/messages",
        begin: concat!(
            "data: {\"type\":\"message_start\",\"message\":{\"id\":\"c\",\"model\":\"m\"}}\n\n",
            "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        ),
        event: "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"x\"}}\n\n",
        end: concat!(
            "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
            "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n",
            "data: {\"type\":\"message_stop\"}\n\n",
        ),
    },
];

/// Reads a stream of so many events under [`LIMIT`]; how many deltas it told, and its last event.
fn stream(stream: &Streams, events: usize) -> (usize, LlmEvent) {
    let mut desk = Desk::new(1 << 30, 1 << 30, LIMIT);
    let Opened { mut client, mut upstream } = desk.open(stream.path, &[]).unwrap();
    client.chunk(&Bytes::from_static(ASKS.as_bytes()), true);
    head_of(&upstream, 200, "text/event-stream");
    upstream.chunk(&Bytes::from_static(stream.begin.as_bytes()), false);
    for number in 0..events {
        upstream.chunk(&Bytes::from_static(stream.event.as_bytes()), false);
        if number % 10 == 0 {
            desk.read();
        }
    }
    upstream.chunk(&Bytes::from_static(stream.end.as_bytes()), true);
    desk.read();
    assert_legal(&desk.told);
    assert!(desk.most < 7 * LIMIT, "{}", desk.most);
    let deltas = desk.events().iter().filter(|event| matches!(event, LlmEvent::Delta(_))).count();
    let last = desk.events().last().copied().cloned().unwrap();
    desk.check_empty();
    (deltas, last)
}

#[test]
fn a_long_stream_whose_answer_is_small_is_not_cut() {
    for case in &STREAMS {
        assert!(4000 * case.event.len() > 25 * LIMIT);
        let (deltas, last) = stream(case, 4000);
        let LlmEvent::Completion(completion) = last else { panic!("{}: {last:?}", case.path) };
        assert_eq!(deltas, 4000);
        assert_eq!(completion.answers[0].parts, [perimeter_interceptor::Part::Text("x".repeat(4000).into())]);
    }
}

#[test]
fn an_answer_beyond_the_limit_is_told_as_far_as_it_was_held_and_its_deltas_all() {
    for case in &STREAMS {
        let (deltas, last) = stream(case, 2 * LIMIT);
        let LlmEvent::Cut(completion) = last else { panic!("{}: {last:?}", case.path) };
        assert_eq!(deltas, 2 * LIMIT);
        let [perimeter_interceptor::Part::Text(text)] = &*completion.answers[0].parts else {
            panic!("{completion:?}")
        };
        assert!((LIMIT / 2..=LIMIT).contains(&text.len()), "{}", text.len());
    }
}

#[test]
fn a_whole_answer_beyond_the_limit_is_told_as_far_as_it_was_held() {
    let mut desk = Desk::new(1 << 30, 1 << 30, LIMIT);
    let Opened { mut client, mut upstream } = desk.open("/v1/messages", &[]).unwrap();
    client.chunk(&Bytes::from_static(ASKS.as_bytes()), true);
    head_of(&upstream, 200, "application/json");
    let rest = "y".repeat(3 * LIMIT);
    let answer = format!(
        r#"{{"id":"c","content":[{{"type":"text","text":"first"}},{{"type":"text","text":"{rest}"}}]}}"#
    );
    upstream.chunk(&Bytes::from(answer), true);
    desk.read();
    let Some(LlmEvent::Cut(completion)) = desk.events().last() else { panic!("{:?}", desk.events()) };
    assert_eq!((completion.id.as_deref(), completion.body.len()), (Some("c"), LIMIT));
    let held = LIMIT - r#"{"id":"c","content":[{"type":"text","text":"first"},{"type":"text","text":""#.len();
    assert_eq!(completion.answers[0].text(), format!("first{}", &rest[..held]));
}

#[test]
fn a_long_socket_is_not_cut() {
    let mut desk = Desk::new(1 << 30, 1 << 30, LIMIT);
    let Opened { mut client, mut upstream } = desk.open("/socket", &[]).unwrap();
    head_of(&upstream, 101, "");
    client.upgraded("websocket");
    upstream.upgraded("websocket");
    for _ in 0..100 {
        client.bytes(&[b'x'; 1000]);
        upstream.bytes(&[b'y'; 1000]);
    }
    drop((client, upstream));
    desk.read();
    let told: usize = desk
        .whats()
        .iter()
        .map(|what| if let What::UpgradedChunk(_, bytes) = what { bytes.len() } else { 0 })
        .sum();
    assert_eq!((told, desk.ends()[0].unseen.total()), (200_000, 0));
}

/// Asks with these messages, in a session.
fn ask(desk: &mut Desk, session: Option<&str>, messages: &[&str]) -> Call {
    let fields: Vec<_> = session.map(|id| ("x-perimeter-session-id", id)).into_iter().collect();
    let Opened { mut client, upstream } = desk.open("/v1/messages", &fields).unwrap();
    let messages: Vec<_> =
        messages.iter().map(|text| format!(r#"{{"role":"user","content":"{text}"}}"#)).collect();
    let body = format!(r#"{{"model":"m","system":"s","messages":[{}]}}"#, messages.join(","));
    client.chunk(&Bytes::from(body), true);
    drop(upstream);
    desk.read();
    desk.call().clone()
}

fn news(call: &Call) -> (usize, String) {
    (call.known, call.news.iter().map(|turn| turn.text() + " ").collect())
}

#[test]
fn a_session_is_told_only_what_it_had_not_seen() {
    let mut desk = Desk::large();
    assert_eq!(news(&ask(&mut desk, Some("a"), &["one"])), (0, "s one ".into()));
    assert_eq!(news(&ask(&mut desk, Some("a"), &["one", "two"])), (1, "two ".into()));
    assert_eq!(news(&ask(&mut desk, Some("b"), &["one", "two"])), (0, "s one two ".into()));
    assert_eq!(news(&ask(&mut desk, None, &["one", "two"])), (0, "s one two ".into()));
    let call = ask(&mut desk, Some("a"), &["one", "two", "three"]);
    assert_eq!((news(&call), call.session.call, call.session.is_new), ((2, "three ".into()), 3, false));
    assert!(call.body.starts_with(b"{") && call.body.ends_with(b"}"));
    assert!(desk.scribe.sessions.remembered.held() > 0);
    desk.scribe.close(Instant::now(), &mut |_| ());
    assert_eq!(desk.memory.used(), 0);
}

#[test]
fn a_request_beyond_the_limit_neither_uses_nor_makes_a_history() {
    let mut desk = Desk::new(1 << 30, 1 << 30, 1_000);
    ask(&mut desk, Some("a"), &["one"]);
    let long = "x".repeat(2_000);
    let cut = ask(&mut desk, Some("a"), &["one", &long]);
    assert!(cut.partial && cut.known == 1 && cut.news.len() == 1);
    assert_eq!(news(&ask(&mut desk, Some("a"), &["one", "two"])), (1, "two ".into()));
}

#[test]
fn sessions_make_room_for_one_another() {
    let mut desk = Desk::new(1 << 30, 100_000, 1 << 20);
    for number in 0..200 {
        let id = format!("session {number}");
        ask(&mut desk, Some(&id), &["one"]);
        assert_eq!(ask(&mut desk, Some(&id), &["one", "two"]).known, 1);
        assert!(desk.scribe.sessions.remembered.held() <= 100_000 / 8);
    }
    // Whose requests are remembered is read faster, and says the same.
    for session in ["session 0", "session 199"] {
        assert_eq!(ask(&mut desk, Some(session), &["one", "two"]).known, 2);
    }
}

#[test]
fn a_stream_that_the_journal_had_no_room_for_is_told_without_its_times() {
    for case in &STREAMS {
        for whole in [true, false] {
            let mut desk = Desk::new(20_000, 1 << 30, 1 << 20);
            let Opened { mut client, mut upstream } = desk.open(case.path, &[]).unwrap();
            client.chunk(&Bytes::from_static(ASKS.as_bytes()), true);
            head_of(&upstream, 200, "text/event-stream");
            upstream.chunk(&Bytes::from_static(case.begin.as_bytes()), false);
            for _ in 0..1000 {
                upstream.waits();
                upstream.chunk(&Bytes::from_static(case.event.as_bytes()), false);
            }
            if whole {
                upstream.chunk(&Bytes::from_static(case.end.as_bytes()), true);
            }
            drop(upstream);
            desk.read();
            let last = desk.events().last().copied().cloned().unwrap();
            let LlmEvent::Cut(completion) = last else { panic!("{}: {last:?}", case.path) };
            assert_eq!(completion.stream, None);
            assert!(desk.ends()[0].unseen.upstream > 0);
        }
    }
}
