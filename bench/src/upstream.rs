//! The scripted upstream: one thread, one epoll, answers built before anyone asks.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use crate::clock;
use crate::error::{Doing as _, Error};
use crate::poller::{Poller, Ready};

mod certificate;
mod connection;
mod wire;

pub(crate) use connection::OPENED;
use connection::{Answers, Connection};
use wire::Wire;

const PLAIN: u64 = 0;
const TLS: u64 = 1;

/// Serves on a free port until it is killed, and within TLS on another; says on stderr where. Where a file is named,
/// the certificate to trust is written into it.
pub(crate) fn run(authority: Option<&Path>) -> Result<(), Error> {
    let plain = TcpListener::bind("127.0.0.1:0").doing("opening the upstream's port")?;
    let tls = authority.map(Tls::new).transpose().doing("preparing TLS")?;
    let mut said =
        format!("upstream listening on http://{}", plain.local_addr().doing("asking for its port")?);
    if let Some(tls) = &tls {
        said = format!("{said} and https://{}", tls.listener.local_addr().doing("asking for its port")?);
    }
    let mut server = Server::new(plain, tls).doing("starting the upstream")?;
    writeln!(io::stderr(), "{said}").doing("writing to stderr")?;
    loop {
        server.turn().doing("serving as upstream")?;
    }
}

/// Where TLS is spoken.
struct Tls {
    listener: TcpListener,
    config: Arc<ServerConfig>,
}

impl Tls {
    fn new(authority: &Path) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind("127.0.0.1:0")?, config: certificate::make(authority)? })
    }
}

struct Server {
    plain: TcpListener,
    tls: Option<Tls>,
    poller: Poller,
    connections: HashMap<u64, Connection>,
    next_token: u64,
    /// When which connection has an event to send.
    due: BinaryHeap<Reverse<(u64, u64)>>,
    scratch: Vec<u8>,
    answers: Answers,
}

impl Server {
    fn new(plain: TcpListener, tls: Option<Tls>) -> io::Result<Self> {
        let poller = Poller::new()?;
        let listeners = [Some((&plain, PLAIN)), tls.as_ref().map(|tls| (&tls.listener, TLS))];
        for (listener, token) in listeners.into_iter().flatten() {
            listener.set_nonblocking(true)?;
            poller.add(listener, token)?;
        }
        Ok(Self {
            plain,
            tls,
            poller,
            connections: HashMap::new(),
            next_token: TLS + 1,
            due: BinaryHeap::new(),
            scratch: vec![0; 256 * 1024],
            answers: Answers::new(),
        })
    }

    fn turn(&mut self) -> io::Result<()> {
        let now = clock::now();
        let pause = self.due.peek().map(|Reverse((time, _))| Duration::from_nanos(time.saturating_sub(now)));
        for ready in self.poller.wait(pause)? {
            if ready.token <= TLS {
                self.accept(ready.token)?;
            } else {
                self.go_on(ready);
            }
        }
        self.send_due(clock::now());
        Ok(())
    }

    fn accept(&mut self, listener: u64) -> io::Result<()> {
        let tls = self.tls.as_ref().filter(|_| listener == TLS);
        let listener = tls.map_or(&self.plain, |tls| &tls.listener);
        loop {
            let socket = match listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            self.poller.add(&socket, self.next_token)?;
            let wire = Wire::new(socket, tls.map(|tls| &tls.config))?;
            self.connections.insert(self.next_token, Connection::new(wire));
            self.next_token += 1;
            self.answers.opened += 1;
        }
    }

    fn go_on(&mut self, ready: Ready) {
        let Some(connection) = self.connections.get_mut(&ready.token) else { return };
        let mut result = Ok(());
        if ready.readable {
            result = connection.read(&mut self.scratch, ready.token, &self.answers);
        }
        self.send(ready.token, result);
    }

    fn send_due(&mut self, now: u64) {
        while let Some(Reverse((time, token))) = self.due.peek().copied() {
            if time > now {
                return;
            }
            self.due.pop();
            if let Some(connection) = self.connections.get_mut(&token) {
                connection.scheduled = false;
                self.send(token, Ok(()));
            }
        }
    }

    /// Sends what can be sent now; a connection that broke is forgotten, its client will say so.
    fn send(&mut self, token: u64, so_far: io::Result<()>) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        let sent = so_far.and_then(|()| connection.send(&self.poller, token));
        match sent {
            Ok(Some(time)) if !connection.scheduled => {
                connection.scheduled = true;
                self.due.push(Reverse((time, token)));
            }
            Ok(_) => {}
            Err(_) => _ = self.connections.remove(&token),
        }
    }
}
