//! A request's body, put together.

use std::io;
use std::mem;

use bytes::Bytes;

use super::Opaque;
use crate::dialect::MultipartForm;
use crate::pipe::Pipe;
use crate::scribe::bounded::{append, make_room};
use crate::scribe::decode::Decoder;
use crate::scribe::kept;

/// A request's body, decoded.
pub(super) struct Body {
    decoder: Option<Decoder>,
    /// Reads a form as it comes: then none of it is held here.
    form: Option<MultipartForm>,
    /// A body that came in one piece is not copied.
    piece: Bytes,
    rest: Vec<u8>,
    /// What room is made for, bytes.
    expected: usize,
    /// Whether something is missing behind it.
    cut: bool,
    /// Whether there was no memory for what came behind it.
    starved: bool,
}

impl Body {
    /// Nothing of it yet.
    pub(super) fn new(
        decoder: Result<Option<Decoder>, Opaque>,
        form: Option<MultipartForm>,
        expected: usize,
    ) -> Self {
        let cut = decoder.is_err();
        let (piece, rest) = (Bytes::new(), Vec::new());
        Self { decoder: decoder.unwrap_or_default(), form, piece, rest, expected, cut, starved: false }
    }

    /// Whether there was no memory for all of it.
    pub(super) fn is_starved(&self) -> bool {
        self.starved
    }

    pub(super) fn len(&self) -> usize {
        self.piece.len() + self.rest.len()
    }

    pub(super) fn held(&self) -> usize {
        let form = self.form.as_ref().map_or(0, MultipartForm::held);
        self.decoder.as_ref().map_or(0, Decoder::held) + form + self.piece.len() + self.rest.capacity()
    }

    pub(super) fn add(&mut self, chunk: &Bytes, limit: usize) {
        if self.cut {
            return;
        }
        if let Some(form) = &mut self.form {
            match &mut self.decoder {
                None => form.feed(chunk),
                Some(decoder) => self.cut = decoder.decode(chunk, &mut |piece| form.feed(piece)).is_err(),
            }
            return;
        }
        let Some(decoder) = &mut self.decoder else {
            if self.len() == 0 && chunk.len() <= limit {
                self.piece = kept(chunk);
            } else {
                self.unite();
                self.cut = !append(&mut self.rest, chunk, limit);
            }
            return;
        };
        let (rest, cut) = (&mut self.rest, &mut self.cut);
        let decoded = decoder.decode(chunk, &mut |piece| {
            if !*cut {
                *cut = !append(rest, piece, limit);
            }
        });
        self.cut |= decoded.is_err();
    }

    /// Adds what is in a pipe, without a copy of it on the way where it is taken as it is.
    ///
    /// # Errors
    /// As reading from a pipe: then none of it was added.
    pub(super) fn add_piped(&mut self, part: Pipe, limit: usize) -> io::Result<()> {
        if self.cut {
            return Ok(());
        }
        let (before, more) = (self.len(), part.holds());
        if self.form.is_some() || self.decoder.is_some() || limit.saturating_sub(before) < more {
            self.add(&Bytes::from(part.into_bytes()?), limit);
            return Ok(());
        }
        self.unite();
        make_room(&mut self.rest, more, limit);
        part.append_to(&mut self.rest).inspect_err(|_| self.rest.truncate(before))
    }

    /// Copies a first piece to where the others go.
    fn unite(&mut self) {
        let piece = mem::take(&mut self.piece);
        if self.rest.is_empty() {
            self.rest.reserve(self.expected.max(piece.len()));
        }
        self.rest.extend_from_slice(&piece);
    }

    /// Goes back to what it was when it had this length, and takes no more.
    pub(super) fn starve(&mut self, length: usize) {
        if length == 0 {
            self.piece = Bytes::new();
        }
        self.rest.truncate(length);
        self.rest.shrink_to_fit();
        self.decoder = None;
        self.form = None;
        self.cut = true;
        self.starved = true;
    }

    /// The body or what was read of it, and whether it is all there.
    pub(super) fn finish(mut self, whole: bool) -> (Bytes, Option<MultipartForm>, bool) {
        let mut whole = whole && !self.cut;
        if let Some(decoder) = self.decoder.take() {
            whole &= decoder.finish().is_ok();
        }
        if self.rest.is_empty() {
            return (self.piece, self.form, whole);
        }
        if !self.piece.is_empty() {
            self.unite();
        }
        (Bytes::from(self.rest), self.form, whole)
    }
}
