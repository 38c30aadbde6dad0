//! One JSON object as models write them, read char by char and said again as JSON.
//!
//! What is said once is never taken back. So a comma and a key are said only when their value begins, and a bare word
//! when it is complete. Mended on the way are: raw control characters and odd escapes in strings, single quotes, keys
//! and values without quotes, Python's constants, commas too many or too few, brackets that are missing.

use serde_json::Value;

mod string;

use string::Quoted;

/// What became of a char.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fed {
    /// The object goes on.
    More,
    /// The object is complete with it.
    Closed,
    /// It completes the marker that ends a call, in the midst of the object. [`Object::finish`] closes what is open.
    Marker,
}

/// An object that is being read. Its first char has to be `{`.
#[derive(Debug)]
pub(super) struct Object {
    /// The marker that ends a call, where it is not in a string. Its first char is nowhere else in it.
    end: &'static str,
    /// First-level keys that are left out with their values.
    without: Vec<&'static str>,
    /// Objects and arrays that are open.
    levels: Vec<Level>,
    /// How many of them are arrays.
    arrays: usize,
    at: At,
    /// The key of the value that is to come, as JSON.
    key: String,
    /// A word without quotes.
    word: String,
    /// Whether the value being read is left out.
    leaving_out: bool,
    /// The JSON, as far as nobody has taken it.
    out: String,
    /// Whether something had to be mended.
    pub mended: bool,
    /// Whether something could not be, and is lost.
    pub lost: bool,
}

#[derive(Debug)]
struct Level {
    array: bool,
    /// Whether it has a member already.
    some: bool,
}

/// What is to come.
#[derive(Debug)]
enum At {
    Start,
    Key,
    Colon,
    Value,
    After,
    String(Quoted),
    /// A word without quotes; whether it is a key.
    Word(bool),
    /// Nothing makes sense any more: the end marker. So many bytes of it have come.
    Marker(usize),
    Closed,
}

impl Object {
    /// An object that ends with its last brace or, should that be missing, with `end`. It is said without the
    /// first-level keys `without`.
    pub(super) fn new(end: &'static str, without: Vec<&'static str>) -> Self {
        Self {
            end,
            without,
            levels: Vec::new(),
            arrays: 0,
            at: At::Start,
            key: String::new(),
            word: String::new(),
            leaving_out: false,
            out: String::new(),
            mended: false,
            lost: false,
        }
    }

    /// The JSON since the last time.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.out)
    }

    /// Reads `c`. What comes after the object's end is ignored.
    pub(super) fn feed(&mut self, c: char) -> Fed {
        match std::mem::replace(&mut self.at, At::Closed) {
            At::String(quoted) => self.in_string(quoted, c),
            At::Word(key) => return self.in_word(key, c),
            At::Marker(seen) => return self.marker(seen, c),
            At::Closed => return Fed::Closed,
            at if c.is_whitespace() => self.at = at,
            At::Start => self.open(false),
            At::Key => return self.key(c),
            At::Colon if c == ':' => self.at = At::Value,
            At::Colon => return self.give_up(c),
            At::Value => return self.value(c),
            At::After => return self.after(c),
        }
        Fed::More
    }

    /// There is no more of it: closes what is open.
    pub(super) fn finish(&mut self) {
        match std::mem::replace(&mut self.at, At::Closed) {
            At::Closed => return,
            At::String(mut quoted) => {
                self.lost = true;
                self.half(&mut quoted);
                if !quoted.key {
                    self.say("\"");
                    self.ended();
                }
            }
            At::Word(key) => {
                // The marker is a word until it is complete.
                let word = self.word.strip_suffix(self.end).filter(|_| !self.end.is_empty());
                self.word = word.unwrap_or(&self.word).trim().to_owned();
                match (self.word.is_empty(), key) {
                    (true, _) => {}
                    (false, true) => self.lost = true,
                    (false, false) => self.end_word(),
                }
            }
            _ => {}
        }
        self.mended = true;
        self.lost |= !self.key.is_empty();
        while self.pop() {}
        self.at = At::Closed;
    }

    fn say(&mut self, json: &str) {
        if !self.leaving_out {
            self.out.push_str(json);
        }
    }

    /// A value begins: says what stands before it.
    fn begin(&mut self) {
        let first_level = self.levels.len() == 1;
        let Some(level) = self.levels.last_mut() else { return };
        let key = std::mem::take(&mut self.key);
        if first_level && self.without.iter().any(|left| key.trim_matches('"') == *left) {
            self.leaving_out = true;
            return;
        }
        let comma = std::mem::replace(&mut level.some, true);
        let array = level.array;
        if comma {
            self.say(",");
        }
        if !array {
            self.say(&key);
            self.say(":");
        }
    }

    fn ended(&mut self) {
        self.leaving_out &= self.levels.len() > 1;
        self.at = At::After;
    }

    fn open(&mut self, array: bool) {
        self.begin();
        self.say(if array { "[" } else { "{" });
        self.arrays += usize::from(array);
        self.levels.push(Level { array, some: false });
        self.at = if array { At::Value } else { At::Key };
    }

    /// Closes the innermost level. Whether there was one.
    fn pop(&mut self) -> bool {
        let Some(level) = self.levels.pop() else { return false };
        self.arrays -= usize::from(level.array);
        self.say(if level.array { "]" } else { "}" });
        self.ended();
        true
    }

    fn close(&mut self, bracket: char) -> Fed {
        let array = bracket == ']';
        if array && self.arrays == 0 {
            // Of nothing that is open.
            self.mended = true;
            self.at = At::After;
            return Fed::More;
        }
        while self.levels.last().is_some_and(|level| level.array != array) {
            self.mended = true;
            self.pop();
        }
        self.pop();
        if self.levels.is_empty() {
            self.at = At::Closed;
            return Fed::Closed;
        }
        Fed::More
    }

    fn in_array(&self) -> bool {
        self.levels.last().is_some_and(|level| level.array)
    }

    fn key(&mut self, c: char) -> Fed {
        match c {
            '"' | '\'' => self.string(c, true),
            '}' | ']' => {
                self.mended |= self.levels.last().is_some_and(|level| level.some);
                return self.close(c);
            }
            ',' => {
                self.mended = true;
                self.at = At::Key;
            }
            '{' | '[' | ':' => return self.give_up(c),
            _ => return self.in_word(true, c),
        }
        Fed::More
    }

    fn value(&mut self, c: char) -> Fed {
        match c {
            '"' | '\'' => {
                self.begin();
                self.string(c, false);
            }
            '{' | '[' => self.open(c == '['),
            '}' | ']' => {
                let empty = self.levels.last().is_some_and(|level| level.array && !level.some) && c == ']';
                self.mended |= !empty;
                self.lost |= !std::mem::take(&mut self.key).is_empty();
                return self.close(c);
            }
            ',' if self.in_array() => {
                self.mended = true;
                self.at = At::Value;
            }
            ',' | ':' => return self.give_up(c),
            _ => return self.in_word(false, c),
        }
        Fed::More
    }

    fn after(&mut self, c: char) -> Fed {
        let array = self.in_array();
        match c {
            ',' => {
                self.at = if array { At::Value } else { At::Key };
                Fed::More
            }
            '}' | ']' => self.close(c),
            _ => {
                // A comma is missing, or this is the marker.
                self.mended = true;
                if array { self.value(c) } else { self.key(c) }
            }
        }
    }

    fn give_up(&mut self, c: char) -> Fed {
        self.lost = true;
        self.marker(0, c)
    }

    fn marker(&mut self, seen: usize, c: char) -> Fed {
        let starts = |rest: &str| rest.starts_with(c);
        let seen = match self.end.get(seen..) {
            Some(rest) if starts(rest) => seen + 1,
            _ => usize::from(starts(self.end)),
        };
        self.at = At::Marker(seen);
        if seen == self.end.len() && seen > 0 { Fed::Marker } else { Fed::More }
    }

    fn in_word(&mut self, key: bool, c: char) -> Fed {
        let over = matches!(c, ',' | '}' | ']' | '\n') || key && c == ':';
        if !over {
            self.word.push(c);
            self.at = At::Word(key);
            let marker = !self.end.is_empty() && self.word.ends_with(self.end);
            return if marker { Fed::Marker } else { Fed::More };
        }
        if key {
            self.key = quoted(std::mem::take(&mut self.word).trim());
            self.mended = true;
            self.at = At::Colon;
        } else {
            self.end_word();
        }
        self.feed(c)
    }

    /// A word without quotes was a value.
    fn end_word(&mut self) {
        let word = std::mem::take(&mut self.word);
        let word = word.trim();
        self.begin();
        if serde_json::from_str::<Value>(word).is_ok() {
            self.say(word);
        } else {
            self.mended = true;
            match word {
                "True" | "TRUE" => self.say("true"),
                "False" | "FALSE" => self.say("false"),
                "None" | "NULL" | "Null" | "undefined" | "NaN" => self.say("null"),
                _ => self.say(&quoted(word)),
            }
        }
        self.ended();
    }
}

/// `text` as a JSON string.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
