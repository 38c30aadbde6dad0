//! Amazon's event stream (`application/vnd.amazon.eventstream`) cut into its frames.
//!
//! A frame is a prelude (the lengths of all and of the headers, and a CRC of both), headers, a payload and a CRC of
//! all before. Numbers are big-endian, and the CRC is that of zlib.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Crc;
use serde::{Deserialize, Serialize};

use super::sse::{Event, Read};

/// Two lengths and a CRC.
const PRELUDE: usize = 12;

/// The CRC at the end.
const TRAILER: usize = 4;

/// What a reader keeps its buffer at between frames.
const KEPT: usize = 64 * 1024;

/// Reads a stream of frames, of which it holds one at a time.
///
/// What a `chunk` of Bedrock's holds is told as an event without a name, and an exception as an event named `error`
/// with the data that Anthropic's API would send. Other frames are passed over.
///
/// A frame larger than the limit is passed over and told as [`Read::TooLarge`]. So is one whose lengths or checksums
/// are wrong, or that is not made as a frame must be: there is no telling where the next one begins, and nothing that
/// follows is read.
#[derive(Debug)]
pub(crate) struct FrameReader {
    limit: usize,
    /// The frame as far as it came.
    buffer: Vec<u8>,
    /// How many bytes of a frame that is too large are still to come.
    passing: usize,
    /// What came is no stream of frames.
    broken: bool,
}

/// What is wrong with a frame.
#[derive(Debug, PartialEq, Eq)]
struct Broken;

impl FrameReader {
    /// A reader of frames that take at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, buffer: Vec::new(), passing: 0, broken: false }
    }

    /// Changes what a frame may take.
    pub(crate) fn limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Reads what came next.
    pub(crate) fn feed(&mut self, mut chunk: &[u8], tell: &mut dyn FnMut(Read<'_>)) {
        while !self.broken && !chunk.is_empty() {
            chunk = match self.advance(chunk, tell) {
                Ok(rest) => rest,
                Err(Broken) => {
                    self.broken = true;
                    self.buffer = Vec::new();
                    tell(Read::TooLarge);
                    return;
                }
            };
        }
    }

    /// How many bytes of memory it holds.
    pub(crate) fn held(&self) -> usize {
        self.buffer.capacity()
    }

    /// Takes what it can of `chunk`, which is not empty, and gives back the rest.
    fn advance<'c>(&mut self, chunk: &'c [u8], tell: &mut dyn FnMut(Read<'_>)) -> Result<&'c [u8], Broken> {
        if self.passing > 0 {
            let (passed, rest) = chunk.split_at(chunk.len().min(self.passing));
            self.passing -= passed.len();
            if self.passing == 0 {
                tell(Read::TooLarge);
            }
            return Ok(rest);
        }
        let rest = self.fill(PRELUDE, chunk);
        let Some(prelude) = self.buffer.first_chunk() else { return Ok(rest) };
        let length = length(prelude)?;
        if length > self.limit {
            self.passing = length - self.buffer.len();
            self.buffer = Vec::new();
            return Ok(rest);
        }
        let rest = self.fill(length, rest);
        if self.buffer.len() == length {
            Frame::of(&self.buffer)?.tell(tell)?;
            self.buffer.clear();
            self.buffer.shrink_to(KEPT);
        }
        Ok(rest)
    }

    /// Fills the buffer up to `length`, and gives back what is left.
    fn fill<'c>(&mut self, length: usize, chunk: &'c [u8]) -> &'c [u8] {
        let missing = length.saturating_sub(self.buffer.len());
        let (taken, rest) = chunk.split_at(chunk.len().min(missing));
        let needed = self.buffer.len() + taken.len();
        if needed > self.buffer.capacity() {
            // The length that a frame tells may be a lie: room is made for what came.
            let capacity = needed.max(self.buffer.capacity().saturating_mul(2)).min(length);
            self.buffer.reserve_exact(capacity - self.buffer.len());
        }
        self.buffer.extend_from_slice(taken);
        rest
    }
}

/// The length of the frame that begins like this.
fn length(prelude: &[u8; PRELUDE]) -> Result<usize, Broken> {
    let (lengths, sum) = prelude.split_last_chunk::<TRAILER>().ok_or(Broken)?;
    let (length, headers) = lengths.split_first_chunk::<4>().ok_or(Broken)?;
    let length = u32::from_be_bytes(*length) as usize;
    let headers = u32::from_be_bytes(*headers.first_chunk().ok_or(Broken)?) as usize;
    let is_possible = length.checked_sub(PRELUDE + TRAILER).is_some_and(|rest| headers <= rest);
    if is_possible && crc(lengths) == u32::from_be_bytes(*sum) { Ok(length) } else { Err(Broken) }
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// A frame, as far as we need to know.
#[derive(Debug, Default, PartialEq, Eq)]
struct Frame<'a> {
    message_type: &'a [u8],
    event_type: &'a [u8],
    /// `:exception-type`, or `:error-code`.
    error_type: &'a [u8],
    error_message: &'a [u8],
    payload: &'a [u8],
}

/// The payload of a chunk.
#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    bytes: Cow<'a, str>,
}

/// The payload of an exception.
#[derive(Deserialize)]
struct Exception<'a> {
    #[serde(borrow, alias = "Message")]
    message: Cow<'a, str>,
}

/// An error as Anthropic writes it in a stream.
#[derive(Serialize)]
struct Failure<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    error: Told<'a>,
}

#[derive(Serialize)]
struct Told<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    message: &'a str,
}

impl<'a> Frame<'a> {
    /// Reads a frame that is whole.
    fn of(bytes: &'a [u8]) -> Result<Self, Broken> {
        let (checked, trailer) = bytes.split_last_chunk::<TRAILER>().ok_or(Broken)?;
        if crc(checked) != u32::from_be_bytes(*trailer) {
            return Err(Broken);
        }
        let (prelude, rest) = checked.split_first_chunk::<PRELUDE>().ok_or(Broken)?;
        let [_, _, _, _, headers @ .., _, _, _, _] = *prelude;
        let headers = u32::from_be_bytes(headers) as usize;
        let (mut headers, payload) = rest.split_at_checked(headers).ok_or(Broken)?;
        let mut frame = Self { payload, ..Self::default() };
        while !headers.is_empty() {
            frame.header(&mut headers)?;
        }
        Ok(frame)
    }

    /// Reads the first of `headers`, and takes it from them.
    fn header(&mut self, headers: &mut &'a [u8]) -> Result<(), Broken> {
        let [length] = *array(headers)?;
        let name = take(headers, length.into())?;
        let [kind] = *array(headers)?;
        let length = match kind {
            // True and false.
            0 | 1 => 0,
            // Integers.
            2 => 1,
            3 => 2,
            4 => 4,
            // A long one, and a time.
            5 | 8 => 8,
            // Bytes and text.
            6 | 7 => u16::from_be_bytes(*array(headers)?).into(),
            // A UUID.
            9 => 16,
            _ => return Err(Broken),
        };
        let value = take(headers, length)?;
        match name {
            b":message-type" => self.message_type = value,
            b":event-type" => self.event_type = value,
            b":exception-type" | b":error-code" => self.error_type = value,
            b":error-message" => self.error_message = value,
            _ => {}
        }
        Ok(())
    }

    fn tell(&self, tell: &mut dyn FnMut(Read<'_>)) -> Result<(), Broken> {
        match self.message_type {
            b"event" if self.event_type == b"chunk" => {
                let chunk: Chunk<'_> = serde_json::from_slice(self.payload).map_err(|_| Broken)?;
                let data = STANDARD.decode(&*chunk.bytes).map_err(|_| Broken)?;
                tell(Read::Event(Event { name: b"", data: &data }));
            }
            b"exception" | b"error" => {
                let kind = String::from_utf8_lossy(self.error_type);
                let message = self.message();
                let error = Told { kind: &kind, message: &message };
                let data = serde_json::to_vec(&Failure { kind: "error", error }).map_err(|_| Broken)?;
                tell(Read::Event(Event { name: b"error", data: &data }));
            }
            _ => {}
        }
        Ok(())
    }

    /// What an exception says.
    fn message(&self) -> Cow<'a, str> {
        if !self.error_message.is_empty() {
            return String::from_utf8_lossy(self.error_message);
        }
        match serde_json::from_slice::<Exception<'_>>(self.payload) {
            Ok(exception) => exception.message,
            Err(_) => String::from_utf8_lossy(self.payload),
        }
    }
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], Broken> {
    let (taken, rest) = bytes.split_at_checked(length).ok_or(Broken)?;
    *bytes = rest;
    Ok(taken)
}

fn array<'a, const N: usize>(bytes: &mut &'a [u8]) -> Result<&'a [u8; N], Broken> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(Broken)?;
    *bytes = rest;
    Ok(taken)
}

#[cfg(test)]
pub(crate) mod tests;
