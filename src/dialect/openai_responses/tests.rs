//! A streamed answer is the answer that comes at once.

use perimeter_interceptor::{CallId, Completion, LlmEvent, ToolUse};
use serde_json::{Value, json};

use crate::dialect::golden::{cases, request_head};
use crate::dialect::{Asked, Dialect, Form};

fn told(form: Form, body: &[u8]) -> Vec<LlmEvent> {
    let asked = Asked::of(&request_head("POST /v1/responses")).unwrap();
    let mut told = Vec::new();
    let mut reader = asked.reader(CallId(0), 200, form, 1 << 20);
    reader.read(body, &mut |event| told.push(event));
    reader.finish(true, &mut |event| told.push(event));
    told
}

fn completion(told: &[LlmEvent]) -> Option<&Completion> {
    told.iter().find_map(|event| match event {
        LlmEvent::Completion(completion) => Some(&**completion),
        _ => None,
    })
}

fn tools(told: &[LlmEvent]) -> Vec<&ToolUse> {
    let tools = told.iter().filter_map(|event| match event {
        LlmEvent::ToolUse(tool) => Some(&**tool),
        _ => None,
    });
    tools.collect()
}

fn stream(events: &[Value]) -> Vec<u8> {
    events.iter().flat_map(|event| format!("data: {event}\n\n").into_bytes()).collect()
}

#[test]
fn the_body_of_a_stream_is_that_of_the_same_answer_at_once_and_means_the_same() {
    let cases = cases().into_iter().filter(|case| case.asked.dialect == Dialect::OpenAiResponses);
    let mut compared = 0;
    for case in cases.filter(|case| case.form == Form::Events) {
        let streamed = told(Form::Events, &case.response);
        let Some(answer) = completion(&streamed) else { continue };
        let at_once = told(Form::Whole, &answer.body);
        assert_eq!(Some(answer), completion(&at_once), "{}", case.dir.display());
        assert_eq!(tools(&streamed), tools(&at_once), "{}", case.dir.display());
        compared += 1;
    }
    assert!(compared >= 20, "{compared} streams");
}

#[test]
fn the_body_of_a_stream_is_as_the_terminal_event_holds_it() {
    let response = r#"{"id": "resp_1", "status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"a\u0062"}]}]}"#;
    let events = format!("data: {{\"type\":\"response.completed\",\"response\":{response}}}\n\n");
    let told = told(Form::Events, events.as_bytes());
    assert_eq!(completion(&told).unwrap().body, response.as_bytes());
}

#[test]
fn an_answer_that_the_events_add_up_to_is_the_answer_that_comes_at_once() {
    let message = json!({"type": "message", "role": "assistant", "content": [
        {"type": "output_text", "text": "Hi.", "annotations": []}]});
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    let without = json!({"id": "resp_1", "status": "completed", "output": []});
    let mut with = without.clone();
    with["output"] = json!([message, call]);
    let events = stream(&[
        json!({"type": "response.created", "response": {"id": "resp_1", "status": "in_progress", "output": []}}),
        json!({"type": "response.output_text.delta", "output_index": 0, "delta": "H"}),
        json!({"type": "response.output_text.delta", "output_index": 0, "delta": "i."}),
        json!({"type": "response.output_item.added", "output_index": 1, "item": {
            "type": "function_call", "call_id": "c", "name": "f", "arguments": ""}}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{}"}),
        json!({"type": "response.completed", "response": without}),
    ]);
    let streamed = told(Form::Events, &events);
    let body = &completion(&streamed).unwrap().body;
    assert_eq!(serde_json::from_slice::<Value>(body).unwrap(), with);
    let at_once = told(Form::Whole, body);
    assert_eq!(completion(&streamed), completion(&at_once));
    assert_eq!(tools(&streamed), tools(&at_once));
}

#[test]
fn a_tool_is_told_when_its_input_is_complete_and_once() {
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    let mut begun = call.clone();
    begun["arguments"] = json!("");
    let events = [
        json!({"type": "response.output_item.added", "output_index": 0, "item": begun}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{}"}),
        json!({"type": "response.function_call_arguments.done", "output_index": 0, "arguments": "{}"}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": call}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": call}),
        json!({"type": "response.completed", "response": {"id": "resp_1", "output": [call]}}),
    ];
    let counts: Vec<usize> = (1..=events.len())
        .map(|length| tools(&told(Form::Events, &stream(&events[..length]))).len())
        .collect();
    assert_eq!(counts, [0, 0, 1, 1, 1, 1]);
}

#[test]
fn what_a_whole_item_replaces_is_not_held() {
    let asked = Asked::of(&request_head("POST /v1/responses")).unwrap();
    let mut reader = asked.reader(CallId(0), 200, Form::Events, 1 << 20);
    let text = "x".repeat(1000);
    let mut held = Vec::new();
    for index in 0..40 {
        let item = json!({"type": "message", "content": [{"type": "output_text", "text": text}]});
        let events = stream(&[
            json!({"type": "response.output_text.delta", "output_index": index, "delta": text}),
            json!({"type": "response.output_item.done", "output_index": index, "item": item}),
        ]);
        reader.read(&events, &mut |_| {});
        held.push(reader.held());
    }
    let each = (held[39] - held[9]) / 30;
    assert!((1000..1500).contains(&each), "{each} bytes an item");
    let output = json!([{"type": "message", "content": [{"type": "output_text", "text": text}]}]);
    let end = json!({"type": "response.completed", "response": {"id": "resp_1", "output": output}});
    let mut told = Vec::new();
    reader.read(&stream(&[end]), &mut |event| told.push(event));
    assert!(matches!(&*told, [LlmEvent::Completion(_)]));
    assert_eq!(reader.held(), 0);
}
