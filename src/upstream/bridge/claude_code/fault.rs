//! What goes wrong at the CLI and behind it, as clients are told.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::wire::{Limit, Line};
use crate::upstream::bridge::{Failure, Kind};

/// What to do where nobody is logged in.
pub(super) const NO_LOGIN: &str = "the Claude Code CLI has no credentials: set ANTHROPIC_API_KEY or llm.api_key, \
     or one of llm.claude_code.auth";

/// A limit says when it is over; it may be hours away, and a client that is told so waits for it.
const LONGEST_WAIT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The wait after a limit that does not say when it is over. The CLI keeps the `retry-after` it was told to itself.
const COOLDOWN: Duration = Duration::from_secs(15);

/// The failure that a `result` tells of. `said` is what an `assistant` line before it called the kind.
pub(super) fn failure(result: &Line, said: Option<&str>, limit: Option<&Limit>) -> Failure {
    let text = result.result.as_ref().and_then(|text| text.as_str()).unwrap_or_default();
    let kind = kind(result, said, text);
    let failure = Failure::new(kind, words(kind, result, text));
    match kind {
        Kind::RateLimit => failure.after(limit.and_then(wait).unwrap_or(COOLDOWN)),
        _ => failure,
    }
}

fn kind(result: &Line, said: Option<&str>, text: &str) -> Kind {
    match result.terminal_reason.as_deref() {
        // The CLI blames an image for it, whatever was too large.
        _ if result.api_error_status == Some(413) => return Kind::TooLong,
        Some("prompt_too_long" | "blocking_limit" | "rapid_refill_breaker") => return Kind::TooLong,
        Some("image_error") => return Kind::UnsupportedContent,
        Some("structured_output_retry_exhausted") => return Kind::FormatUnmet,
        Some("budget_exhausted") => return Kind::Quota,
        _ => {}
    }
    if result.subtype.as_deref() == Some("error_max_structured_output_retries") {
        return Kind::FormatUnmet;
    }
    match (said, result.api_error_status) {
        (Some("billing_error"), _) | (_, Some(402)) => Kind::Quota,
        (Some("authentication_failed"), None) if text.contains("/login") => Kind::Unavailable,
        (
            Some(
                "authentication_failed"
                | "oauth_org_not_allowed"
                | "account_on_hold"
                | "verification_required"
                | "cloud_credential_error",
            ),
            _,
        )
        | (_, Some(401 | 403)) => Kind::UpstreamAuth,
        (Some("rate_limit"), _) | (_, Some(429)) => Kind::RateLimit,
        (Some("overloaded"), _) | (_, Some(529 | 503)) => Kind::Overloaded,
        (Some("model_not_found"), _) | (_, Some(404)) => Kind::UnknownModel,
        (_, Some(408 | 504)) => Kind::UpstreamTimeout,
        (_, Some(400..500)) | (Some("invalid_request"), None) => Kind::Invalid,
        _ => Kind::Upstream,
    }
}

/// The CLI's words for what is the client's own doing; ours for the rest, for the CLI's may name where it asks, and
/// give advice to whoever sits before it.
fn words(kind: Kind, result: &Line, text: &str) -> String {
    let ours = match kind {
        Kind::Invalid | Kind::UnsupportedContent if !text.is_empty() && !text.contains("://") => {
            return text.trim_start_matches("API Error: ").to_owned();
        }
        Kind::TooLong => "the conversation is longer than the model can read",
        Kind::FormatUnmet => "the model's answer does not match the schema",
        Kind::Quota => "the account of the Claude Code CLI has no credit left",
        Kind::Unavailable => NO_LOGIN,
        Kind::UpstreamAuth => "Anthropic does not take the credential of the Claude Code CLI",
        Kind::RateLimit => "Anthropic limits the rate of the Claude Code CLI's account",
        Kind::Overloaded => "Anthropic is overloaded",
        Kind::UnknownModel => "Anthropic does not have this model, or not for this account",
        Kind::UpstreamTimeout => "Anthropic took too long",
        _ => "the Claude Code CLI came to no answer",
    };
    let status = result.api_error_status.map(|status| format!(" (status {status})"));
    let reason = result.terminal_reason.as_deref().filter(|reason| *reason != "api_error");
    let reason = reason.map(|reason| format!(" ({reason})"));
    format!("{ours}{}", status.or(reason).unwrap_or_default())
}

/// How long it is until a limit is over.
fn wait(limit: &Limit) -> Option<Duration> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(Duration::from_secs(limit.resets_at?).checked_sub(now)?.min(LONGEST_WAIT))
}

/// The CLI ended before it had answered.
pub(super) fn broken_off() -> Failure {
    Failure::new(Kind::Upstream, "the Claude Code CLI ended before its answer did")
}
