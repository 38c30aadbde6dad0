use std::net::SocketAddr;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, Response};
use perimeter_interceptor::host::{Notice, What};
use perimeter_interceptor::testing::assert_legal;
use perimeter_interceptor::{Call, LlmEvent, Part, RequestHead};

use super::*;
use crate::config;
use crate::dialect::{is_call, is_socket};
use crate::journal::{Appetite, Journal, Lane, Opened, Reader, journal};
use crate::queue::Taken;

mod fetched;
mod history;
mod limits;
#[cfg(target_os = "linux")]
mod piped;
mod random;
mod sockets;

const CLIENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

/// A scribe at the other end of a journal, and what it told.
struct Desk {
    journal: Journal,
    reader: Reader,
    scribe: Scribe,
    memory: Arc<Memory>,
    tally: Arc<Tally>,
    told: Vec<Notice>,
    most: usize,
}

impl Desk {
    fn new(journal_size: usize, memory: usize, body_limit: usize) -> Self {
        Self::of(Interest::ALL, journal_size, memory, body_limit)
    }

    /// For somebody who wants to hear that.
    fn of(interest: Interest, journal_size: usize, memory: usize, body_limit: usize) -> Self {
        let memory = Arc::new(Memory::new(memory));
        let appetite = Appetite { interest, is_call, is_socket };
        let (journal, reader) = journal(journal_size, memory.clone(), appetite);
        let settings = Settings {
            masks: Masks::new(&[1; 32], &config::Mask::default()),
            upstream: "https://h.example".into(),
            session: config::Session::default(),
            body_limit,
            stall_threshold: Duration::from_secs(2),
            run: u64::MAX,
            interest,
            prices: Arc::new(crate::prices::Prices::load(None).unwrap()),
        };
        let tally = Arc::<Tally>::default();
        let clock = (Instant::now(), SystemTime::now());
        let scribe = Scribe::new(settings, memory.clone(), tally.clone(), clock);
        Self { journal, reader, scribe, memory, tally, told: Vec::new(), most: 0 }
    }

    fn large() -> Self {
        Self::new(1 << 30, 1 << 30, 1 << 20)
    }

    fn open(&self, path: &str, fields: &[(&'static str, &str)]) -> Option<Opened> {
        let method = if path == "/socket" { "GET" } else { "POST" };
        let mut head = Request::builder().method(method).uri(path);
        for (name, value) in fields {
            head = head.header(*name, *value);
        }
        let head = head.body(()).unwrap().into_parts().0;
        self.journal.open(journal::RequestHead::Parts(Box::new(head)), CLIENT, None, Instant::now())
    }

    /// Reads what has been written.
    fn read(&mut self) {
        self.most = self.most.max(self.memory.used());
        let mut batch = Vec::new();
        while self.reader.take(&mut batch, Duration::ZERO) == Taken::Some {
            for record in batch.drain(..) {
                let weight = record.weight();
                self.scribe.ingest(record, &mut |notice| self.told.push(notice));
                self.most = self.most.max(self.memory.used());
                self.reader.release(weight);
            }
        }
    }

    /// What `write` writes, unread.
    fn records(&mut self, write: impl FnOnce(&mut Self)) -> Vec<Record> {
        write(self);
        let (mut records, mut batch) = (Vec::new(), Vec::new());
        while self.reader.take(&mut batch, Duration::ZERO) == Taken::Some {
            records.append(&mut batch);
        }
        self.reader.release(records.iter().map(Record::weight).sum());
        records
    }

    fn whats(&self) -> Vec<&What> {
        let mut whats = Vec::new();
        for notice in &self.told {
            if let Notice::Exchange { what, .. } = notice {
                whats.push(what);
            }
        }
        whats
    }

    fn events(&self) -> Vec<&LlmEvent> {
        let mut events = Vec::new();
        for what in self.whats() {
            if let What::Llm(event) = what {
                events.push(event);
            }
        }
        events
    }

    /// The last call.
    fn call(&self) -> &Call {
        let mut last = None;
        for event in self.events() {
            if let LlmEvent::Call(call) = event {
                last = Some(call);
            }
        }
        last.unwrap()
    }

    fn ends(&self) -> Vec<&End> {
        let mut ends = Vec::new();
        for what in self.whats() {
            if let What::End(end) = what {
                ends.push(end);
            }
        }
        ends
    }

    /// Everything is over.
    #[track_caller]
    fn check_empty(&self) {
        assert!(self.scribe.open.is_empty());
        assert_eq!(self.memory.used(), self.scribe.sessions.remembered.held());
    }
}

fn head_of(lane: &Lane, status: u16, kind: &str) {
    let response = Response::builder().status(status).header("content-type", kind);
    let parts = response.body(()).unwrap().into_parts().0;
    lane.head(journal::ResponseHead::Parts(Box::new(parts)), Instant::now());
}

const ASKS: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Hello there"}]}"#;

const STREAM: &str = concat!(
    "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n",
    "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],",
    "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\n",
    "data: [DONE]\n\n",
);

const WHOLE: &str = concat!(
    "{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",",
    "\"content\":\"Hi\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}",
);

#[test]
fn an_answer_that_comes_before_its_question_has_ended_waits_for_it() {
    let mut desk = Desk::large();
    let Opened { mut client, mut upstream } = desk.open("/v1/chat/completions", &[]).unwrap();
    client.chunk(&Bytes::from_static(&ASKS.as_bytes()[..20]), false);
    head_of(&upstream, 200, "text/event-stream");
    upstream.chunk(&Bytes::from_static(STREAM.as_bytes()), true);
    desk.read();
    assert!(desk.events().is_empty());
    client.chunk(&Bytes::from_static(&ASKS.as_bytes()[20..]), true);
    desk.read();
    assert_legal(&desk.told);
    assert!(!desk.call().partial);
    assert!(matches!(desk.events().last(), Some(LlmEvent::Completion(_))));
    desk.check_empty();
}

#[test]
fn an_answer_does_not_wait_for_ever() {
    let mut desk = Desk::large();
    let Opened { mut client, mut upstream } = desk.open("/v1/chat/completions", &[]).unwrap();
    client.chunk(&Bytes::from_static(&ASKS.as_bytes()[..60]), false);
    head_of(&upstream, 200, "text/event-stream");
    let event = STREAM.split_inclusive("\n\n").next().unwrap();
    for _ in 0..300 {
        upstream.chunk(&Bytes::from_static(event.as_bytes()), false);
    }
    desk.read();
    assert!(desk.call().partial);
    assert_eq!(desk.events().len(), 301);
    client.chunk(&Bytes::from_static(&ASKS.as_bytes()[60..]), true);
    drop(upstream);
    desk.read();
    assert_legal(&desk.told);
    assert!(matches!(desk.events().last(), Some(LlmEvent::Cut(_))));
    desk.check_empty();
}

#[test]
fn what_broke_off_is_told_as_broken_off_though_it_looks_whole() {
    let ends =
        [(BodyEnd::COMPLETE, false), (BodyEnd::Aborted, true), (BodyEnd::Failed("reset".into()), true)];
    for (end, broken) in ends {
        let mut desk = Desk::large();
        let Opened { mut client, mut upstream } = desk.open("/v1/chat/completions", &[]).unwrap();
        client.chunk(&Bytes::from_static(ASKS.as_bytes()), false);
        client.close(end.clone());
        head_of(&upstream, 200, "application/json");
        upstream.chunk(&Bytes::from_static(&WHOLE.as_bytes()[..80]), false);
        upstream.close(end);
        desk.read();
        assert_legal(&desk.told);
        assert_eq!(desk.call().partial, broken);
        assert!(matches!(desk.events().last(), Some(LlmEvent::Cut(_))));
        desk.check_empty();
    }
}

#[test]
fn what_kind_an_error_is_may_stand_in_the_head_alone() {
    let mut desk = Desk::large();
    let Opened { mut client, mut upstream } = desk.open("/model/anthropic.claude-a/invoke", &[]).unwrap();
    client.chunk(&Bytes::from_static(ASKS.as_bytes()), true);
    let head = Response::builder()
        .status(429)
        .header("x-amzn-errortype", "ThrottlingException:http://internal.example/")
        .body(());
    let parts = head.unwrap().into_parts().0;
    upstream.head(journal::ResponseHead::Parts(Box::new(parts)), Instant::now());
    upstream.chunk(&Bytes::from_static(b"{\"message\":\"Too many tokens\"}"), true);
    desk.read();
    let Some(LlmEvent::Failure(failure)) = desk.events().pop() else { panic!("{:?}", desk.told) };
    assert_eq!(
        (failure.kind.as_deref(), &*failure.message),
        (Some("ThrottlingException"), "Too many tokens")
    );
    drop((client, upstream));
    desk.read();
    desk.check_empty();
}

#[test]
fn what_was_not_seen_whole_is_told_in_part() {
    let mut desk = Desk::new(4_000, 1 << 20, 1 << 20);
    let Opened { mut client, mut upstream } = desk.open("/v1/chat/completions", &[]).unwrap();
    client.chunk(&Bytes::from_static(ASKS.as_bytes()), false);
    client.chunk(&Bytes::from_static(&[b' '; 4_000]), true);
    head_of(&upstream, 200, "text/event-stream");
    desk.read();
    upstream.chunk(&Bytes::from_static(&STREAM.as_bytes()[..80]), false);
    upstream.chunk(&Bytes::from_static(&[b' '; 4_000]), true);
    desk.read();
    assert_legal(&desk.told);
    assert_eq!((desk.call().partial, desk.call().body.len()), (true, ASKS.len()));
    assert!(matches!(desk.events().last(), Some(LlmEvent::Cut(_))));
    let unseen = desk.ends()[0].unseen;
    assert_eq!((unseen.client, unseen.upstream), (4_000, 4_000));
    desk.check_empty();
}

#[test]
fn a_request_larger_than_the_limit_of_a_body_is_told_in_part() {
    let mut desk = Desk::new(1 << 30, 1 << 30, 1_000);
    let Opened { mut client, upstream } = desk.open("/v1/chat/completions", &[]).unwrap();
    client.chunk(&Bytes::from_static(&ASKS.as_bytes()[..60]), false);
    for _ in 0..100 {
        client.chunk(&Bytes::from_static(&[b'x'; 5_000]), false);
        desk.read();
        assert!(desk.memory.used() < 3_000, "{}", desk.memory.used());
    }
    drop((client, upstream));
    desk.read();
    assert!(desk.call().partial);
    assert_eq!((desk.call().model.as_deref(), desk.call().body.len()), (Some("m"), 1_000));
    assert_eq!(desk.ends()[0].unseen.total(), 0, "of the bytes nothing was lost");
    desk.check_empty();
}

#[test]
fn a_request_for_which_there_is_no_memory_is_told_as_far_as_there_was_and_the_others_whole() {
    let mut desk = Desk::new(1 << 30, 100_000, 1 << 30);
    let Opened { mut client, upstream } = desk.open("/v1/chat/completions", &[]).unwrap();
    for _ in 0..100 {
        client.chunk(&Bytes::from_static(&[b' '; 5_000]), false);
        desk.read();
        assert!(desk.memory.used() <= 100_000);
    }
    client.close(BodyEnd::COMPLETE);
    drop(upstream);
    desk.read();
    assert!(desk.call().partial && (1..100_000).contains(&desk.call().body.len()));
    let unseen = desk.ends()[0].unseen.client;
    assert_eq!(unseen + desk.call().body.len() as u64, 500_000, "what there was no memory for is counted");
    let Opened { mut client, upstream } = desk.open("/v1/chat/completions", &[]).unwrap();
    client.chunk(&Bytes::from_static(ASKS.as_bytes()), true);
    drop(upstream);
    desk.read();
    assert_eq!((desk.call().partial, desk.call().body.len()), (false, ASKS.len()));
    desk.check_empty();
}

#[test]
fn an_answer_larger_than_its_limits_is_told_in_part_and_holds_no_more_than_they_allow() {
    let begin = r#"{"id":"c","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":""#;
    for (memory, limit, bound) in [(1 << 30, 10_000, 30_000), (100_000, 1 << 30, 100_000)] {
        for kind in ["application/json", "text/event-stream"] {
            let mut desk = Desk::new(1 << 30, memory, limit);
            let Opened { mut client, mut upstream } = desk.open("/v1/chat/completions", &[]).unwrap();
            client.chunk(&Bytes::from_static(ASKS.as_bytes()), true);
            head_of(&upstream, 200, kind);
            let field = if kind == "application/json" { "" } else { "data: " };
            upstream.chunk(&Bytes::from(format!("{field}{begin}")), false);
            let mut most = 0;
            for _ in 0..200 {
                upstream.chunk(&Bytes::from_static(&[b'x'; 5_000]), false);
                desk.read();
                most = most.max(desk.memory.used());
            }
            upstream.close(BodyEnd::COMPLETE);
            desk.read();
            assert_legal(&desk.told);
            assert!(most <= bound, "{most} of {memory}, {limit} in {kind}");
            assert!(matches!(desk.events().last(), Some(LlmEvent::Cut(_))), "{:?}", desk.events().last());
            desk.check_empty();
        }
    }
}

#[test]
fn a_reading_that_panics_is_given_up_and_the_exchange_goes_on() {
    let mut desk = Desk::large();
    let Opened { mut client, mut upstream } = desk.open("/v1/chat/completions", &[]).unwrap();
    client.chunk(&Bytes::from_static(ASKS.as_bytes()), true);
    head_of(&upstream, 200, "application/json");
    upstream.chunk(&Bytes::from_static(WHOLE.as_bytes()), true);
    for record in desk.records(|_| ()) {
        desk.scribe.ingest(record, &mut |notice| {
            let meaning = matches!(notice, Notice::Exchange { what: What::Llm(_), .. });
            assert!(!meaning, "as if the reading had panicked");
            desk.told.push(notice);
        });
    }
    assert_legal(&desk.told);
    assert_eq!((desk.ends().len(), desk.tally.panics()), (1, 1));
    desk.check_empty();
}

#[test]
fn ids_are_uuids_of_version_7_and_grow_though_the_clock_goes_back() {
    let mut desk = Desk::large();
    for hours_back in 0..5 {
        let past = Duration::from_secs(3600 * hours_back);
        desk.scribe.set_clock((Instant::now(), SystemTime::now() - past));
        for _ in 0..100 {
            desk.open("/v1/models", &[]);
        }
        desk.read();
    }
    let ids: Vec<ExchangeId> = desk
        .told
        .iter()
        .filter_map(|notice| match notice {
            Notice::Exchange { exchange, what: What::End(_), .. } => Some(exchange.id),
            _ => None,
        })
        .collect();
    assert_eq!(ids.len(), 500);
    assert!(ids.is_sorted_by(|earlier, later| earlier < later));
    for id in ids {
        let text = id.to_string();
        let parts: Vec<_> = text.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!((&text[14..15], text.as_bytes()[19]), ("7", b'8'), "{text}");
    }
}

#[test]
fn what_a_client_says_of_an_exchange_is_told_and_its_secrets_are_not() {
    let mut desk = Desk::large();
    let fields =
        [("authorization", "Bearer sk-secret"), ("x-perimeter-session-id", "s"), ("x-perimeter-tags", "a:b")];
    let Opened { mut client, mut upstream } =
        desk.open("/agent-workflow/w/v1/chat/completions?key=sk-secret", &fields).unwrap();
    client.chunk(&Bytes::from_static(ASKS.as_bytes()), true);
    let mut parts = Response::new(()).into_parts().0;
    parts.headers.insert("set-cookie", HeaderValue::from_static("sk-secret"));
    upstream.head(journal::ResponseHead::Parts(Box::new(parts)), Instant::now());
    let mut trailers = http::HeaderMap::new();
    trailers.insert(HeaderName::from_static("x-api-key"), HeaderValue::from_static("sk-secret"));
    upstream.close(BodyEnd::Complete { trailers: Some(Arc::new(trailers)) });
    desk.read();
    let told = format!("{:?}", desk.told);
    assert!(!told.contains("sk-secret"), "{told}");
    let Some(Notice::Exchange { exchange, what: What::RequestHead(head), .. }) = desk.told.first() else {
        panic!("{told}")
    };
    let _: &RequestHead = head;
    let labels = &exchange.labels;
    assert_eq!((labels.workflow.as_deref(), labels.session.as_deref()), (Some("w"), Some("s")));
    assert_eq!(labels.tags["a"], "b");
    let session = &desk.call().session;
    assert_eq!((&*session.id, session.told, session.is_new), ("s", true, true));
    desk.check_empty();
}

#[test]
fn a_body_whose_coding_is_not_known_is_opaque_and_counted_and_no_error() {
    let mut desk = Desk::large();
    let opaque = [("content-encoding", "compress")];
    let Opened { mut client, mut upstream } = desk.open("/v1/chat/completions", &opaque).unwrap();
    client.chunk(&Bytes::from_static(b"\x1f\x9d\x90 not ours to read"), true);
    let response = Response::builder().header("content-encoding", "x-unknown").body(()).unwrap();
    upstream.head(journal::ResponseHead::Parts(Box::new(response.into_parts().0)), Instant::now());
    upstream.chunk(&Bytes::from_static(WHOLE.as_bytes()), true);
    desk.read();
    assert_legal(&desk.told);
    assert!(desk.call().partial && desk.call().body.is_empty());
    let Some(LlmEvent::Cut(cut)) = desk.events().last() else { panic!("{:?}", desk.events()) };
    assert!(cut.body.is_empty());
    assert_eq!((desk.tally.opaques(), desk.tally.panics()), (2, 0));
    let Opened { mut client, upstream } =
        desk.open("/v1/chat/completions", &[("content-encoding", "identity")]).unwrap();
    client.chunk(&Bytes::from_static(ASKS.as_bytes()), true);
    drop(upstream);
    desk.read();
    assert!(!desk.call().partial);
    assert_eq!(desk.tally.opaques(), 2);
    desk.check_empty();
}

#[test]
fn a_file_that_is_sent_and_one_that_comes_are_counted_and_not_held() {
    let mut desk = Desk::large();
    let form = [("content-type", "multipart/form-data; boundary=b")];
    let Opened { mut client, mut upstream } = desk.open("/v1/audio/transcriptions", &form).unwrap();
    client.chunk(
        &Bytes::from_static(
            b"--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--b\r\n\
            Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n",
        ),
        false,
    );
    for _ in 0..200 {
        client.chunk(&Bytes::from_static(&[0; 10_000]), false);
        desk.read();
        let used = desk.memory.used();
        assert!(used < 100_000, "{used}");
    }
    client.chunk(&Bytes::from_static(b"\r\n--b--\r\n"), true);
    head_of(&upstream, 200, "application/json");
    upstream.chunk(&Bytes::from_static(b"{\"text\":\"Hi.\"}"), true);
    desk.read();
    let call = desk.call();
    assert_eq!((call.model.as_deref(), call.partial, call.body.len()), (Some("whisper-1"), false, 0));
    let Part::Media(file) = &call.news[0].parts[0] else { panic!("{:?}", call.news) };
    assert_eq!((file.name.as_deref(), file.size), (Some("a.wav"), 2_000_000));

    let Opened { mut client, mut upstream } = desk.open("/v1/audio/speech", &[]).unwrap();
    client.chunk(&Bytes::from_static(b"{\"model\":\"tts-1\",\"input\":\"Hi.\"}"), true);
    head_of(&upstream, 200, "audio/pcm");
    for _ in 0..200 {
        upstream.chunk(&Bytes::from_static(&[1; 10_000]), false);
        desk.read();
        let used = desk.memory.used();
        assert!(used < 100_000, "{used}");
    }
    upstream.close(BodyEnd::COMPLETE);
    desk.read();
    assert_legal(&desk.told);
    let Some(LlmEvent::Completion(speech)) = desk.events().last() else { panic!("{:?}", desk.events()) };
    let Part::Media(sound) = &speech.answers[0].parts[0] else { panic!("{speech:?}") };
    assert_eq!((sound.size, speech.body.len()), (2_000_000, 0));
    desk.check_empty();
}
