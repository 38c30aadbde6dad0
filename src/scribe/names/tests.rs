use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    let header = |(name, value): &(&str, &str)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    let mut map = HeaderMap::new();
    for (name, value) in headers.iter().map(header) {
        map.append(name, value);
    }
    map
}

fn told(headers: &[(&str, &str)]) -> Names {
    of(&map(headers), &[])
}

fn session(headers: &[(&str, &str)]) -> Option<String> {
    told(headers).session.map(|name| name.to_string())
}

#[test]
fn each_header_of_the_table_names_what_it_says() {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for header in HEADERS {
        let value = match header.kind {
            Kind::Trace => TRACE,
            Kind::Retries => "2",
            _ => "n1",
        };
        let n1 = Some(Arc::from("n1"));
        let none = Names::default();
        let expected = match header.kind {
            Kind::Session => Names { session: n1, ..none },
            Kind::Agent => Names { agent: n1, ..none },
            Kind::Parent => Names { parent: n1, ..none },
            Kind::ParentSession => Names { parent_session: n1, ..none },
            Kind::Trace => Names { trace: Some(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c), ..none },
            Kind::Retries => Names { retries: Some(2), ..none },
        };
        assert_eq!(told(&[(header.name, value)]), expected, "{}", header.name);
        assert_eq!(told(&[(&header.name.to_uppercase(), value)]), expected, "{}", header.name);
    }
}

#[test]
fn the_first_of_the_table_counts_and_those_of_the_configuration_before_all() {
    let names: Vec<&str> = known(Kind::Session).collect();
    for (number, name) in names.iter().enumerate() {
        assert!(!names[..number].contains(name), "{name} stands there twice");
        let all: Vec<_> = names[number..].iter().rev().map(|name| (*name, *name)).collect();
        assert_eq!(session(&all).as_deref(), Some(*name));
    }
    let headers = map(&[("x-claude-code-session-id", "theirs"), ("x-mine", "mine"), ("x-other", "other")]);
    let added = ["x-none", "x-other", "x-mine"].map(HeaderName::from_static);
    assert_eq!(of(&headers, &added).session.as_deref(), Some("other"));
    let empty = map(&[("x-claude-code-session-id", "theirs"), ("x-other", " "), ("x-mine", "null")]);
    assert_eq!(of(&empty, &added).session.as_deref(), Some("theirs"));
}

#[test]
fn a_sub_agent_is_named_within_its_session() {
    let claude = [("x-claude-code-session-id", "s"), ("x-claude-code-agent-id", "a")];
    let names = told(&claude);
    assert_eq!((names.session.as_deref(), names.agent.as_deref()), (Some("s"), Some("a")));
    assert_eq!(names.parent, None);

    // The main agent is named as its session, and so is the parent of those that it starts.
    let main = told(&[("session-id", "s"), ("thread-id", "s")]);
    assert_eq!((main.session.as_deref(), main.agent), (Some("s"), None));
    let child = told(&[("session-id", "s"), ("thread-id", "t"), ("x-codex-parent-thread-id", "s")]);
    assert_eq!((child.agent.as_deref(), child.parent), (Some("t"), None));
    let deeper = told(&[("session-id", "s"), ("thread-id", "u"), ("x-codex-parent-thread-id", "t")]);
    assert_eq!((deeper.agent.as_deref(), deeper.parent.as_deref()), (Some("u"), Some("t")));

    // OpenCode gives a sub-agent a session of its own.
    let own = told(&[("x-session-affinity", "ses_2"), ("x-parent-session-id", "ses_1")]);
    assert_eq!((own.session.as_deref(), own.parent_session.as_deref()), (Some("ses_2"), Some("ses_1")));
    assert_eq!((own.agent, own.parent), (None, None));
}

#[test]
fn ids_of_requests_programs_machines_and_people_are_not_in_the_table() {
    let others = [
        "x-request-id",
        "x-client-request-id",
        "idempotency-key",
        "x-interaction-id",
        "x-agent-task-id",
        "x-opencode-request",
        "x-opencode-project",
        "x-codex-turn-metadata",
        "x-codex-window-id",
        "vscode-sessionid",
        "vscode-machineid",
        "editor-device-id",
        "x-kilocode-machineid",
        "x-openwebui-user-id",
        "x-openwebui-message-id",
        "chatgpt-account-id",
        "openai-organization",
        "helicone-user-id",
        "x-user-id",
        "mcp-session-id",
        "cookie",
        "authorization",
        "user-agent",
    ];
    for header in others {
        assert_eq!(told(&[(header, "n1")]), Names::default(), "{header}");
    }
}

#[test]
fn a_value_that_is_no_name_is_passed_over() {
    for value in ["", "   ", "undefined", "${SESSION_ID}", "a\tb"] {
        assert_eq!(session(&[("session-id", value)]), None, "{value:?}");
        assert_eq!(session(&[("session-id", value), ("session-id", "second")]).as_deref(), Some("second"));
        assert_eq!(session(&[("session-id", value), ("x-session-id", "next")]).as_deref(), Some("next"));
    }
    assert_eq!(session(&[("x-session-id", " a b\t")]).as_deref(), Some("a b"));
    assert_eq!(session(&[("x-session-id", "größe")]).as_deref(), Some("größe"));
    let bytes = HeaderMap::from_iter([(
        HeaderName::from_static("x-session-id"),
        HeaderValue::from_bytes(b"a\xffb").unwrap(),
    )]);
    assert_eq!(of(&bytes, &[]).session, None);
    assert_eq!(session(&[("x-session-id", &"x".repeat(9000))]).map(|name| name.len()), Some(512));
}

#[test]
fn only_a_valid_trace_is_one() {
    let of = |value: &str| told(&[("traceparent", value)]).trace;
    let id = "0af7651916cd43dd8448eb211c80319c";
    assert!(of(&format!("00-{id}-b7ad6b7169203331-00")).is_some());
    assert!(of(&format!("cc-{id}-b7ad6b7169203331-01-what-comes-later")).is_some());
    let invalid = [
        String::new(),
        id.to_owned(),
        format!("ff-{id}-b7ad6b7169203331-01"),
        format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
        format!("00-{id}-0000000000000000-01"),
        format!("00-{}-b7ad6b7169203331-01", id.to_uppercase()),
        format!("00-{id}-b7ad6b7169203331-01-more"),
        format!("00-{id}-b7ad6b7169203331-1"),
        format!("00-{id}-b7ad6b7169203331"),
        format!("00-+{}-b7ad6b7169203331-01", &id[1..]),
        format!("0-{id}-b7ad6b7169203331-01"),
    ];
    for value in invalid {
        assert_eq!(of(&value), None, "{value:?}");
    }
    let twice = format!("00-{id}-b7ad6b7169203331-00");
    assert_eq!(told(&[("traceparent", &twice), ("traceparent", &twice)]).trace, None);
}

#[test]
fn only_a_number_counts_retries() {
    let of = |value: &str| told(&[("x-stainless-retry-count", value)]).retries;
    assert_eq!(["0", "12", " 3 "].map(of), [Some(0), Some(12), Some(3)]);
    assert_eq!(["", "-1", "1.0", "99999999999", "two"].map(of), [None; 5]);
}

#[test]
fn the_documentation_has_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sessions.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, section) = text.split_once("\n### Headers\n").unwrap();
    let section = section.split("\n#").next().unwrap();
    let documented: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
    let row = |header: &Header| {
        let names = match header.kind {
            Kind::Session => "session",
            Kind::Agent => "agent",
            Kind::Parent => "agent that started it",
            Kind::ParentSession => "session that started it",
            Kind::Trace => "trace",
            Kind::Retries => "tries before",
        };
        format!("| `{}` | {names} | {} | <{}> |", header.name, header.by, header.source)
    };
    assert_eq!(documented, HEADERS.iter().map(row).collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn any_headers_tell_bounded_names(
        headers in prop::collection::vec(
            (
                prop::sample::select(HEADERS.iter().map(|header| header.name).chain(["x-mine"]).collect::<Vec<_>>()),
                prop::collection::vec(any::<u8>(), 0..700),
            ),
            0..12,
        ),
    ) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                map.append(HeaderName::from_static(name), value);
            }
        }
        let Names { session, agent, parent, parent_session, .. } = of(&map, &[HeaderName::from_static("x-mine")]);
        for name in [session, agent, parent, parent_session].into_iter().flatten() {
            prop_assert!(!name.is_empty() && name.len() <= 512 && !name.chars().any(char::is_control));
        }
    }
}
