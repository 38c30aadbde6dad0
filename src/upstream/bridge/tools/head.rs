//! What stands between `FUNCTION_CALL_START` and the arguments.

/// Reads it word by word: the tool's name, with `function_name:` before it or not, an id, `arguments:`.
#[derive(Debug, Default)]
pub(super) struct Head {
    word: String,
    want: Want,
    /// The tool, once it is known.
    pub name: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Want {
    #[default]
    Name,
    Label,
    Id,
    Arguments,
}

/// What became of a char.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The head goes on.
    More,
    /// The name is complete: [`Head::name`].
    Named,
    /// The arguments begin with this char.
    Arguments,
    /// The call ends, without arguments.
    End,
    /// This is no call.
    No,
}

/// The longest word of a head. Bytes.
const LONGEST: usize = 1024;

impl Head {
    /// Reads `c`. `end` is the marker that ends a call.
    pub(super) fn feed(&mut self, c: char, end: &str) -> Step {
        let named = self.want != Want::Name;
        match c {
            c if c.is_whitespace() && self.word.is_empty() => Step::More,
            c if c.is_whitespace() => self.word(end),
            '{' if self.word.is_empty() && named && self.want != Want::Id => Step::Arguments,
            '"' if self.word.is_empty() && self.want == Want::Arguments => Step::Arguments,
            _ => {
                self.word.push(c);
                match self.word.len() {
                    LONGEST.. => Step::No,
                    _ if c == ':' && self.want != Want::Id && self.is_label() => self.word(end),
                    _ => Step::More,
                }
            }
        }
    }

    /// There is no more of it.
    pub(super) fn finish(&mut self, end: &str) -> Step {
        if self.word.is_empty() { Step::No } else { self.word(end) }
    }

    fn is_label(&self) -> bool {
        let label = self.word.trim_end_matches(':').to_ascii_lowercase();
        match self.want {
            Want::Name => {
                matches!(label.as_str(), "function_name" | "tool_name" | "name" | "function" | "tool")
            }
            _ => matches!(label.as_str(), "arguments" | "parameters" | "args" | "input" | "id" | "call_id"),
        }
    }

    /// A word is complete.
    fn word(&mut self, end: &str) -> Step {
        let label = self.word.ends_with(':') && self.is_label();
        let word = std::mem::take(&mut self.word);
        if self.want != Want::Name && word == end {
            return Step::End;
        }
        match self.want {
            Want::Name if label => Step::More,
            Want::Name => {
                let name = word.trim_end_matches(':').trim_matches(['"', '\'', '`', '*']);
                self.name = Some(name.to_owned());
                self.want = Want::Label;
                Step::Named
            }
            Want::Label if label => {
                let id = word.to_ascii_lowercase().trim_end_matches(':').ends_with("id");
                self.want = if id { Want::Id } else { Want::Arguments };
                Step::More
            }
            Want::Id => {
                self.want = Want::Label;
                Step::More
            }
            Want::Arguments if word.starts_with("```") => Step::More,
            Want::Arguments if matches!(word.as_str(), "null" | "None") => {
                self.want = Want::Label;
                Step::More
            }
            _ => Step::No,
        }
    }
}
