//! Why a call has no whole answer.

use perimeter_genai::error_type::{self, CLIENT_CANCELLED, OTHER, PROXY_STOPPED, STREAM_TRUNCATED};
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
        Self::new(&error_type::of_provider(failure), &failure.message)
    }

    /// No provider answered.
    pub(super) fn of_proxy(failure: &Failure) -> Self {
        Self::new(error_type::of_proxy(failure), &failure.message)
    }

    /// What the end of its exchange says of a call without a whole answer. Nothing where it may have been answered well,
    /// and was not seen.
    pub(super) fn of_end(end: &End, status: Option<u16>, cut: bool) -> Option<Self> {
        let (kind, message) = match &end.response {
            BodyEnd::Stopped => (PROXY_STOPPED, "perimeter stopped before the end of the response"),
            BodyEnd::Failed(why) => (STREAM_TRUNCATED, &**why),
            BodyEnd::Complete { .. }
                if end.unseen.total() > 0 && status.is_none_or(|status| status < 400) =>
            {
                return None;
            }
            BodyEnd::Complete { .. } => return Self::of_whole(status, cut),
            _ => match &end.request {
                BodyEnd::Failed(why) => (CLIENT_CANCELLED, &**why),
                _ => (CLIENT_CANCELLED, "the client left before the end of the response"),
            },
        };
        Some(Self::new(kind, message))
    }

    /// The response is whole, and its answer is not.
    fn of_whole(status: Option<u16>, cut: bool) -> Option<Self> {
        match status {
            Some(300..400) => None,
            Some(status @ 400..) => Some(Self::new(&error_type::of_status(status), "")),
            _ if cut => Some(Self::new(STREAM_TRUNCATED, "the response ended before the answer did")),
            Some(101) => Some(Self::new(STREAM_TRUNCATED, "the connection was closed before an answer")),
            _ => Some(Self::new(OTHER, "the response is none that its API documents")),
        }
    }

    pub(super) fn is_clients(&self) -> bool {
        &*self.kind == CLIENT_CANCELLED
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use perimeter_interceptor::Peer;

    use super::*;

    fn end(response: BodyEnd) -> End {
        End::new(BodyEnd::COMPLETE, response, Duration::ZERO)
    }

    fn kind(problem: Option<Problem>) -> Option<String> {
        problem.map(|problem| problem.kind.to_string())
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
