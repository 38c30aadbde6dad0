//! An answer as the provider sent it, read again: what the client must have got.

use std::io::{self, BufRead, Read};

use super::compressed::decode;
use super::request::{Request, read_fields, read_line};

/// What was sent, without its framing and codings.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Whether it came to its end.
    pub(crate) whole: bool,
    streamed: bool,
}

impl Answer {
    /// The answer to `request`; `None` where not even its head was sent.
    pub(crate) fn to(request: &Request) -> Option<Self> {
        let sent = request.answer.lock().unwrap().clone();
        let mut reader = &sent[..];
        let head = Request::read_head(&mut reader).unwrap()?;
        let status = head.line.split(' ').nth(1)?.parse().ok()?;
        let mut body = Vec::new();
        let whole = match head.header("content-length") {
            _ if head.header("transfer-encoding").is_some() => read_chunks(&mut reader, &mut body).is_ok(),
            Some(length) => {
                reader.read_to_end(&mut body).unwrap();
                request.method() == "HEAD" || length == body.len().to_string()
            }
            None => reader.read_to_end(&mut body).is_ok(),
        };
        let body = decode(head.header("content-encoding"), &body);
        let streamed = head.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
        Some(Self { status, body, whole, streamed })
    }

    /// Whether it is made of server-sent events.
    pub(crate) fn is_streamed(&self) -> bool {
        self.streamed
    }
}

/// Adds what the chunks hold, also what a chunk that broke off holds. An error where there is no last one.
fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let size = read_line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let size = u64::from_str_radix(&size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
        if size == 0 {
            return read_fields(reader).map(drop);
        }
        if reader.take(size).read_to_end(body)? as u64 != size || read_line(reader)?.is_none() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
