//! Calls on WebSockets: a conversation as Codex has it, in the message log and on the screen.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use serde_json::{Value, json};

use crate::support::{Provider, Proxy, Wire};

const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// One end of a WebSocket.
pub(crate) struct End {
    pub(crate) wire: Wire,
    masks: bool,
    /// What compresses and what inflates, where that was agreed on.
    deflate: Option<(Compress, Decompress)>,
}

impl End {
    fn new(wire: Wire, masks: bool, deflate: bool) -> Self {
        let deflate = deflate.then(|| (Compress::new(Compression::default(), false), Decompress::new(false)));
        Self { wire, masks, deflate }
    }

    fn say(&mut self, message: &Value) {
        let mut payload = message.to_string().into_bytes();
        let mut first = 0x81;
        if let Some((compress, _)) = &mut self.deflate {
            let mut out = Vec::with_capacity(payload.len() + 100);
            compress.compress_vec(&payload, &mut out, FlushCompress::Sync).unwrap();
            out.truncate(out.len() - TAIL.len());
            payload = out;
            first = 0xc1;
        }
        // In two frames, with a ping between them.
        let rest = payload.split_off(payload.len() / 2);
        self.frame(first & 0x7f, payload);
        self.frame(0x89, b"ping".to_vec());
        self.frame(0x80, rest);
    }

    fn frame(&mut self, first: u8, mut payload: Vec<u8>) {
        let mut frame = vec![first, 126 | if self.masks { 0x80 } else { 0 }];
        frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        if self.masks {
            frame.extend([1, 2, 3, 4]);
            payload.iter_mut().zip([1, 2, 3, 4].into_iter().cycle()).for_each(|(byte, key)| *byte ^= key);
        }
        frame.extend(payload);
        self.wire.send(frame);
    }

    /// Both halves of what the other end said.
    fn hear(&mut self) -> Value {
        let mut payload = self.payload();
        assert_eq!(self.payload(), b"ping");
        payload.extend(self.payload());
        if let Some((_, inflate)) = &mut self.deflate {
            payload.extend(TAIL);
            let mut out = Vec::with_capacity(64 * 1024);
            inflate.decompress_vec(&payload, &mut out, FlushDecompress::Sync).unwrap();
            payload = out;
        }
        serde_json::from_slice(&payload).unwrap()
    }

    fn payload(&mut self) -> Vec<u8> {
        let head = self.wire.exactly(4);
        let mask = if head[1] & 0x80 == 0 { vec![0; 4] } else { self.wire.exactly(4) };
        let payload = self.wire.exactly(u16::from_be_bytes([head[2], head[3]]).into());
        payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
    }
}

pub(crate) fn connect(provider: &Provider, proxy: &Proxy, deflate: bool) -> (End, End) {
    let extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let extension = if deflate { extension } else { "" };
    let mut client = proxy.connect();
    client.send(format!(
        "GET /v1/responses HTTP/1.1\r\nHost: app\r\nAuthorization: Bearer sk-1\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         {extension}\r\n"
    ));
    let mut upstream = provider.accept();
    upstream.head();
    upstream.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{extension}\r\n"
    ));
    assert_eq!(client.head().status(), 101);
    (End::new(client, true, deflate), End::new(upstream, false, deflate))
}

/// Asks, and is answered.
pub(crate) fn turn(client: &mut End, upstream: &mut End, number: u32, input: &Value) {
    let previous = (number > 1).then(|| format!("resp_{}", number - 1));
    let ask = json!({
        "type": "response.create", "model": "gpt-5-codex", "instructions": "Be brief", "input": input,
        "previous_response_id": previous, "store": false, "stream": true,
    });
    client.say(&ask);
    assert_eq!(upstream.hear(), ask);
    let id = format!("resp_{number}");
    let text = format!("answer {number}");
    let item = json!({
        "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    });
    for answer in [
        json!({"type": "response.created", "response": {"id": id, "status": "in_progress", "output": []}}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": {
            "type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": [],
        }}),
        json!({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0,
            "content_index": 0, "delta": text}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
        json!({"type": "response.completed", "response": {
            "id": id, "object": "response", "status": "completed", "model": "gpt-5-codex", "output": [item],
            "usage": {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12},
        }}),
    ] {
        upstream.say(&answer);
        assert_eq!(client.hear(), answer);
    }
}

#[test]
fn three_calls_of_a_socket_are_three_calls_in_the_log_with_their_answers() {
    for deflate in [false, true] {
        let provider = Provider::start();
        let logs = tempfile::tempdir().unwrap();
        let yaml = format!(
            "interceptors:\n- {{type: message_logger, config: {{directory: {}}}}}\n\
             - {{type: printer, config: {{format: json}}}}\n",
            logs.path().display()
        );
        let proxy = Proxy::to(&provider).yaml(&yaml).start();
        let (mut client, mut upstream) = connect(&provider, &proxy, deflate);
        let user = |text: &str| json!([{"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}]);
        turn(&mut client, &mut upstream, 1, &user("Hello"));
        turn(
            &mut client,
            &mut upstream,
            2,
            &json!([{"type": "function_call_output", "call_id": "c", "output": "ok"}]),
        );
        turn(&mut client, &mut upstream, 3, &user("Bye"));
        client.wire.close();
        upstream.wire.expect_end();
        upstream.wire.close();
        let series = "perimeter_calls_total{dialect=\"openai_responses\",model=\"gpt-5-codex\",agent=\"agent-a4d235b9ddd1\",outcome=\"complete\"}";
        proxy.wait_for_metric(series, 3.0);
        let printed = proxy.stop_and_tell();

        let text = std::fs::read_to_string(logs.path().join("message_log.jsonl")).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let told: Vec<_> = lines
            .iter()
            .map(|line| {
                let request = &line["request"]["previous_response_id"];
                let response = &line["response"];
                let answer = &response["output"][0]["content"][0]["text"];
                (
                    line["direction"].as_str().unwrap(),
                    request.as_str(),
                    response["id"].as_str(),
                    answer.as_str(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("request", None, None, None),
                ("response", None, Some("resp_1"), Some("answer 1")),
                ("request", Some("resp_1"), None, None),
                ("response", None, Some("resp_2"), Some("answer 2")),
                ("request", Some("resp_2"), None, None),
                ("response", None, Some("resp_3"), Some("answer 3")),
            ],
            "{text}"
        );
        assert!(lines.iter().all(|line| line["model"] == "gpt-5-codex"), "{text}");
        assert!(lines.iter().all(|line| line["exchange_id"] == lines[0]["exchange_id"]), "{text}");
        for answer in ["answer 1", "answer 2", "answer 3"] {
            assert!(printed.contains(answer), "{printed}");
        }
    }
}

#[test]
fn what_goes_on_from_a_response_is_of_its_session_on_whichever_connection_it_comes() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).start();
    let input = json!([{"type": "message", "role": "user", "content": "Hello"}]);
    let (mut client, mut upstream) = connect(&provider, &proxy, false);
    turn(&mut client, &mut upstream, 1, &input);
    let calls = |relation: &str| format!("perimeter_session_calls_total{{relation=\"{relation}\"}}");
    proxy.wait_for_metric(&calls("opening"), 1.0);

    let body = json!({"model": "gpt-5-codex", "input": input, "previous_response_id": "resp_1"}).to_string();
    let answer =
        json!({"id": "resp_2", "object": "response", "status": "completed", "output": []}).to_string();
    let mut other = proxy.connect();
    other.send(format!(
        "POST /v1/responses HTTP/1.1\r\nHost: app\r\nAuthorization: Bearer sk-1\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let mut provided = provider.accept();
    let head = provided.head();
    provided.body(&head);
    provided.send(format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
        answer.len()
    ));
    other.head();
    other.expect(&answer);
    provided.close();
    proxy.wait_for_metric(&calls("turn"), 1.0);

    // The socket, which has stayed open, goes on from that.
    turn(&mut client, &mut upstream, 3, &input);
    proxy.wait_for_metric(&calls("turn"), 2.0);
    // And so does another one.
    let (mut another, mut provided) = connect(&provider, &proxy, true);
    turn(&mut another, &mut provided, 4, &input);
    proxy.wait_for_metric(&calls("turn"), 3.0);
    assert_eq!(proxy.metric(&calls("opening")), 1.0);
    assert_eq!(proxy.metric("perimeter_sessions_total{known=\"recognised\"}"), 1.0);
}
