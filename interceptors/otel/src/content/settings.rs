//! What a configuration says of content, and the environment.

use perimeter_settings::size;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected};

/// Where content goes: what was asked and answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Capture {
    /// Nowhere.
    #[default]
    None,
    /// Into attributes of spans, as JSON.
    Span,
    /// Into log records, structured.
    Event,
    /// Into both.
    SpanAndEvent,
}

impl Capture {
    /// The environment variable that says where content goes, by the conventions.
    pub(crate) const VARIABLE: &str = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT";

    /// What that variable may say. `true` is from before there were more.
    pub(crate) const WORDS: [(&str, Self); 6] = [
        ("no_content", Self::None),
        ("span_only", Self::Span),
        ("event_only", Self::Event),
        ("span_and_event", Self::SpanAndEvent),
        ("true", Self::Span),
        ("false", Self::None),
    ];

    /// Its name in a configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Span => "span",
            Self::Event => "event",
            Self::SpanAndEvent => "span_and_event",
        }
    }

    /// Whether spans have it.
    pub(crate) fn on_spans(self) -> bool {
        matches!(self, Self::Span | Self::SpanAndEvent)
    }

    /// Whether log records have it.
    pub(crate) fn on_events(self) -> bool {
        matches!(self, Self::Event | Self::SpanAndEvent)
    }
}

/// Which messages of a request are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Messages {
    /// All that the model is sent, as the conventions have it: also those that earlier calls told.
    #[default]
    All,
    /// Those that no earlier call of the session had.
    New,
}

/// How much of the tools that the model may ask for is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ToolDefinitions {
    /// Their names and types.
    #[default]
    Names,
    /// What they are for, and what they take, too.
    Full,
}

/// What is told of content, and how.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where content goes. Where this says nothing, the environment variable
    /// `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` does, and where that says nothing, nowhere.
    pub(crate) capture: Option<Capture>,
    /// Which messages of a request are told.
    pub(crate) messages: Messages,
    /// The most of one part's text that is told, in bytes, before it is written as JSON.
    #[serde(deserialize_with = "part")]
    pub(crate) max_part: u64,
    /// The most that one attribute may have, in bytes of JSON.
    #[serde(deserialize_with = "attribute")]
    pub(crate) max_attribute: u64,
    /// How much of the tools is told.
    pub(crate) tool_definitions: ToolDefinitions,
    /// Whether secrets in content are replaced by `[REDACTED]`.
    pub(crate) redact_credentials: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            capture: None,
            messages: Messages::All,
            max_part: 8 << 10,
            max_attribute: 64 << 10,
            tool_definitions: ToolDefinitions::Names,
            redact_credentials: true,
        }
    }
}

/// The smallest `max_part`: room for what says how much was left out, and a little more.
const PART: u64 = 64;

/// The smallest `max_attribute`.
const ATTRIBUTE: u64 = 1 << 10;

fn part<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    at_least(PART, "a size of 64B or more", deserializer)
}

fn attribute<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    at_least(ATTRIBUTE, "a size of 1KiB or more", deserializer)
}

fn at_least<'de, D: Deserializer<'de>>(
    least: u64,
    expected: &'static str,
    deserializer: D,
) -> Result<u64, D::Error> {
    let bytes = size::deserialize(deserializer)?;
    let found = Unexpected::Unsigned(bytes);
    (bytes >= least).then_some(bytes).ok_or_else(|| D::Error::invalid_value(found, &expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Settings, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_captured_unless_it_is_asked_for() {
        let settings = read("{}").unwrap();
        assert_eq!(settings, Settings::default());
        assert_eq!(settings.capture, None);
        assert_eq!((settings.max_part, settings.max_attribute), (8192, 65536));
        assert_eq!(settings.messages, Messages::All);
        assert_eq!(settings.tool_definitions, ToolDefinitions::Names);
        assert!(settings.redact_credentials);
    }

    #[test]
    fn content_goes_where_it_is_told_to() {
        let goes = |capture: Capture| (capture.on_spans(), capture.on_events());
        assert_eq!(goes(Capture::None), (false, false));
        assert_eq!(goes(Capture::Span), (true, false));
        assert_eq!(goes(Capture::Event), (false, true));
        assert_eq!(goes(Capture::SpanAndEvent), (true, true));
    }

    #[test]
    fn every_setting_is_read() {
        let settings = read(
            r#"{"capture": "span_and_event", "messages": "new", "max_part": "1KiB", "max_attribute": 4096,
                "tool_definitions": "full", "redact_credentials": false}"#,
        );
        let expected = Settings {
            capture: Some(Capture::SpanAndEvent),
            messages: Messages::New,
            max_part: 1024,
            max_attribute: 4096,
            tool_definitions: ToolDefinitions::Full,
            redact_credentials: false,
        };
        assert_eq!(settings, Ok(expected));
    }

    #[test]
    fn what_cannot_be_says_what_could() {
        for (json, said) in [
            (r#"{"capture": "all"}"#, "`span_and_event`"),
            (r#"{"max_part": 3}"#, "64B or more"),
            (r#"{"max_attribute": "1B"}"#, "1KiB or more"),
            (r#"{"max_attribute": "much"}"#, "64MiB"),
            (r#"{"messages": "some"}"#, "`new`"),
            (r#"{"max_parts": 3}"#, "`max_part`"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(said), "{json}: {error}");
        }
    }
}
