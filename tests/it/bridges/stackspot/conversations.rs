use super::*;

const ULID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

fn ask(proxy: &Proxy, name: &str, messages: Value) -> Answer {
    let headers = format!("correlation-id: {name}\r\n");
    post(proxy, "/v1/chat/completions", &headers, &with(question(""), json!({"messages": messages})))
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn assistant(text: &str) -> Value {
    json!({"role": "assistant", "content": text})
}

/// The conversation's name in the latest request to an agent, and what it was asked.
fn latest(spot: &Stackspot) -> (Option<String>, String) {
    let chats = spot.chats();
    let chat = chats.last().unwrap();
    let sent = chat.json();
    assert_eq!(sent["use_conversation"], json!(sent.get("conversation_id").is_some()));
    (sent["conversation_id"].as_str().map(str::to_owned), chat.prompt())
}

#[test]
fn by_default_each_request_says_all_of_the_conversation() {
    let spot = Stackspot::start();
    let proxy = setup(&spot, "").start();
    let answer = ask(&proxy, ULID, json!([user("one"), assistant("two"), user("three")]));
    assert_eq!(answer.text(), "Hello there.");
    assert_eq!(answer.header("x-conversation-id"), Some(ULID));
    let (id, prompt) = latest(&spot);
    assert_eq!(id, None);
    assert!(["one", "two", "three"].iter().all(|word| prompt.contains(word)), "{prompt}");
}

#[test]
fn where_stackspot_remembers_only_what_is_new_is_sent() {
    let spot = Stackspot::start();
    let proxy = setup(&spot, "conversation: server").start();
    let answer = ask(&proxy, ULID, json!([user("one")]));
    assert_eq!(answer.header("x-conversation-id"), Some(ULID));
    assert_eq!(latest(&spot).0.as_deref(), Some(ULID));

    ask(&proxy, ULID, json!([user("one"), assistant("Hello there."), user("more")])).text();
    let (id, prompt) = latest(&spot);
    assert_eq!(id.as_deref(), Some(ULID));
    assert!(
        prompt.contains("more") && !prompt.contains("one") && !prompt.contains("Hello there."),
        "{prompt}"
    );

    ask(&proxy, ULID, json!([user("edited"), assistant("Hello there."), user("more")])).text();
    let (other, prompt) = latest(&spot);
    assert!(
        other.is_some() && other.as_deref() != Some(ULID),
        "an edited history is a conversation of its own"
    );
    assert!(prompt.contains("edited") && prompt.contains("Hello there."), "{prompt}");

    chat(&proxy, &question("alone")).text();
    assert_eq!(latest(&spot).0, None, "a client that names no conversation has none");
}

#[test]
fn a_name_that_is_no_ulid_is_always_the_same_one() {
    let spot = Stackspot::start();
    let ids: Vec<_> = (0..2)
        .map(|_| {
            let proxy = setup(&spot, "conversation: server").start();
            let answer = ask(&proxy, "my chat 7", json!([user("one")]));
            assert_eq!(answer.header("x-conversation-id"), Some("my chat 7"));
            latest(&spot).0.unwrap()
        })
        .collect();
    assert_eq!(ids[0], ids[1]);
    assert!(ids[0].len() == 26 && ids[0].bytes().all(|byte| byte.is_ascii_alphanumeric()), "{}", ids[0]);
}

#[test]
fn where_a_name_is_demanded_its_absence_is_said() {
    let spot = Stackspot::start();
    let proxy = setup(&spot, "conversation: strict").start();
    let error = chat(&proxy, &question("hi")).error();
    assert_eq!(error.0, 400);
    assert!(error.2.contains("correlation-id") && error.2.contains("x-conversation-id"), "{}", error.2);
    assert_eq!(spot.chats().len(), 0);
    assert_eq!(ask(&proxy, ULID, json!([user("hi")])).text(), "Hello there.");
    assert_eq!(latest(&spot).0.as_deref(), Some(ULID));
}
