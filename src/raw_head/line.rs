//! What is known of a line of a head.

use std::ops::Range;

use super::needed;

/// A line, and what becomes of it. Every exchange under way has some thirty: they are kept small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    start: u32,
    end: u32,
    pub(super) reading: Reading,
    pub(super) view: View,
}

impl Line {
    /// One that hyper is shown. Where it stands in its head; hyper gives one up long before it has 4 GiB.
    pub(super) fn new(range: Range<usize>, reading: Reading) -> Self {
        let [start, end] = [range.start, range.end].map(|at| u32::try_from(at).unwrap_or(u32::MAX));
        Self { start, end, reading, view: View::Shown }
    }

    /// Where it stands in its head.
    pub(super) fn range(&self) -> Range<usize> {
        self.start()..self.end()
    }

    /// Where it begins.
    pub(super) fn start(&self) -> usize {
        self.start as usize
    }

    /// Where the next one begins.
    pub(super) fn end(&self) -> usize {
        self.end as usize
    }
}

/// What a line says by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    name: u32,
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

/// What becomes of a line on its way to hyper, or to whoever forwards a response.
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
        let kind = Kind::of(line, name);
        Self { name: u32::try_from(name).unwrap_or_default(), kind, is_plain: needed::is_plain(line) }
    }

    /// The length of the name, where there is a plain one.
    pub(super) fn name(&self) -> usize {
        self.name as usize
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
