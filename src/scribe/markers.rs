//! What clients are known to write that is not the conversation itself: calls beside it, the request that asks for a
//! summary, the summary that takes the place of a history, and what stands in a message for one request only.
//!
//! The phrases are data, in `phrases.rs`, each with its source. They are looked for only where the client writes them:
//! at the beginning of the system prompt or of a message, never in the middle, so that a user who writes about titles
//! or summaries stays in the conversation. Only the first and last KiB of a text are looked at.

mod blocks;
mod phrases;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use perimeter_interceptor::{Part, Role, Turn};

use self::phrases::{
    CLAUDE_CODE, CLEARED, Place, SIDE_CALLS, SUMMARIES, SUMMARY_REQUEST_ENDS, SUMMARY_REQUESTS,
};

/// How much of a text's beginning is looked at, and of its end.
const LOOKED_AT: usize = 4 * 1024;

/// How far into a text reminders are passed over, to what it says after them.
const REMINDERS: usize = 64 * 1024;

/// How many texts of a message are looked at.
const TEXTS: usize = 16;

/// What a call is for that is no turn of a conversation, though it may be about one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SideCall {
    /// A title for the conversation, or a name for its branch.
    Title,
    /// Whether a message begins a new topic.
    Topic,
    /// Whether there is quota left.
    Quota,
    /// How many tokens there are.
    TokenCount,
    /// What the user may type next.
    Suggestion,
    /// Questions to go on with.
    FollowUps,
    /// Tags for the conversation.
    Tags,
    /// What to search for.
    Query,
    /// The rest of what the user is typing.
    Autocomplete,
    /// A prompt for a picture.
    ImagePrompt,
    /// A better wording of the user's prompt.
    Rewording,
    /// What to remember of the conversation.
    Memory,
    /// Nothing: it fills the provider's cache.
    Warmup,
    /// A message for a commit.
    CommitMessage,
    /// A summary that the client keeps, or puts in the place of what it summarises.
    Summary,
    /// Where things stand, for a user who comes back.
    Recap,
    /// A question whose answer does not become part of the conversation.
    Question,
    /// What a shell command is, or which files it reads.
    Command,
    /// Who is to speak next, which model is to answer, whether the model turns in circles.
    Steering,
}

impl SideCall {
    /// The word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::Topic => "topic",
            Self::Quota => "quota",
            Self::TokenCount => "token_count",
            Self::Suggestion => "suggestion",
            Self::FollowUps => "follow_ups",
            Self::Tags => "tags",
            Self::Query => "query",
            Self::Autocomplete => "autocomplete",
            Self::ImagePrompt => "image_prompt",
            Self::Rewording => "rewording",
            Self::Memory => "memory",
            Self::Warmup => "warmup",
            Self::CommitMessage => "commit_message",
            Self::Summary => "summary",
            Self::Recap => "recap",
            Self::Question => "question",
            Self::Command => "command",
            Self::Steering => "steering",
        }
    }
}

/// What the call is for, where a known client makes it beside the conversation. `turns` are all of the request's, the
/// system prompt among them or not; `tools` is how many tools it offers.
pub(crate) fn side_call(system: Option<&str>, turns: &[Turn], tools: usize) -> Option<SideCall> {
    let said = Said::of(system, turns, tools);
    SIDE_CALLS.iter().find(|row| said.is(row.place, row.phrase)).map(|row| row.kind)
}

/// The same, by the user's last message alone: what stands before it may be anything.
pub(crate) fn side_turn(last: &Turn) -> Option<SideCall> {
    let said = Said::of(Some(""), std::slice::from_ref(last), 1);
    let rows = SIDE_CALLS.iter().filter(|row| matches!(row.place, Place::Last | Place::BesideLast));
    rows.into_iter().find(|row| said.is(row.place, row.phrase)).map(|row| row.kind)
}

/// Whether this, the last message, is the client's own instruction to summarise the conversation, so as to go on with
/// the summary in its place.
pub(crate) fn asks_for_summary(last: &Turn) -> bool {
    let Some(text) = last_text(last).filter(|_| last.role == Role::User) else { return false };
    let own = Beginning::of(after_reminders(text));
    SUMMARY_REQUESTS.iter().any(|phrase| own.is(phrase))
        || ENDS.iter().any(|phrase| phrase.find(end(text).as_bytes()).is_some())
}

/// Made once: to look for a phrase takes less than to make ready for it.
static ENDS: LazyLock<Vec<Finder<'static>>> =
    LazyLock::new(|| SUMMARY_REQUEST_ENDS.iter().map(|phrase| Finder::new(*phrase)).collect());

/// Whether this, the first message, is a summary that took the place of the history before it.
pub(crate) fn is_summary(first: &Turn) -> bool {
    texts(first).take(TEXTS).any(|text| {
        let own = Beginning::of(after_reminders(text));
        SUMMARIES.iter().any(|phrase| own.is(phrase))
    }) || first.role == Role::User && only_text(first) == Some(phrases::OPENCODE_SUMMARY)
}

/// Whether this, a tool's result, is what the client wrote in its place, to make the history shorter.
pub(crate) fn is_cleared(result: &str) -> bool {
    CLEARED.contains(&result.trim())
}

/// The text without what a client puts into a message in one request and takes away, or writes anew, in the next: a
/// subsequence of it, borrowed where it is all of it. It is empty where there was nothing else.
pub(crate) fn lasting(text: &str) -> Cow<'_, str> {
    match blocks::without_blocks(text) {
        // What was around a block may have become one: only an attacker writes that, and it stays as it is.
        Some(short) if blocks::without_blocks(&short).is_none() => Cow::Owned(short),
        _ => Cow::Borrowed(text),
    }
}

/// A request, as the phrases are looked for in it.
struct Said<'a> {
    /// The system prompt, without what Claude Code writes before each.
    system: Beginning<'a>,
    has_no_system: bool,
    is_claude_code: bool,
    /// The last message that is not the system's, where it is the user's.
    last: Option<&'a Turn>,
    /// What that says, after reminders.
    says: Option<Beginning<'a>>,
    /// Whether it is the only one.
    is_alone: bool,
    tools: usize,
}

impl<'a> Said<'a> {
    fn of(system: Option<&'a str>, turns: &'a [Turn], tools: usize) -> Self {
        let (system, is_claude_code) = match system {
            Some(system) => without_preamble(system),
            None => own_system(turns),
        };
        let mut others = turns.iter().filter(|turn| turn.role != Role::System);
        let last = others.next_back();
        let is_alone = last.is_some() && others.next_back().is_none();
        let last = last.filter(|turn| turn.role == Role::User);
        let says = last.and_then(last_text).map(|text| Beginning::of(after_reminders(text)));
        let has_no_system = system.trim().is_empty();
        Self { system: Beginning::of(system), has_no_system, is_claude_code, last, says, is_alone, tools }
    }

    fn is(&self, place: Place, phrase: &str) -> bool {
        let says = || self.says.is_some_and(|text| text.is(phrase));
        match place {
            Place::System => self.tools == 0 && self.system.is(phrase),
            Place::Alone => self.tools == 0 && self.is_alone && says(),
            Place::AloneForSchema => self.tools <= 1 && self.is_alone && says(),
            Place::Last => says(),
            Place::BesideLast => self
                .last
                .is_some_and(|last| texts(last).take(TEXTS).any(|text| Beginning::of(text).is(phrase))),
            Place::WholeWithoutSystem => self.is_whole(phrase) && self.has_no_system,
            Place::WholeOfClaudeCode => self.is_whole(phrase) && self.is_claude_code,
        }
    }

    fn is_whole(&self, phrase: &str) -> bool {
        let own = || only_text(self.last?);
        self.is_alone && own() == Some(phrase)
    }
}

/// The system prompt among the turns, as [`without_preamble`] has it. Its blocks are texts of their own.
fn own_system(turns: &[Turn]) -> (&str, bool) {
    let mut is_claude_code = false;
    let Some(first) = turns.first().filter(|turn| turn.role == Role::System) else { return ("", false) };
    for text in texts(first).take(TEXTS) {
        let (own, is_known) = without_preamble(text);
        is_claude_code |= is_known;
        if !own.is_empty() {
            return (own, is_claude_code);
        }
    }
    ("", is_claude_code)
}

fn texts(turn: &Turn) -> impl DoubleEndedIterator<Item = &str> {
    turn.parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(&**text),
        _ => None,
    })
}

/// The last text of a message that is more than reminders.
fn last_text(turn: &Turn) -> Option<&str> {
    texts(turn).rev().take(TEXTS).find(|text| !after_reminders(text).is_empty())
}

/// What a message says, where one short text is all that it says besides reminders.
fn only_text(turn: &Turn) -> Option<&str> {
    let mut said = turn.parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(after_reminders(text)).filter(|text| !text.is_empty()),
        _ => Some(""),
    });
    let only = said.next()?;
    said.next().is_none().then(|| start(only).trim_end())
}

/// The text from the first that is not a reminder.
fn after_reminders(text: &str) -> &str {
    let mut rest = text.trim_start();
    while text.len() - rest.len() <= REMINDERS
        && let Some(after) = blocks::after_block(rest, REMINDERS)
    {
        rest = after.trim_start();
    }
    rest
}

/// The system prompt without the lines that Claude Code writes before every one, and whether they were there.
fn without_preamble(system: &str) -> (&str, bool) {
    let mut rest = system.trim_start();
    let mut is_claude_code = false;
    if let Some(header) = rest.strip_prefix("x-anthropic-billing-header:") {
        is_claude_code = true;
        rest = header.trim_start();
        // Its fields follow each other as `cc_version=2.1.329;`.
        while rest.starts_with("cc_") || rest.starts_with("cch=") {
            let Some(field) = start(rest).find(';') else { break };
            rest = rest.get(field + 1..).unwrap_or_default().trim_start();
        }
    }
    if let Some(after) = CLAUDE_CODE.iter().find_map(|line| rest.strip_prefix(line)) {
        is_claude_code = true;
        rest = after.trim_start();
    }
    (rest, is_claude_code)
}

/// How a text begins, to be compared with many phrases.
#[derive(Clone, Copy)]
struct Beginning<'a>(&'a str);

impl<'a> Beginning<'a> {
    fn of(text: &'a str) -> Self {
        Self(start(text).trim_start())
    }

    /// Whether it is this phrase, whatever white space stands between the words. A phrase with line breaks is looked
    /// for as it is.
    #[inline]
    fn is(self, phrase: &str) -> bool {
        // Most texts are another from the first letter on, and most of the others soon after.
        match (self.0.as_bytes().first(), phrase.as_bytes().first()) {
            (Some(said), Some(word))
                if said != word && said.is_ascii_graphic() && word.is_ascii_graphic() =>
            {
                false
            }
            _ => self.has_words(phrase),
        }
    }

    fn has_words(self, phrase: &str) -> bool {
        let text = self.0;
        let differ = |(said, word): &(u8, u8)| said != word;
        if let Some((said, word)) = text.bytes().zip(phrase.bytes()).find(differ)
            && said.is_ascii_graphic()
            && word.is_ascii_graphic()
        {
            return false;
        }
        if phrase.contains('\n') {
            return text.starts_with(phrase);
        }
        let mut said = text.split_whitespace();
        let mut words = phrase.split_whitespace().peekable();
        while let Some(word) = words.next() {
            let is_last = words.peek().is_none();
            let is_said = |other: &str| if is_last { other.starts_with(word) } else { other == word };
            if !said.next().is_some_and(is_said) {
                return false;
            }
        }
        true
    }
}

fn start(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LOOKED_AT)).unwrap_or(text)
}

fn end(text: &str) -> &str {
    let from = text.len().saturating_sub(LOOKED_AT);
    text.get(text.ceil_char_boundary(from)..).unwrap_or(text)
}
