use perimeter_interceptor::CallId;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dialect::{Asked, Histories, golden};

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const COMPLETIONS: &str = "/v1/completions";
const EMBEDDINGS: &str = "/v1/embeddings";
const MESSAGES: &str = "/v1/messages";
const COUNT_TOKENS: &str = "/v1/messages/count_tokens";
const GEMINI_CHAT: &str = "/v1beta/models/gemini-2.5-pro:generateContent";
const CODE_ASSIST: &str = "/v1internal:generateContent";
const TARGETS: [&str; 8] =
    [CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS, MESSAGES, COUNT_TOKENS, GEMINI_CHAT, CODE_ASSIST];

fn asked(target: &str) -> Asked {
    Asked::of(&golden::request_head(&format!("POST {target}"))).unwrap()
}

fn read(target: &str, body: &[u8], whole: bool) -> Names {
    asked(target).read_request(CallId(0), None, body, whole).names
}

/// The session, the user and the cache key that are read.
fn told(target: &str, body: &Value) -> [Option<String>; 3] {
    in_text(target, &body.to_string())
}

fn in_text(target: &str, body: &str) -> [Option<String>; 3] {
    let names = read(target, body.as_bytes(), true);
    [names.session, names.user, names.cache_key].map(|name| name.map(|name| name.to_string()))
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

const DEVICE: &str = "3f2a4b5c6d7e8f903f2a4b5c6d7e8f903f2a4b5c6d7e8f903f2a4b5c6d7e8f90";
const SESSION: &str = "4d3f2b1a-0f9e-4d8c-b7a6-95847362514f";
const ACCOUNT: &str = "0c9b8a79-6857-4463-a251-403f2e1d0c9b";

#[test]
fn claude_codes_user_is_a_user_and_a_session_in_both_of_its_forms() {
    for account in ["", ACCOUNT] {
        let user = some(&format!("user_{DEVICE}_account_{account}"));
        let text = format!("user_{DEVICE}_account_{account}_session_{SESSION}");
        let json = json!({"device_id": DEVICE, "account_uuid": account, "session_id": SESSION}).to_string();
        for target in [MESSAGES, COUNT_TOKENS] {
            for form in [&text, &json, &format!(" {json}\n")] {
                let body = json!({"model": "m", "messages": [], "metadata": {"user_id": form}});
                assert_eq!(told(target, &body), [some(SESSION), user.clone(), None], "{form}");
            }
        }
    }
    let only = json!({"session_id": SESSION, "device_id": null, "more": [1]}).to_string();
    let body = json!({"metadata": {"user_id": only}});
    assert_eq!(told(MESSAGES, &body), [some(SESSION), None, None]);
}

#[test]
fn any_other_user_of_anthropics_is_one_wholly() {
    let users = [
        "u-7".to_owned(),
        format!("user_{DEVICE}_account__session_"),
        format!("user_{DEVICE}_account__session_a b"),
        format!("user__account__session_{SESSION}"),
        format!("customer_session_{SESSION}"),
        format!("user_{DEVICE}_session_{SESSION}"),
        json!({"device_id": DEVICE}).to_string(),
        json!({"session_id": 7, "device_id": DEVICE}).to_string(),
        json!({"session_id": "", "device_id": DEVICE}).to_string(),
        json!([SESSION]).to_string(),
        format!("{{\"session_id\":\"{SESSION}"),
    ];
    for user in users {
        let body = json!({"metadata": {"user_id": user}});
        assert_eq!(told(MESSAGES, &body), [None, some(&user), None]);
    }
}

#[test]
fn each_member_of_the_table_is_read_by_itself() {
    let apis: [(&[Member], &[&str]); 3] = [
        (ANTHROPIC, &[MESSAGES, COUNT_TOKENS]),
        (OPENAI, &[CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS]),
        (GEMINI, &[CODE_ASSIST]),
    ];
    for (members, targets) in apis {
        for member in members {
            let body = match member.path.split_once('.') {
                Some((holder, key)) => json!({holder: {"other": 1, key: "n1"}}),
                None => json!({"model": "m", member.path: "n1"}),
            };
            let expected = match member.kind {
                Kind::Session => [some("n1"), None, None],
                Kind::User | Kind::ClaudeUser => [None, some("n1"), None],
                Kind::CacheKey => [None, None, some("n1")],
            };
            for target in targets {
                assert_eq!(told(target, &body), expected, "{target} {}", member.path);
            }
        }
    }
}

#[test]
fn the_first_of_the_table_counts_wherever_it_stands() {
    for members in [ANTHROPIC, OPENAI, GEMINI] {
        for (number, member) in members.iter().enumerate() {
            assert!(members[..number].iter().all(|other| other.path != member.path), "{}", member.path);
        }
    }
    let bodies = [
        r#"{"client_metadata":{"session_id":"c"},"litellm_session_id":"l","session_id":"o","metadata":{"session_id":"m","thread_id":"t"},"safety_identifier":"s","user":"u"}"#,
        r#"{"user":"u","safety_identifier":"s","metadata":{"thread_id":"t","session_id":"m"},"session_id":"o","litellm_session_id":"l","client_metadata":{"session_id":"c"}}"#,
    ];
    for body in bodies {
        assert_eq!(in_text(CHAT, body), [some("c"), some("s"), None]);
    }
    let body = r#"{"session_id":"o","metadata":{"user_id":"u","session_id":"m"},"user":"other"}"#;
    assert_eq!(in_text(MESSAGES, body), [some("o"), some("u"), None]);
    // One that is no name leaves the place to the next.
    let body = r#"{"litellm_session_id":"none","session_id":"o","safety_identifier":"","user":"u"}"#;
    assert_eq!(in_text(RESPONSES, body), [some("o"), some("u"), None]);
}

#[test]
fn of_what_stands_twice_the_last_counts() {
    let body = r#"{"session_id":"1","metadata":{"thread_id":"a","thread_id":"b"},"session_id":"2"}"#;
    assert_eq!(in_text(CHAT, body)[0], some("2"));
    let body = r#"{"metadata":{"thread_id":"a"},"metadata":{"thread_id":"b"}}"#;
    assert_eq!(in_text(CHAT, body)[0], some("b"));
    assert_eq!(in_text(CHAT, r#"{"session_id":"1","session_id":"null"}"#)[0], None);
    assert_eq!(in_text(CHAT, r#"{"session_id":"1","session_id":7}"#)[0], some("1"));
}

#[test]
fn what_is_no_string_names_nothing_and_is_nothing_odd() {
    let plain = json!({"model": "m", "messages": [], "input": "hi", "contents": []});
    let members =
        ["user", "safety_identifier", "session_id", "prompt_cache_key", "client_metadata", "metadata"];
    for odd in [json!(7), json!(null), json!(true), json!([["n"]]), json!({"id": "n"}), json!(-0.5)] {
        let mut top = plain.clone();
        members.iter().for_each(|member| top[member] = odd.clone());
        let mut inner = plain.clone();
        inner["metadata"] = json!({"user_id": odd, "session_id": odd, "thread_id": odd});
        inner["client_metadata"] = json!({"session_id": odd});
        inner["request"] = json!({"session_id": odd, "contents": []});
        for target in TARGETS {
            for body in [&plain, &top, &inner] {
                let body = body.to_string();
                let prompt = asked(target).read_request(CallId(0), None, body.as_bytes(), true);
                assert_eq!((prompt.names, prompt.partial), (Names::default(), false), "{target} {body}");
            }
        }
    }
}

#[test]
fn a_place_that_nobody_filled_in_is_no_name() {
    let places = [
        "",
        " ",
        "null",
        "NULL",
        "None",
        "undefined",
        "default",
        "unknown",
        "NaN",
        "local",
        "local:k3J9",
        "{{session_id}}",
        "{session}",
        "${SESSION_ID}",
        "$SESSION_ID",
        "<session-id>",
        "[object Object]",
        "%s%",
        "{}",
        "00000000-0000-0000-0000-000000000000",
        "a\nb",
        "a\u{0}b",
        "a\u{85}b",
    ];
    for place in places {
        assert_eq!(name(place), None, "{place:?}");
    }
    let names = [
        "s",
        "0",
        "1",
        "nullable",
        "default-1",
        "localhost",
        "{6f9619ff-8b86-d011-b42d-00c04fc964ff}",
        "$1",
        "<7>",
        "ü",
        "a b",
        "{\"a\":1}",
    ];
    for text in names {
        assert_eq!(name(&format!(" {text}\t")).as_deref(), Some(text));
    }
}

#[test]
fn a_long_name_is_shortened_between_letters_and_stays_its_own() {
    let body = json!({"session_id": "é".repeat(400), "user": format!("x{}", "é".repeat(400))});
    let names = read(CHAT, body.to_string().as_bytes(), true);
    let lengths = (names.session.map(|name| name.len()), names.user.map(|name| name.len()));
    assert_eq!(lengths, (Some(511), Some(512)));
    let long = "n".repeat(10_000);
    assert_ne!(name(&format!("{long}a")), name(&format!("{long}b")));
}

#[test]
fn members_of_the_same_names_elsewhere_are_not_meant() {
    let inner = json!({"session_id": "n", "user": "n", "safety_identifier": "n", "prompt_cache_key": "n"});
    let body = json!({
        "messages": [inner], "input": [inner], "tools": [inner], "extra": inner, "contents": [inner],
        "metadata": {"metadata": inner, "user": "n", "prompt_cache_key": "n"}, "generationConfig": inner,
    });
    for target in TARGETS {
        assert_eq!(told(target, &body), [None, None, None], "{target}");
    }
    // Gemini's own API has no such member, and Code Assist has it within.
    assert_eq!(told(GEMINI_CHAT, &json!({"session_id": "n", "contents": []})), [None, None, None]);
}

#[test]
fn a_cut_body_tells_the_names_before_the_cut_and_never_half_a_name() {
    let long = "n".repeat(300);
    let body = format!(
        r#"{{"session_id":"{long}1","metadata":{{"session_id":"{long}2"}},"user":"u{long}","messages":[{{"role":"user","content":"{long}"}}]}}"#
    );
    let full = read(CHAT, body.as_bytes(), true);
    for end in 0..body.len() {
        let names = read(CHAT, &body.as_bytes()[..end], false);
        assert!(names.session.is_none() || names.session == full.session, "{end}");
        assert!(names.user.is_none() || names.user == full.user, "{end}");
    }
    // Within what is said they are known already.
    let names = read(CHAT, &body.as_bytes()[..body.len() - 20], false);
    assert_eq!(names, full);
}

#[test]
fn a_request_that_is_read_only_where_it_is_new_tells_the_same_names() {
    let text = "to and fro ".repeat(40);
    let user = format!("user_{DEVICE}_account__session_{SESSION}");
    for (target, list) in
        [(CHAT, "messages"), (RESPONSES, "input"), (MESSAGES, "messages"), (CODE_ASSIST, "contents")]
    {
        let asked = asked(target);
        let mut histories = Histories::default();
        for turns in [1, 2, 3, 5] {
            let messages: Vec<Value> =
                (0..turns).map(|turn| json!({"role": "user", "content": format!("{turn} {text}")})).collect();
            let request = json!({list: messages, "system": text, "session_id": "s1"});
            let body = json!({
                list: messages, "system": text, "user": "u1", "prompt_cache_key": "k1", "litellm_session_id": "s1",
                "metadata": {"user_id": user},
            });
            let body = if target == CODE_ASSIST { json!({"request": request}) } else { body };
            let body = body.to_string();
            let news = histories.read(&asked, CallId(0), None, body.as_bytes(), true);
            assert_eq!(news.passed, if turns == 5 { 3 } else { turns - 1 });
            assert_eq!(news.prompt.names, read(target, body.as_bytes(), true));
            assert!(news.prompt.names.session.is_some());
        }
    }
}

#[test]
fn text_that_is_no_unicode_is_no_matter() {
    let body = br#"{"user":"u\ud83d","session_id":"s1","messages":[]}"#;
    let names = read(CHAT, body, true);
    assert_eq!((names.session.as_deref(), names.user.as_deref()), (Some("s1"), Some("u\u{fffd}")));
    let names = read(CHAT, b"{\"user\":\"u\xff\",\"session_id\":\"s1\"}", true);
    assert_eq!((names.session.as_deref(), names.user.as_deref()), (Some("s1"), Some("u?")));
}

/// The rows of the table below this heading in `docs/sessions.md`.
fn documented(heading: &str) -> Vec<[String; 4]> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sessions.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, section) = text.split_once(&format!("\n### {heading}\n")).expect(heading);
    let section = section.split("\n#").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let cells = rows.skip(1).map(|row| row.split(" | ").map(str::to_owned).collect::<Vec<_>>());
    cells.map(|cells| cells.try_into().unwrap()).collect()
}

#[test]
fn the_documentation_has_the_tables() {
    let apis = [("Anthropic's bodies", ANTHROPIC), ("OpenAI's bodies", OPENAI), ("Gemini's bodies", GEMINI)];
    for (heading, members) in apis {
        let row = |member: &Member| {
            let names = match member.kind {
                Kind::Session => "session",
                Kind::User => "user",
                Kind::CacheKey => "what begins alike",
                Kind::ClaudeUser => "user and session",
            };
            let source = format!("<{}>", member.source);
            [format!("`{}`", member.path), names.to_owned(), member.by.to_owned(), source]
        };
        assert_eq!(documented(heading), members.iter().map(row).collect::<Vec<_>>(), "{heading}");
    }
}

fn is_bounded(names: &Names) -> bool {
    let all = [&names.session, &names.user, &names.cache_key];
    all.into_iter().flatten().all(|name| !name.is_empty() && name.len() <= LONGEST && name.trim() == &**name)
}

proptest! {
    #[test]
    fn any_text_is_a_bounded_name_or_none(text in ".{0,700}") {
        if let Some(name) = name(&text) {
            prop_assert!(!name.is_empty() && name.len() <= LONGEST && text.trim().starts_with(&*name));
        }
        prop_assert!(is_bounded(&claude(&text)));
    }

    #[test]
    fn any_bytes_tell_bounded_names(
        target in prop::sample::select(TARGETS.to_vec()),
        body in prop::collection::vec(any::<u8>(), 0..200),
        whole in any::<bool>(),
    ) {
        prop_assert!(is_bounded(&read(target, &body, whole)));
    }

    #[test]
    fn any_members_tell_bounded_names(
        target in prop::sample::select(TARGETS.to_vec()),
        members in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "session_id", "user", "metadata", "client_metadata", "request", "prompt_cache_key", "user_id",
                ]),
                prop::sample::select(vec![
                    "\"s\"", "7", "null", "[", "{\"session_id\":\"n\"", "{\"user_id\":\"user_a_account__session_b\"}",
                    "{\"user_id\":\"{\\\"session_id\\\":\\\"q\\\"}\"}", "\"\\u00", "{}", "\"null\"",
                ]),
            ),
            0..8,
        ),
        end in any::<prop::sample::Index>(),
    ) {
        let members: Vec<String> = members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        let body = format!("{{{}}}", members.join(","));
        prop_assert!(is_bounded(&read(target, body.as_bytes(), true)));
        prop_assert!(is_bounded(&read(target, &body.as_bytes()[..end.index(body.len() + 1)], false)));
    }
}
