//! Instructions that stand outside of the messages, told from those among them.
//!
//! The conventions want only the former in `gen_ai.system_instructions`; the contract tells either as a turn of the system.

use std::collections::HashSet;

use perimeter_interceptor::{Call, Part, Role, Turn};
use serde_json::Value;

use crate::body::Members;

/// Where providers write instructions, and what may hold that.
const NAMES: &[&str] = &[
    "system",
    "instructions",
    "prompt",
    "systemInstruction",
    "system_instruction",
    "cachedContent",
    "cached_content",
    "request",
    "response",
];

/// Instructions that stand outside of the messages, and the rest of the turns. The contract tells them first.
pub(super) fn split<'t>(call: &Call, turns: &'t [Turn]) -> (Option<&'t Turn>, &'t [Turn]) {
    match turns.split_first() {
        Some((first, rest)) if first.role == Role::System && stands_outside(call, first) => {
            (Some(first), rest)
        }
        _ => (None, turns),
    }
}

fn stands_outside(call: &Call, turn: &Turn) -> bool {
    let (names, within): (&[&str], _) = match call.dialect {
        "anthropic_messages" => (&["system"], None),
        "openai_responses" => (&["instructions", "prompt"], Some("response")),
        "gemini" => {
            (&["systemInstruction", "system_instruction", "cachedContent", "cached_content"], Some("request"))
        }
        // They were told to the session, before; a first message of the system's looks the same.
        "openai_realtime" => return true,
        _ => return false,
    };
    let body = Members::of(&call.body, NAMES);
    let inner = within.map(|name| body.within(name, NAMES)).unwrap_or_default();
    let members = body.and(inner);
    let mut written = names.iter().filter_map(|name| members.get(name)).peekable();
    if written.peek().is_none() {
        // The body broke off in them; of these dialects, none has them anywhere else.
        return call.partial && matches!(call.dialect, "anthropic_messages" | "gemini");
    }
    let mut texts = HashSet::new();
    written.filter_map(|json| serde_json::from_str(json).ok()).for_each(|value| gather(value, &mut texts));
    turn.parts.iter().all(|part| match part {
        Part::Text(text) => texts.contains(&**text),
        _ => true,
    })
}

/// All texts in `value`.
fn gather(value: Value, texts: &mut HashSet<String>) {
    match value {
        Value::String(text) => {
            texts.insert(text);
        }
        Value::Array(values) => values.into_iter().for_each(|value| gather(value, texts)),
        Value::Object(members) => members.into_iter().for_each(|(_, value)| gather(value, texts)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use perimeter_interceptor::{CallId, Session};
    use serde_json::json;

    use super::*;

    fn is_outside(dialect: &'static str, body: Value, said: &str) -> bool {
        let mut call = Call::new(CallId(0), dialect, Arc::new(Session::new("s")));
        call.body = body.to_string().into();
        let turns = [
            Turn::new(Role::System, vec![Part::Text(said.into())]),
            Turn::new(Role::User, vec![Part::Text("Hi".into())]),
        ];
        let (instructions, rest) = split(&call, &turns);
        assert_eq!(rest.len(), if instructions.is_some() { 1 } else { 2 });
        instructions.is_some()
    }

    #[test]
    fn instructions_beside_the_messages_are_told_from_those_among_them() {
        let text = "Be kind.";
        let outside = |dialect, body: Value| is_outside(dialect, body, text);
        assert!(outside("anthropic_messages", json!({"system": text, "messages": []})));
        let blocks = json!([{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]);
        assert!(outside("anthropic_messages", json!({"messages": [], "system": blocks})));
        assert!(!outside("anthropic_messages", json!({"messages": [{"role": "system", "content": text}]})));
        assert!(outside("openai_responses", json!({"instructions": text, "input": "Hi"})));
        assert!(outside("openai_responses", json!({"response": {"instructions": text, "input": "Hi"}})));
        let developer = json!([{"role": "developer", "content": text}]);
        assert!(!outside("openai_responses", json!({"input": developer})));
        // Not new, and so not told, while the message of the developer is.
        assert!(!outside("openai_responses", json!({"instructions": "Be brief.", "input": developer})));
        assert!(!outside("openai_responses", json!({"instructions": null, "input": developer})));
        assert!(outside("gemini", json!({"systemInstruction": {"parts": [{"text": text}]}})));
        assert!(outside("gemini", json!({"request": {"system_instruction": {"parts": {"text": text}}}})));
        assert!(!outside("openai_chat", json!({"messages": [{"role": "system", "content": text}]})));
        assert!(outside("openai_realtime", json!({"type": "response.create"})));
    }

    #[test]
    fn instructions_in_which_a_body_breaks_off_stand_outside_still() {
        let mut call = Call::new(CallId(0), "anthropic_messages", Arc::new(Session::new("s")));
        call.body = r#"{"model":"m","system":"Be ki"#.into();
        call.partial = true;
        let turns = [Turn::new(Role::System, vec![Part::Text("Be ki".into())])];
        assert!(split(&call, &turns).0.is_some());
    }
}
