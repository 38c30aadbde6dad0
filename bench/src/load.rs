//! The load generator: one thread, one epoll, a closed loop over a fixed number of connections. Every byte of
//! every answer is checked.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock;
use crate::error::{Doing as _, Error};
use crate::load::answer::{Answer, Expected};
use crate::poller::{Interest, Poller};
use crate::workload::Exchange;

mod answer;

/// Set when the run is to end before its time.
pub(crate) static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Seconds without a byte after which an answer will not come any more.
const STALLED: u64 = 10;

/// What a run of requests gave.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Nanoseconds: of a JSON exchange from its first byte sent to its last byte received, of a stream for each
    /// event from its sending to its arrival.
    pub(crate) latencies: Vec<u64>,
    /// Nanoseconds from the first request to the last answer.
    pub(crate) took: u64,
}

/// Open connections to one target.
pub(crate) struct Load {
    poller: Poller,
    connections: Vec<Connection>,
    scratch: Vec<u8>,
    host: String,
}

impl Load {
    pub(crate) fn connect(target: SocketAddr, connections: usize) -> Result<Self, Error> {
        let poller = Poller::new().doing("opening an epoll")?;
        let connections = (0..)
            .take(connections)
            .map(|token| Connection::open(target, token, &poller))
            .collect::<io::Result<_>>()
            .doing(format!("connecting to {target}"))?;
        Ok(Self { poller, connections, scratch: vec![0; 256 * 1024], host: target.to_string() })
    }

    /// Sends so many requests, each connection its next as soon as its last is answered.
    pub(crate) fn run(&mut self, exchange: Exchange, requests: u64) -> Result<Outcome, Error> {
        let expected = Expected::of(exchange);
        let request = exchange.request(&self.host);
        let mut round =
            Round { request: &request, expected: &expected, left: requests, outcome: Outcome::default() };
        let started = clock::now();
        let mut open = 0;
        for connection in &mut self.connections {
            open += usize::from(connection.begin(&mut round, &self.poller)?);
        }
        let mut last_arrival = started;
        while open > 0 {
            if INTERRUPTED.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let ready = self.poller.wait(Some(Duration::from_millis(100))).doing("waiting for answers")?;
            if !ready.is_empty() {
                last_arrival = clock::now();
            } else if clock::now().saturating_sub(last_arrival) > STALLED * 1_000_000_000 {
                return Err(Error::Stalled(STALLED));
            }
            for ready in ready {
                let connection =
                    usize::try_from(ready.token).ok().and_then(|at| self.connections.get_mut(at));
                let Some(connection) = connection else { continue };
                if ready.writable {
                    connection.write(&request, &self.poller)?;
                }
                if ready.readable && connection.read(&mut self.scratch, &mut round)? {
                    open -= usize::from(!connection.begin(&mut round, &self.poller)?);
                }
            }
        }
        round.outcome.took = clock::now().saturating_sub(started);
        Ok(round.outcome)
    }
}

/// What the connections of one run share.
struct Round<'a> {
    request: &'a [u8],
    expected: &'a Expected,
    left: u64,
    outcome: Outcome,
}

struct Connection {
    socket: TcpStream,
    token: u64,
    interest: Interest,
    sent: usize,
    started: u64,
    /// The answer that is awaited; none while the connection rests.
    answer: Option<Answer>,
}

impl Connection {
    fn open(target: SocketAddr, token: u64, poller: &Poller) -> io::Result<Self> {
        let socket = TcpStream::connect(target)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        poller.add(&socket, token)?;
        Ok(Self { socket, token, interest: Interest::Read, sent: 0, started: 0, answer: None })
    }

    /// Sends the next request, if one is left.
    fn begin(&mut self, round: &mut Round<'_>, poller: &Poller) -> Result<bool, Error> {
        if round.left == 0 {
            return Ok(false);
        }
        round.left -= 1;
        self.sent = 0;
        self.answer = Some(Answer::new());
        self.started = clock::now();
        self.write(round.request, poller)?;
        Ok(true)
    }

    fn write(&mut self, request: &[u8], poller: &Poller) -> Result<(), Error> {
        let mut interest = Interest::Read;
        while let Some(rest) = request.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.socket.write(rest) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    interest = Interest::ReadAndWrite;
                    break;
                }
                Err(error) => return Err(error).doing("sending a request"),
            }
        }
        if self.interest != interest {
            poller.change(&self.socket, self.token, interest).doing("waiting for room to send")?;
            self.interest = interest;
        }
        Ok(())
    }

    fn out_of_place(&self, read: usize) -> String {
        match (&self.answer, read) {
            (Some(answer), 0) => format!("the connection ended in {answer}"),
            (None, 0) => "the connection ended between two answers".to_owned(),
            (_, read) => format!("{read} bytes unasked for"),
        }
    }

    /// Reads once; whether the answer is complete.
    fn read(&mut self, scratch: &mut [u8], round: &mut Round<'_>) -> Result<bool, Error> {
        let read = match self.socket.read(scratch) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).doing("reading an answer"),
        };
        let now = clock::now();
        let Some(answer) = self.answer.as_mut().filter(|_| read > 0) else {
            return Err(Error::Wrong(self.out_of_place(read)));
        };
        let bytes = scratch.get(..read).unwrap_or_default();
        let complete = answer.feed(bytes, round.expected, |sent| {
            round.outcome.latencies.push(now.saturating_sub(sent));
        })?;
        if complete {
            self.answer = None;
            if !round.expected.is_stream() {
                round.outcome.latencies.push(now.saturating_sub(self.started));
            }
        }
        Ok(complete)
    }
}
