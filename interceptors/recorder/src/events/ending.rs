//! Why a call has no whole answer, where no provider says so.

use perimeter_interceptor::{BodyEnd, End};

/// The word for it (`error.type`), and a sentence.
pub(super) fn of(end: &End) -> (&'static str, &str) {
    match (&end.response, &end.request) {
        (BodyEnd::Stopped, _) => ("stopped", "perimeter stopped before the end of the response"),
        (BodyEnd::Failed(why), _) => ("upstream_failed", why),
        (BodyEnd::Complete { .. }, _) if end.unseen.total() > 0 => {
            ("unseen", "it passed faster than it could be read here")
        }
        (BodyEnd::Complete { .. }, _) => ("unread", "the response is none that its API documents"),
        (_, BodyEnd::Failed(why)) => ("client_aborted", why),
        _ => ("client_aborted", "the client left before the end of the response"),
    }
}
