//! An answer that may be one JSON call, as a whole.

use super::envelope::Envelope;
use super::object::Fed;

/// An answer that may be a call as a whole.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// Ticks of the fence around it.
    ticks: usize,
    /// In the line that opens the fence.
    fence_line: bool,
    /// The call.
    pub call: Option<Box<Envelope>>,
    /// It is complete.
    pub closed: bool,
}

impl Opening {
    /// Reads `c`. Whether the answer may still be a call, fenced or not, and nothing else.
    pub(super) fn goes_on(&mut self, c: char, without: &[&'static str]) -> bool {
        if self.closed {
            // The fence ends, if there is one.
            return c.is_whitespace() || c == '`' && self.ticks == 3;
        }
        if let Some(call) = &mut self.call {
            self.closed = call.feed(c) == Fed::Closed;
            return true;
        }
        match c {
            '{' => {
                let mut call = Envelope::new("", without.to_vec());
                call.feed(c);
                self.call = Some(Box::new(call));
                self.ticks == 0 || self.ticks == 3
            }
            '`' if self.ticks < 3 => {
                self.ticks += 1;
                self.fence_line = self.ticks == 3;
                true
            }
            '\n' => {
                self.fence_line = false;
                true
            }
            c => c.is_whitespace() || self.fence_line && (c.is_ascii_alphanumeric() || c == '_'),
        }
    }
}
