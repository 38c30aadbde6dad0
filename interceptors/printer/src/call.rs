//! One call, as much of it as is shown.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use perimeter_interceptor::{
    Answer, ApiFailure, Call, CallId, Completion, Delta, LlmEvent, Media, Operation, Part, Role, Said,
    Session, Stream, ToolUse, Turn, Usage, Usd,
};

use crate::errand;
use crate::redaction::Redaction;
use crate::settings::{Format, Settings};
use crate::tools::Tools;

/// How much of a text is kept where it is not shown whole, in characters: more than a few rows of any terminal.
const EXCERPT: usize = 1600;

/// How much is kept of what is said piece by piece, in bytes: an excerpt of it, and behind that the rest of a key that
/// begins there.
const HEARD: usize = 8 << 10;

/// How many things of a kind are kept of one call, such as tool results.
const MANY: usize = 64;

/// How much of each text is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    /// Texts whole.
    whole: bool,
    /// All that is new in the conversation, and the tools that are offered.
    all: bool,
    redaction: Redaction,
}

impl Keep {
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            whole: settings.whole(),
            all: settings.format == Format::Full,
            redaction: Redaction::of(settings),
        }
    }

    /// The first `limit` characters of a text, fit to be kept without the rest of it.
    pub(crate) fn start(self, text: &str, limit: usize) -> Cow<'_, str> {
        self.redaction.start(text, limit)
    }

    /// What is not cut here is redacted where it is printed.
    fn text(self, text: &Arc<str>) -> Arc<str> {
        if self.whole || text.len() <= EXCERPT {
            return Arc::clone(text);
        }
        match self.start(text, EXCERPT) {
            Cow::Borrowed(_) => Arc::clone(text),
            Cow::Owned(excerpt) => excerpt.into(),
        }
    }

    fn tool_use(self, tool: &Arc<ToolUse>) -> Arc<ToolUse> {
        let input = self.text(&tool.input);
        if Arc::ptr_eq(&input, &tool.input) {
            return Arc::clone(tool);
        }
        let mut kept = ToolUse::clone(tool);
        kept.input = input;
        kept.into()
    }

    fn part(self, part: &Part) -> Part {
        match part {
            Part::Text(text) => Part::Text(self.text(text)),
            Part::Thinking(text) => Part::Thinking(self.text(text)),
            Part::Refusal(text) => Part::Refusal(self.text(text)),
            Part::ToolUse(tool) => Part::ToolUse(self.tool_use(tool)),
            Part::ToolResult(result) => {
                let mut kept = result.clone();
                kept.text = self.text(&result.text);
                Part::ToolResult(kept)
            }
            other => other.clone(),
        }
    }

    fn turn(self, turn: &Turn) -> Turn {
        Turn::new(turn.role.clone(), turn.parts.iter().map(|part| self.part(part)).collect())
    }
}

/// What a call asked.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// The last that the user said, if it was said since the model last spoke.
    pub(crate) user: Option<Arc<str>>,
    /// What came with it that is not text.
    pub(crate) media: Vec<Media>,
    /// The answers of tools that the model has not seen yet, with their tools' names.
    pub(crate) results: Vec<Answered>,
    /// Where all is kept: the turns that are new to the session.
    pub(crate) turns: Vec<Turn>,
    /// Where all is kept: the tools that the model may ask for.
    pub(crate) tools: Vec<Arc<str>>,
}

/// A tool's answer.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) tool: Option<Arc<str>>,
    pub(crate) text: Arc<str>,
    pub(crate) is_error: bool,
}

impl Asked {
    fn of(call: &Call, keep: Keep, tools: &Tools) -> Self {
        let spoke = call.news.iter().rposition(|turn| turn.role == Role::Assistant);
        let unseen = &call.news[spoke.map_or(0, |at| at + 1)..];
        let parts = unseen.iter().filter(|turn| turn.role != Role::System).flat_map(|turn| &turn.parts);
        let mut asked = Self::default();
        for part in parts {
            match part {
                // An agent puts what it adds before what its user wrote.
                Part::Text(text) if !text.trim().is_empty() => asked.user = Some(keep.text(text)),
                Part::Media(media) if asked.media.len() < MANY => asked.media.push(media.clone()),
                Part::ToolResult(result) if asked.results.len() < MANY => {
                    let named = |id| tool_named(&call.news, id).or_else(|| tools.name(&call.session, id));
                    let tool = result.id.as_deref().and_then(named);
                    let text = keep.text(&result.text);
                    asked.results.push(Answered { tool, text, is_error: result.is_error });
                }
                _ => {}
            }
        }
        if errand::is_errand(call.operation)
            && let Some(brought) = errand::brought(call)
        {
            asked.user = Some(brought.into());
        }
        if asked.user.is_none() && asked.results.is_empty() {
            asked.user = last_user_text(&call.news).map(|text| keep.text(text));
        }
        if keep.all {
            let oldest = call.news.len().saturating_sub(MANY);
            asked.turns = call.news[oldest..].iter().map(|turn| keep.turn(turn)).collect();
            asked.tools = call.tools.iter().map(|tool| Arc::clone(&tool.name)).collect();
        }
        asked
    }
}

fn tool_named(news: &[Turn], id: &str) -> Option<Arc<str>> {
    news.iter().rev().flat_map(|turn| &turn.parts).find_map(|part| match part {
        Part::ToolUse(tool) if tool.id.as_deref() == Some(id) => Some(Arc::clone(&tool.name)),
        _ => None,
    })
}

fn last_user_text(news: &[Turn]) -> Option<&Arc<str>> {
    let turn = news.iter().rfind(|turn| turn.role == Role::User)?;
    turn.parts.iter().rev().find_map(|part| match part {
        Part::Text(text) => Some(text),
        _ => None,
    })
}

/// What a call cost.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Price {
    Known(Usd),
    /// Nobody here knows what the model costs, or the provider did not tell what was used.
    Unknown,
}

/// One call.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) id: CallId,
    pub(crate) dialect: &'static str,
    pub(crate) model: Option<Arc<str>>,
    pub(crate) streaming: bool,
    pub(crate) partial: bool,
    pub(crate) session: Arc<Session>,
    pub(crate) asked: Asked,
    /// When it began, from the beginning of its exchange.
    pub(crate) began: Duration,
    pub(crate) first_token: Option<Duration>,
    /// When the model was done, or failed.
    pub(crate) finished: Option<Duration>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) usage: Option<Usage>,
    /// How the answer came, where it came as a stream.
    pub(crate) stream: Option<Arc<Stream>>,
    /// What it cost, where there is something to pay for.
    pub(crate) cost: Option<Price>,
    /// The answer broke off, or its end was not seen.
    pub(crate) cut: bool,
    pub(crate) failure: Option<ApiFailure>,
    pub(crate) operation: Operation,
    /// What was said while no whole answer has come.
    heard: String,
    tools: Vec<Arc<ToolUse>>,
}

impl Shown {
    pub(crate) fn new(call: &Call, began: Duration, keep: Keep, tools: &Tools) -> Self {
        Self {
            id: call.id,
            dialect: call.dialect,
            model: call.model.clone(),
            streaming: call.streaming,
            partial: call.partial,
            session: Arc::clone(&call.session),
            asked: Asked::of(call, keep, tools),
            began,
            first_token: None,
            finished: None,
            answers: Vec::new(),
            usage: None,
            stream: None,
            cost: None,
            operation: call.operation,
            cut: false,
            failure: None,
            heard: String::new(),
            tools: Vec::new(),
        }
    }

    /// Takes in what happened to it, `elapsed` after its exchange began.
    pub(crate) fn hear(&mut self, event: &LlmEvent, elapsed: Duration, keep: Keep) {
        match event {
            LlmEvent::Delta(delta) => {
                self.first_token.get_or_insert(elapsed);
                self.hear_delta(delta);
            }
            LlmEvent::ToolUse(tool) if self.tools.len() < MANY => self.tools.push(keep.tool_use(tool)),
            LlmEvent::Completion(completion) => self.complete(completion, elapsed, keep),
            LlmEvent::Cut(completion) => {
                self.cut = true;
                self.complete(completion, elapsed, keep);
            }
            LlmEvent::Failure(failure) => {
                self.finished = Some(elapsed);
                let mut kept = ApiFailure::new(failure.call, failure.status, Arc::clone(&failure.message));
                kept.kind.clone_from(&failure.kind);
                self.failure = Some(kept);
            }
            _ => {}
        }
    }

    /// Whether the provider said all that it had to say.
    pub(crate) fn is_whole(&self) -> bool {
        self.finished.is_some() && !self.cut && self.failure.is_none()
    }

    fn hear_delta(&mut self, delta: &Delta) {
        if let (0, Said::Text(text) | Said::Refusal(text)) = (delta.choice, &delta.said)
            && self.heard.len() < HEARD
        {
            self.heard.push_str(&text[..text.floor_char_boundary(HEARD)]);
        }
    }

    fn complete(&mut self, completion: &Completion, elapsed: Duration, keep: Keep) {
        self.finished = Some(elapsed);
        self.usage = completion.usage;
        self.stream.clone_from(&completion.stream);
        self.cost = match &completion.cost {
            Some(cost) => Some(Price::Known(cost.total)),
            None => completion.is_billed(self.operation).then_some(Price::Unknown),
        };
        if self.model.is_none() {
            self.model.clone_from(&completion.model);
        }
        let answers = completion.answers.iter().take(MANY);
        self.answers = if errand::is_errand(self.operation) {
            answers.map(|answer| kept_answer(&errand::told(answer), keep)).collect()
        } else {
            answers.map(|answer| kept_answer(answer, keep)).collect()
        };
        self.heard = String::new();
        self.tools = Vec::new();
    }

    /// The answer, also where nobody said that it is whole.
    pub(crate) fn settle(&mut self, keep: Keep) {
        if self.finished.is_some() || self.heard.is_empty() && self.tools.is_empty() {
            return;
        }
        self.cut = true;
        let mut answer = Answer::new(0);
        if !self.heard.is_empty() {
            answer.parts.push(Part::Text(keep.start(&self.heard, EXCERPT).into()));
            self.heard = String::new();
        }
        answer.parts.extend(self.tools.drain(..).map(Part::ToolUse));
        self.answers = vec![answer];
    }
}

fn kept_answer(answer: &Answer, keep: Keep) -> Answer {
    let mut kept = Answer::new(answer.choice);
    kept.stop.clone_from(&answer.stop);
    kept.parts = answer.parts.iter().take(MANY).map(|part| keep.part(part)).collect();
    kept
}
