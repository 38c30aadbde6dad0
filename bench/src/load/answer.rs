//! Reads an answer as it comes and compares it with the script. No sockets here.

use std::fmt;

use crate::chat;
use crate::error::Error;
use crate::event;
use crate::workload::{self, Exchange};

/// What must come back.
#[derive(Debug)]
pub(crate) enum Expected {
    Bytes(Vec<u8>),
    /// So many events, and what follows the last.
    Events {
        events: usize,
        end: Vec<u8>,
    },
}

impl Expected {
    pub(crate) fn of(exchange: Exchange) -> Self {
        match exchange {
            Exchange::Json { .. } | Exchange::Turn => Self::Bytes(workload::answer_body()),
            Exchange::Stream { events, .. } => Self::events(events),
        }
    }

    fn events(events: u32) -> Self {
        Self::Events { events: usize::try_from(events).unwrap_or(usize::MAX), end: chat::stream_end() }
    }

    pub(crate) fn is_stream(&self) -> bool {
        matches!(self, Self::Events { .. })
    }
}

/// An answer on its way.
#[derive(Debug)]
pub(crate) struct Answer {
    part: Part,
    body: Body,
}

#[derive(Debug)]
enum Part {
    Head(Vec<u8>),
    Sized { left: usize },
    Chunked(Chunk),
    Done,
}

/// Where in the chunked coding we are.
#[derive(Clone, Copy, Debug)]
enum Chunk {
    Size { size: usize, digits: usize },
    SizeEnd { size: usize },
    Data { left: usize },
    DataEnd { left: usize },
    End { left: usize },
}

const CHUNK_START: Chunk = Chunk::Size { size: 0, digits: 0 };

/// How far it has come.
impl fmt::Display for Answer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.part {
            Part::Head(head) => write!(out, "the head of an answer, after {} bytes", head.len()),
            _ => write!(out, "the body of an answer, after {} bytes or events", self.body.seen),
        }
    }
}

impl Answer {
    pub(crate) fn new() -> Self {
        Self { part: Part::Head(Vec::new()), body: Body::default() }
    }

    /// Takes bytes as they were read; `on_event` gets the sending time of each event that they complete.
    /// Whether the answer is complete.
    pub(crate) fn feed(
        &mut self,
        mut bytes: &[u8],
        expected: &Expected,
        mut on_event: impl FnMut(u64),
    ) -> Result<bool, Error> {
        while !bytes.is_empty() {
            bytes = match &mut self.part {
                Part::Head(head) => {
                    let before = head.len();
                    head.extend_from_slice(bytes);
                    let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else {
                        return Ok(false);
                    };
                    self.part = framing(head.get(..end).unwrap_or_default())?;
                    bytes.get(end + 4 - before..).unwrap_or_default()
                }
                Part::Sized { left } => {
                    let (data, rest) = bytes.split_at(bytes.len().min(*left));
                    *left -= data.len();
                    self.body.take(data, expected, &mut on_event)?;
                    rest
                }
                Part::Chunked(chunk) => {
                    let (next, data, rest) = step(*chunk, bytes)?;
                    *chunk = next;
                    self.body.take(data, expected, &mut on_event)?;
                    rest
                }
                Part::Done => return Err(Error::Wrong("bytes after the end".into())),
            };
            if matches!(self.part, Part::Sized { left: 0 } | Part::Chunked(Chunk::End { left: 0 })) {
                self.part = Part::Done;
                self.body.end(expected)?;
            }
        }
        Ok(matches!(self.part, Part::Done))
    }
}

fn framing(head: &[u8]) -> Result<Part, Error> {
    let head = std::str::from_utf8(head).map_err(|_| Error::Wrong("a head that is not text".into()))?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(Error::Wrong(head.to_owned()));
    }
    for (name, value) in head.split("\r\n").filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            let left = value.trim().parse().map_err(|_| Error::Wrong(head.to_owned()))?;
            return Ok(Part::Sized { left });
        }
        if name.eq_ignore_ascii_case("transfer-encoding") && value.trim().eq_ignore_ascii_case("chunked") {
            return Ok(Part::Chunked(CHUNK_START));
        }
    }
    Err(Error::Wrong(format!("no framing in {head}")))
}

/// One step through the chunked coding: what comes next, what of the bytes is data, what is left of them.
fn step(chunk: Chunk, bytes: &[u8]) -> Result<(Chunk, &[u8], &[u8]), Error> {
    let (&first, rest) = bytes.split_first().ok_or_else(|| Error::Wrong("nothing to read".into()))?;
    let next = match chunk {
        Chunk::Size { size, digits } => match char::from(first).to_digit(16) {
            Some(digit) if digits < 8 => Chunk::Size { size: size * 16 + digit as usize, digits: digits + 1 },
            _ if first == b'\r' && digits > 0 => Chunk::SizeEnd { size },
            _ => return Err(Error::Wrong(format!("byte {first} in a chunk size"))),
        },
        Chunk::SizeEnd { size: 0 } => Chunk::End { left: 2 },
        Chunk::SizeEnd { size } => Chunk::Data { left: size },
        Chunk::Data { left } => {
            let (data, rest) = bytes.split_at(bytes.len().min(left));
            let left = left - data.len();
            let next = if left == 0 { Chunk::DataEnd { left: 2 } } else { Chunk::Data { left } };
            return Ok((next, data, rest));
        }
        Chunk::DataEnd { left: 1 } => CHUNK_START,
        Chunk::DataEnd { left } => Chunk::DataEnd { left: left - 1 },
        Chunk::End { left } => Chunk::End { left: left - 1 },
    };
    Ok((next, &[], rest))
}

/// The body as far as it has been compared.
#[derive(Debug)]
struct Body {
    /// Of a JSON body: bytes compared. Of a stream: events complete.
    seen: usize,
    event: [u8; event::LENGTH],
    filled: usize,
    /// Of what follows the events of a stream: bytes compared.
    ended: usize,
}

impl Default for Body {
    fn default() -> Self {
        Self { seen: 0, event: [0; event::LENGTH], filled: 0, ended: 0 }
    }
}

impl Body {
    fn take(&mut self, data: &[u8], expected: &Expected, on_event: impl FnMut(u64)) -> Result<(), Error> {
        match expected {
            Expected::Bytes(wanted) => compare(wanted, &mut self.seen, data),
            Expected::Events { events, end } => {
                let rest = self.take_events(data, *events, on_event)?;
                compare(end, &mut self.ended, rest)
            }
        }
    }

    /// Takes the events; gives back what follows the last of them.
    fn take_events<'a>(
        &mut self,
        mut data: &'a [u8],
        events: usize,
        mut on_event: impl FnMut(u64),
    ) -> Result<&'a [u8], Error> {
        while !data.is_empty() && self.seen < events {
            let room = self.event.get_mut(self.filled..).unwrap_or_default();
            let (now, rest) = data.split_at(data.len().min(room.len()));
            room.get_mut(..now.len()).unwrap_or_default().copy_from_slice(now);
            self.filled += now.len();
            data = rest;
            if self.filled == event::LENGTH {
                let number = u32::try_from(self.seen).unwrap_or(u32::MAX);
                let sent = event::sent_at(&self.event, number)
                    .ok_or_else(|| Error::Wrong(format!("event {number} is not as it was sent")))?;
                on_event(sent);
                self.seen += 1;
                self.filled = 0;
            }
        }
        Ok(data)
    }

    fn end(&self, expected: &Expected) -> Result<(), Error> {
        let (wanted, end) = match expected {
            Expected::Bytes(wanted) => (wanted.len(), 0),
            Expected::Events { events, end } => (*events, end.len()),
        };
        if (self.seen, self.filled, self.ended) == (wanted, 0, end) {
            return Ok(());
        }
        let Self { seen, filled, ended, .. } = self;
        Err(Error::Wrong(format!(
            "{seen} instead of {wanted} (and {filled} bytes), {ended} of {end} at the end"
        )))
    }
}

/// Whether `data` goes on as `wanted` does after `seen` bytes.
fn compare(wanted: &[u8], seen: &mut usize, data: &[u8]) -> Result<(), Error> {
    let end = *seen + data.len();
    if wanted.get(*seen..end) != Some(data) {
        return Err(Error::Wrong(format!("other bytes than the upstream's before byte {end}")));
    }
    *seen = end;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(events: u32) -> Vec<u8> {
        let mut bytes = workload::stream_head();
        for number in 0..events {
            event::write_chunk(&mut bytes, 1000 + u64::from(number), number);
        }
        bytes.extend(workload::stream_end());
        bytes
    }

    fn read(bytes: &[u8], step: usize, expected: &Expected) -> Result<(bool, Vec<u64>), Error> {
        let mut answer = Answer::new();
        let mut sent = Vec::new();
        let mut complete = false;
        for part in bytes.chunks(step) {
            complete = answer.feed(part, expected, |time| sent.push(time))?;
        }
        Ok((complete, sent))
    }

    #[test]
    fn answers_are_understood_however_they_are_cut() {
        let events = Expected::events(3);
        let json = Expected::of(Exchange::Json { body: 1024 });
        for step in [1, 2, 3, 7, 149, 151, 4096] {
            assert_eq!(read(&stream(3), step, &events).unwrap(), (true, vec![1000, 1001, 1002]));
            assert_eq!(read(&workload::answer(), step, &json).unwrap(), (true, vec![]));
        }
    }

    #[test]
    fn two_events_in_one_chunk_are_two_events() {
        let mut joined = workload::stream_head();
        joined.extend_from_slice(b"12c\r\n");
        for number in 0..2 {
            let mut chunk = Vec::new();
            event::write_chunk(&mut chunk, 1000 + u64::from(number), number);
            joined.extend_from_slice(&chunk["96\r\n".len()..][..event::LENGTH]);
        }
        joined.extend_from_slice(b"\r\n");
        joined.extend(workload::stream_end());
        assert_eq!(read(&joined, 4096, &Expected::events(2)).unwrap(), (true, vec![1000, 1001]));
    }

    #[test]
    fn an_unfinished_answer_is_not_complete() {
        let bytes = stream(3);
        assert!(!read(&bytes[..bytes.len() - 1], 4096, &Expected::events(3)).unwrap().0);
    }

    #[test]
    fn wrong_answers_are_errors() {
        let json = Expected::of(Exchange::Json { body: 1024 });
        let mut changed = workload::answer();
        *changed.last_mut().unwrap() = b'!';
        let mut longer = workload::answer();
        longer.push(b'!');
        assert!(read(&changed, 4096, &json).is_err());
        assert!(read(&longer, 4096, &json).is_err());
        assert!(read(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", 4096, &json).is_err());
        assert!(read(&stream(2), 4096, &Expected::events(3)).is_err(), "an event lost");
        assert!(read(&stream(4), 4096, &Expected::events(3)).is_err(), "an event too many");
        let done = stream(3).windows(6).position(|six| six == b"[DONE]").unwrap();
        let mut undone = stream(3);
        undone[done] = b'{';
        assert!(read(&undone, 4096, &Expected::events(3)).is_err(), "another end");
    }
}
