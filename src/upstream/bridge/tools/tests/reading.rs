//! What holds of every answer.

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::upstream::bridge::event::{Begin, Event};
use crate::upstream::bridge::failure::Kind;

/// Pieces of which an answer may be made to confuse a reader.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "FUNCTION_CALL_START",
            "FUNCTION_CALL_END",
            "FUNCTION_CALL_",
            "TOOL_CALL_START",
            "TOOL_CALL_END",
            "<tool_call",
            "<tool_call>",
            "<tool_call id=\"a\">",
            "</tool_call>",
            "weather",
            "function_name:",
            "id:",
            "arguments:",
            "\"name\"",
            "\"weather\"",
            "\"arguments\"",
            "\"step_id\"",
            "\"function\"",
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\"",
            "'",
            "\\",
            "\\u",
            "d83d",
            "\\ude00",
            "\n",
            "\n",
            " ",
            "```",
            "```json",
            "true",
            "None",
            "1",
            "-",
            "é",
            "\u{1F600}",
            "null",
            "\t",
        ])
        .prop_map(str::to_owned),
        "[a-z{}\":,\\n ]{0,4}",
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// A call that is by the book, or nearly, and what stands around it.
fn call() -> impl Strategy<Value = String> {
    (pieces(), 0..4_u8, pieces()).prop_map(|(before, form, inside)| match form {
        0 => format!("{before}\nFUNCTION_CALL_START\nweather\narguments: {{{inside}}}\nFUNCTION_CALL_END\n"),
        1 => format!(
            "{before}\nTOOL_CALL_START\n{{\"name\":\"weather\",\"arguments\":{{{inside}}}}}\nTOOL_CALL_END\n"
        ),
        2 => format!("{before}\n<tool_call>{{\"arguments\":{{{inside}}},\"name\":\"weather\"}}</tool_call>"),
        _ => format!("{{\"name\":\"weather\",\"arguments\":{{{inside}}}}}{before}"),
    })
}

fn any_ask() -> impl Strategy<Value = Ask> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(parallel, json, none)| Ask {
        parallel,
        format: if json { Format::Json } else { Format::Text },
        choice: if none { ToolChoice::None } else { ToolChoice::Auto },
        ..ask(&["weather", "search"])
    })
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_pieces_of_any_answer_are_read_alike(
        ask in any_ask(),
        text in prop_oneof![pieces(), call()],
        at in prop::collection::vec(0_usize..400, 0..8),
    ) {
        let mut at: Vec<_> = at.into_iter().map(|at| text.floor_char_boundary(at)).chain([0, text.len()]).collect();
        at.sort_unstable();
        let (whole, verdict, warned) = read(&ask, [text.as_str()]);
        let (cut, cut_verdict, cut_warned) = read(&ask, at.windows(2).map(|ends| &text[ends[0]..ends[1]]));
        prop_assert_eq!(cut.blocks, whole.blocks);
        prop_assert_eq!((cut_verdict, cut_warned), (verdict, warned));
    }

    #[test]
    fn every_input_is_a_json_object_and_blocks_are_in_order(text in prop_oneof![pieces(), call()]) {
        let mut reading = Reading::new(&ask(&["weather"]), Style::Xml, "a");
        let mut events = reading.hear(&text);
        events.extend(reading.finish().0);
        let mut open: Option<(bool, String)> = None;
        let mut calls = 0;
        for event in events {
            match (event, &mut open) {
                (Event::Begin(Begin::Text), None) => open = Some((false, String::new())),
                (Event::Begin(Begin::Tool { id, name }), None) => {
                    calls += 1;
                    prop_assert_eq!((id, name), (format!("call_a_{calls}"), "weather".to_owned()));
                    open = Some((true, String::new()));
                }
                (Event::Text(more), Some((false, text))) => text.push_str(&more),
                (Event::Input(more), Some((true, json))) => json.push_str(&more),
                (Event::End, Some((tool, said))) => {
                    if *tool {
                        let read = serde_json::from_str::<serde_json::Value>(said);
                        // Deeper than serde_json likes is deep, but sound.
                        prop_assert!(read.is_ok_and(|value| value.is_object()), "{}", said);
                    } else {
                        prop_assert!(!said.is_empty());
                    }
                    open = None;
                }
                (event, open) => prop_assert!(false, "{:?} in {:?}", event, open),
            }
        }
        prop_assert!(open.is_none());
        prop_assert_eq!(reading.calls(), calls);
    }

    #[test]
    fn an_answer_without_calls_is_said_as_it_is(text in prop_oneof![pieces(), call(), any::<String>()]) {
        let (answer, ..) = read(&ask(&["search"]), [text.as_str()]);
        prop_assert_eq!(answer.text(), text.as_str(), "the one tool that it calls is not there");
        let (answer, ..) = read(&ask(&[]), [text.as_str()]);
        prop_assert_eq!(answer.text(), text);
    }

    #[test]
    fn nothing_between_sound_calls_is_lost(
        texts in prop::collection::vec("[a-zA-Z_<{}\"`é .\n]{0,12}", 1..5),
        city in any::<String>(),
        form in 0..3_u8,
    ) {
        let input = serde_json::json!({ "city": city }).to_string();
        let call = match form {
            0 => format!("FUNCTION_CALL_START\nweather\narguments: {input}\nFUNCTION_CALL_END"),
            1 => format!("TOOL_CALL_START\n{{\"name\":\"weather\",\"arguments\":{input}}}\nTOOL_CALL_END"),
            _ => format!("<tool_call>{{\"name\":\"weather\",\"arguments\":{input}}}</tool_call>"),
        };
        let text = texts.join(&format!("\n{call}\n"));
        // A block of code around a call goes with it.
        prop_assume!(!text.contains("```"));
        let (answer, _, warned) = read(&ask(&["weather"]), [text.as_str()]);
        let calls = answer.blocks.iter().filter_map(|block| match block {
            Said::Tool { input, .. } => Some(input.as_str()),
            _ => None,
        });
        prop_assert_eq!(calls.collect::<Vec<_>>(), vec![input.as_str(); texts.len() - 1]);
        prop_assert_eq!(squeezed(&answer.text()), squeezed(&texts.concat()));
        prop_assert!(warned.is_empty(), "{:?}", warned);
    }

    #[test]
    fn no_more_is_held_back_than_may_be_a_marker(text in "[A-Z_<a-z \n]{0,40}") {
        let mut reading = Reading::new(&ask(&["weather"]), Style::Xml, "a");
        let mut answer = Answer::default();
        reading.hear("So. ").iter().chain(&reading.hear(&text)).for_each(|event| answer.hear(event));
        let heard = format!("So. {text}");
        let held = heard.strip_prefix(&answer.text()).unwrap();
        let mark = held.trim_start();
        let may_open = ["FUNCTION_CALL_START", "TOOL_CALL_START", "<tool_call"].iter().any(|start| start.starts_with(mark));
        prop_assert!(may_open, "{:?}", held);
    }
}

/// Steps for each byte of an answer that is the same again and again.
fn work(pattern: &str, bytes: usize) -> usize {
    let text = pattern.repeat(bytes / pattern.len());
    let mut reading = Reading::new(&ask(&["weather"]), Style::Xml, "a");
    for piece in text.as_bytes().chunks(1000) {
        reading.hear(str::from_utf8(piece).unwrap());
    }
    reading.finish();
    reading.steps / text.len()
}

#[test]
fn the_work_grows_with_the_answer_and_no_faster() {
    for pattern in [
        "FUNCTION_CALL_STAR\n",
        "FUNCTION_CALL_START\n",
        "FUNCTION_CALL_START\nweather\n",
        "FUNCTION_CALL_START\nweather\nid:\n",
        "FUNCTION_CALL_START\nweather\narguments:\n",
        "FUNCTION_CALL_START\nweather\narguments: \"\n",
        "FUNCTION_CALL_START\nweather\narguments: {}\n",
        "TOOL_CALL_START\n{\"arguments\":{\"x\":\"\n",
        "TOOL_CALL_START\n{\"arguments\":{\"x\":\"\"}\n",
        "<tool_call <tool_call\n",
        "<tool_call>\n",
        "\n\n\n \n",
        "{\"name\":",
        "{\"arguments\":[",
        "```",
    ] {
        let work = work(pattern, 300_000);
        assert!(work <= 3, "{pattern:?} takes {work} steps a byte");
    }
    assert!(work("FUNCTION_CALL_STAR\n", 5_000_000) <= 3);
}

#[test]
fn arguments_go_out_as_they_come() {
    let mut reading = Reading::new(&ask(&["weather"]), Style::FunctionCall, "a");
    let mut answer = Answer::default();
    let mut hear = |text: &str| {
        reading.hear(text).iter().for_each(|event| answer.hear(event));
        told(&answer)
    };
    assert_eq!(hear("FUNCTION_CALL_START\nweather\nargu"), "");
    assert_eq!(hear("ments: {\"city\": \"Ro"), r#"weather{"city":"Ro"#);
    assert_eq!(hear("me\", \"da"), r#"weather{"city":"Rome""#);
    assert_eq!(hear("y\": 1}"), r#"weather{"city":"Rome","day":1}"#);
    assert_eq!(hear("\nFUNCTION_CALL_END\nT"), r#"weather{"city":"Rome","day":1}"#, "a T may be a marker's");
    assert_eq!(hear("hen"), r#"weather{"city":"Rome","day":1} "Then""#);
}

#[test]
fn one_call_is_enough_where_only_one_may_be() {
    let ask = Ask { parallel: false, ..ask(&["weather"]) };
    let text =
        "A\n<tool_call>{\"name\":\"weather\"}</tool_call>\n<tool_call>{\"name\":\"weather\"}</tool_call>B";
    let mut reading = Reading::new(&ask, Style::Xml, "a");
    let mut answer = Answer::default();
    reading.hear(text).iter().for_each(|event| answer.hear(event));
    assert!(reading.over());
    reading.finish().0.iter().for_each(|event| answer.hear(event));
    assert_eq!(told(&answer), r#""A" weather{}"#);
}

#[test]
fn a_key_that_a_tool_takes_is_not_left_out() {
    let mut ask = ask(&[]);
    ask.tools = vec![tool("weather", r#"{"properties":{"step_id":{"type":"string"}}}"#)];
    let text = "<tool_call>{\"name\":\"weather\",\"arguments\":{\"step_id\":\"1\",\"tool_execution_id\":1}}</tool_call>";
    assert_eq!(told(&read(&ask, [text]).0), r#"weather{"step_id":"1"}"#);
}

#[test]
fn a_key_that_is_left_out_and_never_ends_leaves_an_object_that_does() {
    for (arguments, read_as) in [
        (r#"{"step_id":"}"#, "{}"),
        (r#"{"step_id":{"x":["}"#, "{}"),
        (r#"{"city":"a","step_id":"}"#, r#"{"city":"a"}"#),
    ] {
        let text = format!("\nFUNCTION_CALL_START\nweather\narguments: {arguments}\nFUNCTION_CALL_END\n");
        assert_eq!(told(&read(&ask(&["weather"]), [text.as_str()]).0), format!("weather{read_as}"), "{text}");
    }
}

fn unmet(verdict: Verdict) -> (Kind, String) {
    match verdict {
        Verdict::Unmet { kind, why, follow_up, .. } => {
            assert!(follow_up.contains(&why), "{follow_up}");
            (kind, why)
        }
        Verdict::Fine => panic!("it is fine"),
    }
}

#[test]
fn a_choice_that_is_not_met_is_told() {
    let with = |choice: ToolChoice| Ask { choice, ..ask(&["weather", "search"]) };
    let call = "<tool_call>{\"name\":\"weather\"}</tool_call>";
    assert_eq!(unmet(read(&with(ToolChoice::Required), ["No."]).1).0, Kind::ToolChoiceUnmet);
    assert_eq!(unmet(read(&with(ToolChoice::Named("search".to_owned())), [call]).1).0, Kind::ToolChoiceUnmet);
    assert_eq!(read(&with(ToolChoice::Named("weather".to_owned())), [call]).1, Verdict::Fine);
    assert_eq!(read(&with(ToolChoice::Required), [call]).1, Verdict::Fine);
    assert_eq!(read(&with(ToolChoice::Auto), ["No."]).1, Verdict::Fine);
    let (answer, verdict, _) = read(&with(ToolChoice::None), [call]);
    assert_eq!((answer.text().as_str(), verdict), (call, Verdict::Fine));
}

#[test]
fn an_input_that_is_not_of_its_schema_is_told() {
    let mut ask = ask(&[]);
    ask.tools = vec![tool("weather", r#"{"type":"object","required":["city"]}"#)];
    let (_, verdict, warned) = read(&ask, ["<tool_call>{\"name\":\"weather\"}</tool_call>"]);
    assert_eq!(
        unmet(verdict).1,
        r#"The input that the model gave to "weather" is not of its schema: "city" is a required property"#
    );
    assert!(warned.is_empty());
    let (_, verdict, _) = read(&ask, ["FUNCTION_CALL_START\nweather\narguments: {\"city\":\"Ro"]);
    assert_eq!(unmet(verdict).0, Kind::ToolChoiceUnmet, "it is cut off");
    ask.tools = vec![tool("weather", r#"{"type":7}"#)];
    let (_, verdict, warned) = read(&ask, ["<tool_call>{\"name\":\"weather\"}</tool_call>"]);
    assert_eq!((verdict, warned), (Verdict::Fine, vec!["schema-unchecked"]));
}

#[test]
fn json_that_was_asked_for_comes_without_its_fence() {
    let schema = RawValue::from_string(r#"{"type":"object","required":["a"]}"#.to_owned()).unwrap();
    let ask = Ask { format: Format::Schema(schema), ..ask(&[]) };
    for text in
        ["{\"a\": 1}", "```json\n{\"a\": 1}\n```", "\n```\n{\"a\": 1}\n```\n", "```json {\"a\": 1}```"]
    {
        let chars: Vec<String> = text.chars().map(String::from).collect();
        let (answer, verdict, _) = read(&ask, chars.iter().map(String::as_str));
        assert_eq!((answer.text().as_str(), verdict), ("{\"a\": 1}", Verdict::Fine), "{text}");
    }
    let (answer, ..) = read(&ask, ["```json\n{\"a\": \"```\"}\n```"]);
    assert_eq!(answer.text(), "{\"a\": \"```\"}", "a fence in a string");
    for text in ["{\"b\": 1}", "So: {\"a\": 1}", "```json\n{\"a\": 1}\n```\nIs that right?", ""] {
        assert_eq!(unmet(read(&ask, [text]).1).0, Kind::FormatUnmet, "{text}");
    }
    let ask = Ask { format: Format::Json, ..ask };
    assert_eq!(read(&ask, ["```json\n{}\n```"]).1, Verdict::Fine);
    assert_eq!(unmet(read(&ask, ["[]"]).1).0, Kind::FormatUnmet);
}

#[test]
fn json_that_was_asked_for_goes_out_as_it_comes() {
    let ask = Ask { format: Format::Json, ..ask(&["weather"]) };
    let mut reading = Reading::new(&ask, Style::Xml, "a");
    let mut answer = Answer::default();
    let mut hear = |text: &str| {
        reading.hear(text).iter().for_each(|event| answer.hear(event));
        answer.text()
    };
    assert_eq!(hear("```json\n{\"ci"), "");
    assert_eq!(hear("ty\": \"Ro"), "{\"city\": \"Ro", "no call has such a key");
    assert_eq!(hear("me\""), "{\"city\": \"Rome\"");
}

#[test]
fn any_bytes_are_read_and_leave_blocks_in_order() {
    bolero::check!().with_test_time(std::time::Duration::from_millis(300)).for_each(|bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let (whole, ..) = read(&ask(&["a"]), [text.as_ref()]);
        let chars: Vec<String> = text.chars().map(String::from).collect();
        let (cut, ..) = read(&ask(&["a"]), chars.iter().map(String::as_str));
        assert_eq!(cut.blocks, whole.blocks);
        for block in whole.blocks {
            if let Said::Tool { input, .. } = block {
                assert!(
                    serde_json::from_str::<&RawValue>(&input).is_ok_and(|json| json.get().starts_with('{'))
                );
            }
        }
    });
}
