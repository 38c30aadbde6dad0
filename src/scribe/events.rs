//! Events out of a stream, whichever way it frames them.

use super::frames::FrameReader;
use super::list::ListReader;
use super::sse::{Read, SseReader};

/// Cuts a stream into its events, of which it holds one at a time.
#[derive(Debug)]
pub(crate) enum Events {
    /// Server-sent events.
    Sse(SseReader),
    /// Amazon's binary frames.
    Frames(FrameReader),
    /// The elements of a list in JSON.
    List(ListReader),
}

impl Events {
    /// A reader of server-sent events that take at most `limit` bytes.
    pub(crate) fn sse(limit: usize) -> Self {
        Self::Sse(SseReader::new(limit))
    }

    /// A reader of Amazon's frames that take at most `limit` bytes.
    pub(crate) fn frames(limit: usize) -> Self {
        Self::Frames(FrameReader::new(limit))
    }

    /// A reader of a list whose elements take at most `limit` bytes.
    pub(crate) fn list(limit: usize) -> Self {
        Self::List(ListReader::new(limit))
    }

    /// Changes what an event may take.
    pub(crate) fn limit(&mut self, limit: usize) {
        match self {
            Self::Sse(events) => events.limit(limit),
            Self::Frames(events) => events.limit(limit),
            Self::List(events) => events.limit(limit),
        }
    }

    /// Reads what came next.
    pub(crate) fn feed(&mut self, chunk: &[u8], tell: &mut dyn FnMut(Read<'_>)) {
        match self {
            Self::Sse(events) => events.feed(chunk, tell),
            Self::Frames(events) => events.feed(chunk, tell),
            Self::List(events) => events.feed(chunk, tell),
        }
    }

    /// Nothing comes any more.
    pub(crate) fn finish(&mut self, tell: &mut dyn FnMut(Read<'_>)) {
        match self {
            Self::Sse(events) => events.finish(tell),
            // What is not whole is no event.
            Self::Frames(_) | Self::List(_) => {}
        }
    }

    /// How many bytes of memory it holds.
    pub(crate) fn held(&self) -> usize {
        match self {
            Self::Sse(events) => events.held(),
            Self::Frames(events) => events.held(),
            Self::List(events) => events.held(),
        }
    }
}
