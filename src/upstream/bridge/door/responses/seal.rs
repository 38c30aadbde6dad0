//! `encrypted_content` of reasoning: thinking that a client keeps and gives back, and can neither read nor make up.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::state;
use crate::upstream::Caller;

/// Seals thinking, and opens what it has sealed. One caller's seals are of no use to another.
pub(super) struct Seal(Option<LessSafeKey>);

/// What is sealed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Thought {
    /// Thinking, and what proves it to be the model's own.
    #[serde(rename = "s")]
    Signed {
        /// What it says.
        text: String,
        /// The proof.
        signature: String,
    },
    /// Thinking that only the provider can read.
    #[serde(rename = "r")]
    Redacted(String),
}

impl Seal {
    /// With a key that is made from `secret`, and tells nothing of it.
    pub(super) fn new(secret: &[u8]) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let key = hmac::sign(&secret, b"reasoning.encrypted_content");
        Self(UnboundKey::new(&CHACHA20_POLY1305, key.as_ref()).ok().map(LessSafeKey::new))
    }

    /// `thought`, sealed for `caller`. None where the system has no random bytes.
    pub(super) fn seal(&self, caller: &Caller, thought: &Thought) -> Option<String> {
        let nonce: [u8; NONCE_LEN] = state::random().ok()?;
        let mut sealed = serde_json::to_vec(thought).ok()?;
        let aad = Aad::from(caller.id().as_bytes());
        let once = Nonce::assume_unique_for_key(nonce);
        self.0.as_ref()?.seal_in_place_append_tag(once, aad, &mut sealed).ok()?;
        Some(BASE64_URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    /// What was sealed for `caller`. None where that was not here, not for it, or with another key.
    pub(super) fn open(&self, caller: &Caller, sealed: &str) -> Option<Thought> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = sealed.to_vec();
        let aad = Aad::from(caller.id().as_bytes());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let thought = self.0.as_ref()?.open_in_place(nonce, aad, &mut sealed).ok()?;
        serde_json::from_slice(thought).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_can_be_opened_by_nobody_else_and_not_be_made_up() {
        let (seal, ours) = (Seal::new(b"a"), Caller::local());
        for thought in [
            Thought::Signed { text: "hm".to_owned(), signature: "sig".to_owned() },
            Thought::Redacted("data".to_owned()),
        ] {
            let sealed = seal.seal(&ours, &thought).unwrap();
            assert_ne!(seal.seal(&ours, &thought).unwrap(), sealed);
            assert_eq!(seal.open(&ours, &sealed), Some(thought));
            assert_eq!(seal.open(&Caller::with_key("k", b""), &sealed), None);
            assert_eq!(Seal::new(b"b").open(&ours, &sealed), None);
            let forged: String = sealed.chars().rev().collect();
            assert_eq!(seal.open(&ours, &forged), None);
        }
        for wrong in ["", "gAAAA", "?", "AAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(seal.open(&ours, wrong), None);
        }
    }
}
