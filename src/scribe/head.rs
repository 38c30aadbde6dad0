//! Heads as the journal has them, read into the contract's.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode, Uri, Version};
use perimeter_interceptor::{RequestHead, ResponseHead};

use crate::journal;
use crate::raw_head::is_refused;

/// The head of a request. What cannot be read of it is left out: hyper has judged it before.
pub(super) fn request(head: &journal::RequestHead) -> RequestHead {
    match head {
        journal::RequestHead::Raw(raw) => {
            let mut words = first_line(raw).split(|byte| *byte == b' ');
            let method = words.next().and_then(|word| Method::from_bytes(word).ok()).unwrap_or_default();
            let uri = words.next().map(target).unwrap_or_default();
            let version = words.next().map_or(Version::HTTP_11, version);
            RequestHead::new(method, uri, version, headers(raw))
        }
        journal::RequestHead::Parts(parts) => {
            RequestHead::new(parts.method.clone(), parts.uri.clone(), parts.version, parts.headers.clone())
        }
    }
}

/// The head of a response.
pub(super) fn response(head: &journal::ResponseHead) -> ResponseHead {
    match head {
        journal::ResponseHead::Raw(raw) => {
            let (status, version) = status_line(raw);
            ResponseHead::new(status, version, headers(raw))
        }
        journal::ResponseHead::Parts(parts) => {
            ResponseHead::new(parts.status, parts.version, parts.headers.clone())
        }
    }
}

/// What the first line of a response says.
pub(super) fn status_line(raw: &[u8]) -> (StatusCode, Version) {
    let mut words = first_line(raw).split(|byte| *byte == b' ');
    let version = words.next().map_or(Version::HTTP_11, version);
    let status = words.next().and_then(|word| StatusCode::from_bytes(word).ok()).unwrap_or_default();
    (status, version)
}

fn lines(raw: &[u8]) -> impl Iterator<Item = &[u8]> {
    raw.split(|byte| *byte == b'\n')
}

fn first_line(raw: &[u8]) -> &[u8] {
    lines(raw).next().unwrap_or_default().trim_ascii_end()
}

fn version(word: &[u8]) -> Version {
    if word == b"HTTP/1.0" { Version::HTTP_10 } else { Version::HTTP_11 }
}

/// The bytes that hyper would refuse, or cut off with all that follows, are percent-encoded.
fn target(word: &[u8]) -> Uri {
    if !word.iter().any(|byte| is_refused(*byte)) {
        return Uri::try_from(word).unwrap_or_default();
    }
    let mut encoded = Vec::with_capacity(word.len() + 16);
    for byte in word {
        if is_refused(*byte) {
            encoded.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            encoded.push(*byte);
        }
    }
    Uri::from_maybe_shared(Bytes::from(encoded)).unwrap_or_default()
}

fn headers(raw: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(16);
    let mut last: Option<(HeaderName, Vec<u8>)> = None;
    for line in lines(raw).skip(1) {
        if let (Some((_, value)), [b' ' | b'\t', ..]) = (&mut last, line) {
            // A folded line (RFC 9112 section 5.2), which a response may have.
            value.push(b' ');
            value.extend_from_slice(line.trim_ascii());
            continue;
        }
        append(&mut headers, last.take());
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        last = HeaderName::from_bytes(name.trim_ascii()).ok().map(|name| (name, value.trim_ascii().to_vec()));
    }
    append(&mut headers, last);
    headers
}

fn append(headers: &mut HeaderMap, header: Option<(HeaderName, Vec<u8>)>) {
    let Some((name, value)) = header else { return };
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(value)) {
        // Beyond 24,576 headers, which hyper does not read.
        let _ = headers.try_append(name, value);
    }
}

#[cfg(test)]
mod agreement;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_came() {
        let text =
            b"POST /v1/x?a=\"b\"#c HTTP/1.0\r\nHost: h\r\nX-Two:  1 \r\nx-two:2\r\nX-Bytes: \xff\r\n\r\n";
        let head = request(&journal::RequestHead::Raw(Bytes::from_static(text)));
        assert_eq!((&head.method, head.version), (&Method::POST, Version::HTTP_10));
        assert_eq!(head.uri.to_string(), "/v1/x?a=%22b%22%23c");
        let two: Vec<_> = head.headers.get_all("x-two").iter().collect();
        assert_eq!(two, ["1", "2"]);
        assert_eq!(head.headers["x-bytes"].as_bytes(), b"\xff");
    }

    #[test]
    fn a_response_is_read_as_it_came() {
        let text = b"HTTP/1.1 404 Not Found\r\nServer: s\r\nX-Folded: a\r\n  b\r\n\tc\r\nEmpty:\r\n\r\n";
        let head = response(&journal::ResponseHead::Raw(Bytes::from_static(text)));
        assert_eq!(head.status, StatusCode::NOT_FOUND);
        assert_eq!(head.headers["x-folded"], "a b c");
        assert_eq!(head.headers["empty"], "");
        assert_eq!(head.headers.len(), 3);
    }
}
