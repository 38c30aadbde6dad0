//! Watches the bytes that a client sends for what hyper's parser smooths over without a word.
//!
//! hyper takes a bare LF for a line end. That is allowed (RFC 9112 section 2.2), but a parser before us may have
//! seen one header where hyper sees two. Such a request travels as the one plain request that hyper made of it,
//! and the connection ends with it, so that nothing which the other parser took for a body can become a second
//! request. The same watch tells when a head began, for `server.header_timeout`.
//!
//! This is no second parser: it finds line ends, the end of a head, and how long the body after it is. Where it is
//! not sure what a byte belongs to, it says so, and the connection ends after the exchange.

use std::time::Instant;

use memchr::memchr;

/// The watch over one connection.
#[derive(Debug)]
pub(super) struct HeadScan {
    place: Place,
    /// Heads that ended and were not asked for yet.
    ready: u32,
    /// What has come of a line that has not ended. hyper's limit on heads bounds it: past that the connection ends.
    line: Vec<u8>,
    /// When the first byte of the head being read came.
    began: Option<Instant>,
    framing: Framing,
    /// Lines of the head being read that have ended.
    lines: u32,
    bare_lf: bool,
    /// Bytes may have passed that belong to a head and were not seen as such.
    unsure: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Head,
    /// In a body that ends after this many more bytes.
    Sized(u64),
    /// In a body whose end only hyper knows; whether what came last looks like such an end.
    Chunked {
        at_end: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    None,
    Sized(u64),
    Chunked,
}

impl HeadScan {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Head,
            ready: 0,
            line: Vec::new(),
            began: None,
            framing: Framing::None,
            lines: 0,
            bare_lf: false,
            unsure: false,
        }
    }

    /// The client sent `bytes`.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match self.place {
                Place::Head => self.head(bytes),
                Place::Sized(left) => {
                    let now = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                    self.place = match left - now as u64 {
                        0 => Place::Head,
                        left => Place::Sized(left),
                    };
                    &bytes[now..]
                }
                Place::Chunked { .. } => {
                    self.place = Place::Chunked { at_end: bytes.ends_with(b"\n") };
                    return;
                }
            };
        }
    }

    /// hyper has read a head: may what follows on this connection be trusted?
    pub(super) fn take_head(&mut self) -> bool {
        let seen = self.ready > 0;
        self.ready = self.ready.saturating_sub(1);
        seen && !self.bare_lf && !self.unsure
    }

    /// hyper has read the body of the request to its end.
    pub(super) fn body_ended(&mut self) {
        // With a head in waiting the body that is being read is a later request's.
        if let (Place::Chunked { at_end }, 0) = (self.place, self.ready) {
            // The read that ended the body may have brought the beginning of the next head.
            self.unsure |= !at_end;
            self.place = Place::Head;
        }
    }

    /// When the head began that is still being read.
    pub(super) fn head_began(&self) -> Option<Instant> {
        self.began.filter(|_| self.ready == 0)
    }

    /// Whether the client has sent something that no exchange has taken yet.
    pub(super) fn is_idle(&self) -> bool {
        self.place == Place::Head && self.ready == 0 && self.began.is_none()
    }

    /// Takes one line, or what there is of it; returns what follows.
    fn head<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        self.began.get_or_insert_with(Instant::now);
        let Some(end) = memchr(b'\n', bytes) else {
            self.line.extend_from_slice(bytes);
            return &[];
        };
        let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
        if self.line.is_empty() {
            self.line_ended(line);
        } else {
            let mut whole = std::mem::take(&mut self.line);
            whole.extend_from_slice(line);
            self.line_ended(&whole);
        }
        rest
    }

    /// `line` is without its LF.
    fn line_ended(&mut self, line: &[u8]) {
        let line = match line.split_last() {
            Some((b'\r', line)) => line,
            _ => {
                self.bare_lf = true;
                line
            }
        };
        match (line.is_empty(), self.lines) {
            // Empty lines before a request line are nothing (RFC 9112 section 2.2).
            (true, 0) => self.began = None,
            (true, _) => self.head_ended(),
            (false, _) => {
                self.lines += 1;
                self.field(line);
            }
        }
    }

    fn field(&mut self, line: &[u8]) {
        if let Some(value) = value_of(line, b"content-length:") {
            match value.parse() {
                Ok(length) if self.framing == Framing::None => self.framing = Framing::Sized(length),
                // Twice, or beside a transfer coding, or no number: hyper decides, and we go no further.
                Ok(_) | Err(_) => self.unsure = true,
            }
        } else if value_of(line, b"transfer-encoding:").is_some() {
            self.unsure |= self.framing != Framing::None;
            self.framing = Framing::Chunked;
        }
    }

    fn head_ended(&mut self) {
        self.began = None;
        self.lines = 0;
        self.place = match std::mem::replace(&mut self.framing, Framing::None) {
            Framing::None | Framing::Sized(0) => Place::Head,
            Framing::Sized(length) => Place::Sized(length),
            Framing::Chunked => Place::Chunked { at_end: false },
        };
        self.ready += 1;
    }
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a str> {
    let (start, value) = line.split_at_checked(name.len())?;
    if !start.eq_ignore_ascii_case(name) {
        return None;
    }
    Some(std::str::from_utf8(value).unwrap_or_default().trim())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fed(bytes: &[u8]) -> HeadScan {
        let mut scan = HeadScan::new();
        scan.feed(bytes);
        scan
    }

    #[test]
    fn plain_heads_are_trusted_one_by_one() {
        let mut scan =
            fed(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HT");
        assert!(scan.take_head());
        assert!(scan.take_head());
        assert!(scan.head_began().is_some());
        scan.feed(b"TP/1.1\r\n\r\n");
        assert!(scan.take_head());
        assert!(scan.is_idle());
        assert!(!scan.take_head(), "a head that was not seen is not trusted");
    }

    #[test]
    fn empty_lines_before_a_head_are_nothing() {
        let mut scan = fed(b"\r\n\r\n");
        assert!(scan.is_idle());
        scan.feed(b"GET / HTTP/1.1\r\n\r\n");
        assert!(scan.take_head());
        assert!(!scan.take_head());
    }

    #[test]
    fn a_bare_line_feed_is_not_trusted() {
        assert!(!fed(b"GET / HTTP/1.1\r\nHost: a\n\r\n").take_head());
        assert!(!fed(b"GET / HTTP/1.1\r\nHost: a\r\n\n").take_head());
        assert!(fed(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n\n\n").take_head(), "bodies are free");
    }

    #[test]
    fn after_a_chunked_body_the_next_head_is_trusted_only_if_it_came_apart() {
        const HEAD: &[u8] = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut scan = fed(HEAD);
        assert!(scan.take_head());
        scan.feed(b"1\r\na\r\n0\r\n\r\n");
        scan.body_ended();
        scan.feed(b"GET / HTTP/1.1\r\n\r\n");
        assert!(scan.take_head());

        let mut scan = fed(b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\na");
        scan.feed(HEAD);
        assert!(scan.take_head());
        scan.body_ended();
        assert!(scan.take_head(), "the end of an earlier body is not the end of this one");
        scan.feed(b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n");
        scan.body_ended();
        assert!(!scan.take_head());

        let mut scan = fed(HEAD);
        assert!(scan.take_head());
        scan.feed(b"1\r\na\r\n0\r\n\r\nGET / HT");
        scan.body_ended();
        scan.feed(b"TP/1.1\r\n\r\n");
        assert!(!scan.take_head());
    }

    proptest! {
        /// However reads fall, the same bytes give the same answer.
        #[test]
        fn cuts_do_not_matter(cuts in proptest::collection::vec(1usize..20, 0..40), bare in any::<bool>()) {
            let eol: &[u8] = if bare { b"\n" } else { b"\r\n" };
            let mut bytes = Vec::new();
            for line in [&b"POST /v1 HTTP/1.1"[..], b"Host: a", b"cOnTent-length:  13 ", b"X: y"] {
                bytes.extend_from_slice(line);
                bytes.extend_from_slice(eol);
            }
            bytes.extend_from_slice(b"\r\n");
            bytes.extend_from_slice(b"\n\nhello worl\n");
            let mut scan = HeadScan::new();
            let mut rest = &bytes[..];
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                scan.feed(now);
                rest = later;
            }
            scan.feed(rest);
            prop_assert_eq!(scan.take_head(), !bare);
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut scan = fed(&bytes);
            scan.take_head();
            scan.body_ended();
            scan.feed(&bytes);
        }
    }
}
