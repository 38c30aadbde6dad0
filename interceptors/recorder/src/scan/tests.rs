use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

/// What JSON is made of, and what it is not.
const PIECES: [&str; 44] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"a\":",
    "\"\"",
    "\"b c\"",
    "\"\\\"\"",
    "\"\\\\\"",
    "\"\\n\\t\\/\\b\\f\\r\"",
    "\"\\u00e9\"",
    "\"\\uD83D\\ude00\"",
    "\"\\ud83d\"",
    "\"\\u00g0\"",
    "\"\\u12\"",
    "\"\\q\"",
    "\"\\'\"",
    "\"",
    "\\",
    "\"\t\"",
    "\"\u{1f}\"",
    "\"\u{7f}\"",
    "\"Grüße, 世界\"",
    "0",
    "-0",
    "01",
    "-",
    "12",
    "-1.5",
    "1.",
    ".5",
    "1e9",
    "1E+2",
    "2e-",
    "true",
    "false",
    "null",
    "nul",
    " ",
    "\n",
    "\r\t",
    "\u{c}",
];

pub(crate) fn pieces() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..12).prop_map(|pieces| pieces.concat())
}

const NAMES: [&str; 7] = ["messages", "input", "request", "a", "\\u0069nput", "\\ud83d", "é\\\""];

/// JSON, with white space here and there.
pub(crate) fn json() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(&PIECES[..]).prop_filter("JSON", |piece| serde_is_json(piece));
    let space = || prop::sample::select(&["", "", "", " ", "\n\t"][..]);
    leaf.prop_map(str::to_owned).prop_recursive(5, 40, 5, move |inner| {
        let list = prop::collection::vec((space(), inner.clone(), space()), 0..5).prop_map(|of| {
            of.into_iter().map(|(a, value, b)| format!("{a}{value}{b}")).collect::<Vec<_>>().join(",")
        });
        let object = prop::collection::vec((prop::sample::select(&NAMES[..]), space(), inner), 0..5)
            .prop_map(|of| {
                of.into_iter()
                    .map(|(name, a, value)| format!("{a}\"{name}\"{a}:{value}"))
                    .collect::<Vec<_>>()
                    .join(",")
            });
        prop_oneof![
            list.prop_map(|list| format!("[{list}]")),
            object.prop_map(|object| format!("{{{object}}}"))
        ]
    })
}

fn serde_is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_pieces_are_json_where_they_are_to_serde(text in pieces()) {
        prop_assert_eq!(is_json(&text), serde_is_json(&text), "{:?}", text);
    }

    #[test]
    fn json_is_json_and_with_something_changed_it_is_what_it_is_to_serde(
        text in json(),
        change in (any::<prop::sample::Index>(), prop::sample::select(&PIECES[..]), any::<bool>()),
    ) {
        prop_assert!(is_json(&text), "{:?}", text);
        let (at, piece, replaces) = change;
        let places: Vec<_> = text.char_indices().collect();
        let (at, old) = places[at.index(places.len())];
        let behind = if replaces { at + old.len_utf8() } else { at };
        let changed = [&text[..at], piece, &text[behind..]].concat();
        prop_assert_eq!(is_json(&changed), serde_is_json(&changed), "{:?}", changed);
        let cut = &text[..at];
        prop_assert_eq!(is_json(cut), serde_is_json(cut), "{:?}", cut);
    }
}

#[test]
fn values_stand_where_they_are_written() {
    let text = " { \"a\" : [1, {}] ,\"b\":\"x\" } ";
    let mut scan = Scan::of(text);
    let mut members = Vec::new();
    let mut goes_on = scan.enter(b'{', b'}').unwrap();
    while goes_on {
        let (name, value) = (scan.name().unwrap(), scan.value().unwrap());
        members.push((&text[name], &text[value]));
        goes_on = scan.goes_on(b'}').unwrap();
    }
    assert_eq!(members, [("\"a\"", "[1, {}]"), ("\"b\"", "\"x\"")]);
    assert_eq!(scan.end(), Some(()));
}

#[test]
fn how_deep_it_is_does_not_matter() {
    let deep = |close: &str| "[".repeat(100_000) + &close.repeat(100_000);
    assert!(is_json(&deep("]")));
    assert!(!is_json(&deep("}")));
}
