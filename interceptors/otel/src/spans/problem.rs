//! Why a call has no whole answer.

use perimeter_interceptor::{ApiFailure, BodyEnd, End, Failure};

use crate::finished::Problem;

/// The length of a word for a problem, bytes.
const WORD: usize = 128;

impl Problem {
    fn new(kind: &str, message: &str) -> Self {
        let kind = kind.get(..kind.floor_char_boundary(WORD)).unwrap_or_default();
        Self { kind: kind.into(), message: message.into() }
    }

    /// The provider says so: in its own word, else in HTTP's.
    pub(super) fn of_provider(failure: &ApiFailure) -> Self {
        match &failure.kind {
            Some(kind) => Self::new(kind, &failure.message),
            None => Self::new(&word_of(failure.status), &failure.message),
        }
    }

    /// No provider answered.
    pub(super) fn of_proxy(failure: &Failure) -> Self {
        let kind = match &*failure.code {
            "upstream_connect_timeout" => "timeout",
            "upstream_dns" | "upstream_connect" | "upstream_proxy" | "upstream_tls" => "connect_error",
            "upstream_closed" => "stream_truncated",
            other => other,
        };
        Self::new(kind, &failure.message)
    }

    /// What the end of its exchange says of a call without a whole answer. Nothing where it may have been answered well,
    /// and was not seen.
    pub(super) fn of_end(end: &End, status: Option<u16>, cut: bool) -> Option<Self> {
        let (kind, message) = match &end.response {
            BodyEnd::Stopped => ("proxy_stopped", "perimeter stopped before the end of the response"),
            BodyEnd::Failed(why) => ("stream_truncated", &**why),
            BodyEnd::Complete { .. }
                if end.unseen.total() > 0 && status.is_none_or(|status| status < 400) =>
            {
                return None;
            }
            BodyEnd::Complete { .. } => return Self::of_whole(status, cut),
            _ => match &end.request {
                BodyEnd::Failed(why) => ("client_cancelled", &**why),
                _ => ("client_cancelled", "the client left before the end of the response"),
            },
        };
        Some(Self::new(kind, message))
    }

    /// The response is whole, and its answer is not.
    fn of_whole(status: Option<u16>, cut: bool) -> Option<Self> {
        match status {
            Some(300..400) => None,
            Some(status @ 400..) => Some(Self::new(&word_of(status), "")),
            _ if cut => Some(Self::new("stream_truncated", "the response ended before the answer did")),
            Some(101) => Some(Self::new("stream_truncated", "the connection was closed before an answer")),
            _ => Some(Self::new("_OTHER", "the response is none that its API documents")),
        }
    }

    pub(super) fn is_clients(&self) -> bool {
        &*self.kind == "client_cancelled"
    }
}

fn word_of(status: u16) -> String {
    if status >= 400 { status.to_string() } else { "_OTHER".to_owned() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use perimeter_interceptor::{CallId, Peer};

    use super::*;

    fn end(response: BodyEnd) -> End {
        End::new(BodyEnd::COMPLETE, response, Duration::ZERO)
    }

    fn kind(problem: Option<Problem>) -> Option<String> {
        problem.map(|problem| problem.kind.to_string())
    }

    #[test]
    fn a_provider_has_its_own_word_and_else_its_status_is_one() {
        let mut failure = ApiFailure::new(CallId(0), 429, "slow down");
        assert_eq!(&*Problem::of_provider(&failure).kind, "429");
        failure.kind = Some("rate_limit_error".into());
        assert_eq!(&*Problem::of_provider(&failure).kind, "rate_limit_error");
        assert_eq!(&*Problem::of_provider(&ApiFailure::new(CallId(0), 200, "")).kind, "_OTHER");
    }

    #[test]
    fn where_no_provider_answers_it_is_told_why() {
        let kind = |code: &str| Problem::of_proxy(&Failure::new(code, "why")).kind.to_string();
        assert_eq!(kind("upstream_connect"), "connect_error");
        assert_eq!(kind("upstream_connect_timeout"), "timeout");
        assert_eq!(kind("upstream_protocol"), "upstream_protocol");
    }

    #[test]
    fn who_ended_it_is_told() {
        let of = |response, status, cut| kind(Problem::of_end(&end(response), status, cut));
        assert_eq!(of(BodyEnd::Stopped, Some(200), true).unwrap(), "proxy_stopped");
        assert_eq!(of(BodyEnd::Failed("reset".into()), Some(200), true).unwrap(), "stream_truncated");
        assert_eq!(of(BodyEnd::Aborted, None, false).unwrap(), "client_cancelled");
        assert_eq!(of(BodyEnd::COMPLETE, Some(503), false).unwrap(), "503");
        assert_eq!(of(BodyEnd::COMPLETE, Some(200), true).unwrap(), "stream_truncated");
        assert_eq!(of(BodyEnd::COMPLETE, Some(200), false).unwrap(), "_OTHER");
        assert_eq!(of(BodyEnd::COMPLETE, Some(304), false), None);
        let mut unseen = end(BodyEnd::COMPLETE);
        unseen.unseen.add(Peer::Upstream, 9);
        assert_eq!(kind(Problem::of_end(&unseen, Some(200), true)), None, "it may have been answered well");
    }
}
