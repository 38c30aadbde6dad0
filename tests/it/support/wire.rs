//! One end of a connection, as bytes: every wait has a deadline, every failure says what was read so far.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::head::{Head, latin1};
use super::tls::{self, TlsStream};

/// How long anything may take on a busy machine before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How the other side ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// An orderly end (FIN, after the `close_notify` where there is TLS).
    Fin,
    /// A reset, or TLS that just stops.
    Reset,
}

/// A connection in the test's hands.
pub(crate) struct Wire {
    who: &'static str,
    stream: Stream,
    unread: Vec<u8>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

impl Wire {
    /// The test as a client of whoever listens at `address`.
    pub(crate) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .unwrap_or_else(|error| panic!("the client cannot connect to {address}: {error}"));
        Self::new("the client", stream)
    }

    /// The test as the owner of a connected socket.
    pub(crate) fn new(who: &'static str, stream: TcpStream) -> Self {
        prepare(&stream);
        Self { who, stream: Stream::Plain(stream), unread: Vec::new() }
    }

    /// The test as the owner of a TLS connection.
    fn over_tls(who: &'static str, stream: TlsStream) -> Self {
        Self { who, stream: Stream::Tls(Box::new(stream)), unread: Vec::new() }
    }

    /// A second hold on the same connection, to write while this one reads.
    pub(crate) fn writer(&self) -> Self {
        Self::new(self.who, self.socket().try_clone().unwrap())
    }

    /// Writes exactly these bytes.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        if let Err(error) = self.try_send(bytes) {
            panic!("{} cannot send {:?}…: {error}", self.who, latin1(&bytes[..bytes.len().min(80)]));
        }
    }

    /// Writes these bytes where the other side may be gone already.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        let writer: &mut dyn Write = match &mut self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => stream.as_mut(),
        };
        writer.write_all(bytes.as_ref())?;
        writer.flush()
    }

    /// Writes `data` as one chunk of a chunked body.
    pub(crate) fn send_chunk(&mut self, data: impl AsRef<[u8]>) {
        let data = data.as_ref();
        let mut framed = format!("{:x}\r\n", data.len()).into_bytes();
        framed.extend_from_slice(data);
        framed.extend_from_slice(b"\r\n");
        self.send(framed);
    }

    /// Reads a head, up to and with its empty line.
    pub(crate) fn head(&mut self) -> Head {
        Head::new(self.through(b"\r\n\r\n", "a head"))
    }

    /// Reads exactly `count` bytes.
    pub(crate) fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            self.must_read(&format!("{count} bytes"));
        }
        self.unread.drain(..count).collect()
    }

    /// Reads as many bytes as `expected` has, which must be those.
    pub(crate) fn expect(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        assert_eq!(latin1(self.exactly(expected.len())), latin1(expected), "what {} read", self.who);
    }

    /// Reads one chunk of a chunked body; the last one is empty, and what follows it is left unread.
    pub(crate) fn chunk(&mut self) -> Vec<u8> {
        let line = latin1(self.through(b"\r\n", "a chunk's size"));
        let size = usize::from_str_radix(line.trim_end(), 16)
            .unwrap_or_else(|_| panic!("{} read {line:?} where a chunk's size must stand", self.who));
        let data = self.exactly(size);
        if size > 0 {
            self.expect("\r\n");
        }
        data
    }

    /// Reads chunks, cut wherever they are, until they give `data`.
    pub(crate) fn expect_in_chunks(&mut self, data: impl AsRef<[u8]>) {
        let data = data.as_ref();
        let mut got = Vec::new();
        while got.len() < data.len() {
            let chunk = self.chunk();
            assert!(!chunk.is_empty(), "the body {} reads ended after {:?}", self.who, latin1(&got));
            got.extend(chunk);
        }
        assert_eq!(latin1(&got), latin1(data), "what {} read in chunks", self.who);
    }

    /// Reads a whole chunked body: its data, and its trailer section as text.
    pub(crate) fn chunked(&mut self) -> (Vec<u8>, String) {
        let mut data = Vec::new();
        loop {
            let chunk = self.chunk();
            if chunk.is_empty() {
                break;
            }
            data.extend(chunk);
        }
        let mut trailers = String::new();
        loop {
            let line = latin1(self.through(b"\r\n", "a trailer or the empty line"));
            if line == "\r\n" {
                return (data, trailers);
            }
            trailers.push_str(&line);
        }
    }

    /// Reads the body that `head` announces, however it is framed, to its clean end.
    pub(crate) fn body(&mut self, head: &Head) -> Vec<u8> {
        if head.is_chunked() {
            return self.chunked().0;
        }
        if let Some(length) = head.value("content-length") {
            return self.exactly(length.parse().unwrap());
        }
        if head.is_request() {
            return Vec::new();
        }
        let (body, ending) = self.rest();
        assert_eq!(ending, Ending::Fin, "{} saw a body broken after {:?}", self.who, latin1(&body));
        body
    }

    /// Reads all that comes until the connection ends.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, Ending) {
        loop {
            if let Some(ending) = self.fill("the end of the connection") {
                return (std::mem::take(&mut self.unread), ending);
            }
        }
    }

    /// Reads the end of the connection; nothing may come before it.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) -> Ending {
        let (rest, ending) = self.rest();
        assert_eq!(latin1(&rest), "", "{} read this where the connection must end", self.who);
        ending
    }

    /// Reads once, at most `buffer.len()` bytes; 0 is the orderly end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.unread.is_empty() {
            return self.read_stream(buffer);
        }
        let count = buffer.len().min(self.unread.len());
        buffer[..count].copy_from_slice(&self.unread[..count]);
        self.unread.drain(..count);
        Ok(count)
    }

    /// Says that not one byte has come, and no end, as of now.
    #[track_caller]
    pub(crate) fn expect_silence(&mut self) {
        assert!(
            !self.heard_anything(),
            "{} must not hear anything yet, but has {:?}",
            self.who,
            latin1(&self.unread)
        );
    }

    /// Whether a byte or the end has come, as of now.
    pub(crate) fn heard_anything(&mut self) -> bool {
        let socket = self.socket();
        socket.set_nonblocking(true).unwrap();
        let peeked = socket.peek(&mut [0; 1]);
        socket.set_nonblocking(false).unwrap();
        !self.unread.is_empty() || !matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// Ends the test's own direction and goes on reading.
    pub(crate) fn half_close(&mut self) {
        if let Stream::Tls(stream) = &mut self.stream {
            stream.conn.send_close_notify();
            stream.flush().unwrap();
        }
        self.socket().shutdown(Shutdown::Write).unwrap();
    }

    /// Ends the test's own direction of a TLS connection without saying so in TLS.
    pub(crate) fn cut(&mut self) {
        self.socket().shutdown(Shutdown::Write).unwrap();
    }

    /// Closes in order.
    pub(crate) fn close(mut self) {
        if let Stream::Tls(stream) = &mut self.stream {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
        // What has come is read first: closing over unread bytes would be a reset.
        if self.socket().shutdown(Shutdown::Write).is_ok() {
            self.socket().set_nonblocking(true).unwrap();
            while matches!(self.read_stream(&mut [0; 65536]), Ok(1..)) {}
        }
    }

    /// Closes by a reset.
    pub(crate) fn reset(self) {
        SockRef::from(self.socket()).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Closes by a reset, and waits until the other side's kernel knows: only from then on can its program.
    pub(crate) fn reset_and_arrive(self) {
        let hex = |address: SocketAddr| match address {
            SocketAddr::V4(address) => {
                let ip = u32::from_ne_bytes(address.ip().octets());
                format!("{ip:08X}:{:04X}", address.port())
            }
            SocketAddr::V6(_) => panic!("only IPv4 is looked up"),
        };
        let (ours, theirs) = (self.socket().local_addr().unwrap(), self.socket().peer_addr().unwrap());
        // Their socket, as they see it: a reset one is no longer listed.
        let entry = format!(" {} {} ", hex(theirs), hex(ours));
        self.reset();
        let deadline = Instant::now() + PATIENCE;
        while std::fs::read_to_string("/proc/net/tcp").unwrap().contains(&entry) {
            assert!(Instant::now() < deadline, "the reset did not arrive within {PATIENCE:?}");
            std::thread::yield_now();
        }
    }

    /// Goes on in TLS, as the server.
    pub(crate) fn into_tls(self, config: &Arc<rustls::ServerConfig>) -> std::io::Result<Self> {
        assert!(self.unread.is_empty(), "TLS began before it was asked for");
        let Stream::Plain(stream) = self.stream else { panic!("it is TLS already") };
        tls::handshake(stream, config).map(|stream| Self::over_tls(self.who, stream))
    }

    /// The name that the other side asked for in TLS.
    pub(crate) fn server_name(&self) -> Option<&str> {
        match &self.stream {
            Stream::Plain(_) => None,
            Stream::Tls(stream) => stream.conn.server_name(),
        }
    }

    /// The socket below.
    pub(crate) fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => &stream.sock,
        }
    }

    fn through(&mut self, delimiter: &[u8], what: &str) -> Vec<u8> {
        let mut searched = 0;
        loop {
            let found = self.unread[searched..].windows(delimiter.len()).position(|part| part == delimiter);
            if let Some(at) = found {
                return self.unread.drain(..searched + at + delimiter.len()).collect();
            }
            searched = self.unread.len().saturating_sub(delimiter.len() - 1);
            self.must_read(what);
        }
    }

    fn must_read(&mut self, what: &str) {
        if let Some(ending) = self.fill(what) {
            panic!(
                "{} waited for {what}, but the connection ended ({ending:?}) after {:?}",
                self.who,
                latin1(&self.unread)
            );
        }
    }

    /// Reads some bytes, or says how the connection ended.
    fn fill(&mut self, what: &str) -> Option<Ending> {
        let mut buffer = [0; 16384];
        match self.read_stream(&mut buffer) {
            Ok(0) => Some(Ending::Fin),
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                None
            }
            Err(error) if is_reset(&error) => Some(Ending::Reset),
            Err(error) if error.kind() == ErrorKind::Interrupted => self.fill(what),
            Err(error) => panic!(
                "{} waited {PATIENCE:?} for {what} ({error}); read so far: {:?}",
                self.who,
                latin1(&self.unread[..self.unread.len().min(2000)])
            ),
        }
    }

    fn read_stream(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

/// Deadlines, and no waiting for full packets.
fn prepare(stream: &TcpStream) {
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
}

pub(crate) fn is_reset(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof
    )
}
