//! Watches the bytes that a client sends for what hyper's parser smooths over without a word.
//!
//! hyper takes a bare LF for a line end. That is allowed (RFC 9112 section 2.2), but a parser before us may have
//! seen one header where hyper sees two. Such a request travels as the one plain request that hyper made of it,
//! and the connection ends with it, so that nothing which the other parser took for a body can become a second
//! request. The same watch tells when a head began, for `server.header_timeout`.
//!
//! It finds line ends, the end of a head, and the body after it, and decides one thing: of which large body hyper is to
//! read only the beginning (`large_body.rs`). Where it does not see the head that hyper sees, or sees one that it does
//! not trust, the connection ends after that exchange.

use std::collections::VecDeque;
use std::time::Instant;

use memchr::memchr;

use crate::raw_head::{RawHead, Shows};

/// The watch over one connection.
#[derive(Debug)]
pub(super) struct HeadScan {
    place: Place,
    /// The head being read, and those that ended and were not asked for yet.
    head: RawHead,
    ready: VecDeque<RawHead>,
    /// What has come of a line of a chunked body that has not ended.
    line: Vec<u8>,
    /// When the first byte of the head being read came.
    began: Option<Instant>,
    framing: Framing,
    bare_lf: bool,
    /// hyper may take for a body what is not taken for it here.
    unsure: bool,
    /// Whether the client waits for a word before it sends the body.
    expects: bool,
    shows: Shows,
    /// Whether hyper need not see the whole of a large body.
    cuts: bool,
    /// How many bytes are still to come of the body that hyper was told the beginning of.
    beyond: u64,
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
    /// Behind a head that asks for a WebSocket: until the answer is known, what comes may be no HTTP. Whether any came.
    Upgrade { came: bool },
    /// In what is not followed any further: hyper ends the connection, or we do after the exchange.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    None,
    Upgrade,
    Sized(u64),
    Chunked,
}

/// More bytes than these behind a head are not moved over what hyper is not shown of it.
const MUCH: usize = 32 * 1024;

/// Of a body of which so many bytes are still to come, hyper is told that it ends before them.
const LARGE: u64 = 64 * 1024;

/// No body is that large, and hyper decides what to say to one that claims to be.
const MOST: u64 = 1 << 60;

/// Heads that may wait for their turn; a client that pipelines more is served those, one after the other, and closed.
const MAX_READY: usize = 64;

impl HeadScan {
    /// What hyper is shown of heads is `shows`; where it `cuts`, of the body of a large request it is shown what came
    /// with its head.
    pub(super) fn new(shows: Shows, cuts: bool) -> Self {
        Self {
            place: Place::Head,
            head: RawHead::default(),
            ready: VecDeque::new(),
            line: Vec::new(),
            began: None,
            framing: Framing::None,
            bare_lf: false,
            unsure: false,
            expects: false,
            shows,
            cuts,
            beyond: 0,
        }
    }

    /// The client sent `bytes`. In a request's target, what hyper would refuse is hidden from it. What hyper is shown of
    /// them is moved to their beginning, with empty lines before a head that much comes behind; returns its length.
    pub(super) fn feed(&mut self, bytes: &mut [u8]) -> usize {
        let (mut passed, mut left) = (0, 0);
        while passed < bytes.len() {
            let rest = &mut bytes[passed..];
            let (len, shown) = match self.place {
                Place::Head if self.head.is_empty() && left == passed => {
                    let (len, shown) = self.head(rest);
                    let came = rest.len() - len;
                    self.cut(&mut rest[..shown], came);
                    (len, if came > MUCH { pad(&mut rest[..len], shown) } else { shown })
                }
                Place::Head => self.head(rest),
                Place::ChunkSize | Place::Trailers => twice(self.body_line(rest)),
                Place::Sized(size) => twice(self.skip(rest, size, Place::Sized, Place::Head)),
                Place::Chunk(size) => twice(self.skip(rest, size, Place::Chunk, Place::ChunkSize)),
                Place::Upgrade { .. } => {
                    self.place = Place::Upgrade { came: true };
                    twice(rest.len())
                }
                Place::Lost => twice(rest.len()),
            };
            if left < passed {
                bytes.copy_within(passed..passed + shown, left);
            }
            passed += len;
            left += shown;
        }
        left
    }

    /// Where a whole head has just come, and `came` bytes behind it, and much is still to come of its body, these are made
    /// all of the body in what hyper is `shown` of the head.
    fn cut(&mut self, shown: &mut [u8], came: usize) {
        let Place::Sized(length) = self.place else { return };
        let beyond = length.saturating_sub(came as u64);
        let is_alone = self.ready.len() == 1 && !self.expects && self.is_trusted();
        if self.cuts && is_alone && (LARGE..MOST).contains(&beyond) && claim(shown, length, came as u64) {
            self.beyond = beyond;
        }
    }

    /// How many bytes are still to come of a body that hyper takes for whole: the next ones.
    pub(super) fn beyond(&self) -> u64 {
        self.beyond
    }

    /// So many of them have come.
    pub(super) fn came_beyond(&mut self, len: usize) {
        self.beyond = self.beyond.saturating_sub(len as u64);
        self.place = if self.beyond == 0 { Place::Head } else { Place::Sized(self.beyond) };
    }

    /// Passes over `left` bytes; returns how many of them were there.
    fn skip(&mut self, bytes: &[u8], left: u64, within: fn(u64) -> Place, after: Place) -> usize {
        let now = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        self.place = match left - now as u64 {
            0 => after,
            left => within(left),
        };
        now
    }

    /// hyper has read a head: here it is as it came, where it was seen, and whether what follows on this connection may
    /// be trusted.
    pub(super) fn take_head(&mut self) -> (Option<RawHead>, bool) {
        let head = self.ready.pop_front();
        let trusted = head.is_some() && self.is_trusted();
        (head, trusted)
    }

    /// Whether what follows on this connection may still be trusted, now that more has come.
    pub(super) fn is_trusted(&self) -> bool {
        !self.bare_lf && !self.unsure
    }

    /// When the head began that is still being read.
    pub(super) fn head_began(&self) -> Option<Instant> {
        self.began.filter(|_| self.ready.is_empty())
    }

    /// The answer to a head that asked for a WebSocket was no: HTTP goes on.
    pub(super) fn not_upgraded(&mut self) {
        if let Place::Upgrade { came } = self.place {
            self.place = if came { Place::Lost } else { Place::Head };
        }
    }

    /// An exchange is over: a head that has come in part behind it counts from now.
    pub(super) fn restart_clock(&mut self) {
        if self.began.is_some() {
            self.began = Some(Instant::now());
        }
    }

    /// Whether a head comes next, of whose body hyper may need not see much.
    pub(super) fn may_cut(&self) -> bool {
        self.cuts && self.place == Place::Head && self.head.is_empty()
    }

    /// Whether the client has sent nothing that an exchange has yet to take.
    pub(super) fn is_idle(&self) -> bool {
        self.place == Place::Head && self.ready.is_empty() && self.began.is_none()
    }

    /// Takes what belongs to a head; returns its length, and that of what hyper is shown of it.
    fn head(&mut self, bytes: &mut [u8]) -> (usize, usize) {
        if self.head.is_empty() {
            // Empty lines before a request line are nothing (RFC 9112 section 2.2).
            match bytes {
                [b'\n', ..] => {
                    self.bare_lf = true;
                    return twice(1);
                }
                [b'\r', b'\n', ..] => return twice(2),
                _ => {}
            }
        }
        let (len, ended) = self.head.feed_request(bytes);
        if !ended {
            self.began.get_or_insert_with(Instant::now);
            return twice(len);
        }
        if self.head.len() == 1 {
            self.head = RawHead::default();
            self.began = None;
            return twice(len);
        }
        (len, self.head_ended(&mut bytes[..len]))
    }

    fn field(&mut self, line: &[u8]) {
        let (line, bare_lf) = without_end(line);
        self.bare_lf |= bare_lf;
        match Field::of(line) {
            Field::Length(Some(length)) if self.framing == Framing::None => {
                self.framing = Framing::Sized(length)
            }
            // Twice, or beside a transfer coding, or no number: hyper decides, and we go no further.
            Field::Length(_) => self.unsure = true,
            Field::Coding => {
                self.unsure |= self.framing != Framing::None;
                self.framing = Framing::Chunked;
            }
            Field::Upgrade if matches!(self.framing, Framing::None | Framing::Sized(0)) => {
                self.framing = Framing::Upgrade;
            }
            Field::Expect => self.expects = true,
            Field::Upgrade | Field::Other => {}
        }
    }

    /// Takes one line between chunks, or what there is of it; returns its length.
    fn body_line(&mut self, bytes: &[u8]) -> usize {
        let Some(end) = memchr(b'\n', bytes) else {
            self.line.extend_from_slice(bytes);
            return bytes.len();
        };
        let mut line = std::mem::take(&mut self.line);
        line.extend_from_slice(&bytes[..=end]);
        let (line, bare_lf) = without_end(&line);
        self.bare_lf |= bare_lf;
        match self.place {
            // hyper may see this end of a line otherwise, and the next head elsewhere.
            _ if bare_lf => self.place = Place::Lost,
            Place::ChunkSize => self.chunk(line),
            _ if line.is_empty() => self.place = Place::Head,
            _ => {}
        }
        end + 1
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

    /// A head is whole, `read` its last bytes; returns how much of them hyper is shown.
    fn head_ended(&mut self, read: &mut [u8]) -> usize {
        self.began = None;
        let mut head = std::mem::take(&mut self.head);
        let is_kept = self.ready.len() < MAX_READY;
        // Where hyper may see another head than this, or none, nothing is kept from it.
        let is_sure = is_kept && self.is_trusted();
        let shown = if is_sure { head.show(read, self.shows) } else { read.len() };
        self.expects = false;
        head.shown().for_each(|line| self.field(line));
        self.place = match std::mem::replace(&mut self.framing, Framing::None) {
            Framing::Upgrade => Place::Upgrade { came: false },
            Framing::None | Framing::Sized(0) => Place::Head,
            Framing::Sized(length) => Place::Sized(length),
            Framing::Chunked => Place::ChunkSize,
        };
        if is_kept {
            self.ready.push_back(head);
        }
        // What hyper takes for a body is not to be read as heads.
        if !is_kept || self.unsure {
            self.place = Place::Lost;
        }
        shown
    }
}

/// Moves the first `shown` bytes of a head to its end, so that what comes behind it can stay where it is. Empty lines
/// stand before them then, which hyper passes over (RFC 9112 section 2.2). Returns the length of all.
fn pad(head: &mut [u8], shown: usize) -> usize {
    let gap = head.len() - shown;
    head.copy_within(..shown, gap);
    head[..gap].fill(b'\n');
    head.len()
}

/// In a head whose body has `length` bytes, says `claimed` in place of that, which is less. Says whether that could be
/// done.
fn claim(head: &mut [u8], length: u64, claimed: u64) -> bool {
    let length = length.to_string();
    let mut at = 0;
    while let Some(len) = memchr(b'\n', &head[at..]) {
        let line = &head[at..at + len];
        if let Some(value) = value_of(line, b"content-length:") {
            // In its plainest form, so that it can be put back.
            if value != length.as_bytes() {
                return false;
            }
            let Some(start) = memchr::memmem::find(line, length.as_bytes()) else { return false };
            let claimed = format!("{claimed:0width$}", width = length.len());
            head[at + start..][..length.len()].copy_from_slice(claimed.as_bytes());
            return true;
        }
        at += len + 1;
    }
    false
}

/// So many bytes, all of which hyper is shown.
fn twice(len: usize) -> (usize, usize) {
    (len, len)
}

/// What a line of a head says of the body.
enum Field {
    /// `Content-Length`, where its value is a number.
    Length(Option<u64>),
    /// `Transfer-Encoding`.
    Coding,
    /// `Upgrade`, to a WebSocket.
    Upgrade,
    /// `Expect`.
    Expect,
    Other,
}

impl Field {
    fn of(line: &[u8]) -> Self {
        // Most lines begin otherwise, and one look tells.
        match line.first() {
            Some(b'C' | b'c') => value_of(line, b"content-length:").map_or(Self::Other, |value| {
                Self::Length(std::str::from_utf8(value).ok().and_then(|it| it.parse().ok()))
            }),
            Some(b'U' | b'u') if value_of(line, b"upgrade:").is_some_and(names_websocket) => Self::Upgrade,
            Some(b'E' | b'e') if value_of(line, b"expect:").is_some() => Self::Expect,
            Some(b'T' | b't') if value_of(line, b"transfer-encoding:").is_some() => Self::Coding,
            _ => Self::Other,
        }
    }
}

fn names_websocket(value: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|token| token.trim_ascii().eq_ignore_ascii_case(b"websocket"))
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

/// A line without its end, and whether that end was a bare LF.
fn without_end(line: &[u8]) -> (&[u8], bool) {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    match line.strip_suffix(b"\r") {
        Some(line) => (line, false),
        None => (line, true),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fed(bytes: &[u8]) -> HeadScan {
        let mut scan = HeadScan::new(Shows::Needed, false);
        scan.feed(&mut bytes.to_vec());
        scan
    }

    #[test]
    fn plain_heads_are_trusted_one_by_one() {
        let mut scan =
            fed(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HT");
        assert!(scan.take_head().1);
        assert!(scan.take_head().1);
        assert!(scan.head_began().is_some());
        scan.feed(&mut b"TP/1.1\r\n\r\n".to_vec());
        assert!(scan.take_head().1);
        assert!(scan.is_idle());
        assert!(!scan.take_head().1, "a head that was not seen is not trusted");
    }

    #[test]
    fn empty_lines_before_a_head_are_nothing() {
        let mut scan = fed(b"\r\n\r\n");
        assert!(scan.is_idle());
        scan.feed(&mut b"GET / HTTP/1.1\r\n\r\n".to_vec());
        assert!(scan.take_head().1);
        assert!(!scan.take_head().1);
    }

    #[test]
    fn what_follows_a_head_that_asks_for_a_websocket_is_not_touched() {
        const HEAD: &[u8] = b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        const FRAME: &[u8] = b"\x82\x05 \x80\x81\"<\xff\nConnection: keep-alive\r\n\r\n";
        let mut bytes = [HEAD, FRAME].concat();
        let mut scan = HeadScan::new(Shows::Needed, false);
        let len = bytes.len();
        assert_eq!(scan.feed(&mut bytes), len);
        assert_eq!(bytes, [HEAD, FRAME].concat());
        assert!(scan.take_head().1);
        scan.not_upgraded();
        let len = bytes.len();
        assert_eq!(scan.feed(&mut bytes), len);
        assert!(!scan.take_head().1);

        let mut scan = fed(HEAD);
        assert!(scan.take_head().1);
        scan.not_upgraded();
        scan.feed(&mut b"GET / HTTP/1.1\r\n\r\n".to_vec());
        assert!(scan.take_head().1);
    }

    #[test]
    fn heads_that_wait_are_bounded() {
        let mut scan = fed(&b"GET / HTTP/1.1\r\n\r\n".repeat(10_000));
        assert_eq!((0..10_000).filter(|_| scan.take_head().1).count(), MAX_READY);
    }

    #[test]
    fn a_bare_line_feed_is_not_trusted() {
        assert!(!fed(b"GET / HTTP/1.1\r\nHost: a\n\r\n").take_head().1);
        assert!(!fed(b"GET / HTTP/1.1\r\nHost: a\r\n\n").take_head().1);
        assert!(fed(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n\n\n").take_head().1, "bodies are free");
    }

    #[test]
    fn the_head_after_a_chunked_body_is_found() {
        const HEAD: &[u8] = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut scan = fed(HEAD);
        scan.feed(&mut b"5;ext=1\r\na\r\n\r\n\r\n0A\r\n0123456789\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\n\r\nGET / HT".to_vec());
        assert!(scan.take_head().1);
        assert!(scan.take_head().1);
        assert!(!scan.take_head().1);
        assert!(scan.head_began().is_some());

        let mut scan = fed(HEAD);
        scan.feed(&mut b"zz\r\nGET / HTTP/1.1\r\n\r\n".to_vec());
        assert!(scan.take_head().1);
        assert!(!scan.take_head().1, "what comes after a broken body is no head");
    }

    const LINES: &str = "Host: a\r\nAccept: */*\r\nUser-Agent: SDK/1.0\r\nConnection: keep-alive\r\n";

    /// A request with a body of so many bytes, sized or in chunks.
    fn with_body(len: usize, chunk: Option<usize>) -> Vec<u8> {
        let body: Vec<u8> = (0..len).map(|n| b"\r\nGET / HTTP/1.1"[n % 16]).collect();
        let framing = match chunk {
            None => format!("Content-Length: {len}"),
            Some(_) => "Transfer-Encoding: chunked".to_owned(),
        };
        let mut request = format!("POST /v1 HTTP/1.1\r\n{LINES}{framing}\r\n\r\n").into_bytes();
        match chunk {
            None => request.extend(body),
            Some(size) => {
                for piece in body.chunks(size) {
                    request.extend(format!("{:x}\r\n", piece.len()).bytes().chain(piece.iter().copied()));
                    request.extend(b"\r\n");
                }
                request.extend(b"0\r\n\r\n");
            }
        }
        request
    }

    #[test]
    fn a_large_body_is_not_moved() {
        let mut bytes = with_body(MUCH + 1, None);
        let all = bytes.clone();
        assert_eq!(HeadScan::new(Shows::Needed, false).feed(&mut bytes), all.len());
        let body = all.len() - (MUCH + 1);
        assert_eq!(bytes[body..], all[body..]);
        let head = std::str::from_utf8(&bytes[..body]).unwrap();
        let shown = head.trim_start_matches('\n');
        assert_eq!(shown, format!("POST /v1 HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", MUCH + 1));
        assert_ne!(shown, head);

        // A head of which hyper has a part already goes on where that ended.
        let (mut begins, mut ends) = (all[..20].to_vec(), all[20..].to_vec());
        let mut scan = HeadScan::new(Shows::Needed, false);
        assert_eq!(scan.feed(&mut begins), 20);
        let shown = scan.feed(&mut ends);
        assert!(ends[..shown].starts_with(b"ost: a\r\n"), "{}", ends[..60].escape_ascii());
        assert!(ends[..shown].ends_with(&all[body..]));
    }

    /// What hyper is shown of these bytes by one that cuts.
    fn cut(bytes: &[u8]) -> (HeadScan, String) {
        let (mut scan, mut bytes) = (HeadScan::new(Shows::Needed, true), bytes.to_vec());
        let len = scan.feed(&mut bytes);
        let shown = bytes[..len].trim_ascii_start();
        (scan, String::from_utf8_lossy(shown).into_owned())
    }

    #[test]
    fn of_a_large_body_hyper_is_shown_what_came_with_its_head() {
        const BODY: usize = 1_000_000;
        let all = with_body(BODY, None);
        let head = all.len() - BODY;
        for came in [0, 1, 40_000, BODY - usize::try_from(LARGE).unwrap()] {
            let (mut scan, shown) = cut(&all[..head + came]);
            let (shown_head, body) = shown.split_once("\r\n\r\n").unwrap();
            assert!(shown_head.ends_with(&format!("Content-Length: {came:07}")), "{shown_head}");
            assert_eq!(body.as_bytes(), &all[head..head + came]);
            assert_eq!(scan.beyond(), (BODY - came) as u64);
            let (raw, is_trusted) = scan.take_head();
            assert_eq!(raw.unwrap().bytes(), &all[..head], "as it came");
            assert!(is_trusted && !scan.is_idle() && !scan.may_cut());
            scan.came_beyond(BODY - came - 1);
            assert_eq!(scan.beyond(), 1);
            scan.came_beyond(1);
            assert!(scan.beyond() == 0 && scan.is_idle() && scan.may_cut());
            scan.feed(&mut b"GET / HTTP/1.1\r\n\r\n".to_vec());
            assert!(scan.take_head().1);
        }
    }

    #[test]
    fn hyper_reads_all_of_a_body_where_it_is_not_large_or_anything_is_unusual() {
        let large = with_body(1_000_000, None);
        let large = String::from_utf8_lossy(&large);
        let head = large.split_inclusive("\r\n\r\n").next().unwrap();
        let is_whole = |sent: &str| {
            let (scan, shown) = cut(sent.as_bytes());
            assert_eq!(scan.beyond(), 0, "{sent}");
            let length = sent.split("ontent-Length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            assert!(length.is_none_or(|length| shown.contains(&format!(": {length}\r\n"))), "{shown}");
        };
        assert_eq!(cut(head.as_bytes()).0.beyond(), 1_000_000);
        is_whole(&large[..large.len() - 10_000]);
        is_whole(&format!("GET / HTTP/1.1\r\nHost: a\r\n\r\n{head}"));
        is_whole(&head.replace("Host: a", "Host: a\r\nExpect: 100-continue"));
        is_whole(&head.replace("Host: a\r\n", "Host: a\n"));
        is_whole(&head.replace("1000000", "01000000"));
        is_whole(&head.replace("1000000", &u64::MAX.to_string()));
        is_whole(&head.replace("Host: a", "Host: a\r\nTransfer-Encoding: chunked"));
        is_whole(&head.replace("Host: a", "Host: a\r\nContent-Length: 1000000"));
        // A head of which hyper has a part already says what it says.
        let mut scan = HeadScan::new(Shows::Needed, true);
        scan.feed(&mut head.as_bytes()[..30].to_vec());
        scan.feed(&mut head.as_bytes()[30..].to_vec());
        assert!(scan.take_head().1 && scan.beyond() == 0);
    }

    proptest! {
        /// What is shown of requests and what is passed over are all of them, however it comes.
        #[test]
        fn what_hyper_is_not_shown_is_the_end_of_a_body(
            bodies in proptest::collection::vec(prop_oneof![0..20usize, 0..5 * MUCH], 1..6),
            reads in proptest::collection::vec(prop_oneof![1..200usize, 1..4 * MUCH], 0..20),
        ) {
            let sent: Vec<_> = bodies.iter().map(|len| with_body(*len, None)).collect();
            let all = sent.concat();
            let (mut scan, mut shown, mut beyond) = (HeadScan::new(Shows::Needed, true), Vec::new(), Vec::new());
            let mut rest = &all[..];
            let mut reads = reads.into_iter();
            while !rest.is_empty() {
                let read = reads.next().unwrap_or(rest.len()).min(rest.len());
                let left = usize::try_from(scan.beyond()).unwrap();
                let read = if left > 0 { read.min(left) } else { read };
                let (now, later) = rest.split_at(read);
                rest = later;
                if left > 0 {
                    beyond.extend_from_slice(now);
                    scan.came_beyond(read);
                } else {
                    let mut now = now.to_vec();
                    let len = scan.feed(&mut now);
                    shown.extend_from_slice(&now[..len]);
                }
                // hyper takes heads as they come.
                while scan.ready.len() > usize::from(scan.beyond() > 0) {
                    prop_assert!(scan.take_head().1);
                }
                if scan.beyond() > 0 && !scan.ready.is_empty() {
                    prop_assert!(scan.take_head().1);
                }
            }
            prop_assert!(scan.is_idle());
            let (mut shown, mut beyond) = (&shown[..], &beyond[..]);
            for sent in &sent {
                let mut fields = [httparse::EMPTY_HEADER; 10];
                let mut head = httparse::Request::new(&mut fields);
                let Ok(httparse::Status::Complete(len)) = head.parse(shown) else {
                    return Err(TestCaseError::fail(shown[..shown.len().min(200)].escape_ascii().to_string()));
                };
                let claimed = head.headers.iter().find(|field| field.name == "Content-Length").unwrap().value;
                let claimed: usize = std::str::from_utf8(claimed).unwrap().parse().unwrap();
                let body = &sent[memchr::memmem::find(sent, b"\r\n\r\n").unwrap() + 4..];
                let (told, passed) = body.split_at(claimed);
                prop_assert!(shown[len..].starts_with(told) && beyond.starts_with(passed));
                prop_assert!(passed.is_empty() || passed.len() as u64 >= LARGE);
                (shown, beyond) = (&shown[len + told.len()..], &beyond[passed.len()..]);
            }
            prop_assert!(shown.is_empty() && beyond.is_empty());
        }

        /// Whatever comes at once, what is shown are the same requests.
        #[test]
        fn bodies_stay_behind_their_heads(
            requests in proptest::collection::vec(
                (prop_oneof![0..20usize, 0..3 * MUCH], prop_oneof![Just(None), (1..2 * MUCH).prop_map(Some)]),
                1..5,
            ),
            cuts in proptest::collection::vec(prop_oneof![1..200usize, 1..4 * MUCH], 0..8),
        ) {
            let sent: Vec<_> = requests.iter().map(|(len, chunk)| with_body(*len, *chunk)).collect();
            let (mut scan, mut shown, all) = (HeadScan::new(Shows::Needed, false), Vec::new(), sent.concat());
            let mut rest = &all[..];
            for cut in cuts.into_iter().chain([all.len()]) {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                let mut now = now.to_vec();
                let len = scan.feed(&mut now);
                shown.extend_from_slice(&now[..len]);
                rest = later;
            }
            let mut rest = &shown[..];
            for sent in &sent {
                prop_assert!(scan.take_head().1);
                let mut fields = [httparse::EMPTY_HEADER; 10];
                let mut head = httparse::Request::new(&mut fields);
                let Ok(httparse::Status::Complete(len)) = head.parse(rest) else {
                    return Err(TestCaseError::fail(rest[..rest.len().min(200)].escape_ascii().to_string()));
                };
                prop_assert_eq!(head.path, Some("/v1"));
                let body = &sent[memchr::memmem::find(sent, b"\r\n\r\n").unwrap() + 4..];
                prop_assert!(rest[len..].starts_with(body));
                rest = &rest[len + body.len()..];
            }
            prop_assert!(rest.is_empty());
            prop_assert!(scan.is_idle());
        }

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
            let mut scan = HeadScan::new(Shows::Needed, false);
            let mut rest = &bytes[..];
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                scan.feed(&mut now.to_vec());
                rest = later;
            }
            scan.feed(&mut rest.to_vec());
            prop_assert_eq!(scan.take_head().1, !bare);
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut scan = fed(&bytes);
            scan.take_head();
            scan.feed(&mut bytes.clone());
        }
    }
}
