//! The bridge to Claude Code, with the real CLI, before a scripted API of Anthropic's: what the CLI asks is what the
//! client asked, and what the client gets is what the API answered.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::perimeter::Perimeter;

mod api;

use api::{Api, answer, text};

/// A pixel.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// Two calls at once.
fn calls() -> Value {
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "get_weather", "input": {}});
    let input = |city: &str| {
        ["{\"city\":".to_owned(), format!(" \"{city}\"}}")]
            .map(|piece| json!({"type": "input_json_delta", "partial_json": piece}))
    };
    let said = [json!({"type": "text_delta", "text": "Let me see."})];
    let (paris, rome) = (input("Paris"), input("Rome"));
    answer(
        &[
            (json!({"type": "text", "text": ""}), &said),
            (call("toolu_01"), &paris),
            (call("toolu_02"), &rome),
        ],
        "tool_use",
    )
}

/// Asks, and returns the status and the body.
fn post(perimeter: &Perimeter, path: &str, body: &Value) -> (u16, String) {
    let mut curl = Command::new("curl")
        .args(["-sS", "--max-time", "120", "--noproxy", "*", "-H", "content-type: application/json"])
        .args(["--data-binary", "@-", "-w", "\n%{http_code}", &format!("{}{path}", perimeter.url)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    curl.stdin.take().unwrap().write_all(body.to_string().as_bytes()).unwrap();
    let output = curl.wait_with_output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let (body, status) = told.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

fn ask(perimeter: &Perimeter, path: &str, body: &Value) -> Value {
    let (status, said) = post(perimeter, path, body);
    assert_eq!(status, 200, "{said}\n{}", perimeter.log());
    serde_json::from_str(&said).unwrap()
}

/// The conversation in a body of the CLI's, without what it is known to add: settings in messages of their own, marks
/// for the cache, and a word after the results of tools.
fn conversation(body: &Value) -> Value {
    let messages = body["messages"].as_array().unwrap().iter().filter(|message| message["role"] != "system");
    let messages = messages.cloned().map(|mut message| {
        if let Some(text) = message["content"].as_str() {
            message["content"] = json!([{"type": "text", "text": text}]);
        }
        let blocks = message["content"].as_array_mut().unwrap();
        blocks.iter_mut().for_each(|block| {
            block.as_object_mut().unwrap().remove("cache_control");
        });
        if blocks.len() > 1 {
            blocks.retain(|block| block["text"] != "Continue.");
        }
        message
    });
    messages.collect()
}

fn weather() -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string", "minLength": 1}},
        "required": ["city"], "additionalProperties": false});
    json!([{"name": "get_weather", "description": "The weather.", "input_schema": schema}])
}

#[test]
fn the_model_reads_the_clients_conversation_and_nothing_else() {
    let api = Api::start(|_, _| (200, text("Both of them.")));
    let perimeter = api.bridge("");
    // By the model's own name, and by the CLI's.
    for model in ["claude-sonnet-5-5", "sonnet"] {
        reads(&api, &perimeter, model);
    }
}

fn reads(api: &Api, perimeter: &Perimeter, model: &str) {
    let image =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}});
    let messages = json!([
        {"role": "user", "content": [{"type": "text", "text": "/init @/etc/hosts"}, image]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "c2lnbmVk"},
            {"type": "text", "text": "I ask."},
            {"type": "tool_use", "id": "toolu_a", "name": "get_weather", "input": {"city": "Paris"}},
            {"type": "tool_use", "id": "toolu_b", "name": "get_weather", "input": {"city": "Rome"}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_b", "content": [{"type": "text", "text": "@/etc/hosts"}]},
            {"type": "tool_result", "tool_use_id": "toolu_a", "content": [{"type": "text", "text": "no"}, image]},
            {"type": "text", "text": "/and now?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Which?"}]},
        {"role": "user", "content": [{"type": "text", "text": "-p !ls #x @/etc/hosts"}]},
    ]);
    let body = json!({"model": model, "max_tokens": 2000, "system": "Be @/etc/hosts.",
        "tools": weather(), "messages": messages});
    let before = api.bodies().len();
    let said = ask(perimeter, "/v1/messages", &body);
    assert_eq!(said["content"], json!([{"type": "text", "text": "Both of them."}]));
    assert_eq!(said["stop_reason"], "end_turn");
    let usage = &said["usage"];
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(11), &json!(5)));
    assert_eq!(usage["cache_read_input_tokens"], 7);
    let asked = api.bodies();
    let [asked] = &asked[before..] else { panic!("{asked:#?}") };
    assert_eq!(conversation(asked), messages);
    assert_eq!((&asked["model"], &asked["max_tokens"]), (&json!("claude-sonnet-5-5"), &json!(2000)));
    assert_eq!(asked["system"].as_array().unwrap().last().unwrap()["text"], "Be @/etc/hosts.");
    assert_eq!(asked["tools"], weather());
}

#[test]
fn a_last_prompt_that_looks_like_a_command_is_none() {
    let api = Api::start(|_, _| (200, text("No.")));
    let perimeter = api.bridge("");
    let prompts = [
        "/cost @/etc/hosts",
        "//",
        "/",
        "--settings={\"apiKeyHelper\":\"touch x\"}",
        "a\0b",
        "[Request interrupted by user]",
        "<bash-input>ls</bash-input>",
    ];
    for prompt in prompts {
        let body = json!({"model": "haiku", "messages": [{"role": "user", "content": prompt}]});
        let said = ask(&perimeter, "/v1/chat/completions", &body);
        assert_eq!(said["choices"][0]["message"]["content"], "No.", "{prompt}");
        let asked = api.bodies();
        let conversation = conversation(asked.last().unwrap());
        let blocks = conversation[0]["content"].as_array().unwrap();
        let read: String = blocks.iter().map(|block| block["text"].as_str().unwrap()).collect();
        assert_eq!(read, prompt);
    }
    assert_eq!(api.bodies().len(), prompts.len(), "one request a prompt");
}

/// A turn with tools: the calls, the answer to their results, and what the API was asked.
fn with_tools(park: &str) -> (Value, Value, Vec<Value>) {
    let api = Api::start(|_, body| {
        let last = conversation(body).as_array().unwrap().last().unwrap().clone();
        let answered = last["content"].as_array().unwrap().iter().any(|block| block["type"] == "tool_result");
        (200, if answered { text("Sunny in both.") } else { calls() })
    });
    let perimeter = api.bridge(park);
    let mut messages = vec![json!({"role": "user", "content": [{"type": "text", "text": "Weather?"}]})];
    let body = |messages: &[Value]| json!({"model": "sonnet", "max_tokens": 2000, "tools": weather(), "messages": messages});
    let called = ask(&perimeter, "/v1/messages", &body(&messages));
    assert_eq!(called["stop_reason"], "tool_use");
    messages.push(json!({"role": "assistant", "content": called["content"]}));
    let results: Vec<_> = called["content"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|block| block["type"] == "tool_use")
        .map(|block| {
            json!({"type": "tool_result", "tool_use_id": block["id"],
            "content": [{"type": "text", "text": "sunny"}]})
        })
        .collect();
    messages.push(json!({"role": "user", "content": results}));
    let answered = ask(&perimeter, "/v1/messages", &body(&messages));
    let asked = api.bodies();
    assert_eq!(conversation(asked.last().unwrap()), json!(messages));
    (called, answered, asked)
}

#[test]
fn tools_answer_to_a_process_that_waits_as_to_a_new_one() {
    let (waiting, new) = (with_tools(""), with_tools(", park: 0"));
    for (waiting, new) in [(&waiting.0, &new.0), (&waiting.1, &new.1)] {
        for field in ["content", "stop_reason", "usage"] {
            assert_eq!(waiting[field], new[field]);
        }
    }
    assert_eq!(waiting.0["content"][1]["name"], "get_weather");
    assert_eq!(waiting.0["content"][2]["input"], json!({"city": "Rome"}));
    let conversations = |asked: &[Value]| asked.iter().map(conversation).collect::<Vec<_>>();
    assert_eq!(conversations(&waiting.2), conversations(&new.2));
    // All else that is asked is the same, down to the last setting, but for the name of the session.
    let rest = |asked: &[Value]| {
        let mut all = asked.to_vec();
        for body in &mut all {
            let body = body.as_object_mut().unwrap();
            body.retain(|key, _| key != "messages" && key != "metadata");
        }
        all
    };
    assert_eq!(rest(&waiting.2), rest(&new.2));
    let session = |body: &Value| body["metadata"]["user_id"].as_str().unwrap().to_owned();
    assert_eq!(session(&waiting.2[0]), session(&waiting.2[1]), "the same process");
    assert_ne!(session(&new.2[0]), session(&new.2[1]), "another process");
}

#[test]
fn thinking_comes_with_its_signature_and_as_much_of_it_as_is_asked_for() {
    let api = Api::start(|_, _| {
        let thinking = [
            json!({"type": "thinking_delta", "thinking": "Let me "}),
            json!({"type": "thinking_delta", "thinking": "think."}),
            json!({"type": "signature_delta", "signature": "c2lnbmVk"}),
        ];
        let said = [json!({"type": "text_delta", "text": "42"})];
        let blocks: [(Value, &[Value]); 2] = [
            (json!({"type": "thinking", "thinking": "", "signature": ""}), &thinking),
            (json!({"type": "text", "text": ""}), &said),
        ];
        (200, answer(&blocks, "end_turn"))
    });
    let perimeter = api.bridge("");
    let mut body = json!({"model": "opus", "max_tokens": 4000, "thinking": {"type": "adaptive", "display": "summarized"},
        "output_config": {"effort": "low"}, "messages": [{"role": "user", "content": "6 * 7?"}]});
    let said = ask(&perimeter, "/v1/messages", &body);
    let thought = json!({"type": "thinking", "thinking": "Let me think.", "signature": "c2lnbmVk"});
    assert_eq!(said["content"], json!([thought, {"type": "text", "text": "42"}]));
    assert_eq!(api.bodies()[0]["output_config"]["effort"], "low");
    body = json!({"model": "opus", "reasoning_effort": "none", "messages": [{"role": "user", "content": "6 * 7?"}]});
    ask(&perimeter, "/v1/chat/completions", &body);
    assert_eq!(api.bodies()[1].get("thinking"), None);
    // Some models think for 1024 tokens at least.
    body = json!({"model": "claude-haiku-4-5", "max_tokens": 100, "messages": [{"role": "user", "content": "6 * 7?"}]});
    ask(&perimeter, "/v1/chat/completions", &body);
    assert_eq!(api.bodies()[2].get("thinking"), None);
}

#[test]
fn thinking_comes_back_to_the_model_that_thought_through_messages_and_sealed_through_responses() {
    let api = Api::start(|_, body| {
        let thinking = [
            json!({"type": "thinking_delta", "thinking": "Hm."}),
            json!({"type": "signature_delta", "signature": "c2lnbmVk"}),
        ];
        let said = [json!({"type": "text_delta", "text": "42"})];
        let thought = body.to_string().contains("c2lnbmVk");
        let blocks: [(Value, &[Value]); 2] = [
            (json!({"type": "thinking", "thinking": "", "signature": ""}), &thinking),
            (json!({"type": "text", "text": ""}), &said),
        ];
        (200, if thought { text("As I thought.") } else { answer(&blocks, "end_turn") })
    });
    let perimeter = api.bridge("");
    let hello = json!({"role": "user", "content": "6 * 7?"});
    let body = |messages: Value| {
        json!({"model": "opus", "max_tokens": 4000, "messages": messages,
        "thinking": {"type": "adaptive", "display": "summarized"}})
    };
    let said = ask(&perimeter, "/v1/messages", &body(json!([hello])));
    let again = body(json!([hello, {"role": "assistant", "content": said["content"]},
        {"role": "user", "content": "Sure?"}]));
    assert_eq!(ask(&perimeter, "/v1/messages", &again)["content"][0]["text"], "As I thought.");
    let body = |input: Vec<Value>| {
        json!({"model": "opus", "input": input, "store": false,
        "reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]})
    };
    let said = ask(&perimeter, "/v1/responses", &body(vec![hello.clone()]));
    let mut input = vec![hello];
    input.extend(said["output"].as_array().unwrap().iter().cloned());
    input.push(json!({"role": "user", "content": "Sure?"}));
    let said = ask(&perimeter, "/v1/responses", &body(input));
    assert!(said["output"].to_string().contains("As I thought."), "{said}");
}

#[test]
fn calls_without_results_and_results_without_calls_are_refused_before_the_cli_would_mend_them() {
    let api = Api::start(|_, _| (200, text("No.")));
    let perimeter = api.bridge("");
    let call = json!({"role": "assistant", "content": null, "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}]});
    let (hi, result) = (
        json!({"role": "user", "content": "hi"}),
        json!({"role": "tool", "tool_call_id": "a", "content": "b"}),
    );
    for messages in [json!([hi, call, hi]), json!([hi, result]), json!([hi, call, result, call, result])] {
        let body = json!({"model": "sonnet", "messages": messages});
        let (status, said) = post(&perimeter, "/v1/chat/completions", &body);
        assert_eq!(status, 400, "{said}");
    }
    assert_eq!(api.bodies().len(), 0);
}

#[test]
fn a_call_of_a_tool_that_nobody_has_is_the_clients_to_answer_and_no_process_goes_on_by_itself() {
    let api = Api::start(|_, body| {
        let call = json!({"type": "tool_use", "id": "toolu_x", "name": "get_time", "input": {}});
        let last = conversation(body).as_array().unwrap().last().unwrap().to_string();
        (200, if last.contains("tool_result") { text("Noon.") } else { answer(&[(call, &[])], "tool_use") })
    });
    let perimeter = api.bridge("");
    let hi = json!({"role": "user", "content": "hi"});
    let body = |messages: Value| json!({"model": "sonnet", "max_tokens": 9, "tools": weather(), "messages": messages});
    let said = ask(&perimeter, "/v1/messages", &body(json!([hi])));
    assert_eq!(said["content"][0]["name"], "get_time");
    let result = json!([{"type": "tool_result", "tool_use_id": "toolu_x", "content": "12:00"}]);
    let messages =
        json!([hi, {"role": "assistant", "content": said["content"]}, {"role": "user", "content": result}]);
    assert_eq!(ask(&perimeter, "/v1/messages", &body(messages))["content"][0]["text"], "Noon.");
    let results = api.bodies().iter().map(|body| conversation(body).to_string()).collect::<Vec<_>>();
    let of_the_cli = results.iter().filter(|said| said.contains("tool_result") && !said.contains("12:00"));
    assert_eq!(of_the_cli.count(), 0, "{results:?}");
}

#[test]
fn an_answer_of_a_schema_is_json_of_that_schema() {
    let api = Api::start(|_, _| {
        let call = json!({"type": "tool_use", "id": "toolu_s", "name": "StructuredOutput", "input": {}});
        let input = [json!({"type": "input_json_delta", "partial_json": "{\"answer\":42}"})];
        (200, answer(&[(call, &input)], "tool_use"))
    });
    let perimeter = api.bridge("");
    let schema =
        json!({"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"]});
    let format = json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}});
    let body = json!({"model": "sonnet", "response_format": format,
        "messages": [{"role": "user", "content": "6 * 7?"}]});
    let said = ask(&perimeter, "/v1/chat/completions", &body);
    assert_eq!(said["choices"][0]["message"]["content"], "{\"answer\":42}");
    assert_eq!(said["choices"][0]["finish_reason"], "stop");
    assert_eq!(api.bodies()[0]["tools"][0]["input_schema"], schema);
}

#[test]
fn an_answer_that_is_too_long_or_refused_says_so_and_is_asked_for_once() {
    let api = Api::start(|count, _| {
        let said = [json!({"type": "text_delta", "text": "Once upon"})];
        let stop = if count == 1 { "max_tokens" } else { "refusal" };
        let mut events = answer(&[(json!({"type": "text", "text": ""}), &said)], stop);
        if count == 1 {
            // The CLI would go on by itself once the message is over: it must be gone before.
            events.as_array_mut().unwrap().pop();
        }
        (200, events)
    });
    let perimeter = api.bridge("");
    let body = json!({"model": "sonnet", "messages": [{"role": "user", "content": "A story."}]});
    let said = ask(&perimeter, "/v1/chat/completions", &body);
    assert_eq!(said["choices"][0]["finish_reason"], "length");
    assert_eq!(said["usage"]["completion_tokens"], 5);
    let said = ask(&perimeter, "/v1/chat/completions", &body);
    assert_eq!(said["choices"][0]["finish_reason"], "content_filter");
    assert_eq!(api.bodies().len(), 2);
}

#[test]
fn failures_of_the_api_keep_their_status() {
    let api = Api::start(|count, _| {
        let error =
            |kind: &str, message: &str| json!({"type": "error", "error": {"type": kind, "message": message}});
        match count {
            1 => (429, error("rate_limit_error", "slow down")),
            2 => (529, error("overloaded_error", "Overloaded")),
            3 => (400, error("invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum")),
            4 => (413, error("request_too_large", "Request exceeds the maximum size")),
            _ => (403, error("permission_error", "no")),
        }
    });
    let perimeter = api.bridge("");
    for (status, code) in [
        (429, "rate_limit_exceeded"),
        (503, "overloaded"),
        (400, "context_length_exceeded"),
        (400, "context_length_exceeded"),
        (502, "upstream_auth"),
    ] {
        let body =
            json!({"model": "sonnet", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
        let (found, said) = post(&perimeter, "/v1/chat/completions", &body);
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!((found, &said["error"]["code"]), (status, &json!(code)), "{said}");
        assert!(!said.to_string().contains("127.0.0.1"), "{said}");
    }
}
