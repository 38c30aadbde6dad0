//! Reading a response: what every dialect does alike.

use bytes::Bytes;
use perimeter_interceptor::{CallId, Completion, LlmEvent, Part};

use self::grammar::Grammar;
use super::failure::{self, Told};
use super::measured::{self, Measure};
use super::{Asked, Dialect, json};
use crate::scribe::bounded::append;
use crate::scribe::events::Events;
use crate::scribe::sse;

mod grammar;
mod messages;

/// How many bytes of a response are looked at, at most, to tell a stream from JSON.
const SNIFFED: usize = 64;

/// The status of an answer that has no body, as of something deleted (RFC 9110 section 15.3.5).
const NO_CONTENT: u16 = 204;

/// What an event of a stream may hold even where the answer has taken all the memory that there is: deltas go on.
const LEAST_EVENT: usize = 64 * 1024;

/// What the content type of a response says about its form. Where the first bytes say otherwise, they are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `text/event-stream`.
    Events,
    /// `application/vnd.amazon.eventstream`.
    Frames,
    /// JSON, or anything else that is whole only at its end.
    Whole,
    /// Nothing.
    Unknown,
}

impl Form {
    /// What this value of `Content-Type` says.
    pub(crate) fn of(content_type: Option<&[u8]>) -> Self {
        let essence = content_type.and_then(|value| value.split(|byte| *byte == b';').next());
        match essence.map(<[u8]>::trim_ascii) {
            None | Some(b"") => Self::Unknown,
            Some(value) if value.eq_ignore_ascii_case(b"text/event-stream") => Self::Events,
            Some(value) if value.eq_ignore_ascii_case(b"application/vnd.amazon.eventstream") => Self::Frames,
            Some(_) => Self::Whole,
        }
    }
}

/// A response being read: given what arrives, it tells what it means. At its end it has told exactly one of
/// [`LlmEvent::Completion`], [`LlmEvent::Cut`] and [`LlmEvent::Failure`], or a cut and then a failure.
pub(crate) struct Reader {
    how: How,
    call: CallId,
    status: u16,
    /// What is said of its form.
    said: Form,
    /// Whether a list of JSON is one event after another.
    lists: bool,
    limit: usize,
    state: State,
}

/// How a response is understood.
enum How {
    Read(Grammar),
    Measured(measured::Kind),
}

/// The form that the response turned out to have.
enum State {
    /// Not known yet, by these first bytes.
    Unknown(Vec<u8>),
    Whole {
        grammar: Grammar,
        body: Vec<u8>,
        over: bool,
    },
    Stream(Box<Stream>),
    /// It is only measured.
    Measured(Box<Measure>),
    /// All is told.
    Over,
}

struct Stream {
    events: Events,
    answer: Box<dyn Gather + Send>,
}

/// An answer that comes in events.
pub(super) trait Gather {
    /// Reads the next event; `None` where its data cannot be read.
    fn event(&mut self, event: &sse::Event<'_>, tell: &mut dyn FnMut(LlmEvent)) -> Option<Step>;
    /// Notes that an event was not read.
    fn lose(&mut self);
    /// Whether every answer has been seen to its stop, even if there was no terminal mark.
    fn stopped(&self) -> bool;
    /// Whether all that was said is held.
    fn intact(&self) -> bool;
    /// Whether the model has said anything.
    fn said(&self) -> bool;
    /// Tells the tools that are complete if nothing more comes.
    fn settle(&mut self, tell: &mut dyn FnMut(LlmEvent));
    /// What is held, with the body that the provider would have sent at once.
    fn completion(&self) -> Completion;
    /// How many bytes of memory are held.
    fn held(&self) -> usize;
}

/// What an event does to a stream.
pub(super) enum Step {
    More,
    /// The terminal mark.
    Done,
    /// An error, as told in this event.
    Failed(perimeter_interceptor::ApiFailure),
}

/// A whole answer.
pub(super) struct Answered<'de> {
    /// What was in it, without the body.
    pub(super) completion: Completion,
    pub(super) error: Told<'de>,
    pub(super) read: json::Read,
}

impl Reader {
    pub(super) fn new(asked: &Asked, call: CallId, status: u16, said: Form, limit: usize) -> Self {
        let lists = asked.dialect == Dialect::Gemini && asked.streaming;
        let grammar = Grammar::of(asked.dialect);
        let how = grammar.map_or_else(|| How::Measured(measured::Kind::of(asked)), How::Read);
        Self { how, call, status, said, lists, limit, state: State::Unknown(Vec::new()) }
    }

    /// Reads what came next, decoded, cut anywhere.
    pub(crate) fn read(&mut self, chunk: &[u8], tell: &mut dyn FnMut(LlmEvent)) {
        match &mut self.state {
            State::Unknown(seen) => {
                let wanted = SNIFFED.saturating_sub(seen.len());
                seen.extend_from_slice(chunk.get(..wanted).unwrap_or(chunk));
                let is_measured = matches!(self.how, How::Measured(_));
                let form = if is_measured && self.said == Form::Whole && seen.starts_with(b":") {
                    // Sound may begin with any byte.
                    Begins::Whole
                } else {
                    let Some(form) = sniff(seen, self.said, self.lists, self.status) else { return };
                    form
                };
                let seen = std::mem::take(seen);
                self.state = self.begin(form);
                self.read(&seen, tell);
                self.read(chunk.get(wanted..).unwrap_or_default(), tell);
            }
            State::Whole { body, over, .. } => *over |= !append(body, chunk, self.limit),
            State::Stream(stream) => {
                stream
                    .events
                    .limit(self.limit.saturating_sub(stream.answer.held()).max(self.limit.min(LEAST_EVENT)));
                let (call, status) = (self.call, self.status);
                let Stream { events, answer } = &mut **stream;
                let mut over = false;
                events.feed(chunk, &mut |read| over = over || step(&mut **answer, &read, call, status, tell));
                if over {
                    self.state = State::Over;
                }
            }
            State::Measured(measure) => measure.read(chunk),
            State::Over => {}
        }
    }

    /// Tells what the end means: of the `whole` body, or of what came before it broke off.
    pub(crate) fn finish(mut self, whole: bool, tell: &mut dyn FnMut(LlmEvent)) {
        if let State::Unknown(seen) = &mut self.state {
            let seen = std::mem::take(seen);
            self.state = self.begin(form_said(self.said, self.status));
            self.read(&seen, tell);
        }
        match self.state {
            State::Whole { grammar, body, over } => {
                finish_whole(grammar, self.call, self.status, body.into(), whole && !over, tell);
            }
            State::Stream(stream) => finish_stream(*stream, self.call, self.status, whole, tell),
            State::Measured(measure) => measure.finish(whole, tell),
            State::Unknown(_) | State::Over => {}
        }
    }

    /// How many bytes of memory it holds.
    pub(crate) fn held(&self) -> usize {
        match &self.state {
            State::Unknown(seen) => seen.capacity(),
            State::Whole { body, .. } => body.capacity(),
            State::Stream(stream) => stream.events.held() + stream.answer.held(),
            State::Measured(measure) => measure.held(),
            State::Over => 0,
        }
    }

    fn begin(&self, form: Begins) -> State {
        let grammar = match self.how {
            How::Read(grammar) => grammar,
            How::Measured(kind) => return self.measure(kind, form),
        };
        let events = match form {
            Begins::Whole => return State::Whole { grammar, body: Vec::new(), over: false },
            Begins::Events => Events::sse(self.limit),
            Begins::Frames => Events::frames(self.limit),
            Begins::List => Events::list(self.limit),
        };
        let answer = (grammar.stream)(self.call, self.status, self.limit);
        State::Stream(Box::new(Stream { events, answer }))
    }

    fn measure(&self, kind: measured::Kind, form: Begins) -> State {
        let (call, status, limit) = (self.call, self.status, self.limit);
        match kind.stream(call, status, limit).filter(|_| form == Begins::Events && status < 400) {
            Some(answer) => {
                State::Stream(Box::new(Stream { events: Events::sse(limit), answer: Box::new(answer) }))
            }
            None => State::Measured(Box::new(Measure::new(kind, call, status, limit))),
        }
    }
}

/// The form that a response has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begins {
    Whole,
    Events,
    Frames,
    List,
}

/// The form that the head says, where the body does not show it.
fn form_said(said: Form, status: u16) -> Begins {
    match said {
        Form::Events if status < 400 => Begins::Events,
        Form::Frames => Begins::Frames,
        Form::Events | Form::Whole | Form::Unknown => Begins::Whole,
    }
}

/// The form of a response that begins like this: as `said`, where it could be any. `None` where more must be seen.
fn sniff(seen: &[u8], said: Form, lists: bool, status: u16) -> Option<Begins> {
    if said == Form::Frames {
        // A frame begins with its length, whose first byte is never so high as text is.
        match seen.first() {
            None => return None,
            Some(first) if *first < b'\t' => return Some(Begins::Frames),
            Some(_) => {}
        }
    }
    let said = form_said(said, status);
    let text = seen.strip_prefix(b"\xef\xbb\xbf").unwrap_or(seen).trim_ascii_start();
    match text.first() {
        None if seen.len() < SNIFFED => None,
        None => Some(said),
        Some(b'[') if lists && status < 400 => Some(Begins::List),
        Some(b'{' | b'[' | b'<' | b'"') => Some(Begins::Whole),
        Some(b':') => Some(Begins::Events),
        Some(_) => {
            let fields: [&[u8]; 4] = [b"data:", b"event:", b"id:", b"retry:"];
            if fields.iter().any(|field| text.starts_with(field)) {
                Some(Begins::Events)
            } else if seen.len() < SNIFFED && fields.iter().any(|field| field.starts_with(text)) {
                None
            } else {
                Some(said)
            }
        }
    }
}

fn finish_whole(
    grammar: Grammar,
    call: CallId,
    status: u16,
    body: Bytes,
    whole: bool,
    tell: &mut dyn FnMut(LlmEvent),
) {
    if status >= 400 {
        return tell_failure(failure::of_body(call, status, &body), body, tell);
    }
    if status == NO_CONTENT && whole {
        return tell(LlmEvent::Completion(Completion::new(call).into()));
    }
    let read = |body: &[u8]| {
        let answered = (grammar.whole)(call, body);
        let failure = answered.error.found.then(|| answered.error.failure(call, status, body));
        (answered.completion, failure, answered.read)
    };
    let (mut completion, mut failure, mut how) = read(&body);
    if how == json::Read::Broken
        && let Some(mended) = json::mend(&body)
    {
        (completion, failure, how) = read(&mended);
    }
    if failure.is_none() {
        tell_tools(&completion, tell);
    }
    // What had been said of a text is a part of the answer; a tool of which only that is known was not asked for yet.
    if !whole && let Some(closed) = json::close(&body) {
        completion = read(&closed).0;
    }
    completion.body = body.clone();
    match failure {
        Some(failure) => {
            if completion.answers.iter().any(|answer| !answer.parts.is_empty()) {
                tell(LlmEvent::Cut(completion.into()));
            }
            tell_failure(failure, body, tell);
        }
        None => {
            let complete = whole && how != json::Read::Broken;
            let completion = completion.into();
            tell(if complete { LlmEvent::Completion(completion) } else { LlmEvent::Cut(completion) });
        }
    }
}

fn tell_failure(mut failure: perimeter_interceptor::ApiFailure, body: Bytes, tell: &mut dyn FnMut(LlmEvent)) {
    failure.body = body;
    tell(LlmEvent::Failure(failure.into()));
}

fn tell_tools(completion: &Completion, tell: &mut dyn FnMut(LlmEvent)) {
    for part in completion.answers.iter().flat_map(|answer| &answer.parts) {
        if let Part::ToolUse(tool) = part {
            tell(LlmEvent::ToolUse(tool.clone()));
        }
    }
}

/// Reads an event of a stream; says whether it was the last.
fn step(
    answer: &mut dyn Gather,
    read: &sse::Read<'_>,
    call: CallId,
    status: u16,
    tell: &mut dyn FnMut(LlmEvent),
) -> bool {
    let event = match read {
        sse::Read::Event(event) => event,
        sse::Read::TooLarge => {
            answer.lose();
            return false;
        }
    };
    let mut step = if status < 400 { read_event(answer, event, tell) } else { Step::More };
    if matches!(step, Step::More) && (status >= 400 || event.name == b"error") {
        step = refused(event, call, status);
    }
    match step {
        Step::More => return false,
        Step::Done => conclude(answer, true, tell),
        Step::Failed(failure) => fail(answer, failure, tell),
    }
    true
}

fn read_event(answer: &mut dyn Gather, event: &sse::Event<'_>, tell: &mut dyn FnMut(LlmEvent)) -> Step {
    let read = answer.event(event, tell).or_else(|| {
        let data = &json::mend(event.data)?;
        answer.event(&sse::Event { name: event.name, data }, tell)
    });
    read.unwrap_or(Step::More)
}

fn fail(answer: &mut dyn Gather, failure: perimeter_interceptor::ApiFailure, tell: &mut dyn FnMut(LlmEvent)) {
    if answer.said() {
        conclude(answer, false, tell);
    }
    tell(LlmEvent::Failure(failure.into()));
}

/// An event that is an error by its name, or by the status of its response.
fn refused(event: &sse::Event<'_>, call: CallId, status: u16) -> Step {
    if event.data.is_empty() || event.data == b"[DONE]" {
        return Step::More;
    }
    Step::Failed(failure::of_event(call, status, event.data))
}

fn finish_stream(mut stream: Stream, call: CallId, status: u16, whole: bool, tell: &mut dyn FnMut(LlmEvent)) {
    let answer = &mut *stream.answer;
    let mut over = false;
    if whole {
        stream.events.finish(&mut |read| over = over || step(answer, &read, call, status, tell));
    }
    if over {
        return;
    }
    if status >= 400 {
        return tell_failure(failure::of_body(call, status, b""), Bytes::new(), tell);
    }
    let complete = whole && answer.stopped();
    conclude(answer, complete, tell);
}

fn conclude(answer: &mut dyn Gather, complete: bool, tell: &mut dyn FnMut(LlmEvent)) {
    let complete = complete && answer.intact();
    if complete {
        answer.settle(tell);
    }
    let mut completion = answer.completion();
    if completion.answers.is_empty() && completion.id.is_none() {
        // Nothing came, so there is nothing that would have come at once.
        completion.body = Bytes::new();
    }
    let completion = completion.into();
    tell(if complete { LlmEvent::Completion(completion) } else { LlmEvent::Cut(completion) });
}
