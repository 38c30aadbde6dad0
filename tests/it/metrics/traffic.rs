//! Calls of every kind that the metrics tell apart.

use std::time::Duration;

use crate::support::{Provider, Proxy, Wire, asked};

/// The agent of a call without a system prompt.
pub(super) const NO_PROMPT: &str = "agent-7077bd40d00f";

/// A model with a name that no page may take as it is.
pub(super) const ODD: &str = "we\"ird\\{model}";

/// Between two parts of a stream there is no less than this: the length of a gap is what is measured, not what is hoped.
pub(super) const NAP: Duration = Duration::from_millis(20);

/// A stream has so many parts besides those that say something: why it stopped, and what it used.
pub(super) const PARTS_AROUND: usize = 3;

const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";

/// A call that is answered at once.
pub(super) struct Answer<'a> {
    pub(super) path: &'a str,
    /// More headers of the request, each with its line's end.
    pub(super) headers: &'a str,
    pub(super) request: String,
    pub(super) status: u16,
    pub(super) response: String,
}

impl Answer<'_> {
    pub(super) fn chat(model: &str) -> Self {
        Answer {
            path: "/v1/chat/completions",
            headers: "",
            request: asks(model, false),
            status: 200,
            response: serde_json::json!({"id": "c", "object": "chat.completion", "model": model,
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 24, "completion_tokens": 2}})
            .to_string(),
        }
    }
}

fn asks(model: &str, stream: bool) -> String {
    serde_json::json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "hi"}]})
        .to_string()
}

/// The name of a series of `perimeter_calls_total`.
pub(super) fn counted(dialect: &str, model: &str, agent: &str, outcome: &str) -> String {
    let model = model.replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        "perimeter_calls_total{{dialect=\"{dialect}\",model=\"{model}\",agent=\"{agent}\",outcome=\"{outcome}\"}}"
    )
}

pub(super) fn request(path: &str, headers: &str, body: &str) -> String {
    let head = format!("POST {path} HTTP/1.1\r\nHost: app\r\n{headers}Content-Type: application/json");
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// One more call, and that it was counted.
fn counts(proxy: &Proxy, series: &str, call: impl FnOnce()) {
    let before = proxy.metric(series);
    call();
    proxy.wait_for_metric(series, before + 1.0);
}

pub(super) fn call(provider: &Provider, proxy: &Proxy, answer: &Answer<'_>) {
    let Answer { path, headers, request: body, status, response } = answer;
    let (mut client, mut upstream) = asked(provider, proxy, request(path, headers, body));
    upstream.expect(body);
    let head = format!("HTTP/1.1 {status} So\r\nContent-Type: application/json\r\nConnection: close");
    upstream.send(format!("{head}\r\nContent-Length: {}\r\n\r\n{response}", response.len()));
    upstream.close();
    assert_eq!(client.head().status(), *status);
    client.expect(response);
}

/// A call that the provider refuses.
pub(super) fn failing(provider: &Provider, proxy: &Proxy, model: &str) {
    let response = r#"{"error":{"message":"slow down","type":"rate_limit_error","code":null}}"#.to_owned();
    let refused = proxy.admin("/metrics").body;
    let errors =
        |page: &str| page.lines().filter(|line| line.contains("outcome=\"error\"")).map(value).sum::<f64>();
    let before = errors(&refused);
    call(provider, proxy, &Answer { status: 429, response, ..Answer::chat(model) });
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while (errors(&proxy.admin("/metrics").body) - before - 1.0).abs() > f64::EPSILON {
        assert!(std::time::Instant::now() < deadline, "the error is not counted");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn value(line: &str) -> f64 {
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn event(model: &str, choices: &str, more: &str) -> String {
    format!(
        "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"{model}-2024-07-18\",\"choices\":[{choices}]{more}}}\n\n"
    )
}

fn says(model: &str, word: &str) -> String {
    event(model, &format!("{{\"index\":0,\"delta\":{{\"content\":\"{word}\"}}}}"), "")
}

/// A stream that has begun.
fn begun(provider: &Provider, proxy: &Proxy, model: &str) -> (Wire, Wire) {
    let body = asks(model, true);
    let (mut client, mut upstream) = asked(provider, proxy, request("/v1/chat/completions", "", &body));
    upstream.expect(&body);
    upstream.send(EVENTS);
    client.head();
    (client, upstream)
}

/// A stream that says these words and comes to its end, each part after the one before has arrived.
pub(super) fn streamed(provider: &Provider, proxy: &Proxy, model: &str, words: &[&str]) {
    counts(proxy, &counted("openai_chat", model, NO_PROMPT, "complete"), || {
        let (mut client, mut upstream) = begun(provider, proxy, model);
        let usage = r#","usage":{"prompt_tokens":1204,"completion_tokens":87,"prompt_tokens_details":{"cached_tokens":1024},"completion_tokens_details":{"reasoning_tokens":12}}"#;
        let words = words.iter().map(|word| says(model, word));
        let stop = event(model, "{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}", "");
        for part in words.chain([stop, event(model, "", usage), "data: [DONE]\n\n".to_owned()]) {
            upstream.send_chunk(&part);
            client.expect_in_chunks(&part);
            std::thread::sleep(NAP);
        }
        upstream.send("0\r\n\r\n");
        assert!(client.chunk().is_empty());
    });
}

/// A stream that the client does not read to its end.
pub(super) fn left(provider: &Provider, proxy: &Proxy, model: &str) {
    counts(proxy, &counted("openai_chat", model, NO_PROMPT, "cut"), || {
        let (mut client, mut upstream) = begun(provider, proxy, model);
        upstream.send_chunk(says(model, "Hello"));
        client.expect_in_chunks(says(model, "Hello"));
        client.close();
        upstream.expect_end();
    });
}

/// A stream that the provider breaks off.
pub(super) fn broken(provider: &Provider, proxy: &Proxy, model: &str) {
    counts(proxy, &counted("openai_chat", model, NO_PROMPT, "cut"), || {
        let (mut client, mut upstream) = begun(provider, proxy, model);
        upstream.send_chunk(says(model, "Hello"));
        client.expect_in_chunks(says(model, "Hello"));
        upstream.close();
        client.expect_end();
    });
}

/// A stream that breaks off after the provider has said what the prompt came to.
fn broken_with_usage(provider: &Provider, proxy: &Proxy) {
    let body = r#"{"model":"claude-sonnet-4-5","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-sonnet-4-5\",\"content\":[],\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n";
    counts(proxy, &counted("anthropic_messages", "claude-sonnet-4-5", NO_PROMPT, "cut"), || {
        let head = request("/v1/messages", "anthropic-version: 2023-06-01\r\n", body);
        let (mut client, mut upstream) = asked(provider, proxy, head);
        upstream.expect(body);
        upstream.send(EVENTS);
        client.head();
        upstream.send_chunk(start);
        client.expect_in_chunks(start);
        upstream.close();
        client.expect_end();
    });
}

/// Makes every family appear, and a label that has to be escaped.
pub(super) fn everything(provider: &Provider, proxy: &Proxy) {
    streamed(provider, proxy, "gpt-4o-mini", &["Hello", " wide", " world"]);
    left(provider, proxy, "gpt-4o-mini");
    failing(provider, proxy, "gpt-4o-mini");
    counts(proxy, &counted("openai_chat", ODD, NO_PROMPT, "complete"), || {
        call(provider, proxy, &Answer::chat(ODD))
    });
    let claude = Answer {
        path: "/v1/messages",
        headers: "anthropic-version: 2023-06-01\r\n",
        request: r#"{"model":"claude-sonnet-4-5","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#.to_owned(),
        status: 200,
        response: r#"{"id":"msg","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":9,"cache_creation_input_tokens":1024,"cache_read_input_tokens":0,"output_tokens":3}}"#.to_owned(),
    };
    let series = counted("anthropic_messages", "claude-sonnet-4-5", NO_PROMPT, "complete");
    counts(proxy, &series, || call(provider, proxy, &claude));
    broken_with_usage(provider, proxy);
}
