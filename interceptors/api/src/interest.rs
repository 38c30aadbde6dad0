use std::ops::BitOr;

use crate::host::What;

/// Which notices an interceptor wants, besides those that everyone is told: heads, failures, upgrades, ends (of the
/// request's body, of the exchange, of sessions).
///
/// ```
/// use perimeter_interceptor::Interest;
///
/// let interest = Interest::LLM | Interest::RESPONSE_CHUNKS;
/// assert!(interest.includes(Interest::LLM));
/// assert!(!interest.includes(Interest::REQUEST_CHUNKS));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interest(u8);

impl Interest {
    /// Only what everyone is told.
    pub const NONE: Self = Self(0);
    /// `on_request_chunk`.
    pub const REQUEST_CHUNKS: Self = Self(1);
    /// `on_response_chunk`.
    pub const RESPONSE_CHUNKS: Self = Self(2);
    /// `on_llm`.
    pub const LLM: Self = Self(4);
    /// `on_upgraded_chunk`.
    pub const UPGRADED_CHUNKS: Self = Self(8);
    /// [`Call::history`](crate::Call): each request is read whole for it, however little of it is new. Only of use
    /// together with [`Interest::LLM`].
    pub const HISTORY: Self = Self(16);
    /// Every notice.
    pub const ALL: Self = Self(15);

    /// Whether all of `other` is wanted.
    pub const fn includes(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether what this notice tells is wanted.
    pub fn wants(self, what: &What) -> bool {
        match what {
            What::RequestChunk(_) => self.includes(Self::REQUEST_CHUNKS),
            What::ResponseChunk(_) => self.includes(Self::RESPONSE_CHUNKS),
            What::Llm(_) => self.includes(Self::LLM),
            What::UpgradedChunk(..) => self.includes(Self::UPGRADED_CHUNKS),
            _ => true,
        }
    }
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{BodyEnd, CallId, Delta, LlmEvent, Peer, Said, Upgrade};

    fn optional() -> [(Interest, What); 4] {
        let said = LlmEvent::Delta(Delta::new(CallId(0), Said::Text("a".into())));
        [
            (Interest::REQUEST_CHUNKS, What::RequestChunk(Bytes::new())),
            (Interest::RESPONSE_CHUNKS, What::ResponseChunk(Bytes::new())),
            (Interest::LLM, What::Llm(said)),
            (Interest::UPGRADED_CHUNKS, What::UpgradedChunk(Peer::Client, Bytes::new())),
        ]
    }

    #[test]
    fn each_interest_wants_its_own_notices_and_no_others() {
        for (interest, _) in optional() {
            for (of, what) in optional() {
                assert_eq!(interest.wants(&what), interest == of, "{interest:?} and {what:?}");
            }
        }
        assert!(optional().iter().all(|(_, what)| Interest::ALL.wants(what) && !Interest::NONE.wants(what)));
    }

    #[test]
    fn all_is_every_interest_together() {
        let together = optional().into_iter().fold(Interest::NONE, |so_far, (interest, _)| so_far | interest);
        assert_eq!(together, Interest::ALL);
    }

    #[test]
    fn ends_and_upgrades_are_told_to_those_who_want_nothing() {
        assert!(Interest::NONE.wants(&What::RequestEnd(BodyEnd::COMPLETE)));
        assert!(Interest::NONE.wants(&What::Upgrade(Upgrade::new("websocket").into())));
    }
}
