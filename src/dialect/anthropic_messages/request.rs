//! What a request says.

use perimeter_interceptor::{CallId, Role, Turn};
use serde::de::{MapAccess, SeqAccess};

use super::block::Content;
use crate::dialect::json::{self, Flag, Name, Read, Room, Take};
use crate::dialect::names::{self, Heard};
use crate::dialect::tools::Tools;
use crate::dialect::{Prompt, role};

/// Reads a request into `prompt`.
pub(in crate::dialect) fn read_request(call: CallId, body: &[u8], prompt: &mut Prompt) -> Read {
    let room = Room::new();
    let mut system = Vec::new();
    let content = Content::of_message(call, &room, &mut system);
    let mut heard = Heard::of(names::ANTHROPIC);
    let read = json::read(body, Request { call, room: &room, system: content, heard: &mut heard, prompt });
    prompt.names = heard.names();
    if !system.is_empty() {
        prompt.turns.insert(0, Turn::new(Role::System, system));
    }
    read
}

struct Request<'p, 'r> {
    call: CallId,
    room: &'r Room,
    system: Content<'p, 'r>,
    heard: &'p mut Heard,
    prompt: &'p mut Prompt,
}

impl<'de> Take<'de> for Request<'_, '_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let Self { call, room, system, heard, prompt } = self;
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "model" => json::value(&mut object, Name(&mut prompt.model))?,
                "stream" => json::value(&mut object, Flag(&mut prompt.streaming))?,
                "system" => json::value(&mut object, Content::of_message(call, room, &mut *system.parts))?,
                "messages" => json::value(&mut object, Messages { call, room, turns: &mut prompt.turns })?,
                "tools" => json::value(&mut object, Tools { room, tools: &mut prompt.tools })?,
                key => heard.member(&mut object, None, key)?,
            };
        }
        Ok(fine)
    }
}

struct Messages<'p, 'r> {
    call: CallId,
    room: &'r Room,
    turns: &'p mut Vec<Turn>,
}

/// Each item of the list is a turn, whatever it is: what was sent and what was read can be told apart by position.
impl<'de> Take<'de> for Messages<'_, '_> {
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let mut fine = true;
        loop {
            let mut turn = Turn::new(role(""), Vec::new());
            let mut has_role = false;
            let message =
                Message { call: self.call, room: self.room, turn: &mut turn, has_role: &mut has_role };
            let read = json::element(&mut list, message);
            // Where the body breaks off, it may have been before an item as well as in it.
            let is_item = match read {
                Ok(read) => read.is_some(),
                Err(_) => has_role || !turn.parts.is_empty(),
            };
            if is_item {
                if self.room.take() {
                    self.turns.push(turn);
                } else {
                    fine = false;
                }
            }
            match read? {
                Some(read) => fine &= read && has_role,
                None => return Ok(fine),
            }
        }
    }
}

struct Message<'s, 'r> {
    call: CallId,
    room: &'r Room,
    turn: &'s mut Turn,
    has_role: &'s mut bool,
}

impl<'de> Take<'de> for Message<'_, '_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "role" => {
                    let mut word = None;
                    let read = json::value(&mut object, json::Str(&mut word))?;
                    if let Some(word) = word {
                        self.turn.role = role(&word);
                        *self.has_role = true;
                    }
                    read
                }
                "content" => {
                    let content = Content::of_message(self.call, self.room, &mut self.turn.parts);
                    json::value(&mut object, content)?
                }
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::dialect::Dialect;
    use crate::dialect::golden;

    fn turns(request: &Value) -> usize {
        let mut prompt = Prompt::default();
        read_request(CallId(0), &serde_json::to_vec(request).unwrap(), &mut prompt);
        prompt.turns.len()
    }

    #[test]
    fn each_item_of_a_golden_request_is_a_turn() {
        for case in golden::cases() {
            let Ok(request) = serde_json::from_slice::<Value>(&case.request) else { continue };
            let Some(items) = request["messages"].as_array() else { continue };
            if case.asked.dialect == Dialect::AnthropicMessages {
                let system = usize::from(
                    request["system"].as_str().map_or(request["system"].is_array(), |text| !text.is_empty()),
                );
                assert_eq!(turns(&request), system + items.len(), "{}", case.dir.display());
            }
        }
    }

    #[test]
    fn blocks_within_blocks_are_read_on_a_small_stack() {
        let nested = |open: &str| format!("{{\"messages\":[{{\"role\":\"user\"{}", open.repeat(500));
        let bodies = [nested(",\"content\":{\"a\":1"), nested(",\"content\":[{\"a\":1")];
        let read = move || {
            for body in &bodies {
                let mut prompt = Prompt::default();
                assert_eq!(read_request(CallId(0), body.as_bytes(), &mut prompt), Read::Broken);
                assert_eq!(prompt.turns.len(), 1);
            }
        };
        std::thread::Builder::new().stack_size(1 << 20).spawn(read).unwrap().join().unwrap();
    }

    proptest! {
        #[test]
        fn each_item_is_a_turn_whatever_it_is(
            items in prop::collection::vec(
                prop::sample::select(vec![
                    json!(null),
                    json!(7),
                    json!("text"),
                    json!([]),
                    json!({}),
                    json!({"role": "user"}),
                    json!({"role": 7, "content": {}}),
                    json!({"role": "user", "content": []}),
                    json!({"content": [null, {"type": "text"}]}),
                    json!({"role": "assistant", "content": "said"}),
                ]),
                0..12,
            ),
        ) {
            prop_assert_eq!(turns(&json!({"messages": items})), items.len());
        }
    }
}
