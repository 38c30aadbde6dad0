//! Heads of answers, and what they say of their bodies.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Response, StatusCode, Version, response};
use hyper::ext::ReasonPhrase;
use memchr::memchr;
use tokio::io::AsyncRead;

use super::UpstreamError;
use super::body::Framing;
use super::source::Source;
use crate::raw_head::{MAX_LINES, RawHead, Shows};

/// As much of a head is looked at whenever more of it comes, bytes.
const VERY_BEGINNING: usize = 256;

/// More empty lines before a head are none of a provider's.
const MOST_EMPTY_LINES: usize = 1000;

/// What the head of an answer says.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) parts: response::Parts,
    /// None where no body follows.
    pub(super) framing: Option<Framing>,
    /// Whether the connection may be used for another exchange.
    pub(super) keeps: bool,
}

/// What came is no head of an HTTP/1 response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadAnswer {
    /// Its bytes break the grammar (RFC 9112 section 4 and 5).
    #[error("{0}")]
    Syntax(#[from] httparse::Error),
    /// Its status is no number of three digits from 100 on.
    #[error("invalid HTTP status-code parsed")]
    Status,
    /// It has too many fields, or too many bytes.
    #[error("message head is too large")]
    TooLarge,
    /// It says in more than one way, or in none that is understood, how long its body is.
    #[error("invalid content-length parsed")]
    ContentLength,
    /// HTTP/1.0 has no transfer codings.
    #[error("unexpected transfer-encoding parsed")]
    TransferEncoding,
}

/// As many fields as hyper takes.
const MAX_FIELDS: usize = MAX_LINES - 2;

/// As many bytes of a head as hyper takes.
const MAX_BYTES: usize = 8 * 1024 + 100 * 4096;

impl Head {
    /// Reads `raw`, which is whole. What of it need not be read to forward it is left out where `shows` allows that.
    ///
    /// # Errors
    /// [`BadAnswer`] where it is none.
    fn read(raw: &mut RawHead, shows: Shows, method: &Method) -> Result<Self, BadAnswer> {
        let parts = match raw.sort_out(shows).then(|| read_lines(raw)).flatten() {
            Some(parts) => parts,
            None => {
                raw.leave_nothing_out();
                parse(raw.bytes())?.ok_or(httparse::Error::Token)?
            }
        };
        let framing = framing(&parts, method)?;
        let keeps = keeps(parts.version, &parts.headers)
            && framing != Some(Framing::UntilClose)
            && !(method == Method::CONNECT && parts.status.is_success());
        Ok(Self { parts, framing, keeps })
    }

    /// Whether another head follows, that of the answer (RFC 9110 section 15.2).
    fn is_interim(&self) -> bool {
        self.parts.status.is_informational() && self.parts.status != StatusCode::SWITCHING_PROTOCOLS
    }
}

/// The head that is being read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    come: RawHead,
    /// How much of it was looked at in search of what no head begins with.
    checked: usize,
    /// Empty lines before it.
    empty: usize,
}

impl Reading {
    /// Reads the head of an answer to `method`. `interim` is told of the heads before it.
    ///
    /// # Errors
    /// [`UpstreamError`] where there is none.
    pub(super) fn poll(
        &mut self,
        source: &mut Source,
        mut io: Pin<&mut impl AsyncRead>,
        (method, shows): (&Method, Shows),
        interim: impl Fn(StatusCode),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(Head, RawHead), UpstreamError>> {
        let closed = |source| UpstreamError::Closed { source };
        let bad = |source| UpstreamError::Protocol { source };
        loop {
            let read = ready!(source.poll_head(io.as_mut(), &mut self.come, cx)).map_err(closed)?;
            let Some(has_ended) = read else {
                // In hyper's words.
                let why = "connection closed before message completed";
                return Poll::Ready(Err(closed(io::Error::new(io::ErrorKind::UnexpectedEof, why))));
            };
            if !has_ended {
                self.check().map_err(bad)?;
                continue;
            }
            let mut raw = std::mem::take(&mut self.come);
            self.checked = 0;
            // An empty line before a head is nothing.
            if raw.len() == 1 {
                self.empty += 1;
                if self.empty > MOST_EMPTY_LINES {
                    return Poll::Ready(Err(bad(BadAnswer::TooLarge)));
                }
                continue;
            }
            self.empty = 0;
            let head = Head::read(&mut raw, shows, method).map_err(bad)?;
            if !head.is_interim() {
                return Poll::Ready(Ok((head, raw)));
            }
            interim(head.parts.status);
        }
    }

    /// Looks at what has come of a head where a line more of it has, or its very beginning: nobody waits for the rest of
    /// what is none.
    fn check(&mut self) -> Result<(), BadAnswer> {
        let bytes = self.come.bytes();
        if bytes.len() >= MAX_BYTES {
            return Err(BadAnswer::TooLarge);
        }
        if bytes.len() <= VERY_BEGINNING || memchr(b'\n', &bytes[self.checked..]).is_some() {
            parse(bytes)?;
        }
        self.checked = bytes.len();
        Ok(())
    }
}

/// A head all lines of which can be read by themselves, without those that are not needed.
fn read_lines(raw: &RawHead) -> Option<response::Parts> {
    let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1', b' ', status @ ..] = raw.first_line() else {
        return None;
    };
    let (status, reason) = status.strip_suffix(b"\r\n")?.split_at_checked(3)?;
    let reason = reason.strip_prefix(b" ")?;
    let mut parts = Response::new(()).into_parts().0;
    parts.status = StatusCode::from_bytes(status).ok()?;
    if parts.status.canonical_reason().map(str::as_bytes) != Some(reason) {
        if !reason.is_ascii() {
            return None;
        }
        parts.extensions.insert(ReasonPhrase::try_from(reason).ok()?);
    }
    for (name, value) in raw.fields() {
        let name = HeaderName::from_bytes(name).ok()?;
        parts.headers.append(name, HeaderValue::from_bytes(value).ok()?);
    }
    Some(parts)
}

/// Any other head; none where it is not whole.
fn parse(bytes: &[u8]) -> Result<Option<response::Parts>, BadAnswer> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let parsed = httparse::ParserConfig::default()
        .allow_obsolete_multiline_headers_in_responses(true)
        .parse_response(&mut head, bytes);
    match parsed {
        Ok(httparse::Status::Complete(len)) if len == bytes.len() => {}
        // Where the head ends is seen by who keeps it, too. Where those two disagree, nobody should go on.
        Ok(httparse::Status::Complete(_)) => return Err(httparse::Error::NewLine.into()),
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(BadAnswer::TooLarge),
        Err(error) => return Err(error.into()),
    }
    let (Some(code), Some(version)) = (head.code, head.version) else { return Ok(None) };
    let mut parts = Response::new(()).into_parts().0;
    parts.status = StatusCode::from_u16(code).map_err(|_| BadAnswer::Status)?;
    parts.version = if version == 1 { Version::HTTP_11 } else { Version::HTTP_10 };
    if let Some(reason) = head.reason.filter(|reason| parts.status.canonical_reason() != Some(reason))
        && let Ok(reason) = ReasonPhrase::try_from(reason.as_bytes())
    {
        parts.extensions.insert(reason);
    }
    for field in head.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| httparse::Error::HeaderName)?;
        let value = unfolded(field.value).map_err(|_| httparse::Error::HeaderValue)?;
        parts.headers.append(name, value);
    }
    Ok(Some(parts))
}

/// A value that goes on in further lines has spaces where those ended (RFC 9112 section 5.2).
fn unfolded(value: &[u8]) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    if !value.contains(&b'\n') {
        return HeaderValue::from_bytes(value);
    }
    let lines: Vec<_> = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).collect();
    HeaderValue::from_bytes(&lines.join(&b' '))
}

/// RFC 9112 section 6.3, read as hyper reads it.
fn framing(parts: &response::Parts, method: &Method) -> Result<Option<Framing>, BadAnswer> {
    let is_bodiless = parts.status.is_informational()
        || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || method == Method::HEAD
        || (method == Method::CONNECT && parts.status.is_success());
    if is_bodiless {
        return Ok(None);
    }
    if parts.headers.contains_key(TRANSFER_ENCODING) {
        return match parts.version {
            Version::HTTP_10 => Err(BadAnswer::TransferEncoding),
            _ if ends_with_chunked(&parts.headers) => Ok(Some(Framing::Chunked)),
            _ => Ok(Some(Framing::UntilClose)),
        };
    }
    Ok(Some(length(&parts.headers)?.map_or(Framing::UntilClose, Framing::Sized)))
}

fn ends_with_chunked(headers: &HeaderMap) -> bool {
    let last = headers.get_all(TRANSFER_ENCODING).iter().next_back();
    let last = last.and_then(|value| value.to_str().ok()?.rsplit(',').next());
    last.is_some_and(|coding| coding.trim().eq_ignore_ascii_case("chunked"))
}

/// The length that all of them tell.
///
/// # Errors
/// Where they do not tell one.
pub(super) fn length(headers: &HeaderMap) -> Result<Option<u64>, BadAnswer> {
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for told in value.as_bytes().split(|byte| *byte == b',') {
            let told = digits(told.trim_ascii()).ok_or(BadAnswer::ContentLength)?;
            if told > u64::MAX - 2 || *length.get_or_insert(told) != told {
                return Err(BadAnswer::ContentLength);
            }
        }
    }
    Ok(length)
}

/// A number without a sign.
fn digits(text: &[u8]) -> Option<u64> {
    let add = |number: u64, byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    };
    if text.is_empty() { None } else { text.iter().try_fold(0, add) }
}

fn keeps(version: Version, headers: &HeaderMap) -> bool {
    let says = |word| {
        headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(|said| said.trim().eq_ignore_ascii_case(word)))
    };
    !says("close") && (version == Version::HTTP_11 || says("keep-alive"))
}

#[cfg(test)]
mod tests;
