use perimeter_interceptor::{CallId, Media, ToolResult};
use proptest::prelude::*;

use super::*;

fn turn(role: Role, parts: impl Into<Vec<Part>>) -> Turn {
    Turn::new(role, parts.into())
}

fn text(text: &str) -> Part {
    Part::Text(text.into())
}

fn user(said: &str) -> Turn {
    turn(Role::User, [text(said)])
}

fn model(said: &str) -> Turn {
    turn(Role::Assistant, [text(said)])
}

fn tool(id: Option<&str>, input: &str) -> Part {
    let mut tool = ToolUse::new(CallId(0), "look", input);
    tool.id = id.map(Into::into);
    Part::ToolUse(tool.into())
}

fn result(id: &str, said: &str) -> Turn {
    turn(Role::Tool, [Part::ToolResult(ToolResult::new(Some(id.into()), said))])
}

#[track_caller]
fn check(turns: &[Turn], others: &[Turn], is_same: bool) {
    let seed = Seed::default();
    let (one, other) = (Units::of(&seed, turns), Units::of(&seed, others));
    assert_eq!(one.list == other.list, is_same, "{turns:?}\n{others:?}");
}

#[track_caller]
fn same(turns: &[Turn], others: &[Turn]) {
    check(turns, others, true);
}

#[track_caller]
fn differ(turns: &[Turn], others: &[Turn]) {
    check(turns, others, false);
}

/// An id that no other call of a tool has.
const UNIQUE: &str = "toolu_01A2b3C4d5E6";

#[test]
fn white_space_and_how_a_text_is_cut_mean_nothing() {
    same(&[user("Hello  there\n")], &[turn(Role::User, [text(" Hello"), text("there ")])]);
    same(&[user("日本\u{3000}語")], &[user("日本語")]);
    differ(&[user("Hello")], &[user("hello")]);
    differ(&[user("a"), user("b")], &[user("ab")]);
    differ(&[user("a")], &[model("a")]);
}

#[test]
fn what_the_model_thought_and_what_a_provider_ran_for_it_is_no_part() {
    let mut hosted = ToolUse::new(CallId(0), "search", "{}");
    hosted.hosted = true;
    let more = turn(Role::Assistant, [Part::Thinking("hm".into()), text("Hi"), Part::ToolUse(hosted.into())]);
    same(&[more], &[model("Hi")]);
    same(&[turn(Role::Assistant, [Part::Thinking("hm".into())]), user("a")], &[user("a")]);
}

#[test]
fn the_input_of_a_tool_is_the_same_however_it_is_written() {
    let uses = |input| turn(Role::Assistant, [tool(Some("call_1"), input)]);
    let first = || uses(r#"{"a":1,"b":[true,null,"x y"]}"#);
    same(&[first()], &[uses("{ \"b\": [true, null, \"xy\"],\n\"a\": 1.0 }")]);
    same(&[uses("")], &[uses("{}")]);
    same(&[uses("{no json")], &[uses("{no  json")]);
    for other in [
        r#"{"a":2,"b":[true,null,"xy"]}"#,
        r#"{"a":"1","b":[true,null,"xy"]}"#,
        r#"{"a":1,"b":[null,true,"xy"]}"#,
        r#"{"a":1,"c":[true,null,"xy"]}"#,
        r#"{"a":1}"#,
        "[1]",
        "",
    ] {
        differ(&[first()], &[uses(other)]);
    }
}

#[test]
fn a_tool_with_an_id_of_its_own_is_known_by_it_whatever_clients_make_of_its_input() {
    let uses = |id, input| turn(Role::Assistant, [tool(id, input)]);
    same(&[uses(Some(UNIQUE), r#"{"a":1}"#)], &[uses(Some(UNIQUE), r#"{"a":1,"b":null}"#)]);
    for id in [None, Some("call_1"), Some("functions.look:0")] {
        differ(&[uses(id, r#"{"a":1}"#)], &[uses(id, r#"{"a":2}"#)]);
    }
    differ(&[uses(Some(UNIQUE), "{}")], &[uses(Some("toolu_01A2b3C4d5E7"), "{}")]);
}

#[test]
fn an_id_is_unique_where_letters_and_digits_stand_in_it_in_no_order() {
    for id in [UNIQUE, "call_AbC123dEf456", "fc_68d1a2b3c4"] {
        assert!(is_unique(id), "{id}");
    }
    for id in ["", "call_1", "functions.look:0", "lookup-weather", "123456789012", "call_a1_b2_c3"] {
        assert!(!is_unique(id), "{id}");
    }
}

#[test]
fn a_result_that_was_cleared_is_the_same_where_its_id_says_whose_it_is() {
    let cleared = "[Old tool result content cleared]";
    assert!(is_cleared(cleared));
    same(&[result(UNIQUE, "a b")], &[result(UNIQUE, "anything")]);
    differ(&[result("call_1", "a b")], &[result("call_1", "anything")]);
    same(&[result("call_1", "")], &[result("call_1", cleared)]);
    differ(&[result("call_1", cleared)], &[result("call_2", cleared)]);
}

#[test]
fn reminders_and_system_prompts_are_no_part_wherever_they_stand() {
    let reminder = text("<system-reminder>\nThe time is noon.\n</system-reminder>");
    same(&[user("Hello")], &[turn(Role::User, [reminder, text("Hello")])]);
    let system = || turn(Role::System, [text("Be brief.")]);
    same(&[user("a"), model("b")], &[system(), user("a"), system(), model("b"), system()]);
    same(&[system()], &[]);
}

#[test]
fn what_says_nothing_is_no_unit() {
    let seed = Seed::default();
    let turns = [user(" "), model(""), turn(Role::User, []), user("<system-reminder>x</system-reminder>")];
    let units = Units::of(&seed, &turns);
    assert!(units.list.is_empty() && units.open.is_none() && units.answered().is_empty());
    assert_eq!(units.messages(0), turns.len());
}

#[test]
fn a_picture_is_known_by_its_bytes() {
    let picture = |hash, size| {
        let mut media = Media::new("image");
        (media.hash, media.size) = (hash, size);
        turn(Role::User, [Part::Media(media)])
    };
    same(&[picture(1, 2)], &[picture(1, 2)]);
    differ(&[picture(1, 2)], &[picture(3, 2)]);
    differ(&[picture(1, 2)], &[picture(1, 3)]);
}

#[test]
fn what_one_part_says_is_never_taken_for_two() {
    let other = |word: &str| turn(Role::Other(word.into()), [text("a")]);
    differ(&[other("x")], &[other("y")]);
    differ(&[other("x")], &[user("a")]);
    differ(&[result("call_1", "a"), result("call_2", "b")], &[result("call_1", "acall_2b")]);
    differ(&[user("xa")], &[other("x")]);
}

#[test]
fn the_model_says_all_until_the_next_message_at_once() {
    let seed = Seed::default();
    let turns = [user("a"), model("b"), model("c"), turn(Role::Assistant, [tool(None, "{}")]), user("d")];
    same(&turns[..], &[user("a"), turn(Role::Assistant, [text("bc"), tool(None, "{}")]), user("d")]);
    let units = Units::of(&seed, &turns);
    assert_eq!(units.list.len(), 3);
    assert_eq!(units.list.iter().map(|unit| unit.by_model()).collect::<Vec<_>>(), [false, true, false]);
    // With its words, all messages that they stand in are known; before, none of them.
    assert_eq!([0, 1, 2, 3].map(|known| units.messages(known)), [0, 1, 4, 5]);
    let begun = |said: &[Turn]| Units::of(&seed, said).list[0];
    assert_eq!(units.begun, [begun(&turns[1..2]), begun(&turns[1..3])]);
}

#[test]
fn instructions_belong_to_what_comes_behind_them() {
    let seed = Seed::default();
    let system = || turn(Role::System, [text("s")]);
    let units = Units::of(&seed, &[system(), user("a"), model("b"), system(), user("c")]);
    assert_eq!([0, 1, 2, 3].map(|known| units.messages(known)), [0, 2, 3, 5]);
    assert!(units.leads(0) && !units.leads(1) && !units.leads(3) && !units.leads(9));
}

#[test]
fn what_the_model_is_to_go_on_with_is_one_with_what_it_says_then() {
    let seed = Seed::default();
    let asked = Units::of(&seed, &[user("Count"), model("1, 2")]);
    assert_eq!(asked.answered(), &asked.list[..1]);
    let mut run = asked.open.clone().unwrap();
    run.add(&[text(", 3")]);
    let later = Units::of(&seed, &[user("Count"), model("1, 2, 3"), user("Go on")]);
    assert_eq!(run.unit(&seed), Some(later.list[1]));
    assert!(later.open.is_none());
    assert_eq!(later.answered(), &*later.list);
}

#[test]
fn an_answer_tells_whose_it_is_if_it_is_long_or_asks_for_a_tool() {
    let telling = |part| {
        let mut run = Run::default();
        run.add(&[part]);
        run.is_telling()
    };
    assert!(!telling(text(&"a ".repeat(TELLING - 1))));
    assert!(telling(text(&"a ".repeat(TELLING))));
    assert!(telling(tool(None, "{}")));
}

#[test]
fn what_is_known_of_the_beginning_goes_on_as_if_it_were_all_read() {
    let seed = Seed::default();
    let system = || turn(Role::System, [text("s")]);
    let turns =
        [system(), user("a"), model("b"), model("c"), system(), user("d"), user(" "), model("e"), user("f")];
    let all = Units::of(&seed, &turns);
    for messages in 0..=turns.len() {
        let Some(mut units) = all.prefix(messages) else {
            assert_eq!(messages, 3, "in the middle of what the model says");
            continue;
        };
        assert_eq!(units.list, Units::of(&seed, &turns[..messages]).list, "{messages}");
        let next = turns[messages..].iter().find(|turn| turn.role != Role::System);
        if !(units.ends_by_model() && next.is_none_or(|turn| turn.role == Role::Assistant)) {
            units.extend(&seed, &turns[messages..]);
            assert_eq!((&units.list, &units.ends), (&all.list, &all.ends), "{messages}");
            assert_eq!(units.open, all.open);
        }
    }
    assert_eq!(all.prefix(turns.len() + 1), None);
}

#[test]
fn a_model_that_speaks_again_and_says_nothing_has_no_other_last_words() {
    let seed = Seed::default();
    let mut tool = ToolUse::new(CallId(0), "look", "{}");
    tool.id = Some("t1".into());
    let asks = Turn::new(Role::Assistant, vec![Part::ToolUse(tool.into())]);
    let mut units = Units::of(&seed, &[Turn::new(Role::User, vec![Part::Text("a".into())]), asks]);
    assert!(!units.begun.is_empty());
    units.extend(&seed, &[Turn::new(Role::System, vec![Part::Text("b".into())])]);
    assert!(!units.begun.is_empty());
    units.extend(&seed, &[Turn::new(Role::Assistant, Vec::new())]);
    assert!(units.begun.is_empty());
}

proptest! {
    #[test]
    fn a_text_without_its_white_space_is_its_words(
        text in "([a ~\\u{0}\\u{1b}\\u{7f}]|[ \t\n\u{b}\u{c}\r]|[\u{85}\u{a0}\u{1680}\u{1681}\u{2003}\u{200b}\u{2028}\u{2014}\u{205f}\u{3000}\u{3001}é日]){0,80}|[a-z \n]{200,600}|([a-zé]{1,9}| {1,20}|\u{3000}){0,60}",
    ) {
        let mut words = Vec::new();
        dense(&text, &mut words);
        prop_assert_eq!(words, text.split_whitespace().collect::<String>().into_bytes());
    }
}
