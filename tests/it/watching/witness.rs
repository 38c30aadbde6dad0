//! An interceptor that writes down what it is told, and misbehaves as it is told.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use perimeter_interceptor::testing::{Recorder, breaches};
use perimeter_interceptor::{
    BodyEnd, BoxError, Counter, Cx, End, Failure, Interceptor, Interest, LlmEvent, Peer, RequestHead,
    ResponseHead, Result, SessionEnd, Stream, Upgrade,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::corpus::score::Found;
use crate::support::latin1;

/// What it does, as a configuration says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Where it writes, a line of JSON for each callback.
    file: PathBuf,
    /// Whether it writes the bytes too, or only how many.
    texts: bool,
    /// Whether it wants chunks of bodies.
    chunks: bool,
    /// Whether it wants to hear what is said.
    llm: bool,
    /// The callback in which it misbehaves; all of them where it is empty.
    at: String,
    /// How long it sleeps.
    naps: u64,
    /// Where it connects to, once, to wait for the end of that connection.
    waits_for: Option<std::net::SocketAddr>,
    /// Whether it fails.
    fails: bool,
    /// How many times it panics.
    panics: u64,
    /// Whether it counts something of itself, also by names that it must not have.
    counts: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            file: PathBuf::new(),
            texts: true,
            chunks: true,
            llm: true,
            at: String::new(),
            naps: 0,
            waits_for: None,
            fails: false,
            panics: 0,
            counts: false,
        }
    }
}

/// The interceptor.
pub(crate) struct Witness {
    settings: Settings,
    out: Option<BufWriter<File>>,
    /// Holds what was told against the rules of the contract.
    record: Recorder,
    panics: u64,
}

/// Chunks are kept for their length alone.
static ZEROS: [u8; 4 << 20] = [0; 4 << 20];

impl Witness {
    pub(crate) fn new(settings: Settings) -> std::result::Result<Self, BoxError> {
        let out = match settings.file.as_os_str().is_empty() {
            true => None,
            false => Some(BufWriter::new(File::create(&settings.file)?)),
        };
        Ok(Self { settings, out, record: Recorder::new(), panics: 0 })
    }

    fn write(&mut self, line: &Value) -> Result {
        if let Some(out) = &mut self.out {
            serde_json::to_writer(&mut *out, line)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn tell(&mut self, callback: &str, cx: Cx<'_>, mut line: Value) -> Result {
        line["callback"] = callback.into();
        line["exchange"] = cx.exchange.id.to_string().into();
        line["elapsed_us"] = (cx.elapsed.as_micros() as u64).into();
        self.write(&line)?;
        self.misbehave(callback)
    }

    fn misbehave(&mut self, callback: &str) -> Result {
        let Settings { at, naps, waits_for, fails, panics, .. } = &mut self.settings;
        if !at.is_empty() && at != callback {
            return Ok(());
        }
        if let Some(gate) = waits_for.take() {
            if let Some(out) = &mut self.out {
                out.flush()?;
            }
            TcpStream::connect(gate)?.read_to_end(&mut Vec::new())?;
        }
        std::thread::sleep(Duration::from_millis(*naps));
        if self.panics < *panics {
            self.panics += 1;
            panic!("on purpose, for the {}. time", self.panics);
        }
        match *fails {
            true => Err("on purpose".into()),
            false => Ok(()),
        }
    }

    /// Where nothing is told.
    fn misbehave_only(&mut self, callback: &str) -> Result {
        if self.settings.at == callback { self.misbehave(callback) } else { Ok(()) }
    }

    fn chunk(&mut self, callback: &str, cx: Cx<'_>, chunk: &Bytes, mut line: Value) -> Result {
        line["bytes"] = chunk.len().into();
        if self.settings.texts {
            line["text"] = latin1(chunk).into();
        }
        self.tell(callback, cx, line)
    }
}

fn only_its_length(chunk: &Bytes) -> Bytes {
    Bytes::from_static(&ZEROS[..chunk.len()])
}

fn fields(headers: &HeaderMap) -> Value {
    let fields = headers.iter().map(|(name, value)| json!([name.as_str(), latin1(value)]));
    Value::Array(fields.collect())
}

fn body_end(end: &BodyEnd) -> Value {
    match end {
        BodyEnd::Complete { trailers: None } => json!("complete"),
        BodyEnd::Complete { trailers: Some(trailers) } => json!({"complete": fields(trailers)}),
        BodyEnd::Aborted => json!("aborted"),
        BodyEnd::Stopped => json!("stopped"),
        BodyEnd::Failed(why) => json!({"failed": &**why}),
        other => json!(format!("{other:?}")),
    }
}

impl Interceptor for Witness {
    type State = <Recorder as Interceptor>::State;

    fn interest(&self) -> Interest {
        let chunks = Interest::REQUEST_CHUNKS | Interest::RESPONSE_CHUNKS | Interest::UPGRADED_CHUNKS;
        let of = |wanted, interest| if wanted { interest } else { Interest::NONE };
        of(self.settings.chunks, chunks) | of(self.settings.llm, Interest::LLM)
    }

    fn counters(&self) -> Vec<Counter> {
        let names = [
            ("witness_heads_total", "Heads."),
            ("witness_open", "A backslash \\ and a line\nof its own."),
            ("calls_total", "What is not its own."),
            ("added_seconds_sum", "What is not its own."),
            ("Bad name", "What is none."),
        ];
        let counters = names.into_iter().filter(|_| self.settings.counts);
        counters.map(|(name, help)| Counter::new(name, help)).collect()
    }

    fn on_request_head(&mut self, cx: Cx<'_>, head: &RequestHead) -> Result<Option<Self::State>> {
        let state = self.record.on_request_head(cx, head)?;
        let labels = &cx.exchange.labels;
        let line = json!({
            "method": head.method.as_str(),
            "target": head.uri.to_string(),
            "version": format!("{:?}", head.version),
            "headers": fields(&head.headers),
            "client": cx.exchange.client.to_string(),
            "upstream": &*cx.exchange.upstream,
            "workflow": labels.workflow.as_deref(),
            "session": labels.session.as_deref(),
            "agent": labels.agent.as_deref(),
            "tags": labels.tags,
        });
        self.tell("on_request_head", cx, line)?;
        Ok(state)
    }

    fn on_request_chunk(&mut self, cx: Cx<'_>, state: &mut Self::State, chunk: &Bytes) -> Result {
        self.record.on_request_chunk(cx, state, &only_its_length(chunk))?;
        self.chunk("on_request_chunk", cx, chunk, json!({}))
    }

    fn on_request_end(&mut self, cx: Cx<'_>, state: &mut Self::State, end: &BodyEnd) -> Result {
        self.record.on_request_end(cx, state, end)?;
        self.tell("on_request_end", cx, json!({"end": body_end(end)}))
    }

    fn on_response_head(&mut self, cx: Cx<'_>, state: &mut Self::State, head: &ResponseHead) -> Result {
        self.record.on_response_head(cx, state, head)?;
        let line = json!({"status": head.status.as_u16(), "headers": fields(&head.headers)});
        self.tell("on_response_head", cx, line)
    }

    fn on_response_chunk(&mut self, cx: Cx<'_>, state: &mut Self::State, chunk: &Bytes) -> Result {
        self.record.on_response_chunk(cx, state, &only_its_length(chunk))?;
        self.chunk("on_response_chunk", cx, chunk, json!({}))
    }

    fn on_llm(&mut self, cx: Cx<'_>, state: &mut Self::State, event: &LlmEvent) -> Result {
        self.record.on_llm(cx, state, event)?;
        let mut line = json!({"event": format!("{event:?}")});
        if let LlmEvent::Call(call) = event {
            line["call"] = json!({"session": &*call.session.id, "told": call.session.told, "number": call.session.call,
                "is_new": call.session.is_new, "agent": call.session.agent.told.as_deref(), "model": call.model.as_deref(), "found": Found::of(call)});
        }
        if let LlmEvent::Completion(said) | LlmEvent::Cut(said) = event {
            line["stream"] = said.stream.as_deref().map_or(Value::Null, stream);
        }
        self.tell("on_llm", cx, line)
    }

    fn on_upgrade(&mut self, cx: Cx<'_>, state: &mut Self::State, upgrade: &Upgrade) -> Result {
        self.record.on_upgrade(cx, state, upgrade)?;
        self.tell("on_upgrade", cx, json!({"protocol": &*upgrade.protocol}))
    }

    fn on_upgraded_chunk(
        &mut self,
        cx: Cx<'_>,
        state: &mut Self::State,
        from: Peer,
        chunk: &Bytes,
    ) -> Result {
        self.record.on_upgraded_chunk(cx, state, from, &only_its_length(chunk))?;
        self.chunk("on_upgraded_chunk", cx, chunk, json!({"from": format!("{from:?}")}))
    }

    fn on_failure(&mut self, cx: Cx<'_>, state: &mut Self::State, failure: &Failure) -> Result {
        self.record.on_failure(cx, state, failure)?;
        self.tell("on_failure", cx, json!({"code": &*failure.code, "message": &*failure.message}))
    }

    fn on_end(&mut self, cx: Cx<'_>, state: Self::State, end: &End) -> Result {
        self.record.on_end(cx, state, end)?;
        let line = json!({
            "request": body_end(&end.request),
            "response": body_end(&end.response),
            "unseen": [end.unseen.client, end.unseen.upstream],
            "lasted_us": end.lasted.as_micros() as u64,
        });
        self.tell("on_end", cx, line)
    }

    fn on_session_end(&mut self, session: &SessionEnd) -> Result {
        self.record.on_session_end(session)?;
        let line = json!({"callback": "on_session_end", "session": &*session.id, "calls": session.calls});
        self.write(&line)?;
        self.misbehave("on_session_end")
    }

    fn on_idle(&mut self) -> Result {
        if let Some(out) = &mut self.out {
            out.flush()?;
        }
        self.misbehave_only("on_idle")
    }

    fn on_shutdown(mut self) -> Result {
        self.write(&json!({"callback": "on_shutdown", "breaches": breaches(&self.record.notices())}))?;
        if let Some(out) = &mut self.out {
            out.flush()?;
        }
        self.misbehave_only("on_shutdown")
    }
}

/// How an answer came, times in milliseconds.
fn stream(stream: &Stream) -> Value {
    let millis = |time: Duration| time.as_millis() as u64;
    let stalls = stream.stalls.iter().map(|stall| {
        json!({"at": millis(stall.at), "lasted": millis(stall.lasted), "by": format!("{:?}", stall.by)})
    });
    json!({
        "first_byte": millis(stream.first_byte), "first_chunk": stream.first_chunk.map(millis),
        "first_token": stream.first_token.map(millis), "last_token": stream.last_token.map(millis),
        "last": millis(stream.last), "chunks": stream.chunks, "bytes": stream.bytes, "gaps": stream.gaps.count(),
        "longest": millis(stream.gaps.max()), "stalls": stalls.collect::<Vec<_>>(),
    })
}
