//! A request exactly as it came.

use std::io::{self, BufRead, Read};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// A request, byte for byte. Head lines hold one character for each byte, so that nothing is lost.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// `POST /v1/messages?beta=true HTTP/1.1`
    pub(crate) line: String,
    /// `Name: value`, in the order of the wire.
    pub(crate) fields: Vec<String>,
    /// The body without its framing.
    pub(crate) body: Vec<u8>,
    /// Trailer fields of a chunked body.
    pub(crate) trailers: Vec<String>,
    /// What the provider has sent in answer, head, framing and all.
    pub(crate) answer: Arc<Mutex<Vec<u8>>>,
}

impl Request {
    /// The next head on the connection; `None` where the client has ended it instead.
    pub(super) fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let Some(line) = read_line(reader)? else { return Ok(None) };
        let fields = read_fields(reader)?;
        Ok(Some(Self { line, fields, body: Vec::new(), trailers: Vec::new(), answer: Arc::default() }))
    }

    /// Reads the body behind the head.
    pub(super) fn read_body(&mut self, reader: &mut impl BufRead) -> io::Result<()> {
        if self.header("transfer-encoding").is_some() {
            return self.read_chunks(reader);
        }
        let length = self.header("content-length").map_or("0", |value| value);
        let length: usize = length.parse().map_err(|_| io::ErrorKind::InvalidData)?;
        self.body = vec![0; length];
        reader.read_exact(&mut self.body)
    }

    fn read_chunks(&mut self, reader: &mut impl BufRead) -> io::Result<()> {
        loop {
            let size = read_line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
            if size == 0 {
                self.trailers = read_fields(reader)?;
                return Ok(());
            }
            reader.take(size).read_to_end(&mut self.body)?;
            read_line(reader)?;
        }
    }

    /// The value of the first field of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.fields.iter().find_map(|field| {
            let (found, value) = field.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn method(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// The request target with its query.
    pub(crate) fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    /// The body without its content codings.
    pub(crate) fn decoded(&self) -> Vec<u8> {
        super::compressed::decode(self.header("content-encoding"), &self.body)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.decoded()).unwrap_or(Value::Null)
    }

    /// What of the scripts the request asks for: the model where it names one, and the path.
    pub(super) fn script(&self) -> String {
        format!("{} {} {}", self.method(), self.path(), self.json()["model"])
    }

    pub(super) fn closes(&self) -> bool {
        let connection = self.header("connection").unwrap_or_default().to_ascii_lowercase();
        connection.contains("close")
            || (self.line.ends_with("HTTP/1.0") && !connection.contains("keep-alive"))
    }

    pub(super) fn expects_continue(&self) -> bool {
        self.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
    }

    /// Whether the answer comes before the body has been asked for.
    pub(super) fn refused_unread(&self) -> bool {
        self.expects_continue() && self.path().ends_with("/refused")
    }

    pub(super) fn wants_websocket(&self) -> bool {
        let upgrade = self.header("upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket"));
        upgrade && self.header("sec-websocket-key").is_some() && !self.path().ends_with("/refused")
    }
}

pub(super) fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let line = line.strip_suffix(b"\r\n").ok_or(io::ErrorKind::InvalidData)?;
    Ok(Some(line.iter().map(|byte| char::from(*byte)).collect()))
}

pub(super) fn read_fields(reader: &mut impl BufRead) -> io::Result<Vec<String>> {
    let mut fields = Vec::new();
    while let Some(line) = read_line(reader)? {
        if line.is_empty() {
            return Ok(fields);
        }
        fields.push(line);
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}
