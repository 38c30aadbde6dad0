//! Every case of `tests/fixtures/{dialect}/{case}`: `request.json`, `response.json` or `response.sse`, and what they
//! mean in `notices.snap`. A file `status` holds the response's status where it is not 200; where there is a file
//! `aborted`, the response broke off. `UPDATE_SNAPSHOTS=1` writes `notices.snap` anew, to be read before it is kept.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use perimeter_interceptor::{ApiFailure, CallId, Completion, LlmEvent, Media, Part, Said, ToolUse, Turn};

use super::{Dialect, Prompt, Streaming};

const DIALECTS: [Dialect; 2] = [Dialect::OpenAiChat, Dialect::AnthropicMessages];

struct Case {
    dir: PathBuf,
    dialect: Dialect,
    request: Vec<u8>,
    response: Vec<u8>,
    streaming: Streaming,
    status: u16,
    aborted: bool,
}

impl Case {
    fn read(dialect: Dialect, dir: PathBuf) -> Self {
        let file = |name: &str| fs::read(dir.join(name));
        let request = file("request.json").unwrap();
        let (response, streaming) = match file("response.sse") {
            Ok(stream) => (stream, Streaming::Yes),
            Err(_) => (file("response.json").unwrap(), Streaming::No),
        };
        let status = fs::read_to_string(dir.join("status")).map_or(200, |text| text.trim().parse().unwrap());
        let aborted = dir.join("aborted").exists();
        Self { dir, dialect, request, response, streaming, status, aborted }
    }

    /// What it means, where the response comes in these pieces.
    fn notices<'a>(&self, streaming: Streaming, chunks: impl Iterator<Item = &'a [u8]>) -> String {
        let call = CallId(7);
        let mut out = String::new();
        show_prompt(&mut out, &self.dialect.read_request(call, &self.request, true));
        writeln!(out, "response {}", self.status).unwrap();
        let mut reader = self.dialect.reader(call, self.status, streaming, 1 << 20);
        let mut tell = |event: LlmEvent| {
            assert_eq!(event.call(), call);
            show(&mut out, &event, &self.response);
        };
        for chunk in chunks {
            reader.read(chunk, &mut tell);
        }
        reader.finish(!self.aborted, &mut tell);
        out
    }
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut cases = Vec::new();
    for dialect in DIALECTS {
        for entry in fs::read_dir(root.join(dialect.name())).unwrap() {
            cases.push(Case::read(dialect, entry.unwrap().path()));
        }
    }
    cases
}

/// Cuts `bytes` at random, the same way every time.
fn cut(bytes: &[u8], mut seed: u64) -> Vec<&[u8]> {
    let mut rest = bytes;
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let (chunk, behind) = rest.split_at(rest.len().min((seed >> 33) as usize % 40));
        chunks.push(chunk);
        rest = behind;
    }
    chunks
}

#[test]
fn every_case_means_the_same_however_it_is_cut() {
    let cases = cases();
    assert!(cases.len() >= 40, "{} cases", cases.len());
    for case in cases {
        let whole = case.notices(case.streaming, [&*case.response].into_iter());
        let snapshot = case.dir.join("notices.snap");
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            fs::write(&snapshot, &whole).unwrap();
        }
        let expected = fs::read_to_string(&snapshot).unwrap_or_default();
        assert_eq!(whole, expected, "{}", case.dir.display());
        let bytewise = case.notices(case.streaming, case.response.chunks(1));
        assert_eq!(bytewise, expected, "byte by byte: {}", case.dir.display());
        let sniffed = case.notices(Streaming::Unknown, case.response.chunks(7));
        assert_eq!(sniffed, expected, "without a content type: {}", case.dir.display());
        for seed in 0..8 {
            let cut = case.notices(case.streaming, cut(&case.response, seed).into_iter());
            assert_eq!(cut, expected, "cut at random, seed {seed}: {}", case.dir.display());
        }
    }
}

/// A stream that breaks off after any byte is no completion, until its terminal mark is there; and what was told by
/// then begins like what is told of all of it.
#[test]
fn a_stream_that_breaks_off_is_never_a_completion() {
    for case in cases().into_iter().filter(|case| case.streaming == Streaming::Yes) {
        let events = |length: usize, whole: bool| {
            let mut events = Vec::new();
            let mut reader = case.dialect.reader(CallId(0), case.status, case.streaming, 1 << 20);
            reader.read(&case.response[..length], &mut |event| events.push(event));
            let before_end = events.len();
            reader.finish(whole, &mut |event| events.push(event));
            (events, before_end)
        };
        for length in 0..case.response.len() {
            let (told, before_end) = events(length, false);
            let completed =
                told.iter().skip(before_end).any(|event| matches!(event, LlmEvent::Completion(_)));
            assert!(!completed, "{length} bytes of {}", case.dir.display());
            let ends = told.iter().filter(|event| {
                matches!(event, LlmEvent::Completion(_) | LlmEvent::Cut(_) | LlmEvent::Failure(_))
            });
            let ends: Vec<_> = ends.collect();
            assert!(
                matches!(&*ends, [_] | [LlmEvent::Cut(_), LlmEvent::Failure(_)]),
                "{length} bytes of {}: {ends:?}",
                case.dir.display()
            );
        }
    }
}

fn show_prompt(out: &mut String, prompt: &Prompt) {
    let model = prompt.model.as_deref().unwrap_or("-");
    write!(out, "request model={model}").unwrap();
    out.push_str(if prompt.streaming { " streaming" } else { "" });
    out.push_str(if prompt.partial { " partial\n" } else { "\n" });
    for tool in &prompt.tools {
        writeln!(out, "  tool {} {:?}", tool.name, tool.description.as_deref().unwrap_or_default()).unwrap();
    }
    for Turn { role, parts, .. } in &prompt.turns {
        writeln!(out, "  {}: {}", role.as_str(), show_parts(parts)).unwrap();
    }
}

fn show(out: &mut String, event: &LlmEvent, response: &[u8]) {
    match event {
        LlmEvent::Delta(delta) => {
            let (what, text) = match &delta.said {
                Said::Text(text) => ("text", text),
                Said::Thinking(text) => ("thinking", text),
                Said::Refusal(text) => ("refusal", text),
                Said::ToolInput(text) => ("tool input", text),
                other => panic!("{other:?}"),
            };
            writeln!(out, "delta {} {what} {text:?}", delta.choice).unwrap();
        }
        LlmEvent::ToolUse(tool) => writeln!(out, "tool use {} {}", tool.choice, show_tool(tool)).unwrap(),
        LlmEvent::Completion(completion) => show_completion(out, "completion", completion, response),
        LlmEvent::Cut(completion) => show_completion(out, "cut", completion, response),
        LlmEvent::Failure(failure) => show_failure(out, failure, response),
        other => panic!("{other:?}"),
    }
}

fn show_completion(out: &mut String, what: &str, completion: &Completion, response: &[u8]) {
    let id = completion.id.as_deref().unwrap_or("-");
    let model = completion.model.as_deref().unwrap_or("-");
    writeln!(out, "{what} id={id} model={model}").unwrap();
    for answer in &completion.answers {
        let stop = answer.stop.as_deref().unwrap_or("-");
        writeln!(out, "  answer {} stop={stop}: {}", answer.choice, show_parts(&answer.parts)).unwrap();
    }
    if let Some(usage) = completion.usage {
        write!(out, "  usage input={} output={}", usage.input, usage.output).unwrap();
        let parts = [
            ("cache_read", usage.cache_read),
            ("cache_write", usage.cache_write),
            ("reasoning", usage.reasoning),
        ];
        for (name, tokens) in parts {
            if let Some(tokens) = tokens {
                write!(out, " {name}={tokens}").unwrap();
            }
        }
        out.push('\n');
    }
    show_body(out, &completion.body, response);
}

fn show_failure(out: &mut String, failure: &ApiFailure, response: &[u8]) {
    let kind = failure.kind.as_deref().unwrap_or("-");
    writeln!(out, "failure {} kind={kind} {:?}", failure.status, failure.message).unwrap();
    show_body(out, &failure.body, response);
}

fn show_body(out: &mut String, body: &[u8], response: &[u8]) {
    if body == response {
        out.push_str("  | as it came\n");
    } else {
        writeln!(out, "  | {}", String::from_utf8_lossy(body)).unwrap();
    }
}

fn show_parts(parts: &[Part]) -> String {
    let parts: Vec<_> = parts.iter().map(show_part).collect();
    parts.join(", ")
}

fn show_part(part: &Part) -> String {
    match part {
        Part::Text(text) => format!("text {text:?}"),
        Part::Thinking(text) => format!("thinking {text:?}"),
        Part::Refusal(text) => format!("refusal {text:?}"),
        Part::ToolUse(tool) => format!("tool use {}", show_tool(tool)),
        Part::ToolResult(result) => {
            let error = if result.is_error { " failed" } else { "" };
            format!("tool result {}{error} {:?}", result.id.as_deref().unwrap_or("-"), result.text)
        }
        Part::Media(Media { kind, media_type, size, .. }) => {
            format!("{kind} {} of {size} bytes", media_type.as_deref().unwrap_or("-"))
        }
        Part::Other(kind) => format!("other {kind}"),
        other => panic!("{other:?}"),
    }
}

fn show_tool(tool: &ToolUse) -> String {
    format!("{} {}({})", tool.id.as_deref().unwrap_or("-"), tool.name, tool.input)
}
