//! Strings of an object, and what is mended in them.

use super::{At, Object, quoted};

/// A string that is being read.
#[derive(Debug)]
pub(super) struct Quoted {
    quote: char,
    /// Whether it is a key.
    pub key: bool,
    escape: Escape,
    /// The first half of a surrogate pair, as its hexadecimal digits.
    half: Option<String>,
}

#[derive(Debug)]
enum Escape {
    Not,
    Slash,
    Hex(String),
}

impl Object {
    /// A string begins with `quote`.
    pub(super) fn string(&mut self, quote: char, key: bool) {
        self.mended |= quote == '\'';
        let quoted = Quoted { quote, key, escape: Escape::Not, half: None };
        if key {
            self.key.clear();
        }
        self.put(&quoted, "\"");
        self.at = At::String(quoted);
    }

    /// Adds to the string being read.
    fn put(&mut self, quoted: &Quoted, json: &str) {
        if quoted.key {
            self.key.push_str(json);
        } else {
            self.say(json);
        }
    }

    fn put_char(&mut self, quoted: &Quoted, c: char) {
        self.put(quoted, c.encode_utf8(&mut [0; 4]));
    }

    /// The first half of a surrogate pair stays alone: it is no text.
    pub(super) fn half(&mut self, quoted: &mut Quoted) {
        if quoted.half.take().is_some() {
            self.mended = true;
            self.put(quoted, "\\ufffd");
        }
    }

    /// Reads a char of a string.
    pub(super) fn in_string(&mut self, mut quoted: Quoted, c: char) {
        match std::mem::replace(&mut quoted.escape, Escape::Not) {
            Escape::Not => return self.plain(quoted, c),
            Escape::Slash => self.escaped(&mut quoted, c),
            Escape::Hex(mut digits) if c.is_ascii_hexdigit() => {
                digits.push(c);
                if digits.len() == 4 {
                    self.unit(&mut quoted, digits);
                } else {
                    quoted.escape = Escape::Hex(digits);
                }
            }
            Escape::Hex(digits) => {
                self.mended = true;
                self.half(&mut quoted);
                self.put(&quoted, "\\\\u");
                self.put(&quoted, &digits);
                return self.in_string(quoted, c);
            }
        }
        self.at = At::String(quoted);
    }

    fn plain(&mut self, mut quoted: Quoted, c: char) {
        if c == '\\' {
            quoted.escape = Escape::Slash;
        } else {
            self.half(&mut quoted);
            match c {
                _ if c == quoted.quote => {
                    self.put(&quoted, "\"");
                    return if quoted.key { self.at = At::Colon } else { self.ended() };
                }
                '"' => self.put(&quoted, "\\\""),
                c if c < ' ' => {
                    self.mended = true;
                    self.put(&quoted, &control(c));
                }
                _ => self.put_char(&quoted, c),
            }
        }
        self.at = At::String(quoted);
    }

    /// Reads the char after a backslash.
    fn escaped(&mut self, quoted: &mut Quoted, c: char) {
        if c == 'u' {
            quoted.escape = Escape::Hex(String::new());
            return;
        }
        self.half(quoted);
        if matches!(c, '"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't') {
            self.put(quoted, "\\");
            return self.put_char(quoted, c);
        }
        self.mended = true;
        match c {
            '\'' => self.put(quoted, "'"),
            c if c < ' ' => self.put(quoted, &control(c)),
            // Such as `\d`: the backslash is meant.
            _ => {
                self.put(quoted, "\\\\");
                self.put_char(quoted, c);
            }
        }
    }

    /// Reads a complete `\uXXXX`.
    fn unit(&mut self, quoted: &mut Quoted, digits: String) {
        match (u16::from_str_radix(&digits, 16).unwrap_or_default(), quoted.half.take()) {
            (0xDC00..=0xDFFF, Some(first)) => {
                self.put(quoted, "\\u");
                self.put(quoted, &first);
                self.put(quoted, "\\u");
                self.put(quoted, &digits);
            }
            (unit, alone) => {
                if alone.is_some() {
                    self.mended = true;
                    self.put(quoted, "\\ufffd");
                }
                match unit {
                    0xD800..=0xDBFF => quoted.half = Some(digits),
                    0xDC00..=0xDFFF => {
                        self.mended = true;
                        self.put(quoted, "\\ufffd");
                    }
                    _ => {
                        self.put(quoted, "\\u");
                        self.put(quoted, &digits);
                    }
                }
            }
        }
    }
}

/// A control character as a JSON string has it.
fn control(c: char) -> String {
    quoted(c.encode_utf8(&mut [0; 4])).trim_matches('"').to_owned()
}
