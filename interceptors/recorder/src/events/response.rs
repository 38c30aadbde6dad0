//! What an answer says, as it was written.

use perimeter_interceptor::{Completion, Operation};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::attributes::Attributes;
use crate::members::Members;

/// Adds the messages, or blocks, of the answer, and the names that the predecessor told some of its facts by.
pub(super) fn add(attributes: &mut Attributes, operation: Operation, completion: &Completion) {
    if matches!(operation, Operation::Chat) && add_choices(attributes, &completion.body).is_some() {
        return;
    }
    let members = Members::of_bytes(&completion.body);
    let told = matches!(operation, Operation::Chat | Operation::TextCompletion | Operation::Retrieval);
    if told {
        let content = members.as_ref().and_then(content).or_else(|| what_was_read(completion));
        attributes.add_some("llm.response.content", content.as_deref());
    }
    if let Some(members) = &members {
        add_plain(attributes, members);
    }
}

/// A chat completion whose every choice has a message.
#[derive(Deserialize)]
struct Chat<'a> {
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
    #[serde(borrow)]
    system_fingerprint: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_sequence: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    message: &'a RawValue,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Refused<'a> {
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
}

/// Adds the same as all that follows here, of what nearly all answers are, in fewer passes.
fn add_choices(attributes: &mut Attributes, body: &[u8]) -> Option<()> {
    // Of a list serde would take the values for the members.
    if !body.starts_with(b"{") || memchr::memmem::find(body, b"\"choices\"").is_none() {
        return None;
    }
    let chat: Chat<'_> = serde_json::from_slice(body).ok()?;
    let first = chat.choices.first()?;
    let refused: Refused<'_> = serde_json::from_str(first.message.get()).ok()?;
    if chat.choices.iter().any(|choice| !choice.message.get().starts_with('{')) {
        return None;
    }
    let messages: Vec<_> = chat.choices.iter().map(|choice| choice.message).collect();
    attributes.add("llm.response.content", &messages);
    attributes.add_some("system_fingerprint", chat.system_fingerprint);
    attributes.add_some("stop_reason", chat.stop_reason);
    attributes.add_some("stop_sequence", chat.stop_sequence);
    attributes.add_some("finish_reason", first.finish_reason);
    attributes.add_some("refusal", refused.refusal);
    Some(())
}

fn content(members: &Members<'_>) -> Option<Box<RawValue>> {
    if let Some(choices) = list(members, "choices") {
        let messages: Vec<_> = choices.iter().filter_map(|choice| message(choice)).collect();
        return to_raw_value(&messages).ok();
    }
    if let Some(candidates) = list(members, "candidates") {
        let contents: Vec<_> = candidates.iter().filter_map(|one| member(one, "content")).collect();
        return to_raw_value(&contents).ok();
    }
    if let Some(blocks) = ["content", "output"].iter().find_map(|name| list(members, name)) {
        return to_raw_value(&blocks).ok();
    }
    content(&Members::of(members.get("response")?.get())?)
}

/// What a choice holds: a message; a text, in legacy completions.
fn message(choice: &RawValue) -> Option<Box<RawValue>> {
    #[derive(Serialize)]
    struct Message<'a> {
        role: &'static str,
        content: &'a RawValue,
    }
    let choice = Members::of(choice.get())?;
    match choice.get("message") {
        Some(message) => Some(message.to_owned()),
        None => to_raw_value(&Message { role: "assistant", content: choice.get("text")? }).ok(),
    }
}

fn list<'a>(members: &'a Members<'_>, name: &str) -> Option<Vec<&'a RawValue>> {
    serde_json::from_str(members.get(name)?.get()).ok()
}

fn member(object: &RawValue, name: &str) -> Option<Box<RawValue>> {
    Members::of(object.get())?.get(name).map(ToOwned::to_owned)
}

/// Facts under the bare names of the provider.
fn add_plain(attributes: &mut Attributes, members: &Members<'_>) {
    for name in ["system_fingerprint", "stop_reason", "stop_sequence"] {
        attributes.add_some(name, members.get(name));
    }
    let choice = list(members, "choices").and_then(|choices| Members::of(choices.first()?.get()));
    if let Some(choice) = choice {
        attributes.add_some("finish_reason", choice.get("finish_reason"));
        let refusal = choice.get("message").and_then(|message| member(message, "refusal"));
        attributes.add_some("refusal", refusal.as_deref());
    }
}

fn what_was_read(completion: &Completion) -> Option<Box<RawValue>> {
    let texts = completion.answers.iter().map(perimeter_interceptor::Answer::text);
    let messages: Vec<_> = texts
        .filter(|text| !text.is_empty())
        .map(|text| json!({"role": "assistant", "content": text}))
        .collect();
    (!messages.is_empty()).then(|| to_raw_value(&messages).ok())?
}

#[cfg(test)]
mod tests {
    use perimeter_interceptor::CallId;

    use super::*;

    fn attributes(body: &str) -> String {
        let mut completion = Completion::new(CallId(0));
        completion.body = body.to_owned().into();
        let mut attributes = Attributes::default();
        add(&mut attributes, Operation::Chat, &completion);
        serde_json::to_string(&attributes).unwrap()
    }

    #[test]
    fn each_api_has_its_content_where_it_has_it() {
        for (body, told) in [
            (
                r#"{"choices":[{"message":{"role":"assistant","content":"a","refusal":null},"finish_reason":"stop"}],"system_fingerprint":"fp"}"#,
                r#"{"llm.response.content":[{"role":"assistant","content":"a","refusal":null}],"system_fingerprint":"fp","finish_reason":"stop"}"#,
            ),
            (
                r#"{"choices":[{"text":"a"},{"text":"b"}]}"#,
                r#"{"llm.response.content":[{"role":"assistant","content":"a"},{"role":"assistant","content":"b"}]}"#,
            ),
            (
                r#"{"content":[{"type":"text","text":"a"}],"stop_reason":"end_turn","stop_sequence":null}"#,
                r#"{"llm.response.content":[{"type":"text","text":"a"}],"stop_reason":"end_turn"}"#,
            ),
            (r#"{"output":[{"x":1.0}]}"#, r#"{"llm.response.content":[{"x":1.0}]}"#),
            (
                r#"{"response":{"candidates":[{"content":{"parts":[]}}]}}"#,
                r#"{"llm.response.content":[{"parts":[]}]}"#,
            ),
            (r#"{"choices":null}"#, "{}"),
            ("no JSON", "{}"),
        ] {
            assert_eq!(attributes(body), told);
        }
    }
}
