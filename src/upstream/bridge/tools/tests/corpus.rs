//! What models write, and what becomes of it.

use super::{ask, read, told};

/// Nothing had to be mended.
const FINE: &str = "";
const REPAIRED: &str = "tool-call-repaired";
const UNKNOWN: &str = "tool-call-unknown";
const UNREADABLE: &str = "tool-call-unreadable";

/// Each answer, what it says, and the warnings. The tools are `weather` and `search`.
const CORPUS: &[(&str, &str, &str)] = &[
    // Nothing but text.
    ("", "", FINE),
    ("Hello.", r#""Hello.""#, FINE),
    (" \n\nHello.\n", r#"" \n\nHello.\n""#, FINE),
    ("  \n", r#""  \n""#, FINE),
    ("FUNCTION_CALL_STAR", r#""FUNCTION_CALL_STAR""#, FINE),
    ("<tool_calls> are fun", r#""<tool_calls> are fun""#, FINE),
    ("<tool_call", r#""<tool_call""#, FINE),
    // Each form, by the book.
    (
        "FUNCTION_CALL_START\nweather\narguments: {\"city\":\"Rome\"}\nFUNCTION_CALL_END",
        r#"weather{"city":"Rome"}"#,
        FINE,
    ),
    (
        "FUNCTION_CALL_START\r\nweather\r\narguments: {\"city\":\"Rome\"}\r\nFUNCTION_CALL_END\r\n",
        r#"weather{"city":"Rome"}"#,
        FINE,
    ),
    (
        "FUNCTION_CALL_START\nfunction_name: weather\narguments: {\"a\":{\"b\":{}}}\nFUNCTION_CALL_END",
        r#"weather{"a":{"b":{}}}"#,
        FINE,
    ),
    ("FUNCTION_CALL_START\nfunction_name:weather\narguments:{}\nFUNCTION_CALL_END", "weather{}", FINE),
    ("FUNCTION_CALL_START weather id: call_1 arguments: {} FUNCTION_CALL_END", "weather{}", FINE),
    ("FUNCTION_CALL_START\nweather\nFUNCTION_CALL_END", "weather{}", FINE),
    (
        "TOOL_CALL_START\n{\"name\":\"weather\",\"arguments\":{\"city\":\"Rome\"}}\nTOOL_CALL_END",
        r#"weather{"city":"Rome"}"#,
        FINE,
    ),
    (
        "TOOL_CALL_START{\"arguments\":{\"a\":[1]},\"function_name\":\"weather\"}TOOL_CALL_END",
        r#"weather{"a":[1]}"#,
        FINE,
    ),
    (
        "<tool_call>{\"name\":\"weather\",\"arguments\":{\"city\":\"Rome\"}}</tool_call>",
        r#"weather{"city":"Rome"}"#,
        FINE,
    ),
    ("<tool_call id=\"x\">\n{\"name\": \"weather\"}\n</tool_call>", "weather{}", FINE),
    ("{\"name\":\"weather\",\"arguments\":{\"city\":\"Rome\"}}", r#"weather{"city":"Rome"}"#, FINE),
    ("```json\n{\"name\": \"weather\", \"arguments\": {}}\n```\n", "weather{}", FINE),
    (
        "{\"type\":\"function\",\"id\":\"x\",\"function\":{\"name\":\"weather\",\"arguments\":\"{\\\"city\\\":\\\"Rome\\\"}\"}}",
        r#"weather{"city":"Rome"}"#,
        REPAIRED,
    ),
    // Moved to the right, or in a block of code.
    (
        "I look:\n    FUNCTION_CALL_START\n    weather\n    arguments: {\"city\":\"Rome\"}\n    FUNCTION_CALL_END\n",
        r#""I look:" weather{"city":"Rome"}"#,
        FINE,
    ),
    (
        "I look:\n```\nFUNCTION_CALL_START\nweather\narguments: {}\nFUNCTION_CALL_END\n```\nDone.",
        r#""I look:" weather{} "\n\nDone.""#,
        FINE,
    ),
    (
        "```xml\r\n<tool_call>{\"name\":\"weather\"}</tool_call>\n<tool_call>{\"name\":\"search\"}</tool_call>\r\n```",
        "weather{} search{}",
        FINE,
    ),
    (
        "```\nTOOL_CALL_START{\"name\":\"weather\"}TOOL_CALL_END\n```\n```\nTOOL_CALL_START{\"name\":\"search\"}TOOL_CALL_END\n```\n",
        "weather{} search{}",
        FINE,
    ),
    ("```sh\nls\n```\n", r#""```sh\nls\n```\n""#, FINE),
    ("See:\n```\n\n  x\n```", r#""See:\n```\n\n  x\n```""#, FINE),
    ("``` a b\n``\n```", r#""``` a b\n``\n```""#, FINE),
    ("<tool_call>{\"name\":\"weather\"}</tool_call>\n```sh\nls\n```", r#"weather{} "```sh\nls\n```""#, FINE),
    (
        "```\n<tool_call>{\"name\":\"weather\"}</tool_call>\n```sh\nls\n```\n",
        r#"weather{} "```sh\nls\n```\n""#,
        FINE,
    ),
    // Text and calls in their order, without the space between them; texts are paragraphs of their own.
    (
        "I look.\n\nFUNCTION_CALL_START\nweather\narguments: {}\nFUNCTION_CALL_END\n\nDone.\n",
        r#""I look." weather{} "\n\nDone.\n""#,
        FINE,
    ),
    (
        "<tool_call>{\"name\":\"weather\"}</tool_call><tool_call>{\"name\":\"search\"}</tool_call> and so",
        r#"weather{} search{} "and so""#,
        FINE,
    ),
    (
        "A\nTOOL_CALL_START{\"name\":\"weather\"}TOOL_CALL_END\nB\nFUNCTION_CALL_START\nsearch\narguments: {}\nFUNCTION_CALL_END\nC",
        r#""A" weather{} "\n\nB" search{} "\n\nC""#,
        FINE,
    ),
    // Not at the beginning of a line, not in these letters, not this word.
    (
        "Say FUNCTION_CALL_START\nweather\narguments: {}\nFUNCTION_CALL_END",
        r#""Say FUNCTION_CALL_START\nweather\narguments: {}\nFUNCTION_CALL_END""#,
        FINE,
    ),
    (
        "function_call_start\nweather\narguments: {}\nfunction_call_end",
        r#""function_call_start\nweather\narguments: {}\nfunction_call_end""#,
        FINE,
    ),
    (
        "FUNCTION_CALL_STARTED\nweather\narguments: {}",
        r#""FUNCTION_CALL_STARTED\nweather\narguments: {}""#,
        FINE,
    ),
    // Tools that there are not.
    (
        "FUNCTION_CALL_START\nrm\narguments: {\"a\":1}\nFUNCTION_CALL_END\nok",
        r#""FUNCTION_CALL_START\nrm\narguments: {\"a\":1}\nFUNCTION_CALL_END\nok""#,
        UNKNOWN,
    ),
    (
        "<tool_call>{\"name\":\"rm\",\"arguments\":{}}</tool_call>",
        r#""<tool_call>{\"name\":\"rm\",\"arguments\":{}}</tool_call>""#,
        UNKNOWN,
    ),
    (
        "FUNCTION_CALL_START is a marker.\nFUNCTION_CALL_START\nweather\narguments: {}\nFUNCTION_CALL_END",
        r#""FUNCTION_CALL_START is a marker." weather{}"#,
        UNKNOWN,
    ),
    (
        "FUNCTION_CALL_START\nFUNCTION_CALL_START\nweather\nFUNCTION_CALL_END",
        r#""FUNCTION_CALL_START" weather{}"#,
        UNKNOWN,
    ),
    // JSON that is an answer, not a call.
    ("{\"name\":\"Bob\",\"arguments\":{}}", r#""{\"name\":\"Bob\",\"arguments\":{}}""#, FINE),
    (
        "{\"name\":\"weather\",\"arguments\":{},\"age\":7}",
        r#""{\"name\":\"weather\",\"arguments\":{},\"age\":7}""#,
        FINE,
    ),
    (
        "{\"name\":\"weather\",\"arguments\":{}} is how to call it",
        r#""{\"name\":\"weather\",\"arguments\":{}} is how to call it""#,
        FINE,
    ),
    ("So: {\"name\":\"weather\",\"arguments\":{}}", r#""So: {\"name\":\"weather\",\"arguments\":{}}""#, FINE),
    ("```python\nprint({})\n```", r#""```python\nprint({})\n```""#, FINE),
    // Markers in strings.
    (
        "FUNCTION_CALL_START\nweather\narguments: {\"a\":\"FUNCTION_CALL_END\"}\nFUNCTION_CALL_END",
        r#"weather{"a":"FUNCTION_CALL_END"}"#,
        FINE,
    ),
    (
        "FUNCTION_CALL_START\nweather\narguments: {\"a\":\"x\nFUNCTION_CALL_END\ny\"}\nFUNCTION_CALL_END",
        r#"weather{"a":"x\nFUNCTION_CALL_END\ny"}"#,
        REPAIRED,
    ),
    (
        "<tool_call>{\"name\":\"weather\",\"arguments\":{\"a\":\"</tool_call>\"}}</tool_call>",
        r#"weather{"a":"</tool_call>"}"#,
        FINE,
    ),
    // What can be mended.
    ("FUNCTION_CALL_START\nweather\narguments: {\"a\":1,}\nFUNCTION_CALL_END", r#"weather{"a":1}"#, REPAIRED),
    (
        "FUNCTION_CALL_START\nweather\narguments: {\"a\":[1,2,],}\nFUNCTION_CALL_END",
        r#"weather{"a":[1,2]}"#,
        REPAIRED,
    ),
    (
        "FUNCTION_CALL_START\nweather\narguments: {\"a\":{\"b\":1}\nFUNCTION_CALL_END\nok",
        r#"weather{"a":{"b":1}} "ok""#,
        REPAIRED,
    ),
    ("FUNCTION_CALL_START\nweather\narguments: {\"a\":{\"b\":1}", r#"weather{"a":{"b":1}}"#, REPAIRED),
    ("FUNCTION_CALL_START\nweather\narguments: {\"a\":1}}\nFUNCTION_CALL_END", r#"weather{"a":1}"#, REPAIRED),
    (
        "FUNCTION_CALL_START\nweather\narguments: {\"a\":[1}\nFUNCTION_CALL_END",
        r#"weather{"a":[1]}"#,
        REPAIRED,
    ),
    ("FUNCTION_CALL_START\nweather\narguments: {\"a\":1]}\nFUNCTION_CALL_END", r#"weather{"a":1}"#, REPAIRED),
    (
        "FUNCTION_CALL_START\nweather\narguments: {\"a\":1 \"b\":2}\nFUNCTION_CALL_END",
        r#"weather{"a":"1 \"b\":2"}"#,
        REPAIRED,
    ),
    (
        "FUNCTION_CALL_START\nweather\narguments: {\"a\":\"x\" \"b\":2}\nFUNCTION_CALL_END",
        r#"weather{"a":"x","b":2}"#,
        REPAIRED,
    ),
    (
        "FUNCTION_CALL_START\nweather\narguments: {'a': 'it\\'s \"x\"', b: True, c: None}\nFUNCTION_CALL_END",
        r#"weather{"a":"it's \"x\"","b":true,"c":null}"#,
        REPAIRED,
    ),
    (
        "FUNCTION_CALL_START\nweather\narguments: {\"re\":\"\\d+\",\"tab\":\"\t\"}\nFUNCTION_CALL_END",
        r#"weather{"re":"\\d+","tab":"\t"}"#,
        REPAIRED,
    ),
    (
        "FUNCTION_CALL_START\nweather\narguments: {\"a\":\"\\ud800x\\ud83d\\ude00\\u12\"}\nFUNCTION_CALL_END",
        r#"weather{"a":"\ufffdx\ud83d\ude00\\u12"}"#,
        REPAIRED,
    ),
    (
        "FUNCTION_CALL_START\nweather\narguments: {\"city\": Rome, \"n\": 01}\nFUNCTION_CALL_END",
        r#"weather{"city":"Rome","n":"01"}"#,
        REPAIRED,
    ),
    (
        "FUNCTION_CALL_START\nweather\narguments: \"{\\\"a\\\":\\\"x\\\\ny\\\"}\"\nFUNCTION_CALL_END",
        r#"weather{"a":"x\ny"}"#,
        REPAIRED,
    ),
    ("FUNCTION_CALL_START\nweather\narguments: null\nFUNCTION_CALL_END", "weather{}", FINE),
    (
        "FUNCTION_CALL_START\nweather\narguments: ```json\n{\"a\":1}\n```\nFUNCTION_CALL_END",
        r#"weather{"a":1}"#,
        REPAIRED,
    ),
    ("TOOL_CALL_START\n{\"name\":\"weather\",\"arguments\":null}\nTOOL_CALL_END", "weather{}", REPAIRED),
    (
        "TOOL_CALL_START\n{\"name\":\"weather\",\"arguments\":{\"a\":1}\nTOOL_CALL_END\nok",
        r#"weather{"a":1} "ok""#,
        REPAIRED,
    ),
    (
        "<tool_call>{\"name\":\"weather\",\"arguments\":{\"a\":1}}\nand text",
        r#"weather{"a":1} "and text""#,
        REPAIRED,
    ),
    (
        "FUNCTION_CALL_START\nweather\narguments: {}\nFUNCTION_CALL_START\nsearch\narguments: {}\nFUNCTION_CALL_END",
        "weather{} search{}",
        REPAIRED,
    ),
    // What agents with tools of their own add.
    (
        "FUNCTION_CALL_START\nweather\narguments: {\"step_id\":{\"x\":[1]},\"a\":1,\"tool_execution_id\":\"7\"}\nFUNCTION_CALL_END",
        r#"weather{"a":1}"#,
        FINE,
    ),
    (
        "<tool_call>{\"name\":\"weather\",\"step_id\":1,\"arguments\":{\"step_id\":1,\"b\":{\"step_id\":2}}}</tool_call>",
        r#"weather{"b":{"step_id":2}}"#,
        FINE,
    ),
    // What cannot be read as a call is text.
    (
        "FUNCTION_CALL_START\nweather\narguments: [1]\nFUNCTION_CALL_END",
        r#""FUNCTION_CALL_START\nweather\narguments: [1]\nFUNCTION_CALL_END""#,
        UNREADABLE,
    ),
    (
        "FUNCTION_CALL_START\nweather\nis fine\nFUNCTION_CALL_END",
        r#""FUNCTION_CALL_START\nweather\nis fine\nFUNCTION_CALL_END""#,
        UNREADABLE,
    ),
    (
        "FUNCTION_CALL_START\nweather\narguments: \"x\"\nFUNCTION_CALL_END",
        r#""FUNCTION_CALL_START\nweather\narguments: \"x\"\nFUNCTION_CALL_END""#,
        UNREADABLE,
    ),
    (
        "TOOL_CALL_START\n{\"arguments\":{}}\nTOOL_CALL_END",
        r#""TOOL_CALL_START\n{\"arguments\":{}}\nTOOL_CALL_END""#,
        UNREADABLE,
    ),
    ("TOOL_CALL_START\nweather {}\nTOOL_CALL_END", r#""TOOL_CALL_START\nweather {}\nTOOL_CALL_END""#, FINE),
    // What has begun as a call and breaks off stays one, and is known to be damaged.
    (
        "FUNCTION_CALL_START\nweather\narguments: {\"a\":\"Ro",
        r#"weather{"a":"Ro"}"#,
        "tool-call-repaired tool-call-damaged",
    ),
    (
        "FUNCTION_CALL_START\nweather\narguments: {\"a\":1,\"b",
        r#"weather{"a":1}"#,
        "tool-call-repaired tool-call-damaged",
    ),
    (
        "FUNCTION_CALL_START\nweather\narguments: {\"a\":1, {\"b\":2}}\nFUNCTION_CALL_END\nok",
        r#"weather{"a":1} "ok""#,
        "tool-call-repaired tool-call-damaged",
    ),
];

#[test]
fn what_models_write_is_read_as_they_mean_it() {
    let mut wrong = Vec::new();
    for (text, said, warnings) in CORPUS {
        let (answer, _, warned) = read(&ask(&["weather", "search"]), [*text]);
        let (told, warned) = (told(&answer), warned.join(" "));
        if told != *said || warned != *warnings {
            wrong.push(format!("{text}\n  is read as  {told} ({warned})\n  and not as  {said} ({warnings})"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn it_makes_no_difference_how_it_comes() {
    for (text, ..) in CORPUS {
        let ask = ask(&["weather", "search"]);
        let (whole, verdict, warned) = read(&ask, [*text]);
        for at in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
            let (first, second) = text.split_at(at);
            assert_eq!(read(&ask, [first, second]).0.blocks, whole.blocks, "cut at {at}: {text}");
        }
        let chars: Vec<String> = text.chars().map(String::from).collect();
        let (answer, chars_verdict, chars_warned) = read(&ask, chars.iter().map(String::as_str));
        assert_eq!(answer.blocks, whole.blocks, "char by char: {text}");
        assert_eq!((chars_verdict, chars_warned), (verdict, warned), "char by char: {text}");
    }
}
