//! What is known of a line of a head.

use super::needed;

/// A line, and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) reading: Reading,
    pub(super) view: View,
}

/// What a line says by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// The length of the name, where there is a plain one.
    pub(super) name: usize,
    pub(super) kind: Kind,
    /// Whether it can be read in one way only.
    pub(super) is_plain: bool,
}

/// What a line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The first line, one without a plain name, or one that is needed to forward the message.
    Needed,
    /// It has a plain name, and nobody who forwards the message needs it.
    Other,
    /// `Connection: keep-alive`. In HTTP/1.1 that says nothing (RFC 9112 section 9.3), and it is hop-by-hop.
    KeepAlive,
    /// A `Connection` that may name any other line.
    NamesOthers,
    /// It goes on with the one before.
    Folded,
    /// The end of the head.
    Empty,
}

/// What becomes of a line on its way to hyper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Shown,
    /// hyper does not see it, and it is put back behind hyper.
    Kept,
    /// It goes no further.
    Dropped,
}

impl Reading {
    /// That of `line`, with its end, which has `index` lines before it.
    pub(super) fn of(line: &[u8], index: usize) -> Self {
        let name = if index == 0 { 0 } else { needed::name(line) };
        Self { name, kind: Kind::of(line, name), is_plain: needed::is_plain(line) }
    }
}

impl Kind {
    fn of(line: &[u8], name: usize) -> Self {
        match line {
            b"\r\n" | b"\n" => Self::Empty,
            [b' ' | b'\t', ..] => Self::Folded,
            _ if name == 0 => Self::Needed,
            _ if !needed::is_needed(&line[..name]) => Self::Other,
            _ if !line[..name].eq_ignore_ascii_case(b"connection") => Self::Needed,
            _ if line.eq_ignore_ascii_case(b"connection: keep-alive\r\n") => Self::KeepAlive,
            _ if needed::names_nothing(&line[name + 1..]) => Self::Needed,
            _ => Self::NamesOthers,
        }
    }
}
