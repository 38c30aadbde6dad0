use perimeter_interceptor::{ApiFailure, LlmEvent, Part, Role, ToolResult, Turn};
use perimeter_printer::{Look, Settings};
use proptest::prelude::*;
use serde_json::json;

use crate::scene::{CALL, Scene, answer, call, printed, settings, tool, turn, user};

/// Text as nobody expects it: anything, and much of what terminals mind.
fn text() -> impl Strategy<Value = String> {
    let nasty = prop::sample::select(vec![
        "\x1b[31m",
        "\x1b]0;x\x07",
        "\u{9b}",
        "\r\n",
        "\r",
        "\n",
        "\n\n",
        "\t",
        " ",
        "  ",
        "\x7f",
        "\u{202e}",
        "漢",
        "か\u{3099}",
        "👩‍👩‍👧‍👦",
        "🇯🇵",
        "\u{200d}",
        "\u{200b}",
        "\u{fe0f}",
        "☔\u{fe0f}",
        "e\u{301}",
        "\u{301}",
        "ﷺ",
        "लि",
        "각",
        "\u{1160}",
        "\u{1100}",
        "😀",
        "🏽",
        "word",
        "a-rather-long-word-without-any-blank-in-it",
        "…",
        "\u{2028}",
        "\u{85}",
        "\u{feff}",
        "\u{e0061}",
        "لا",
    ]);
    let piece = prop_oneof![
        4 => nasty.prop_map(str::to_owned),
        2 => "[a-z]{1,12} ",
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..120).prop_map(|pieces| pieces.concat())
}

fn scene(text: &str) -> Scene {
    let result = ToolResult::new(Some("a".into()), text);
    let asked = vec![
        turn(Role::System, text),
        Turn::new(Role::Assistant, vec![Part::ToolUse(tool("a", text, text))]),
        Turn::new(Role::Tool, vec![Part::ToolResult(result)]),
        user(text),
    ];
    let mut failure = ApiFailure::new(CALL, 200, text);
    failure.kind = Some(text.into());
    let parts =
        vec![Part::Thinking(text.into()), Part::Text(text.into()), Part::ToolUse(tool("b", text, text))];
    Scene::post(0)
        .asks(call(text, asked))
        .answers(200)
        .says(300, text)
        .llm(301, LlmEvent::Cut(answer(parts, text).into()))
        .llm(302, LlmEvent::Failure(failure.into()))
        .ends(303)
}

/// Takes our own colours out.
fn without_colours(line: &str) -> String {
    let mut plain = line.to_owned();
    for code in ["0", "1", "2", "31", "32", "33", "34", "35", "36"] {
        plain = plain.replace(&format!("\x1b[{code}m"), "");
    }
    plain
}

/// The cells that a line takes, as a terminal counts that knows clusters, and as one does that does not.
fn cells(line: &str) -> usize {
    use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
    let one_by_one = line.chars().map(|c| c.width().unwrap_or(0)).sum();
    line.width().max(one_by_one)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_line_is_wider_than_the_terminal_nor_holds_what_is_not_ours(
        text in text(),
        width in 40_usize..140,
        colour: bool,
        format in prop::sample::select(vec!["compact", "full"]),
        log_body: bool,
    ) {
        let settings = settings(json!({"format": format, "log_body": log_body}));
        let out = printed(&[scene(&text)], Look::fixed(Some(width), colour), &settings);
        prop_assert!(out.ends_with('\n'));
        for line in out.split_terminator('\n') {
            let line = if colour { without_colours(line) } else { line.to_owned() };
            prop_assert!(!line.chars().any(char::is_control), "{line:?}");
            prop_assert!(cells(&line) <= width, "{} of {width}: {line:?}", cells(&line));
        }
    }

    #[test]
    fn json_is_json_and_safe_to_look_at(text in text()) {
        let out = printed(&[scene(&text)], Look::fixed(None, true), &settings(json!({"format": "json", "log_body": true})));
        prop_assert!(!out.trim_end_matches('\n').chars().any(char::is_control), "{out:?}");
        let line: serde_json::Value = serde_json::from_str(&out).unwrap();
        prop_assert_eq!(line["model"].as_str(), Some(&*text));
        prop_assert_eq!(line["error"]["message"].as_str(), Some(&*text));
    }

    #[test]
    fn words_are_whole_where_they_fit(words in prop::collection::vec("[a-z]{1,20}", 1..60)) {
        let settings = settings(json!({"log_body": true}));
        let scene = Scene::post(0).asks(call("m", vec![user(&words.join(" "))])).answers(200).ends(1);
        let out = printed(&[scene], Look::fixed(Some(40), false), &settings);
        let shown: Vec<&str> = out.lines().skip(1).flat_map(str::split_whitespace).filter(|word| *word != "›").collect();
        prop_assert_eq!(shown, words);
    }
}

#[test]
fn without_a_terminal_excerpts_still_end() {
    let text = "word ".repeat(100_000);
    let out = printed(&[scene(&text)], Look::fixed(None, false), &Settings::default());
    let longest = out.lines().filter(|line| !line.contains('✗')).map(|line| line.chars().count()).max();
    assert!(longest < Some(500), "{longest:?}");
}
