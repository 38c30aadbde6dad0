//! OpenAI's Realtime: calls on a socket, of a conversation that is added to between them. Sound is measured, not kept.

use std::borrow::Cow;

use perimeter_interceptor::{CallId, Media, Part, Role, Tool, Turn};
use serde::de::MapAccess;
use serde_json::value::RawValue;

use super::json::{self, Str, Take};
use super::{Prompt, openai_responses};

mod answer;
mod stream;

pub(super) use stream::Stream;

/// So many items are remembered, at most.
const ITEMS: usize = 1024;

/// Reads what a call brings itself. Its items and tools are those of the Responses API.
pub(super) fn read_request(call: CallId, body: &[u8], prompt: &mut Prompt) -> json::Read {
    openai_responses::read_request(call, body, prompt)
}

/// What the client has said since the last call.
#[derive(Debug)]
pub(crate) struct Conversation {
    /// The instructions of the session as they are written, where they are new.
    instructions: Option<String>,
    tools: Vec<Tool>,
    items: Vec<String>,
    /// The sound that was sent, bytes of base64.
    sound: u64,
    held: usize,
    limit: usize,
    /// Whether something is missing.
    cut: bool,
}

impl Conversation {
    /// One of which nothing was said, and at most `limit` bytes are held.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            instructions: None,
            tools: Vec::new(),
            items: Vec::new(),
            sound: 0,
            held: 0,
            limit,
            cut: false,
        }
    }

    /// The client said something of this type that asks for no answer.
    pub(crate) fn add(&mut self, kind: &str, message: &[u8], whole: bool) {
        match kind {
            "session.update" | "conversation.item.create" => self.cut |= !whole,
            "input_audio_buffer.append" => {}
            "input_audio_buffer.clear" => {
                self.sound = 0;
                return;
            }
            _ => return,
        }
        let mut said = Said::default();
        json::read(message, &mut said);
        self.sound += said.audio.map_or(0, |audio| audio.len() as u64);
        if let Some(item) = said.item {
            self.hold(item.get());
        }
        if let Some(session) = said.session {
            let mut update = Session::default();
            json::read(session.get().as_bytes(), &mut update);
            if let Some(tools) = update.tools {
                self.tools = read(CallId(0), &format!("{{\"tools\":{}}}", tools.get())).tools;
            }
            if let Some(instructions) = update.instructions {
                let before = self.instructions.take().map_or(0, |text| text.len());
                self.held -= before;
                if self.has_room(instructions.get().len()) {
                    self.instructions = Some(instructions.get().to_owned());
                }
            }
        }
    }

    /// A call begins: what was said before stands before what the call itself brings.
    pub(crate) fn begin(&mut self, call: CallId, prompt: &mut Prompt) {
        let instructions = self.instructions.take().unwrap_or_else(|| "null".to_owned());
        let items = std::mem::take(&mut self.items).join(",");
        let mut before = read(call, &format!("{{\"instructions\":{instructions},\"input\":[{items}]}}"));
        if self.sound > 0 {
            let mut sound = Media::new("audio");
            sound.size = std::mem::take(&mut self.sound);
            before.turns.push(Turn::new(Role::User, vec![Part::Media(sound)]));
        }
        before.turns.append(&mut prompt.turns);
        prompt.turns = before.turns;
        if prompt.tools.is_empty() {
            prompt.tools.clone_from(&self.tools);
        }
        prompt.partial |= std::mem::take(&mut self.cut);
        self.held = 0;
    }

    /// How many bytes of memory it holds.
    pub(crate) fn held(&self) -> usize {
        let tools = self.tools.iter().map(|tool| {
            size_of::<Tool>() + tool.name.len() + tool.description.as_ref().map_or(0, |text| text.len())
        });
        self.held + tools.sum::<usize>()
    }

    fn hold(&mut self, item: &str) {
        if self.items.len() < ITEMS && self.has_room(item.len()) {
            self.items.push(item.to_owned());
        } else {
            self.cut = true;
        }
    }

    fn has_room(&mut self, bytes: usize) -> bool {
        let fits = self.held + bytes <= self.limit;
        if fits {
            self.held += bytes;
        } else {
            self.cut = true;
        }
        fits
    }
}

fn read(call: CallId, body: &str) -> Prompt {
    let mut prompt = Prompt::default();
    openai_responses::read_request(call, body.as_bytes(), &mut prompt);
    prompt
}

/// What a message of the client brings.
#[derive(Default)]
struct Said<'de> {
    audio: Option<Cow<'de, str>>,
    item: Option<&'de RawValue>,
    session: Option<&'de RawValue>,
}

impl<'de> Take<'de> for &mut Said<'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "audio" => {
                    json::value(&mut object, Str(&mut self.audio))?;
                }
                "item" => self.item = json::raw(&mut object)?,
                "session" => self.session = json::raw(&mut object)?,
                _ => {
                    json::skip(&mut object)?;
                }
            }
        }
        Ok(true)
    }
}

/// What a session is told to be.
#[derive(Default)]
struct Session<'de> {
    instructions: Option<&'de RawValue>,
    tools: Option<&'de RawValue>,
}

impl<'de> Take<'de> for &mut Session<'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "instructions" => self.instructions = json::raw(&mut object)?,
                "tools" => self.tools = json::raw(&mut object)?,
                _ => {
                    json::skip(&mut object)?;
                }
            }
        }
        Ok(true)
    }
}
