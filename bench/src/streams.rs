//! Streams of the dialects beside Chat Completions, whose events are of about 320 bytes.

const WORDS: &str = "The quick brown fox jumps over the lazy dog, and then it does so once more, ";

/// A stream: its first events, its event by number, and its last ones.
pub(crate) struct Stream {
    pub(crate) path: &'static str,
    pub(crate) start: String,
    pub(crate) event: fn(u32) -> String,
    pub(crate) end: String,
}

fn word(number: u32) -> &'static str {
    WORDS.split_inclusive(' ').cycle().nth(number as usize % 16).unwrap_or_default()
}

fn event(name: &str, data: &str) -> String {
    format!("event: {name}\ndata: {{\"type\":\"{name}\",{data}}}\n\n")
}

/// OpenAI's Responses. Its last events say all that was said `count` times again.
pub(crate) fn responses(count: u32) -> Stream {
    let text: String = (0..count).map(word).collect();
    let response = |status: &str, output: &str| {
        format!(
            "\"response\":{{\"id\":\"resp_0123456789abcdef0123456789abcdef\",\"object\":\"response\",\
             \"created_at\":1795251600,\"status\":\"{status}\",\"model\":\"gpt-5-2025-08-07\",\"output\":[{output}]}}"
        )
    };
    let message = |status: &str, content: &str| {
        format!(
            "{{\"id\":\"msg_0123456789abcdef0123456789abcdef\",\"type\":\"message\",\"status\":\"{status}\",\
             \"role\":\"assistant\",\"content\":[{content}]}}"
        )
    };
    let part = |text: &str| {
        format!("{{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\"{text}\"}}")
    };
    let place = "\"item_id\":\"msg_0123456789abcdef0123456789abcdef\",\"output_index\":0,\"content_index\":0";
    let start = [
        event("response.created", &response("in_progress", "")),
        event(
            "response.output_item.added",
            &format!("\"output_index\":0,\"item\":{}", message("in_progress", "")),
        ),
        event("response.content_part.added", &format!("{place},\"part\":{}", part(""))),
    ];
    let whole = message("completed", &part(&text));
    let end = [
        event("response.output_text.done", &format!("{place},\"logprobs\":[],\"text\":\"{text}\"")),
        event("response.content_part.done", &format!("{place},\"part\":{}", part(&text))),
        event("response.output_item.done", &format!("\"output_index\":0,\"item\":{whole}")),
        event("response.completed", &response("completed", &whole)),
    ];
    let event = |number| {
        event(
            "response.output_text.delta",
            &format!(
                "\"sequence_number\":{},\"item_id\":\"msg_0123456789abcdef0123456789abcdef0123456789abcdef\",\
                 \"output_index\":0,\"content_index\":0,\"delta\":\"{}\",\"logprobs\":[],\
                 \"obfuscation\":\"Xk2mQ9pL4rT7vB1nXk2mQ9pL4rT7vB1nXk2mQ9pL4rT7vB1nXk2mQ9pL4rT7vB1n\"",
                100_000 + number,
                word(number)
            ),
        )
    };
    Stream { path: "/v1/responses", start: start.concat(), event, end: end.concat() }
}

/// Anthropic's Messages: its events are short, so they have more than a word here.
pub(crate) fn messages() -> Stream {
    let start = [
        event(
            "message_start",
            "\"message\":{\"id\":\"msg_0123456789abcdef\",\"type\":\"message\",\"role\":\"assistant\",\
             \"model\":\"claude-sonnet-4-5-20250929\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\
             \"usage\":{\"input_tokens\":250,\"output_tokens\":1}}",
        ),
        event("content_block_start", "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}"),
    ];
    let end = [
        event("content_block_stop", "\"index\":0"),
        event(
            "message_delta",
            "\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":200}",
        ),
        event("message_stop", "\"spare\":null"),
    ];
    let event = |number| {
        let text = format!("{}{}", word(number), WORDS.repeat(2));
        let text = format!("{text}\\n{number:06}");
        event(
            "content_block_delta",
            &format!("\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}"),
        )
    };
    Stream { path: "/v1/messages", start: start.concat(), event, end: end.concat() }
}

/// Gemini's `streamGenerateContent`: each event is a whole answer of its own.
pub(crate) fn contents() -> Stream {
    fn chunk(text: &str, more: &str) -> String {
        format!(
            "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":\"{text}\"}}],\"role\":\"model\"}}{more},\
             \"index\":0}}],\"usageMetadata\":{{\"promptTokenCount\":250,\"candidatesTokenCount\":20,\
             \"totalTokenCount\":270,\"promptTokensDetails\":[{{\"modality\":\"TEXT\",\"tokenCount\":250}}]}},\
             \"modelVersion\":\"gemini-2.5-pro\",\"responseId\":\"0123456789abcdef\"}}\n\n"
        )
    }
    Stream {
        path: "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
        start: String::new(),
        event: |number| chunk(word(number), ""),
        end: chunk("", ",\"finishReason\":\"STOP\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_json_of_about_320_bytes() {
        for stream in [responses(9), messages(), contents()] {
            let event = (stream.event)(3);
            assert!((270..370).contains(&event.len()), "{}: {} bytes", stream.path, event.len());
            for text in [&stream.start, &event, &stream.end] {
                for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
                    serde_json::from_str::<serde_json::Value>(data).unwrap();
                }
            }
        }
    }
}
