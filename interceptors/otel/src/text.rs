//! Texts of clients and providers, fit to be told: without secrets, cut, and such that databases take them.

use std::borrow::Cow;

use perimeter_redact::redact_start;

/// A text is told up to here, bytes.
pub(crate) const MOST: usize = 4096;

/// Its beginning, without secrets.
pub(crate) fn said(text: &str, most: usize) -> String {
    storable(redact_start(text, most))
}

/// The same on one line, for a name.
pub(crate) fn name(text: &str, most: usize) -> String {
    redact_start(text, most).chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// Without U+0000: PostgreSQL takes no text that has it, and a backend that keeps its spans there refuses all that came
/// along.
pub(crate) fn storable<'t>(text: impl Into<Cow<'t, str>>) -> String {
    let text = text.into();
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_cut_and_storable() {
        assert_eq!(said("a\0b\n", MOST), "a\u{fffd}b\n");
        assert_eq!(said(&"x".repeat(9000), MOST).len(), MOST);
        assert_eq!(name("gpt\0-\n4\u{7f}", MOST), "gpt - 4 ");
    }
}
