//! An answer, or what an event of a stream adds to one: they are written alike.

use std::borrow::Cow;

use perimeter_interceptor::{Answer, CallId, Completion, Part};
use serde::de::{MapAccess, SeqAccess};
use serde_json::value::RawValue;

use super::Holds;
use super::message::Message;
use super::usage::usage;
use crate::dialect::failure::Told;
use crate::dialect::json::{self, Number, Room, Str, Take};
use crate::dialect::reader::Answered;

/// The top of an answer, as far as it was read.
pub(super) struct Body<'de, 'r> {
    room: &'r Room,
    pub(super) object: Option<Cow<'de, str>>,
    pub(super) id: Option<Cow<'de, str>>,
    pub(super) model: Option<Cow<'de, str>>,
    pub(super) created: Option<u64>,
    pub(super) fingerprint: Option<Cow<'de, str>>,
    pub(super) tier: Option<Cow<'de, str>>,
    pub(super) choices: Vec<Choice<'de, 'r>>,
    pub(super) usage: Option<&'de RawValue>,
    pub(super) error: Told<'de>,
}

/// One of its choices.
pub(super) struct Choice<'de, 'r> {
    pub(super) index: Option<u64>,
    pub(super) message: Message<'de, 'r>,
    /// What a completion has in place of a message.
    pub(super) text: Option<Cow<'de, str>>,
    pub(super) stop: Option<Cow<'de, str>>,
    pub(super) logprobs: Option<&'de RawValue>,
    /// Moonshot's streams have it here.
    usage: Option<&'de RawValue>,
}

/// Reads a whole answer.
pub(in crate::dialect) fn read_answer(call: CallId, body: &[u8]) -> Answered<'_> {
    read_choices(call, body, Holds::Message)
}

/// Reads a whole answer, whose choices hold this.
pub(in crate::dialect) fn read_choices(call: CallId, body: &[u8], hold: Holds) -> Answered<'_> {
    let room = Room::new();
    let mut answer = Body::new(&room);
    let read = json::read(body, &mut answer);
    let mut completion = Completion::new(call);
    completion.usage = answer.usage().and_then(usage);
    completion.id = answer.id.map(Into::into);
    completion.model = answer.model.map(Into::into);
    completion.tier = answer.tier.map(Into::into);
    for (position, mut choice) in answer.choices.into_iter().enumerate() {
        choice.take_text(hold);
        let index = choice.index.unwrap_or(position as u64).try_into().unwrap_or(u32::MAX);
        let mut answer = Answer::new(index);
        answer.parts = choice.message.into_parts(call, index);
        answer.stop = choice.stop.map(Into::into);
        completion.answers.push(answer);
    }
    Answered { completion, error: answer.error, read }
}

impl<'de, 'r> Body<'de, 'r> {
    /// What was used, wherever it stands.
    pub(super) fn usage(&self) -> Option<&'de RawValue> {
        self.usage.or_else(|| self.choices.iter().find_map(|choice| choice.usage))
    }

    pub(super) fn new(room: &'r Room) -> Self {
        Self {
            room,
            object: None,
            id: None,
            model: None,
            created: None,
            fingerprint: None,
            tier: None,
            choices: Vec::new(),
            usage: None,
            error: Told::default(),
        }
    }
}

impl<'de> Take<'de> for &mut Body<'de, '_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "object" => json::value(&mut object, Str(&mut self.object))?,
                "id" => json::value(&mut object, Str(&mut self.id))?,
                "model" => json::value(&mut object, Str(&mut self.model))?,
                "created" => json::value(&mut object, Number(&mut self.created))?,
                "system_fingerprint" => json::value(&mut object, Str(&mut self.fingerprint))?,
                "service_tier" => json::value(&mut object, Str(&mut self.tier))?,
                "choices" => {
                    json::value(&mut object, Choices { room: self.room, choices: &mut self.choices })?
                }
                "usage" => {
                    self.usage = json::raw(&mut object)?.or(self.usage);
                    true
                }
                "x_groq" => json::value(&mut object, Groq(&mut self.usage))?,
                "error" => json::value(&mut object, &mut self.error)?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}

impl Choice<'_, '_> {
    /// Makes its text that of its message, where it holds no message.
    pub(super) fn take_text(&mut self, hold: Holds) {
        if let Some(text) = self.text.take().filter(|_| hold == Holds::Text) {
            self.message.has_text = true;
            if !text.is_empty() {
                self.message.content.push(Part::Text(text.into()));
            }
        }
    }
}

/// Takes what Groq adds: in a stream, the usage is there.
struct Groq<'s, 'de>(&'s mut Option<&'de RawValue>);

impl<'de> Take<'de> for Groq<'_, 'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "usage" => *self.0 = json::raw(&mut object)?.or(*self.0),
                _ => drop(json::skip(&mut object)?),
            }
        }
        Ok(true)
    }
}

struct Choices<'s, 'de, 'r> {
    room: &'r Room,
    choices: &'s mut Vec<Choice<'de, 'r>>,
}

impl<'de> Take<'de> for Choices<'_, 'de, '_> {
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let mut fine = true;
        loop {
            let message = Message::new(self.room);
            let mut choice =
                Choice { index: None, message, text: None, stop: None, logprobs: None, usage: None };
            let read = json::element(&mut list, &mut choice);
            // A choice counts even where the body breaks off in it.
            if !matches!(read, Ok(None)) {
                if self.choices.len() < super::MOST_CHOICES {
                    self.choices.push(choice);
                } else {
                    fine = false;
                }
            }
            match read? {
                Some(read) => fine &= read,
                None => return Ok(fine),
            }
        }
    }
}

impl<'de> Take<'de> for &mut Choice<'de, '_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "index" => json::value(&mut object, Number(&mut self.index))?,
                "message" | "delta" => json::value(&mut object, &mut self.message)?,
                "text" => json::value(&mut object, Str(&mut self.text))?,
                "finish_reason" => json::value(&mut object, Str(&mut self.stop))?,
                "logprobs" => {
                    self.logprobs = json::raw(&mut object)?;
                    true
                }
                "usage" => {
                    self.usage = json::raw(&mut object)?;
                    true
                }
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}
