//! Whether the CLI goes on from the calls and results of a conversation as they are.
//!
//! It would mend what is not in order: drop what the model said, or make up a result. The doors see to most of that; what
//! is left are ids that come twice, and results of calls that were made elsewhere.

use std::collections::HashSet;

use super::seed::{Content, Message};
use crate::upstream::bridge::Failure;

/// Refuses a conversation that the CLI would change.
pub(super) fn check(messages: &[Message<'_>]) -> Result<(), Failure> {
    let (mut known, mut open) = (HashSet::<&str>::new(), HashSet::<&str>::new());
    for message in messages {
        for content in &message.content {
            match content {
                Content::ToolResult { tool_use_id, .. } if !open.remove(*tool_use_id) => {
                    return Err(wrong(
                        tool_use_id,
                        "has a result, but the message before does not have the call",
                    ));
                }
                Content::ToolUse { id, .. } if !known.insert(id) => {
                    return Err(wrong(id, "is the id of two calls"));
                }
                _ => {}
            }
        }
        if let Some(id) = open.iter().next() {
            return Err(wrong(id, "has no result in the message after its call"));
        }
        open.extend(message.content.iter().filter_map(|content| match content {
            Content::ToolUse { id, .. } => Some(*id),
            _ => None,
        }));
    }
    Ok(())
}

fn wrong(id: &str, what: &str) -> Failure {
    let id: String = id.chars().take(128).collect();
    Failure::invalid("messages", format!("`{id}` {what}"))
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn call(id: &str) -> Content<'_> {
        Content::ToolUse { id, name: "f", input: RawValue::NULL }
    }

    fn result(id: &str) -> Content<'_> {
        Content::ToolResult { tool_use_id: id, content: Vec::new(), is_error: false }
    }

    fn said(messages: Vec<Vec<Content<'_>>>) -> Result<(), String> {
        let roles = ["user", "assistant"].into_iter().cycle();
        let messages = messages.into_iter().zip(roles).map(|(content, role)| Message { role, content });
        check(&messages.collect::<Vec<_>>()).map_err(|failure| failure.message)
    }

    #[test]
    fn every_call_has_its_result_in_the_next_message_and_every_result_its_call() {
        let two = || vec![call("a"), call("b")];
        assert_eq!(said(vec![vec![], two(), vec![result("b"), result("a")]]), Ok(()));
        for (messages, wrong) in [
            (vec![vec![], two(), vec![result("b")]], "`a` has no result"),
            (vec![vec![], vec![call("a")], vec![], vec![], vec![result("a")]], "`a` has no result"),
            (vec![vec![result("a")]], "`a` has a result, but"),
            (vec![vec![], vec![call("a")], vec![result("a"), result("a")]], "`a` has a result, but"),
            (
                vec![vec![], vec![call("a")], vec![result("a")], vec![call("a")], vec![result("a")]],
                "`a` is the id",
            ),
        ] {
            let found = said(messages).unwrap_err();
            assert!(found.starts_with(wrong), "{found}");
        }
    }
}
