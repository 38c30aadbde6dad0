//! What can be wrong with a configuration, and how it is told: place, path, what was found, what would be right.
//!
//! Two things are never told: a secret, and what an environment variable holds.

use std::fmt;
use std::io;

use serde::de;

use super::tree::{Node, Origin, Value};
use super::{PricesError, known, secret, variables};

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file}: cannot be read")]
    Unreadable {
        /// The file as it was named.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// The file is larger than any configuration.
    #[error("{file}: larger than {limit} bytes; not a configuration")]
    TooLarge {
        /// The file as it was named.
        file: String,
        /// The bound.
        limit: u64,
    },
    /// The file is not UTF-8.
    #[error("{file}:{line}:{column}: not UTF-8 from here on; a configuration is UTF-8 text")]
    NotUtf8 {
        /// The file as it was named.
        file: String,
        /// Where the first bad byte is.
        line: usize,
        /// Where the first bad byte is, in characters.
        column: usize,
    },
    /// Nobody said where to forward to.
    #[error("{place}{}", missing_provider(*base_url, *provider))]
    NoProvider {
        /// The file as it was named, with `: `, if there was one.
        place: String,
        /// Whether the base URL is missing.
        base_url: bool,
        /// Whether the type is missing.
        provider: bool,
    },
    /// The file at `pricing.file` is wrong.
    #[error("pricing.file")]
    Prices(#[from] PricesError),
    /// Something in it is wrong.
    #[error("{0}")]
    Invalid(Box<Diagnosis>),
}

fn missing_provider(base_url: bool, provider: bool) -> &'static str {
    match (base_url, provider) {
        (true, false) => {
            "no base URL to forward to: give --base-url URL, or LLM_BASE_URL in the environment, or llm.base_url in the file"
        }
        (false, true) => {
            "no type of provider: give --type openai|anthropic|gemini|auto|stackspot|claude_code, or LLM_TYPE in the environment, or llm.type in the file"
        }
        _ => {
            "no provider to forward to: give --base-url URL and --type openai|anthropic|gemini|auto, \
             or LLM_BASE_URL and LLM_TYPE in the environment, or llm.base_url and llm.type in a file with --config"
        }
    }
}

/// A problem, worded for people.
#[derive(Debug)]
pub struct Diagnosis {
    place: String,
    text: String,
    snippet: Option<String>,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)?;
        match &self.snippet {
            Some(snippet) => write!(f, "\n{snippet}"),
            None => Ok(()),
        }
    }
}

/// Something wrong at a node; the path grows as it travels up to the root.
#[derive(Debug)]
pub(crate) struct Problem {
    what: What,
    origin: Option<Origin>,
    /// From the innermost key outwards.
    path: Vec<Segment>,
    // Boxed to keep the error small.
    found: Option<Box<Found>>,
    about: About,
}

/// What is wrong.
#[derive(Debug)]
pub(super) enum What {
    /// Not YAML.
    Syntax(String),
    /// A key that stood before in the same mapping.
    Duplicate { first: Origin },
    /// A key that does not exist.
    UnknownKey { known: &'static [&'static str] },
    /// A name that is none of those.
    UnknownName { known: Vec<&'static str> },
    /// No interceptor is called that.
    UnknownInterceptor { known: Vec<&'static str> },
    /// A required key is not there.
    Missing(&'static str),
    /// A `${…}` that stands for nothing.
    Variable(String),
    /// Not a value of the right kind.
    Expected(String),
    /// Not a list, or not a mapping.
    Shape { expected: String, found: &'static str },
    /// Anything else.
    Other(String),
}

#[derive(Debug)]
enum Segment {
    Key(String),
    Index(usize),
}

/// Which part of an entry is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Key,
    Value,
}

/// What stood there instead.
#[derive(Debug)]
enum Found {
    Nothing,
    Text { text: String, quoted: bool },
    Reference(String),
    List,
    Map,
}

impl Problem {
    pub(super) fn new(what: What) -> Self {
        Self { what, origin: None, path: Vec::new(), found: None, about: About::Value }
    }

    /// Places it, unless it has its place already.
    pub(super) fn at(mut self, origin: Origin) -> Self {
        self.origin.get_or_insert(origin);
        self
    }

    /// Places it at `node`, and remembers what was found there.
    pub(super) fn at_node(mut self, node: &Node) -> Self {
        if self.origin.is_none() {
            self.origin = Some(node.origin);
            self.found = Some(Box::new(Found::of(node)));
        }
        self
    }

    /// Places it at the key itself.
    pub(super) fn at_key(mut self, origin: Origin, key: &str) -> Self {
        if self.origin.is_none() {
            self.origin = Some(origin);
            self.about = About::Key;
            self.path.push(Segment::Key(key.to_owned()));
        }
        self
    }

    /// It lies in the value of `key`.
    pub(super) fn within_key(mut self, key: &str) -> Self {
        self.path.push(Segment::Key(key.to_owned()));
        self
    }

    /// It lies in the `index`th element, counted from 0.
    pub(super) fn within_index(mut self, index: usize) -> Self {
        self.path.push(Segment::Index(index));
        self
    }

    /// It lies in `path`, written with dots.
    pub(super) fn within(mut self, path: &str) -> Self {
        self.path.extend(path.rsplit('.').map(|key| Segment::Key(key.to_owned())));
        self
    }

    /// Whether a required key is not there.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self.what, What::Missing(_))
    }

    /// Words it. `file` is the file's name and its text.
    pub(super) fn into_error(self, file: Option<(&str, &str)>) -> ConfigError {
        ConfigError::Invalid(Box::new(self.diagnose(file)))
    }

    fn diagnose(self, file: Option<(&str, &str)>) -> Diagnosis {
        let name = file.map_or("configuration", |(name, _)| name);
        let (place, path) = match self.origin {
            Some(Origin::File { line, column }) => (format!("{name}:{line}:{column}"), self.path()),
            Some(Origin::Flag(flag)) => (flag.to_owned(), String::new()),
            Some(Origin::Variable(variable)) => (variable.to_owned(), String::new()),
            Some(Origin::Nowhere) | None => (name.to_owned(), self.path()),
        };
        let path = if path.is_empty() { path } else { format!("{path}: ") };
        let text = format!("{path}{}", self.message());
        let snippet = file.and_then(|(_, source)| self.snippet(source));
        Diagnosis { place, text, snippet }
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for segment in self.path.iter().rev() {
            match segment {
                Segment::Key(key) => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(&shown_key(key));
                }
                Segment::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }

    fn message(&self) -> String {
        match &self.what {
            What::Syntax(message) | What::Variable(message) => message.clone(),
            What::Duplicate { first } => match first {
                Origin::File { line, .. } => {
                    format!("this key stands here a second time; first in line {line}")
                }
                _ => "this key stands here a second time".to_owned(),
            },
            What::UnknownKey { known } => unknown_key(&self.last_key(), known),
            What::UnknownName { known } => self.with_found(&suggestion(self.found_text(), known)),
            What::UnknownInterceptor { known } => {
                self.with_found(&format!("no such interceptor; {}", suggestion(self.found_text(), known)))
            }
            What::Missing(key) => format!("`{key}` is missing"),
            What::Expected(expected) => self.with_found(&format!("expected {expected}")),
            What::Shape { expected, found } => format!("found {found}; expected {expected}"),
            What::Other(message) => self.with_found(message),
        }
    }

    fn with_found(&self, message: &str) -> String {
        match self.found.as_deref() {
            Some(found) if self.may_be_shown() => format!("found {found}; {message}"),
            Some(Found::List) => format!("found a list; {message}"),
            Some(Found::Map) => format!("found a mapping; {message}"),
            _ => message.to_owned(),
        }
    }

    fn found_text(&self) -> &str {
        match self.found.as_deref() {
            Some(Found::Text { text, .. }) if self.may_be_shown() => text,
            _ => "",
        }
    }

    /// Whether what was found is neither a secret nor out of the environment.
    fn may_be_shown(&self) -> bool {
        let keys = self.path.iter().filter_map(|segment| match segment {
            Segment::Key(key) => Some(key),
            Segment::Index(_) => None,
        });
        let text = match self.found.as_deref() {
            Some(Found::Text { text, .. } | Found::Reference(text)) => text.as_str(),
            _ => "",
        };
        !matches!(self.origin, Some(Origin::Variable(_)))
            && !keys.into_iter().any(|key| secret::is_secret_name(key))
            && !secret::looks_secret(text)
    }

    fn last_key(&self) -> String {
        match self.path.first() {
            Some(Segment::Key(key)) => shown_key(key),
            _ => String::new(),
        }
    }

    /// The line of the file with a caret, where nothing but this key and this value can be on it.
    fn snippet(&self, source: &str) -> Option<String> {
        let Some(Origin::File { line, column }) = self.origin else { return None };
        let text = source.lines().nth(line.checked_sub(1)?)?;
        let before: String = text.chars().take(column.checked_sub(1)?).collect();
        if before.len() > 100 || !is_plain_lead(&before) {
            return None;
        }
        let shown = match (self.about, self.found.as_deref()) {
            (About::Key, _) => self.last_key(),
            (About::Value, Some(Found::Text { text: shown, .. } | Found::Reference(shown)))
                if self.may_be_shown() =>
            {
                let rest: String = text.chars().skip(column - 1).collect();
                let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
                quote.map_or_else(|| shown.clone(), |quote| format!("{quote}{shown}{quote}"))
            }
            _ => return None,
        };
        if shown.chars().count() > 60 || shown.chars().any(char::is_control) {
            return None;
        }
        let rest = if self.about == About::Key { ": …" } else { "" };
        let number = line.to_string();
        let gutter = " ".repeat(number.len());
        let indent = " ".repeat(before.chars().count());
        let caret = "^".repeat(shown.chars().count().max(1));
        Some(format!("{gutter} |\n{number} | {before}{shown}{rest}\n{gutter} | {indent}{caret}"))
    }
}

/// Whether `before` is only what leads to an entry: blanks, dashes and one key.
fn is_plain_lead(before: &str) -> bool {
    let key = before.trim_start_matches([' ', '-']).trim_end();
    key.is_empty()
        || key.strip_suffix(':').is_some_and(|key| {
            key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
                && !secret::is_secret_name(key)
        })
}

fn unknown_key(key: &str, known: &[&'static str]) -> String {
    if let Some(nearest) = nearest(key, known) {
        return format!("unknown key; did you mean `{nearest}`?");
    }
    let sections: Vec<_> = known::sections_of(key).iter().map(|section| format!("`{section}`")).collect();
    if sections.is_empty() {
        return format!("unknown key; known here: {}", known.join(", "));
    }
    format!("unknown key here; `{key}` stands in {}", sections.join(" or "))
}

fn suggestion(name: &str, known: &[&'static str]) -> String {
    match nearest(name, known) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("expected one of {}", known.join(", ")),
    }
}

/// The name that `word` is a misspelling of.
pub(super) fn nearest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    let word: String = word.to_lowercase().replace('-', "_").chars().take(64).collect();
    let distance = |name: &str| strsim::damerau_levenshtein(&word, name);
    let (best, name) =
        known.iter().map(|name| (distance(name), *name)).min_by_key(|(distance, _)| *distance)?;
    (best <= (word.chars().count() / 3).max(1) && best < name.len()).then_some(name)
}

impl Found {
    fn of(node: &Node) -> Self {
        match &node.value {
            Value::Null => Self::Nothing,
            Value::Scalar(scalar) if !scalar.literal && variables::refers(&scalar.text) => {
                Self::Reference(scalar.text.clone())
            }
            Value::Scalar(scalar) => {
                Self::Text { text: scalar.text.clone(), quoted: scalar.kind == super::tree::Kind::Text }
            }
            Value::List(_) => Self::List,
            Value::Map(_) => Self::Map,
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Text { text, quoted: true } => write!(f, "\"{}\"", printable(text)),
            Self::Text { text, quoted: false } => f.write_str(&printable(text)),
            Self::Reference(text) => write!(f, "what {} stands for", printable(text)),
            Self::List => f.write_str("a list"),
            Self::Map => f.write_str("a mapping"),
        }
    }
}

/// A key as it may be shown: where a colon went missing, a secret is one.
fn shown_key(key: &str) -> String {
    if secret::looks_secret(key) { "***".to_owned() } else { printable(key) }
}

/// `text` without control characters, and not endless.
fn printable(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut out: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out.replace("\\\"", "\"").replace("\\'", "'")
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl std::error::Error for Problem {}

/// What derived readers report. The values they would show stay out; [`Problem::at_node`] knows better.
impl de::Error for Problem {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(What::Other(message.to_string()))
    }

    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(What::Expected(expected.to_string()))
    }

    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(What::Expected(expected.to_string()))
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::new(What::UnknownName { known: known.to_vec() })
    }

    fn unknown_field(_: &str, known: &'static [&'static str]) -> Self {
        Self::new(What::UnknownKey { known })
    }

    fn missing_field(key: &'static str) -> Self {
        Self::new(What::Missing(key))
    }
}
