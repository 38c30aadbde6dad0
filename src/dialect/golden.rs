//! Every case of `tests/fixtures/{dialect}/{case}`: a request, a response, and what they mean in `notices.snap`.
//! `UPDATE_SNAPSHOTS=1` writes `notices.snap` anew, to be read before it is kept.
//!
//! | file | what |
//! |---|---|
//! | `request.json`, `request.body` | the body of the request; none where there is no such file |
//! | `head` | the request's method, target and headers, where they are not the usual of the dialect |
//! | `response.json`, `.sse`, `.frames`, `.body` | the body of the response; its ending is its content type |
//! | `type` | the content type of the response, where its ending does not say it |
//! | `status` | the status of the response, where it is not 200 |
//! | `aborted` | there where the response broke off |

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use http::Request;
use http::header::CONTENT_TYPE;
use perimeter_interceptor::{
    ApiFailure, CallId, Completion, LlmEvent, Media, Operation, Part, RequestHead, Said, ToolUse, Turn, Usage,
};

use super::{Asked, Dialect, Form, Prompt};

/// Each dialect, and the target of a usual request.
pub(crate) const DIALECTS: [(Dialect, &str); 8] = [
    (Dialect::OpenAiChat, "/v1/chat/completions"),
    (Dialect::OpenAiResponses, "/v1/responses"),
    (Dialect::OpenAiCompletions, "/v1/completions"),
    (Dialect::OpenAiOther, "/v1/embeddings"),
    (Dialect::AnthropicMessages, "/v1/messages"),
    (Dialect::AnthropicOther, "/v1/messages/count_tokens"),
    (Dialect::Gemini, "/v1beta/models/gemini-2.5-pro:generateContent"),
    (Dialect::GeminiOther, "/v1beta/models/gemini-2.5-pro:countTokens"),
];

pub(super) struct Case {
    pub(super) dir: PathBuf,
    pub(super) asked: Asked,
    content_type: Option<Vec<u8>>,
    pub(super) request: Vec<u8>,
    pub(super) response: Vec<u8>,
    pub(super) form: Form,
    pub(super) status: u16,
    aborted: bool,
}

impl Case {
    fn read(dialect: Dialect, target: &str, dir: PathBuf) -> Self {
        let file = |name: &str| fs::read(dir.join(name)).ok();
        let text = |name: &str| fs::read_to_string(dir.join(name)).ok();
        let head = request_head(&text("head").unwrap_or_else(|| format!("POST {target}")));
        let asked = Asked::of(&head).unwrap_or_else(|| panic!("no call: {}", dir.display()));
        assert_eq!(asked.dialect, dialect, "{}", dir.display());
        let content_type = head.headers.get(CONTENT_TYPE).map(|value| value.as_bytes().to_vec());
        let request = file("request.json").or_else(|| file("request.body")).unwrap_or_default();
        let endings = [
            ("json", "application/json"),
            ("sse", "text/event-stream"),
            ("frames", "application/vnd.amazon.eventstream"),
            ("body", "application/octet-stream"),
        ];
        let (response, usual) = endings
            .iter()
            .find_map(|(ending, usual)| Some((file(&format!("response.{ending}"))?, *usual)))
            .unwrap_or_else(|| panic!("no response: {}", dir.display()));
        let said = text("type").unwrap_or_else(|| usual.to_owned());
        let form = Form::of(Some(said.trim().as_bytes()));
        let status = text("status").map_or(200, |text| text.trim().parse().unwrap());
        let aborted = dir.join("aborted").exists();
        Self { dir, asked, content_type, request, response, form, status, aborted }
    }

    /// What it means, where the response comes in these pieces.
    fn notices<'a>(&self, form: Form, chunks: impl Iterator<Item = &'a [u8]>) -> String {
        let call = CallId(7);
        let mut out = String::new();
        let asked = &self.asked;
        let prompt = asked.read_request(call, self.content_type.as_deref(), &self.request, true);
        show_prompt(&mut out, asked, &prompt);
        writeln!(out, "response {}", self.status).unwrap();
        let mut reader = asked.reader(call, self.status, form, 1 << 20);
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

/// A method and a target, then headers.
pub(crate) fn request_head(text: &str) -> RequestHead {
    let mut lines = text.lines();
    let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(target);
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap();
        request = request.header(name, value.trim());
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    RequestHead::new(parts.method, parts.uri, parts.version, parts.headers)
}

pub(super) fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut cases = Vec::new();
    for (dialect, target) in DIALECTS {
        let Ok(entries) = fs::read_dir(root.join(dialect.name())) else { continue };
        for entry in entries {
            cases.push(Case::read(dialect, target, entry.unwrap().path()));
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

/// Amazon's frames are not to be told by their first bytes.
fn unknown(form: Form) -> Form {
    if form == Form::Frames { form } else { Form::Unknown }
}

#[test]
fn every_case_means_the_same_however_it_is_cut() {
    let cases = cases();
    assert!(cases.len() >= 120, "{} cases", cases.len());
    for case in cases {
        let whole = case.notices(case.form, [&*case.response].into_iter());
        let snapshot = case.dir.join("notices.snap");
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            fs::write(&snapshot, &whole).unwrap();
        }
        let expected = fs::read_to_string(&snapshot).unwrap_or_default();
        assert_eq!(whole, expected, "{}", case.dir.display());
        let bytewise = case.notices(case.form, case.response.chunks(1));
        assert_eq!(bytewise, expected, "byte by byte: {}", case.dir.display());
        let sniffed = case.notices(unknown(case.form), case.response.chunks(7));
        assert_eq!(sniffed, expected, "without a content type: {}", case.dir.display());
        for seed in 0..8 {
            let cut = case.notices(case.form, cut(&case.response, seed).into_iter());
            assert_eq!(cut, expected, "cut at random, seed {seed}: {}", case.dir.display());
        }
    }
}

/// A stream that breaks off after any byte is no completion, until its terminal mark is there; and what was told by
/// then begins like what is told of all of it.
#[test]
fn a_stream_that_breaks_off_is_never_a_completion() {
    let is_stream = |case: &Case| case.asked.streaming || matches!(case.form, Form::Events | Form::Frames);
    for case in cases().into_iter().filter(is_stream) {
        let events = |length: usize, whole: bool| {
            let mut events = Vec::new();
            let mut reader = case.asked.reader(CallId(0), case.status, case.form, 1 << 20);
            reader.read(&case.response[..length], &mut |event| events.push(event));
            let before_end = events.len();
            reader.finish(whole, &mut |event| events.push(event));
            (events, before_end)
        };
        // Each is read anew: of a long one, every line end and a share of all else is tried.
        let stride = case.response.len().div_ceil(250).max(1);
        let is_tried = |length: &usize| {
            length.is_multiple_of(stride)
                || length.checked_sub(1).is_some_and(|at| case.response[at] == b'\n')
        };
        for length in (0..case.response.len()).filter(is_tried) {
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

fn show_prompt(out: &mut String, asked: &Asked, prompt: &Prompt) {
    let model = prompt.model.as_deref().unwrap_or("-");
    out.push_str("request");
    if asked.vendor != asked.dialect.vendor() {
        write!(out, " vendor={}", asked.vendor).unwrap();
    }
    if !matches!(asked.operation, Operation::Chat) {
        write!(out, " operation={}", asked.operation.as_str()).unwrap();
    }
    write!(out, " model={model}").unwrap();
    out.push_str(if prompt.streaming { " streaming" } else { "" });
    if let Some(id) = &prompt.previous {
        write!(out, " previous={id}").unwrap();
    }
    if let Some(id) = &prompt.conversation {
        write!(out, " conversation={id}").unwrap();
    }
    out.push_str(if prompt.partial { " partial\n" } else { "\n" });
    let names = &prompt.names;
    for (what, name) in [("session", &names.session), ("user", &names.user), ("cache key", &names.cache_key)]
    {
        if let Some(name) = name {
            writeln!(out, "  {what} {name}").unwrap();
        }
    }
    for tool in &prompt.tools {
        writeln!(out, "  tool {} {:?}", tool.name, tool.description.as_deref().unwrap_or_default()).unwrap();
    }
    for Turn { role, parts, .. } in &prompt.turns {
        writeln!(out, "  {}: {}", role.as_str(), show_parts(parts)).unwrap();
    }
}

pub(crate) fn show(out: &mut String, event: &LlmEvent, response: &[u8]) {
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
    if let Some(tier) = &completion.tier {
        writeln!(out, "  tier {tier}").unwrap();
    }
    if let Some(region) = &completion.region {
        writeln!(out, "  region {region}").unwrap();
    }
    if let Some(usage) = completion.usage {
        show_usage(out, &usage);
    }
    show_body(out, &completion.body, response);
}

fn show_usage(out: &mut String, usage: &Usage) {
    write!(out, "  usage input={} output={}", usage.input, usage.output).unwrap();
    let parts = [
        ("cache_read", usage.cache_read),
        ("cache_write", usage.cache_write),
        ("cache_write_1h", usage.cache_write_1h),
        ("audio_input", usage.audio_input),
        ("audio_cache_read", usage.audio_cache_read),
        ("image_input", usage.image_input),
        ("reasoning", usage.reasoning),
        ("audio_output", usage.audio_output),
        ("image_output", usage.image_output),
        ("searches", usage.searches),
    ];
    for (name, count) in parts {
        if let Some(count) = count {
            write!(out, " {name}={count}").unwrap();
        }
    }
    if let Some(charged) = usage.charged {
        write!(out, " charged={charged}").unwrap();
    }
    out.push('\n');
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

pub(crate) fn show_parts(parts: &[Part]) -> String {
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
        Part::Media(Media { kind, media_type, name, size, .. }) => {
            let name = name.as_deref().map(|name| format!(" {name:?}")).unwrap_or_default();
            format!("{kind}{name} {} of {size} bytes", media_type.as_deref().unwrap_or("-"))
        }
        Part::Other(kind) => format!("other {kind}"),
        other => panic!("{other:?}"),
    }
}

fn show_tool(tool: &ToolUse) -> String {
    let hosted = if tool.hosted { "hosted " } else { "" };
    format!("{hosted}{} {}({})", tool.id.as_deref().unwrap_or("-"), tool.name, tool.input)
}
