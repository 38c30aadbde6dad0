//! Why a call has no whole answer, where no provider says so.

use perimeter_interceptor::{BodyEnd, End};

/// The word for it, the same as in the log and the metrics, and a sentence.
pub(crate) struct Ending<'a> {
    pub(crate) code: &'a str,
    pub(crate) message: &'a str,
    /// Bytes that were not told.
    pub(crate) unseen: u64,
}

impl<'a> Ending<'a> {
    /// What the end of an exchange says about an answer that was not told whole.
    pub(crate) fn of(end: &'a End) -> Self {
        let unseen = end.unseen.total();
        let (code, message) = match (&end.response, &end.request) {
            (BodyEnd::Stopped, _) => ("stopped", "perimeter stopped before the end of the response"),
            (BodyEnd::Failed(why), _) => ("upstream_broke", &**why),
            (BodyEnd::Complete { .. }, _) if unseen > 0 => {
                ("unseen", "it passed faster than it could be read here")
            }
            (BodyEnd::Complete { .. }, _) => ("unread", "the response is none that its API documents"),
            (_, BodyEnd::Failed(why)) => ("client_left", &**why),
            _ => ("client_left", "the client left before the end of the response"),
        };
        Self { code, message, unseen }
    }

    /// Who ended the exchange.
    pub(crate) fn closed_first(&self) -> &'static str {
        match self.code {
            "client_left" => "client",
            "stopped" => "proxy",
            _ => "upstream",
        }
    }

    pub(crate) fn unseen_bytes(&self) -> Option<u64> {
        (self.unseen > 0).then_some(self.unseen)
    }
}
