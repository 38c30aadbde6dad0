//! Why there is no answer, or no more of it; and how each door says so.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    /// What kind of reason it is.
    pub kind: Kind,
    /// For people. Never a credential, never a backend's own address.
    pub message: String,
    /// The parameter that is to blame.
    pub param: Option<Cow<'static, str>>,
    /// When it is worth asking again.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure of this kind.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), param: None, retry_after: None }
    }

    /// A request that cannot be read, because of `param`.
    pub(crate) fn invalid(param: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..Self::new(Kind::Invalid, message) }
    }

    /// A request that asks, with `param`, for what cannot be had here.
    pub(crate) fn unsupported(param: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..Self::new(Kind::Unsupported, message) }
    }

    /// Worth asking again in this time.
    #[must_use]
    pub(crate) fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

/// The kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request cannot be read.
    Invalid,
    /// A parameter changes what the answer means, and cannot be honoured.
    Unsupported,
    /// An image or a file that this backend cannot take.
    UnsupportedContent,
    /// More than the model can read.
    TooLong,
    /// The body is larger than `llm.bridge.body_limit`.
    TooLarge,
    /// No such model.
    UnknownModel,
    /// Nothing at this path, or no such thing by this id.
    NotFound,
    /// No such session of this caller.
    UnknownSession,
    /// No such project of this caller.
    UnknownProject,
    /// Not with this method.
    Method,
    /// The session is at work for another request.
    Busy,
    /// Too many requests of the client.
    RateLimit,
    /// Too many wait already.
    QueueFull,
    /// It waited too long.
    QueueTimeout,
    /// The backend does not take our credential, or does not let us do this.
    UpstreamAuth,
    /// No money left at the backend.
    Quota,
    /// The backend has too much to do.
    Overloaded,
    /// The backend failed.
    Upstream,
    /// The backend took too long.
    UpstreamTimeout,
    /// The model did not use the tool that it had to, or gave it what it does not take.
    ToolChoiceUnmet,
    /// The model's answer is not what `response_format` asked for.
    FormatUnmet,
    /// The backend is not installed, not logged in, not configured.
    Unavailable,
}

impl Kind {
    /// The status of a response that says so, through OpenAI's doors; through Anthropic's too, but for
    /// [`Kind::anthropic_status`].
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Invalid | Self::Unsupported | Self::UnsupportedContent | Self::TooLong => {
                StatusCode::BAD_REQUEST
            }
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnknownModel | Self::NotFound | Self::UnknownSession | Self::UnknownProject => {
                StatusCode::NOT_FOUND
            }
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Busy => StatusCode::CONFLICT,
            Self::RateLimit | Self::QueueFull | Self::QueueTimeout => StatusCode::TOO_MANY_REQUESTS,
            Self::Quota => StatusCode::PAYMENT_REQUIRED,
            Self::Overloaded | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::UpstreamAuth | Self::Upstream | Self::ToolChoiceUnmet | Self::FormatUnmet => {
                StatusCode::BAD_GATEWAY
            }
            Self::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// As [`Kind::status`], where Anthropic has one of its own: 529 (<https://docs.claude.com/en/api/errors>).
    pub(crate) fn anthropic_status(self) -> StatusCode {
        match self {
            Self::QueueFull | Self::QueueTimeout | Self::Overloaded => {
                StatusCode::from_u16(529).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
            }
            other => other.status(),
        }
    }

    /// OpenAI's `error.code`.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Invalid => "invalid_request_error",
            Self::Unsupported => "unsupported_parameter",
            Self::UnsupportedContent => "unsupported_content",
            Self::TooLong => "context_length_exceeded",
            Self::TooLarge => "request_too_large",
            Self::UnknownModel => "model_not_found",
            Self::NotFound => "not_found",
            Self::UnknownSession => "session_not_found",
            Self::UnknownProject => "project_not_found",
            Self::Method => "method_not_allowed",
            Self::Busy => "session_busy",
            Self::RateLimit => "rate_limit_exceeded",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::UpstreamAuth => "upstream_auth",
            Self::Quota => "insufficient_quota",
            Self::Overloaded => "overloaded",
            Self::Upstream => "upstream_error",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::ToolChoiceUnmet => "tool_choice_unmet",
            Self::FormatUnmet => "response_format_unmet",
            Self::Unavailable => "bridge_unavailable",
        }
    }

    /// OpenAI's `error.type`.
    pub(crate) fn openai_type(self) -> &'static str {
        match self {
            Self::RateLimit | Self::QueueFull | Self::QueueTimeout => "rate_limit_error",
            Self::Quota => "insufficient_quota",
            kind if kind.status().is_client_error() => "invalid_request_error",
            _ => "server_error",
        }
    }

    /// Anthropic's `error.type` (<https://docs.claude.com/en/api/errors>).
    pub(crate) fn anthropic_type(self) -> &'static str {
        match self {
            Self::TooLarge => "request_too_large",
            kind if kind.status() == StatusCode::NOT_FOUND => "not_found_error",
            Self::RateLimit => "rate_limit_error",
            Self::QueueFull | Self::QueueTimeout | Self::Overloaded => "overloaded_error",
            Self::Quota => "billing_error",
            Self::UpstreamTimeout => "timeout_error",
            kind if kind.status().is_client_error() => "invalid_request_error",
            _ => "api_error",
        }
    }
}
