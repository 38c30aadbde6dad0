//! What holds for any bytes: nothing panics, memory is bounded, and every response comes to one end.

use std::sync::LazyLock;

use perimeter_interceptor::{CallId, Completion, LlmEvent, Part, Role, Said};
use proptest::prelude::*;

use super::golden::{self, request_head};
use super::{Asked, Dialect, Form, Prompt, Reader};

/// Those whose answers come in server-sent events.
const STREAMED: [Dialect; 4] =
    [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::AnthropicMessages, Dialect::Gemini];

/// What a reader may hold beside its limit: the least that an event may take, the usage, and names.
const BESIDE: usize = 64 * 1024 + 4096 + 1024;

/// Every body of the golden cases.
static BODIES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut cases = golden::cases();
    cases.sort_by(|one, other| one.dir.cmp(&other.dir));
    cases.into_iter().flat_map(|case| [case.request, case.response]).collect()
});

/// Every call that is made differently in the golden cases, and a usual one of each dialect.
static ASKED: LazyLock<Vec<Asked>> = LazyLock::new(|| {
    let usual = golden::DIALECTS.into_iter().map(|(dialect, _)| usual(dialect));
    let mut all: Vec<Asked> = usual.collect();
    for case in golden::cases() {
        if !all.contains(&case.asked) {
            all.push(case.asked);
        }
    }
    all
});

fn usual(dialect: Dialect) -> Asked {
    let (_, target) = golden::DIALECTS.into_iter().find(|(other, _)| *other == dialect).unwrap();
    Asked::of(&request_head(&format!("POST {target}"))).unwrap()
}

fn read_request(asked: &Asked, body: &[u8], whole: bool) -> Prompt {
    asked.read_request(CallId(0), None, body, whole)
}

#[derive(Debug)]
struct Response {
    asked: Asked,
    status: u16,
    form: Form,
    limit: usize,
    whole: bool,
}

impl Response {
    /// Reads a response in these pieces, and checks what must hold of any.
    fn read<'a>(&self, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<LlmEvent> {
        let mut told = Vec::new();
        let mut reader = self.asked.reader(CallId(1), self.status, self.form, self.limit);
        for chunk in chunks {
            reader.read(chunk, &mut |event| told.push(event));
            assert!(reader.held() <= self.limit + BESIDE, "{} of {}", reader.held(), self.limit);
        }
        reader.finish(self.whole, &mut |event| told.push(event));
        let (end, before) = told.split_last().expect("an end");
        let is_end = |event: &LlmEvent| {
            matches!(event, LlmEvent::Completion(_) | LlmEvent::Cut(_) | LlmEvent::Failure(_))
        };
        assert!(is_end(end), "{end:?}");
        let before = match before.split_last() {
            Some((LlmEvent::Cut(_), before)) if matches!(end, LlmEvent::Failure(_)) => before,
            _ => before,
        };
        assert!(!before.iter().any(is_end), "{told:?}");
        told
    }
}

fn end(told: &[LlmEvent]) -> (&'static str, Completion) {
    match told.last() {
        Some(LlmEvent::Completion(completion)) => ("completion", (**completion).clone()),
        Some(LlmEvent::Cut(completion)) => ("cut", (**completion).clone()),
        other => panic!("{other:?}"),
    }
}

fn text(completion: &Completion) -> &str {
    match &*completion.answers[0].parts {
        [Part::Text(text)] => text,
        other => panic!("{other:?}"),
    }
}

fn text_of(part: &Part) -> &str {
    match part {
        Part::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

fn deltas(told: &[LlmEvent]) -> usize {
    told.iter().filter(|event| matches!(event, LlmEvent::Delta(_))).count()
}

/// A stream of this many deltas of the text `said`.
fn stream(dialect: Dialect, said: &str, deltas: usize) -> String {
    match dialect {
        Dialect::OpenAiChat => {
            let delta =
                format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{said:?}}}}}]}}\n\n");
            let stop = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
            delta.repeat(deltas) + stop + "data: [DONE]\n\n"
        }
        Dialect::OpenAiResponses => {
            let delta = format!("data: {{\"type\":\"response.output_text.delta\",\"delta\":{said:?}}}\n\n");
            let end = "data: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\"}}\n\n";
            delta.repeat(deltas) + end
        }
        Dialect::AnthropicMessages => {
            let delta = format!(
                "data: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":{said:?}}}}}\n\n"
            );
            let stop = "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n";
            delta.repeat(deltas) + stop + "data: {\"type\":\"message_stop\"}\n\n"
        }
        Dialect::Gemini => {
            let chunk = |said: &str, stop: &str| {
                format!(
                    "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":{said:?}}}]}}{stop}}}]}}\n\n"
                )
            };
            chunk(said, "").repeat(deltas) + &chunk("", ",\"finishReason\":\"STOP\"")
        }
        other => panic!("{other:?}"),
    }
}

fn streamed(dialect: Dialect, limit: usize) -> Response {
    Response { asked: usual(dialect), status: 200, form: Form::Events, limit, whole: true }
}

#[test]
fn an_answer_beyond_the_limit_goes_on_in_deltas_and_ends_cut() {
    for dialect in STREAMED {
        let stream = stream(dialect, "é1234567", 1000);
        let told = streamed(dialect, 5000).read(stream.as_bytes().chunks(100));
        assert_eq!(deltas(&told), 1000);
        let (how, completion) = end(&told);
        assert_eq!(how, "cut");
        let text = text(&completion);
        assert!(text.len() > 3000 && "é1234567".repeat(1000).starts_with(text));
    }
}

#[test]
fn what_a_long_answer_used_is_told_though_not_all_of_it_is_held() {
    let usages = [
        (Dialect::OpenAiChat, "{\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":1500}}"),
        (
            Dialect::AnthropicMessages,
            "{\"type\":\"message_delta\",\"usage\":{\"input_tokens\":7,\"output_tokens\":1500}}",
        ),
        (Dialect::Gemini, "{\"usageMetadata\":{\"promptTokenCount\":7,\"candidatesTokenCount\":1500}}"),
    ];
    for (dialect, usage) in usages {
        let first = usage.replace("1500", "1");
        let all = stream(dialect, "é1234567", 1000);
        let (deltas, rest) = all.split_at(all.rfind("\n\ndata: ").unwrap_or(0) + 2);
        let all = format!("data: {first}\n\n{deltas}data: {usage}\n\n{rest}");
        let (how, completion) = end(&streamed(dialect, 5000).read(all.as_bytes().chunks(100)));
        let used = completion.usage.map(|usage| (usage.input, usage.output));
        assert_eq!((how, used), ("cut", Some((7, 1500))), "{dialect:?}");
    }
}

#[test]
fn an_event_beyond_the_limit_is_passed_over_and_the_answer_ends_cut() {
    for dialect in STREAMED {
        let small = stream(dialect, "before", 1);
        let first = small.find("\n\n").unwrap() + 2;
        let large = stream(dialect, &"x".repeat(100_000), 1);
        let large = &large[..large.find("\n\n").unwrap() + 2];
        let all = [&small[..first], large, &small].concat();
        let told = streamed(dialect, 50_000).read(all.as_bytes().chunks(1000));
        assert_eq!(deltas(&told), 2);
        let (how, completion) = end(&told);
        assert_eq!((how, text(&completion)), ("cut", "before"));
    }
}

#[test]
fn a_whole_body_beyond_the_limit_is_read_as_far_as_it_is_held() {
    let body = format!(
        "{{\"id\":\"x\",\"model\":\"m\",\"content\":[{{\"type\":\"text\",\"text\":\"first\"}},{{\"type\":\"text\",\"text\":\"{}\"}}]}}",
        "y".repeat(9000)
    );
    let response = Response { form: Form::Whole, ..streamed(Dialect::AnthropicMessages, 1000) };
    let (how, completion) = end(&response.read(body.as_bytes().chunks(300)));
    assert_eq!((how, completion.body.len()), ("cut", 1000));
    let [first, second] = &*completion.answers[0].parts else { panic!("{completion:?}") };
    let held = 1000 - body.find("yyy").unwrap();
    assert_eq!((text_of(first), text_of(second)), ("first", &*"y".repeat(held)));
}

/// More pieces than there is room for in a body.
const MORE_THAN_ROOM: usize = 201_000;

#[test]
fn a_long_text_that_breaks_off_is_told_as_far_as_it_came() {
    let text = "y".repeat(9000);
    let requests = [
        (Dialect::OpenAiChat, format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"#)),
        (Dialect::OpenAiResponses, format!(r#"{{"model":"m","input":"{text}"#)),
        (
            Dialect::AnthropicMessages,
            format!(r#"{{"messages":[{{"role":"user","content":[{{"type":"text","text":"{text}"#),
        ),
        (Dialect::Gemini, format!(r#"{{"contents":[{{"role":"user","parts":[{{"text":"{text}"#)),
    ];
    for (dialect, body) in requests {
        let prompt = read_request(&usual(dialect), body.as_bytes(), false);
        assert!(prompt.partial);
        assert_eq!(prompt.turns[0].text(), text, "{dialect:?}");
        // Half a name is another name.
        let prompt = read_request(&usual(dialect), br#"{"model":"gpt-4"#, false);
        assert_ne!(prompt.model.as_deref(), Some("gpt-4"));
    }
}

#[test]
fn a_tool_whose_input_breaks_off_is_in_the_answer_and_not_told_as_asked_for() {
    let body = format!(
        r#"{{"choices":[{{"message":{{"content":"Look.","tool_calls":[{{"id":"a","function":{{"name":"f","arguments":"{{}}"}}}},{{"id":"b","function":{{"name":"g","arguments":"{}"#,
        "y".repeat(900)
    );
    let response = Response { form: Form::Whole, whole: false, ..streamed(Dialect::OpenAiChat, 10_000) };
    let told = response.read([body.as_bytes()]);
    let tools: Vec<_> = told.iter().filter(|event| matches!(event, LlmEvent::ToolUse(_))).collect();
    assert!(matches!(&*tools, [LlmEvent::ToolUse(tool)] if tool.name == "f".into()), "{told:?}");
    assert_eq!(end(&told).0, "cut");
    assert_eq!(text_of(&end(&told).1.answers[0].parts[0]), "Look.");
}

#[test]
fn many_small_things_do_not_grow_large() {
    let many = |element: &str| format!("[{}null]", format!("{element},").repeat(MORE_THAN_ROOM));
    let bodies = [
        format!("{{\"messages\":{}}}", many(r#"{"role":"a"}"#)),
        format!("{{\"messages\":[{{\"role\":\"user\",\"content\":{}}}]}}", many(r#"{"type":"a"}"#)),
        format!("{{\"input\":{}}}", many(r#"{"type":"a"}"#)),
        format!("{{\"tools\":{}}}", many(r#"{"type":"a"}"#)),
        format!("{{\"messages\":[{{\"tool_calls\":{}}}]}}", many("{}")),
        format!("{{\"contents\":{}}}", many("{}")),
        format!("{{\"contents\":[{{\"parts\":{}}}]}}", many(r#"{"a":1}"#)),
    ];
    for dialect in STREAMED {
        for body in &bodies {
            let prompt = read_request(&usual(dialect), body.as_bytes(), true);
            let parts: usize = prompt.turns.iter().map(|turn| turn.parts.len()).sum();
            assert!(prompt.partial || prompt.turns.is_empty());
            assert!(prompt.turns.len() + prompt.tools.len() + parts <= 200_001);
        }
    }
}

/// A tool is told when it is complete, and stands once more in the whole answer.
#[test]
fn no_tool_of_a_socket_is_told_twice_though_it_cannot_be_remembered() {
    let asked = Asked::of_socket(&request_head("GET /v1/realtime")).unwrap();
    let item = r#"{"type":"function_call","call_id":"c","name":"n","arguments":"{}"}"#;
    let mut tools = 0;
    let mut reader = Reader::of_messages(&asked, CallId(0), 64);
    let mut tell = |event| tools += usize::from(matches!(event, LlmEvent::ToolUse(_)));
    reader
        .message(format!("{{\"type\":\"response.output_item.done\",\"item\":{item}}}").as_bytes(), &mut tell);
    let done = format!("{{\"type\":\"response.done\",\"response\":{{\"output\":[{item}]}}}}");
    reader.message(done.as_bytes(), &mut tell);
    reader.finish(false, &mut tell);
    assert!(tools <= 1, "told {tools} times");
}

/// A piece is held against all that it may continue.
#[test]
fn thinking_has_no_more_elements_than_can_be_searched() {
    let details = |most: usize| {
        let piece = |n| {
            format!("data: {{\"choices\":[{{\"delta\":{{\"reasoning_details\":[{{\"index\":{n}}}]}}}}]}}\n\n")
        };
        (0..most).map(piece).collect::<String>() + &stream(Dialect::OpenAiChat, "a", 1)
    };
    let how = |most| end(&streamed(Dialect::OpenAiChat, 1 << 30).read([details(most).as_bytes()])).0;
    assert_eq!((how(250), how(260)), ("completion", "cut"));
}

#[test]
fn an_answer_of_very_many_pieces_is_bounded() {
    let many = |make: fn(usize) -> String| (0..20_000).map(make).collect::<String>();
    let choices =
        many(|n| format!("data: {{\"choices\":[{{\"index\":{n},\"delta\":{{\"content\":\"a\"}}}}]}}\n\n"));
    let tools = many(|n| {
        format!(
            "data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{{\"index\":{n},\"id\":\"{n}\"}}]}}}}]}}\n\n"
        )
    });
    let blocks = many(|n| {
        format!("data: {{\"type\":\"content_block_start\",\"index\":{n},\"content_block\":{{}}}}\n\n")
    });
    let candidates = many(|n| format!("data: {{\"candidates\":[{{\"index\":{n}}}]}}\n\n"));
    let parts = many(|_| "data: {\"candidates\":[{\"content\":{\"parts\":[{\"a\":1}]}}]}\n\n".to_owned());
    let items = many(|n| {
        format!("data: {{\"type\":\"response.output_item.added\",\"output_index\":{n},\"item\":{{}}}}\n\n")
    });
    let pieces = many(|n| {
        format!("data: {{\"type\":\"response.output_text.delta\",\"content_index\":{n},\"delta\":\"a\"}}\n\n")
    });
    for (dialect, stream) in [
        (Dialect::OpenAiChat, choices),
        (Dialect::OpenAiChat, tools),
        (Dialect::Gemini, candidates),
        (Dialect::Gemini, parts),
        (Dialect::OpenAiResponses, items),
        (Dialect::OpenAiResponses, pieces),
        (Dialect::AnthropicMessages, blocks),
    ] {
        let (how, _) = end(&streamed(dialect, 1 << 20).read(stream.as_bytes().chunks(5000)));
        assert_eq!(how, "cut");
    }
}

#[test]
fn deep_nesting_is_only_partial() {
    for dialect in STREAMED {
        for body in [
            "[".repeat(1 << 20),
            "{\"messages\":[".repeat(100_000),
            format!("{{\"model\":\"m\",\"x\":{}", "[".repeat(1 << 20)),
        ] {
            let prompt = read_request(&usual(dialect), body.as_bytes(), true);
            assert!(prompt.partial);
            streamed(dialect, 1 << 22).read([body.as_bytes()]);
            streamed(dialect, 1 << 22).read(["data: ".as_bytes(), body.as_bytes(), b"\n\n"]);
        }
    }
}

#[test]
fn a_content_type_says_whether_it_is_a_stream() {
    assert_eq!(Form::of(Some(b"text/event-stream; charset=utf-8")), Form::Events);
    assert_eq!(Form::of(Some(b" Text/Event-Stream")), Form::Events);
    assert_eq!(Form::of(Some(b"application/json")), Form::Whole);
    assert_eq!(Form::of(Some(b"application/vnd.amazon.eventstream")), Form::Frames);
    assert_eq!(Form::of(Some(b"")), Form::Unknown);
    assert_eq!(Form::of(None), Form::Unknown);
}

#[test]
fn the_first_bytes_are_believed_rather_than_the_content_type() {
    for dialect in STREAMED {
        let stream = stream(dialect, "said", 1);
        let response = Response { form: Form::Whole, ..streamed(dialect, 10_000) };
        let told = response.read([stream.as_bytes()]);
        assert!(matches!(&told[0], LlmEvent::Delta(delta) if delta.said == Said::Text("said".into())));
        assert_eq!(end(&told).0, "completion");
        let told = streamed(dialect, 10_000).read([&b" \n{\"id\": \"x\", \"responseId\": \"x\"}"[..]]);
        assert_eq!(end(&told).1.id.as_deref(), Some("x"));
    }
}

fn asked() -> impl Strategy<Value = Asked> {
    prop::sample::select(ASKED.clone())
}

fn response() -> impl Strategy<Value = Response> {
    let form = prop::sample::select(vec![Form::Events, Form::Frames, Form::Whole, Form::Unknown]);
    let limit = prop::sample::select(vec![0, 1, 100, 1000, 100_000]);
    let status = prop::sample::select(vec![200, 204, 400, 529]);
    (asked(), status, form, limit, any::<bool>()).prop_map(|(asked, status, form, limit, whole)| Response {
        asked,
        status,
        form,
        limit,
        whole,
    })
}

/// A body of the golden cases, a little changed: bytes overwritten, a part taken out or doubled.
fn nearly_right() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4u8, any::<u8>());
    (0..BODIES.len(), prop::collection::vec(change, 0..6)).prop_map(|(body, changes)| {
        let mut body = BODIES[body].clone();
        for (one, other, what, byte) in changes {
            if body.is_empty() {
                break;
            }
            let (one, other) = (one.index(body.len()), other.index(body.len()));
            let (from, to) = (one.min(other), one.max(other));
            match what {
                0 => body[from] = byte,
                1 => body[from] = *br#"{}[],:"\0-eE.nt"#.get(usize::from(byte) % 15).unwrap(),
                2 => drop(body.drain(from..to.min(from + 40))),
                _ => {
                    let part = body[from..to.min(from + 200)].to_vec();
                    body.splice(from..from, part);
                }
            }
        }
        body
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_come_to_an_end(
        response in response(),
        body in prop::collection::vec(any::<u8>(), 0..400),
        size in 1usize..100,
    ) {
        response.read(body.chunks(size));
        read_request(&response.asked, &body, response.whole);
    }

    #[test]
    fn a_response_that_is_nearly_right_comes_to_the_same_end_however_it_is_cut(
        response in response(),
        body in nearly_right(),
        size in 1usize..100,
    ) {
        let cut = response.read(body.chunks(size));
        if response.limit == 100_000 {
            let whole = response.read([&*body]);
            prop_assert_eq!(format!("{whole:?}"), format!("{cut:?}"));
        }
    }

    #[test]
    fn a_request_tells_no_more_than_was_in_it(
        asked in asked(),
        body in nearly_right(),
        whole in any::<bool>(),
    ) {
        let prompt = read_request(&asked, &body, whole);
        prop_assert!(whole || prompt.partial);
        let texts: usize = prompt.turns.iter().map(|turn| turn.text().len()).sum();
        // A byte that is no UTF-8 becomes one that is.
        prop_assert!(texts <= body.len());
    }

    #[test]
    fn a_request_that_is_cut_tells_how_it_began(
        asked in asked(),
        body in 0..BODIES.len(),
        at in any::<prop::sample::Index>(),
    ) {
        let body = &BODIES[body];
        let mut whole = read_request(&asked, body, true);
        let mut cut = read_request(&asked, &body[..at.index(body.len() + 1)], false);
        prop_assert!(cut.partial);
        // Anthropic's system prompt may stand behind the cut, and still is the first turn.
        for prompt in [&mut whole, &mut cut] {
            prompt.turns.retain(|turn| turn.role != Role::System);
        }
        if let Some((_, turns)) = cut.turns.split_last() {
            prop_assert!(whole.turns.starts_with(turns), "{:?} {:?}", whole.turns, cut.turns);
        }
    }
}
