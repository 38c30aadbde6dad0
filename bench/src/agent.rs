//! The session of a coding agent: each request brings all that was said before, and what is new.

use std::fmt::Write as _;

use crate::chat::LINES;

/// How many turns it has: a tool that the model asked for, and its answer.
const TURNS: usize = 60;

/// How long the tools' definitions are together, bytes: about as those of coding agents.
const TOOLS: usize = 30 * 1024;

/// What a turn's tool reads: 2 to 20 KiB, the same in each run.
fn read(number: usize) -> String {
    let length = 2048 + number * 7919 % (18 * 1024);
    LINES.repeat(length / LINES.len())
}

fn tools(before: &str, after: &str) -> String {
    let mut tools = String::new();
    for number in 0.. {
        let comma = if number > 0 { "," } else { "" };
        let description = "Reads a part of a file, by its lines, and says where they end.\\n".repeat(6);
        let _ = write!(
            tools,
            "{comma}{{{before}\"name\":\"tool_{number}\",\"description\":\"{description}\",\"{after}\":{{\"type\":\"object\",\
             \"properties\":{{\"path\":{{\"type\":\"string\",\"description\":\"Where it is.\"}},\
             \"lines\":{{\"type\":\"array\",\"items\":{{\"type\":\"integer\"}}}}}},\"required\":[\"path\"]}}"
        );
        tools.push_str(if before.ends_with('{') { "}}" } else { "}" });
        if tools.len() > TOOLS {
            break;
        }
    }
    tools
}

/// By OpenAI's Chat Completions, not streamed; sessions of different numbers say different things. `answer`, written as a
/// string of JSON, is what each request is answered, and the next one brings: whoever tells sessions by what was said
/// would take another answer for another session. The agent reads it for the tools that it is to use.
pub(crate) fn session(session: u64, answer: String) -> impl Iterator<Item = String> {
    let tools = chat_tools();
    let mut said = opening(&format!(" It is number {session}."));
    (0..TURNS).map(move |number| {
        let request = format!("{{\"model\":\"gpt-5\",\"messages\":[{said}],\"tools\":[{tools}]}}");
        let _ = write!(
            said,
            ",{{\"role\":\"assistant\",\"content\":{answer}}},{{\"role\":\"user\",\"content\":\"{read}\"}}",
            read = read(number),
        );
        request
    })
}

fn chat_tools() -> String {
    tools("\"type\":\"function\",\"function\":{", "parameters")
}

fn opening(task: &str) -> String {
    format!(
        "{{\"role\":\"system\",\"content\":\"You are a coding agent. Be brief.\"}},\
         {{\"role\":\"user\",\"content\":\"Mend the test.{task}\"}}"
    )
}

/// By OpenAI's Chat Completions, streamed.
pub(crate) fn chat() -> impl Iterator<Item = String> {
    let tools = chat_tools();
    let mut said = opening("");
    (0..TURNS).map(move |number| {
        let request =
            format!("{{\"model\":\"gpt-5\",\"messages\":[{said}],\"tools\":[{tools}],\"stream\":true}}");
        let id = format!("call_{number}");
        let _ = write!(
            said,
            ",{{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{{\"id\":\"{id}\",\"type\":\"function\",\
             \"function\":{{\"name\":\"tool_0\",\"arguments\":\"{{\\\"path\\\":\\\"src/part_{number}.rs\\\"}}\"}}}}]}},\
             {{\"role\":\"tool\",\"tool_call_id\":\"{id}\",\"content\":\"{read}\"}}",
            read = read(number),
        );
        request
    })
}

/// By Anthropic's Messages: the last two messages of the user are marked to be cached.
pub(crate) fn messages() -> impl Iterator<Item = String> {
    let tools = tools("", "input_schema");
    let mark = ",\"cache_control\":{\"type\":\"ephemeral\"}";
    let mut said: Vec<[String; 2]> = vec![[
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Mend the test.\"".to_owned(),
        "}]}".to_owned(),
    ]];
    (0..TURNS).map(move |number| {
        let marked = said.len().saturating_sub(2);
        let messages: Vec<String> = said
            .iter()
            .enumerate()
            .map(|(at, [message, end])| format!("{message}{}{end}", if at >= marked { mark } else { "" }))
            .collect();
        let request = format!(
            "{{\"model\":\"claude-sonnet-4-5\",\"max_tokens\":32000,\
             \"system\":[{{\"type\":\"text\",\"text\":\"You are a coding agent. Be brief.\"{mark}}}],\
             \"messages\":[{}],\"tools\":[{tools}],\"stream\":true}}",
            messages.join(",")
        );
        said.push([
            format!(
                "{{\"role\":\"assistant\",\"content\":[{{\"type\":\"tool_use\",\"id\":\"toolu_{number}\",\"name\":\"tool_0\",\
                 \"input\":{{\"path\":\"src/part_{number}.rs\"}}}}]}},\
                 {{\"role\":\"user\",\"content\":[{{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_{number}\",\"content\":\"{}\"",
                read(number)
            ),
            "}]}".to_owned(),
        ]);
        request
    })
}

/// By OpenAI's Responses, without `previous_response_id`, as Codex asks.
pub(crate) fn responses() -> impl Iterator<Item = String> {
    let tools = tools("\"type\":\"function\",", "parameters");
    let mut said = "{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"Mend the test.\"}]}"
        .to_owned();
    (0..TURNS).map(move |number| {
        let request = format!(
            "{{\"model\":\"gpt-5\",\"instructions\":\"You are a coding agent. Be brief.\",\"input\":[{said}],\
             \"tools\":[{tools}],\"store\":false,\"stream\":true}}"
        );
        let _ = write!(
            said,
            ",{{\"type\":\"function_call\",\"call_id\":\"call_{number}\",\"name\":\"tool_0\",\
             \"arguments\":\"{{\\\"path\\\":\\\"src/part_{number}.rs\\\"}}\"}},\
             {{\"type\":\"function_call_output\",\"call_id\":\"call_{number}\",\"output\":\"{read}\"}}",
            read = read(number),
        );
        request
    })
}

/// By Gemini's `streamGenerateContent`.
pub(crate) fn contents() -> impl Iterator<Item = String> {
    let tools = tools("", "parameters");
    let mut said = "{\"role\":\"user\",\"parts\":[{\"text\":\"Mend the test.\"}]}".to_owned();
    (0..TURNS).map(move |number| {
        let request = format!(
            "{{\"contents\":[{said}],\"systemInstruction\":{{\"parts\":[{{\"text\":\"You are a coding agent. Be brief.\"}}]}},\
             \"tools\":[{{\"functionDeclarations\":[{tools}]}}]}}"
        );
        let _ = write!(
            said,
            ",{{\"role\":\"model\",\"parts\":[{{\"functionCall\":{{\"name\":\"tool_0\",\"args\":{{\"path\":\"src/part_{number}.rs\"}}}}}}]}},\
             {{\"role\":\"user\",\"parts\":[{{\"functionResponse\":{{\"name\":\"tool_0\",\"response\":{{\"output\":\"{read}\"}}}}}}]}}",
            read = read(number),
        );
        request
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn each_request_brings_all_that_was_said_before() {
        for (requests, list, first) in [
            (chat().collect::<Vec<_>>(), "messages", 2),
            (session(7, "\"Said.\"".to_owned()).collect(), "messages", 2),
            (messages().collect(), "messages", 1),
            (responses().collect(), "input", 1),
            (contents().collect(), "contents", 1),
        ] {
            assert_eq!(requests.len(), TURNS);
            for (number, request) in requests.iter().enumerate() {
                let request: Value = serde_json::from_str(request).unwrap();
                assert!(request["tools"].to_string().len() > 20 * 1024);
                assert_eq!(request[list].as_array().unwrap().len(), first + 2 * number);
            }
            let length: usize = requests.last().map_or(0, String::len);
            assert!((400..900).contains(&(length / 1024)), "{length}");
        }
    }
}
