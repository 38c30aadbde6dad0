//! One connection of the upstream: what it was asked, and how far its answer has come.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::event;
use crate::poller::{Interest, Poller};
use crate::upstream::wire::Wire;
use crate::workload::{self, Exchange};

/// Events that a stream without gaps writes before the others get their turn.
const TURN: u32 = 8;

/// What is answered, built before anyone asks.
pub(super) struct Answers {
    json: Vec<u8>,
    stream_head: Vec<u8>,
    stream_end: Arc<[u8]>,
    /// Connections that were opened so far: what a request to [`OPENED`] is answered with.
    pub(super) opened: u64,
}

/// The path that asks how many connections were opened so far, the asker's own among them.
pub(crate) const OPENED: &str = "/opened";

impl Answers {
    pub(super) fn new() -> Self {
        Self {
            json: workload::answer(),
            stream_head: workload::stream_head(),
            stream_end: workload::stream_end().into(),
            opened: 0,
        }
    }
}

pub(super) struct Connection {
    wire: Wire,
    request: Request,
    out: Vec<u8>,
    sent: usize,
    stream: Option<Stream>,
    interest: Interest,
    /// Whether the server's heap already holds the time of our next event.
    pub(super) scheduled: bool,
}

enum Request {
    Head(Vec<u8>),
    Body { left: usize, exchange: Exchange },
}

struct Stream {
    next: u32,
    events: u32,
    gap: u64,
    due: u64,
    end: Arc<[u8]>,
}

impl Stream {
    /// Streams that are asked for at one moment do not send at one moment: each has a phase of its own.
    fn new(events: u32, gap: Duration, token: u64, end: Arc<[u8]>) -> Self {
        let gap = u64::try_from(gap.as_nanos()).unwrap_or(u64::MAX);
        let phase = token.wrapping_mul(618_033_988_749) % gap.max(1);
        Self { next: 0, events, gap, due: clock::now() + phase, end }
    }
}

impl Connection {
    pub(super) fn new(wire: Wire) -> Self {
        Self {
            wire,
            request: Request::Head(Vec::new()),
            out: Vec::new(),
            sent: 0,
            stream: None,
            interest: Interest::Read,
            scheduled: false,
        }
    }

    pub(super) fn read(&mut self, scratch: &mut [u8], token: u64, answers: &Answers) -> io::Result<()> {
        self.wire.receive()?;
        loop {
            let read = match self.wire.read(scratch) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let mut bytes = scratch.get(..read).unwrap_or_default();
            while !bytes.is_empty() {
                bytes = self.take(bytes, token, answers)?;
            }
            if !self.wire.holds_more() {
                return Ok(());
            }
        }
    }

    /// Takes what belongs to the current part of the request, and gives back the rest.
    fn take<'a>(&mut self, bytes: &'a [u8], token: u64, answers: &Answers) -> io::Result<&'a [u8]> {
        let rest = match &mut self.request {
            Request::Head(head) => {
                let before = head.len();
                head.extend_from_slice(bytes);
                let Some(end) = head_end(head) else { return Ok(&[]) };
                if head.split(|byte| *byte == b' ').nth(1) == Some(OPENED.as_bytes()) {
                    self.out.extend_from_slice(&count(answers.opened));
                    *head = Vec::new();
                    return Ok(&[]);
                }
                let (left, exchange) = asked(head.get(..end).unwrap_or_default())
                    .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
                self.request = Request::Body { left, exchange };
                bytes.get(end - before..).unwrap_or_default()
            }
            Request::Body { left, .. } => {
                let taken = bytes.len().min(*left);
                *left -= taken;
                bytes.get(taken..).unwrap_or_default()
            }
        };
        if let Request::Body { left: 0, exchange } = self.request {
            self.request = Request::Head(Vec::new());
            self.answer(exchange, token, answers);
        }
        Ok(rest)
    }

    fn answer(&mut self, exchange: Exchange, token: u64, answers: &Answers) {
        match exchange {
            Exchange::Json { .. } | Exchange::Turn => self.out.extend_from_slice(&answers.json),
            Exchange::Stream { events, gap } => {
                self.out.extend_from_slice(&answers.stream_head);
                self.stream = Some(Stream::new(events, gap, token, answers.stream_end.clone()));
            }
        }
    }

    /// Writes what waits and every event that is due; says when the next one is.
    pub(super) fn send(&mut self, poller: &Poller, token: u64) -> io::Result<Option<u64>> {
        let now = clock::now();
        for _ in 0..=TURN {
            if !self.flush()? {
                self.wait_for(Interest::ReadAndWrite, poller, token)?;
                return Ok(None);
            }
            match &mut self.stream {
                None => break,
                Some(stream) if stream.due > now => break,
                Some(stream) if stream.next == stream.events => {
                    self.out.extend_from_slice(&stream.end);
                    self.stream = None;
                }
                Some(stream) => {
                    event::write_chunk(&mut self.out, clock::now(), stream.next);
                    stream.next += 1;
                    stream.due += stream.gap;
                }
            }
        }
        if !self.flush()? {
            self.wait_for(Interest::ReadAndWrite, poller, token)?;
            return Ok(None);
        }
        self.wait_for(Interest::Read, poller, token)?;
        Ok(self.stream.as_ref().map(|stream| stream.due.max(now)))
    }

    /// Whether everything is written.
    fn flush(&mut self) -> io::Result<bool> {
        while let Some(rest) = self.out.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.wire.write(rest) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.sent = 0;
        self.wire.flush()
    }

    fn wait_for(&mut self, interest: Interest, poller: &Poller, token: u64) -> io::Result<()> {
        if self.interest != interest {
            poller.change(self.wire.socket(), token, interest)?;
            self.interest = interest;
        }
        Ok(())
    }
}

fn count(opened: u64) -> Vec<u8> {
    let body = opened.to_string();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// The length of the body and what the request asks for.
fn asked(head: &[u8]) -> Option<(usize, Exchange)> {
    let mut lines = std::str::from_utf8(head).ok()?.split("\r\n");
    let path = lines.next()?.split(' ').nth(1)?;
    let (mut length, mut script) = (None, None);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok();
        } else if name.eq_ignore_ascii_case(workload::SCRIPT) {
            script = Some(value.trim());
        }
    }
    Some((length?, Exchange::asked(path, script, length?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_how_long_it_is_and_what_it_wants() {
        let request = Exchange::Json { body: 1024 }.request("host").unwrap();
        let end = head_end(&request).unwrap();
        assert_eq!(asked(&request[..end]), Some((1024, Exchange::Json { body: 1024 })));
        assert_eq!(request.len() - end, 1024);

        let stream = Exchange::Stream { events: 20, gap: Duration::from_millis(1) };
        let request = stream.request("host").unwrap();
        let end = head_end(&request).unwrap();
        assert_eq!(asked(&request[..end]), Some((request.len() - end, stream)));
    }
}
