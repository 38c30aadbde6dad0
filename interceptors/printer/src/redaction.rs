//! Secrets are masked before anything is cut or wrapped: half a key does not look like one.

use std::borrow::Cow;

use perimeter_redact::redact_start;

use crate::settings::Settings;
use crate::text;

/// The most of one text that is looked at, in bytes.
pub(crate) const LONG: usize = 64 << 10;

/// Masks the secrets in the traffic's texts, unless they are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Redaction {
    wanted: bool,
}

impl Redaction {
    pub(crate) fn of(settings: &Settings) -> Self {
        Self { wanted: settings.redact_credentials }
    }

    /// As much of a text as is looked at.
    pub(crate) fn long(self, text: &str) -> Cow<'_, str> {
        self.bytes(text, LONG)
    }

    /// The first `limit` characters of a text, and a `…` if there are more.
    pub(crate) fn start(self, text: &str, limit: usize) -> Cow<'_, str> {
        match text::end_of_first(text, limit) {
            Some(at) => (self.bytes(text, at).into_owned() + "…").into(),
            None => self.bytes(text, text.len()),
        }
    }

    /// A finished line of JSON.
    pub(crate) fn json(self, json: &str) -> Cow<'_, str> {
        if self.wanted { perimeter_redact::redact(json) } else { json.into() }
    }

    fn bytes(self, text: &str, most: usize) -> Cow<'_, str> {
        if self.wanted { redact_start(text, most) } else { text[..text.floor_char_boundary(most)].into() }
    }
}
