//! What the workloads say: OpenAI chat completions, so that whoever reads along has something to read.

/// The name of the model, as short as one may be: an event has 150 bytes.
const MODEL: &str = "gpt-5";

const TEXT: &str = "The quick brown fox jumps over the lazy dog. ";

/// Four lines of a file, as they stand inside a JSON string: escapes and letters beyond ASCII included.
pub(crate) const LINES: &str = concat!(
    r#"fn greet(name: &str) -> String {\n    format!(\"Hello, {name}!\\n\")\n}\n"#,
    r#"// Grüße, 世界: what a tool reads has quotes, tabs and newlines.\n\tlet limit = 4 * 1024;\n"#,
);

/// How often [`LINES`] stand in what a tool reads: about 5 KiB, as coding agents do.
const READ_AT_ONCE: usize = 32;

/// A request of exactly `length` bytes, once that is more than the least there is to say (below 700): a system
/// prompt, as many turns of an agent with its tools as there is room for, a question that fills the rest, and a tool.
pub(crate) fn request(length: usize, stream: bool) -> Vec<u8> {
    let mut body = format!(
        "{{\"model\":\"{MODEL}\",\"messages\":[{{\"role\":\"system\",\"content\":\"You are a coding agent. Be brief.\"}}"
    );
    let end = request_end(stream);
    let question = ",{\"role\":\"user\",\"content\":\"";
    for number in 0.. {
        let turn = turn(number);
        if body.len() + turn.len() + question.len() + end.len() > length {
            break;
        }
        body.push_str(&turn);
    }
    body.push_str(question);
    filled(body, &end, length)
}

fn request_end(stream: bool) -> String {
    let stream = if stream { ",\"stream\":true,\"stream_options\":{\"include_usage\":true}" } else { "" };
    format!(
        "\"}}],\"tools\":[{{\"type\":\"function\",\"function\":{{\"name\":\"read_file\",\"description\":\"Reads a file.\",\
         \"parameters\":{{\"type\":\"object\",\"properties\":{{\"path\":{{\"type\":\"string\"}}}},\
         \"required\":[\"path\"]}}}}}}]{stream}}}"
    )
}

/// What an agent adds to its history by one use of a tool.
fn turn(number: u32) -> String {
    format!(
        ",{{\"role\":\"user\",\"content\":\"{asked}\"}},\
         {{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{{\"id\":\"call_{number:06}\",\"type\":\"function\",\
         \"function\":{{\"name\":\"read_file\",\"arguments\":\"{{\\\"path\\\":\\\"src/part_{number:06}.rs\\\"}}\"}}}}]}},\
         {{\"role\":\"tool\",\"tool_call_id\":\"call_{number:06}\",\"content\":\"{read}\"}},\
         {{\"role\":\"assistant\",\"content\":\"{said}\"}}",
        asked = TEXT.repeat(4),
        read = LINES.repeat(READ_AT_ONCE),
        said = TEXT.repeat(12),
    )
}

/// An answer of exactly `length` bytes, once that is more than the least there is to say (below 600).
pub(crate) fn answer(length: usize) -> Vec<u8> {
    let start = format!(
        "{{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1795251600,\"model\":\"{MODEL}\",\
         \"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\""
    );
    let end = format!(
        "\",\"refusal\":null,\"annotations\":[]}},\"logprobs\":null,\"finish_reason\":\"stop\"}}],{USAGE},\
         \"service_tier\":\"default\",\"system_fingerprint\":null}}"
    );
    filled(start, &end, length)
}

const USAGE: &str = "\"usage\":{\"prompt_tokens\":250,\"completion_tokens\":200,\"total_tokens\":450,\
    \"prompt_tokens_details\":{\"cached_tokens\":128,\"audio_tokens\":0},\
    \"completion_tokens_details\":{\"reasoning_tokens\":64,\"audio_tokens\":0,\
    \"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}";

/// What follows the events of a stream: why it stopped, what it used, and that it is done.
pub(crate) fn stream_end() -> Vec<u8> {
    let start =
        format!("data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"model\":\"{MODEL}\"");
    format!(
        "{start},\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\n\
         {start},\"choices\":[],{USAGE}}}\n\n\
         data: [DONE]\n\n"
    )
    .into_bytes()
}

/// An event with every field that OpenAI sends with a word, some 330 bytes; the streams of the workloads have
/// shorter ones ([`crate::event`]).
pub(crate) fn full_event(number: u32) -> Vec<u8> {
    let word = TEXT.split_inclusive(' ').cycle().nth(number as usize % 9).unwrap_or_default();
    format!(
        "data: {{\"id\":\"chatcmpl-CeLk3Yq0ZzX1vWb2u4Tn6Rm8Pa0Sd\",\"object\":\"chat.completion.chunk\",\
         \"created\":1795251600,\"model\":\"gpt-5-2025-08-07\",\"service_tier\":\"default\",\
         \"system_fingerprint\":\"fp_0123456789\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{word}\"}},\
         \"logprobs\":null,\"finish_reason\":null}}],\"usage\":null,\"obfuscation\":\"Xk2mQ9\"}}\n\n"
    )
    .into_bytes()
}

/// `start`, text, `end`: `length` bytes of it.
fn filled(start: String, end: &str, length: usize) -> Vec<u8> {
    let room = length.saturating_sub(start.len() + end.len());
    let mut bytes = start.into_bytes();
    bytes.extend(TEXT.bytes().cycle().take(room));
    bytes.extend_from_slice(end.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn json(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn requests_are_chats_of_the_length_asked_for() {
        for (length, messages) in [(1024, 2..=2), (256 * 1024, 100..=400), (2048 * 1024, 1000..=3000)] {
            for stream in [false, true] {
                let body = request(length, stream);
                assert_eq!(body.len(), length);
                let chat = json(&body);
                assert_eq!(chat["stream"].as_bool().unwrap_or(false), stream);
                assert_eq!(chat["tools"][0]["function"]["name"], "read_file");
                let said = chat["messages"].as_array().unwrap();
                assert!(messages.contains(&said.len()), "{} messages", said.len());
                assert_eq!(said.last().unwrap()["role"], "user");
            }
        }
    }

    #[test]
    fn an_agents_turn_uses_a_tool_and_hears_from_it() {
        let turn = json(format!("[{}]", &turn(7)[1..]).as_bytes());
        let call = &turn[1]["tool_calls"][0];
        assert_eq!(call["id"], turn[2]["tool_call_id"]);
        assert_eq!(
            json(call["function"]["arguments"].as_str().unwrap().as_bytes())["path"],
            "src/part_000007.rs"
        );
        assert!(turn[2]["content"].as_str().unwrap().contains("\"Hello, {name}!\\n\""));
    }

    #[test]
    fn an_answer_is_a_completion_of_the_length_asked_for() {
        let body = answer(1024);
        assert_eq!(body.len(), 1024);
        let completion = json(&body);
        assert_eq!(completion["object"], "chat.completion");
        assert_eq!(completion["choices"][0]["finish_reason"], "stop");
        assert_eq!(completion["usage"]["total_tokens"], 450);
    }

    #[test]
    fn a_stream_ends_with_a_reason_the_usage_and_done() {
        let end = String::from_utf8(stream_end()).unwrap();
        let events: Vec<&str> = end.split_terminator("\n\n").map(|event| &event["data: ".len()..]).collect();
        let [stop, usage, done] = events[..] else { panic!("{events:?}") };
        assert_eq!(json(stop.as_bytes())["choices"][0]["finish_reason"], "stop");
        assert_eq!(json(usage.as_bytes())["usage"]["completion_tokens_details"]["reasoning_tokens"], 64);
        assert_eq!(done, "[DONE]");
    }

    #[test]
    fn a_full_event_is_a_chunk_of_a_completion() {
        let event = full_event(3);
        assert!((300..360).contains(&event.len()), "{} bytes", event.len());
        let chunk = json(event.strip_prefix(b"data: ").unwrap());
        assert_eq!(chunk["choices"][0]["delta"]["content"], "fox ");
    }
}
