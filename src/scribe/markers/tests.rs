use proptest::prelude::*;

use super::*;
use crate::dialect::{Asked, Prompt, golden};

fn turn(role: Role, text: &str) -> Turn {
    Turn::new(role, vec![Part::Text(text.into())])
}

fn user(text: &str) -> Turn {
    turn(Role::User, text)
}

/// A conversation that goes on with this message.
fn history(last: Turn) -> Vec<Turn> {
    vec![user("Fix the login bug"), turn(Role::Assistant, "It was the cookie."), last]
}

fn read(target: &str, body: &str) -> Prompt {
    let head = golden::request_head(&format!("POST {target}"));
    let asked = Asked::of(&head).unwrap();
    asked.read_request(perimeter_interceptor::CallId(0), None, body.as_bytes(), true)
}

fn side_call_of(prompt: &Prompt) -> Option<SideCall> {
    side_call(None, &prompt.turns, prompt.tools.len())
}

fn last(prompt: &Prompt) -> &Turn {
    prompt.turns.iter().rfind(|turn| turn.role != Role::System).unwrap()
}

fn fixture(name: &str) -> Prompt {
    let path = format!("{}/tests/fixtures/markers/{name}.json", env!("CARGO_MANIFEST_DIR"));
    read("/v1/messages", &std::fs::read_to_string(path).unwrap())
}

const CODER: &str = "You are a coding agent. Help the user with the code in this directory.";

/// A request as the client makes it, with these words in their place.
fn request(place: Place, words: &str) -> (Option<String>, Vec<Turn>, usize) {
    match place {
        Place::System => (Some(words.to_owned()), vec![user("Fix the login bug")], 0),
        Place::Alone => (Some(CODER.to_owned()), vec![user(words)], 0),
        Place::AloneForSchema => (None, vec![user(words)], 1),
        Place::Last => (Some(CODER.to_owned()), history(user(words)), 12),
        Place::BesideLast => {
            let parts = vec![Part::Text(words.into()), Part::Text("And what about the port?".into())];
            (Some(CODER.to_owned()), history(Turn::new(Role::User, parts)), 12)
        }
        Place::WholeWithoutSystem => (None, vec![user(words)], 0),
        Place::WholeOfClaudeCode => {
            (Some(format!("{}\nYou are an agent.", CLAUDE_CODE[1])), vec![user(words)], 9)
        }
    }
}

fn is_whole(place: Place) -> bool {
    matches!(place, Place::WholeWithoutSystem | Place::WholeOfClaudeCode)
}

fn kind(request: &(Option<String>, Vec<Turn>, usize)) -> Option<SideCall> {
    let (system, turns, tools) = request;
    let told = side_call(system.as_deref(), turns, *tools);
    let among: Vec<Turn> =
        system.iter().map(|system| turn(Role::System, system)).chain(turns.iter().cloned()).collect();
    assert_eq!(side_call(None, &among, *tools), told, "{system:?} {turns:?}");
    told
}

#[test]
fn every_side_call_is_known_where_its_client_makes_it() {
    for row in SIDE_CALLS {
        let words = if is_whole(row.place) {
            row.phrase.to_owned()
        } else {
            format!("{}\n\nUser: Fix the login bug\n", row.phrase)
        };
        assert_eq!(kind(&request(row.place, &words)), Some(row.kind), "{row:?}");
        // The same, wrapped otherwise, as templates are.
        let wrapped = format!("\n  {}", words.replace(' ', "\n    "));
        assert_eq!(kind(&request(row.place, &wrapped)), Some(row.kind), "{row:?}");
    }
}

#[test]
fn each_kind_has_a_word_of_its_own() {
    let kinds: std::collections::HashSet<_> = SIDE_CALLS.iter().map(|row| row.kind).collect();
    let words: std::collections::HashSet<_> = kinds.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(kinds.len(), words.len());
    let is_plain = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    assert!(words.iter().all(is_plain), "{words:?}");
    let text = include_str!("../../../docs/sessions.md");
    for word in words {
        assert!(text.contains(&format!("`{word}`")), "docs/sessions.md says nothing of {word}");
    }
}

#[test]
fn what_claude_code_writes_before_its_prompts_is_passed_over() {
    let title = "Generate a concise, sentence-case title (3-7 words) that captures the main topic.";
    let reminder = "<system-reminder>\nToday's date is 2026-11-21.\n</system-reminder>\n";
    for line in CLAUDE_CODE {
        for header in
            ["", "x-anthropic-billing-header: cc_version=2.1.50.b97; cc_entrypoint=sdk-cli; cch=00000;"]
        {
            for seam in ["", "\n"] {
                let system = format!("{header}{seam}{line}{seam}{title}");
                assert_eq!(side_call(Some(&system), &[user("hi")], 0), Some(SideCall::Title), "{system}");
            }
            let parts = [header, line, "\nYou are an agent."].map(|text| Part::Text(text.into()));
            let system = Turn::new(Role::System, parts.to_vec());
            let warmup = [format!("{reminder}{reminder}Warmup"), "Warmup".to_owned()];
            for text in warmup {
                let turns = [system.clone(), user(&text)];
                assert_eq!(side_call(None, &turns, 9), Some(SideCall::Warmup), "{turns:?}");
            }
        }
    }
    let parts = ["[SUGGESTION MODE: Suggest what the user might type next.]", reminder];
    let parts = parts.map(|text| Part::Text(text.into())).to_vec();
    let turns = history(Turn::new(Role::User, parts));
    assert_eq!(side_call(None, &turns, 9), Some(SideCall::Suggestion));
}

#[test]
fn the_same_words_elsewhere_are_the_conversation() {
    for row in SIDE_CALLS {
        let quoted = format!("Why does my client send this to you? {}", row.phrase);
        assert_eq!(kind(&request(row.place, &quoted)), None, "{row:?}");
        let (system, turns, tools) = request(row.place, row.phrase);
        // The conversation went on after it.
        let went_on = [turns.clone(), history(user("Thanks, and now the tests"))].concat();
        match row.place {
            Place::System => assert_eq!(kind(&(system, turns, 1)), None, "{row:?}"),
            Place::Alone => {
                assert_eq!(kind(&(system.clone(), turns, 1)), None, "{row:?}");
                assert_eq!(kind(&(system, went_on, 0)), None, "{row:?}");
            }
            _ => assert_eq!(kind(&(system, went_on, tools)), None, "{row:?}"),
        }
    }
}

#[test]
fn a_user_who_writes_of_titles_and_summaries_is_no_side_call() {
    for text in [
        "Please write a 5-10 word title for my novel.",
        "Please write a 5-10 word title for the following poem: Shall I compare thee",
        "Generate a concise title for this conversation",
        "Summarize this coding conversation in under 50 characters. It is for my blog.",
        "quota",
        "What is your quota?",
        "Quota",
        "warmup",
        "Warmup",
        "count",
        "counting",
        "### Task: Refactor the parser",
        "### Task:\nGenerate a title for my talk",
        "You are a title generator. Make one for my novel.",
        "Analyze this conversation and provide: 1. A concise summary",
        "Suggest 3-5 relevant follow-up questions that a journalist might ask next",
        "Write a commit message for my changes",
        "Your task is to process Bash commands",
        "<role>\nHistorian\n</role>\nWho was Galileo?",
        "I am back. The user stepped away and is coming back.",
        "",
        " ",
    ] {
        for turns in [vec![user(text)], history(user(text))] {
            for tools in [0, 12] {
                assert_eq!(side_call(Some(CODER), &turns, tools), None, "{text}");
            }
        }
        assert!(!asks_for_summary(&user(text)), "{text}");
        assert!(!is_summary(&user(text)), "{text}");
    }
    assert_eq!(side_call(None, &[], 0), None);
    assert_eq!(side_call(Some(""), &[Turn::new(Role::User, Vec::new())], 0), None);
    // What the model says, or a tool, is never the client's.
    for role in [Role::Assistant, Role::Tool, Role::System] {
        assert_eq!(side_call(None, &[turn(role.clone(), "quota")], 0), None);
        assert!(!asks_for_summary(&turn(role, SUMMARY_REQUESTS[0])));
    }
    let image = Part::Media(perimeter_interceptor::Media::new("image"));
    let turns = [Turn::new(Role::User, vec![image, Part::Text("quota".into())])];
    assert_eq!(side_call(None, &turns, 0), None);
}

#[test]
fn the_request_for_a_summary_is_known() {
    for phrase in SUMMARY_REQUESTS {
        for text in [
            format!("{phrase} and so on.\n\n- Goal\n- Next"),
            format!("\n{}\n", phrase.replace(' ', "\n ")),
            format!("<system-reminder>\nBe brief.\n</system-reminder>\n\n{phrase}"),
        ] {
            assert!(asks_for_summary(&user(&text)), "{text}");
        }
        assert!(!asks_for_summary(&user(&format!("What does this prompt do? {phrase}"))), "{phrase}");
    }
    for phrase in SUMMARY_REQUEST_ENDS {
        let text = format!(
            "And the port?\n{}\nREMINDER: Do NOT call any tools. {phrase} You will fail.",
            "x ".repeat(9000)
        );
        assert!(asks_for_summary(&user(&text)));
        assert!(!asks_for_summary(&user(&format!("{text}{}", "y ".repeat(9000)))));
    }
    for text in [
        "Your task is to create a detailed summary of this book",
        "Provide a detailed summary of our quarterly results.",
        "Summarize the conversation history so far, please",
        "Summarize this session for my notes.",
    ] {
        assert!(!asks_for_summary(&user(text)), "{text}");
    }
}

#[test]
fn the_summary_of_a_history_is_known() {
    for phrase in SUMMARIES {
        let text = format!("{phrase} \n1. Primary request: fix the login bug\n");
        for role in [Role::User, Role::Assistant, Role::System] {
            assert!(is_summary(&turn(role, &text)), "{text}");
        }
        let reminder = Part::Text("<system-reminder>\nBe brief.\n</system-reminder>\n".into());
        let parts = vec![reminder, Part::Text(text.as_str().into())];
        assert!(is_summary(&Turn::new(Role::User, parts)), "{text}");
        assert!(!is_summary(&user(&format!("What is this? {phrase}"))), "{phrase}");
    }
    assert!(is_summary(&user("What did we do so far?")));
    for text in [
        "What did we do so far? And what is next?",
        "Context summary: the user wants a cake.",
        "## Conversation Summary of the meeting\nAnn: hi",
        "This session is being continued from a previous meeting",
        "Here is a summary of the book to date:",
        "<state>ok</state>",
        "",
    ] {
        assert!(!is_summary(&user(text)), "{text}");
    }
    assert!(!is_summary(&turn(Role::Assistant, "What did we do so far?")));
}

#[test]
fn a_result_that_was_taken_out_is_known() {
    for text in CLEARED {
        assert!(is_cleared(text) && is_cleared(&format!("{text}\n")));
        assert!(!is_cleared(&format!("{text} and more")));
    }
    assert!(!is_cleared("") && !is_cleared("cleared") && !is_cleared(&" ".repeat(100_000)));
}

#[test]
fn captured_requests_of_claude_code() {
    for name in ["prompt", "subagent", "prompt_1.0.60", "prompt_2.1.50"] {
        let prompt = fixture(&format!("claude_code_{name}"));
        assert!(!prompt.partial);
        assert_eq!(side_call_of(&prompt), None, "{name}");
        assert!(prompt.turns.iter().all(|turn| !asks_for_summary(turn) && !is_summary(turn)), "{name}");
        let said: String = texts(last(&prompt)).map(lasting).collect();
        assert!(["hello there", "Read the file", "Say hello"].contains(&said.trim()), "{said}");
    }
    let compaction = fixture("claude_code_compaction");
    assert_eq!(side_call_of(&compaction), None);
    assert!(asks_for_summary(last(&compaction)));
}

#[test]
fn requests_of_other_clients() {
    // OpenCode names a conversation.
    let title = read(
        "/v1/chat/completions",
        r#"{"model":"m","messages":[{"role":"system","content":"You are a title generator. You output ONLY a thread title. Nothing else.\n\n<task>\nGenerate a brief title"},{"role":"user","content":"Generate a title for this conversation:\n"},{"role":"user","content":"fix the login bug"}]}"#,
    );
    assert_eq!(side_call_of(&title), Some(SideCall::Title));
    // Open WebUI, as an app that has a system prompt of its own.
    let tags = read(
        "/v1/chat/completions",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"### Task:\\nGenerate 1-3 broad tags categorizing the main themes of the chat history, along with 1-3 more specific subtopic tags.\\n\\n### Chat History:\\n<chat_history>\\nUSER: hi\\n</chat_history>\"}]}",
    );
    assert_eq!(side_call_of(&tags), Some(SideCall::Tags));
    // Codex compacts.
    let compaction = read(
        "/v1/responses",
        r#"{"model":"m","instructions":"You are Codex.","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"fix the login bug"}]},{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Done."}]},{"type":"message","role":"user","content":[{"type":"input_text","text":"You are performing a CONTEXT CHECKPOINT COMPACTION. Create a handoff summary for another LLM"}]}],"tools":[]}"#,
    );
    assert_eq!(side_call_of(&compaction), None);
    assert!(asks_for_summary(last(&compaction)));
    // Gemini CLI asks who is next, and goes on from a summary.
    let next = read(
        "/v1beta/models/gemini-2.5-pro:generateContent",
        r#"{"contents":[{"role":"user","parts":[{"text":"<state_snapshot>\n<overall_goal>Fix the login bug</overall_goal>\n</state_snapshot>"}]},{"role":"model","parts":[{"text":"Got it. Thanks for the additional context!"}]},{"role":"user","parts":[{"text":"Analyze *only* the content and structure of your immediately preceding response (your last turn in the conversation history)."}]}]}"#,
    );
    assert_eq!(side_call_of(&next), Some(SideCall::Steering));
    assert!(is_summary(&next.turns[0]));
}

#[test]
fn what_does_not_last_is_left_out() {
    let cases = [
        ("", ""),
        ("hello", "hello"),
        ("a < b && c > d <b>bold</b>", "a < b && c > d <b>bold</b>"),
        ("<system-reminder>\nx\n</system-reminder>\n", ""),
        ("<system-reminder>x</system-reminder>\n\nSay hello", "Say hello"),
        ("Say hello\n\n<system-reminder>x</system-reminder>\n", "Say hello"),
        ("one\n<system_reminder>x</system_reminder>\ntwo", "one\ntwo"),
        ("<system-reminder>a</system-reminder><system-reminder>b</system-reminder>c", "c"),
        ("Fix it\n  <environment_details>\n# Current Time\n9:00\n</environment_details>", "Fix it"),
        (
            "<context>\nThe date is 1 May.\n</context>\n<editorContext>a.rs</editorContext>\n\
             <reminderInstructions>\nBe brief.\n</reminderInstructions>\n<userRequest>\nFix it\n</userRequest>",
            "<userRequest>\nFix it\n</userRequest>",
        ),
        // Another app's documents are what the question is about.
        (
            "<context>\nContract 12\n</context>\nSummarise it",
            "<context>\nContract 12\n</context>\nSummarise it",
        ),
        // No end; no beginning; in the middle of a line: somebody writes about them.
        ("What is a\n<system-reminder> tag?", "What is a\n<system-reminder> tag?"),
        ("What is </system-reminder>?", "What is </system-reminder>?"),
        ("Is <system-reminder>x</system-reminder> yours?", "Is <system-reminder>x</system-reminder> yours?"),
        ("<system-reminders>x</system-reminders>", "<system-reminders>x</system-reminders>"),
        (
            "<environment_details>\n<system-reminder>x</system-reminder>\n<environment_details>y",
            "<environment_details>\n<environment_details>y",
        ),
        // What the user said is not lost.
        (
            "<system-reminder>\nThe user sent the following message:\nAnd the port?\n\n\
             Please address this message and continue with your tasks.\n</system-reminder>",
            "And the port?",
        ),
        (
            "<system-reminder>\nThe user sent a new message while you were working:\nstop\n</system-reminder>",
            "<system-reminder>\nThe user sent a new message while you were working:\nstop\n</system-reminder>",
        ),
        // Nobody makes a block out of what is around one.
        (
            "<system-reminder>a</system-reminder><system-remin<system-reminder>b</system-reminder>der>c</system-reminder>",
            "<system-remin<system-reminder>b</system-reminder>der>c</system-reminder>",
        ),
    ];
    for (text, lasts) in cases {
        assert_eq!(lasting(text), lasts, "{text}");
        assert_eq!(matches!(lasting(text), Cow::Borrowed(_)), text == lasts, "{text}");
    }
}

/// Texts made of what matters here.
fn pieces() -> impl Strategy<Value = String> {
    let tags = [
        "<system-reminder>",
        "</system-reminder>",
        "<system_reminder>",
        "</system_reminder>",
        "<environment_details>",
        "</environment_details>",
        "<context>",
        "</context>",
        "<userRequest>",
        "<editorContext>",
        "</editorContext>",
        "<system-",
        "reminder>",
        "</",
        "<",
        ">",
        "\n",
        " ",
        "é",
        "a",
        "\nThe user sent the following message:\n",
        "\n\nPlease address this message and continue with your tasks.\n",
    ];
    let piece = prop_oneof![4 => prop::sample::select(tags.to_vec()).prop_map(str::to_owned), 1 => ".{0,8}"];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn is_subsequence(short: &str, text: &str) -> bool {
    let mut rest = text.chars();
    short.chars().all(|wanted| rest.any(|other| other == wanted))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_lasts_is_a_part_and_lasts(text in pieces()) {
        let once = lasting(&text);
        prop_assert!(is_subsequence(&once, &text));
        prop_assert_eq!(lasting(&once), once.clone());
    }

    #[test]
    fn any_request_is_read(
        system in prop::option::of(pieces()),
        texts in prop::collection::vec(prop_oneof![pieces(), ".{0,40}", any_phrase()], 0..5),
        tools in 0_usize..3,
    ) {
        let parts = texts.iter().map(|text| Part::Text(text.as_str().into())).collect();
        let turn = Turn::new(Role::User, parts);
        let others = [Role::Assistant, Role::Tool].map(|role| Turn::new(role, turn.parts.clone()));
        prop_assert!(!others.iter().any(asks_for_summary));
        let told = side_call(system.as_deref(), std::slice::from_ref(&turn), tools);
        // Where the model has answered, only the system prompt makes it one.
        let answered = [turn, super::tests::turn(Role::Assistant, "Done.")];
        let is_system = |row: &&phrases::Row| row.place == Place::System;
        let by_system = SIDE_CALLS.iter().filter(is_system).any(|row| Some(row.kind) == told);
        prop_assert!(by_system || side_call(system.as_deref(), &answered, tools).is_none());
    }
}

fn any_phrase() -> impl Strategy<Value = String> {
    let all = SIDE_CALLS.iter().map(|row| row.phrase).chain(SUMMARY_REQUESTS.iter().copied());
    prop::sample::select(all.map(str::to_owned).collect::<Vec<_>>())
}

/// Where each piece had the whole text searched, this took hours.
#[test]
fn a_hostile_text_is_read_once() {
    for piece in [
        "\n<system-reminder>",
        "\n<system-reminder></system-reminder>",
        "\n<context></context>",
        "\n<environment_details>x</system-reminder>",
        "<",
        "          <system-reminder>",
        "</system-reminder>\n<context>",
        " ",
    ] {
        let text = piece.repeat(2_000_000 / piece.len()) + "<userRequest>";
        assert!(lasting(&text).len() <= text.len());
        let turn = user(&text);
        assert!(!asks_for_summary(&turn) && !is_summary(&turn));
        assert_eq!(side_call(Some(&text), &[turn], 0), None);
    }
}

/// Word by word, as a phrase is meant.
fn begins(text: &str, phrase: &str) -> bool {
    let text = start(text).trim_start();
    if phrase.contains('\n') {
        return text.starts_with(phrase);
    }
    let words: Vec<&str> = phrase.split_whitespace().collect();
    let said: Vec<&str> = text.split_whitespace().take(words.len()).collect();
    let Some((last, before)) = words.split_last() else { return true };
    said.len() == words.len() && said[..before.len()] == *before && said[before.len()].starts_with(last)
}

proptest! {
    #[test]
    fn a_text_begins_with_a_phrase_where_its_words_do(
        text in "[ab \n\u{a0}]{0,12}",
        phrase in "(a|b|ab|a b|ab ba|a b\nc)",
    ) {
        prop_assert_eq!(Beginning::of(&text).is(&phrase), begins(&text, &phrase));
    }
}
