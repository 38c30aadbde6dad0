//! A client's socket, as hyper reads and writes it.
//!
//! hyper owns its end for as long as the connection lives; the [`Handle`] beside it lets the exchange and the
//! connection's task look at the same socket: has the client left, is something still to be written, should the
//! connection end with a reset.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::{BufMut as _, BytesMut};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tokio_util::io::poll_read_buf;

use super::head_scan::HeadScan;
use crate::metrics::Metrics;
use crate::pages;
use crate::pipe::Pipe;
use crate::raw_head::{HeadWriter, RawHead, Shows};

/// How long a client may go on sending what nobody will read, so that it gets to read our answer instead of a
/// reset (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(1);

/// Where hyper need not see all of a body, so much is read with its head at most, bytes. hyper would make room for six
/// times as much, and read it.
const FIRST: usize = 64 * 1024;

/// hyper's end.
#[derive(Debug)]
pub(super) struct ClientStream {
    handle: Handle,
    linger: Option<Pin<Box<Sleep>>>,
}

/// Everybody else's end.
#[derive(Clone, Debug)]
pub(super) struct Handle(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    tcp: TcpStream,
    scan: HeadScan,
    writer: HeadWriter,
    /// Waits until hyper has written all that it holds.
    drained: Option<Waker>,
    open_exchanges: u32,
    write_blocked: bool,
    read_ended: bool,
    reset: bool,
    upgraded: bool,
    /// When a part of a response was read that has not been offered to the client yet.
    in_hand: Option<Instant>,
    /// Whether hyper was told last that there is nothing to read: it hears by itself of what comes next, be it the end.
    listens: bool,
    /// Whether an exchange ended since somebody last [looked](Handle::looked).
    ended: bool,
    read_buffer: ReadBuffer,
    /// Who reads the body that hyper does not.
    beyond: Beyond,
    /// What lasts as long as the socket.
    open: OpenConnection,
}

/// What becomes of a body that hyper takes for whole before it is: see [`HeadScan::beyond`].
#[derive(Debug, Default)]
struct Beyond {
    /// hyper, which reads nothing meanwhile.
    hyper: Option<Waker>,
    /// Who reads it.
    reader: Option<Waker>,
    /// Whether anybody does: not before its exchange begins, which may never be.
    is_read: bool,
    /// Nobody reads it, and so nothing that comes behind it.
    is_left: bool,
    /// hyper is gone, and with it the connection.
    is_over: bool,
}

/// What the room is for that hyper reads the client into. It is as large as the request made it, and holds nothing
/// while the answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadBuffer {
    /// Bytes of the request, or of the next one.
    InUse,
    /// Nothing: an answer has begun to come.
    Unneeded,
    /// Nothing, for a while: its pages are to be given back.
    Lying,
    /// Nothing, and it has no pages.
    GivenBack,
}

/// Counts a client connection for as long as it is open, tunnels included, and holds its place among
/// `server.max_connections`.
#[derive(Debug)]
pub(super) struct OpenConnection {
    metrics: Arc<Metrics>,
    _place: OwnedSemaphorePermit,
}

impl OpenConnection {
    pub(super) fn new(metrics: Arc<Metrics>, place: OwnedSemaphorePermit) -> Self {
        metrics.connection_opened();
        Self { metrics, _place: place }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.metrics.connection_closed();
    }
}

impl ClientStream {
    pub(super) fn new(handle: Handle) -> Self {
        handle.lock().beyond.is_over = false;
        Self { handle, linger: None }
    }
}

impl Handle {
    /// A client's socket; `shows` is what hyper is shown of its heads, and where it `cuts`, of large bodies only what
    /// came with those.
    pub(super) fn new(tcp: TcpStream, open: OpenConnection, shows: Shows, cuts: bool) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            tcp,
            scan: HeadScan::new(shows, cuts),
            writer: HeadWriter::default(),
            drained: None,
            open_exchanges: 0,
            write_blocked: false,
            read_ended: false,
            reset: false,
            upgraded: false,
            in_hand: None,
            listens: false,
            ended: false,
            read_buffer: ReadBuffer::InUse,
            beyond: Beyond::default(),
            open,
        })))
    }

    /// Whether nothing is under way, and hyper holds nothing of the client's, and nothing for it.
    pub(super) fn is_at_rest(&self) -> bool {
        let inner = self.lock();
        inner.open_exchanges == 0
            && inner.scan.is_idle()
            && !(inner.write_blocked || inner.read_ended || inner.upgraded)
    }

    /// Waits until the client says something, or leaves.
    pub(super) fn poll_stirs(&self, cx: &mut Context<'_>) -> Poll<()> {
        // An error is told by whoever reads next.
        self.lock().tcp.poll_read_ready(cx).map(|_| ())
    }

    /// A head was read and its exchange begins. Gives the head as it came, whether the connection may be used for
    /// another one after it, and what of its body hyper does not read.
    pub(super) fn open_exchange(&self) -> (OpenExchange, Option<RawHead>, bool, Option<BeyondHyper>) {
        let mut inner = self.lock();
        inner.open_exchanges += 1;
        let (raw, trusted) = inner.scan.take_head();
        let left = inner.scan.beyond();
        inner.beyond.is_read = left > 0;
        let beyond = (left > 0).then(|| BeyondHyper { handle: self.clone(), left });
        (OpenExchange(self.clone()), raw, trusted, beyond)
    }

    /// Whether all there is, is a part of a head.
    pub(super) fn has_only_part_of_a_head(&self) -> bool {
        let inner = self.lock();
        inner.open_exchanges == 0 && !inner.write_blocked && inner.scan.head_began().is_some()
    }

    /// From here on the bytes are no longer HTTP.
    pub(super) fn upgraded(&self) {
        self.lock().upgraded = true;
    }

    /// Makes the end of the connection a reset, whoever closes it and be it the kernel for a process that was killed:
    /// where it is the end of a body, a plain close would make a whole body of a broken one.
    pub(super) fn reset_when_closed(&self, reset: bool) {
        let mut inner = self.lock();
        inner.reset = reset;
        // Nothing can be done where this fails: the socket is gone.
        let _ = SockRef::from(&inner.tcp).set_linger(reset.then_some(Duration::ZERO));
    }

    /// A response is written next, with the looks of `raw` where there are any, and HTTP goes on behind it unless it
    /// `upgrades`. To be called when nothing else waits to be written: see [`Handle::poll_drained`]. Says whether the
    /// connection may be used for another exchange, now that more of the request has come.
    pub(super) fn responds(&self, raw: Option<RawHead>, upgrades: bool) -> bool {
        let mut inner = self.lock();
        if let Some(raw) = raw {
            inner.writer.expect(Arc::new(raw));
        }
        if !upgrades {
            inner.scan.not_upgraded();
        }
        inner.scan.is_trusted()
    }

    /// Waits until hyper holds nothing of an earlier response: it takes the next pipelined request before the client
    /// has taken all of the answer to the one before.
    pub(super) fn poll_drained(&self, cx: &Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        if !inner.write_blocked {
            return Poll::Ready(());
        }
        inner.drained = Some(cx.waker().clone());
        Poll::Pending
    }

    /// A part of a response was just read: how long until it is offered to the client?
    pub(super) fn took_in_hand(&self) {
        let mut inner = self.lock();
        inner.in_hand.get_or_insert_with(Instant::now);
        if inner.read_buffer == ReadBuffer::InUse {
            inner.read_buffer = ReadBuffer::Unneeded;
        }
    }

    /// Somebody looks at this connection, after a while. Says whether an exchange ended meanwhile.
    pub(super) fn looked(&self) -> bool {
        std::mem::take(&mut self.lock().ended)
    }

    /// An exchange has been under way for a while: what memory it does not need is given back.
    pub(super) fn grows_old(&self) {
        let mut inner = self.lock();
        if inner.read_buffer == ReadBuffer::Unneeded {
            inner.read_buffer = ReadBuffer::Lying;
        }
    }

    /// Whether the last write had to wait, so that hyper still holds bytes which belong to the client.
    pub(super) fn is_write_blocked(&self) -> bool {
        self.lock().write_blocked
    }

    /// Whether somebody should look at this connection in a while: see [`Handle::has_client_left`],
    /// [`Handle::head_began`], [`Handle::grows_old`] and [`Handle::is_at_rest`]. An answer that lasts is not looked at
    /// again and again: behind a whole request hyper hears of it by itself when the client leaves.
    pub(super) fn needs_watching(&self) -> bool {
        let inner = self.lock();
        let hears = inner.listens && inner.scan.is_idle();
        !inner.upgraded && (inner.open_exchanges == 0 || !hears || inner.read_buffer == ReadBuffer::Unneeded)
    }

    /// Whether the client closed its side in the middle of an exchange. hyper sees that by itself only while it
    /// reads; with a full body channel or a pipelined request in its buffer it does not read.
    pub(super) fn has_client_left(&self) -> bool {
        let inner = self.lock();
        if inner.upgraded || inner.open_exchanges == 0 {
            return false;
        }
        let mut context = Context::from_waker(Waker::noop());
        // One look, no waiting.
        let ready = pin!(inner.tcp.ready(Interest::READABLE)).poll(&mut context);
        matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed())
    }

    /// When the head began that is still being read, and nothing besides.
    pub(super) fn head_began(&self) -> Option<Instant> {
        let inner = self.lock();
        inner.scan.head_began().filter(|_| inner.open_exchanges == 0)
    }

    /// Writes a whole answer of our own past hyper, which must have nothing of its own to write: between exchanges.
    pub(super) fn last_words(&self, answer: &[u8]) {
        // Whoever does not take these few bytes at once does not get them: the connection ends anyhow.
        let _ = self.lock().tcp.try_write(answer);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says for as long as it lives that an exchange is under way.
#[derive(Debug)]
pub(super) struct OpenExchange(Handle);

impl std::ops::Deref for OpenExchange {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.0
    }
}

impl Drop for OpenExchange {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.open_exchanges = inner.open_exchanges.saturating_sub(1);
        inner.beyond.wake_hyper();
        inner.scan.restart_clock();
        inner.ended = true;
        inner.read_buffer = ReadBuffer::InUse;
    }
}

/// What of a request's body hyper does not read. Dropped before its end, it ends the connection behind the answer.
#[derive(Debug)]
pub(super) struct BeyondHyper {
    handle: Handle,
    /// Its own: behind its end the connection may have another such body, while this one is still on its way.
    left: u64,
}

impl BeyondHyper {
    /// How many bytes are still to come.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Reads what has come into `pipe`, which must be empty. Ready with no bytes at the end of the connection.
    ///
    /// # Errors
    /// As the socket's, and see [`crate::pipe::is_refused`].
    pub(super) fn poll_pipe(&mut self, pipe: &mut Pipe, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.poll(cx, |tcp, left, cx| {
            loop {
                ready!(tcp.poll_read_ready(cx))?;
                match tcp.try_io(Interest::READABLE, || pipe.fill(&*tcp, left)) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    filled => return Poll::Ready(filled),
                }
            }
        })
    }

    /// Reads what has come, and there is room for in `buf`. Ready with no bytes at the end of the connection.
    ///
    /// # Errors
    /// As the socket's.
    pub(super) fn poll_read(&mut self, buf: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.poll(cx, |tcp, left, cx| poll_read_buf(Pin::new(tcp), cx, &mut buf.limit(left)))
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        read: impl FnOnce(&mut TcpStream, usize, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let inner = &mut *self.handle.lock();
        if inner.beyond.is_over || self.left == 0 {
            return Poll::Ready(Ok(0));
        }
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let polled = read(&mut inner.tcp, left, cx);
        match polled {
            Poll::Pending => inner.beyond.reader = Some(cx.waker().clone()),
            Poll::Ready(Ok(len)) if len > 0 => {
                self.left -= left.min(len) as u64;
                inner.scan.came_beyond(len);
                if self.left == 0 {
                    inner.beyond.is_read = false;
                    inner.beyond.wake_hyper();
                }
            }
            Poll::Ready(_) => {}
        }
        polled
    }
}

impl Drop for BeyondHyper {
    fn drop(&mut self) {
        if self.left > 0 {
            let mut inner = self.handle.lock();
            inner.beyond.reader = None;
            (inner.beyond.is_read, inner.beyond.is_left) = (false, true);
            inner.beyond.wake_hyper();
        }
    }
}

impl Beyond {
    /// Where it waits for nothing but the end of its answer.
    fn wake_hyper_at_the_end(&mut self) {
        if self.is_left {
            self.wake_hyper();
        }
    }

    fn wake_hyper(&mut self) {
        if let Some(hyper) = self.hyper.take() {
            hyper.wake();
        }
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        let mut inner = self.handle.lock();
        inner.beyond.is_over = true;
        if let Some(reader) = inner.beyond.reader.take() {
            reader.wake();
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.handle.lock();
        if inner.scan.beyond() > 0 {
            return inner.poll_beyond(cx);
        }
        let polled = inner.poll_read(cx, buf);
        inner.listens = polled.is_pending();
        let is_full_and_hides = ready!(polled)?;
        if is_full_and_hides {
            // hyper reads more at once where its room was filled. What fails here fails again.
            if inner.scan.beyond() == 0 {
                let _ = inner.poll_read(cx, buf);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Inner {
    /// hyper would read what it is not to: it waits, or finds the end where nobody will read that.
    fn poll_beyond(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        // Not in the middle of an answer, which it would break off.
        if self.beyond.is_left && self.open_exchanges == 0 && !self.write_blocked {
            return Poll::Ready(Ok(()));
        }
        self.beyond.hyper = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Says whether all room was filled, and then not all of it shown.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let before = buf.filled().len();
        let polled = if self.scan.may_cut() && buf.remaining() > FIRST {
            poll_read_buf(Pin::new(&mut self.tcp), cx, &mut (&mut *buf).limit(FIRST)).map_ok(|_| ())
        } else {
            Pin::new(&mut self.tcp).poll_read(cx, buf)
        };
        if polled.is_pending() && self.read_buffer == ReadBuffer::Lying {
            self.read_buffer = ReadBuffer::GivenBack;
            pages::give_back(buf);
        }
        let result = ready!(polled);
        let is_full = buf.remaining() == 0;
        let read = &mut buf.filled_mut()[before..];
        let len = read.len();
        if result.is_err() || read.is_empty() {
            self.read_ended = true;
        } else if !self.upgraded {
            // Never none of it: the empty line behind a head is shown.
            let shown = self.scan.feed(read);
            buf.set_filled(before + shown);
            return Poll::Ready(Ok(is_full && shown < len));
        }
        Poll::Ready(result.map(|()| false))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let inner = &mut *self.handle.lock();
        if let Some(since) = inner.in_hand.take() {
            inner.open.metrics.added_chunk(since.elapsed());
        }
        let result = inner.writer.poll_write(Pin::new(&mut inner.tcp), cx, bufs);
        inner.write_blocked = result.is_pending();
        if !inner.write_blocked
            && let Some(waker) = inner.drained.take()
        {
            waker.wake();
        }
        if !inner.write_blocked {
            // See `Inner::poll_beyond`.
            inner.beyond.wake_hyper_at_the_end();
        }
        result
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket holds nothing back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let mut inner = this.handle.lock();
        if inner.reset {
            return Poll::Ready(Ok(()));
        }
        if inner.beyond.is_read {
            // A request that was answered early: hyper takes it for whole, and who reads the rest is not done.
            inner.beyond.hyper = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if this.linger.is_none() {
            ready!(Pin::new(&mut inner.tcp).poll_shutdown(cx))?;
            let is_over =
                |inner: &Inner| inner.scan.is_idle() && !matches!(inner.tcp.try_read(&mut [0]), Ok(1));
            if inner.upgraded || inner.read_ended || is_over(&inner) {
                return Poll::Ready(Ok(()));
            }
        }
        let linger = this.linger.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        if linger.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut unread = [0; 16 * 1024];
        loop {
            let mut buf = ReadBuf::new(&mut unread);
            match ready!(Pin::new(&mut inner.tcp).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {}
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}
