//! Whoever asks for all turns of a request gets them, whatever of it was known.

use super::*;

fn ask(messages: &str) -> String {
    format!("{{\"model\":\"m\",\"messages\":[{messages}]}}")
}

const TURNS: [&str; 5] = [
    r#"{"role":"system","content":"Be brief."}"#,
    r#"{"role":"user","content":"What is the capital of France?"}"#,
    r#"{"role":"assistant","content":"Paris."}"#,
    r#"{"role":"user","content":"And of Spain?"}"#,
    r#"{"role":"assistant","content":"Hi"}"#,
];

/// The calls of a conversation that grows by two messages with each.
fn calls(interest: Interest) -> Vec<Arc<Call>> {
    let mut desk = Desk::of(interest, 1 << 30, 1 << 30, 1 << 20);
    for turns in [2, 4] {
        let Opened { mut client, mut upstream } = desk.open("/v1/chat/completions", &[]).unwrap();
        client.chunk(&Bytes::from(ask(&TURNS[..turns].join(","))), true);
        head_of(&upstream, 200, "application/json");
        upstream.chunk(&Bytes::from(WHOLE.replace("Hi", "Paris.")), true);
        desk.read();
    }
    let calls = desk.events().into_iter().filter_map(|event| match event {
        LlmEvent::Call(call) => Some(call.clone()),
        _ => None,
    });
    let calls = calls.collect();
    assert_legal(&desk.told);
    desk.check_empty();
    calls
}

#[test]
fn all_turns_are_there_for_who_asks_and_what_is_new_is_the_same() {
    let (with, without) = (calls(Interest::ALL | Interest::HISTORY), calls(Interest::ALL));
    let texts = |call: &Call| call.history.iter().map(|turn| turn.text()).collect::<Vec<_>>();
    let said = ["Be brief.", "What is the capital of France?", "Paris.", "And of Spain?"];
    assert_eq!(texts(&with[0]), said[..2]);
    assert_eq!(texts(&with[1]), said);
    for (with, without) in with.iter().zip(&without) {
        assert_eq!((&with.news, with.known), (&without.news, without.known));
        assert!(without.history.is_empty());
    }
    assert_eq!(with[1].session.id, with[0].session.id);
    assert_eq!(with[1].news.len(), 1);
}
