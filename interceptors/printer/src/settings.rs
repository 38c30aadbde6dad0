use serde::Deserialize;

/// What is printed, and how: the `config` of the interceptor `printer`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Settings {
    /// How it is laid out.
    pub format: Format,
    /// What the app said: the user's text, and the tools' answers.
    pub log_requests: bool,
    /// What the model said: its answer, the tools that it asks for, why it stopped.
    pub log_responses: bool,
    /// Whole texts in place of their first lines.
    pub log_body: bool,
    /// Sessions: those that the client named with their first call, others with their second; and each call that is no
    /// simple next turn of its session.
    pub show_sessions: bool,
    /// Calls as blocks. Otherwise each is one line, as any other exchange.
    pub show_llm_calls: bool,
    /// Tools: those offered, asked for, and their answers.
    pub show_tools: bool,
    /// Keys, tokens and passwords, wherever they stand in what is printed, are masked.
    pub redact_credentials: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            format: Format::Compact,
            log_requests: true,
            log_responses: true,
            log_body: false,
            show_sessions: true,
            show_llm_calls: true,
            show_tools: true,
            redact_credentials: true,
        }
    }
}

impl Settings {
    /// Whether texts are shown whole.
    pub(crate) fn whole(&self) -> bool {
        self.log_body || self.format == Format::Full
    }
}

/// A layout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Format {
    /// A head line for each call, and the first lines of what was said.
    #[default]
    Compact,
    /// The same with all that is new in the conversation, thinking, the tools offered, and how a stream came;
    /// nothing cut but what is very long.
    Full,
    /// One JSON object a line.
    Json,
}
