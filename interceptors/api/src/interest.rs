use std::ops::BitOr;

use crate::host::What;

/// Which notices an interceptor wants, besides heads, failures, upgrades and ends, which everyone is told.
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
    /// Everything.
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
