//! The arguments of a call: an object, or a string that has one in it.

use super::object::{Fed, Object};

/// Arguments that are being read.
#[derive(Debug)]
pub(super) struct Arguments {
    object: Object,
    at: At,
    /// Whether something had to be mended beside the object itself.
    mended: bool,
}

#[derive(Debug)]
enum At {
    Start,
    Object,
    /// The object is in a string.
    Coat(Coat),
    Closed,
    /// There is no object.
    No,
}

/// A string with an object in it.
#[derive(Debug, Default)]
struct Coat {
    /// A backslash has come.
    slash: bool,
    /// The digits of `\u` so far.
    hex: Option<String>,
    /// The first half of a surrogate pair.
    half: Option<u16>,
    /// The object has begun.
    begun: bool,
}

/// What becomes of a char in a [`Coat`].
enum Bare {
    Nothing,
    Char(char),
    End,
}

impl Arguments {
    /// Arguments as [`Object::new`] reads them.
    pub(super) fn new(end: &'static str, without: Vec<&'static str>) -> Self {
        Self { object: Object::new(end, without), at: At::Start, mended: false }
    }

    /// An empty object, where a call has none.
    pub(super) fn none() -> Self {
        let mut none = Self::new("", Vec::new());
        none.feed('{');
        none.feed('}');
        none
    }

    /// The JSON since the last time.
    pub(super) fn take(&mut self) -> String {
        self.object.take()
    }

    /// Whether there is an object.
    pub(super) fn begun(&self) -> bool {
        match &self.at {
            At::Object | At::Closed => true,
            At::Coat(coat) => coat.begun,
            At::Start | At::No => false,
        }
    }

    /// Whether there is none, and none to come.
    pub(super) fn impossible(&self) -> bool {
        matches!(self.at, At::No)
    }

    /// Whether they are complete.
    pub(super) fn closed(&self) -> bool {
        matches!(self.at, At::Closed)
    }

    /// Whether something had to be mended.
    pub(super) fn mended(&self) -> bool {
        self.mended || self.object.mended
    }

    /// Whether something could not be.
    pub(super) fn lost(&self) -> bool {
        self.object.lost
    }

    /// Reads `c`.
    pub(super) fn feed(&mut self, c: char) -> Fed {
        let fed = match &mut self.at {
            At::Start => {
                match c {
                    '{' => {
                        self.at = At::Object;
                        self.object.feed(c);
                    }
                    '"' => self.at = At::Coat(Coat::default()),
                    // `null`
                    'n' => {
                        *self = Self { mended: true, ..Self::none() };
                        return Fed::More;
                    }
                    c if c.is_whitespace() => {}
                    _ => self.at = At::No,
                }
                Fed::More
            }
            At::Object => self.object.feed(c),
            At::Coat(coat) => {
                let bare = coat.bare(c);
                self.coated(bare)
            }
            At::Closed | At::No => Fed::Closed,
        };
        if fed == Fed::Closed && !matches!(self.at, At::No) {
            self.at = At::Closed;
        }
        fed
    }

    fn coated(&mut self, bare: Bare) -> Fed {
        let At::Coat(coat) = &mut self.at else { return Fed::Closed };
        match bare {
            Bare::Nothing => Fed::More,
            Bare::Char(c) if !coat.begun && c.is_whitespace() => Fed::More,
            Bare::Char(c) if coat.begun || c == '{' => {
                coat.begun = true;
                self.mended = true;
                // Its end is the end of the string.
                self.object.feed(c);
                Fed::More
            }
            Bare::Char(_) => {
                self.at = At::No;
                Fed::More
            }
            Bare::End => {
                self.mended = true;
                if !coat.begun {
                    self.object.feed('{');
                }
                self.object.finish();
                Fed::Closed
            }
        }
    }

    /// There is no more of them: closes what is open.
    pub(super) fn finish(&mut self) {
        if self.begun() && !self.closed() {
            self.object.finish();
            self.at = At::Closed;
            self.mended = true;
        }
    }
}

impl Coat {
    fn bare(&mut self, c: char) -> Bare {
        if let Some(mut hex) = self.hex.take() {
            if !c.is_ascii_hexdigit() {
                return self.bare(c);
            }
            hex.push(c);
            if hex.len() < 4 {
                self.hex = Some(hex);
                return Bare::Nothing;
            }
            return self.unit(u16::from_str_radix(&hex, 16).unwrap_or_default());
        }
        if std::mem::take(&mut self.slash) {
            return match c {
                'n' => Bare::Char('\n'),
                't' => Bare::Char('\t'),
                'r' => Bare::Char('\r'),
                'b' => Bare::Char('\u{8}'),
                'f' => Bare::Char('\u{c}'),
                'u' => {
                    self.hex = Some(String::new());
                    Bare::Nothing
                }
                c => Bare::Char(c),
            };
        }
        match c {
            '\\' => {
                self.slash = true;
                Bare::Nothing
            }
            '"' => Bare::End,
            c => Bare::Char(c),
        }
    }

    fn unit(&mut self, unit: u16) -> Bare {
        let first = self.half.take();
        if matches!(unit, 0xD800..=0xDBFF) {
            self.half = Some(unit);
            return Bare::Nothing;
        }
        let units = first.into_iter().chain([unit]);
        let last = char::decode_utf16(units).last();
        Bare::Char(last.and_then(Result::ok).unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}
