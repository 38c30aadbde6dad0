//! What is named and measured, and not read: embeddings, pictures, speech, files, lists of models …
//!
//! What is told of it is its kind, number and size, and what it used. Text that stands for the content itself is told:
//! what was to be embedded, drawn or said, and what was heard.

mod answer;
mod multipart;
mod request;
mod skim;
mod stream;
mod usage;

use bytes::Bytes;
use perimeter_interceptor::{Answer, CallId, Completion, LlmEvent, Media, Operation, Part};

pub(crate) use self::multipart::Form;
use self::skim::Skim;
pub(super) use self::stream::Stream;
use super::{Asked, Prompt, failure, json};
use crate::scribe::bounded::append;

/// The longest body in JSON that is handed on: what is longer is a long list.
const KEPT: usize = 64 * 1024;

/// The longest one that holds vectors or pictures.
const KEPT_DATA: usize = 8 * 1024;

/// How much of what is no text is looked at to see what it is.
const SNIFFED: usize = 16;

/// Reads what such a request says of itself: its model, and what it brings.
pub(super) fn read_request(
    asked: &Asked,
    content_type: Option<&[u8]>,
    body: &[u8],
    prompt: &mut Prompt,
) -> json::Read {
    let operation = asked.operation;
    let may_be_empty = matches!(operation, Operation::Files | Operation::Batches | Operation::Retrieval);
    if body.is_empty() && may_be_empty {
        // Such as a request to cancel it.
        return json::Read::Fine;
    }
    let Some(mut form) = Form::of(content_type) else { return request::read(asked, body, prompt) };
    form.feed(body);
    if form.fill(operation, prompt) { json::Read::Fine } else { json::Read::Odd }
}

/// What kind of answer is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    operation: Operation,
    /// Whether it is content, whatever it looks like.
    downloads: bool,
}

impl Kind {
    /// The answer to what is asked.
    pub(super) fn of(asked: &Asked) -> Self {
        Self { operation: asked.operation, downloads: asked.downloads }
    }

    /// A reader of one that comes in events; `None` where such an answer has no events that are known.
    pub(super) fn stream(self, call: CallId, status: u16, limit: usize) -> Option<Stream> {
        let streams =
            matches!(self.operation, Operation::Image | Operation::Speech | Operation::Transcription);
        (streams && !self.downloads).then(|| Stream::new(self.operation, call, status, limit))
    }
}

/// A response being measured.
pub(super) struct Measure {
    operation: Operation,
    call: CallId,
    status: u16,
    limit: usize,
    /// What came so far, bytes.
    size: u64,
    held: Held,
}

/// What is held of it.
enum Held {
    /// All of it.
    Whole { body: Vec<u8>, over: bool },
    /// What it says, and all of it as long as that is not long.
    Data { skim: Skim, body: Vec<u8> },
    /// How it begins.
    Content(Vec<u8>),
}

impl Measure {
    pub(super) fn new(kind: Kind, call: CallId, status: u16, limit: usize) -> Self {
        let Kind { operation, downloads } = kind;
        let held = match operation {
            _ if status >= 400 => Held::Whole { body: Vec::new(), over: false },
            _ if downloads => Held::Content(Vec::new()),
            Operation::Speech => Held::Content(Vec::new()),
            Operation::Embeddings | Operation::Image => {
                Held::Data { skim: Skim::new(limit), body: Vec::new() }
            }
            _ => Held::Whole { body: Vec::new(), over: false },
        };
        Self { operation, call, status, limit, size: 0, held }
    }

    /// Reads what came next.
    pub(super) fn read(&mut self, chunk: &[u8]) {
        self.size += chunk.len() as u64;
        if self.is_content(chunk) {
            self.held = Held::Content(Vec::new());
        }
        match &mut self.held {
            Held::Whole { body, over } => *over |= !append(body, chunk, self.limit),
            Held::Data { skim, body } => {
                skim.feed(chunk);
                append(body, chunk, self.limit.min(KEPT_DATA));
            }
            Held::Content(head) => drop(append(head, chunk, SNIFFED)),
        }
    }

    /// Whether what begins here is no JSON, where nothing else is expected to be text.
    fn is_content(&self, chunk: &[u8]) -> bool {
        let Held::Whole { body, .. } = &self.held else { return false };
        let first = chunk.iter().find(|byte| !byte.is_ascii_whitespace());
        self.status < 400
            && self.operation != Operation::Transcription
            && body.iter().all(u8::is_ascii_whitespace)
            && body.len() as u64 + chunk.len() as u64 == self.size
            && first.is_some_and(|first| !matches!(first, b'{' | b'[' | 0xef))
    }

    /// Tells what it was: of the `whole` body, or of what came before it broke off.
    pub(super) fn finish(self, whole: bool, tell: &mut dyn FnMut(LlmEvent)) {
        let Self { operation, call, status, size, .. } = self;
        match self.held {
            Held::Whole { body, .. } if status >= 400 => {
                fail(failure::of_body(call, status, &body), body, tell)
            }
            Held::Whole { body, over } => {
                let json = read_json(operation, call, status, &body);
                conclude(json, Kept { body, size, limit: KEPT }, whole && !over, tell);
            }
            Held::Data { skim, body } => {
                let json = read_json(operation, call, status, skim.kept());
                conclude(json, Kept { body, size, limit: KEPT_DATA }, whole, tell);
            }
            Held::Content(head) => tell(end(content(operation, call, &head, size), whole)),
        }
    }

    /// How many bytes of memory it holds.
    pub(super) fn held(&self) -> usize {
        match &self.held {
            Held::Whole { body, .. } | Held::Content(body) => body.capacity(),
            Held::Data { skim, body } => skim.held() + body.capacity(),
        }
    }
}

/// A body in JSON, read.
struct Json {
    completion: Completion,
    failure: Option<perimeter_interceptor::ApiFailure>,
    broken: bool,
}

/// The beginning of a body of this `size`, which is handed on if it is no longer than `limit`.
struct Kept {
    body: Vec<u8>,
    size: u64,
    limit: usize,
}

impl Kept {
    fn body(self) -> Vec<u8> {
        if self.size > self.limit as u64 { Vec::new() } else { self.body }
    }
}

fn read_json(operation: Operation, call: CallId, status: u16, body: &[u8]) -> Json {
    let read = |body: &[u8]| {
        let answered = answer::read(operation, call, body);
        let broken = answered.read == json::Read::Broken;
        let failure = answered.error.found.then(|| answered.error.failure(call, status, body));
        Json { completion: answered.completion, failure, broken }
    };
    let json = read(body);
    if !json.broken || body.is_empty() {
        return Json { broken: false, ..json };
    }
    match json::mend(body).map(|mended| read(&mended)) {
        Some(mended) if !mended.broken => mended,
        _ if operation == Operation::Transcription && !body.trim_ascii_start().starts_with(b"{") => {
            Json { completion: heard(call, body), failure: None, broken: false }
        }
        Some(mended) => mended,
        None => json,
    }
}

/// A transcription that came as text, or as subtitles.
fn heard(call: CallId, body: &[u8]) -> Completion {
    let mut answer = Answer::new(0);
    answer.parts.push(Part::Text(String::from_utf8_lossy(body).into()));
    let mut completion = Completion::new(call);
    completion.answers.push(answer);
    completion
}

fn conclude(json: Json, kept: Kept, whole: bool, tell: &mut dyn FnMut(LlmEvent)) {
    let Json { mut completion, failure, broken } = json;
    let body = kept.body();
    if let Some(failure) = failure {
        return fail(failure, body, tell);
    }
    if body.trim_ascii_start().starts_with(b"{") || body.trim_ascii_start().starts_with(b"[") {
        completion.body = body.into();
    }
    tell(end(completion, whole && !broken));
}

/// What is no JSON: its kind, as it begins, and its size.
fn content(operation: Operation, call: CallId, head: &[u8], size: u64) -> Completion {
    let mut completion = Completion::new(call);
    if size > 0 {
        let mut media = Media::new(if operation == Operation::Speech { "audio" } else { "document" });
        media.media_type = media_type(head).map(Into::into);
        media.size = size;
        let mut answer = Answer::new(0);
        answer.parts.push(Part::Media(media));
        completion.answers.push(answer);
    }
    completion
}

/// The media type of what begins like this.
fn media_type(head: &[u8]) -> Option<&'static str> {
    Some(match head {
        [b'I', b'D', b'3', ..] | [0xff, 0xfb | 0xfa | 0xf3 | 0xf2 | 0xe3 | 0xe2, ..] => "audio/mpeg",
        [0xff, 0xf1 | 0xf9, ..] => "audio/aac",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => "audio/wav",
        [b'O', b'g', b'g', b'S', ..] => "audio/ogg",
        [b'f', b'L', b'a', b'C', ..] => "audio/flac",
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [b'%', b'P', b'D', b'F', ..] => "application/pdf",
        _ => return None,
    })
}

fn end(completion: Completion, whole: bool) -> LlmEvent {
    let completion = completion.into();
    if whole { LlmEvent::Completion(completion) } else { LlmEvent::Cut(completion) }
}

fn fail(mut failure: perimeter_interceptor::ApiFailure, body: Vec<u8>, tell: &mut dyn FnMut(LlmEvent)) {
    failure.body = Bytes::from(body);
    tell(LlmEvent::Failure(failure.into()));
}
