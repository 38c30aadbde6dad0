//! An answer of the CLI, from its first line to its last.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::cli::Cli;
use super::fault;
use super::launch::{self, History, INITIALIZE};
use super::mapping::{Manner, Mapping, Next};
use super::park::{Parked, Waiting};
use super::process::{LineError, Process};
use super::seed;
use super::settings::Settings;
use super::speaker::Speaker;
use super::tools::Server;
use super::wire::Line;
use crate::upstream::bridge::ask::{Ask, Format};
use crate::upstream::bridge::event::{Done, Event, Left, Stop, Usage};
use crate::upstream::bridge::{Failure, Kind, Out};

/// How the CLI answers as a model.
pub(super) struct Turns<'a> {
    /// The CLI.
    pub cli: &'a Cli,
    /// How long it may take, and so on.
    pub settings: &'a Settings,
    /// Processes that wait for tools.
    pub parked: &'a Parked,
}

/// Why nothing more is said.
#[derive(Debug)]
pub(super) enum Over {
    /// Nobody listens.
    Left,
    /// There is no answer, or no more of it.
    Failed(Failure),
    /// The model did not use the tool that it has to. It may be asked again.
    Unmet(Usage),
    /// The CLI did not take the history.
    NoHistory,
}

impl From<Left> for Over {
    fn from(_: Left) -> Self {
        Self::Left
    }
}

impl From<Failure> for Over {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Turns<'_> {
    /// Answers `ask` at `out`, with the model that the CLI calls `model`.
    ///
    /// # Errors
    /// What the client is told.
    pub(super) async fn answer(&self, ask: &Ask, model: &str, out: Out) -> Result<(), Failure> {
        let answer = self.attempts(ask, model, Speaker::new(ask, out));
        match timeout(self.settings.timeout, answer).await {
            Ok(Ok(()) | Err(Over::Left)) => Ok(()),
            Ok(Err(Over::Failed(failure))) => Err(failure),
            Ok(Err(Over::Unmet(_))) => {
                Err(Failure::new(Kind::ToolChoiceUnmet, "the model did not use the tool that it had to"))
            }
            Ok(Err(Over::NoHistory)) => Err(Failure::new(
                Kind::Unavailable,
                "this version of the Claude Code CLI does not take a conversation: update it (claude update)",
            )),
            Err(_) => Err(late("came to no end", self.settings.timeout)),
        }
    }

    async fn attempts(&self, ask: &Ask, model: &str, mut speaker: Speaker) -> Result<(), Over> {
        let mut more = launch::more(ask);
        let over = match self.parked.take(ask) {
            Some((waiting, results)) => match self.go_on(ask, waiting, results, &mut speaker).await {
                // It may have ended while it waited; nothing is lost.
                Err(Over::Failed(failure)) if is_of_the_process(&failure) && !speaker.has_spoken() => {
                    tracing::debug!(%failure, "a process that waited for tools is of no use; a new one takes over");
                    speaker.forget();
                    self.begin(ask, model, &more, &mut speaker).await
                }
                over => over,
            },
            None => self.begin(ask, model, &more, &mut speaker).await,
        };
        let Err(Over::Unmet(spent)) = over else { return over };
        speaker.again(spent).await?;
        more.push(
            "You have answered without a tool before. Answer with a call of a tool this time.".to_owned(),
        );
        self.attempt(ask, model, History::Transcript, &more, &mut speaker).await
    }

    /// A new process answers.
    async fn begin(
        &self,
        ask: &Ask,
        model: &str,
        more: &[String],
        speaker: &mut Speaker,
    ) -> Result<(), Over> {
        if seed::has_thinking(&ask.turns) {
            self.cli.names.look_up(self.cli, model, self.settings.start_timeout).await;
        }
        match self.attempt(ask, model, History::Transcript, more, speaker).await {
            Err(Over::NoHistory) if ask.turns.len() == 1 => {
                self.attempt(ask, model, History::Prompt, more, speaker).await
            }
            over => over,
        }
    }

    /// A process answers that has waited for what the tools say.
    async fn go_on(
        &self,
        ask: &Ask,
        mut waiting: Waiting,
        results: HashMap<String, Value>,
        speaker: &mut Speaker,
    ) -> Result<(), Over> {
        waiting.mapping.again();
        for said in waiting.server.answer(results) {
            waiting.process.say(&said);
        }
        self.listen(ask, waiting, speaker).await
    }

    async fn attempt(
        &self,
        ask: &Ask,
        model: &str,
        history: History,
        more: &[String],
        speaker: &mut Speaker,
    ) -> Result<(), Over> {
        let process = launch::start(self.cli, self.settings, ask, model, history, more)?;
        let manner = Manner { agent: false, structured: matches!(ask.format, Format::Schema(_)) };
        let waiting = Waiting { process, mapping: Mapping::new(manner), server: Server::new(ask) };
        self.listen(ask, waiting, speaker).await
    }

    async fn listen(&self, ask: &Ask, mut waiting: Waiting, speaker: &mut Speaker) -> Result<(), Over> {
        let mut events = Vec::new();
        // Until the turn begins: what else it says is only about how it is set up.
        let mut patience = self.settings.start_timeout;
        loop {
            let line = self.line(&mut waiting.process, patience).await?;
            let Some(line) = Line::read(&line) else { continue };
            match line.kind.as_str() {
                "control_request" => {
                    if let Some(answer) = waiting.server.hear(&line) {
                        waiting.process.say(&answer);
                    }
                    continue;
                }
                "control_response" => {
                    initialized(&line)?;
                    self.cli.names.learn(&line);
                    continue;
                }
                "result" => waiting.process.hang_up(),
                _ => {}
            }
            if line.is_of_a_turn() {
                patience = self.settings.idle_timeout;
            }
            let next = waiting.mapping.hear(&line, &mut events);
            if matches!(&next, Ok(Next::End(done)) if done.stop == Stop::MaxTokens) {
                waiting.process.kill();
            }
            for event in events.drain(..) {
                if let Some(stop) = speaker.say(event).await? {
                    let usage = speaker.guess(waiting.mapping.spent());
                    waiting.process.kill();
                    drop(waiting);
                    return Ok(speaker.done(Done { stop, usage, refusal: None, cost: None }).await?);
                }
            }
            match next {
                Ok(Next::Line) => {}
                Ok(Next::Tools(done)) => return self.tools(ask, waiting, done, speaker).await,
                Ok(Next::End(done)) => {
                    if self.cli.keeps_nothing() {
                        // It would take its time, and its memory, where another could run.
                        waiting.process.kill();
                    }
                    drop(waiting);
                    speaker.check(&done)?;
                    return Ok(speaker.done(done).await?);
                }
                Err(_) if line.knows_no_conversation() && !waiting.mapping.begun() => {
                    return Err(Over::NoHistory);
                }
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    /// The client's tools are next. The process waits for them, if it may.
    async fn tools(
        &self,
        ask: &Ask,
        mut waiting: Waiting,
        done: Done,
        speaker: &mut Speaker,
    ) -> Result<(), Over> {
        speaker.check(&done)?;
        let parked = match speaker.answer() {
            Some(answer) if waiting.server.has(answer) => self.parked.put(ask, answer, waiting),
            // The CLI itself answers calls of what it does not know, and goes on.
            Some(_) => {
                waiting.process.kill();
                None
            }
            None => None,
        };
        let said = speaker.done(done).await;
        if let (Err(Left), Some(parked)) = (&said, parked) {
            self.parked.end(parked);
        }
        Ok(said?)
    }

    async fn line(&self, process: &mut Process, patience: Duration) -> Result<Vec<u8>, Over> {
        match timeout(patience, process.next()).await {
            Ok(Ok(Some(line))) => Ok(line),
            Ok(Ok(None)) => {
                let complaint = process.complaint();
                tracing::warn!(%complaint, "the Claude Code CLI ended before its answer did");
                if complaint.contains("unknown option") {
                    return Err(Over::NoHistory);
                }
                Err(fault::broken_off().into())
            }
            Ok(Err(LineError::Io(error))) => {
                tracing::warn!(%error, "the pipe from the Claude Code CLI broke");
                Err(fault::broken_off().into())
            }
            Ok(Err(LineError::TooLong(error))) => Err(Failure::new(Kind::Upstream, error.to_string()).into()),
            Err(_) => Err(late("said nothing", patience).into()),
        }
    }
}

/// Whether the CLI has taken what it was told at the beginning.
fn initialized(line: &Line) -> Result<(), Failure> {
    match &line.response {
        Some(response)
            if response.subtype == "error" && response.request_id.as_deref() == Some(INITIALIZE) =>
        {
            let reason = response.error.as_ref().and_then(|error| error.as_str()).unwrap_or_default();
            Err(Failure::invalid(
                "response_format",
                format!("the Claude Code CLI does not take this: {reason}"),
            ))
        }
        _ => Ok(()),
    }
}

/// Whether a failure may be that of one process, and not of whom it asks.
fn is_of_the_process(failure: &Failure) -> bool {
    matches!(failure.kind, Kind::Upstream | Kind::UpstreamTimeout)
}

fn late(what: &str, after: Duration) -> Failure {
    let message = format!("the Claude Code CLI {what} within {} s", after.as_secs_f64());
    Failure::new(Kind::UpstreamTimeout, message)
}

/// Whether an answer ended where the model wanted it to.
pub(super) fn is_whole(stop: &Stop) -> bool {
    matches!(stop, Stop::EndTurn | Stop::Sequence(_))
}

/// Whether an event is one that the client must not hear twice.
pub(super) fn is_head(event: &Event) -> bool {
    matches!(event, Event::Head(_))
}
