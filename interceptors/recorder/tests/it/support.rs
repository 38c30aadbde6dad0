//! Exchanges at fixed times, and a logger in a directory of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};
use perimeter_interceptor::host::{Desk, Fault, Notice, What};
use perimeter_interceptor::{
    ApiFailure, BodyEnd, Call, CallId, Completion, End, Exchange, ExchangeId, Failure, Interceptor, LlmEvent,
    RequestHead, ResponseHead, Session,
};
use perimeter_recorder::MessageLogger;
use perimeter_recorder::message_logger::Settings;
use serde_json::Value;

/// A logger at work, its file, and the directory that goes with it.
pub(crate) struct Log {
    pub(crate) desk: Desk<MessageLogger>,
    pub(crate) path: PathBuf,
    directory: tempfile::TempDir,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = Settings { directory: directory.path().join("logs"), ..Settings::default() };
        change(&mut settings);
        let path = settings.directory.join(&settings.filename);
        Self { desk: desk(settings), path, directory }
    }

    pub(crate) fn tell(&mut self, notice: Notice) -> &mut Self {
        self.desk.take(&notice).unwrap();
        self
    }

    pub(crate) fn tell_all(&mut self, notices: impl IntoIterator<Item = Notice>) -> &mut Self {
        for notice in notices {
            self.tell(notice);
        }
        self
    }

    /// Stops it and reads what it wrote.
    pub(crate) fn finish(self) -> Vec<Value> {
        self.desk.shut_down().unwrap();
        let lines = read_lines(&self.path);
        drop(self.directory);
        lines
    }
}

pub(crate) fn desk(settings: Settings) -> Desk<MessageLogger> {
    let logger = MessageLogger::new(settings).unwrap();
    let interest = logger.interest();
    Desk::new(logger, interest)
}

/// Every line as JSON: a line that is none fails the test.
pub(crate) fn read_lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Exchange number `id`, and what is told of it. Each notice comes a millisecond and a half after the one before.
#[derive(Clone)]
pub(crate) struct Told {
    exchange: Arc<Exchange>,
    dialect: &'static str,
    elapsed: Duration,
}

impl Told {
    pub(crate) fn new(id: u32) -> Self {
        let began =
            UNIX_EPOCH + Duration::from_micros(1_795_221_188_264_672) + Duration::from_secs(id.into());
        Self::at(id, began)
    }

    pub(crate) fn at(id: u32, began: SystemTime) -> Self {
        let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000));
        let exchange = Exchange::new(ExchangeId::new(id.into()), began, client, "http://127.0.0.1:1");
        Self { exchange: Arc::new(exchange), dialect: "openai_chat", elapsed: Duration::ZERO }
    }

    pub(crate) fn speaking(mut self, dialect: &'static str) -> Self {
        self.dialect = dialect;
        self
    }

    pub(crate) fn that(&mut self, what: What) -> Notice {
        let notice = Notice::Exchange { exchange: Arc::clone(&self.exchange), elapsed: self.elapsed, what };
        self.elapsed += Duration::from_micros(1_500);
        notice
    }

    pub(crate) fn head(&mut self, path: &str) -> Notice {
        let uri = path.parse().unwrap();
        self.that(What::RequestHead(Arc::new(RequestHead::new(
            Method::POST,
            uri,
            Version::HTTP_11,
            HeaderMap::new(),
        ))))
    }

    pub(crate) fn llm(&mut self, event: LlmEvent) -> Notice {
        self.that(What::Llm(event))
    }

    pub(crate) fn call(&mut self, body: &str) -> Notice {
        self.call_that(body, |_| {})
    }

    pub(crate) fn call_that(&mut self, body: &str, change: impl FnOnce(&mut Call)) -> Notice {
        let session = Arc::new(Session::new(format!("session-{}", self.exchange.id.bits())));
        let mut call = Call::new(CallId(0), self.dialect, session);
        call.model = Some("gpt-4o".into());
        call.body = Bytes::copy_from_slice(body.as_bytes());
        change(&mut call);
        self.llm(LlmEvent::Call(Arc::new(call)))
    }

    pub(crate) fn status(&mut self, status: u16) -> Notice {
        let status = StatusCode::from_u16(status).unwrap();
        self.that(What::ResponseHead(Arc::new(ResponseHead::new(status, Version::HTTP_11, HeaderMap::new()))))
    }

    pub(crate) fn completion(&mut self, body: &str) -> Notice {
        self.llm(LlmEvent::Completion(completion(0, body)))
    }

    pub(crate) fn cut(&mut self, body: &str) -> Notice {
        self.llm(LlmEvent::Cut(completion(0, body)))
    }

    pub(crate) fn api_failure(&mut self, status: u16, kind: &str, body: &str) -> Notice {
        let mut failure = ApiFailure::new(CallId(0), status, "it went wrong");
        failure.kind = Some(kind.into());
        failure.body = Bytes::copy_from_slice(body.as_bytes());
        self.llm(LlmEvent::Failure(Arc::new(failure)))
    }

    pub(crate) fn failure(&mut self) -> Notice {
        self.that(What::Failure(Arc::new(Failure::new("connect", "the provider cannot be reached"))))
    }

    pub(crate) fn end(&mut self) -> Notice {
        self.end_with(BodyEnd::COMPLETE, BodyEnd::COMPLETE, 0)
    }

    pub(crate) fn end_with(&mut self, request: BodyEnd, response: BodyEnd, unseen: u64) -> Notice {
        let mut end = End::new(request, response, self.elapsed);
        end.unseen.upstream = unseen;
        self.that(What::End(end))
    }

    /// A call and its answer, from head to end.
    pub(crate) fn whole(mut self, request: &str, response: &str) -> Vec<Notice> {
        vec![
            self.head("/v1/chat/completions"),
            self.call(request),
            self.status(200),
            self.completion(response),
            self.end(),
        ]
    }
}

pub(crate) fn completion(call: u32, body: &str) -> Arc<Completion> {
    let mut completion = Completion::new(CallId(call));
    completion.body = Bytes::copy_from_slice(body.as_bytes());
    Arc::new(completion)
}

/// Takes notices and says which callback failed, if one did.
pub(crate) fn take_all(
    desk: &mut Desk<MessageLogger>,
    notices: impl IntoIterator<Item = Notice>,
) -> Vec<Fault> {
    notices.into_iter().filter_map(|notice| desk.take(&notice).err()).collect()
}
