//! The fence that models put around JSON, taken off as it comes.

/// Takes the fence off a text that is one fenced block as a whole.
#[derive(Debug, Default)]
pub(super) struct Fence {
    at: At,
    /// What may belong to the fence.
    held: String,
    /// Ticks in it, before the first word.
    ticks: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum At {
    /// Before the first word.
    #[default]
    Start,
    /// In the line that opens the fence.
    Opening,
    Inside,
    /// There is no fence.
    Bare,
}

impl Fence {
    /// Reads more of the text; what is not fence is added to `out`.
    pub(super) fn hear(&mut self, text: &str, out: &mut String) {
        for c in text.chars() {
            self.step(c, out);
        }
    }

    fn step(&mut self, c: char, out: &mut String) {
        match self.at {
            At::Bare => out.push(c),
            At::Start => {
                self.held.push(c);
                match c {
                    '`' => {
                        self.ticks += 1;
                        if self.ticks == 3 {
                            self.at = At::Opening;
                        }
                    }
                    c if c.is_whitespace() && self.ticks == 0 => {}
                    _ => {
                        self.at = At::Bare;
                        out.push_str(&std::mem::take(&mut self.held));
                    }
                }
            }
            At::Opening => {
                self.held.push(c);
                if matches!(c, '\n' | '{' | '[') {
                    self.held.clear();
                    self.at = At::Inside;
                    if c != '\n' {
                        out.push(c);
                    }
                }
            }
            At::Inside if c == '`' || c.is_whitespace() => self.held.push(c),
            At::Inside => {
                out.push_str(&std::mem::take(&mut self.held));
                out.push(c);
            }
        }
    }

    /// The text is at its end.
    pub(super) fn finish(&mut self, out: &mut String) {
        let held = std::mem::take(&mut self.held);
        self.ticks = 0;
        let inside = std::mem::take(&mut self.at) == At::Inside;
        if !(inside && matches!(held.trim(), "" | "```")) {
            out.push_str(&held);
        }
    }
}
