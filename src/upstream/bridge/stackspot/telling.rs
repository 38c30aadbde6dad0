//! What the client is told of an answer: at once, or when it has been judged.

use super::super::cut::Cut;
use super::super::event::{Answer, Begin, Done, Event, Head, Left, Stop};
use super::super::{Failure, Kind, Out};
use super::stream::Ending;

/// Tells an answer.
#[derive(Debug)]
pub(super) struct Telling {
    out: Out,
    /// What waits to be judged, where the answer has to be.
    held: Option<Vec<Event>>,
    /// All that was told, where somebody wants to know.
    told: Option<Answer>,
    calls: bool,
}

impl Telling {
    /// At `out`. With `holds`, its blocks wait until [`Telling::all`]; with `keeps`, that returns what was told.
    pub(super) fn new(out: Out, holds: bool, keeps: bool) -> Self {
        Self { out, held: holds.then(Vec::new), told: keeps.then(Answer::default), calls: false }
    }

    /// Whether nothing has been told that could not be taken back.
    pub(super) fn holds(&self) -> bool {
        self.held.is_some()
    }

    /// Tells what is known before the first word.
    pub(super) async fn head(&mut self, head: Head) -> Result<(), Failure> {
        self.say(Event::Head(head)).await
    }

    /// Tells `events`, as far as `cut` lets them through. Why the answer ends with them, if it does.
    pub(super) async fn hear(&mut self, events: Vec<Event>, cut: &mut Cut) -> Result<Option<Stop>, Failure> {
        for event in events {
            let heard = cut.hear(event);
            for event in heard.events {
                self.calls |= matches!(event, Event::Begin(Begin::Tool { .. }));
                match &mut self.held {
                    Some(held) => held.push(event),
                    None => self.say(event).await?,
                }
            }
            if heard.over.is_some() {
                return Ok(heard.over);
            }
        }
        Ok(None)
    }

    /// Something is not as the client may think.
    pub(super) async fn warn(&mut self, warning: &str) -> Result<(), Failure> {
        self.say(Event::Warning(warning.to_owned())).await
    }

    /// What is held is of no use: another answer takes its place.
    pub(super) fn forget(&mut self) {
        self.held = self.held.as_ref().map(|_| Vec::new());
        self.calls = false;
    }

    /// Tells what was held, and what it rests on. Returns all that was told, where that is kept.
    pub(super) async fn all(&mut self, ending: &Ending, footer: bool) -> Result<Answer, Failure> {
        for event in self.held.take().unwrap_or_default() {
            self.say(event).await?;
        }
        // Before the list: they are of what the agent said.
        for source in &ending.sources {
            self.say(Event::Citation(source.clone())).await?;
        }
        if footer && !self.calls && !ending.sources.is_empty() {
            for event in [Event::Begin(Begin::Text), Event::Text(list(ending)), Event::End] {
                self.say(event).await?;
            }
        }
        Ok(self.told.take().unwrap_or_default())
    }

    /// Tells how it ended.
    pub(super) async fn done(&mut self, done: Done) -> Result<(), Failure> {
        self.say(Event::Done(done)).await
    }

    async fn say(&mut self, event: Event) -> Result<(), Failure> {
        if let Some(told) = &mut self.told {
            told.hear(&event);
        }
        // Nobody hears of this failure: whoever would is gone.
        self.out.say(event).await.map_err(|Left| Failure::new(Kind::Unavailable, "the client has left"))
    }
}

fn list(ending: &Ending) -> String {
    let mut text = "\n\nSources:".to_owned();
    for source in &ending.sources {
        let name = source.title.as_deref().unwrap_or(&source.id);
        text.push_str("\n- ");
        text.push_str(name);
        if let Some(url) = &source.url {
            text.push_str(": ");
            text.push_str(url);
        }
    }
    text
}
