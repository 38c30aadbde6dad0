//! Colours, in the sixteen that every terminal's owner has chosen.

/// How a piece of text is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "\x1b[1m",
            Self::Dim => "\x1b[2m",
            Self::Red => "\x1b[31m",
            Self::Green => "\x1b[32m",
            Self::Yellow => "\x1b[33m",
            Self::Blue => "\x1b[34m",
            Self::Magenta => "\x1b[35m",
            Self::Cyan => "\x1b[36m",
        }
    }

    /// Appends `text`, drawn in this ink where there is colour.
    pub(crate) fn draw(self, text: &str, colour: bool, out: &mut String) {
        if !colour || text.is_empty() || self == Self::Plain {
            out.push_str(text);
            return;
        }
        out.push_str(self.code());
        out.push_str(text);
        out.push_str("\x1b[0m");
    }
}
