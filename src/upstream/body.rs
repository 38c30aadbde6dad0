//! The body of an answer, taken out of what frames it (RFC 9112 sections 6 and 7).
//!
//! Each byte is looked at once, wherever reads cut it; data is passed on as it comes. What is made of a chunked body is
//! what hyper makes of it, down to the bounds.

use std::io;
use std::ops::Range;

use http::{HeaderMap, HeaderName, HeaderValue};

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Sized(u64),
    Chunked,
    /// All that comes until the connection ends.
    UntilClose,
}

/// Reads one body.
#[derive(Debug)]
pub(super) struct Decoder {
    place: Place,
    /// The bytes of chunk extensions that were passed over.
    extensions: u32,
    trailers: Option<Box<Trailers>>,
}

/// What comes next in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// So many bytes: at least one.
    Sized(u64),
    UntilClose,
    /// The first digit of a chunk's size.
    Size,
    /// More of it, or what ends it.
    Digits(u64),
    /// The same behind white space: no more digits.
    Space(u64),
    Extension(u64),
    /// The second byte of the line end behind a size.
    SizeLf(u64),
    /// Data of a chunk: at least one byte.
    Data(u64),
    DataCr,
    DataLf,
    /// The beginning of a line behind the last chunk.
    Trailer,
    InTrailer,
    TrailerLf,
    EndLf,
    /// Nothing: it was whole.
    Ended,
}

/// What is found at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Data; none where there is none in all of them.
    pub(super) data: Option<Range<usize>>,
    /// How many are done with.
    pub(super) passed: usize,
}

/// A body that is not framed as it must be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Broken(&'static str);

/// The lines behind the last chunk, in their bytes.
#[derive(Debug, Default)]
struct Trailers {
    bytes: Vec<u8>,
    lines: usize,
}

/// What hyper takes of a body's chunk extensions, bytes.
const MAX_EXTENSIONS: u32 = 16 * 1024;

/// What hyper takes of trailers, bytes and lines.
const MAX_TRAILERS: usize = 16 * 1024;
const MAX_TRAILER_LINES: usize = 100;

impl Decoder {
    pub(super) fn new(framing: Framing) -> Self {
        let place = match framing {
            Framing::Sized(0) => Place::Ended,
            Framing::Sized(len) => Place::Sized(len),
            Framing::Chunked => Place::Size,
            Framing::UntilClose => Place::UntilClose,
        };
        Self { place, extensions: 0, trailers: None }
    }

    /// Whether nothing comes any more.
    pub(super) fn has_ended(&self) -> bool {
        self.place == Place::Ended && self.trailers.is_none()
    }

    /// Whether all has been read, but for [`Decoder::trailers`].
    pub(super) fn is_whole(&self) -> bool {
        self.place == Place::Ended
    }

    /// How many bytes of data are still to come, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match self.place {
            Place::Sized(left) => Some(left),
            Place::Ended if self.trailers.is_none() => Some(0),
            _ => None,
        }
    }

    /// The connection ended.
    ///
    /// # Errors
    /// Where that is not where the body ends.
    pub(super) fn end(&mut self) -> Result<(), Broken> {
        match self.place {
            Place::Ended => {}
            Place::UntilClose => self.place = Place::Ended,
            Place::Sized(_) | Place::Data(_) => {
                return Err(Broken("end of file before message length reached"));
            }
            _ => return Err(Broken("unexpected EOF during chunk size line")),
        }
        Ok(())
    }

    /// What came behind the last chunk.
    ///
    /// # Errors
    /// Where that is no list of fields.
    pub(super) fn trailers(&mut self) -> io::Result<Option<HeaderMap>> {
        if !self.is_whole() {
            return Ok(None);
        }
        self.trailers.take().map(|trailers| trailers.read()).transpose()
    }

    /// Looks at `bytes`, which come next, up to the end of the first data among them, or of the body.
    ///
    /// # Errors
    /// [`Broken`] where the body is.
    pub(super) fn find(&mut self, bytes: &[u8]) -> Result<Found, Broken> {
        let mut at = 0;
        while at < bytes.len() && self.place != Place::Ended {
            let rest = &bytes[at..];
            let left = match self.place {
                Place::Sized(left) | Place::Data(left) => left,
                Place::UntilClose => u64::MAX,
                _ => {
                    self.step(rest[0])?;
                    at += 1;
                    continue;
                }
            };
            let len = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
            let left = left - len as u64;
            self.place = match self.place {
                Place::Sized(_) if left > 0 => Place::Sized(left),
                Place::Sized(_) => Place::Ended,
                Place::Data(_) if left > 0 => Place::Data(left),
                Place::Data(_) => Place::DataCr,
                place => place,
            };
            return Ok(Found { data: Some(at..at + len), passed: at + len });
        }
        Ok(Found { data: None, passed: at })
    }

    /// Passes over what frames data at the beginning of `bytes`; returns its length. What is wrong with it is told by
    /// [`Decoder::find`], when its turn has come.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> usize {
        let frames = |this: &mut Self, byte: &u8| {
            let is_data =
                matches!(this.place, Place::Sized(_) | Place::Data(_) | Place::UntilClose | Place::Ended);
            !is_data && this.step(*byte).is_ok()
        };
        bytes.iter().take_while(|byte| frames(self, byte)).count()
    }

    /// Looks at a byte that is no data.
    fn step(&mut self, byte: u8) -> Result<(), Broken> {
        self.place = match (self.place, byte) {
            (Place::Size, _) => match hex(byte) {
                Some(digit) => Place::Digits(digit),
                None => return Err(Broken("Invalid chunk size line: missing size digit")),
            },
            (Place::Digits(size), b'\t' | b' ') | (Place::Space(size), b'\t' | b' ') => Place::Space(size),
            (Place::Digits(size) | Place::Space(size), b';') => Place::Extension(size),
            (Place::Digits(size) | Place::Space(size) | Place::Extension(size), b'\r') => Place::SizeLf(size),
            (Place::Digits(size), _) => match (hex(byte), size.checked_mul(16)) {
                (Some(digit), Some(size)) => Place::Digits(size | digit),
                (Some(_), None) => return Err(Broken("invalid chunk size: overflow")),
                (None, _) => return Err(Broken("Invalid chunk size line: Invalid Size")),
            },
            (Place::Space(_), _) => return Err(Broken("Invalid chunk size linear white space")),
            (Place::Extension(_), b'\n') => return Err(Broken("invalid chunk extension contains newline")),
            (Place::Extension(size), _) => {
                self.extensions += 1;
                if self.extensions >= MAX_EXTENSIONS {
                    return Err(Broken("chunk extensions over limit"));
                }
                Place::Extension(size)
            }
            (Place::SizeLf(0), b'\n') => Place::Trailer,
            (Place::SizeLf(size), b'\n') => Place::Data(size),
            (Place::SizeLf(_), _) => return Err(Broken("Invalid chunk size LF")),
            (Place::DataCr, b'\r') => Place::DataLf,
            (Place::DataCr, _) => return Err(Broken("Invalid chunk body CR")),
            (Place::DataLf, b'\n') => Place::Size,
            (Place::DataLf, _) => return Err(Broken("Invalid chunk body LF")),
            (Place::Trailer, b'\r') => {
                if self.trailers.is_some() {
                    self.keep(byte)?;
                }
                Place::EndLf
            }
            (Place::Trailer | Place::InTrailer, _) => {
                self.keep(byte)?;
                if byte == b'\r' { Place::TrailerLf } else { Place::InTrailer }
            }
            (Place::TrailerLf, b'\n') => {
                self.keep(byte)?;
                let lines = &mut self.trailers.get_or_insert_default().lines;
                *lines += 1;
                if *lines > MAX_TRAILER_LINES {
                    return Err(Broken("chunk trailers count overflow"));
                }
                Place::Trailer
            }
            (Place::TrailerLf, _) => return Err(Broken("Invalid trailer end LF")),
            (Place::EndLf, b'\n') => {
                if self.trailers.is_some() {
                    self.keep(byte)?;
                }
                Place::Ended
            }
            (Place::EndLf, _) => return Err(Broken("Invalid chunk end LF")),
            (place @ (Place::Sized(_) | Place::Data(_) | Place::UntilClose | Place::Ended), _) => place,
        };
        Ok(())
    }

    fn keep(&mut self, byte: u8) -> Result<(), Broken> {
        let bytes = &mut self.trailers.get_or_insert_default().bytes;
        bytes.push(byte);
        if bytes.len() >= MAX_TRAILERS { Err(Broken("chunk trailers bytes over limit")) } else { Ok(()) }
    }
}

fn hex(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

impl Trailers {
    fn read(&self) -> io::Result<HeaderMap> {
        let invalid = |why: &'static str| io::Error::new(io::ErrorKind::InvalidInput, why);
        let mut fields = vec![httparse::EMPTY_HEADER; self.lines];
        let parsed = httparse::parse_headers(&self.bytes, &mut fields)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let httparse::Status::Complete((_, fields)) = parsed else { return Err(invalid("Partial header")) };
        let mut map = HeaderMap::with_capacity(fields.len());
        for field in fields {
            let name = HeaderName::from_bytes(field.name.as_bytes());
            let name = name.map_err(|_| invalid("Invalid header name"))?;
            let value = HeaderValue::from_bytes(field.value).map_err(|_| invalid("Invalid header value"))?;
            map.append(name, value);
        }
        Ok(map)
    }
}
