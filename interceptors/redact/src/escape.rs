//! Plain characters that JSON writes as code points: `\u0073k-` for `sk-`.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// The same JSON with such characters written as themselves, if any is one of a key: a letter, a digit, `-` or `_`.
pub(super) fn without_code_points(json: &str) -> Option<String> {
    let is_of_key = |(_, plain): &(usize, char)| plain.is_ascii_alphanumeric() || matches!(plain, '-' | '_');
    code_points(json).find(is_of_key)?;
    let mut plain = String::with_capacity(json.len());
    let mut kept = 0;
    for (at, character) in code_points(json) {
        plain.push_str(json.get(kept..at)?);
        plain.push(character);
        kept = at + LENGTH;
    }
    plain.push_str(json.get(kept..)?);
    Some(plain)
}

/// Of `\u0073`.
const LENGTH: usize = 6;

/// How each begins.
static BEGINNING: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\\u00"));

/// Where they are, and what they stand for: all that may stand in a string as it is.
fn code_points(json: &str) -> impl Iterator<Item = (usize, char)> {
    BEGINNING.find_iter(json.as_bytes()).filter_map(|at| {
        let digits = json.get(at + 4..at + LENGTH)?;
        let character = char::from(u8::from_str_radix(digits, 16).ok()?);
        let stands_as_it_is = matches!(character, ' '..='~') && !matches!(character, '"' | '\\');
        (stands_as_it_is && begins_escape(json, at)).then_some((at, character))
    })
}

/// Whether the backslash at `at` is none that another escapes.
fn begins_escape(json: &str, at: usize) -> bool {
    let before = json.as_bytes().get(..at).unwrap_or_default();
    before.iter().rev().take_while(|byte| **byte == b'\\').count().is_multiple_of(2)
}
