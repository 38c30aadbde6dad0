//! Exchanges to print, told as the proxy tells them.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, Method, StatusCode, Version};
use perimeter_interceptor::host::{Desk, Notice, What};
use perimeter_interceptor::{
    Answer, BodyEnd, Call, CallId, Completion, Cost, Delta, End, Exchange, ExchangeId, Interceptor, LlmEvent,
    Part, RequestHead, ResponseHead, Role, Said, Session, ToolUse, Turn, Usage, Usd,
};
use perimeter_printer::{Look, Printer, Settings};

pub(crate) const CALL: CallId = CallId(0);

/// One exchange: what is told of it, and when, in milliseconds.
pub(crate) struct Scene {
    exchange: Arc<Exchange>,
    notices: Vec<Notice>,
}

impl Scene {
    /// A request, `number` seconds after 14:03:07.
    pub(crate) fn new(number: u32, method: Method, path: &str) -> Self {
        let began = UNIX_EPOCH + Duration::from_secs(1_795_269_787 + u64::from(number));
        let client = ([127, 0, 0, 1], 50_000).into();
        let exchange =
            Exchange::new(ExchangeId::new(u128::from(number)), began, client, "https://llm.example");
        let scene = Self { exchange: exchange.into(), notices: Vec::new() };
        let head = RequestHead::new(method, path.parse().unwrap(), Version::HTTP_11, HeaderMap::new());
        scene.then(0, What::RequestHead(head.into()))
    }

    /// A call to OpenAI.
    pub(crate) fn post(number: u32) -> Self {
        Self::new(number, Method::POST, "/v1/chat/completions")
    }

    pub(crate) fn then(mut self, at: u64, what: What) -> Self {
        let exchange = Arc::clone(&self.exchange);
        self.notices.push(Notice::Exchange { exchange, elapsed: Duration::from_millis(at), what });
        self
    }

    pub(crate) fn llm(self, at: u64, event: LlmEvent) -> Self {
        self.then(at, What::Llm(event))
    }

    pub(crate) fn asks(self, call: Call) -> Self {
        self.llm(1, LlmEvent::Call(call.into()))
    }

    pub(crate) fn answers(self, status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap();
        let head = ResponseHead::new(status, Version::HTTP_11, HeaderMap::new());
        self.then(290, What::ResponseHead(head.into()))
    }

    pub(crate) fn says(self, at: u64, text: &str) -> Self {
        self.llm(at, LlmEvent::Delta(Delta::new(CALL, Said::Text(text.into()))))
    }

    pub(crate) fn completes(self, at: u64, completion: Completion) -> Self {
        self.llm(at, LlmEvent::Completion(completion.into())).ends(at)
    }

    pub(crate) fn ends(self, at: u64) -> Self {
        self.ends_as(at, BodyEnd::COMPLETE, BodyEnd::COMPLETE)
    }

    pub(crate) fn ends_as(self, at: u64, request: BodyEnd, response: BodyEnd) -> Self {
        let end = End::new(request, response, Duration::from_millis(at));
        self.then(at, What::End(end))
    }
}

/// A call of these turns.
pub(crate) fn call(model: &str, news: Vec<Turn>) -> Call {
    let mut call = Call::new(CALL, "openai_chat", Arc::new(Session::new("0193a1fc")));
    call.model = Some(model.into());
    call.news = news;
    call
}

pub(crate) fn turn(role: Role, text: &str) -> Turn {
    Turn::new(role, vec![Part::Text(text.into())])
}

pub(crate) fn user(text: &str) -> Turn {
    turn(Role::User, text)
}

pub(crate) fn tool(id: &str, name: &str, input: &str) -> Arc<ToolUse> {
    let mut tool = ToolUse::new(CALL, name, input);
    tool.id = Some(id.into());
    tool.into()
}

/// An answer of these parts, of 1204 and 87 tokens, which cost 0.0002328 USD.
pub(crate) fn answer(parts: Vec<Part>, stop: &str) -> Completion {
    let mut answer = Answer::new(0);
    answer.parts = parts;
    answer.stop = Some(stop.into());
    let mut completion = Completion::new(CALL);
    completion.answers = vec![answer];
    completion.usage = Some(Usage::new(1204, 87));
    completion.cost = Some(Cost::charged(Usd(232_800_000)).into());
    completion
}

/// Where a printer prints to, to be read while it lives.
#[derive(Clone, Default)]
pub(crate) struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    pub(crate) fn read(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Tells the scenes, one after another, to a printer on `out`.
pub(crate) fn desk<W: Write + Send + 'static>(out: W, look: Look, settings: Settings) -> Desk<Printer<W>> {
    let printer = Printer::to(out, look, settings);
    let interest = printer.interest();
    Desk::new(printer, interest)
}

pub(crate) fn tell<W: Write + Send + 'static>(desk: &mut Desk<Printer<W>>, scene: &Scene) {
    for notice in &scene.notices {
        desk.take(notice).unwrap();
    }
}

impl Scene {
    pub(crate) fn notices(&self) -> &[Notice] {
        &self.notices
    }
}

/// What is printed of the scenes.
pub(crate) fn printed(scenes: &[Scene], look: Look, settings: &Settings) -> String {
    let paper = Paper::default();
    let mut desk = desk(paper.clone(), look, settings.clone());
    for scene in scenes {
        tell(&mut desk, scene);
    }
    desk.shut_down().unwrap();
    paper.read()
}

/// Settings as a configuration file gives them.
pub(crate) fn settings(json: serde_json::Value) -> Settings {
    serde_json::from_value(json).unwrap()
}
