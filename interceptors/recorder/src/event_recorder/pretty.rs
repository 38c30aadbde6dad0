//! Indents JSON without reading it: numbers and texts stay as they were written.

/// What is deeper stands in one line: what a client sends may be nested as deeply as it is long.
const DEEPEST: usize = 16;
/// What is longer stays as it is, bytes: nobody reads it, and indented it is many times as long.
const LONGEST: usize = 1 << 20;

/// This JSON with a member or element a line, each level indented by two spaces more than the `first`.
pub(super) fn indented(json: &str, first: usize) -> String {
    let mut printer = Printer { out: String::with_capacity(json.len().min(LONGEST) * 2), level: first };
    if json.len() > LONGEST {
        printer.indent();
        printer.out.push_str(json);
        return printer.out;
    }
    let mut rest = json;
    let mut opened = false;
    printer.indent();
    while let Some(token) = next_token(&mut rest) {
        let closes = matches!(token, "}" | "]");
        if opened && !closes {
            printer.level += 1;
            printer.new_line();
        }
        match token {
            "}" | "]" => {
                if !opened {
                    printer.close_level();
                }
                printer.out.push_str(token);
            }
            "," => {
                printer.out.push(',');
                printer.new_line();
            }
            ":" => printer.out.push_str(": "),
            _ => printer.out.push_str(token),
        }
        opened = matches!(token, "{" | "[");
    }
    printer.out
}

struct Printer {
    out: String,
    level: usize,
}

impl Printer {
    fn new_line(&mut self) {
        if self.level <= DEEPEST {
            self.out.push('\n');
            self.indent();
        }
    }

    fn close_level(&mut self) {
        let is_deep = self.level > DEEPEST;
        self.level = self.level.saturating_sub(1);
        if !is_deep {
            self.new_line();
        }
    }

    fn indent(&mut self) {
        for _ in 0..self.level {
            self.out.push_str("  ");
        }
    }
}

/// Takes the next token: a sign, a string, or a run of anything else.
fn next_token<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let text = rest.trim_start_matches([' ', '\t', '\n', '\r']);
    let length = match text.bytes().next()? {
        b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
        b'"' => string(text.as_bytes()),
        _ => text.find(|c: char| ",:{}[]\" \t\n\r".contains(c)).unwrap_or(text.len()),
    };
    let (token, behind) = text.split_at_checked(length)?;
    *rest = behind;
    Some(token)
}

/// How long the string is that this begins with, quotes and all.
fn string(text: &[u8]) -> usize {
    let mut at = 1;
    loop {
        match text.get(at) {
            Some(b'\\') => at += 2,
            Some(b'"') | None => return usize::min(at + 1, text.len()),
            Some(_) => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_indents_means_the_same_and_keeps_its_digits() {
        let json = r#"{"a":[1.0,{"b" : "x,{}\"\\"},[],{}],"c":1e400,"d":"ü"}"#;
        let text = "  {\n    \"a\": [\n      1.0,\n      {\n        \"b\": \"x,{}\\\"\\\\\"\n      },\n      [],\n      {}\n    ],\n    \"c\": 1e400,\n    \"d\": \"ü\"\n  }";
        assert_eq!(indented(json, 1), text);
    }

    #[test]
    fn what_is_deep_or_long_is_not_indented() {
        let deep = ["[".repeat(40), "1,2".to_owned(), "]".repeat(40)].concat();
        let text = indented(&deep, 0);
        assert_eq!(text.lines().count(), 2 * DEEPEST + 1);
        assert!(text.contains(&format!("\n{}[[[[", "  ".repeat(DEEPEST))), "{text}");
        assert_eq!(text.split_whitespace().collect::<String>(), deep);
        let long = format!("[{}1]", "1,".repeat(LONGEST / 2));
        assert_eq!(indented(&long, 1), format!("  {long}"));
    }
}
