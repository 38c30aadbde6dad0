//! What changes on a head on its way through, and nothing else.
//!
//! A header is never removed from a map in place: the last one would take its place. A head that has something to
//! lose is built anew.

use bytes::{BufMut, BytesMut};
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri, Version, request, response};

use crate::config::BaseUrl;
use crate::workflow;

/// Headers that are addressed to us begin so.
const OURS: [&str; 2] = ["x-perimeter-", "x-cylestio-"];

/// Where requests go, in the form that heads need.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    host: HeaderValue,
    prefix: String,
}

impl Target {
    /// The provider at `base_url`.
    ///
    /// # Errors
    /// Where the authority holds what no header value may.
    pub(crate) fn new(base_url: &BaseUrl) -> Result<Self, http::header::InvalidHeaderValue> {
        Ok(Self { host: HeaderValue::from_str(base_url.authority())?, prefix: base_url.path().to_owned() })
    }

    /// Makes the head of a client's request the head of ours.
    pub(super) fn request(&self, parts: &mut request::Parts, is_upgrade: bool) {
        self.request_target(&parts.method, &mut parts.uri);
        parts.version = Version::HTTP_11;
        let mut gone = Gone::of(&parts.headers);
        gone.ours = true;
        gone.keeps_upgrade = is_upgrade;
        rebuild(&mut parts.headers, &gone);
        parts.headers.insert(HOST, self.host.clone());
    }

    /// Byte for byte, but for the prefixes: nothing is decoded, nothing made shorter.
    fn request_target(&self, method: &Method, uri: &mut Uri) {
        let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        if method == Method::OPTIONS && path == "*" {
            return;
        }
        let rest = workflow::split(path).map_or(path, |(_, rest)| rest);
        if self.prefix.is_empty() && rest.len() == path.len() && rest.starts_with('/') {
            if uri.scheme().is_some() || uri.authority().is_some() {
                *uri = uri.path_and_query().cloned().map_or_else(Uri::default, Uri::from);
            }
            return;
        }
        let mut target = BytesMut::with_capacity(self.prefix.len() + rest.len() + 1);
        target.put_slice(self.prefix.as_bytes());
        if !rest.starts_with('/') {
            target.put_u8(b'/');
        }
        target.put_slice(rest.as_bytes());
        // Both parts were accepted as parts of a path before.
        if let Ok(joined) = PathAndQuery::from_maybe_shared(target.freeze()) {
            *uri = Uri::from(joined);
        }
    }
}

/// Makes the head of the upstream's response the head of ours.
pub(super) fn response(parts: &mut response::Parts, is_upgrade: bool) {
    parts.version = Version::HTTP_11;
    let mut gone = Gone::of(&parts.headers);
    // 426 says in `Upgrade` what it asks for.
    gone.keeps_upgrade = is_upgrade || parts.status == StatusCode::UPGRADE_REQUIRED;
    // RFC 9112 section 6.3: of both lengths the transfer coding counts, and the other must not be passed on.
    gone.content_length =
        parts.headers.contains_key(TRANSFER_ENCODING) && parts.headers.contains_key(CONTENT_LENGTH);
    rebuild(&mut parts.headers, &gone);
}

/// Which headers do not travel.
struct Gone {
    /// What `Connection` names, lower-case, and not always worth an allocation: usually `keep-alive`.
    named: Vec<HeaderName>,
    ours: bool,
    keeps_upgrade: bool,
    content_length: bool,
}

/// What becomes of one header.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Keep,
    Drop,
    /// Only the part that is about the upgrade, or about trailers.
    Part,
}

impl Gone {
    fn of(headers: &HeaderMap) -> Self {
        let named = headers
            .get_all(CONNECTION)
            .iter()
            .flat_map(tokens)
            .filter(|token| !is_one_of(token, &["close", "keep-alive", "upgrade", "te", "proxy-connection"]))
            .filter_map(|token| HeaderName::from_bytes(token).ok())
            // Framing and address are the message's own, whatever a connection says.
            .filter(|name| ![HOST, CONTENT_LENGTH, TRANSFER_ENCODING, TRAILER].contains(name))
            .collect();
        Self { named, ours: false, keeps_upgrade: false, content_length: false }
    }

    fn fate(&self, name: &HeaderName) -> Fate {
        match *name {
            CONNECTION | UPGRADE if self.keeps_upgrade => return Fate::Part,
            CONNECTION | UPGRADE => return Fate::Drop,
            TE => return Fate::Part,
            CONTENT_LENGTH if self.content_length => return Fate::Drop,
            _ => {}
        }
        let text = name.as_str();
        // Most names begin otherwise, and one look tells.
        let goes = match text.as_bytes().first() {
            Some(b'k') => text == "keep-alive",
            Some(b'p') => text == "proxy-connection",
            Some(b'x') => self.ours && OURS.iter().any(|ours| text.starts_with(ours)),
            _ => false,
        };
        if goes || (!self.named.is_empty() && self.named.contains(name)) { Fate::Drop } else { Fate::Keep }
    }
}

fn rebuild(headers: &mut HeaderMap, gone: &Gone) {
    if headers.keys().all(|name| gone.fate(name) == Fate::Keep) {
        return;
    }
    let mut old = std::mem::take(headers).into_iter().peekable();
    headers.reserve(old.size_hint().0);
    let (mut fate, mut name) = (Fate::Drop, None);
    while let Some((first, value)) = old.next() {
        if let Some(first) = first {
            fate = gone.fate(&first);
            name = Some(first);
        }
        let value = match (fate, &name) {
            (Fate::Keep, _) => value,
            (Fate::Part, Some(name)) => match part(name, value) {
                Some(part) => part,
                None => continue,
            },
            _ => continue,
        };
        // A name is only cloned where another value of it follows: for most that would be an allocation.
        let more = matches!(old.peek(), Some((None, _)));
        if let Some(name) = if more { name.clone() } else { name.take() } {
            headers.append(name, value);
        }
    }
}

/// What travels of a header that travels in part, in the sender's own letters.
fn part(name: &HeaderName, value: HeaderValue) -> Option<HeaderValue> {
    let wanted: &[&str] = match *name {
        CONNECTION => &["upgrade"],
        UPGRADE => &["websocket"],
        _ => &["trailers"],
    };
    if *name == UPGRADE && !tokens(&value).any(|token| is_one_of(token, wanted)) {
        // The upstream's own words in a 101 or a 426.
        return Some(value);
    }
    let found = tokens(&value).find(|token| is_one_of(token, wanted))?;
    if found.len() == value.len() {
        return Some(value);
    }
    HeaderValue::from_bytes(found).ok()
}

/// The elements of a comma-separated value.
pub(super) fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// Whether `token` is one of `names`, whatever its case.
pub(super) fn is_one_of(token: &[u8], names: &[&str]) -> bool {
    names.iter().any(|name| token.eq_ignore_ascii_case(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};

    use super::*;

    fn fields(headers: &HeaderMap) -> Vec<(&str, &str)> {
        headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
    }

    /// The fields of a request with `sent`, as they go on, without `Host`.
    #[track_caller]
    fn check_request(is_upgrade: bool, sent: &[(&str, &str)], forwarded: &[(&str, &str)]) {
        let mut request = Request::builder().uri("/").header(HOST, "app");
        for (name, value) in sent {
            request = request.header(*name, *value);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        let target = Target::new(&BaseUrl::parse("https://provider.example").unwrap()).unwrap();
        target.request(&mut parts, is_upgrade);
        let fields = fields(&parts.headers);
        assert_eq!(fields[0], ("host", "provider.example"), "{sent:?}");
        assert_eq!(&fields[1..], forwarded, "{sent:?}");
    }

    #[track_caller]
    fn check_response(status: u16, sent: &[(&str, &str)], forwarded: &[(&str, &str)]) {
        let mut response = Response::builder().status(status);
        for (name, value) in sent {
            response = response.header(*name, *value);
        }
        let mut parts = response.body(()).unwrap().into_parts().0;
        super::response(&mut parts, status == 101);
        assert_eq!(fields(&parts.headers), forwarded, "{sent:?}");
    }

    #[test]
    fn base_url_and_path_meet_in_one_slash_and_nothing_else_changes() {
        for (base_url, asked, target) in [
            ("https://h", "/v1/models?a=%20&b", "/v1/models?a=%20&b"),
            ("https://h", "/", "/"),
            ("https://h", "//a/../b;c/%2F", "//a/../b;c/%2F"),
            ("https://h", "http://other/v1?x", "/v1?x"),
            ("https://h", "http://other", "/"),
            ("https://h/v1/", "/chat?x", "/v1/chat?x"),
            ("https://h/v1", "/", "/v1/"),
            ("https://h/v1", "/v1/chat", "/v1/v1/chat"),
            ("https://h", "/agent-workflow/w-1/v1/chat?x", "/v1/chat?x"),
            ("https://h", "/agent-workflow/w-1", "/"),
            ("https://h", "/agent-workflow/w-1?x", "/?x"),
            ("https://h/v1", "/agent-workflow/w-1?x", "/v1/?x"),
            ("https://h/v1", "/agent-workflow/w-1/agent-workflow/w-2/a", "/v1/agent-workflow/w-2/a"),
            ("https://h", "/agent-workflow/", "/agent-workflow/"),
            ("https://h", "/agent-workflow//a", "/agent-workflow//a"),
            ("https://h", "/agent-workflows/w/a", "/agent-workflows/w/a"),
        ] {
            let mut uri = asked.parse().unwrap();
            let joined = Target::new(&BaseUrl::parse(base_url).unwrap()).unwrap();
            joined.request_target(&Method::GET, &mut uri);
            assert_eq!(uri.to_string(), target, "{base_url} {asked}");
        }
    }

    #[test]
    fn what_belongs_to_one_connection_stays_there() {
        check_request(false, &[("a", "1"), ("b", "2"), ("a", "3")], &[("a", "1"), ("a", "3"), ("b", "2")]);
        check_request(
            false,
            &[
                ("connection", "close, X-Hop,x-other"),
                ("x-hop", "1"),
                ("keep-alive", "timeout=5"),
                ("a", "1"),
                ("x-other", "2"),
                ("proxy-connection", "close"),
                ("upgrade", "h2c"),
            ],
            &[("a", "1")],
        );
        check_request(false, &[("te", "gzip, Trailers;q=1, trailers")], &[("te", "trailers")]);
        check_request(false, &[("te", "gzip")], &[]);
        // Not even a connection may name away what a message means.
        check_request(
            false,
            &[("connection", "host, content-length, trailer, te"), ("content-length", "1"), ("trailer", "x")],
            &[("content-length", "1"), ("trailer", "x")],
        );
    }

    #[test]
    fn what_is_addressed_to_us_goes_no_further() {
        check_request(
            false,
            &[("x-perimeter-key", "k"), ("x-cylestio-session-id", "s"), ("x-perimeters", "1"), ("x-a", "1")],
            &[("x-perimeters", "1"), ("x-a", "1")],
        );
        check_response(200, &[("x-perimeter-error", "theirs")], &[("x-perimeter-error", "theirs")]);
    }

    #[test]
    fn an_upgrade_keeps_its_own_part_of_what_asks_for_it() {
        check_request(
            true,
            &[("connection", "keep-alive, Upgrade"), ("upgrade", "h2c, WebSocket")],
            &[("connection", "Upgrade"), ("upgrade", "WebSocket")],
        );
        let switching = [("connection", "upgrade"), ("upgrade", "websocket")];
        check_response(101, &switching, &switching);
        check_response(426, &[("upgrade", "TLS/1.0")], &[("upgrade", "TLS/1.0")]);
        check_response(200, &switching, &[]);
    }

    #[test]
    fn of_two_lengths_of_a_response_the_coding_counts() {
        let both = [("content-length", "5"), ("transfer-encoding", "chunked")];
        check_response(200, &both, &both[1..]);
        check_response(200, &both[..1], &both[..1]);
    }
}
