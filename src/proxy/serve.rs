//! Accepting connections, and seeing each to its end.

use std::io;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::Sleep;

use super::client_stream::{ClientStream, Handle, OpenConnection};
use super::exchange::{Client, Gateway};
use crate::bell::Bell;
use crate::metrics::Refusal;
use crate::socket;

/// How often a connection is looked at that [needs it](Handle::needs_watching). What a look finds is at most this old.
const BEAT: Duration = Duration::from_millis(500);

/// How long accepting pauses when the process has no descriptor left.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(100);

/// What the connections of one forwarding thread share.
#[derive(Clone, Debug)]
pub(crate) struct Serve {
    /// Answers their requests.
    pub gateway: Arc<Gateway>,
    /// Turns true when no further request is to be taken.
    pub stop: watch::Receiver<bool>,
    /// `server.max_connections`, shared by all threads.
    pub places: Arc<Semaphore>,
    /// `server.header_timeout`.
    pub header_timeout: Duration,
}

impl Serve {
    /// Accepts on `listener` until told to stop. Connections live on the gateway's tasks.
    pub(crate) async fn accept(self, listener: TcpListener) {
        let mut stop = self.stop.clone();
        loop {
            let accepted = tokio::select! {
                accepted = self.next(&listener) => accepted,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            match accepted {
                Ok((tcp, open)) => {
                    let serve = self.clone();
                    self.gateway.tasks.spawn(async move { serve.connection(tcp, open).await });
                }
                Err(error) if is_out_of_descriptors(&error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
                }
                // Of that one client, who is gone again (accept(2)).
                Err(error) => tracing::debug!(%error, "a connection was not accepted"),
            }
        }
    }

    async fn next(&self, listener: &TcpListener) -> io::Result<(TcpStream, OpenConnection)> {
        // In this order: a listener that held a place while nobody comes would keep it from the others.
        let (tcp, _) = listener.accept().await?;
        let place = self.places.clone().acquire_owned().await.map_err(io::Error::other)?;
        Ok((tcp, OpenConnection::new(self.gateway.metrics.clone(), place)))
    }

    async fn connection(mut self, tcp: TcpStream, open: OpenConnection) {
        let Ok(local) = socket::prepare(&tcp).and_then(|()| tcp.local_addr()) else { return };
        let Ok(peer) = tcp.peer_addr() else { return };
        let client =
            Client { stream: Handle::new(tcp, open, self.gateway.shows, self.gateway.cuts), local, peer };
        loop {
            tokio::select! {
                biased;
                () = std::future::poll_fn(|cx| client.stream.poll_stirs(cx)) => {}
                _ = self.stop.wait_for(|stop| *stop) => return,
            }
            // Boxed: while the connection rests, nothing is held but the socket.
            if Box::pin(self.awake(&client)).await.is_break() {
                return;
            }
        }
    }

    /// Serves a connection until it is over, or has nothing to do for a while.
    async fn awake(&self, client: &Client) -> ControlFlow<()> {
        let handle = &client.stream;
        // Boxed: hyper keeps room for one as long as the connection lives, through the whole of an answer.
        let service = service_fn(|request| Box::pin(self.gateway.clone().serve(client, request)));
        let connection = http1::Builder::new()
            .auto_date_header(false)
            // Ours counts from the first byte of a head; hyper's would end idle connections.
            .header_read_timeout(None)
            .serve_connection(TokioIo::new(ClientStream::new(handle.clone())), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        // hyper wakes itself when it has passed the end of a request on: that need not cost a turn.
        let mut bell = Bell::new();
        let mut watch = Watch::new(handle.clone(), self.header_timeout);
        let mut stop = self.stop.clone();
        let mut stop = pin!(stop.wait_for(|stop| *stop));
        let mut stopping = false;
        // Most turns are the connection's alone.
        let mut beside = Bell::new();
        loop {
            let next = std::future::poll_fn(|cx| {
                if let Poll::Ready(result) = bell.answer(cx, |cx| connection.as_mut().poll(cx)) {
                    return Poll::Ready(Next::Ended(result));
                }
                if watch.begins() {
                    beside.ring();
                }
                beside.answer(cx, |cx| match Pin::new(&mut watch).poll(cx) {
                    Poll::Ready(seen) => Poll::Ready(Next::Seen(seen)),
                    Poll::Pending if stopping => Poll::Pending,
                    Poll::Pending => stop.as_mut().poll(cx).map(|_| Next::Stop),
                })
            });
            match next.await {
                Next::Ended(result) => {
                    self.ended(result);
                    return ControlFlow::Break(());
                }
                Next::Seen(Seen::AtRest) if stopping => return ControlFlow::Break(()),
                Next::Seen(Seen::AtRest) => return ControlFlow::Continue(()),
                Next::Seen(Seen::GivenUp(why)) => {
                    self.given_up(why, handle);
                    return ControlFlow::Break(());
                }
                Next::Stop => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                    bell.ring();
                    if handle.has_only_part_of_a_head() {
                        return ControlFlow::Break(());
                    }
                }
            }
        }
    }

    /// hyper is done with the connection.
    fn ended(&self, result: hyper::Result<()>) {
        let Err(error) = result else { return };
        if error.is_parse_too_large() {
            self.gateway.metrics.refused(Refusal::TooLarge);
        } else if error.is_parse() {
            self.gateway.metrics.refused(Refusal::Malformed);
        }
        tracing::debug!(error = crate::error::chain(&error), "client connection ended");
    }

    /// We are done with the connection.
    fn given_up(&self, why: GivenUp, handle: &Handle) {
        tracing::debug!(?why, "client connection given up");
        if why == GivenUp::HeadTooSlow {
            self.gateway.metrics.refused(Refusal::HeaderTimeout);
            handle.last_words(
                b"HTTP/1.1 408 Request Timeout\r\nx-perimeter-error: header_timeout\r\n\
                  connection: close\r\ncontent-length: 0\r\n\r\n",
            );
        }
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// What happens next to a connection that is being served.
enum Next {
    /// hyper is done with it.
    Ended(hyper::Result<()>),
    Seen(Seen),
    /// It is to take no further request.
    Stop,
}

/// Why we end a connection before hyper does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GivenUp {
    /// The client closed its side in the middle of an exchange.
    ClientLeft,
    /// A head did not come within `server.header_timeout`.
    HeadTooSlow,
}

/// What a look at a connection finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// Nothing is under way, and hyper holds nothing: its buffers need not be kept.
    AtRest,
    /// It is to be ended.
    GivenUp(GivenUp),
}

/// Looks at a connection now and then, until it is at rest; not while hyper hears by itself what its client does.
#[derive(Debug)]
struct Watch {
    handle: Handle,
    header_timeout: Duration,
    beat: Pin<Box<Sleep>>,
    armed: bool,
}

impl Watch {
    fn new(handle: Handle, header_timeout: Duration) -> Self {
        Self { handle, header_timeout, beat: Box::pin(tokio::time::sleep(Duration::ZERO)), armed: false }
    }

    /// Whether there is something to watch, which is not watched yet.
    fn begins(&self) -> bool {
        !self.armed && self.handle.needs_watching()
    }

    fn look(&self) -> Option<Seen> {
        // A client that has just asked is likely to ask again.
        let was_busy = self.handle.looked();
        if self.handle.has_client_left() {
            return Some(Seen::GivenUp(GivenUp::ClientLeft));
        }
        if !was_busy && self.handle.is_at_rest() {
            return Some(Seen::AtRest);
        }
        self.handle.grows_old();
        let is_slow = self.handle.head_began().is_some_and(|began| began.elapsed() >= self.header_timeout);
        is_slow.then_some(Seen::GivenUp(GivenUp::HeadTooSlow))
    }
}

impl Future for Watch {
    type Output = Seen;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Seen> {
        loop {
            if !self.armed {
                if !self.handle.needs_watching() {
                    return Poll::Pending;
                }
                self.armed = true;
                let next = Instant::now() + BEAT.min(self.header_timeout);
                self.beat.as_mut().reset(next.into());
            }
            ready!(self.beat.as_mut().poll(cx));
            self.armed = false;
            if let Some(seen) = self.look() {
                return Poll::Ready(seen);
            }
        }
    }
}
