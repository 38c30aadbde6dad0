//! A call as one JSON object: `{"name": …, "arguments": {…}}`, in the words that models use for it.

use super::arguments::Arguments;
use super::object::{Fed, Object};

/// A call that is being read. Its first char has to be `{`.
#[derive(Debug)]
pub(super) struct Envelope {
    object: Object,
    /// Where the JSON of `object` is.
    depth: usize,
    /// At what depth the keys are that say something: 2 inside of OpenAI's `"function": {…}`.
    level: usize,
    in_string: bool,
    slash: bool,
    part: Part,
    /// The JSON of a key or a name so far.
    word: String,
    /// The tool, once it is known.
    pub name: Option<String>,
    /// What it is given, once that begins.
    pub arguments: Option<Arguments>,
    without: Vec<&'static str>,
    /// Whether it has keys that calls do not have.
    pub foreign: bool,
}

/// What is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Key,
    Name,
    /// `function`: a name, or an object with a name in it.
    Function,
    Arguments,
    Other,
}

impl Part {
    fn of(key: &str) -> Option<Self> {
        match key {
            "name" | "function_name" | "tool_name" | "tool" => Some(Self::Name),
            "function" => Some(Self::Function),
            "arguments" | "parameters" | "args" | "input" => Some(Self::Arguments),
            "id" | "call_id" | "type" | "index" | "step_id" | "tool_execution_id" => Some(Self::Other),
            _ => None,
        }
    }
}

impl Envelope {
    /// A call that ends with its last brace or, should that be missing, with `end`.
    pub(super) fn new(end: &'static str, without: Vec<&'static str>) -> Self {
        Self {
            object: Object::new(end, Vec::new()),
            depth: 0,
            level: 1,
            in_string: false,
            slash: false,
            part: Part::Other,
            word: String::new(),
            name: None,
            arguments: None,
            without,
            foreign: false,
        }
    }

    /// Reads `c`.
    pub(super) fn feed(&mut self, c: char) -> Fed {
        let fed = self.object.feed(c);
        self.hear();
        fed
    }

    /// There is no more of it: closes what is open.
    pub(super) fn finish(&mut self) {
        self.object.finish();
        self.hear();
        if let Some(arguments) = &mut self.arguments {
            arguments.finish();
        }
    }

    /// Whether something had to be mended.
    pub(super) fn mended(&self) -> bool {
        self.object.mended || self.arguments.as_ref().is_some_and(Arguments::mended)
    }

    /// Whether something could not be.
    pub(super) fn lost(&self) -> bool {
        self.object.lost || self.arguments.as_ref().is_some_and(Arguments::lost)
    }

    fn hear(&mut self) {
        for c in self.object.take().chars() {
            self.json(c);
        }
    }

    /// Reads a char of the object's JSON, which is sound by now.
    fn json(&mut self, c: char) {
        if self.in_string {
            let escaped = std::mem::take(&mut self.slash);
            self.slash = c == '\\' && !escaped;
            self.in_string = c != '"' || escaped;
            return self.more(c);
        }
        match c {
            ':' if self.part == Part::Key && self.depth == self.level => self.keyed(),
            ',' if self.depth == self.level => self.ended(),
            '{' | '[' => {
                self.depth += 1;
                if self.depth == 1 {
                    self.part = Part::Key;
                } else if c == '{' && self.part == Part::Function && self.depth == self.level + 1 {
                    self.level += 1;
                    self.part = Part::Key;
                } else {
                    self.more(c);
                }
            }
            '}' | ']' => {
                self.depth -= 1;
                if self.depth < self.level {
                    self.ended();
                    self.level = self.depth;
                    self.part = Part::Other;
                } else {
                    self.more(c);
                }
            }
            _ => {
                self.in_string = c == '"';
                self.more(c);
            }
        }
    }

    /// More of the part that is being read.
    fn more(&mut self, c: char) {
        match self.part {
            Part::Key | Part::Name | Part::Function => self.word.push(c),
            Part::Arguments => {
                if let Some(arguments) = &mut self.arguments {
                    arguments.feed(c);
                }
            }
            Part::Other => {}
        }
    }

    /// A key is complete.
    fn keyed(&mut self) {
        let key = unquoted(&std::mem::take(&mut self.word)).unwrap_or_default();
        let part = Part::of(&key);
        self.foreign |= part.is_none();
        self.part = match part {
            // The first counts.
            Some(Part::Arguments) if self.arguments.is_some() => Part::Other,
            Some(Part::Arguments) => {
                self.arguments = Some(Arguments::new("", std::mem::take(&mut self.without)));
                Part::Arguments
            }
            Some(part) => part,
            None => Part::Other,
        };
    }

    /// A value is complete.
    fn ended(&mut self) {
        let word = std::mem::take(&mut self.word);
        if matches!(self.part, Part::Name | Part::Function) && self.name.is_none() {
            self.name = unquoted(&word);
        }
        self.part = Part::Key;
    }
}

fn unquoted(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}
