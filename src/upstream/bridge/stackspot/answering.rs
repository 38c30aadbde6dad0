//! One answer: asked for, read as it comes, judged, and asked for once more where it is not what it should be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;

use super::super::ask::{Block, Format, ToolChoice, Turn};
use super::super::cut::{Cut, TOKEN};
use super::super::event::{Done, Head, Stop, Usage};
use super::super::tools::{self, Reading, Verdict};
use super::super::{Ask, Failure, Kind, Out};
use super::Stackspot;
use super::calling::Call;
use super::conversations::Place;
use super::settings::{Conversation, Repair};
use super::stream::{Ending, Stream};
use super::telling::Telling;
use crate::body::Body;

/// How long, and how many frames, an answer that is over is still listened to, so that its connection can be used again.
const REST: Duration = Duration::from_secs(1);
const REST_FRAMES: usize = 16;

/// What has been read of an agent.
struct Read {
    /// Why it ended.
    stop: Stop,
    /// What it took.
    usage: Usage,
    /// Whether it is what was asked for. None where it was ended early, and so cannot be judged.
    verdict: Option<Verdict>,
    /// What it rests on, and more.
    ending: Ending,
    /// Whether Stackspot has it as the client has.
    whole: bool,
}

impl Stackspot {
    /// Answers `ask` at `out`.
    pub(super) async fn give(self: Arc<Self>, mut ask: Ask, out: Out) -> Result<(), Failure> {
        let Some(agent) = self.agents.get(&ask.id) else {
            return Err(Failure::new(Kind::UnknownModel, "no agent has this model's name"));
        };
        let patience = if ask.stream { self.patience.0 } else { self.patience.1 };
        let deadline = Instant::now() + patience;
        inline(&mut ask.turns);
        let place = self.place(&ask);
        let new = ask.turns.get(place.as_ref().map_or(0, |place| place.from)..).unwrap_or(&ask.turns);
        let uploads = self.files.ids(new, &self.tokens).await?;
        let mut call = Call {
            agent,
            model: &ask.model,
            conversation: place.as_ref().map(|place| place.id.as_str()),
            uploads: &uploads,
            deadline,
        };
        let mut telling = Telling::new(out, self.holds(&ask), place.is_some());
        let prompt = tools::prompt(&ask, new, agent.tool_style);
        telling.head(Head { conversation: ask.conversation.clone(), ..Head::default() }).await?;
        let mut read = self.read(&ask, &call, &prompt, &mut telling).await?;
        if let Some(follow_up) = self.again(&read, &telling) {
            let prompt = if place.is_some() { follow_up } else { format!("{prompt}\n\n{follow_up}") };
            telling.forget();
            call.deadline = Instant::now() + patience;
            telling.warn("repaired").await?;
            let first = read.usage;
            read = self.read(&ask, &call, &prompt, &mut telling).await?;
            read.usage = both(first, read.usage);
        }
        self.judge(&ask, &mut read, &mut telling).await?;
        let answer =
            telling.all(&read.ending, self.sources_footer && matches!(ask.format, Format::Text)).await?;
        if let (Some(place), true) = (place, read.whole) {
            place.answered(&answer);
        }
        telling.done(done(read)).await
    }

    fn place(&self, ask: &Ask) -> Option<Place<'_>> {
        let agent = self.agents.get(&ask.id)?;
        if self.conversation(agent) == Conversation::Stateless {
            return None;
        }
        let name = ask.conversation.as_deref().filter(|name| !name.is_empty())?;
        Some(self.conversations.enter(ask, name, &agent.agent_id))
    }

    /// Whether the client hears of the answer only once it has been judged: where nothing goes out before anyhow, and
    /// where the whole of it may turn out to be of no use.
    fn holds(&self, ask: &Ask) -> bool {
        let forced = matches!(ask.choice, ToolChoice::Required | ToolChoice::Named(_));
        let formed = !matches!(ask.format, Format::Text);
        self.repair != Repair::Pass && (!ask.stream || forced || formed)
    }

    /// What to say to the agent for a better answer, if it can still have another try.
    fn again(&self, read: &Read, telling: &Telling) -> Option<String> {
        match &read.verdict {
            Some(Verdict::Unmet { follow_up, .. }) if self.repair == Repair::Repair && telling.holds() => {
                Some(follow_up.clone())
            }
            _ => None,
        }
    }

    /// Whether the answer can be told as it is.
    async fn judge(&self, ask: &Ask, read: &mut Read, telling: &mut Telling) -> Result<(), Failure> {
        let Some(Verdict::Unmet { kind, why, damaged, .. }) = &read.verdict else { return Ok(()) };
        let forced = matches!(ask.choice, ToolChoice::Required | ToolChoice::Named(_));
        // A tool's input that its schema does not allow: the client can tell the model, which is better than nothing.
        // But it cannot see that half of an input is missing.
        let harmless = *kind == Kind::ToolChoiceUnmet && !forced && !damaged;
        match self.repair {
            Repair::Error => return Err(Failure::new(*kind, why)),
            Repair::Repair if *damaged || telling.holds() && !harmless => {
                return Err(Failure::new(*kind, why));
            }
            _ => {}
        }
        if *damaged {
            read.stop = Stop::MaxTokens;
        }
        telling.warn(kind.code()).await
    }

    async fn read(
        &self,
        ask: &Ask,
        call: &Call<'_>,
        prompt: &str,
        telling: &mut Telling,
    ) -> Result<Read, Failure> {
        let mut body = self.call(call, prompt).await?;
        let mut stream = Stream::new(call.model);
        let mut reading = Reading::new(ask, call.agent.tool_style, &super::random_name());
        let mut cut = Cut::new(ask);
        let mut written = 0;
        let mut early = None;
        while !stream.is_over() && early.is_none() && !reading.over() {
            let frame =
                tokio::time::timeout(self.idle_timeout, body.frame()).await.map_err(|_| self.silent())?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|_| Failure::new(Kind::Upstream, "the agent's answer broke off"))?;
            let mut text = String::new();
            let heard = frame.data_ref().map_or(Ok(()), |data| stream.hear(data, &mut text));
            written += text.len() as u64;
            early = telling.hear(reading.hear(&text), &mut cut).await?;
            heard.map_err(|failure| self.limited(failure))?;
        }
        let mut text = String::new();
        // Where it is ended here, dropping the body closes the connection, and so ends the agent's work.
        let ending = if early.is_some() || reading.over() {
            drop(body);
            None
        } else {
            self.listen_on(body);
            Some(stream.finish(&mut text).map_err(|failure| self.limited(failure))?)
        };
        written += text.len() as u64;
        let mut events = reading.hear(&text);
        let (rest, verdict) = reading.finish();
        events.extend(rest);
        if early.is_none() {
            early = telling.hear(events, &mut cut).await?;
        }
        for warning in reading.warnings() {
            telling.warn(warning).await?;
        }
        let whole = ending.is_some() && early.is_none();
        let ending = ending.unwrap_or_default();
        let stop = early.clone().unwrap_or_else(|| stop(&ending, reading.calls() > 0));
        // Of what was cut off, nobody can say whether it would have been right.
        let judged = early.is_none() && matches!(stop, Stop::EndTurn | Stop::ToolUse);
        Ok(Read {
            usage: usage(&ending, prompt, call.uploads.len(), written),
            verdict: judged.then_some(verdict),
            stop,
            ending,
            whole,
        })
    }

    /// `failure`, which may be a limit of requests told in the midst of an answer.
    fn limited(&self, failure: Failure) -> Failure {
        if failure.kind == Kind::RateLimit { failure.after(self.limiter.refused(None)) } else { failure }
    }

    /// Hears a complete answer's end out, for a while.
    fn listen_on(&self, mut body: Body) {
        self.tasks.spawn(async move {
            let rest = async {
                for _ in 0..REST_FRAMES {
                    if !matches!(body.frame().await, Some(Ok(_))) {
                        break;
                    }
                }
            };
            // What then still comes is not worth the connection.
            let _ = tokio::time::timeout(REST, rest).await;
        });
    }
}

/// `stop_reason`, where it says more than that the answer is over.
fn stop(ending: &Ending, calls: bool) -> Stop {
    match ending.stop.as_deref().map(str::to_ascii_lowercase).as_deref() {
        Some("length" | "max_tokens" | "max_output_tokens") => Stop::MaxTokens,
        Some("content_filter" | "content_filtered" | "refusal" | "guardrail_intervened") => Stop::Refusal,
        _ if calls => Stop::ToolUse,
        _ => Stop::EndTurn,
    }
}

fn done(read: Read) -> Done {
    let refusal = (read.stop == Stop::Refusal)
        .then(|| "The answer was stopped by Stackspot's content filter.".to_owned());
    Done { stop: read.stop, usage: read.usage, refusal, cost: None }
}

/// What Stackspot says it took, and a guess where it does not.
fn usage(ending: &Ending, prompt: &str, uploads: usize, written: u64) -> Usage {
    /// Of a picture or file, which nobody has seen the inside of.
    const FILE: u64 = 1600;
    let guess = (prompt.len() as u64).div_ceil(TOKEN) + FILE * uploads as u64;
    // Nothing is written without having tokens: it was not counted.
    let output = ending.output.filter(|output| *output > 0 || written == 0);
    Usage {
        input: ending.input.unwrap_or(guess),
        output: output.unwrap_or(written.div_ceil(TOKEN)),
        estimated: ending.input.is_none() || output.is_none(),
        ..Usage::default()
    }
}

fn both(first: Usage, second: Usage) -> Usage {
    Usage {
        input: first.input.saturating_add(second.input),
        output: first.output.saturating_add(second.output),
        estimated: first.estimated || second.estimated,
        ..second
    }
}

/// Documents that are text stand in the prompt.
pub(super) fn inline(turns: &mut [Turn]) {
    fn write(block: &mut Block) {
        match block {
            Block::Document { source: super::super::ask::Source::Text(text), title } => {
                let title = title.as_deref().map_or_else(String::new, |title| format!("{title}:\n"));
                *block = Block::Text(format!("{title}{text}"));
            }
            Block::ToolResult { content, .. } => content.iter_mut().for_each(write),
            _ => {}
        }
    }
    turns.iter_mut().flat_map(|turn| &mut turn.parts).for_each(|part| write(&mut part.block));
}
