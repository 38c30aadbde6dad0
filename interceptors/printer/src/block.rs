//! What is printed of one call: its head line, and beneath it what was said.

use perimeter_interceptor::{Answer, Client, Cx, Media, Part, Relation, Role, Session, ToolUse, Turn};

use crate::call::{Answered, Shown};
use crate::exchange::Following;
use crate::look::Look;
use crate::paint::Ink;
use crate::problem::{Problem, Weight, problems};
use crate::redaction::{self, Redaction};
use crate::settings::{Format, Settings};
use crate::{head, measure, stream, text};

/// The most rows of a text that is shown whole.
const LONG_TEXT: usize = 40;

/// The most rows of what was asked; as many again may be answered.
const LONG_SECTION: usize = 100;

/// The most characters of an excerpt where no terminal says how wide it is.
const LONG_EXCERPT: usize = 400;

/// The most tool calls, and the most results, in a compact block.
const FEW: usize = 8;

/// Room for most blocks, bytes.
const ROOM: usize = 1 << 10;

/// Prints a call, or an exchange that has none, as a block of lines.
pub(crate) fn block(
    settings: &Settings,
    look: &Look,
    cx: Cx<'_>,
    exchange: &Following,
    call: Option<&Shown>,
) -> String {
    let width = look.columns();
    let layout = Layout::new(settings, width, look.colour());
    let shown = call.filter(|_| settings.show_llm_calls);
    let mut out = String::with_capacity(ROOM);
    head::line(cx, exchange, shown, width, look.zone(), layout.redaction).draw(look.colour(), &mut out);
    out.push('\n');
    for line in shown.map(|call| layout.call(call)).into_iter().flatten() {
        out.push_str(&line);
        out.push('\n');
    }
    for line in shown.map(|call| layout.stream(exchange, call)).into_iter().flatten() {
        out.push_str(&line);
        out.push('\n');
    }
    for line in problems(exchange, call).iter().flat_map(|problem| layout.problem(problem)) {
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// The sign in front of a text, and how the text is drawn.
#[derive(Clone, Copy)]
struct Mark(&'static str, Ink, Ink);

const SESSION: Mark = Mark("#", Ink::Magenta, Ink::Dim);
const OFFERED: Mark = Mark("·", Ink::Dim, Ink::Dim);
const SYSTEM: Mark = Mark("§", Ink::Magenta, Ink::Dim);
const USER: Mark = Mark("›", Ink::Cyan, Ink::Plain);
const MEDIA: Mark = Mark("+", Ink::Cyan, Ink::Dim);
const RESULT: Mark = Mark("←", Ink::Blue, Ink::Dim);
const BAD_RESULT: Mark = Mark("←", Ink::Red, Ink::Dim);
const THINKING: Mark = Mark("~", Ink::Dim, Ink::Dim);
const ANSWER: Mark = Mark("‹", Ink::Green, Ink::Plain);
const TOOL_USE: Mark = Mark("→", Ink::Yellow, Ink::Plain);
const UNMARKED: Mark = Mark(" ", Ink::Plain, Ink::Dim);
const NOTE: Mark = Mark("!", Ink::Yellow, Ink::Plain);
const PROBLEM: Mark = Mark("✗", Ink::Red, Ink::Red);

/// How much of a text is shown.
#[derive(Clone, Copy)]
enum Extent {
    /// So many rows, with white space and line breaks as single blanks.
    Squeezed(usize),
    /// Its first rows.
    First(usize),
    /// All of it, unless it is very long.
    Whole,
}

/// Room for a mark and the colours of a row, bytes.
const AROUND: usize = 40;

struct Layout<'a> {
    settings: &'a Settings,
    /// Columns for text, behind indentation and mark.
    width: Option<usize>,
    indent: &'static str,
    colour: bool,
    redaction: Redaction,
}

impl<'a> Layout<'a> {
    fn new(settings: &'a Settings, width: Option<usize>, colour: bool) -> Self {
        // The times stand alone in the margin, where there is room for one.
        let indent = if width.is_none_or(|width| width >= 60) { "        " } else { "  " };
        debug_assert!(indent.len() <= head::TIME);
        Self {
            settings,
            width: width.map(|width| width - indent.len() - 2),
            indent,
            colour,
            redaction: Redaction::of(settings),
        }
    }

    fn extent(&self, excerpt: Extent) -> Extent {
        if self.settings.whole() { Extent::Whole } else { excerpt }
    }

    /// A text behind its mark; of its words, `lead` is drawn bold if it begins with that.
    fn text(&self, mark: Mark, lead: &str, text: &str, extent: Extent) -> Vec<String> {
        let text = text.trim_end();
        let beyond = text.len().saturating_sub(redaction::LONG);
        let text = &self.redaction.long(text);
        let most = if self.width.is_some() { usize::MAX } else { LONG_EXCERPT };
        match extent {
            Extent::Squeezed(rows) => {
                let most = self.width.map_or(LONG_EXCERPT, |width| (rows + 1) * width);
                let rows = text::first_rows(&text::squeeze(text, most), self.width, rows);
                self.rows(mark, lead, &rows)
            }
            Extent::First(rows) => {
                self.rows(mark, lead, &text::first_rows(&text::start(text, most), self.width, rows))
            }
            Extent::Whole => {
                let (rows, more) = text::long_rows(text, beyond, self.width, LONG_TEXT);
                let mut lines = self.rows(mark, lead, &rows);
                lines.extend(more.map(|more| self.row(UNMARKED, "", &format!("… {more}"))));
                lines
            }
        }
    }

    fn rows(&self, mark: Mark, lead: &str, rows: &[String]) -> Vec<String> {
        let Some((first, others)) = rows.split_first() else { return Vec::new() };
        let mut lines = vec![self.row(mark, lead, first)];
        lines.extend(others.iter().map(|row| self.row(Mark(" ", Ink::Plain, mark.2), "", row)));
        lines
    }

    fn row(&self, mark: Mark, lead: &str, row: &str) -> String {
        if row.is_empty() {
            return String::new();
        }
        let mut line = String::with_capacity(self.indent.len() + row.len() + AROUND);
        line.push_str(self.indent);
        mark.1.draw(mark.0, self.colour, &mut line);
        line.push(' ');
        match row.strip_prefix(lead) {
            Some(rest) => {
                Ink::Bold.draw(lead, self.colour, &mut line);
                mark.2.draw(rest, self.colour, &mut line);
            }
            None => mark.2.draw(row, self.colour, &mut line),
        }
        line
    }

    fn call(&self, call: &Shown) -> Vec<String> {
        let mut lines = self.session(call);
        if self.settings.log_requests {
            lines.extend(match self.settings.format {
                Format::Full => self.conversation(call),
                _ => self.asked(call),
            });
        }
        if self.settings.log_responses {
            lines.extend(self.answered(call));
        }
        lines
    }

    /// The session, where it begins or the call is no simple next turn of it.
    fn session(&self, call: &Shown) -> Vec<String> {
        let session = &call.session;
        let words = in_words(session.relation, session.parent);
        // One that nobody named is worth a word once a second call belongs to it.
        let begins = if session.told { session.is_new } else { session.call == 2 };
        if !self.settings.show_sessions || !begins && words.is_none() {
            return Vec::new();
        }
        let id = self.redaction.long(&session.id);
        let id = if is_drawn(&id) { beginning(&id) } else { &id };
        let maker = if begins { maker(session) } else { None };
        let told: Vec<_> = [Some(format!("session {id}")), maker, words].into_iter().flatten().collect();
        self.text(SESSION, "", &told.join(", "), Extent::Squeezed(1))
    }

    /// What the call brought, shortly.
    fn asked(&self, call: &Shown) -> Vec<String> {
        let asked = &call.asked;
        let mut lines = Vec::new();
        lines.extend(asked.media.iter().take(FEW).flat_map(|media| self.media(media)));
        if let Some(user) = &asked.user {
            lines.extend(self.text(USER, "", user, self.extent(Extent::Squeezed(2))));
        }
        if self.settings.show_tools {
            lines.extend(asked.results.iter().take(FEW).flat_map(|result| self.result(result)));
            lines.extend(self.more(asked.results.len(), "results"));
        }
        self.bounded(lines, LONG_SECTION)
    }

    fn result(&self, result: &Answered) -> Vec<String> {
        let mark = if result.is_error { BAD_RESULT } else { RESULT };
        let tool = result.tool.as_deref().unwrap_or_default();
        self.text(mark, tool, format!("{tool} {}", result.text).trim(), self.extent(Extent::Squeezed(1)))
    }

    fn media(&self, media: &Media) -> Vec<String> {
        let kind = media.media_type.as_deref().unwrap_or(&media.kind);
        let text = match media.size {
            // Only referred to.
            0 => kind.to_owned(),
            size => format!("{kind} {}", measure::bytes(size)),
        };
        self.text(MEDIA, "", &text, Extent::Squeezed(1))
    }

    /// The line that stands for what is more than a few.
    fn more(&self, count: usize, what: &str) -> Vec<String> {
        match count.checked_sub(FEW) {
            None | Some(0) => Vec::new(),
            Some(more) => self.text(OFFERED, "", &format!("… {more} more {what}"), Extent::Squeezed(1)),
        }
    }

    /// All that is new, the latest if it is very much.
    fn conversation(&self, call: &Shown) -> Vec<String> {
        let mut lines = Vec::new();
        let tools = &call.asked.tools;
        if self.settings.show_tools && !tools.is_empty() {
            let names = tools.iter().map(|name| &**name).collect::<Vec<_>>().join(", ");
            let plural = if tools.len() == 1 { "" } else { "s" };
            lines = self.text(
                OFFERED,
                "",
                &format!("{} tool{plural}: {names}", tools.len()),
                Extent::Squeezed(6),
            );
        }
        let mut latest: Vec<Vec<String>> = Vec::new();
        let mut room = LONG_SECTION.saturating_sub(lines.len() + 1);
        let turns = &call.asked.turns;
        for turn in turns.iter().rev() {
            let turn = self.turn(turn);
            if turn.len() > room {
                break;
            }
            room -= turn.len();
            latest.push(turn);
        }
        let earlier = turns.len() - latest.len();
        if earlier > 0 {
            lines.extend(self.text(OFFERED, "", &format!("… {earlier} earlier turns"), Extent::Squeezed(1)));
        }
        lines.extend(latest.into_iter().rev().flatten());
        lines
    }

    fn turn(&self, turn: &Turn) -> Vec<String> {
        let mark = match &turn.role {
            Role::System => SYSTEM,
            Role::Assistant => ANSWER,
            Role::Tool => RESULT,
            _ => USER,
        };
        let lines = turn.parts.iter().flat_map(|part| self.part(mark, part)).collect();
        // Room for the latest turn, whatever it is.
        self.bounded(lines, LONG_SECTION / 2)
    }

    /// At most `most` of the lines, the last to say how many there are more.
    fn bounded(&self, mut lines: Vec<String>, most: usize) -> Vec<String> {
        if lines.len() > most {
            let more = lines.len() - (most - 1);
            lines.truncate(most - 1);
            lines.push(self.row(OFFERED, "", &format!("… {more} more lines")));
        }
        lines
    }

    fn part(&self, mark: Mark, part: &Part) -> Vec<String> {
        let all = self.settings.format == Format::Full;
        match part {
            Part::Text(text) | Part::Refusal(text) => {
                self.text(mark, "", text, self.extent(Extent::First(3)))
            }
            Part::Thinking(text) if all => self.text(THINKING, "", text, Extent::Whole),
            Part::ToolUse(tool) if self.settings.show_tools => self.tool_use(tool),
            Part::ToolResult(result) if self.settings.show_tools => {
                let mark = if result.is_error { BAD_RESULT } else { RESULT };
                self.text(mark, "", &result.text, self.extent(Extent::Squeezed(1)))
            }
            Part::Media(media) => self.media(media),
            Part::Other(kind) if all => self.text(OFFERED, "", kind, Extent::Squeezed(1)),
            _ => Vec::new(),
        }
    }

    fn tool_use(&self, tool: &ToolUse) -> Vec<String> {
        let text = format!("{} {}", tool.name, tool.input);
        self.text(TOOL_USE, &tool.name, text.trim(), self.extent(Extent::Squeezed(2)))
    }

    fn answered(&self, call: &Shown) -> Vec<String> {
        let few = if self.settings.whole() { usize::MAX } else { 2 };
        let mut lines: Vec<String> =
            call.answers.iter().take(few).flat_map(|answer| self.answer(answer, call.is_whole())).collect();
        let more = call.answers.len().saturating_sub(few);
        if more > 0 {
            lines.extend(self.text(OFFERED, "", &format!("… {more} more answers"), Extent::Squeezed(1)));
        }
        self.bounded(lines, LONG_SECTION)
    }

    fn answer(&self, answer: &Answer, is_whole: bool) -> Vec<String> {
        let is_tool = |part: &&Part| matches!(part, Part::ToolUse(_));
        let tools = answer.parts.iter().filter(is_tool).count();
        let few = if self.settings.whole() { usize::MAX } else { FEW };
        let mut lines = Vec::new();
        let mut seen = 0;
        for part in joined(&answer.parts) {
            seen += usize::from(is_tool(&&part));
            // What is said behind many tools that the provider ran is the answer.
            if seen <= few || !matches!(part, Part::ToolUse(_) | Part::ToolResult(_)) {
                lines.extend(self.part(ANSWER, &part));
            } else if self.settings.show_tools && is_tool(&&part) && seen == few + 1 {
                lines.extend(self.more(tools, "tool calls"));
            }
        }
        let stop = answer.stop.as_deref().filter(|stop| !is_usual(stop) && (is_whole || !is_state(stop)));
        lines.extend(stop.into_iter().flat_map(|stop| self.stopped(stop)));
        lines
    }

    /// How the answer came, where all is shown.
    fn stream(&self, exchange: &Following, call: &Shown) -> Vec<String> {
        if self.settings.format != Format::Full {
            return Vec::new();
        }
        let lines = stream::lines(exchange, call);
        lines.iter().flat_map(|line| self.text(OFFERED, "", line, Extent::Whole)).collect()
    }

    fn stopped(&self, stop: &str) -> Vec<String> {
        let text = if is_state(stop) { stop.to_owned() } else { format!("stopped: {stop}") };
        self.text(NOTE, "", &text, Extent::Squeezed(1))
    }

    fn problem(&self, problem: &Problem) -> Vec<String> {
        let (mark, text) = match problem.weight {
            Weight::Error if problem.message.trim().is_empty() => {
                (PROBLEM, format!("{}: the provider did not say why", problem.kind))
            }
            Weight::Error => (PROBLEM, format!("{}: {}", problem.kind, problem.message)),
            Weight::Grave => (PROBLEM, problem.message.clone()),
            Weight::Note => (NOTE, problem.message.clone()),
        };
        self.text(mark, "", &text, Extent::Whole)
    }
}

/// The parts, texts that follow each other as one: providers cut them where they cite.
fn joined(parts: &[Part]) -> Vec<Part> {
    let mut all: Vec<Part> = Vec::with_capacity(parts.len());
    for part in parts {
        match (all.last_mut(), part) {
            (Some(Part::Text(before)), Part::Text(text)) => *before = format!("{before}{text}").into(),
            _ => all.push(part.clone()),
        }
    }
    all
}

/// Whether an answer has not stopped: it is made in the background, or broke off on its way here.
fn is_state(stop: &str) -> bool {
    matches!(stop, "queued" | "in_progress")
}

/// Who makes the calls of a session: the agent that the client names, else what it is known by.
fn maker(session: &Session) -> Option<String> {
    let version = |client: &Client| match &client.version {
        Some(version) => format!("{} {version}", client.name),
        None => client.name.to_string(),
    };
    match (&session.agent.told, &session.agent.name, &session.client) {
        (Some(agent), ..) => Some(format!("agent {agent}")),
        (None, Some(name), Some(client)) if *name == client.name => Some(version(client)),
        (None, Some(name), _) => Some(name.to_string()),
        (None, None, client) => client.as_deref().map(version),
    }
}

/// How a call follows from another, where that is worth a word.
fn in_words(relation: Relation, parent: Option<u32>) -> Option<String> {
    let (of, alone) = match relation {
        Relation::Retry => ("retry of", "retry"),
        Relation::Regenerate => ("another answer to", "another answer"),
        Relation::Edit => ("edited after", "edited"),
        Relation::Fork => ("forked after", "forked"),
        Relation::Compaction => ("compacted after", "compacted"),
        Relation::Truncation => ("shortened after", "shortened"),
        Relation::SubAgent => ("sub-agent of", "sub-agent"),
        Relation::Side => ("beside", "side call"),
        _ => return None,
    };
    Some(parent.map_or_else(|| alone.to_owned(), |parent| format!("{of} call {parent}")))
}

/// Whether a session's name was drawn by a program, so that its beginning tells it from others as well as all of it.
fn is_drawn(id: &str) -> bool {
    id.len() >= 16 && id.chars().all(|sign| sign.is_ascii_hexdigit() || sign == '-')
}

/// As much of a drawn name as tells it from others. A UUID of version 7 begins with the time, and its first eight digits
/// are the same for a minute.
fn beginning(id: &str) -> &str {
    let length = if id.as_bytes().get(14) == Some(&b'7') { 13 } else { 8 };
    id.get(..length).unwrap_or(id)
}

/// Whether models stop for this reason unless something is the matter.
fn is_usual(stop: &str) -> bool {
    matches!(stop, "stop" | "STOP" | "end_turn" | "completed" | "tool_calls" | "tool_use" | "function_call")
}
