//! `error.type`: the provider's word for its error, else the status, else one of these.

use std::sync::Arc;

use perimeter_interceptor::{ApiFailure, Failure};

/// The client left before the end of the answer.
pub const CLIENT_CANCELLED: &str = "client_cancelled";
/// The provider broke off before the end of the answer.
pub const STREAM_TRUNCATED: &str = "stream_truncated";
/// perimeter stopped before the end of the answer.
pub const PROXY_STOPPED: &str = "proxy_stopped";
/// There is no word for it.
pub const OTHER: &str = "_OTHER";

/// For an error that the provider told: its own word, else that of the status.
pub fn of_provider(failure: &ApiFailure) -> Arc<str> {
    match &failure.kind {
        Some(kind) if !kind.is_empty() => kind.clone(),
        _ => of_status(failure.status),
    }
}

/// For a response with this status: its digits, where they tell of an error.
pub fn of_status(status: u16) -> Arc<str> {
    if status >= 400 { status.to_string().into() } else { OTHER.into() }
}

/// Where no provider answered: the conventions' word, else the proxy's own code.
pub fn of_proxy(failure: &Failure) -> &str {
    match &*failure.code {
        "upstream_connect_timeout" => "timeout",
        "upstream_dns" | "upstream_connect" | "upstream_proxy" | "upstream_tls" => "connect_error",
        "upstream_closed" => STREAM_TRUNCATED,
        code => code,
    }
}

#[cfg(test)]
mod tests {
    use perimeter_interceptor::CallId;

    use super::*;

    #[test]
    fn a_provider_has_its_own_word_and_else_its_status_is_one() {
        let mut failure = ApiFailure::new(CallId(0), 429, "slow down");
        assert_eq!(&*of_provider(&failure), "429");
        failure.kind = Some("".into());
        assert_eq!(&*of_provider(&failure), "429");
        failure.kind = Some("rate_limit_error".into());
        assert_eq!(&*of_provider(&failure), "rate_limit_error");
        assert_eq!(&*of_provider(&ApiFailure::new(CallId(0), 200, "")), OTHER);
    }

    #[test]
    fn where_no_provider_answers_it_is_told_why() {
        for (code, word) in [
            ("upstream_connect", "connect_error"),
            ("upstream_connect_timeout", "timeout"),
            ("upstream_closed", STREAM_TRUNCATED),
            ("upstream_protocol", "upstream_protocol"),
        ] {
            assert_eq!(of_proxy(&Failure::new(code, "why")), word);
        }
    }
}
