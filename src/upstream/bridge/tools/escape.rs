//! Keeps what others wrote from looking like our own marks: roles, tools, calls.

/// Tags of the prompt.
const TAGS: [&str; 8] =
    ["system", "tools", "rules", "user", "assistant", "tool_result", "tool_call", "your_answer"];

/// Words of the prompt.
const WORDS: [&str; 2] = ["FUNCTION_CALL_", "TOOL_CALL_"];

/// `text`, with `&lt;` for the `<` of a tag of ours, and a backslash before a marker of a call. Anywhere, in capitals
/// or not: a model is less exact than a parser.
pub(super) fn text(text: &str) -> String {
    replaced(text, |mark, out| match mark {
        '<' => out.push_str("&lt;"),
        other => {
            out.push('\\');
            out.push(other);
        }
    })
}

/// JSON whose strings are written so that none of ours is in them. It means the same.
pub(super) fn json(json: &str) -> String {
    replaced(json, |mark, out| out.push_str(&format!("\\u{:04x}", u32::from(mark))))
}

/// `raw` JSON without what is only there for the eye.
pub(super) fn compact(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let (mut in_string, mut slash) = (false, false);
    for c in raw.chars() {
        if in_string {
            in_string = slash || c != '"';
            slash = c == '\\' && !slash;
        } else if c.is_whitespace() {
            continue;
        } else {
            in_string = c == '"';
        }
        out.push(c);
    }
    out
}

/// The longest name or id that is written. Chars.
const LONGEST: usize = 128;

/// A value of an attribute. Markers are escaped as in [`text`].
pub(super) fn attribute(value: &str) -> String {
    text(value)
        .chars()
        .map(|c| match c {
            '<' | '>' | '"' => '\'',
            c if c.is_control() => ' ',
            c => c,
        })
        .take(LONGEST)
        .collect()
}

/// A name or an id in a line of its own, as one word.
pub(super) fn word(word: &str) -> String {
    attribute(word).replace(char::is_whitespace, "_")
}

/// `text`, with the first char of each mark replaced.
fn replaced(text: &str, replace: impl Fn(char, &mut String)) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if is_mark(&text[at..]) {
            replace(c, &mut out);
        } else {
            out.push(c);
        }
    }
    out
}

fn is_mark(rest: &str) -> bool {
    let Some(tag) = rest.strip_prefix('<') else { return WORDS.iter().any(|word| begins(rest, word)) };
    let name = tag.trim_start_matches(|c: char| c == '/' || c.is_whitespace());
    // No tag has so much before its name; and each `<` costs the same.
    tag.len() - name.len() < 16 && TAGS.iter().any(|tag| begins(name, tag))
}

fn begins(text: &str, with: &str) -> bool {
    text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
}
