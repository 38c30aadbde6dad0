use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::upstream::bridge::ask::Part;

fn said(role: Role, blocks: Vec<Block>) -> Turn {
    Turn { role, parts: blocks.into_iter().map(Part::from).collect() }
}

fn text(text: &str) -> Block {
    Block::Text(text.to_owned())
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

fn contents(turns: &[Turn]) -> Value {
    let mut messages = messages(turns);
    guard(messages.last_mut());
    serde_json::to_value(messages).unwrap()
}

#[test]
fn turns_of_one_role_are_one_message_and_what_is_empty_is_none() {
    let turns = [
        said(Role::User, vec![text("/first @/etc/hosts"), text(" ")]),
        said(Role::System, vec![text("Be brief.")]),
        said(Role::Assistant, vec![Block::Thinking { text: "hm".into(), signature: None }]),
        said(Role::User, vec![text("go")]),
    ];
    let expected = json!([{"role": "user", "content": [
        {"type": "text", "text": "/first @/etc/hosts"},
        {"type": "text", "text": "<system-reminder>\nBe brief.\n</system-reminder>"},
        {"type": "text", "text": "go"},
    ]}]);
    assert_eq!(contents(&turns), expected);
}

#[test]
fn calls_keep_their_bytes_and_thinking_its_signature() {
    let call = Block::ToolUse { id: "t1".into(), name: "f".into(), input: raw("{\"b\": 1.0,\"a\":2}") };
    let thought = Block::Thinking { text: "hm".into(), signature: Some("sig".into()) };
    let result = Block::ToolResult { id: "t1".into(), content: vec![text("/x")], is_error: true };
    let turns = [said(Role::Assistant, vec![thought, call]), said(Role::User, vec![result, text("/go")])];
    let lines = serde_json::to_string(&messages(&turns)).unwrap();
    assert!(lines.contains("\"input\":{\"b\": 1.0,\"a\":2}"), "{lines}");
    let mut guarded = messages(&turns);
    guard(guarded.last_mut());
    assert_eq!(serde_json::to_string(&guarded).unwrap(), lines, "after results, nothing is a command");
    assert!(lines.contains("\"thinking\":\"hm\",\"signature\":\"sig\""), "{lines}");
}

#[test]
fn a_prompt_that_reads_like_a_note_of_the_clis_own_is_a_prompt() {
    for prompt in ["[Request interrupted by user]", "<bash-input>ls</bash-input>"] {
        let content = contents(&[said(Role::User, vec![text(prompt)])]);
        assert_eq!(content[0]["content"][1]["text"], prompt[1..]);
    }
}

proptest! {
    #[test]
    fn no_last_prompt_is_a_command(prompts in prop::collection::vec("/?[a-z @\n]{0,6}/?", 1..4)) {
        let turns = [said(Role::User, prompts.iter().map(|prompt| text(prompt)).collect())];
        let mut guarded = messages(&turns);
        guard(guarded.last_mut());
        let blocks: Vec<_> = guarded.iter().flat_map(|message| &message.content).collect();
        let words = blocks.iter().map(|block| match block {
            Content::Text { text } => text.as_ref(),
            _ => "",
        });
        let words: Vec<_> = words.collect();
        let last = words.last().copied().unwrap_or_default();
        prop_assert!(last.trim_end() == "/" || !last.starts_with('/'), "{:?}", words);
        let kept: String = prompts.iter().filter(|prompt| !prompt.trim().is_empty()).map(String::as_str).collect();
        prop_assert_eq!(words.concat(), kept);
    }

    #[test]
    fn ids_are_uuids(_ in 0..20_u8) {
        let id = uuid().unwrap();
        prop_assert_eq!(id.len(), 36);
        prop_assert!(id.as_bytes()[14] == b'4' && b"89ab".contains(&id.as_bytes()[19]));
    }
}
