//! A scripted provider on real sockets: it writes down every request exactly as it came and answers
//! with bytes that are the same in every run.
//!
//! It is written without an HTTP library on purpose: what a library would tidy up is what these
//! tests are about. One thread a connection.

use std::collections::HashMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

mod answer;
mod anthropic;
mod compressed;
mod gemini;
mod openai;
mod plain;
mod request;
mod script;
mod websocket;

pub(crate) use answer::Answer;
pub(crate) use anthropic::BRIDGED;
pub(crate) use compressed::encode;
pub(crate) use request::Request;
use script::{Script, Step};

/// No step waits longer than this for its client: a stream that hangs fails the test, it does not stop it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The provider: its address, and what it has seen.
pub(crate) struct Provider {
    /// Where clients and the proxy reach it.
    pub(crate) address: SocketAddr,
    /// Where a client says which piece of a stream it has seen, past any proxy.
    pub(crate) control: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    /// How often each script has been asked for: some answer differently the second time.
    asked: HashMap<String, usize>,
    /// How many pieces of each stream its client has seen.
    seen: HashMap<String, usize>,
    /// Streams of a group that are open.
    open: HashMap<String, usize>,
    /// What went wrong on the provider's side of an exchange.
    faults: Vec<String>,
}

impl Provider {
    /// Starts it on free ports of the loopback.
    pub(crate) fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let address = listen(Arc::clone(&shared), converse);
        let control = listen(Arc::clone(&shared), take_note);
        Self { address, control, shared }
    }

    /// What came since the last call, in the order of arrival; the scripts begin again.
    pub(crate) fn take(&self) -> (Vec<Request>, Vec<String>) {
        let state = std::mem::take(&mut *self.shared.lock());
        (state.requests, state.faults)
    }

    /// The stream begins again: nothing of it has been seen.
    pub(crate) fn forget(&self, stream: &str) {
        self.shared.lock().seen.remove(stream);
    }

    /// `http://address`, with this path behind it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Waits until the provider has noticed that the client of `stream` is gone.
    pub(crate) fn await_leaving(&self, stream: &str) {
        let name = format!("left/{stream}");
        self.shared.wait_until(&name, |state| state.seen.contains_key(&name)).unwrap();
    }

    /// Waits until a request for this path has come.
    pub(crate) fn await_request(&self, path: &str) {
        self.shared
            .wait_until(path, |state| state.requests.iter().any(|request| request.path() == path))
            .unwrap();
    }

    /// The client of `stream` has seen `pieces` of it.
    pub(crate) fn seen(&self, stream: &str, pieces: usize) {
        self.shared.saw(stream, pieces);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn saw(&self, stream: &str, pieces: usize) {
        self.lock().seen.insert(stream.to_owned(), pieces);
        self.changed.notify_all();
    }

    fn ask(&self, request: &Request) -> usize {
        let mut state = self.lock();
        state.requests.push(request.clone());
        let asked = state.asked.entry(request.script()).or_default();
        *asked += 1;
        let asked = *asked;
        drop(state);
        self.changed.notify_all();
        asked
    }

    fn fault(&self, what: String) {
        self.lock().faults.push(what);
    }

    fn wait_until(&self, what: &str, reached: impl Fn(&State) -> bool) -> io::Result<()> {
        let (state, timeout) = self
            .changed
            .wait_timeout_while(self.lock(), PATIENCE, |state| !reached(state))
            .map_err(|_| io::ErrorKind::Other)?;
        drop(state);
        if timeout.timed_out() {
            self.fault(format!("waited in vain: {what}"));
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

fn listen(shared: Arc<Shared>, serve: fn(TcpStream, &Shared) -> io::Result<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let shared = Arc::clone(&shared);
            // A client may leave at any point, so how its connection ended is nobody's failure.
            thread::spawn(move || serve(stream, &shared));
        }
    });
    address
}

/// One connection of a client or of the proxy.
fn converse(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(mut request) = Request::read_head(&mut reader)? {
        if !request.refused_unread() {
            if request.expects_continue() {
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            request.read_body(&mut reader)?;
        }
        let asked = shared.ask(&request);
        if request.wants_websocket() {
            return websocket::converse(&request, &mut reader, &mut stream, shared);
        }
        let script = answer(&request, asked);
        let close = script.close || request.closes();
        play(script, &request.answer, &mut reader, &mut stream, shared)?;
        if close {
            return stream.shutdown(Shutdown::Write);
        }
    }
    Ok(())
}

fn answer(request: &Request, asked: usize) -> Script {
    let path = request.path();
    if path.contains("enerateContent") {
        return gemini::answer(request);
    }
    if path.starts_with("/plain/") || !path.starts_with("/v1/") {
        return plain::answer(request, asked);
    }
    let script = if request.header("anthropic-version").is_some() {
        anthropic::answer(request, asked)
    } else {
        openai::answer(request, asked)
    };
    let model = request.json()["model"].as_str().unwrap_or_default().to_owned();
    match compressed::chosen(request) {
        Some(coding) if model == "compressed" || anthropic::from_agent(request) => script.compressed(coding),
        _ => script,
    }
}

fn play(
    script: Script,
    answer: &Mutex<Vec<u8>>,
    reader: &mut BufReader<TcpStream>,
    stream: &mut TcpStream,
    shared: &Shared,
) -> io::Result<()> {
    for step in script.steps {
        match step {
            Step::Send(bytes) => {
                // Before it is sent: who has got it, may look at once at what was sent.
                answer.lock().unwrap().extend_from_slice(&bytes);
                stream.write_all(&bytes)?;
            }
            Step::Seen(name, pieces) => {
                shared.wait_until(&format!("that the client of {name} sees piece {pieces}"), |state| {
                    state.seen.get(&name).is_some_and(|seen| *seen >= pieces)
                })?;
            }
            Step::Open(group, count) => {
                *shared.lock().open.entry(group.clone()).or_default() += 1;
                shared.changed.notify_all();
                shared.wait_until(&format!("for {count} open streams of {group}"), |state| {
                    state.open.get(&group).is_some_and(|open| *open >= count)
                })?;
            }
            Step::Left(name) => await_leaving(&name, reader, shared)?,
            Step::Reset => {
                socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO))?;
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
    }
    Ok(())
}

/// Waits for the client to end the connection, which must not take a further byte from us.
fn await_leaving(name: &str, reader: &mut BufReader<TcpStream>, shared: &Shared) -> io::Result<()> {
    reader.get_ref().set_read_timeout(Some(PATIENCE))?;
    match reader.read(&mut [0; 1]) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            shared.fault(format!("the client of {name} has left, and nobody told the provider"));
        }
        Ok(1..) => shared.fault(format!("the client of {name} sent more instead of leaving")),
        Ok(0) | Err(_) => {}
    }
    shared.saw(&format!("left/{name}"), 1);
    Err(io::ErrorKind::ConnectionAborted.into())
}

/// The control listener: `POST /seen/<stream>/<pieces>` and, to wait for it, `POST /await/<stream>`.
fn take_note(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(mut request) = Request::read_head(&mut reader)? {
        request.read_body(&mut reader)?;
        if let Some((name, pieces)) =
            request.path().strip_prefix("/seen/").and_then(|rest| rest.rsplit_once('/'))
        {
            shared.saw(name, pieces.parse().map_err(|_| io::ErrorKind::InvalidInput)?);
        } else if let Some(name) = request.path().strip_prefix("/await/") {
            shared.wait_until(name, |state| state.seen.contains_key(name))?;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    }
    Ok(())
}
