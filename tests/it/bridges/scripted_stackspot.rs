//! A scripted Stackspot on a real socket: tokens, agents, uploads and the S3 behind them, all on one port. It follows
//! the forms that Stackspot documents and the failures that its users have met, and writes down what it is asked.
//!
//! It needs nothing of the tests around it, so that others can have it too. One thread a connection.

use std::collections::{HashSet, VecDeque};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

// Where others include this file, this one is still beside it.
#[path = "scripted_stackspot/reply.rs"]
mod reply;

pub(crate) use reply::Reply;
use reply::{End, Piece};

/// Nothing waits longer than this: a test that hangs fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// The agent that answers here.
pub(crate) const AGENT: &str = "01J4WFMAJTP453TRRQKFAJ80PN";

/// The client's secret, which has a character that a form quotes.
pub(crate) const SECRET: &str = "s3cr&t=";

/// A scripted Stackspot. It serves until the process ends.
pub(crate) struct Stackspot {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What is answered to a request for a token.
#[derive(Clone, Debug)]
pub(crate) enum Grant {
    /// A token that lives for so many seconds.
    For(Value),
    /// None.
    No(u16, &'static str),
    /// A token, once that gate is open.
    At(&'static str),
    /// The connection is closed without a word.
    Silence,
}

type Responder = Box<dyn Fn(&Asked) -> Reply + Send>;

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    asked: Vec<Asked>,
    replies: VecDeque<Reply>,
    responder: Responder,
    grants: VecDeque<Grant>,
    issued: usize,
    /// What is taken in `authorization`.
    valid: HashSet<String>,
    opened: HashSet<&'static str>,
    /// Answers that never end, whose listener has left.
    left: usize,
    /// Why no file is taken: a status.
    no_uploads: Option<u16>,
    uploads: usize,
    /// What the latest quick command was given, and how often its outcome was asked for.
    run: (String, usize),
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Its body.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Its body, for a look.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What the agent is asked.
    #[track_caller]
    pub(crate) fn prompt(&self) -> String {
        self.json()["user_prompt"].as_str().expect("a user_prompt").to_owned()
    }

    pub(crate) fn is_chat(&self) -> bool {
        self.path.starts_with("/v1/agent/")
    }
}

impl Stackspot {
    /// On a free port of loopback, with an agent that says "Hello there."
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = State {
            asked: Vec::new(),
            replies: VecDeque::new(),
            responder: Box::new(|_| Reply::deltas(&["Hello", " there", "."])),
            grants: VecDeque::new(),
            issued: 0,
            valid: HashSet::new(),
            opened: HashSet::new(),
            left: 0,
            no_uploads: None,
            uploads: 0,
            run: (String::new(), 0),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let server = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = server.clone();
                // A client that goes away is part of the script.
                thread::spawn(move || shared.serve(address, stream));
            }
        });
        Self { address, shared }
    }

    /// Where all of it is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `llm.stackspot` of a configuration that leads here, without agents; `more` is written below it.
    pub(crate) fn account(&self, more: &str) -> String {
        let more: String = more.lines().map(|line| format!("    {line}\n")).collect();
        format!(
            "llm:\n  type: stackspot\n  base_url: {url}\n  stackspot:\n    realm: acme\n    client_id: me\n    \
             client_secret: \"{SECRET}\"\n    idm_url: {url}\n    files_url: {url}\n    quick_commands_url: {url}\n{more}",
            url = self.url()
        )
    }

    /// The same, with the agent as `stackspot-chat`.
    pub(crate) fn yaml(&self, more: &str) -> String {
        self.account(&format!("agents: {{stackspot-chat: {{agent_id: {AGENT}, aliases: [chat]}}}}\n{more}"))
    }

    /// The agent's next answer.
    pub(crate) fn reply(&self, reply: Reply) {
        self.state().replies.push_back(reply);
    }

    /// How the agent answers where no reply is left.
    pub(crate) fn answer_by(&self, responder: impl Fn(&Asked) -> Reply + Send + 'static) {
        self.state().responder = Box::new(responder);
    }

    /// What the next request for a token gets.
    pub(crate) fn grant(&self, grant: Grant) {
        self.state().grants.push_back(grant);
    }

    /// No token that was given is taken any more.
    pub(crate) fn revoke(&self) {
        self.state().valid.clear();
    }

    /// Takes this token, too.
    pub(crate) fn take(&self, token: &str) {
        self.state().valid.insert(format!("Bearer {token}"));
    }

    /// Takes no files.
    pub(crate) fn refuse_uploads(&self, status: u16) {
        self.state().no_uploads = Some(status);
    }

    /// Lets all answers go on that wait at that gate.
    pub(crate) fn open(&self, gate: &'static str) {
        self.state().opened.insert(gate);
        self.shared.changed.notify_all();
    }

    /// All that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// What agents were asked so far.
    pub(crate) fn chats(&self) -> Vec<Asked> {
        self.asked().into_iter().filter(Asked::is_chat).collect()
    }

    /// How many requests for tokens there were.
    pub(crate) fn token_requests(&self) -> usize {
        self.asked().iter().filter(|asked| asked.path.ends_with("/oidc/oauth/token")).count()
    }

    /// Waits until tokens were asked for so often.
    #[track_caller]
    pub(crate) fn wait_for_token_requests(&self, count: usize) {
        self.wait_for("requests for tokens", |state| {
            state.asked.iter().filter(|asked| asked.path.ends_with("/oidc/oauth/token")).count() >= count
        });
    }

    /// Waits until agents were asked so often.
    #[track_caller]
    pub(crate) fn wait_for_chats(&self, count: usize) {
        self.wait_for("requests", |state| {
            state.asked.iter().filter(|asked| asked.is_chat()).count() >= count
        });
    }

    /// Waits until so many listeners to answers that never end have left.
    #[track_caller]
    pub(crate) fn wait_until_left(&self, count: usize) {
        self.wait_for("listeners that leave", |state| state.left >= count);
    }

    #[track_caller]
    fn wait_for(&self, what: &str, wanted: impl Fn(&State) -> bool) {
        let state = self.state();
        let (_state, waited) = self
            .shared
            .changed
            .wait_timeout_while(state, PATIENCE, |state| !wanted(state))
            .expect("no panic");
        assert!(!waited.timed_out(), "waited {PATIENCE:?} for {what}");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

/// What goes back for a request.
enum Answer {
    Whole(u16, Value),
    Reply(Reply),
    /// That, once the gate is open.
    At(&'static str, Box<Answer>),
    Nothing,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    fn serve(&self, address: SocketAddr, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut writer = stream;
        while let Some(asked) = read(&mut reader)? {
            let mut answer = self.route(address, &asked);
            while let Answer::At(gate, then) = answer {
                self.wait_at(gate);
                answer = *then;
            }
            match answer {
                Answer::Nothing | Answer::At(..) => return Ok(()),
                Answer::Whole(status, body) => {
                    let body = if body.is_null() { String::new() } else { body.to_string() };
                    write!(
                        writer,
                        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                        body.len()
                    )?;
                }
                Answer::Reply(reply) => {
                    if !self.say(&reply, &mut reader, &mut writer)? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn route(&self, address: SocketAddr, asked: &Asked) -> Answer {
        let mut state = self.state();
        state.asked.push(asked.clone());
        self.changed.notify_all();
        let authorized = asked.header("authorization").is_some_and(|token| state.valid.contains(token));
        match asked.path.as_str() {
            "/acme/oidc/oauth/token" => state.token(asked),
            path if path.ends_with("/oidc/oauth/token") => Answer::Whole(404, json!({"error": "no realm"})),
            "/s3/" => Answer::Whole(204, Value::Null),
            _ if !authorized => Answer::Whole(401, Value::Null),
            "/v2/file-upload/form" => match state.no_uploads {
                Some(status) => Answer::Whole(status, Value::Null),
                None => {
                    state.uploads += 1;
                    let id = format!("upload-{}", state.uploads);
                    let form = json!({"key": format!("k/{id}"), "policy": "p", "x-amz-algorithm": "AWS4-HMAC-SHA256"});
                    Answer::Whole(201, json!({"id": id, "url": format!("http://{address}/s3"), "form": form}))
                }
            },
            _ if asked.is_chat() => match state.replies.pop_front() {
                Some(reply) => Answer::Reply(reply),
                None => Answer::Reply((state.responder)(asked)),
            },
            "/v1/quick-commands/callback/01RUN" => state.outcome(),
            path if path.starts_with("/v1/quick-commands/create-execution/") => {
                state.run = (asked.json()["input_data"].as_str().unwrap_or_default().to_owned(), 0);
                Answer::Whole(200, json!("01RUN"))
            }
            _ => Answer::Whole(404, Value::Null),
        }
    }

    /// As [`Shared::write`]; counts those who left, also before they had heard anything.
    fn say(&self, reply: &Reply, reader: &mut impl Read, writer: &mut TcpStream) -> io::Result<bool> {
        let said = self.write(reply, reader, writer);
        if reply.end == End::Never {
            self.state().left += 1;
            self.changed.notify_all();
        }
        said
    }

    /// Whether the connection can be used again.
    fn write(&self, reply: &Reply, reader: &mut impl Read, writer: &mut TcpStream) -> io::Result<bool> {
        write!(writer, "HTTP/1.1 {} X\r\n{}Transfer-Encoding: chunked\r\n\r\n", reply.status, reply.headers)?;
        for piece in &reply.pieces {
            match piece {
                Piece::Gate(gate) => self.wait_at(gate),
                Piece::Bytes(bytes) if bytes.is_empty() => {}
                Piece::Bytes(bytes) => {
                    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
                    chunk.extend_from_slice(bytes);
                    chunk.extend_from_slice(b"\r\n");
                    writer.write_all(&chunk)?;
                }
            }
        }
        match reply.end {
            End::Proper => writer.write_all(b"0\r\n\r\n").map(|()| true),
            End::Cut => Ok(false),
            End::Never => {
                // Ends with whatever becomes of the connection.
                let _ = reader.read(&mut [0]);
                Ok(false)
            }
        }
    }

    fn wait_at(&self, gate: &'static str) {
        let end = Instant::now() + PATIENCE;
        let mut state = self.state();
        while !state.opened.contains(gate) && Instant::now() < end {
            state = self.changed.wait_timeout(state, Duration::from_secs(1)).expect("no panic").0;
        }
    }
}

impl State {
    fn token(&mut self, asked: &Asked) -> Answer {
        let form = "grant_type=client_credentials&client_id=me&client_secret=s3cr%26t%3D";
        let is_form = asked.header("content-type") == Some("application/x-www-form-urlencoded");
        if asked.text() != form || !is_form {
            return Answer::Whole(401, json!({"error": "invalid_client"}));
        }
        match self.grants.pop_front().unwrap_or(Grant::For(json!(1199))) {
            Grant::Silence => Answer::Nothing,
            Grant::No(status, body) => Answer::Whole(status, json!({"error": body})),
            Grant::At(gate) => Answer::At(gate, Box::new(self.issue(&json!(1199)))),
            Grant::For(seconds) => self.issue(&seconds),
        }
    }

    fn issue(&mut self, seconds: &Value) -> Answer {
        self.issued += 1;
        let token = format!("token-{}", self.issued);
        self.valid.insert(format!("Bearer {token}"));
        Answer::Whole(200, json!({"access_token": token, "expires_in": seconds, "token_type": "bearer"}))
    }
}

impl State {
    /// A quick command runs when it is looked at first, and repeats what it was given when it is done.
    fn outcome(&mut self) -> Answer {
        self.run.1 += 1;
        match (self.run.0.as_str(), self.run.1) {
            ("flaky", 1) => return Answer::Whole(503, Value::Null),
            ("long", 1) => {
                self.valid.clear();
                return Answer::Whole(401, Value::Null);
            }
            _ => {}
        }
        let step = json!({"step_result": {"answer": format!("ran: {}", self.run.0)}});
        Answer::Whole(
            200,
            match self.run.1 {
                1 => json!({"progress": {"status": "RUNNING"}, "steps": [], "result": null}),
                _ if self.run.0 == "fail" => json!({"progress": {"status": "FAILED"}}),
                _ => json!({"progress": {"status": "COMPLETED"}, "steps": [step], "result": null}),
            },
        )
    }
}

/// The next request of a connection. None where it ends.
fn read(reader: &mut impl BufRead) -> io::Result<Option<Asked>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
            None => break,
        }
    }
    let mut asked = Asked { path, headers, body: Vec::new() };
    let length = asked.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    asked.body = vec![0; length];
    reader.read_exact(&mut asked.body)?;
    Ok(Some(asked))
}
