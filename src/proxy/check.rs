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
