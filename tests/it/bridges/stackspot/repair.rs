use super::*;

const CALL: &str = "FUNCTION_CALL_START\nweather\narguments: {\"city\": \"Natal\"}\nFUNCTION_CALL_END";

fn forced() -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let tools = json!([{"type": "function", "function": {"name": "weather", "parameters": schema}}]);
    with(question("rain?"), json!({"tools": tools, "tool_choice": "required"}))
}

fn formed() -> Value {
    let schema = json!({"type": "object", "properties": {"rain": {"type": "boolean"}}, "required": ["rain"]});
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "w", "schema": schema, "strict": true}});
    with(question("rain?"), json!({"response_format": format}))
}

#[test]
fn an_answer_that_is_not_what_was_asked_for_is_asked_for_once_more_and_counted() {
    for (request, bad, good) in
        [(forced(), "It may rain.", CALL), (formed(), "It may rain.", "{\"rain\": true}")]
    {
        for stream in [false, true] {
            let spot = Stackspot::start();
            let proxy = setup(&spot, "").start();
            spot.reply(Reply::deltas(&[bad]));
            spot.reply(Reply::deltas(&[good]));
            let options = json!({"stream": stream, "stream_options": {"include_usage": true}});
            let options = if stream { options } else { json!({}) };
            let answer = chat(&proxy, &with(request.clone(), options));
            assert_eq!(answer.head.status(), 200, "{}", answer.body);
            assert!(!answer.body.contains("It may rain"), "{}", answer.body);
            assert!(answer.header("x-bridge-warnings").unwrap().contains("repaired"));
            let usage = match stream {
                true => streamed(&answer.body).last().unwrap()["usage"].clone(),
                false => answer.json(200)["usage"].clone(),
            };
            assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(84), &json!(10)));
            let chats = spot.chats();
            assert_eq!(chats.len(), 2);
            assert!(chats[1].prompt().starts_with(&chats[0].prompt()));
            assert!(chats[1].prompt().contains("It may rain."), "what it said before is said to it");
        }
    }
}

#[test]
fn a_second_answer_of_no_use_is_a_failure() {
    for (request, code) in [(forced(), "tool_choice_unmet"), (formed(), "response_format_unmet")] {
        let spot = Stackspot::start();
        let proxy = setup(&spot, "").start();
        let error = chat(&proxy, &request).error();
        assert_eq!((error.0, error.1.as_str()), (502, code));
        assert_eq!(spot.chats().len(), 2);
    }
}

#[test]
fn what_becomes_of_it_is_a_choice() {
    let spot = Stackspot::start();
    let proxy = setup(&spot, "repair: error").start();
    assert_eq!(chat(&proxy, &forced()).error().1, "tool_choice_unmet");
    assert_eq!(spot.chats().len(), 1);
    let proxy = setup(&spot, "repair: pass").start();
    let answer = chat(&proxy, &forced());
    assert_eq!(answer.text(), "Hello there.");
    assert!(answer.header("x-bridge-warnings").unwrap().contains("tool_choice_unmet"));
    assert_eq!(spot.chats().len(), 2);
}

#[test]
fn a_call_that_is_cut_off_is_never_a_complete_one() {
    const CUT: &str = "FUNCTION_CALL_START\nweather\narguments: {\"city\": \"Nat";
    let choice = json!({"tool_choice": "auto"});
    for policy in ["pass", "repair", "error"] {
        for stream in [false, true] {
            let spot = Stackspot::start();
            spot.answer_by(|_| Reply::deltas(&[CUT]));
            let proxy = setup(&spot, &format!("repair: {policy}")).start();
            let answer = chat(&proxy, &with(with(forced(), choice.clone()), json!({"stream": stream})));
            let context = format!("{policy}, {stream}: {}", answer.body);
            match (policy, stream) {
                ("pass", _) => assert!(answer.body.contains("\"finish_reason\":\"length\""), "{context}"),
                (_, false) => assert_eq!(answer.error().1, "tool_choice_unmet", "{context}"),
                _ => {
                    assert!(answer.body.contains("\"code\":\"tool_choice_unmet\""), "{context}");
                    assert!(!answer.body.contains("[DONE]"), "{context}");
                }
            }
            assert!(!answer.body.contains("\"finish_reason\":\"tool_calls\""), "{context}");
            let asked = if (policy, stream) == ("repair", false) { 2 } else { 1 };
            assert_eq!(spot.chats().len(), asked, "{context}");
        }
    }
}

#[test]
fn where_stackspot_remembers_only_the_reproach_is_sent() {
    let spot = Stackspot::start();
    let proxy = setup(&spot, "conversation: server").start();
    spot.reply(Reply::deltas(&["It may rain."]));
    spot.reply(Reply::deltas(&[CALL]));
    let answer = post(&proxy, "/v1/chat/completions", "x-conversation-id: c\r\n", &forced());
    assert_eq!(answer.json(200)["choices"][0]["finish_reason"], "tool_calls");
    let chats = spot.chats();
    assert_eq!(chats[0].json()["conversation_id"], chats[1].json()["conversation_id"]);
    assert!(!chats[1].prompt().contains("rain?"), "{}", chats[1].prompt());
}
