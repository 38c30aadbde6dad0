//! Refuses heads that two parsers could read differently, where hyper does not do so itself.
//!
//! The table of what is refused where stands in ARCHITECTURE.md.

use http::header::{HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, Version};

use crate::metrics::Refusal;

/// Why a request is not forwarded.
pub(super) type Refused = (Refusal, &'static str);

/// Refuses what is ambiguous, and CONNECT: we are nobody's open relay.
pub(super) fn head(parts: &Parts) -> Result<(), Refused> {
    if parts.method == Method::CONNECT {
        return Err((Refusal::Method, "CONNECT is not served: this is a reverse proxy for one provider"));
    }
    if parts.uri.path() == "*" && parts.method != Method::OPTIONS {
        return Err((Refusal::Ambiguous, "only OPTIONS has the target * (RFC 9112 section 3.2.4)"));
    }
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err((Refusal::Ambiguous, "the request has more than one Host header (RFC 9112 section 3.2)"));
    }
    if host.is_none() && parts.version == Version::HTTP_11 {
        return Err((Refusal::Ambiguous, "the request has no Host header (RFC 9112 section 3.2)"));
    }
    if host.is_some_and(|host| host.as_bytes().iter().any(|byte| b",/?#@ \t".contains(byte))) {
        return Err((Refusal::Ambiguous, "the Host header is not a host (RFC 9112 section 3.2)"));
    }
    let mut codings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next()
        && (codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return Err((
            Refusal::Ambiguous,
            "the only transfer coding understood is a single `chunked` (RFC 9112 section 6.1)",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[track_caller]
    fn check(line: &str, fields: &[(&str, &str)], refused: Option<Refusal>) {
        let mut words = line.split(' ');
        let mut next = || words.next().unwrap();
        let mut request = Request::builder().method(next()).uri(next()).version(match next() {
            "HTTP/1.0" => Version::HTTP_10,
            _ => Version::HTTP_11,
        });
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        assert_eq!(head(&parts).err().map(|(refusal, _)| refusal), refused, "{line} {fields:?}");
    }

    #[test]
    fn what_can_be_read_in_one_way_only_goes_on() {
        check("GET / HTTP/1.1", &[("host", "h")], None);
        check("GET / HTTP/1.1", &[("host", "[::1]:4000")], None);
        check("GET / HTTP/1.1", &[("host", "")], None);
        check("GET / HTTP/1.0", &[], None);
        check("OPTIONS * HTTP/1.1", &[("host", "h")], None);
        check("POST / HTTP/1.1", &[("host", "h"), ("transfer-encoding", "Chunked")], None);
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_refused() {
        let ambiguous = Some(Refusal::Ambiguous);
        check("CONNECT h:1 HTTP/1.1", &[("host", "h")], Some(Refusal::Method));
        check("GET * HTTP/1.1", &[("host", "h")], ambiguous);
        check("GET / HTTP/1.1", &[], ambiguous);
        check("GET / HTTP/1.1", &[("host", "h"), ("host", "h")], ambiguous);
        for host in ["a,b", "h/x", "u@h", "a b", "a?b", "a#b", "a\tb"] {
            check("GET / HTTP/1.1", &[("host", host)], ambiguous);
            check("GET / HTTP/1.0", &[("host", host)], ambiguous);
        }
        for coding in ["gzip, chunked", "chunked, chunked", "gzip", ""] {
            check("POST / HTTP/1.1", &[("host", "h"), ("transfer-encoding", coding)], ambiguous);
        }
        let twice = [("host", "h"), ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")];
        check("POST / HTTP/1.1", &twice, ambiguous);
    }
}
