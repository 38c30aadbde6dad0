//! Plain characters that JSON writes as code points: `\u0073k-` for `sk-`.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// Whether any such character is one of a key: a letter, a digit, `-` or `_`.
pub(super) fn has_code_points(json: &[u8]) -> bool {
    code_points(json).any(|(_, plain)| plain.is_ascii_alphanumeric() || matches!(plain, '-' | '_'))
}

/// The same JSON with such characters written as themselves, if it [has](has_code_points) any of a key.
pub(super) fn without_code_points(json: &str) -> Option<String> {
    if !has_code_points(json.as_bytes()) {
        return None;
    }
    let mut plain = String::with_capacity(json.len());
    let mut kept = 0;
    for (at, character) in code_points(json.as_bytes()) {
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
fn code_points(json: &[u8]) -> impl Iterator<Item = (usize, char)> {
    BEGINNING.find_iter(json).filter_map(|at| {
        let digits = str::from_utf8(json.get(at + 4..at + LENGTH)?).ok()?;
        let character = char::from(u8::from_str_radix(digits, 16).ok()?);
        let stands_as_it_is = matches!(character, ' '..='~') && !matches!(character, '"' | '\\');
        (stands_as_it_is && begins_escape(json, at)).then_some((at, character))
    })
}

/// Whether the backslash at `at` is none that another escapes.
fn begins_escape(json: &[u8], at: usize) -> bool {
    let before = json.get(..at).unwrap_or_default();
    before.iter().rev().take_while(|byte| **byte == b'\\').count().is_multiple_of(2)
}
