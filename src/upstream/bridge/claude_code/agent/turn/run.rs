//! One run of the CLI: what it is told, what it may do, and what of its words the client hears.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::super::super::fault::broken_off;
use super::super::super::launch::effort;
use super::super::super::mapping::{Manner, Mapping, Next};
use super::super::super::process::{Process, Run};
use super::super::super::wire::{Line, Message};
use super::super::said::Said;
use super::super::settings::{Settings, SystemPrompt};
use super::super::store::sessions::Thread;
use super::super::{Agent, activity, permission};
use super::{Launch, Taken};
use crate::upstream::bridge::ask::Effort;
use crate::upstream::bridge::event::{Begin, Done, Event, Head, Left, Stop, Usage};
use crate::upstream::bridge::{Failure, Kind, Out};

/// How long a turn that is given up may take to say so, and what it has cost.
const TILL_STOPPED: Duration = Duration::from_millis(500);
/// And then to end by itself.
const TILL_KILLED: Duration = Duration::from_millis(200);
/// How long the CLI may take to write its transcript once it has answered.
const TILL_GONE: Duration = Duration::from_secs(5);
/// What of an answer is kept for a CLI that has lost the session. Bytes.
const ANSWER: usize = 256 * 1024;

/// What keeps the CLI from doing more than it is asked: `@file` in a client's words is no file to be read, what one
/// session has learnt is not told to another, an answer that breaks off is not silently asked for again, and nothing
/// goes on behind an answer that is complete.
/// <https://code.claude.com/docs/en/settings#environment-variables>
const GUARDS: [(&str, &str); 9] = [
    ("CLAUDE_CODE_DISABLE_ATTACHMENTS", "1"),
    ("CLAUDE_CODE_DISABLE_AUTO_MEMORY", "1"),
    ("CLAUDE_CODE_DISABLE_CLAUDE_MDS", "1"),
    ("CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK", "1"),
    ("CLAUDE_CODE_DISABLE_REFUSAL_RETRY", "1"),
    ("CLAUDE_CODE_DISABLE_REFUSAL_FALLBACK", "1"),
    ("CLAUDE_CODE_NO_MODEL_FALLBACK", "1"),
    ("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1"),
    ("ENABLE_TOOL_SEARCH", "false"),
];

/// What is the same for all runs of a turn.
pub(super) struct Going<'a> {
    pub launch: &'a Launch,
    pub effort: Option<Effort>,
    pub taken: &'a Taken,
    pub said: &'a Said,
}

/// How a run of the CLI ended.
pub(super) enum Ended {
    /// With an answer. Whether the CLI has written all of it down.
    Well(Done, bool),
    /// The CLI does not know the session any more.
    Lost,
    /// Somebody told it to stop, or its client has left.
    Stopped,
}

impl Agent {
    /// Runs the CLI for one turn of `thread`, which it knows already if `is_known`.
    pub(super) async fn run(
        &self,
        going: &Going<'_>,
        thread: &Thread,
        is_known: bool,
        telling: &mut Telling,
    ) -> Result<Ended, Failure> {
        if going.taken.turn.is_stopped() {
            return Ok(Ended::Stopped);
        }
        let cli = &going.launch.cli;
        let folder = cli.folder()?;
        let mut env = cli.environment(&self.home);
        env.extend(GUARDS.map(|(name, value)| (name, value.into())));
        env.push(("CLAUDE_CODE_MAX_RETRIES", going.launch.retries.to_string().into()));
        if going.effort == Some(Effort::None) {
            env.push(("CLAUDE_CODE_DISABLE_THINKING", "1".into()));
        }
        // The home stays; what is temporary goes with the run.
        env.extend(["TMPDIR", "CLAUDE_CODE_TMPDIR"].map(|name| (name, folder.work().into())));
        let mut process = cli.start(Run {
            program: cli.program()?,
            args: self.args(going, thread, is_known),
            env,
            cwd: going.taken.project.clone(),
            folder: Some(folder),
        })?;
        process.say(&initialize(&self.settings, going));
        process.say(&json!({
            "type": "user", "client_composed": true,
            "message": {"role": "user", "content": going.said.blocks},
        }));
        let mut answering = Answering {
            settings: &self.settings,
            project: &going.taken.project,
            patience: going.launch.start,
            idle: going.launch.idle,
            mapping: Mapping::new(Manner { agent: true, structured: false }),
            telling,
        };
        let long =
            |_| Failure::new(Kind::UpstreamTimeout, "the agent took too long (llm.claude_code.timeout)");
        let hear = answering.hear(&mut process, going);
        let ended = timeout(going.launch.timeout, hear).await.map_err(long).flatten();
        if !matches!(ended, Ok(Ended::Well(..) | Ended::Lost)) {
            answering.give_up(&mut process).await;
            return ended;
        }
        process.hang_up();
        let gone = timeout(TILL_GONE, process.exit()).await.is_ok();
        Ok(match ended? {
            Ended::Well(done, _) => Ended::Well(done, gone),
            ended => ended,
        })
    }

    /// The arguments: nothing of them is a client's, but for the ids that we gave.
    fn args(&self, going: &Going<'_>, thread: &Thread, is_known: bool) -> Vec<OsString> {
        let settings = &self.settings;
        let id = thread.id.clone().unwrap_or_default();
        let built_in: Vec<_> =
            settings.tools.iter().map(String::as_str).filter(|tool| !tool.starts_with("mcp__")).collect();
        let fixed = "-p --input-format stream-json --output-format stream-json --verbose \
             --include-partial-messages --permission-mode default --permission-prompt-tool stdio \
             --strict-mcp-config --disable-slash-commands --thinking-display summarized \
             --system-prompt-snapshot off";
        let mut args: Vec<OsString> = fixed.split_whitespace().map(OsString::from).collect();
        let mut add = |name: &str, value: OsString| args.extend([name.into(), value]);
        // A project's own settings can hold commands to run.
        add("--setting-sources", OsString::new());
        add("--model", going.launch.model.clone().into());
        add("--tools", built_in.join(",").into());
        add("--max-turns", settings.max_turns.to_string().into());
        if let Some(effort) = going.effort.and_then(effort) {
            add("--effort", effort.into());
        }
        if let Some(file) = &settings.mcp_config {
            add("--mcp-config", file.into());
        }
        match (thread.seeded, is_known) {
            (true, _) => add("--resume", self.transcript(&going.taken.session.id, &id).into()),
            (false, true) => add("--resume", id.into()),
            (false, false) => add("--session-id", id.into()),
        }
        args
    }
}

fn initialize(settings: &Settings, going: &Going<'_>) -> Value {
    let mut request = json!({"subtype": "initialize"});
    // What this request says of it goes before what the session was made with.
    let system = match (&*going.said.system, &going.taken.session.system_prompt) {
        ("", Some(kept)) => kept,
        (said, _) => said,
    };
    if !system.is_empty() {
        match settings.system_prompt {
            SystemPrompt::Append => request["appendSystemPrompt"] = system.into(),
            SystemPrompt::Replace => request["systemPrompt"] = json!([system]),
        }
    }
    json!({"type": "control_request", "request_id": "begin", "request": request})
}

/// A `control_request` of the CLI's for leave to use a tool, or for something else.
#[derive(Debug, Deserialize)]
struct Leave {
    request_id: String,
    request: Request,
}

#[derive(Debug, Deserialize)]
struct Request {
    subtype: String,
    #[serde(default)]
    tool_name: String,
    #[serde(default)]
    input: Value,
}

/// What comes of the lines of a run.
struct Answering<'a> {
    settings: &'a Settings,
    project: &'a Path,
    /// How long it may be until its next line.
    patience: Duration,
    /// The same, once it has said anything.
    idle: Duration,
    mapping: Mapping,
    telling: &'a mut Telling,
}

impl Answering<'_> {
    async fn hear(&mut self, process: &mut Process, going: &Going<'_>) -> Result<Ended, Failure> {
        loop {
            let line = tokio::select! {
                biased;
                () = going.taken.turn.stopped() => return Ok(Ended::Stopped),
                line = timeout(self.patience, process.next()) => line,
            };
            let silent =
                |_| Failure::new(Kind::UpstreamTimeout, "the Claude Code CLI has said nothing for too long");
            let line = line.map_err(silent)?.map_err(|error| {
                tracing::error!(%error, "the Claude Code CLI cannot be heard");
                broken_off()
            })?;
            self.patience = self.idle;
            let Some(bytes) = line else {
                let complaint = process.complaint();
                tracing::warn!(complaint, "the Claude Code CLI ended without a result");
                return Err(broken_off());
            };
            let Some(line) = Line::read(&bytes) else { continue };
            // A client that reads slowly can be stopped, too.
            let ended = tokio::select! {
                biased;
                () = going.taken.turn.stopped() => return Ok(Ended::Stopped),
                ended = self.line(&bytes, line, process) => ended?,
            };
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }

    /// Asks the CLI to stop, and waits a moment for it: what it was doing is given up, and paid for. Then it is killed.
    async fn give_up(&mut self, process: &mut Process) {
        process.say(&json!({
            "type": "control_request", "request_id": "stop", "request": {"subtype": "interrupt"},
        }));
        let billed = async {
            while self.telling.bill.is_none()
                && let Ok(Some(bytes)) = process.next().await
            {
                if let Some(line) = Line::read(&bytes) {
                    self.bill(&line);
                }
            }
        };
        let _patience = timeout(TILL_STOPPED, billed).await;
        process.hang_up();
        if timeout(TILL_KILLED, process.exit()).await.is_err() {
            process.kill();
        }
    }

    /// Notes what the turn has taken, where `line` is its last.
    fn bill(&mut self, line: &Line) {
        if line.kind == "result" && line.parent_tool_use_id.is_none() {
            let cost = line.total_cost_usd.unwrap_or_default();
            self.telling.bill = Some(Bill { cost, usage: self.mapping.usage(line) });
        }
    }

    async fn line(
        &mut self,
        bytes: &[u8],
        mut line: Line,
        process: &Process,
    ) -> Result<Option<Ended>, Failure> {
        if line.kind == "control_request" {
            if let Ok(leave) = serde_json::from_slice::<Leave>(bytes) {
                process.say(&self.grant(&leave));
            }
            return Ok(None);
        }
        if line.kind == "result" && line.knows_no_conversation() && !self.mapping.begun() {
            return Ok(Some(Ended::Lost));
        }
        // As many turns as it may have: what it has said is an answer, cut short.
        let cut = line.kind == "result" && line.subtype.as_deref() == Some("error_max_turns");
        if cut {
            line.subtype = Some("success".to_owned());
            line.is_error = false;
        }
        self.bill(&line);
        let mut events = Vec::new();
        let next = self.mapping.hear(&line, &mut events);
        if line.kind == "assistant" && line.parent_tool_use_id.is_none() {
            events.extend(self.activity(&line));
        }
        self.telling.say(events).await?;
        Ok(match next? {
            Next::End(done) if cut => Some(Ended::Well(Done { stop: Stop::MaxTokens, ..done }, false)),
            Next::End(done) => Some(Ended::Well(done, false)),
            Next::Line | Next::Tools(_) => None,
        })
    }

    /// What the agent does, as thinking: it is done already, and no client is to do it again.
    fn activity(&self, line: &Line) -> Vec<Event> {
        let message =
            line.message.as_ref().and_then(|message| serde_json::from_str::<Message>(message.get()).ok());
        let mut events = Vec::new();
        for content in message.unwrap_or_default().content {
            let ("tool_use", Some(name)) = (&*content.kind, &content.name) else { continue };
            let input = content.input.and_then(|input| serde_json::from_str(input.get()).ok());
            let line = activity::line(name, &input.unwrap_or(Value::Null), self.project);
            events.extend([Event::Begin(Begin::Thinking), Event::Thinking(line), Event::End]);
        }
        events
    }

    fn grant(&self, leave: &Leave) -> Value {
        let Request { subtype, tool_name, input } = &leave.request;
        let response = if subtype == "can_use_tool" {
            let answer = match permission::refusal(self.settings, self.project, tool_name, input) {
                None => json!({"behavior": "allow", "updatedInput": input}),
                Some(why) => json!({"behavior": "deny", "message": why}),
            };
            json!({"subtype": "success", "request_id": leave.request_id, "response": answer})
        } else {
            json!({"subtype": "error", "request_id": leave.request_id, "error": "not supported here"})
        };
        json!({"type": "control_response", "response": response})
    }
}

/// What a turn has taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bill {
    /// What its session has cost since it began, as the CLI counts. USD.
    pub cost: f64,
    /// Tokens.
    pub usage: Usage,
}

/// What the client hears, and what is kept of it.
pub(super) struct Telling {
    pub(super) out: Out,
    /// The answer's text.
    pub(super) text: String,
    /// What it took, once the CLI has said so.
    pub(super) bill: Option<Bill>,
}

fn left(_: Left) -> Failure {
    Failure::new(Kind::Upstream, "nobody listens")
}

impl Telling {
    pub(super) fn new(out: Out) -> Self {
        Self { out, text: String::new(), bill: None }
    }

    /// Says whose turn this is at once: the model may take longer than the response's head waits.
    pub(super) async fn head(&self, taken: &Taken) -> Result<(), Left> {
        let (session, project) = (taken.session.id.clone(), taken.session.project_id.clone());
        let head = Head { session: Some(session), project: Some(project), ..Head::default() };
        self.out.say(Event::Head(head)).await
    }

    async fn say(&mut self, events: Vec<Event>) -> Result<(), Failure> {
        for event in events {
            let mut between = None;
            match &event {
                // Said already.
                Event::Head(_) => continue,
                // What it says after it has used a tool is another paragraph, also where texts are put together.
                Event::Begin(Begin::Text) if !self.text.is_empty() && !self.text.ends_with('\n') => {
                    between = Some("\n\n".to_owned());
                }
                Event::Text(text) if self.text.len() < ANSWER => self.text.push_str(text),
                _ => {}
            }
            self.out.say(event).await.map_err(left)?;
            if let Some(between) = between {
                self.text.push_str(&between);
                self.out.say(Event::Text(between)).await.map_err(left)?;
            }
        }
        Ok(())
    }
}
