//! JSON gone through to see whether it is some, and where in it something is. Nothing is made of what it says.

use std::ops::Range;

mod quotes;

use quotes::Quotes;

/// Whether this text is JSON.
pub(crate) fn is_json(text: &str) -> bool {
    let mut scan = Scan::of(text);
    scan.value().is_some() && scan.end().is_some()
}

/// A text, and how far it has been gone through. All that is here accepts what `serde_json` ignores without an error;
/// `None` is no JSON.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    quotes: Quotes<'a>,
    /// Whether there is a control character anywhere. None may stand in a string, and few clients write any around.
    has_control: bool,
}

impl<'a> Scan<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        let text = text.as_bytes();
        Self { text, at: 0, quotes: Quotes::of(text), has_control: has_control(text) }
    }

    /// How far it has been gone through.
    pub(crate) fn place(&self) -> usize {
        self.at
    }

    /// The first byte of what comes next.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.at) {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Goes behind this, if it comes next.
    fn take(&mut self, wanted: u8) -> bool {
        let is_next = self.peek() == Some(wanted);
        self.at += usize::from(is_next);
        is_next
    }

    /// Goes into a list or an object. Whether there is anything in it: if not, it goes behind.
    pub(crate) fn enter(&mut self, open: u8, close: u8) -> Option<bool> {
        self.take(open).then(|| !self.take(close))
    }

    /// Goes on behind a value in it. Whether another one follows.
    pub(crate) fn goes_on(&mut self, close: u8) -> Option<bool> {
        match self.peek()? {
            b',' => self.at += 1,
            next if next == close => {
                self.at += 1;
                return Some(false);
            }
            _ => return None,
        }
        Some(true)
    }

    /// Goes behind a member's name and the colon. Where the name is, with its quotes.
    pub(crate) fn name(&mut self) -> Option<Range<usize>> {
        if !self.take(b'"') {
            return None;
        }
        let start = self.at - 1;
        self.end_string()?;
        let name = start..self.at;
        self.take(b':').then_some(name)
    }

    /// Goes behind a value. Where it is.
    pub(crate) fn value(&mut self) -> Option<Range<usize>> {
        self.peek()?;
        let start = self.at;
        // The ends that are still to come, of what is open.
        let mut ends = Vec::new();
        loop {
            let within = match self.peek()? {
                open @ (b'{' | b'[') => {
                    let close = if open == b'{' { b'}' } else { b']' };
                    let within = self.enter(open, close)?;
                    if within {
                        ends.push(close);
                    }
                    within
                }
                first => {
                    self.at += 1;
                    self.scalar(first)?;
                    false
                }
            };
            if !(within || self.close(&mut ends)?) {
                return Some(start..self.at);
            }
            if ends.last() == Some(&b'}') {
                self.name()?;
            }
        }
    }

    /// Goes behind all that ends here. Whether anything of what is open has another value.
    fn close(&mut self, ends: &mut Vec<u8>) -> Option<bool> {
        while let Some(close) = ends.last() {
            if self.goes_on(*close)? {
                return Some(true);
            }
            ends.pop();
        }
        Some(false)
    }

    /// Goes to the end, where only white space is left.
    pub(crate) fn end(&mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }

    /// Goes behind what has no others in it, and begins so.
    fn scalar(&mut self, first: u8) -> Option<()> {
        match first {
            b'"' => self.end_string(),
            b't' => self.word(b"rue"),
            b'f' => self.word(b"alse"),
            b'n' => self.word(b"ull"),
            b'-' => {
                let first = *self.text.get(self.at)?;
                self.at += 1;
                self.number(first)
            }
            _ => self.number(first),
        }
    }

    fn word(&mut self, rest: &[u8]) -> Option<()> {
        let is_it = self.text.get(self.at..)?.starts_with(rest);
        self.at += rest.len();
        is_it.then_some(())
    }

    fn number(&mut self, first: u8) -> Option<()> {
        match first {
            b'0' if self.digits() > 0 => return None,
            b'0' => {}
            b'1'..=b'9' => {
                self.digits();
            }
            _ => return None,
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return None;
            }
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(self.text.get(self.at), Some(b'+' | b'-')));
            if self.digits() == 0 {
                return None;
            }
        }
        Some(())
    }

    /// Goes behind digits, and says how many they were.
    fn digits(&mut self) -> usize {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        count
    }

    /// Goes behind the quote that ends the string that this is the inside of.
    fn end_string(&mut self) -> Option<()> {
        let start = self.at;
        self.at = self.quotes.next(start)?;
        let string = start..self.at;
        self.at += 1;
        (!self.has_control || !has_control(self.text.get(string)?)).then_some(())
    }
}

/// Compilers make much of a loop that has but one end.
fn has_control(text: &[u8]) -> bool {
    text.iter().fold(u8::MAX, |least, byte| least.min(*byte)) < b' '
}

#[cfg(test)]
pub(crate) mod tests;
