//! Takes system prompts out of a body, without reading more of it than where they stand.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::members::Members;

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
