//! Watches the bytes that a client sends for what hyper's parser smooths over without a word.
//!
//! hyper takes a bare LF for a line end. That is allowed (RFC 9112 section 2.2), but a parser before us may have
//! seen one header where hyper sees two. Such a request travels as the one plain request that hyper made of it,
//! and the connection ends with it, so that nothing which the other parser took for a body can become a second
//! request. The same watch tells when a head began, for `server.header_timeout`.
//!
//! This decides nothing: it finds line ends, the end of a head, and the body after it. Where it does not see the head
//! that hyper sees, or sees one that it does not trust, the connection ends after that exchange.

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
    /// hyper may take for a body what is not taken for it here.
    unsure: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the lines of a head.
    Head,
    /// In a body that ends after this many more bytes.
    Sized(u64),
    /// In the line that tells the size of a chunk (RFC 9112 section 7.1).
    ChunkSize,
    /// In a chunk that ends, its line end included, after this many more bytes.
    Chunk(u64),
    /// In the lines after the last chunk.
    Trailers,
    /// In what is no chunk: hyper ends the connection.
    Lost,
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
                Place::Head | Place::ChunkSize | Place::Trailers => self.line(bytes),
                Place::Sized(left) => self.skip(bytes, left, Place::Sized, Place::Head),
                Place::Chunk(left) => self.skip(bytes, left, Place::Chunk, Place::ChunkSize),
                Place::Lost => return,
            };
        }
    }

    /// Passes over `left` bytes; returns what follows them.
    fn skip<'a>(&mut self, bytes: &'a [u8], left: u64, within: fn(u64) -> Place, after: Place) -> &'a [u8] {
        let now = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        self.place = match left - now as u64 {
            0 => after,
            left => within(left),
        };
        &bytes[now..]
    }

    /// hyper has read a head: may what follows on this connection be trusted?
    pub(super) fn take_head(&mut self) -> bool {
        let seen = self.ready > 0;
        self.ready = self.ready.saturating_sub(1);
        seen && !self.bare_lf && !self.unsure
    }

    /// When the head began that is still being read.
    pub(super) fn head_began(&self) -> Option<Instant> {
        self.began.filter(|_| self.ready == 0)
    }

    /// An exchange is over: a head that has come in part behind it counts from now.
    pub(super) fn restart_clock(&mut self) {
        if self.began.is_some() {
            self.began = Some(Instant::now());
        }
    }

    /// Whether the client has sent something that no exchange has taken yet.
    pub(super) fn is_idle(&self) -> bool {
        self.place == Place::Head && self.ready == 0 && self.began.is_none()
    }

    /// Takes one line, or what there is of it; returns what follows.
    fn line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if self.place == Place::Head {
            self.began.get_or_insert_with(Instant::now);
        }
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
        match self.place {
            Place::ChunkSize => self.chunk(line),
            Place::Trailers if line.is_empty() => self.place = Place::Head,
            Place::Trailers => {}
            // Empty lines before a request line are nothing (RFC 9112 section 2.2).
            _ if line.is_empty() && self.lines == 0 => self.began = None,
            _ if line.is_empty() => self.head_ended(),
            _ => {
                self.lines += 1;
                self.field(line);
            }
        }
    }

    fn chunk(&mut self, line: &[u8]) {
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let size =
            std::str::from_utf8(&line[..digits]).ok().and_then(|size| u64::from_str_radix(size, 16).ok());
        self.place = match size {
            Some(0) => Place::Trailers,
            // And the line end after it.
            Some(size) => Place::Chunk(size.saturating_add(2)),
            None => Place::Lost,
        };
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
            Framing::Chunked => Place::ChunkSize,
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
    fn the_head_after_a_chunked_body_is_found() {
        const HEAD: &[u8] = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut scan = fed(HEAD);
        scan.feed(
            b"5;ext=1\r\na\r\n\r\n\r\n0A\r\n0123456789\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\n\r\nGET / HT",
        );
        assert!(scan.take_head());
        assert!(scan.take_head());
        assert!(!scan.take_head());
        assert!(scan.head_began().is_some());

        let mut scan = fed(HEAD);
        scan.feed(b"zz\r\nGET / HTTP/1.1\r\n\r\n");
        assert!(scan.take_head());
        assert!(!scan.take_head(), "what comes after a broken body is no head");
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
            scan.feed(&bytes);
        }
    }
}
