//! `${NAME}` and `${NAME:-default}` in the strings of a configuration.
//!
//! `$${` stands for a literal `${`. Every other `$` is just that: `$5`, `$HOME`, `pa$$word`.
//! A variable that is set to nothing counts as set for `${NAME}` and as unset for `${NAME:-default}`, as in a shell.

use std::borrow::Cow;
use std::env::VarError;

/// Looks a variable up by its name.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Result<String, VarError>;

/// Why a string could not be expanded. No variant holds the value of a variable.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ExpandError {
    #[error("environment variable `{0}` is not set; set it, or write `${{{0}:-default}}`")]
    Unset(String),
    #[error("environment variable `{0}` is not UTF-8")]
    NotUnicode(String),
    #[error("`${{` without its `}}`; write `$${{` for a literal `${{`")]
    Unclosed,
    #[error("`${{…}}` holds a variable's name, or `NAME:-default`; write `$${{` for a literal `${{`")]
    Malformed,
}

/// Whether `text` refers to a variable (or escapes such a reference).
pub(super) fn refers(text: &str) -> bool {
    text.contains("${")
}

/// `text` with its variables replaced. What comes out of a variable is not looked at again.
pub(super) fn expand<'t>(text: &'t str, lookup: Lookup<'_>) -> Result<Cow<'t, str>, ExpandError> {
    expand_nested(text, lookup, MAX_NESTING)
}

/// How deep defaults may lie in defaults: nobody needs more, and the stack has an end.
const MAX_NESTING: usize = 16;

fn expand_nested<'t>(text: &'t str, lookup: Lookup<'_>, room: usize) -> Result<Cow<'t, str>, ExpandError> {
    if !refers(text) {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = from.get(2..).unwrap_or_default();
            continue;
        }
        out.push_str(before);
        let (reference, after) = reference(from)?;
        out.push_str(&value(reference, lookup, room)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

/// Splits `${reference}after`. Braces inside, as in `${A:-${B}}`, pair up.
fn reference(text: &str) -> Result<(&str, &str), ExpandError> {
    let mut depth = 0_usize;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => {
                let inner = text.get(2..index).ok_or(ExpandError::Malformed)?;
                return Ok((inner, text.get(index + 1..).unwrap_or_default()));
            }
            b'}' => depth -= 1,
            _ => {}
        }
    }
    Err(ExpandError::Unclosed)
}

fn value(reference: &str, lookup: Lookup<'_>, room: usize) -> Result<String, ExpandError> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    if !is_name(name) {
        return Err(ExpandError::Malformed);
    }
    match (lookup(name), default) {
        (Ok(value), None) => Ok(value),
        (Ok(value), Some(_)) if !value.is_empty() => Ok(value),
        (Ok(_) | Err(VarError::NotPresent), Some(default)) => {
            let room = room.checked_sub(1).ok_or(ExpandError::Malformed)?;
            expand_nested(default, lookup, room).map(Cow::into_owned)
        }
        (Err(VarError::NotPresent), None) => Err(ExpandError::Unset(name.to_owned())),
        (Err(VarError::NotUnicode(_)), _) => Err(ExpandError::NotUnicode(name.to_owned())),
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Result<String, VarError> {
        match name {
            "A" => Ok("one".to_owned()),
            "NESTED" => Ok("${A}".to_owned()),
            "EMPTY" => Ok(String::new()),
            _ => Err(VarError::NotPresent),
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(expand(text, &lookup).as_deref(), Ok(expected), "{text}");
    }

    #[test]
    fn a_variable_is_replaced_wherever_it_stands() {
        check("${A}", "one");
        check("x${A}y${A}", "xoneyone");
        check("${A:-two}", "one");
        check("${B:-two}", "two");
        check("${B:-}", "");
        check("${EMPTY}", "");
        check("${EMPTY:-two}", "two");
        check("${B:-${C:-${A}}}!", "one!");
        check("${B:-a:-b}", "a:-b");
    }

    #[test]
    fn what_a_variable_holds_is_not_expanded_again() {
        check("${NESTED}", "${A}");
    }

    #[test]
    fn any_other_dollar_stays() {
        for text in ["", "$", "$$", "$A", "a$5", "pa$$word", "$(A)", "}", "{A}", "ü$é"] {
            check(text, text);
        }
    }

    #[test]
    fn a_doubled_dollar_before_a_brace_is_a_literal_one() {
        check("$${A}", "${A}");
        check("a$${A}${A}", "a${A}one");
        check("$${", "${");
    }

    #[test]
    fn what_cannot_be_expanded_says_why() {
        let error = |text| expand(text, &lookup).map(Cow::into_owned);
        assert_eq!(error("${B}"), Err(ExpandError::Unset("B".to_owned())));
        assert_eq!(error("${A:-x} ${B:-${C}}"), Err(ExpandError::Unset("C".to_owned())));
        assert_eq!(error("${A"), Err(ExpandError::Unclosed));
        for text in ["${}", "${1}", "${A-x}", "${A:?x}", "${A B}", "${:-x}", "${ä}"] {
            assert_eq!(error(text), Err(ExpandError::Malformed), "{text}");
        }
    }

    #[test]
    fn defaults_nest_only_so_deep() {
        let text = format!("{}{}", "${B:-".repeat(10_000), "}".repeat(10_000));
        assert_eq!(expand(&text, &lookup), Err(ExpandError::Malformed));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[${}:a-zA-Z_ -]{0,40}") {
            let _ = expand(&text, &lookup);
        }
    }
}
