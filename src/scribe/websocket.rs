//! WebSocket messages (RFC 6455) out of bytes that are cut anywhere.

use std::mem;

mod deflate;
#[cfg(test)]
mod tests;

use deflate::Inflater;
pub(crate) use deflate::{Deflate, agreed};

use super::bounded::append;

/// What a reader keeps its buffer at between messages.
const KEPT: usize = 64 * 1024;

/// The longest head of a frame.
const HEAD: usize = 14;

/// What the payload of a control frame may hold.
const CONTROL: u64 = 125;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A message, inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// What it says; where it is larger than the limit, how it begins.
    pub(crate) data: &'a [u8],
    /// Whether that is all of it.
    pub(crate) whole: bool,
}

/// Reads what one side of a WebSocket says, of which it holds one message at a time.
///
/// What is no WebSocket ends the reading, quietly. Whether a frame is masked, it says itself: which side it comes from
/// makes no difference.
#[derive(Debug)]
pub(crate) struct MessageReader {
    limit: usize,
    /// What inflates, where that was agreed on.
    inflater: Option<Inflater>,
    state: State,
    /// The message that has begun: whether it is compressed.
    compressed: Option<bool>,
    buffer: Vec<u8>,
    /// Whether something of the message is missing in the buffer.
    cut: bool,
}

#[derive(Debug)]
enum State {
    /// The head of a frame, as far as it came.
    Head([u8; HEAD], usize),
    Payload(Frame),
    /// Nothing more is read: it was closed, or is none.
    Over,
}

/// A frame whose payload is coming.
#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: u8,
    is_last: bool,
    mask: [u8; 4],
    left: u64,
}

impl Frame {
    fn is_control(&self) -> bool {
        self.opcode >= CLOSE
    }
}

/// It is no WebSocket.
#[derive(Debug)]
struct Broken;

impl MessageReader {
    /// A reader of messages of which it holds at most `limit` bytes, compressed as agreed.
    pub(crate) fn new(limit: usize, deflate: Option<Deflate>) -> Self {
        Self {
            limit,
            inflater: deflate.map(|deflate| Inflater::new(deflate, limit)),
            state: State::Head([0; HEAD], 0),
            compressed: None,
            buffer: Vec::new(),
            cut: false,
        }
    }

    /// Reads what came next.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], tell: &mut dyn FnMut(Message<'_>)) {
        while !bytes.is_empty() {
            let read = match &mut self.state {
                State::Over => return,
                State::Head(head, length) => {
                    let taken = bytes.len().min(wanted(head, *length) - *length);
                    let (now, rest) = bytes.split_at(taken);
                    if let Some(space) = head.get_mut(*length..*length + taken) {
                        space.copy_from_slice(now);
                    }
                    *length += taken;
                    bytes = rest;
                    let (head, length) = (*head, *length);
                    if length < wanted(&head, length) { Ok(()) } else { self.begin(&head, tell) }
                }
                State::Payload(frame) => {
                    let taken = usize::try_from(frame.left).unwrap_or(usize::MAX).min(bytes.len());
                    let (now, rest) = bytes.split_at(taken);
                    bytes = rest;
                    frame.left -= taken as u64;
                    let was = *frame;
                    frame.mask.rotate_left(taken % 4);
                    self.payload(was, now, tell)
                }
            };
            if read.is_err() {
                self.give_up();
            }
        }
    }

    /// About how many bytes of memory it holds.
    pub(crate) fn held(&self) -> usize {
        self.buffer.capacity() + self.inflater.as_ref().map_or(0, Inflater::held)
    }

    /// Reads nothing more, and holds nothing.
    pub(crate) fn give_up(&mut self) {
        self.state = State::Over;
        self.inflater = None;
        self.buffer = Vec::new();
    }

    fn begin(&mut self, head: &[u8; HEAD], tell: &mut dyn FnMut(Message<'_>)) -> Result<(), Broken> {
        let frame = frame(head)?;
        let is_compressed = head[0] & 0x40 != 0;
        match frame.opcode {
            TEXT | BINARY if self.compressed.is_none() && (!is_compressed || self.inflater.is_some()) => {
                self.compressed = Some(is_compressed);
            }
            CONTINUATION if self.compressed.is_some() && !is_compressed => {}
            CLOSE | PING | PONG if !is_compressed && frame.is_last && frame.left <= CONTROL => {}
            _ => return Err(Broken),
        }
        self.state = State::Payload(frame);
        if frame.left == 0 { self.end(frame, tell) } else { Ok(()) }
    }

    /// A part of the payload of `frame` came, of which so much is left after it.
    fn payload(
        &mut self,
        frame: Frame,
        bytes: &[u8],
        tell: &mut dyn FnMut(Message<'_>),
    ) -> Result<(), Broken> {
        if !frame.is_control() {
            if frame.mask == [0; 4] {
                self.add(bytes)?;
            } else {
                let mut clear = [0; 4096];
                for piece in bytes.chunks(clear.len()) {
                    // A piece is a multiple of the mask's length, unless it is the last.
                    for ((byte, key), to) in piece.iter().zip(frame.mask.iter().cycle()).zip(&mut clear) {
                        *to = byte ^ key;
                    }
                    self.add(clear.get(..piece.len()).unwrap_or_default())?;
                }
            }
        }
        if frame.left == 0 { self.end(frame, tell) } else { Ok(()) }
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let Self { limit, buffer, cut, inflater, .. } = self;
        let mut add = |piece: &[u8]| {
            *cut |= !append(buffer, piece, *limit);
        };
        match (self.compressed, inflater) {
            (Some(true), Some(inflater)) => inflater.inflate(bytes, &mut add),
            (Some(true), None) => Err(Broken),
            _ => {
                add(bytes);
                Ok(())
            }
        }
    }

    /// The frame has ended, and perhaps the message with it.
    fn end(&mut self, frame: Frame, tell: &mut dyn FnMut(Message<'_>)) -> Result<(), Broken> {
        self.state = State::Head([0; HEAD], 0);
        if frame.opcode == CLOSE {
            self.give_up();
            return Ok(());
        }
        if frame.is_control() || !frame.is_last {
            return Ok(());
        }
        if self.compressed == Some(true) {
            self.add(deflate::TAIL)?;
            if let Some(inflater) = &mut self.inflater {
                inflater.end();
            }
        }
        self.compressed = None;
        tell(Message { data: &self.buffer, whole: !mem::take(&mut self.cut) });
        self.buffer.clear();
        self.buffer.shrink_to(KEPT);
        Ok(())
    }
}

/// How long the head is that begins like this.
fn wanted(head: &[u8; HEAD], length: usize) -> usize {
    if length < 2 {
        return 2;
    }
    let extended = match head[1] & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + extended + if head[1] & 0x80 != 0 { 4 } else { 0 }
}

fn frame(head: &[u8; HEAD]) -> Result<Frame, Broken> {
    if head[0] & 0x30 != 0 {
        return Err(Broken);
    }
    let [_, _, rest @ ..] = *head;
    let (left, mask_at) = match head[1] & 0x7f {
        126 => (u64::from(u16::from_be_bytes([rest[0], rest[1]])), 2),
        127 => (rest.first_chunk().map_or(0, |length| u64::from_be_bytes(*length)), 8),
        short => (u64::from(short), 0),
    };
    if left >> 63 != 0 {
        return Err(Broken);
    }
    let mask = match rest.get(mask_at..).and_then(<[u8]>::first_chunk) {
        Some(mask) if head[1] & 0x80 != 0 => *mask,
        _ => [0; 4],
    };
    Ok(Frame { opcode: head[0] & 0x0f, is_last: head[0] & 0x80 != 0, mask, left })
}
