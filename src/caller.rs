//! Who is calling: is it somebody who means us, or a web page in somebody's browser?

use std::net::{IpAddr, SocketAddr};

use http::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use http::request::Parts;
use http::uri::Authority;

/// Whether `host` (`name` or `name:port`) names this listener: a page whose own name was pointed at us sends that
/// name. `local` is our end of the connection.
pub(crate) fn is_our_host(host: &[u8], local: SocketAddr) -> bool {
    let Some(authority) = std::str::from_utf8(host).ok().and_then(|host| host.parse::<Authority>().ok())
    else {
        return false;
    };
    if authority.as_str().contains('@') || authority.port_u16().is_some_and(|port| port != local.port()) {
        return false;
    }
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.is_loopback() || ip.to_canonical() == local.ip().to_canonical())
}

/// Whether a request with this head calls this listener by a name of its own.
pub(crate) fn calls_us(head: &Parts, local: SocketAddr) -> bool {
    // The target's own host stands above the header (RFC 9112 section 3.2.2).
    head.uri.authority().is_none_or(|name| is_our_host(name.as_str().as_bytes(), local))
        && head.headers.get(HOST).is_none_or(|host| is_our_host(host.as_bytes(), local))
}

/// Whether a page at `origin` (RFC 6454 section 7) came from this listener: its very port, and no TLS.
fn is_our_origin(origin: &HeaderValue, local: SocketAddr) -> bool {
    let Some(host) = origin.as_bytes().strip_prefix(b"http://") else { return false };
    // A browser leaves the port out where it is the scheme's own.
    let names_port = !host.ends_with(b"]") && host.contains(&b':');
    (names_port || local.port() == 80) && is_our_host(host, local)
}

/// Whether a browser says that a request is another site's doing.
pub(crate) fn is_from_foreign_page(headers: &HeaderMap, local: SocketAddr) -> bool {
    const SEC_FETCH_SITE: &str = "sec-fetch-site";
    headers.get_all(ORIGIN).iter().any(|origin| !is_our_origin(origin, local))
        || headers
            .get_all(SEC_FETCH_SITE)
            .iter()
            .any(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"))
}

/// Whether two secrets are the same, in a time that does not tell where they differ.
pub(crate) fn is_same_secret(known: &[u8], shown: &[u8]) -> bool {
    known.len() == shown.len() && known.iter().zip(shown).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_listener_is_ours() {
        let local: SocketAddr = "192.168.1.5:4000".parse().unwrap();
        for ours in
            ["localhost:4000", "LOCALHOST", "127.0.0.1:4000", "[::1]:4000", "192.168.1.5:4000", "127.0.0.2"]
        {
            assert!(is_our_host(ours.as_bytes(), local), "{ours}");
        }
        for foreign in [
            "evil.example:4000",
            "localhost:4001",
            "a@localhost:4000",
            "192.168.1.6:4000",
            "",
            "localhost.evil.example",
        ] {
            assert!(!is_our_host(foreign.as_bytes(), local), "{foreign}");
        }
        assert!(is_our_origin(&HeaderValue::from_static("http://localhost:4000"), local));
        for foreign in
            ["null", "http://localhost", "http://[::1]", "https://localhost:4000", "http://evil.example:4000"]
        {
            assert!(!is_our_origin(&HeaderValue::from_static(foreign), local), "{foreign}");
        }
    }
}
