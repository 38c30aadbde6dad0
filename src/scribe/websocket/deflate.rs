//! `permessage-deflate` (RFC 7692): messages that are compressed one by one, or each with a view of those before.

use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};
use perimeter_interceptor::Peer;

use super::Broken;

/// What a sender takes off the end of each message.
pub(super) const TAIL: &[u8] = &[0, 0, 0xff, 0xff];

/// How many bytes a byte may become, beside the limit: more is a bomb.
const EXPANSION: u64 = 64;

/// What is handed on at once, at most.
const PIECE: usize = 4 * 1024;

/// About what zlib's state and window take.
const INFLATE: usize = 48 * 1024;

/// An extension that is not known: what is said is opaque.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an extension of WebSocket that is not known")]
pub(crate) struct UnknownExtension;

/// How one side compresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deflate {
    /// Whether a message refers to those before it.
    takes_over: bool,
}

#[cfg(test)]
impl Deflate {
    pub(super) fn new(takes_over: bool) -> Self {
        Self { takes_over }
    }
}

/// How `from` compresses, by the values of `Sec-WebSocket-Extensions` in the response; `None` where it does not.
///
/// # Errors
/// Something else was agreed on.
pub(crate) fn agreed<'a>(
    values: impl Iterator<Item = &'a [u8]>,
    from: Peer,
) -> Result<Option<Deflate>, UnknownExtension> {
    let mut agreed = None;
    for extension in values.flat_map(|value| value.split(|byte| *byte == b',')) {
        let mut words = extension.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        match words.next() {
            None | Some(b"") => continue,
            Some(name) if name.eq_ignore_ascii_case(b"permessage-deflate") && agreed.is_none() => {}
            Some(_) => return Err(UnknownExtension),
        }
        let forgets: &[u8] = match from {
            Peer::Client => b"client_no_context_takeover",
            Peer::Upstream => b"server_no_context_takeover",
        };
        // A window of any size is read with the largest.
        agreed = Some(Deflate { takes_over: !words.any(|word| word.eq_ignore_ascii_case(forgets)) });
    }
    Ok(agreed)
}

/// Inflates what one side says.
pub(super) struct Inflater {
    deflate: Deflate,
    /// Made when it is needed.
    state: Option<Box<Decompress>>,
    limit: u64,
    input: u64,
    output: u64,
}

impl Inflater {
    pub(super) fn new(deflate: Deflate, limit: usize) -> Self {
        Self { deflate, state: None, limit: limit as u64, input: 0, output: 0 }
    }

    /// Inflates what came next, and gives it to `tell` in pieces.
    pub(super) fn inflate(&mut self, mut input: &[u8], tell: &mut dyn FnMut(&[u8])) -> Result<(), Broken> {
        let state = self.state.get_or_insert_with(|| Box::new(Decompress::new(false)));
        self.input = self.input.saturating_add(input.len() as u64);
        let allowed = self.input.saturating_mul(EXPANSION).saturating_add(self.limit);
        let mut piece = [0; PIECE];
        loop {
            let (was_read, was_wrote) = (state.total_in(), state.total_out());
            let status = state.decompress(input, &mut piece, FlushDecompress::None).map_err(|_| Broken)?;
            let read = (state.total_in() - was_read) as usize;
            let wrote = (state.total_out() - was_wrote) as usize;
            input = input.get(read..).unwrap_or_default();
            self.output = self.output.saturating_add(wrote as u64);
            if self.output > allowed {
                return Err(Broken);
            }
            tell(piece.get(..wrote).unwrap_or_default());
            if status == Status::StreamEnd {
                // A last block may stand in the middle (section 7.2.3.4): another stream follows.
                state.reset(false);
            } else if wrote < PIECE && input.is_empty() {
                return Ok(());
            }
            if read == 0 && wrote == 0 {
                return if input.is_empty() { Ok(()) } else { Err(Broken) };
            }
        }
    }

    /// The message has ended.
    pub(super) fn end(&mut self) {
        if !self.deflate.takes_over
            && let Some(state) = &mut self.state
        {
            state.reset(false);
        }
    }

    pub(super) fn held(&self) -> usize {
        if self.state.is_some() { INFLATE } else { 0 }
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inflater {{ {:?}, {} to {} bytes }}", self.deflate, self.input, self.output)
    }
}
