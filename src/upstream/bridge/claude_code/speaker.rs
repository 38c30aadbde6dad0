//! What of the CLI's events goes to the client, and when: stop sequences, the tool that has to be used, one call only.

use super::turn::{Over, is_head, is_whole};
use crate::upstream::bridge::ask::{Ask, Format, ToolChoice};
use crate::upstream::bridge::cut::{Cut, TOKEN};
use crate::upstream::bridge::event::{Answer, Begin, Done, Event, Left, Stop, Usage};
use crate::upstream::bridge::{Failure, Kind, Out};

/// Says the events of one answer.
pub(super) struct Speaker {
    out: Out,
    cut: Cut,
    /// What was said.
    answer: Answer,
    /// What waits until the tool that has to be used is.
    held: Option<Vec<Event>>,
    json: bool,
    parallel: bool,
    /// Whether calls were left out, and one is being left out.
    calls: Calls,
    head: bool,
    /// Tokens of attempts that came to nothing.
    spent: Usage,
}

#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    said: usize,
    omitted: usize,
    omitting: bool,
}

impl Speaker {
    /// Says at `out` what `ask` wants to hear.
    pub(super) fn new(ask: &Ask, out: Out) -> Self {
        Self {
            out,
            cut: Cut::at_stops(ask),
            answer: Answer::default(),
            held: matches!(ask.choice, ToolChoice::Required | ToolChoice::Named(_)).then(Vec::new),
            json: matches!(ask.format, Format::Json),
            parallel: ask.parallel,
            calls: Calls::default(),
            head: false,
            spent: Usage::default(),
        }
    }

    /// Says `event`. Where that is where the answer ends, tells why.
    pub(super) async fn say(&mut self, event: Event) -> Result<Option<Stop>, Left> {
        if is_head(&event) && std::mem::replace(&mut self.head, true) {
            return Ok(None);
        }
        if self.omits(&event) {
            return Ok(None);
        }
        let alive = matches!(event, Event::Alive | Event::Warning(_) | Event::Head(_));
        if let Some(held) = self.held.as_mut().filter(|_| !alive) {
            let met = matches!(event, Event::Begin(Begin::Tool { .. }));
            held.push(event);
            if met {
                for event in self.held.take().unwrap_or_default() {
                    // Stop sequences are of no interest any more where a tool was called.
                    self.out(event).await?;
                }
            }
            return Ok(None);
        }
        let heard = self.cut.hear(event);
        for event in heard.events {
            self.out(event).await?;
        }
        Ok(heard.over)
    }

    /// Whether `event` is part of a call that is one too many.
    fn omits(&mut self, event: &Event) -> bool {
        match event {
            Event::Begin(Begin::Tool { .. }) if !self.parallel && self.calls.said > 0 => {
                self.calls.omitted += 1;
                self.calls.omitting = true;
            }
            Event::Begin(Begin::Tool { .. }) => self.calls.said += 1,
            Event::End => return std::mem::take(&mut self.calls.omitting),
            _ => {}
        }
        self.calls.omitting && !matches!(event, Event::Alive | Event::Warning(_))
    }

    async fn out(&mut self, event: Event) -> Result<(), Left> {
        self.answer.hear(&event);
        self.out.say(event).await
    }

    /// Whether the client has heard any of the answer.
    pub(super) fn has_spoken(&self) -> bool {
        !self.answer.blocks.is_empty()
    }

    /// What was said, if it is all that the model said.
    pub(super) fn answer(&self) -> Option<&Answer> {
        (self.calls.omitted == 0).then_some(&self.answer)
    }

    /// Whether an answer that ends like this is what was asked for.
    pub(super) fn check(&self, done: &Done) -> Result<(), Over> {
        if self.held.is_some() && done.stop != Stop::Refusal {
            return Err(Over::Unmet(done.usage));
        }
        let is_object = |text: &str| serde_json::from_str::<serde_json::Map<_, _>>(text).is_ok();
        if self.json && is_whole(&done.stop) && !is_object(&self.answer.text()) {
            let failure = Failure::new(Kind::FormatUnmet, "the model's answer is not a JSON object");
            return Err(Over::Failed(failure));
        }
        Ok(())
    }

    /// What was held comes to nothing.
    pub(super) fn forget(&mut self) {
        if let Some(held) = &mut self.held {
            held.clear();
        }
        self.calls = Calls::default();
    }

    /// What was held comes to nothing; another attempt follows, and the client is told so.
    pub(super) async fn again(&mut self, spent: Usage) -> Result<(), Left> {
        self.forget();
        self.spent = spent;
        self.out(Event::Warning("tool_choice=retried".to_owned())).await
    }

    /// A guess at the tokens of an answer that was cut short: those of the output are counted at its end only.
    pub(super) fn guess(&self, spent: Usage) -> Usage {
        let bytes: usize = self.answer.text().len();
        let output = spent.output.max((bytes as u64).div_ceil(TOKEN));
        Usage { output, estimated: true, ..spent }
    }

    /// The answer is complete.
    pub(super) async fn done(&mut self, mut done: Done) -> Result<(), Left> {
        for event in self.held.take().unwrap_or_default() {
            self.out(event).await?;
        }
        done.usage = super::mapping::add(self.spent, done.usage);
        self.out(Event::Done(done)).await
    }
}
