//! Takes system prompts out of a body, without reading more of it than where they stand.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// Members that are a system prompt as a whole, in one API or another.
const PROMPTS: [&str; 4] = ["system", "instructions", "systemInstruction", "system_instruction"];
/// Members that are lists of messages.
const LISTS: [&str; 2] = ["messages", "input"];
/// Whose messages are system prompts.
const ROLES: [&str; 2] = ["system", "developer"];

/// The request without its system prompts; `None` where it is no object.
pub(super) fn take_out_of_request(body: &RawValue) -> Option<Box<RawValue>> {
    let mut members: Members<'_> = serde_json::from_str(body.get()).ok()?;
    members.0.retain(|(name, _)| !PROMPTS.contains(&&**name));
    for (name, value) in &mut members.0 {
        if LISTS.contains(&&**name)
            && let Some(rest) = without_prompts(value)
        {
            *value = Cow::Owned(rest);
        }
    }
    to_raw_value(&members).ok()
}

/// The response without the system prompt that it repeats; `None` where it is no object.
pub(super) fn take_out_of_response(body: &RawValue) -> Option<Box<RawValue>> {
    let mut members: Members<'_> = serde_json::from_str(body.get()).ok()?;
    members.0.retain(|(name, _)| name != "instructions");
    to_raw_value(&members).ok()
}

fn without_prompts(list: &RawValue) -> Option<Box<RawValue>> {
    let messages: Vec<&RawValue> = serde_json::from_str(list.get()).ok()?;
    let rest: Vec<_> = messages.into_iter().filter(|message| !is_prompt(message)).collect();
    to_raw_value(&rest).ok()
}

fn is_prompt(message: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        role: Cow<'a, str>,
    }
    serde_json::from_str::<Message<'_>>(message.get()).is_ok_and(|message| ROLES.contains(&&*message.role))
}

/// An object as it was written: its members in their order, none read.
struct Members<'a>(Vec<(String, Cow<'a, RawValue>)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Collect)
    }
}

struct Collect;

impl<'de> Visitor<'de> for Collect {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            members.push((name, Cow::Borrowed(value)));
        }
        Ok(Members(members))
    }
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
