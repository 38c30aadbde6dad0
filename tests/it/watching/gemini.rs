//! Gemini's two kinds of streams, read beside the traffic.

use serde_json::Value;

use crate::support::{Provider, Proxy};

const CHUNKS: [&str; 2] = [
    r#"{"candidates":[{"content":{"parts":[{"text":"The \"Uca"}],"role":"model"},"index":0}],"responseId":"r"}"#,
    r#"{"candidates":[{"content":{"parts":[{"text":"yali]\"."}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":6,"candidatesTokenCount":5},"responseId":"r"}"#,
];

/// What the message log says of one streamed call through a proxy of this type.
fn logged(kind: &'static str, query: &str, content_type: &str, body: &[String]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::start();
    let yaml = format!(
        "interceptors: [{{type: message_logger, config: {{directory: {}}}}}]\n",
        folder.path().display()
    );
    let proxy = Proxy::to(&provider).kind(kind).yaml(&yaml).start();
    let request = r#"{"contents":[{"role":"user","parts":[{"text":"A river?"}]}]}"#;
    let mut client = proxy.connect();
    client.send(format!(
        "POST /v1beta/models/gemini-2.5-pro:streamGenerateContent{query} HTTP/1.1\r\nHost: app\r\n\
         Content-Length: {}\r\n\r\n{request}",
        request.len()
    ));
    let mut upstream = provider.accept();
    let head = upstream.head();
    upstream.body(&head);
    upstream.send(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    ));
    assert_eq!(client.head().status(), 200);
    for piece in body {
        upstream.send_chunk(piece);
        client.expect_in_chunks(piece);
    }
    upstream.send("0\r\n\r\n");
    client.chunked();
    proxy.stop();
    let text = std::fs::read_to_string(folder.path().join("message_log.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[track_caller]
fn check(lines: &[Value]) {
    let [request, response] = lines else { panic!("{lines:?}") };
    assert_eq!(request["model"], "gemini-2.5-pro", "{request}");
    let candidate = &response["response"]["candidates"][0];
    assert_eq!(candidate["content"]["parts"][0]["text"], "The \"Ucayali]\".", "{response}");
    assert_eq!(candidate["finishReason"], "STOP");
    assert_ne!(response["metadata"]["complete"], false, "{response}");
}

#[test]
fn a_stream_of_events_from_gemini_is_put_together_whatever_type_the_provider_is_said_to_be() {
    let body = CHUNKS.map(|chunk| format!("data: {chunk}\r\n\r\n"));
    for kind in ["gemini", "auto", "openai", "anthropic"] {
        check(&logged(kind, "?alt=sse", "text/event-stream", &body));
    }
}

#[test]
fn a_stream_of_gemini_that_is_one_list_is_put_together() {
    let body = [format!("[{}", CHUNKS[0]), format!("\n,\r\n{}\n", CHUNKS[1]), "]".to_owned()];
    check(&logged("gemini", "", "application/json; charset=UTF-8", &body));
}
