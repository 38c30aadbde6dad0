//! `input`: items of a conversation, and the turns that they make.

use super::kept::Kept;
use super::parts::{MOST_ITEMS, blocks, refuse};
use super::seal::Thought;
use crate::upstream::Caller;
use crate::upstream::bridge::Failure;
use crate::upstream::bridge::ask::{Block, Part, Prompt, Role, Turn, Warnings};
use crate::upstream::bridge::door::conversation::Conversation;
use crate::upstream::bridge::door::fields::{self, Field, Object, Shape};
use crate::upstream::bridge::door::parameters::{self, Rule};

/// What the items say.
pub(super) struct Said<'a> {
    /// The conversation so far.
    all: Conversation,
    /// Whether the latest item was the model's: thinking, text and calls of one answer are items of their own.
    is_answer: bool,
    kept: &'a Kept,
    caller: &'a Caller,
}

/// Where an item comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The request.
    Client,
    /// A response that is kept here.
    Shelf,
}

impl<'a> Said<'a> {
    /// Nothing so far. `elsewhere` is whether the client names a conversation.
    pub(super) fn new(kept: &'a Kept, caller: &'a Caller, elsewhere: bool) -> Self {
        let all = Conversation::new("a function_call_output with the call_id", elsewhere);
        Self { all, is_answer: false, kept, caller }
    }

    /// The instructions before the first turn, and the turns.
    pub(super) fn finish(self) -> Result<(Vec<Prompt>, Vec<Turn>), Failure> {
        self.all.finish()
    }

    /// Hears the conversation up to the response of this id.
    pub(super) fn replay(&mut self, id: &Field<'_>) -> Result<(), Failure> {
        let chain = self.kept.chain(self.caller, &id.text()?);
        let chain =
            chain.map_err(|failure| Failure { param: Some(id.place().to_owned().into()), ..failure })?;
        // What is to be said of these items was said when they came.
        let mut rule = Rule { lenient: true, warnings: Warnings::default() };
        for earlier in chain {
            let mut items = fields::value(id.place(), &earlier.items)?.object()?;
            for list in ["input", "output"] {
                let items = items.take(list).map(|items| items.list(MOST_ITEMS)).transpose()?;
                for item in items.unwrap_or_default() {
                    self.item(item, &mut rule, Origin::Shelf)?;
                }
            }
        }
        Ok(())
    }

    /// Hears `input`.
    pub(super) fn hear(&mut self, input: &Field<'_>, rule: &mut Rule) -> Result<(), Failure> {
        match input.shape() {
            Shape::Text => {
                let text = vec![Block::Text(input.text()?)];
                self.add(Role::User, text, &mut rule.warnings)
            }
            Shape::List => {
                let mut items = input.list(MOST_ITEMS)?.into_iter();
                items.try_for_each(|item| self.item(item, rule, Origin::Client))
            }
            _ => Err(input.wrong("a string or a list of items")),
        }
    }

    fn item(&mut self, field: Field<'_>, rule: &mut Rule, from: Origin) -> Result<(), Failure> {
        let mut item = field.object()?;
        let kind = match item.text("type")? {
            Some(kind) => kind,
            None if item.has("role") => "message".to_owned(),
            None => "item_reference".to_owned(),
        };
        if kind == "item_reference" {
            return self.reference(&mut item, rule, from);
        }
        item.take("id");
        let status = item.text("status")?;
        match kind.as_str() {
            "message" => self.message(&mut item, rule)?,
            "function_call" => {
                let call = self.call(&mut item);
                // The bound on the answer may have cut its last call.
                if from == Origin::Shelf && status.as_deref() == Some("incomplete") && call.is_err() {
                    return Ok(());
                }
                let call = call?;
                self.add(Role::Assistant, vec![call], &mut rule.warnings)?;
            }
            "function_call_output" => {
                let result = self.output(&mut item, rule)?;
                self.add(Role::User, vec![result], &mut rule.warnings)?;
            }
            "reasoning" => self.reasoning(&mut item, rule)?,
            _ => {
                let message = format!("an item of type {kind:?} cannot be had here");
                return refuse(item.place(), &message, rule);
            }
        }
        item.finish(&mut rule.warnings);
        Ok(())
    }

    /// Adds to the latest turn what is a part of it, and begins another with what is not. Empty text is nothing.
    fn add(&mut self, role: Role, mut blocks: Vec<Block>, warnings: &mut Warnings) -> Result<(), Failure> {
        blocks.retain(|block| !matches!(block, Block::Text(text) if text.is_empty()));
        if blocks.is_empty() {
            return Ok(());
        }
        let parts = blocks.into_iter().map(Part::from).collect();
        let is_answer = role == Role::Assistant;
        if is_answer && self.is_answer {
            self.all.go_on(parts);
        } else {
            self.all.say(role, parts, warnings);
        }
        self.is_answer = is_answer;
        Ok(())
    }

    /// The model says something: the calls of its turn before have their results by now.
    fn answers(&self) -> Result<(), Failure> {
        if self.is_answer { Ok(()) } else { self.all.settled() }
    }

    fn message(&mut self, item: &mut Object<'_>, rule: &mut Rule) -> Result<(), Failure> {
        const ROLES: &str = "one of user, assistant, system, developer";
        let role = item.need("role", ROLES)?;
        let role = match role.text()?.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" | "developer" => Role::System,
            word => return Err(role.unknown(word, ROLES)),
        };
        if role == Role::Assistant {
            self.answers()?;
        }
        let blocks = blocks(&item.need("content", "a string or a list of parts")?, role, rule)?;
        // Whether it came before the last word or was it: for people.
        item.take("phase");
        self.add(role, blocks, &mut rule.warnings)
    }

    /// Thinking. Without its seal, it is only what it says.
    fn reasoning(&mut self, item: &mut Object<'_>, rule: &mut Rule) -> Result<(), Failure> {
        self.answers()?;
        let mut texts = Vec::new();
        for (list, kind) in [("summary", "summary_text"), ("content", "reasoning_text")] {
            let parts = item.take(list).map(|parts| parts.list(MOST_ITEMS)).transpose()?;
            for part in parts.unwrap_or_default() {
                let mut part = part.object()?;
                let found = part.need("type", kind)?;
                if found.text()? != kind {
                    return Err(found.unknown(&found.text()?, kind));
                }
                texts.push(part.need("text", "a string")?.text()?);
                part.finish(&mut rule.warnings);
            }
        }
        let sealed = item.take("encrypted_content");
        let thought = sealed.as_ref().map(Field::text).transpose()?;
        let thought = thought.and_then(|sealed| self.kept.seal().open(self.caller, &sealed));
        if let (Some(sealed), None) = (&sealed, &thought) {
            rule.warnings.dropped(fields::without_indices(sealed.place()));
        }
        let block = match thought {
            Some(Thought::Signed { text, signature }) => Block::Thinking { text, signature: Some(signature) },
            Some(Thought::Redacted(data)) => Block::Redacted(data),
            None if texts.is_empty() => return Ok(()),
            None => Block::Thinking { text: texts.join("\n\n"), signature: None },
        };
        self.add(Role::Assistant, vec![block], &mut rule.warnings)
    }

    /// An item of an earlier response, by its id.
    fn reference(&mut self, item: &mut Object<'_>, rule: &mut Rule, from: Origin) -> Result<(), Failure> {
        let id = item.need("id", "the id of an item")?;
        let name = id.text()?;
        let Some(json) = find(self.kept, self.caller, &name) else {
            return Err(id.unknown(&name, "the id of an item of a response that is kept here"));
        };
        let found = fields::value(id.place(), &json)?;
        if fields::value(id.place(), &json)?.object()?.text("type")?.as_deref() == Some("item_reference") {
            // One that is kept was found when it came.
            let wrong = id.unknown(&name, "the id of an item, and not of a reference to one");
            return if from == Origin::Client { Err(wrong) } else { Ok(()) };
        }
        self.item(found, rule, Origin::Shelf)
    }

    fn call(&mut self, item: &mut Object<'_>) -> Result<Block, Failure> {
        self.answers()?;
        let id = item.need("call_id", "the id of the call")?;
        let name = parameters::tool_name(&item.need("name", "the name of a tool")?)?;
        let arguments = item.need("arguments", "a JSON object in a string")?;
        let input = fields::inner_object(arguments.place(), &arguments.text()?)?;
        Ok(Block::ToolUse { id: self.all.call(item.place(), &id)?, name, input })
    }

    fn output(&mut self, item: &mut Object<'_>, rule: &mut Rule) -> Result<Block, Failure> {
        let id = self.all.result(&item.need("call_id", "the id of a call")?)?;
        let content = blocks(&item.need("output", "a string or a list of parts")?, Role::User, rule)?;
        // Some clients repeat the tool's name; the id says it all.
        item.take("name");
        Ok(Block::ToolResult { id, content, is_error: false })
    }
}

/// The item of this id, in JSON. The id says of which response, and where in it: see [`super::object::item_id`].
fn find(kept: &Kept, caller: &Caller, id: &str) -> Option<String> {
    let (_, place) = id.split_once('_')?;
    let (response, place) = place.split_at_checked(place.find(['i', 'o'])?)?;
    let (list, at) = place.split_at_checked(1)?;
    let at = usize::from_str_radix(at, 16).ok()?;
    let earlier = kept.find(caller, &format!("resp_{response}")).ok()?;
    let mut items = fields::object(earlier.items.as_bytes()).ok()?;
    let items = items.take(if list == "i" { "input" } else { "output" })?.list(MOST_ITEMS).ok()?;
    items.get(at).map(|item| item.raw().get().to_owned())
}
