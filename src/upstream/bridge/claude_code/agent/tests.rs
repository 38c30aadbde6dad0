//! What the parts of an agent's tests have in common.

use crate::upstream::Caller;
use crate::upstream::bridge::ask::{Ask, Format, ToolChoice, Warnings};

use super::*;

/// A request that says nothing.
pub(super) fn ask() -> Ask {
    Ask {
        model: "agent".to_owned(),
        id: "agent".to_owned(),
        system: Vec::new(),
        turns: Vec::new(),
        tools: Vec::new(),
        choice: ToolChoice::Auto,
        parallel: true,
        max_tokens: None,
        stop: Vec::new(),
        format: Format::Text,
        effort: None,
        shows_thinking: true,
        stream: true,
        conversation: None,
        session: None,
        project: None,
        caller: Caller::local(),
        warnings: Warnings::default(),
    }
}

#[test]
fn ids_are_uuids_as_the_cli_takes_them() {
    let (one, other) = (uuid().unwrap(), uuid().unwrap());
    assert_ne!(one, other);
    let lengths: Vec<_> = one.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12]);
    assert!(one.as_bytes()[14] == b'4' && b"89ab".contains(&one.as_bytes()[19]), "{one}");
}
