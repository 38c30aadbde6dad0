//! Content codings: answers in the first of those that a client asks for, and what was coded decoded again.

use std::io::{self, BufRead, Read, Write};
use std::sync::{Arc, Mutex};

use super::request::{Request, read_line};
use super::script::{Script, Step};

const KNOWN: [&str; 4] = ["zstd", "br", "gzip", "deflate"];

/// The coding of an answer: the densest of those that the client accepts.
pub(super) fn chosen(request: &Request) -> Option<&'static str> {
    let accepted = request.header("accept-encoding")?;
    let accepts = |coding: &&str| accepted.split(',').any(|one| one.trim() == *coding);
    KNOWN.into_iter().find(accepts)
}

/// These bytes in the coding of that name.
pub(crate) fn encode(coding: &str, bytes: &[u8]) -> Vec<u8> {
    Coder::new(coding).last(bytes)
}

/// What these bytes are in the coding of that name.
pub(super) fn decode(coding: Option<&str>, bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let read = match coding {
        Some("gzip") => flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut decoded),
        Some("deflate") => flate2::read::ZlibDecoder::new(bytes).read_to_end(&mut decoded),
        Some("br") => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut decoded),
        Some("zstd") => zstd::Decoder::new(bytes).and_then(|mut decoder| decoder.read_to_end(&mut decoded)),
        _ => return bytes.to_vec(),
    };
    // What broke off is as much as there is of it.
    drop(read);
    decoded
}

impl Script {
    /// The same in that coding: a whole answer as a whole, a chunked one chunk by chunk, none held back.
    pub(super) fn compressed(mut self, coding: &str) -> Self {
        let mut coder = Coder::new(coding);
        let mut sends = self.steps.iter_mut().filter_map(|step| match step {
            Step::Send(bytes) => Some(bytes),
            _ => None,
        });
        let Some(first) = sends.next() else { return self };
        let (mut head, body) = split_head(first);
        head =
            head.replacen("\r\n", &format!("\r\nContent-Encoding: {coding}\r\nVary: Accept-Encoding\r\n"), 1);
        if let Some((before, _)) = head.split_once("Content-Length: ") {
            let coded = coder.last(body);
            *first = [format!("{before}Content-Length: {}\r\n\r\n", coded.len()).as_bytes(), &coded].concat();
            return self;
        }
        *first = head.into_bytes();
        for chunk in sends {
            let mut rest = &chunk[..];
            let size = read_line(&mut rest).unwrap().unwrap_or_default();
            let size = usize::from_str_radix(&size, 16).unwrap();
            *chunk = match size {
                0 => [framed(&coder.last(b"")), b"0\r\n\r\n".to_vec()].concat(),
                size => framed(&coder.next(&rest[..size])),
            };
        }
        self
    }
}

fn split_head(bytes: &[u8]) -> (String, &[u8]) {
    let mut rest = bytes;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && rest.read_until(b'\n', &mut head).unwrap() > 0 {}
    (String::from_utf8(head).unwrap(), rest)
}

fn framed(chunk: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat()
}

/// Where a coder writes to, and the one who sends reads from.
#[derive(Clone, Default)]
struct Coded(Arc<Mutex<Vec<u8>>>);

impl Write for Coded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Coder {
    coded: Coded,
    /// It writes its end when it is dropped.
    writer: Option<Box<dyn Write>>,
}

impl Coder {
    fn new(coding: &str) -> Self {
        let coded = Coded::default();
        let into = coded.clone();
        let writer: Box<dyn Write> = match coding {
            "gzip" => Box::new(flate2::write::GzEncoder::new(into, flate2::Compression::default())),
            "deflate" => Box::new(flate2::write::ZlibEncoder::new(into, flate2::Compression::default())),
            "br" => Box::new(brotli::CompressorWriter::new(into, 4096, 5, 20)),
            _ => Box::new(zstd::Encoder::new(into, 3).unwrap().auto_finish()),
        };
        Self { coded, writer: Some(writer) }
    }

    /// As much of the coded bytes as it takes to decode `bytes`.
    fn next(&mut self, bytes: &[u8]) -> Vec<u8> {
        if let Some(writer) = &mut self.writer {
            writer.write_all(bytes).unwrap();
            writer.flush().unwrap();
        }
        std::mem::take(&mut *self.coded.0.lock().unwrap())
    }

    /// The same, and the end of the coding.
    fn last(&mut self, bytes: &[u8]) -> Vec<u8> {
        if let Some(writer) = &mut self.writer {
            writer.write_all(bytes).unwrap();
        }
        self.writer = None;
        std::mem::take(&mut *self.coded.0.lock().unwrap())
    }
}
