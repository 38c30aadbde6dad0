//! What models write, and what becomes of it.

use super::{ask, read, told};

/// Each answer, what it says, and the warnings. The tools are `weather` and `search`.
const CORPUS: &[(&str, &str, &str)] = &[
    // Nothing but text.
    ("", "", ""),
    ("Hello.", r#""Hello.""#, ""),
    (" \n\nHello.\n", r#"" \n\nHello.\n""#, ""),
    ("  \n", r#""  \n""#, ""),
    // Each form, by the book.
    (
        "FUNCTION_CALL_START\nweather\narguments: {\"city\":\"Rome\"}\nFUNCTION_CALL_END",
        r#"weather{"city":"Rome"}"#,
        "",
    ),
    (
        "FUNCTION_CALL_START\nfunction_name: weather\narguments: {\"a\":{\"b\":{}}}\nFUNCTION_CALL_END",
        r#"weather{"a":{"b":{}}}"#,
        "",
    ),
    ("FUNCTION_CALL_START weather id: call_1 arguments: {} FUNCTION_CALL_END", "weather{}", ""),
    ("FUNCTION_CALL_START\nweather\nFUNCTION_CALL_END", "weather{}", ""),
    (
        "TOOL_CALL_START\n{\"name\":\"weather\",\"arguments\":{\"city\":\"Rome\"}}\nTOOL_CALL_END",
        r#"weather{"city":"Rome"}"#,
        "",
    ),
    (
        "TOOL_CALL_START{\"arguments\":{\"a\":[1]},\"function_name\":\"weather\"}TOOL_CALL_END",
        r#"weather{"a":[1]}"#,
        "",
    ),
    (
        "<tool_call>{\"name\":\"weather\",\"arguments\":{\"city\":\"Rome\"}}</tool_call>",
        r#"weather{"city":"Rome"}"#,
        "",
    ),
    ("<tool_call id=\"x\">\n{\"name\": \"weather\"}\n</tool_call>", "weather{}", ""),
    ("{\"name\":\"weather\",\"arguments\":{\"city\":\"Rome\"}}", r#"weather{"city":"Rome"}"#, ""),
    ("```json\n{\"name\": \"weather\", \"arguments\": {}}\n```\n", "weather{}", ""),
    (
        "{\"type\":\"function\",\"id\":\"x\",\"function\":{\"name\":\"weather\",\"arguments\":\"{\\\"city\\\":\\\"Rome\\\"}\"}}",
        r#"weather{"city":"Rome"}"#,
        "tool-call-repaired",
    ),
];

#[test]
fn what_models_write_is_read_as_they_mean_it() {
    for (text, said, warnings) in CORPUS {
        let ask = ask(&["weather", "search"]);
        let (answer, _, warned) = read(&ask, [*text]);
        assert_eq!(told(&answer), *said, "{text}");
        assert_eq!(warned.join(" "), *warnings, "{text}");
        let mut cut = Vec::new();
        let mut rest = *text;
        while let Some(c) = rest.chars().next() {
            let (piece, after) = rest.split_at(c.len_utf8());
            cut.push(piece);
            rest = after;
        }
        assert_eq!(told(&read(&ask, cut).0), *said, "char by char: {text}");
    }
}
