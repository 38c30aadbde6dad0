//! Who is calling: is it somebody who means us, or a web page in somebody's browser?

use std::net::{IpAddr, SocketAddr};

use http::HeaderValue;
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

/// Whether a page at `origin` (RFC 6454 section 7) came from this listener.
pub(crate) fn is_our_origin(origin: &HeaderValue, local: SocketAddr) -> bool {
    let origin = origin.as_bytes();
    let host = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
    host.is_some_and(|host| is_our_host(host, local))
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
        assert!(!is_our_origin(&HeaderValue::from_static("null"), local));
    }
}
