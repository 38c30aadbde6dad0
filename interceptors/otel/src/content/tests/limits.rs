use super::*;
use crate::content::settings::ToolDefinitions;

fn with(max_part: u64, max_attribute: u64) -> Settings {
    Settings { max_part, max_attribute, ..Settings::default() }
}

fn long(turns: Vec<Turn>, settings: &Settings) -> Value {
    let mut call = call("openai_chat");
    call.news = turns;
    tell(&finished(call, Vec::new()), settings)[1].take().unwrap()
}

#[test]
fn a_text_that_is_too_long_says_how_much_of_it_is_missing() {
    let said = format!("{}{}", "a".repeat(63), "ü".repeat(100));
    let turns = vec![Turn::new(Role::User, vec![text(&said)])];
    let told = long(turns, &with(64, 65536));
    // The limit falls into a letter.
    let expected = format!("{}…[truncated 100 chars]", "a".repeat(63));
    assert_eq!(told[0]["parts"][0]["content"], expected);
}

#[test]
fn arguments_that_are_too_long_are_a_text() {
    let arguments = json!({"code": "x".repeat(100)}).to_string();
    let turns = vec![Turn::new(Role::Assistant, vec![asks("1", "run", &arguments, false)])];
    let told = long(turns, &with(64, 65536));
    let expected = format!("{}…[truncated {} chars]", &arguments[..64], arguments.len() - 64);
    assert_eq!(told[0]["parts"][0]["arguments"], expected);
}

#[test]
fn of_too_many_messages_the_oldest_are_left_out_and_counted() {
    let number = |number: u32| Turn::new(Role::User, vec![text(&format!("{number:0>90}"))]);
    let told = long((0..100).map(number).collect(), &with(8192, 1024));
    let messages = told.as_array().unwrap();
    let left_out = 100 - messages.len();
    assert!((93..=95).contains(&left_out), "{left_out}");
    let note = json!({"type": "omitted", "content": format!("[{left_out} earlier messages left out]")});
    assert_eq!(messages[0]["parts"][0], note);
    assert_eq!(messages[0]["parts"][1]["content"], format!("{left_out:0>90}"));
    assert_eq!(messages.last().unwrap()["parts"][0]["content"], format!("{:0>90}", 99));
}

#[test]
fn instructions_stay_when_messages_are_left_out() {
    let mut call = call("anthropic_messages");
    call.body = json!({"system": "Be kind."}).to_string().into();
    call.history = [Turn::new(Role::System, vec![text("Be kind.")])]
        .into_iter()
        .chain((0..50).map(|_| Turn::new(Role::User, vec![text(&"a".repeat(100))])))
        .collect();
    let [instructions, input, ..] =
        tell(&finished(call, Vec::new()), &with(8192, 1024)).map(Option::unwrap_or_default);
    assert_eq!(instructions, json!([{"type": "text", "content": "Be kind."}]));
    assert_eq!(input[0]["parts"][0]["type"], "omitted");
}

#[test]
fn of_a_message_that_is_too_long_by_itself_the_end_is_told() {
    let parts = (0..40).map(|number| text(&format!("{number:0>90}"))).collect();
    let turns = vec![Turn::new(Role::User, vec![text("before")]), Turn::new(Role::User, parts)];
    let told = long(turns, &with(8192, 1024));
    let parts = told[0]["parts"].as_array().unwrap();
    assert_eq!(parts[0]["content"], "[1 earlier message left out]");
    assert_eq!(parts[1]["content"], format!("[{} parts left out]", 40 - (parts.len() - 2)));
    assert_eq!(parts.last().unwrap()["content"], format!("{:0>90}", 39));
    // A single part may be too long, too: as JSON, what no keyboard writes takes six times its size.
    let turns = vec![Turn::new(Role::User, vec![text(&"\u{1}".repeat(1000))])];
    let told = long(turns, &with(8192, 1024));
    assert_eq!(told[0]["parts"], json!([{"type": "omitted", "content": "[1 part left out]"}]));
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_]{0,12}",
        ".{0,40}",
        Just("text".to_owned()),
        Just("file".to_owned()),
        Just("\u{1}".repeat(300)),
        (0_usize..3000).prop_map(|length| "aü\"".repeat(length)),
        Just(format!("password=hunter2 sk-ant-api03-{}", "aB3".repeat(30))),
    ]
}

fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<i64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        word().prop_map(|word| json!(word)),
    ];
    let value = leaf.prop_recursive(4, 30, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|list| json!(list)),
            prop::collection::hash_map(word(), inner, 0..5).prop_map(|object| json!(object)),
        ]
    });
    let deep = (0_usize..200).prop_map(|levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels)));
    prop_oneof![value.prop_map(|value| value.to_string()), deep, word()]
}

fn part() -> impl Strategy<Value = Part> {
    let tool = (prop::option::of(word()), word(), json_text(), any::<bool>());
    let media = (word(), prop::option::of(word()), any::<u64>(), any::<u64>());
    prop_oneof![
        word().prop_map(|word| Part::Text(word.into())),
        word().prop_map(|word| Part::Thinking(word.into())),
        word().prop_map(|word| Part::Refusal(word.into())),
        word().prop_map(|word| Part::Other(word.into())),
        tool.prop_map(|(id, name, input, hosted)| {
            let mut tool = ToolUse::new(CallId(0), name, input);
            tool.id = id.map(Into::into);
            tool.hosted = hosted;
            Part::ToolUse(tool.into())
        }),
        (prop::option::of(word()), json_text(), any::<bool>()).prop_map(|(id, text, is_error)| {
            let mut result = ToolResult::new(id.map(Into::into), text);
            result.is_error = is_error;
            Part::ToolResult(result)
        }),
        media.prop_map(|(kind, media_type, size, hash)| {
            let mut media = Media::new(kind);
            media.media_type = media_type.map(Into::into);
            (media.size, media.hash) = (size, hash);
            Part::Media(media)
        }),
    ]
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    prop::collection::vec(part(), 0..6)
}

fn turn() -> impl Strategy<Value = Turn> {
    let role = prop_oneof![
        Just(Role::System),
        Just(Role::User),
        Just(Role::Assistant),
        Just(Role::Tool),
        word().prop_map(|word| Role::Other(word.into())),
    ];
    (role, parts()).prop_map(|(role, parts)| Turn::new(role, parts))
}

fn settings() -> impl Strategy<Value = Settings> {
    (64_u64..20_000, 1024_u64..80_000, any::<[bool; 2]>()).prop_map(|(part, attribute, [full, redact])| {
        Settings {
            tool_definitions: if full { ToolDefinitions::Full } else { ToolDefinitions::Names },
            redact_credentials: redact,
            ..with(part, attribute)
        }
    })
}

fn messages_of(turns: &[Turn]) -> usize {
    turns
        .iter()
        .map(|turn| {
            let is_result = |part: &Part| matches!(part, Part::ToolResult(_));
            let is_mixed = turn.parts.iter().any(is_result) && !turn.parts.iter().all(is_result);
            let is_own = !matches!(turn.role, Role::Assistant | Role::Tool);
            if is_mixed && is_own { 2 } else { 1 }
        })
        .sum()
}

/// How many messages are told, and how many are said to be left out.
fn told_and_left_out(input: &Value) -> (usize, usize) {
    let messages = input.as_array().unwrap();
    let note = messages[0]["parts"][0]["content"].as_str().unwrap_or_default();
    let is_note = messages[0]["parts"][0]["type"] == "omitted" && note.contains("earlier");
    let left_out = note.trim_start_matches('[').split(' ').next().filter(|_| is_note);
    (messages.len(), left_out.map_or(0, |number| number.parse().unwrap()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_said_what_is_told_is_valid_and_within_its_limits(
        turns in prop::collection::vec(turn(), 1..12),
        answers in prop::collection::vec(parts(), 0..4),
        tools in prop::collection::vec((word(), word()), 0..30),
        settings in settings(),
    ) {
        let mut call = call("openai_chat");
        call.history = turns.clone().into();
        call.tools = tools.into_iter().map(|(name, description)| {
            let mut tool = Tool::new(name);
            tool.description = Some(description.into());
            tool
        }).collect();
        let count = answers.len();
        let answers = answers.into_iter().map(|parts| answer(parts, Some("stop")));
        let told = tell(&finished(call, answers.collect()), &settings);
        for value in told.iter().flatten() {
            let length = value.to_string().len() as u64;
            prop_assert!(length <= settings.max_attribute, "{length}: {value}");
        }
        let [_, input, output, _] = told;
        let (told, left_out) = told_and_left_out(&input.unwrap());
        prop_assert_eq!(told + left_out, messages_of(&turns));
        prop_assert_eq!(output.map_or(0, |output| output.as_array().unwrap().len()), count);
    }
}
