//! The keys are made up, and put together here, so that no scanner takes this file for a leak.

use std::sync::Arc;

use http::Method;
use perimeter_interceptor::host::What;
use perimeter_interceptor::{
    ApiFailure, LlmEvent, Media, Part, Role, Session, Tool, ToolResult, Turn, Upgrade,
};
use perimeter_printer::{Look, Settings};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::scene::{CALL, Scene, answer, call, printed, settings, tool, turn, user};

const RANDOM: &str = "T3BlbkFJ9xQ2mWv7RzKp4LsY8dNcHg5uEa6toJiB1fXw0";

fn key() -> String {
    format!("sk-{}-{RANDOM}", "proj")
}

/// A name for it, and an exchange that has a text there.
type Place = (&'static str, fn(&str) -> Scene);

/// Where the traffic can bring a key.
const PLACES: [Place; 14] = [
    ("user", |key| asked(vec![user(&format!("my key is {key}, keep it"))])),
    ("system", |key| asked(vec![turn(Role::System, key), user("hi")])),
    ("answer", |key| said(vec![Part::Text(format!("Your key is {key}.").into())])),
    ("answer in parts", |key| {
        let (one, two) = key.split_at(20);
        said(vec![Part::Text(one.into()), Part::Text(two.into())])
    }),
    ("thinking", |key| said(vec![Part::Thinking(key.into())])),
    ("deltas", |key| {
        let (one, two) = key.split_at(20);
        asked(vec![user("hi")]).says(300, one).says(301, two).ends(302)
    }),
    ("tool input", |key| {
        let input = json!({"command": format!("export KEY=\"{key}\"")}).to_string();
        said(vec![Part::ToolUse(tool("a", "bash", &input))])
    }),
    ("tool name", |key| said(vec![Part::ToolUse(tool("a", key, "{}"))])),
    ("tool result", |key| {
        let result = ToolResult::new(Some("a".into()), format!("OPENAI_API_KEY={key}\n"));
        asked(vec![Turn::new(Role::Tool, vec![Part::ToolResult(result)])])
    }),
    ("error", |key| {
        let mut failure = ApiFailure::new(CALL, 401, format!("Incorrect API key provided: {key}. Go away."));
        failure.kind = Some("invalid_api_key".into());
        asked(vec![user("hi")]).llm(292, LlmEvent::Failure(failure.into())).ends(292)
    }),
    ("path", |key| Scene::new(0, Method::GET, &format!("/v1/keys/{key}/usage")).answers(404).ends(1)),
    ("model", |key| Scene::post(0).asks(call(key, vec![user("hi")])).answers(200).ends(1)),
    ("stop", |key| Scene::post(0).asks(call("m", vec![user("hi")])).completes(9, answer(Vec::new(), key))),
    ("protocol", |key| {
        let upgrade = Arc::new(Upgrade::new(key));
        Scene::new(0, Method::GET, "/").answers(101).then(1, What::Upgrade(upgrade)).ends(2)
    }),
];

fn asked(turns: Vec<Turn>) -> Scene {
    Scene::post(0).asks(call("gpt-4o", turns)).answers(200)
}

fn said(parts: Vec<Part>) -> Scene {
    asked(vec![user("hi")]).completes(900, answer(parts, "stop"))
}

fn ended(scene: Scene) -> Scene {
    let over = matches!(scene.notices().last(), Some(notice) if format!("{notice:?}").contains("End"));
    if over { scene } else { scene.ends(1000) }
}

fn joined(out: &str) -> String {
    out.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// That not even a piece of the secret is there, wherever lines are broken.
#[track_caller]
fn assert_gone(secret: &str, out: &str) {
    let rest = joined(out);
    let piece = secret.as_bytes().windows(6).map(|piece| std::str::from_utf8(piece).unwrap());
    let found: Vec<_> = piece.filter(|piece| rest.contains(piece)).collect();
    assert!(found.is_empty(), "{found:?} in {out}");
}

const WIDTHS: [Option<usize>; 6] = [Some(30), Some(41), Some(47), Some(60), Some(100), None];

#[test]
fn no_key_of_the_traffic_is_printed() {
    for format in ["compact", "full", "json"] {
        for log_body in [false, true] {
            let settings = settings(json!({"format": format, "log_body": log_body}));
            for ((place, scene), width) in PLACES.iter().flat_map(|place| WIDTHS.map(|width| (place, width)))
            {
                let out = printed(&[ended(scene(&key()))], Look::fixed(width, false), &settings);
                assert!(!out.is_empty(), "{place}");
                assert_gone(RANDOM, &out);
                if format == "json" {
                    let _: Value = serde_json::from_str(&out).unwrap();
                }
            }
        }
    }
}

#[test]
fn what_is_masked_says_so_and_is_printed_where_that_is_wanted() {
    let shown = |scene: Scene, redact: bool| {
        let settings = settings(json!({"format": "full", "redact_credentials": redact}));
        printed(&[ended(scene)], Look::fixed(None, false), &settings)
    };
    for (place, scene) in PLACES {
        let masked = shown(scene(&key()), true);
        assert!(masked.contains("[REDACTED]"), "{place}: {masked}");
        let bare = shown(scene(&key()), false);
        assert!(bare.contains(&key()), "{place}: {bare}");
        let masked = masked.replace("sk-proj-[REDACTED]", "[REDACTED]");
        assert_eq!(bare.replace(&key(), "[REDACTED]"), masked, "{place}");
    }
    let json = settings(json!({"format": "json", "redact_credentials": false}));
    for (place, scene) in PLACES.iter().filter(|(place, _)| !["system", "thinking"].contains(place)) {
        let out = printed(&[ended(scene(&key()))], Look::fixed(None, false), &json);
        assert!(out.contains(&key()), "{place}: {out}");
    }
}

#[test]
fn other_names_are_masked_too() {
    let mut call = call("gpt-4o", vec![]);
    let mut session = Session::new(key());
    session.told = true;
    Arc::make_mut(&mut session.agent).told = Some(key().into());
    call.session = session.into();
    call.tools = [Tool::new(key())].into();
    let mut media = Media::new(key());
    media.media_type = Some(key().into());
    call.news = vec![Turn::new(Role::User, vec![Part::Media(media), Part::Other(key().into())])];
    let scene = || Scene::post(0).asks(call.clone()).answers(200).ends(1);
    for format in ["compact", "full", "json"] {
        let out = printed(&[scene()], Look::fixed(None, false), &settings(json!({ "format": format })));
        assert_gone(RANDOM, &out);
    }
}

#[test]
fn a_password_in_a_tools_input_is_masked_by_its_name() {
    let scene = |input: &str| said(vec![Part::ToolUse(tool("a", "login", input))]);
    let input = r#"{"user": "me", "password": "hunter2 \"and\" more", "n": 1}"#;
    let compact = printed(&[scene(input)], Look::fixed(None, false), &Settings::default());
    assert!(compact.contains(r#"→ login {"user": "me", "password": "[REDACTED]", "n": 1}"#), "{compact}");
    let json = printed(&[scene(input)], Look::fixed(None, false), &settings(json!({"format": "json"})));
    let line: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(line["tool_calls"][0]["input"], r#"{"user": "me", "password": "[REDACTED]", "n": 1}"#);
}

#[test]
fn a_key_that_stands_where_a_path_is_cut_is_masked() {
    for length in 340..400 {
        let path = format!("/{}/{}/usage", "a".repeat(length), key());
        for format in ["compact", "json"] {
            let scene = Scene::new(0, Method::GET, &path).answers(404).ends(1);
            let settings = settings(json!({ "format": format }));
            assert_gone(RANDOM, &printed(&[scene], Look::fixed(None, false), &settings));
        }
    }
}

#[test]
fn a_key_at_the_end_of_what_is_looked_at_is_masked() {
    for before in (65_470..65_540).step_by(5) {
        let text = format!("{}{} more", "x\n".repeat(before / 2), key());
        let blank = format!("{}{} more", " ".repeat(before), key());
        let one_row = format!("{} {} more", "x".repeat(before), key());
        for text in [text, blank, one_row] {
            let scene = asked(vec![user(&text)]).ends(1000);
            let settings = settings(json!({"format": "full"}));
            assert_gone(RANDOM, &printed(&[scene], Look::fixed(None, false), &settings));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_cut_lets_a_piece_of_a_key_slip_through(
        before in prop_oneof![0_usize..2000, 340_usize..410, 1540_usize..1610],
        blank in prop::sample::select(vec!["\n", " ", "x ", "漢", "\"", "é.", "x\n"]),
        keys in 1_usize..4,
        width in prop::option::of(30_usize..140),
        format in prop::sample::select(vec!["compact", "full", "json"]),
        log_body: bool,
        pieces in 1_usize..60,
    ) {
        let characters = blank.chars().count();
        let key = format!("{} ", key()).repeat(keys);
        let text = format!("{} {key}and more{}", blank.repeat(before / characters), " more".repeat(400));
        let result = ToolResult::new(Some("a".into()), text.as_str());
        let turns = vec![user(&text), Turn::new(Role::Tool, vec![Part::ToolResult(result)])];
        let parts = vec![Part::Text(text.as_str().into()), Part::ToolUse(tool("b", "bash", &text))];
        let whole = asked(turns).completes(900, answer(parts, "stop"));
        let deltas: Vec<char> = text.chars().collect();
        let cut = deltas.chunks(pieces).map(String::from_iter);
        let cut = cut.fold(asked(vec![user("hi")]), |scene, piece| scene.says(300, &piece)).ends(1000);
        let settings = settings(json!({"format": format, "log_body": log_body}));
        assert_gone(RANDOM, &printed(&[whole, cut], Look::fixed(width, false), &settings));
    }
}
