//! A platform, and an issuer of tokens, that answer as they are told to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) line: String,
    /// By their names in small letters.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn is_exchange(&self) -> bool {
        self.line.starts_with("POST /v1/auth/accesskey/exchange ")
    }

    pub(crate) fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn session(&self) -> String {
        self.event()["session_id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn name(&self) -> String {
        self.event()["name"].as_str().unwrap().to_owned()
    }

    pub(crate) fn token(&self) -> &str {
        self.headers["authorization"].strip_prefix("Bearer ").unwrap()
    }
}

/// What the platform does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A status, a header, a body.
    Answer(u16, Option<(&'static str, String)>, String),
    /// It closes the connection without a word.
    Die,
}

pub(crate) fn status(status: u16) -> Reply {
    Reply::Answer(status, None, "{}".to_owned())
}

pub(crate) fn after(status: u16, seconds: &str) -> Reply {
    Reply::Answer(status, Some(("Retry-After", seconds.to_owned())), String::new())
}

/// An answer to the exchange: the token `<name>`, good for so many seconds.
pub(crate) fn token(name: &str, lifetime: u64) -> Reply {
    let jwt = jwt(name, lifetime);
    let body = json!({"sessionJwt": jwt, "keyId": "K2abc", "expiration": 1, "sessionTokenName": "DS"});
    Reply::Answer(200, None, body.to_string())
}

/// What that token is.
pub(crate) fn jwt(name: &str, lifetime: u64) -> String {
    use base64::Engine as _;
    let claims = json!({"iss": "P2zF0Fh3eZsfOBM2cqh03EPfa6G4", "iat": 1_000, "exp": 1_000 + lifetime});
    let claims = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("{SECRET}.{claims}.{name}")
}

/// What every token begins with.
pub(crate) const SECRET: &str = "eyJhbGciOiJSUzI1NiJ9";

type Script = dyn Fn(&Request, usize) -> Reply + Send + Sync;

/// Both of them at one address.
#[derive(Clone)]
pub(crate) struct Platform {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Platform {
    /// Gives tokens that last, and does this with each event; the number counts its tries.
    pub(crate) fn taking(events: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(move |request, tries| match request.is_exchange() {
            true => token("one", 3_600),
            false => events(request, tries),
        })
    }

    /// Does this with each request; the number counts those with the same body.
    pub(crate) fn start(script: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let platform = Self { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let (script, serving): (Arc<Script>, _) = (Arc::new(script), platform.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (serving, script) = (serving.clone(), Arc::clone(&script));
                thread::spawn(move || serving.serve(stream.unwrap(), &*script));
            }
        });
        platform
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn serve(&self, stream: TcpStream, script: &Script) {
        let mut reader = BufReader::new(&stream);
        while let Some(request) = read(&mut reader) {
            let tries = {
                let mut seen = self.seen.lock().unwrap();
                seen.push(request.clone());
                seen.iter().filter(|other| other.body == request.body).count()
            };
            let Reply::Answer(status, header, body) = script(&request, tries) else { return };
            let header = header.map_or(String::new(), |(name, value)| format!("{name}: {value}\r\n"));
            let length = body.len();
            let head = format!("HTTP/1.1 {status} Told\r\n{header}Content-Length: {length}\r\n\r\n{body}");
            if (&stream).write_all(head.as_bytes()).is_err() {
                return;
            }
        }
    }

    /// All that came, in its order.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn events(&self) -> Vec<Request> {
        self.seen().into_iter().filter(|request| !request.is_exchange()).collect()
    }

    pub(crate) fn exchanges(&self) -> Vec<Request> {
        self.seen().into_iter().filter(Request::is_exchange).collect()
    }
}

/// The next request of a connection; none at its end.
fn read(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { line: line.trim_end().to_owned(), headers, body: String::from_utf8(body).unwrap() })
}
