//! An item: of the input, or of the output.

use std::borrow::Cow;
use std::sync::Arc;

use perimeter_interceptor::{CallId, Media, Part, Role, ToolUse, Turn};
use serde::de::{MapAccess, SeqAccess};
use serde_json::value::RawValue;

use super::kind::{Kind, Tool};
use super::outcome;
use super::piece::Content;
use crate::dialect::json::{self, Room, Str, Take};
use crate::dialect::tool_result;

/// It stands for the item that has this id, which is told beside it.
const REFERENCE: &str = "item_reference";

/// An item, as far as it was read.
pub(super) struct Item<'de, 'r> {
    call: CallId,
    room: &'r Room,
    kind: Option<Cow<'de, str>>,
    id: Option<Cow<'de, str>>,
    call_id: Option<Cow<'de, str>>,
    role: Option<Cow<'de, str>>,
    status: Option<Cow<'de, str>>,
    name: Option<Cow<'de, str>>,
    /// Its texts and media, in the order in which they are written.
    content: Vec<Part>,
    /// The input of a tool: a text, or JSON as it is written.
    input: Option<Cow<'de, str>>,
    /// A field that is the only one of the input, and its name.
    inner: Option<(&'static str, &'de RawValue)>,
    /// What a tool brought, where that is neither text nor media.
    results: Option<&'de RawValue>,
    has_output: bool,
    error: Option<Cow<'de, str>>,
    /// A picture that was made, and its format.
    picture: Option<Cow<'de, str>>,
    format: Option<Cow<'de, str>>,
    failed: bool,
    hosted: bool,
    action: Action<'de>,
}

/// What a search of the web did.
#[derive(Debug, Default)]
struct Action<'de> {
    kind: Option<Cow<'de, str>>,
    sources: Option<&'de RawValue>,
}

impl<'de, 'r> Item<'de, 'r> {
    pub(super) fn new(call: CallId, room: &'r Room) -> Self {
        Self {
            call,
            room,
            kind: None,
            id: None,
            call_id: None,
            role: None,
            status: None,
            name: None,
            content: Vec::new(),
            input: None,
            inner: None,
            results: None,
            has_output: false,
            error: None,
            picture: None,
            format: None,
            failed: false,
            hosted: false,
            action: Action::default(),
        }
    }

    /// Whether anything of it was read.
    pub(super) fn has_begun(&self) -> bool {
        self.kind.is_some() || self.role.is_some() || !self.content.is_empty()
    }

    /// Whether it is a search of the web, not a look at one of its pages.
    pub(super) fn is_search(&self) -> bool {
        let searches = self.action.kind.as_deref().is_none_or(|kind| kind == "search");
        self.kind.as_deref() == Some("web_search_call") && searches
    }

    /// The turn that it is. Where the body broke off in it, it is not `whole`, and no tool is asked for.
    pub(super) fn into_turn(self, whole: bool) -> Turn {
        // An item without a type is a message.
        let word = self.kind.clone().unwrap_or(Cow::Borrowed("message"));
        let kind = Kind::of(&word);
        let role = kind.role(&word, self.role.as_deref());
        let parts = match kind {
            Kind::Message => self.content,
            Kind::Reasoning if self.content.is_empty() => vec![Part::Other(word.into())],
            Kind::Reasoning => self.content,
            Kind::Call(tool) if whole => self.into_use(tool),
            Kind::Call(_) => Vec::new(),
            Kind::Output => self.into_result(),
            Kind::Other => {
                let id = self.id.filter(|_| word == REFERENCE);
                [Some(word), id].into_iter().flatten().map(|word| Part::Other(word.into())).collect()
            }
        };
        Turn::new(role, parts)
    }

    /// The tool that is asked for, and what came of it, where that is told.
    fn into_use(self, tool: Tool) -> Vec<Part> {
        let id = self.tool_id();
        let (name, hosted) = match tool {
            Tool::Named => (self.name.as_deref().unwrap_or_default(), false),
            Tool::Client(name) => (name, false),
            Tool::Either(name) => (name, self.hosted),
            Tool::Hosted(name) => (name, true),
            Tool::Mcp => (self.name.as_deref().unwrap_or_default(), true),
        };
        let mut tool_use = ToolUse::new(self.call, name, self.tool_input(tool));
        tool_use.id.clone_from(&id);
        tool_use.hosted = hosted;
        let mut parts = vec![Part::ToolUse(tool_use.into())];
        if hosted {
            self.push_outcome(id, &mut parts);
        }
        parts
    }

    /// The id by which a result refers to it.
    fn tool_id(&self) -> Option<Arc<str>> {
        let id = self.call_id.as_ref().or(self.id.as_ref());
        id.filter(|id| !id.is_empty()).map(|id| Arc::from(&**id))
    }

    fn tool_input(&self, tool: Tool) -> Arc<str> {
        match (&self.input, self.inner) {
            (Some(input), _) => Arc::from(&**input),
            (None, Some((name, value))) => format!("{{\"{name}\":{}}}", value.get()).into(),
            (None, None) if tool == Tool::Named => Arc::from(""),
            (None, None) => Arc::from("{}"),
        }
    }

    /// What came of a tool that the provider ran.
    fn push_outcome(self, id: Option<Arc<str>>, parts: &mut Vec<Part>) {
        let failed = self.failed || self.error.is_some() || self.status.as_deref() == Some("failed");
        let (mut result, rest) = tool_result(id, failed, self.content);
        if let Some(error) = self.error {
            result.text = outcome::error(&error).into();
        }
        if let Some(found) = self.results.or(self.action.sources)
            && result.text.is_empty()
        {
            result.text = outcome::found(found).into();
        }
        if self.has_output || failed || !result.text.is_empty() {
            parts.push(Part::ToolResult(result));
        }
        parts.extend(rest);
        if let Some(data) = self.picture {
            let mut picture = Media::new("image");
            picture.media_type = self.format.map(|format| format!("image/{format}").into());
            picture.size = data.len() as u64;
            parts.push(Part::Media(picture));
        }
    }

    /// A tool's answer: its texts as the result, and what is no text behind it.
    fn into_result(self) -> Vec<Part> {
        let failed = self.failed || self.status.as_deref() == Some("failed");
        // Of all outputs, this one's own id is that of the call.
        let is_own = self.kind.as_deref() == Some("local_shell_call_output");
        let id = if is_own { self.tool_id() } else { self.call_id.map(Into::into) };
        let (mut result, mut parts) = tool_result(id, failed, self.content);
        if let Some(found) = self.results.filter(|_| result.text.is_empty()) {
            result.text = outcome::found(found).into();
        }
        parts.insert(0, Part::ToolResult(result));
        parts
    }

    fn content<'s>(&'s mut self, thinking: bool) -> Content<'s, 'r> {
        Content { room: self.room, parts: &mut self.content, failed: &mut self.failed, thinking }
    }

    /// Reads what an item of some types has beside what all have.
    fn detail<A: MapAccess<'de>>(&mut self, key: &str, object: &mut A) -> Result<bool, A::Error> {
        match key {
            "action" => {
                let Some(action) = json::raw(object)? else { return Ok(true) };
                json::read(action.get().as_bytes(), &mut self.action);
                self.input = Some(Cow::Borrowed(action.get()));
            }
            "actions" | "operation" => self.input = json::written(object)?,
            "queries" => self.inner = json::raw(object)?.map(|value| ("queries", value)),
            "code" => self.inner = json::raw(object)?.map(|value| ("code", value)),
            "revised_prompt" => self.inner = json::raw(object)?.map(|value| ("revised_prompt", value)),
            "results" | "tools" => self.results = json::raw(object)?,
            "result" => return json::value(object, Str(&mut self.picture)),
            "output_format" => return json::value(object, Str(&mut self.format)),
            "environment" => return json::value(object, Environment(&mut self.hosted)),
            "execution" => {
                let mut word = None;
                let fine = json::value(object, Str(&mut word))?;
                self.hosted = word.as_deref() == Some("server");
                return Ok(fine);
            }
            _ => return json::skip(object),
        }
        Ok(true)
    }
}

impl<'de> Take<'de> for &mut Item<'de, '_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "type" => json::value(&mut object, Str(&mut self.kind))?,
                "id" => json::value(&mut object, Str(&mut self.id))?,
                "call_id" => json::value(&mut object, Str(&mut self.call_id))?,
                "role" => json::value(&mut object, Str(&mut self.role))?,
                "status" => json::value(&mut object, Str(&mut self.status))?,
                "name" => json::value(&mut object, Str(&mut self.name))?,
                "content" => json::value(&mut object, self.content(false))?,
                "summary" => json::value(&mut object, self.content(true))?,
                "output" | "outputs" => json::value(&mut object, Output(self))?,
                "arguments" | "input" => {
                    self.input = json::written(&mut object)?;
                    true
                }
                "error" => {
                    self.error = json::written(&mut object)?;
                    true
                }
                _ => self.detail(&key, &mut object)?,
            };
        }
        Ok(fine)
    }
}

/// Takes what a tool brought: anything but `null`.
struct Output<'s, 'de, 'r>(&'s mut Item<'de, 'r>);

impl<'de, 'r> Output<'_, 'de, 'r> {
    fn content(&mut self) -> Content<'_, 'r> {
        self.0.has_output = true;
        self.0.content(false)
    }
}

impl<'de> Take<'de> for Output<'_, 'de, '_> {
    fn text(mut self, text: Cow<'de, str>) -> bool {
        self.content().text(text)
    }

    fn passing(mut self, text: &str) -> bool {
        self.content().passing(text)
    }

    fn list<A: SeqAccess<'de>>(mut self, list: A) -> Result<bool, A::Error> {
        self.content().list(list)
    }

    fn object<A: MapAccess<'de>>(mut self, object: A) -> Result<bool, A::Error> {
        self.content().object(object)
    }
}

impl<'de> Take<'de> for &mut Action<'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "type" => json::value(&mut object, Str(&mut self.kind))?,
                "sources" => {
                    self.sources = json::raw(&mut object)?;
                    true
                }
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

/// Takes where a shell runs: in a container of the provider's, or at the client's.
struct Environment<'s>(&'s mut bool);

impl<'de> Take<'de> for Environment<'_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            let mut kind = None;
            match &*key {
                "type" => json::value(&mut object, Str(&mut kind))?,
                _ => json::skip(&mut object)?,
            };
            *self.0 |= kind.is_some_and(|kind| kind.starts_with("container"));
        }
        Ok(true)
    }
}

/// Takes a list of items.
pub(super) struct Items<'r, F> {
    pub(super) call: CallId,
    pub(super) room: &'r Room,
    /// Is told of each item, and whether it was read whole.
    pub(super) tell: F,
}

impl<'de, 'r, F: FnMut(Item<'de, 'r>, bool)> Take<'de> for Items<'r, F> {
    fn list<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<bool, A::Error> {
        let mut fine = true;
        loop {
            let mut item = Item::new(self.call, self.room);
            let read = json::element(&mut list, &mut item);
            // An item counts even where the body breaks off in it, and even where it is no object: positions count.
            let is_there = matches!(read, Ok(Some(_))) || read.is_err() && item.has_begun();
            if is_there {
                // A turn, and the part that most items are.
                if self.room.take() && self.room.take() {
                    (self.tell)(item, read.is_ok());
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

/// What `item` says in an answer. What others said, as a compacted conversation repeats it, is no part of it.
pub(super) fn answered(item: Item<'_, '_>, whole: bool) -> Vec<Part> {
    let turn = item.into_turn(whole);
    if matches!(turn.role, Role::User | Role::System) { Vec::new() } else { turn.parts }
}
