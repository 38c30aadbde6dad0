//! The load generator: one thread, one epoll, over a fixed number of connections, each with one request at a time.
//! Every byte of every answer is checked.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock;
use crate::error::{Doing as _, Error};
use crate::load::answer::{Answer, Expected};
use crate::load::requests::Requests;
use crate::poller::{Interest, Poller};
use crate::workload::{Exchange, Way, Workload};

mod answer;
mod requests;

/// Set when the run is to end before its time.
pub(crate) static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Seconds without a byte after which an answer will not come any more. Proxies in Python have taken ten.
const STALLED: u64 = 30;

/// How long a look waits for something to come.
const PATIENCE: Duration = Duration::from_millis(100);

/// What a run of requests gave.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Nanoseconds: of a JSON exchange from its first byte sent to its last byte received, of a stream for each
    /// event from its sending to its arrival.
    pub(crate) latencies: Vec<u64>,
    /// Nanoseconds from the first byte sent to the first byte of the answer's head, of each exchange.
    pub(crate) first_bytes: Vec<u64>,
    /// Bytes of requests, heads included.
    pub(crate) sent: u64,
    /// Nanoseconds from the first request to the last answer.
    pub(crate) took: u64,
}

/// Open connections to one target.
pub(crate) struct Load {
    poller: Poller,
    connections: Vec<Connection>,
    scratch: Vec<u8>,
    target: SocketAddr,
    way: Way,
}

impl Load {
    /// Opens as many connections as the workload has.
    pub(crate) fn connect(target: SocketAddr, workload: &Workload) -> Result<Self, Error> {
        let poller = Poller::new().doing("opening an epoll")?;
        let connections = (0..)
            .take(workload.connections)
            .map(|token| Connection::open(target, token, &poller))
            .collect::<io::Result<_>>()
            .doing(format!("connecting to {target}"))?;
        Ok(Self { poller, connections, scratch: vec![0; 256 * 1024], target, way: workload.way })
    }

    /// Sends so many requests, each connection its next as soon as its last is answered, or when it is time.
    pub(crate) fn run(&mut self, exchange: Exchange, requests: u64) -> Result<Outcome, Error> {
        let mut round = self.round(exchange, requests);
        let started = clock::now();
        if let Way::Paced(gap) = self.way {
            self.pace(&mut round, gap)?;
        } else {
            let mut open = self.begin(&mut round)?;
            while open > 0 {
                open -= self.turn(&mut round, PATIENCE)?;
            }
        }
        round.outcome.took = clock::now().saturating_sub(started);
        Ok(round.outcome)
    }

    /// Sends a request each `gap`, over one connection after the other. One whose last answer is late holds up all.
    fn pace(&mut self, round: &mut Round, gap: Duration) -> Result<(), Error> {
        let gap = u64::try_from(gap.as_nanos()).unwrap_or(u64::MAX);
        let (mut next, mut open) = (0, 0);
        let mut due = clock::now();
        while open > 0 || round.left > 0 {
            let connections = self.connections.len();
            let resting = self.connections.get_mut(next).filter(|connection| connection.answer.is_none());
            let wait = match resting.filter(|_| round.left > 0) {
                None => PATIENCE,
                Some(connection) => {
                    let wait = due.saturating_sub(clock::now());
                    if wait == 0 {
                        open += usize::from(connection.begin(round, &self.poller)?);
                        next = (next + 1) % connections;
                        due = due.saturating_add(gap);
                    }
                    Duration::from_nanos(wait)
                }
            };
            open -= self.turn(round, wait)?;
        }
        Ok(())
    }

    /// Sends one request over each connection, and once all answers have begun and `settle` is over, takes what comes
    /// for `window`: `look` is called at both ends of it. No answer may end before.
    pub(crate) fn hold<T>(
        &mut self,
        exchange: Exchange,
        settle: Duration,
        window: Duration,
        mut look: impl FnMut() -> Result<T, Error>,
    ) -> Result<(Outcome, [T; 2]), Error> {
        let connections = self.connections.len();
        let mut round = self.round(exchange, u64::try_from(connections).unwrap_or(u64::MAX));
        self.begin(&mut round)?;
        while round.outcome.first_bytes.len() < connections {
            self.turn(&mut round, PATIENCE)?;
        }
        self.turns(&mut round, settle)?;
        let before = look()?;
        round.outcome.latencies.clear();
        // Those of so many at once say nothing about one.
        round.outcome.first_bytes.clear();
        let started = clock::now();
        self.turns(&mut round, window)?;
        round.outcome.took = clock::now().saturating_sub(started);
        Ok((round.outcome, [before, look()?]))
    }

    fn round(&self, exchange: Exchange, requests: u64) -> Round {
        Round {
            requests: Requests::of(exchange, &self.target.to_string(), self.connections.len()),
            expected: Expected::of(exchange),
            left: requests,
            last_arrival: clock::now(),
            outcome: Outcome::default(),
        }
    }

    /// Sends the first request of each connection, as far as there are as many; how many have one.
    fn begin(&mut self, round: &mut Round) -> Result<usize, Error> {
        let mut open = 0;
        for connection in &mut self.connections {
            open += usize::from(connection.begin(round, &self.poller)?);
        }
        Ok(open)
    }

    fn turns(&mut self, round: &mut Round, time: Duration) -> Result<(), Error> {
        let end = clock::now().saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        while clock::now() < end {
            self.turn(round, PATIENCE)?;
        }
        Ok(())
    }

    /// Waits once, no longer than `patience`, and goes on where that is possible; how many connections have nothing more
    /// to do for now.
    fn turn(&mut self, round: &mut Round, patience: Duration) -> Result<usize, Error> {
        if INTERRUPTED.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let ready = self.poller.wait(Some(patience)).doing("waiting for answers")?;
        if !ready.is_empty() {
            round.last_arrival = clock::now();
        } else if clock::now().saturating_sub(round.last_arrival) > STALLED * 1_000_000_000 {
            return Err(Error::Stalled(STALLED));
        }
        let mut done = 0;
        for ready in ready {
            let connection = usize::try_from(ready.token).ok().and_then(|at| self.connections.get_mut(at));
            let Some(connection) = connection else { continue };
            if ready.writable {
                connection.write(&self.poller)?;
            }
            if ready.readable && connection.read(&mut self.scratch, round)? {
                if self.way == Way::Reconnecting && round.left > 0 {
                    connection.reopen(self.target, &self.poller).doing("connecting once more")?;
                }
                let goes_on = !matches!(self.way, Way::Paced(_)) && connection.begin(round, &self.poller)?;
                done += usize::from(!goes_on);
            }
        }
        Ok(done)
    }
}

/// What the connections of one run share.
struct Round {
    /// By connection.
    requests: Vec<Requests>,
    expected: Expected,
    left: u64,
    last_arrival: u64,
    outcome: Outcome,
}

struct Connection {
    socket: TcpStream,
    token: u64,
    interest: Interest,
    request: Rc<[u8]>,
    sent: usize,
    started: u64,
    /// The answer that is awaited; none while the connection rests.
    answer: Option<Answer>,
    /// Whether a byte of it has come.
    answered: bool,
}

impl Connection {
    fn open(target: SocketAddr, token: u64, poller: &Poller) -> io::Result<Self> {
        Ok(Self {
            socket: open(target, token, poller)?,
            token,
            interest: Interest::Read,
            request: Rc::default(),
            sent: 0,
            started: 0,
            answer: None,
            answered: false,
        })
    }

    fn reopen(&mut self, target: SocketAddr, poller: &Poller) -> io::Result<()> {
        self.socket = open(target, self.token, poller)?;
        self.interest = Interest::Read;
        Ok(())
    }

    /// Sends the next request, if one is left.
    fn begin(&mut self, round: &mut Round, poller: &Poller) -> Result<bool, Error> {
        let requests = usize::try_from(self.token).ok().and_then(|at| round.requests.get_mut(at));
        let Some(requests) = requests.filter(|_| round.left > 0) else { return Ok(false) };
        round.left -= 1;
        self.request = requests.next();
        round.outcome.sent += self.request.len() as u64;
        self.sent = 0;
        self.answer = Some(Answer::new());
        self.answered = false;
        self.started = clock::now();
        self.write(poller)?;
        Ok(true)
    }

    fn write(&mut self, poller: &Poller) -> Result<(), Error> {
        let mut interest = Interest::Read;
        while let Some(rest) = self.request.get(self.sent..).filter(|rest| !rest.is_empty()) {
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
    fn read(&mut self, scratch: &mut [u8], round: &mut Round) -> Result<bool, Error> {
        let read = match self.socket.read(scratch) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).doing("reading an answer"),
        };
        let now = clock::now();
        let Some(answer) = self.answer.as_mut().filter(|_| read > 0) else {
            return Err(Error::Wrong(self.out_of_place(read)));
        };
        let outcome = &mut round.outcome;
        if !self.answered {
            self.answered = true;
            outcome.first_bytes.push(now.saturating_sub(self.started));
        }
        let bytes = scratch.get(..read).unwrap_or_default();
        let complete = answer.feed(bytes, &round.expected, |sent| {
            outcome.latencies.push(now.saturating_sub(sent));
        })?;
        if complete {
            self.answer = None;
            if !round.expected.is_stream() {
                outcome.latencies.push(now.saturating_sub(self.started));
            }
        }
        Ok(complete)
    }
}

fn open(target: SocketAddr, token: u64, poller: &Poller) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(target)?;
    socket.set_nodelay(true)?;
    socket.set_nonblocking(true)?;
    poller.add(&socket, token)?;
    Ok(socket)
}
