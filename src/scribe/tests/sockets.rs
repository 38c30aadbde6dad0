//! Calls on WebSockets.

use flate2::{Compress, Compression, FlushCompress};
use perimeter_interceptor::Prefix;
use proptest::prelude::*;

use super::*;
use crate::dialect::golden::request_head;

mod cases;

/// A socket that is told to the scribe.
struct Talk {
    desk: Desk,
    client: Option<Lane>,
    upstream: Option<Lane>,
    /// What compresses either side.
    compress: Option<[Compress; 2]>,
    /// How large the pieces are in which it comes.
    cut: usize,
}

impl Talk {
    fn on(target: &str) -> Self {
        Self::with(Desk::large(), target, false, usize::MAX)
    }

    /// The client says that it belongs to the session `s`.
    fn with(desk: Desk, target: &str, deflate: bool, cut: usize) -> Self {
        let head = request_head(&format!("GET {target}\nx-perimeter-session-id: s"));
        Self::of(desk, &head, deflate, cut)
    }

    fn of(mut desk: Desk, head: &RequestHead, deflate: bool, cut: usize) -> Self {
        let mut parts = Request::new(()).into_parts().0;
        parts.method.clone_from(&head.method);
        parts.uri.clone_from(&head.uri);
        parts.headers.clone_from(&head.headers);
        let head = journal::RequestHead::Parts(Box::new(parts));
        let Opened { client, upstream } = desk.journal.open(head, CLIENT, None, Instant::now()).unwrap();
        let mut response = Response::builder().status(101);
        if deflate {
            response = response.header("sec-websocket-extensions", "permessage-deflate");
        }
        let parts = response.body(()).unwrap().into_parts().0;
        upstream.head(journal::ResponseHead::Parts(Box::new(parts)), Instant::now());
        upstream.upgraded("websocket");
        desk.read();
        let compress = deflate.then(|| [(); 2].map(|()| Compress::new(Compression::default(), false)));
        Self { desk, client: Some(client), upstream: Some(upstream), compress, cut }
    }

    fn say(&mut self, from: Peer, message: &str) {
        let side = usize::from(from == Peer::Upstream);
        let mut payload = message.as_bytes().to_vec();
        let mut first = 0x81;
        if let Some(compress) = &mut self.compress {
            let mut out = Vec::with_capacity(payload.len() + 1024);
            compress[side].compress_vec(&payload, &mut out, FlushCompress::Sync).unwrap();
            // Nothing is compressed to an empty block (RFC 7692 section 7.2.3.6).
            payload = out.strip_suffix(&[0, 0, 0xff, 0xff]).unwrap_or(&[0]).to_vec();
            first = 0xc1;
        }
        let mask = if from == Peer::Client { 0x80 } else { 0 };
        let mut frame = vec![first, mask | 127];
        frame.extend((payload.len() as u64).to_be_bytes());
        if from == Peer::Client {
            frame.extend([7, 7, 7, 7]);
            payload.iter_mut().for_each(|byte| *byte ^= 7);
        }
        frame.extend(payload);
        self.bytes(from, &frame);
    }

    fn bytes(&mut self, from: Peer, bytes: &[u8]) {
        let lane = if from == Peer::Client { &mut self.client } else { &mut self.upstream };
        for piece in bytes.chunks(self.cut) {
            lane.as_mut().unwrap().bytes(piece);
        }
        self.desk.read();
    }

    fn asks(&mut self, message: &str) {
        self.say(Peer::Client, message);
    }

    fn answers(&mut self, messages: &[&str]) {
        for message in messages {
            self.say(Peer::Upstream, message);
        }
    }

    /// What it came to, when both sides have finished.
    #[track_caller]
    fn over(&mut self) -> Vec<String> {
        for lane in [&mut self.client, &mut self.upstream] {
            if let Some(mut lane) = lane.take() {
                lane.close(BodyEnd::COMPLETE);
            }
        }
        self.desk.read();
        assert_legal(&self.desk.told);
        self.desk.check_empty();
        self.desk.events().into_iter().map(show).collect()
    }

    fn counted(&self) -> Vec<(&'static str, Option<String>, &'static str, u64)> {
        let lines = self.desk.tally.lines();
        lines
            .into_iter()
            .map(|line| {
                let (dialect, model) = (line.dialect.unwrap(), line.model.filter(|model| !model.is_empty()));
                (dialect, model.map(|model| model.to_string()), line.outcome, line.count)
            })
            .collect()
    }
}

fn show(event: &LlmEvent) -> String {
    match event {
        LlmEvent::Call(call) => {
            let said: Vec<_> =
                call.news.iter().map(|turn| format!("{}: {}", turn.role.as_str(), turn.text())).collect();
            let partial = if call.partial { " partial" } else { "" };
            let model = call.model.as_deref().unwrap_or_default();
            format!(
                "{} asks {model} {said:?} as call {} of {}{partial}",
                call.id, call.session.call, call.session.id
            )
        }
        LlmEvent::Delta(delta) => format!("{} {:?}", delta.call, delta.said),
        LlmEvent::ToolUse(tool) => format!("{} uses {} {}", tool.call, tool.name, tool.input),
        LlmEvent::Completion(answer) | LlmEvent::Cut(answer) => {
            let how = if matches!(event, LlmEvent::Cut(_)) { "cut" } else { "done" };
            let text: String = answer.answers.iter().map(|answer| answer.text()).collect();
            let tokens = answer.usage.map(|usage| (usage.input, usage.output));
            format!("{} {how} {:?} {text:?} {tokens:?}", answer.call, answer.id.as_deref())
        }
        LlmEvent::Failure(failure) => {
            format!(
                "{} fails {} {:?} {}",
                failure.call,
                failure.status,
                failure.kind.as_deref(),
                failure.message
            )
        }
        _ => unreachable!(),
    }
}

fn created(id: &str) -> String {
    format!(r#"{{"type":"response.created","response":{{"id":"{id}","status":"in_progress","output":[]}}}}"#)
}

fn says(text: &str) -> String {
    format!(
        r#"{{"type":"response.output_text.delta","item_id":"i","output_index":0,"content_index":0,"delta":"{text}"}}"#
    )
}

fn completed(id: &str, text: &str) -> String {
    let output = if text.is_empty() {
        String::new()
    } else {
        format!(
            r#"{{"type":"message","id":"i","role":"assistant","content":[{{"type":"output_text","text":"{text}"}}]}}"#
        )
    };
    format!(
        r#"{{"type":"response.completed","response":{{"id":"{id}","status":"completed","model":"m-1","output":[{output}],"usage":{{"input_tokens":3,"output_tokens":1,"total_tokens":4}}}}}}"#
    )
}

/// The same on another lane.
fn on(lane: &str, message: &str) -> String {
    message.replacen('{', &format!(r#"{{"stream_id":"{lane}","#), 1)
}

fn asked(text: &str, previous: &str) -> String {
    format!(
        r#"{{"type":"response.create","model":"m","previous_response_id":{previous},"input":[{{"type":"message","role":"user","content":[{{"type":"input_text","text":"{text}"}}]}}]}}"#
    )
}

const USER: &str = r#""user: "#;

#[test]
fn each_message_that_asks_is_a_call_with_its_answer() {
    let expected = [
        format!("0 asks m [{USER}Hello\"] as call 1 of s"),
        "0 Text(\"Hi\")".to_owned(),
        "0 done Some(\"r1\") \"Hi\" Some((3, 1))".to_owned(),
        format!("1 asks m [{USER}More\"] as call 2 of s"),
        "1 done Some(\"r2\") \"\" Some((3, 1))".to_owned(),
        format!("2 asks m [{USER}Bye\"] as call 3 of s"),
        "2 Text(\"So\")".to_owned(),
        "2 Text(\" long\")".to_owned(),
        "2 done Some(\"r3\") \"So long\" Some((3, 1))".to_owned(),
    ];
    for deflate in [false, true] {
        for cut in [usize::MAX, 1, 37] {
            let mut talk = Talk::with(Desk::large(), "/backend-api/codex/responses", deflate, cut);
            talk.asks(&asked("Hello", "null"));
            talk.answers(&[r#"{"type":"codex.rate_limits","plan_type":"pro"}"#]);
            talk.answers(&[&created("r1"), &says("Hi"), &completed("r1", "Hi")]);
            talk.asks(&asked("More", "\"r1\""));
            talk.answers(&[&created("r2"), &completed("r2", "")]);
            talk.asks(r#"{"type":"response.processed","response_id":"r2"}"#);
            // Wrapped, as some write it.
            let last = asked("Bye", "\"r2\"");
            talk.asks(&format!(r#"{{"type":"response.create","response":{last}}}"#));
            talk.answers(&[&created("r3"), &says("So"), &says(" long"), &completed("r3", "So long")]);
            assert_eq!(talk.over(), expected);
            assert_eq!(talk.desk.call().previous.as_deref(), Some("r2"));
            assert_eq!(talk.desk.call().body, last);
            assert!(talk.desk.call().streaming && !talk.desk.call().partial);
            assert_eq!(talk.counted(), [("openai_responses", Some("m".to_owned()), "complete", 3)]);
        }
    }
}

#[test]
fn an_error_fails_the_call_that_is_being_answered_and_no_other() {
    let error = r#"{"type":"error","status":429,"error":{"type":"usage_limit_reached","message":"Slow down"},"headers":{"x":1}}"#;
    let mut talk = Talk::on("/v1/responses");
    talk.answers(&[error]);
    talk.asks(&asked("Hello", "null"));
    talk.answers(&[error, error]);
    talk.asks(&asked("Again", "null"));
    talk.answers(&[&created("r1"), &says("On"), error, &says("lost"), &completed("r1", "One")]);
    talk.asks(&on("a", &asked("Last", "null")));
    talk.answers(&[r#"{"type":"error","status":400,"error":{"type":"invalid_request_error","code":"websocket_connection_limit_reached","message":"60 minutes"}}"#]);
    assert_eq!(
        talk.over(),
        [
            &format!("0 asks m [{USER}Hello\"] as call 1 of s"),
            "0 fails 429 Some(\"usage_limit_reached\") Slow down",
            &format!("1 asks m [{USER}Again\"] as call 2 of s"),
            "1 Text(\"On\")",
            "1 cut Some(\"r1\") \"On\" None",
            "1 fails 429 Some(\"usage_limit_reached\") Slow down",
            &format!("2 asks m [{USER}Last\"] as call 3 of s"),
            "2 fails 400 Some(\"invalid_request_error\") 60 minutes",
        ]
    );
    assert_eq!(talk.counted(), [("openai_responses", Some("m".to_owned()), "error", 3)]);
}

#[test]
fn a_socket_that_ends_cuts_what_is_open() {
    let mut talk = Talk::on("/v1/responses");
    talk.asks(&asked("Hello", "null"));
    talk.answers(&[&created("r1"), &says("Hi"), &completed("r1", "Hi")]);
    talk.asks(&asked("More", "\"r1\""));
    talk.answers(&[&created("r2"), &says("We")]);
    talk.asks(&on("b", &asked("And", "null")));
    let told = talk.over();
    assert_eq!(told[told.len() - 2..], ["1 cut Some(\"r2\") \"We\" None", "2 cut None \"\" None"]);
    let m = || Some("m".to_owned());
    assert_eq!(
        talk.counted(),
        [("openai_responses", m(), "complete", 1), ("openai_responses", m(), "cut", 2)]
    );
}

#[test]
fn a_message_larger_than_the_limit_is_told_in_part_and_those_behind_it_whole() {
    let mut talk = Talk::with(Desk::new(1 << 30, 1 << 30, 2_000), "/v1/responses", true, 100);
    talk.asks(&asked(&"x".repeat(5_000), "null"));
    talk.answers(&[&created("r1"), &says(&"y".repeat(5_000)), &completed("r1", "y")]);
    talk.asks(&asked("More", "\"r1\""));
    talk.answers(&[&created("r2"), &completed("r2", &"z".repeat(5_000))]);
    talk.asks(&asked("Bye", "\"r2\""));
    talk.answers(&[&created("r3"), &says("So"), &completed("r3", "So")]);
    let told = talk.over();
    assert!(told[0].starts_with("0 asks m") && told[0].ends_with("partial"), "{told:#?}");
    assert!(told.iter().any(|told| told.starts_with("1 cut Some(\"r2\")")), "{told:#?}");
    assert_eq!(told.last().unwrap(), "2 done Some(\"r3\") \"So\" Some((3, 1))");
}

#[test]
fn without_memory_what_is_open_is_cut_and_nothing_is_read() {
    let mut talk = Talk::with(Desk::new(1 << 30, 300_000, 1 << 30), "/v1/responses", false, 10_000);
    talk.asks(&asked("Hello", "null"));
    talk.answers(&[&created("r1"), &says(&"y".repeat(600_000)), &completed("r1", "Hi")]);
    talk.asks(&asked("More", "\"r1\""));
    let told = talk.over();
    assert_eq!(told.len(), 2, "{told:#?}");
    assert_eq!(told[1], "0 cut Some(\"r1\") \"\" None");
    assert!(talk.desk.ends()[0].unseen.upstream > 0);
}

#[test]
fn a_socket_with_an_extension_that_nobody_knows_is_told_without_calls() {
    let mut desk = Desk::large();
    let head = Request::builder().method("GET").uri("/v1/responses").body(()).unwrap().into_parts().0;
    let head = journal::RequestHead::Parts(Box::new(head));
    let Opened { mut client, mut upstream } = desk.journal.open(head, CLIENT, None, Instant::now()).unwrap();
    let response = Response::builder().status(101).header("sec-websocket-extensions", "x-own");
    let parts = response.body(()).unwrap().into_parts().0;
    upstream.head(journal::ResponseHead::Parts(Box::new(parts)), Instant::now());
    upstream.upgraded("websocket");
    let message = asked("Hello", "null");
    let mut frame = vec![0x81, 126];
    frame.extend((message.len() as u16).to_be_bytes());
    frame.extend(message.as_bytes());
    client.bytes(&frame);
    client.close(BodyEnd::COMPLETE);
    upstream.close(BodyEnd::COMPLETE);
    desk.read();
    assert_legal(&desk.told);
    assert!(desk.events().is_empty());
    assert_eq!(desk.ends()[0].unseen.total(), 0);
    desk.check_empty();
}

#[test]
fn only_sockets_that_carry_calls_are_told_to_those_who_want_calls() {
    let with = |target| {
        let mut talk = Talk::with(Desk::of(Interest::LLM, 1 << 30, 1 << 30, 1 << 20), target, false, 64);
        let before = talk.desk.told.len();
        talk.asks(&asked("Hello", "null"));
        talk.answers(&[&created("r1"), &completed("r1", "Hi")]);
        let chunks = talk.desk.whats().iter().filter(|what| matches!(what, What::UpgradedChunk(..))).count();
        let told = talk.desk.told.len() - before;
        talk.over();
        assert_eq!(talk.desk.ends()[0].unseen.total(), 0);
        (told, chunks, talk.counted()[0].0)
    };
    assert_eq!(with("/v1/responses"), (2, 0, "openai_responses"));
    assert_eq!(with("/v1/other"), (0, 0, "http"));
}

#[test]
fn what_begins_anew_on_a_socket_is_another_session() {
    let mut talk = Talk::on("/v1/responses");
    talk.over();
    let mut desk = talk.desk;
    desk.told.clear();
    let head = Request::builder().method("GET").uri("/v1/responses").body(()).unwrap().into_parts().0;
    let head = journal::RequestHead::Parts(Box::new(head));
    let Opened { client, upstream } = desk.journal.open(head, CLIENT, None, Instant::now()).unwrap();
    let parts = Response::builder().status(101).body(()).unwrap().into_parts().0;
    upstream.head(journal::ResponseHead::Parts(Box::new(parts)), Instant::now());
    upstream.upgraded("websocket");
    let mut talk =
        Talk { desk, client: Some(client), upstream: Some(upstream), compress: None, cut: usize::MAX };
    for (response, previous) in [("r1", "null"), ("r2", "null"), ("r3", r#""r1""#)] {
        talk.asks(&asked("Hello", previous));
        talk.answers(&[&created(response), &completed(response, "Hi")]);
    }
    talk.over();
    let sessions: Vec<_> = talk
        .desk
        .events()
        .into_iter()
        .filter_map(|event| match event {
            LlmEvent::Call(call) => Some((call.session.call, call.session.parent, call.session.told)),
            _ => None,
        })
        .collect();
    assert_eq!(sessions, [(1, None, false), (1, None, false), (2, Some(1), false)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn whatever_is_said_on_a_socket_is_told_by_the_rules(
        said in proptest::collection::vec((any::<bool>(), 0_usize..22), 0..40),
        realtime in any::<bool>(),
        deflate in any::<bool>(),
        memory in prop_oneof![Just(1_usize << 30), 150_000_usize..300_000],
    ) {
        let target = if realtime { "/v1/realtime" } else { "/v1/responses" };
        let mut talk = Talk::with(Desk::new(1 << 20, memory, 4_000), target, deflate, 50);
        for (by_client, what) in said {
            let from = if by_client { Peer::Client } else { Peer::Upstream };
            let id = ["r1", "r2", "r3"][what % 3];
            let message = match what {
                0..3 => asked("Hello", "\"r1\""),
                3..6 => on(["a", "b", "c"][what % 3], &asked("Hello", "null")),
                6..9 => created(id),
                9..12 => says("Hi"),
                12..15 => completed(id, "Hi"),
                15 => r#"{"type":"response.steer","previous_response_id":"r1","input":"x"}"#.to_owned(),
                16 => r#"{"type":"error","status":500,"error":{"message":"no"}}"#.to_owned(),
                17 => format!(r#"{{"type":"response.done","response":{{"id":"{id}","output":[]}}}}"#),
                18 => asked(&"x".repeat(6_000), "null"),
                19 => "{\"type\":".to_owned(),
                20 => String::new(),
                _ => {
                    talk.bytes(from, &[0x13, what as u8, 0xff]);
                    continue;
                }
            };
            talk.say(from, &message);
        }
        talk.over();
    }
}

#[test]
fn a_request_that_grows_says_how_it_begins() {
    let mut talk = Talk::on("/v1/responses");
    let mut items = vec![r#"{"role":"user","content":"Hello"}"#.to_owned()];
    let mut before: Arc<[Prefix]> = Arc::default();
    for turn in 0..4 {
        talk.asks(&format!(
            r#"{{"type":"response.create","model":"{}","input":[{}]}}"#,
            "m".repeat(200),
            items.join(",")
        ));
        let prefixes = talk.desk.call().prefixes.clone();
        assert_eq!((prefixes.len(), &prefixes[..turn]), (turn + 1, &*before));
        before = prefixes;
        items.push(format!(r#"{{"role":"user","content":"{turn}"}}"#));
    }
}
