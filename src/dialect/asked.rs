//! What the head of a request says of the call that it makes.

use std::sync::Arc;

use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;
use perimeter_interceptor::{Operation, RequestHead};

use super::Dialect;

/// A call, as far as the head of its request tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// How its bodies are read.
    pub(crate) dialect: Dialect,
    /// What it asks for.
    pub(crate) operation: Operation,
    /// Whose API it is, as in [`perimeter_interceptor::Call::vendor`].
    pub(crate) vendor: &'static str,
    /// The model, where the path names it.
    pub(crate) model: Option<Arc<str>>,
    /// Whether the answer is to come as a stream, where the path says so.
    pub(crate) streaming: bool,
    /// Whether a request like this has a body.
    pub(crate) has_body: bool,
    /// Whether the answer is content, such as a file's, whatever it looks like.
    pub(crate) downloads: bool,
}

/// Whether a request is a call, by its method and path (without the query).
///
/// Forwarding threads ask for every request: nothing is allocated for it.
pub(crate) fn is_call(method: &Method, path: &str) -> bool {
    Shown::by(method, path).is_some()
}

impl Asked {
    /// The call that a request makes, if it makes one. What a path means shows at its end: what stands before is the
    /// upstream's own.
    pub(crate) fn of(head: &RequestHead) -> Option<Self> {
        let mut asked = Self::by_path(&head.method, head.uri.path())?;
        if asked.dialect == Dialect::OpenAiOther && head.headers.contains_key("anthropic-version") {
            asked.dialect = Dialect::AnthropicOther;
            asked.vendor = "anthropic";
        }
        if asked.dialect == Dialect::OpenAiResponses && asked.operation == Operation::Retrieval {
            asked.streaming = has_field(head.uri.query(), |field| field == "stream=true");
        }
        // Google's API has paths that OpenAI's has, too.
        if asked.dialect == Dialect::OpenAiOther && head.headers.contains_key("x-goog-api-key") {
            asked.dialect = Dialect::GeminiOther;
            asked.vendor = "gemini";
        }
        if asked.vendor == "openai" && is_azure(head.uri.query(), &head.headers) {
            asked.vendor = "azure";
        }
        Some(asked)
    }

    /// A call that is made like this, and says no more of itself.
    pub(super) fn new(method: &Method, dialect: Dialect, operation: Operation) -> Self {
        Shown::new(method, dialect, operation).into()
    }

    fn by_path(method: &Method, path: &str) -> Option<Self> {
        Shown::by(method, path).map(Self::from)
    }
}

/// A call, as far as method and path show it.
struct Shown<'p> {
    dialect: Dialect,
    operation: Operation,
    vendor: &'static str,
    /// As the path writes it.
    model: Option<&'p str>,
    streaming: bool,
    has_body: bool,
    downloads: bool,
}

/// So many segments of a path are looked at, from its end: what stands before is the upstream's own.
const SEGMENTS: usize = 8;

impl<'p> Shown<'p> {
    fn by(method: &Method, path: &'p str) -> Option<Self> {
        // What a browser asks before a call is none, nor is a look at a head.
        if !matches!(*method, Method::GET | Method::POST | Method::PUT | Method::PATCH | Method::DELETE) {
            return None;
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut last = [""; SEGMENTS];
        for (slot, segment) in last.iter_mut().rev().zip(path.rsplit('/')) {
            *slot = segment;
        }
        anthropic(method, path, &last).or_else(|| google(method, &last)).or_else(|| openai(method, &last))
    }

    fn new(method: &Method, dialect: Dialect, operation: Operation) -> Self {
        Self {
            dialect,
            operation,
            vendor: dialect.vendor(),
            model: None,
            streaming: false,
            has_body: *method == Method::POST,
            downloads: false,
        }
    }
}

impl From<Shown<'_>> for Asked {
    fn from(shown: Shown<'_>) -> Self {
        let Shown { dialect, operation, vendor, model, streaming, has_body, downloads } = shown;
        Self { dialect, operation, vendor, model: model.map(decoded), streaming, has_body, downloads }
    }
}

fn openai<'p>(method: &Method, path: &[&'p str]) -> Option<Shown<'p>> {
    use Dialect::{OpenAiChat, OpenAiCompletions, OpenAiOther, OpenAiResponses};
    let posts = *method == Method::POST;
    let (dialect, operation) = match path {
        [.., "chat", "completions"] if posts => (OpenAiChat, Operation::Chat),
        [.., "chat", "completions"] | [.., "chat", "completions", _] => (OpenAiOther, Operation::Retrieval),
        [.., "completions"] if posts => (OpenAiCompletions, Operation::TextCompletion),
        [.., "responses"] if posts => (OpenAiResponses, Operation::Chat),
        [.., "responses", "compact"] if posts => (OpenAiResponses, Operation::Other),
        [.., "responses", "input_tokens"] if posts => (OpenAiOther, Operation::CountTokens),
        [.., "responses", _, "cancel"] if posts => (OpenAiResponses, Operation::Retrieval),
        [.., "responses", _] if !posts => (OpenAiResponses, Operation::Retrieval),
        [.., "responses", _, "input_items"] => (OpenAiOther, Operation::Retrieval),
        [.., "embeddings"] if posts => (OpenAiOther, Operation::Embeddings),
        [.., "moderations"] if posts => (OpenAiOther, Operation::Moderation),
        [.., "images", "generations" | "edits" | "variations"] if posts => (OpenAiOther, Operation::Image),
        [.., "audio", "speech"] if posts => (OpenAiOther, Operation::Speech),
        [.., "audio", "transcriptions" | "translations"] if posts => (OpenAiOther, Operation::Transcription),
        [.., "files" | "uploads"]
        | [.., "files" | "uploads", _]
        | [.., "files", _, "content"]
        | [.., "uploads", _, "parts" | "complete" | "cancel"] => (OpenAiOther, Operation::Files),
        [.., "batches"] | [.., "batches", _] | [.., "batches", _, "cancel"] => {
            (OpenAiOther, Operation::Batches)
        }
        [.., "models"] | [.., "models", _] if !posts => (OpenAiOther, Operation::Models),
        _ => return None,
    };
    let mut shown = Shown::new(method, dialect, operation);
    // To cancel an answer takes no more than its path.
    shown.has_body &= (dialect, operation) != (OpenAiResponses, Operation::Retrieval);
    shown.downloads = matches!(path, [.., "files", _, "content"]);
    if let Some(at) = path.windows(2).position(|pair| pair == ["openai", "deployments"]) {
        shown.vendor = "azure";
        shown.model = path.get(at + 2).copied();
    }
    Some(shown)
}

/// Azure has a key in a header of its own, or the version of the API in the query.
pub(super) fn is_azure(query: Option<&str>, headers: &HeaderMap) -> bool {
    headers.contains_key("api-key") || has_field(query, |field| field.starts_with("api-version="))
}

fn has_field(query: Option<&str>, is_it: impl Fn(&str) -> bool) -> bool {
    query.is_some_and(|query| query.split('&').any(is_it))
}

fn anthropic<'p>(method: &Method, whole: &'p str, path: &[&'p str]) -> Option<Shown<'p>> {
    use Dialect::{AnthropicMessages, AnthropicOther};
    let posts = *method == Method::POST;
    let (dialect, operation) = match path {
        [.., "v1", "messages"] if posts => (AnthropicMessages, Operation::Chat),
        [.., "v1", "messages", "count_tokens"] if posts => (AnthropicOther, Operation::CountTokens),
        [.., "v1", "messages", "batches"]
        | [.., "v1", "messages", "batches", _]
        | [.., "v1", "messages", "batches", _, "cancel" | "results"] => (AnthropicOther, Operation::Batches),
        [.., "model", model, verb @ ("invoke" | "invoke-with-response-stream" | "count-tokens")] if posts => {
            return bedrock(method, model, verb);
        }
        // The slash in an ARN may not be escaped.
        [.., "model", arn, name, verb @ ("invoke" | "invoke-with-response-stream" | "count-tokens")]
            if posts && (arn.starts_with("arn:") || arn.starts_with("arn%3")) =>
        {
            let model = whole.strip_suffix(verb)?.strip_suffix('/')?;
            let begins = model.len().checked_sub(arn.len() + 1 + name.len())?;
            return bedrock(method, model.get(begins..)?, verb);
        }
        [.., "publishers", "anthropic", "models", target] if posts => return vertex(method, target),
        _ => return None,
    };
    let mut shown = Shown::new(method, dialect, operation);
    shown.downloads = matches!(path, [.., "batches", _, "results"]);
    Some(shown)
}

/// Bedrock's `InvokeModel`, where the model is one of Anthropic's: its name says so, or is one that its owner gave.
fn bedrock<'p>(method: &Method, model: &'p str, verb: &str) -> Option<Shown<'p>> {
    let name = percent_decode_str(model).decode_utf8_lossy();
    if !name.contains("anthropic.") && !name.starts_with("arn:") {
        return None;
    }
    let mut shown = match verb {
        "count-tokens" => Shown::new(method, Dialect::AnthropicOther, Operation::CountTokens),
        _ => Shown::new(method, Dialect::AnthropicMessages, Operation::Chat),
    };
    shown.vendor = "bedrock";
    shown.model = Some(model);
    shown.streaming = verb == "invoke-with-response-stream";
    Some(shown)
}

/// Vertex' `rawPredict`.
fn vertex<'p>(method: &Method, target: &'p str) -> Option<Shown<'p>> {
    let (model, verb) = target.rsplit_once(':')?;
    let streaming = match verb {
        "rawPredict" => false,
        "streamRawPredict" => true,
        _ => return None,
    };
    let counts = model == "count-tokens";
    let mut shown = if counts {
        Shown::new(method, Dialect::AnthropicOther, Operation::CountTokens)
    } else {
        Shown::new(method, Dialect::AnthropicMessages, Operation::Chat)
    };
    shown.vendor = "vertex";
    shown.model = (!counts).then_some(model);
    shown.streaming = streaming;
    Some(shown)
}

fn google<'p>(method: &Method, path: &[&'p str]) -> Option<Shown<'p>> {
    use Dialect::{Gemini, GeminiOther};
    let (owner, target) = match path {
        [.., owner @ ("models" | "tunedModels" | "endpoints"), target] => (*owner, *target),
        [.., target] => ("", *target),
        _ => return None,
    };
    let Some((name, verb)) = target.rsplit_once(':') else {
        let lists = *method == Method::GET
            && matches!(path, [.., "v1beta" | "v1alpha", "models"] | [.., "v1beta" | "v1alpha", "models", _]);
        return lists.then(|| Shown::new(method, GeminiOther, Operation::Models));
    };
    let is_code_assist = owner.is_empty() && name == "v1internal";
    if owner.is_empty() && !is_code_assist || *method != Method::POST {
        return None;
    }
    let (dialect, operation) = match verb {
        "generateContent" | "streamGenerateContent" => (Gemini, Operation::Chat),
        "countTokens" => (GeminiOther, Operation::CountTokens),
        "embedContent" | "batchEmbedContents" => (GeminiOther, Operation::Embeddings),
        "batchGenerateContent" => (GeminiOther, Operation::Batches),
        _ if is_code_assist => (GeminiOther, Operation::Other),
        _ => return None,
    };
    let mut shown = Shown::new(method, dialect, operation);
    if path.contains(&"publishers") || owner == "endpoints" {
        shown.vendor = "vertex";
    }
    shown.model = (!is_code_assist).then_some(name);
    shown.streaming = verb == "streamGenerateContent";
    Some(shown)
}

/// A segment of a path, as its writer meant it.
pub(super) fn decoded(segment: &str) -> Arc<str> {
    percent_decode_str(segment).decode_utf8_lossy().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Option<(Dialect, Operation)> {
        Asked::by_path(&Method::POST, path).map(|asked| (asked.dialect, asked.operation))
    }

    fn got(path: &str) -> Option<(Dialect, Operation)> {
        Asked::by_path(&Method::GET, path).map(|asked| (asked.dialect, asked.operation))
    }

    #[test]
    fn a_call_is_known_by_method_and_the_end_of_the_path() {
        let chat = Some((Dialect::OpenAiChat, Operation::Chat));
        assert_eq!(of("/v1/chat/completions"), chat);
        assert_eq!(of("/openai/deployments/x/chat/completions"), chat);
        assert_eq!(of("/chat/completions/"), chat);
        let messages = Some((Dialect::AnthropicMessages, Operation::Chat));
        assert_eq!(of("/v1/messages"), messages);
        assert_eq!(of("/proxied/anthropic/v1/messages"), messages);
        assert_eq!(of("/v1/messages/count_tokens"), Some((Dialect::AnthropicOther, Operation::CountTokens)));
        assert_eq!(of("/v1/messages/batches"), Some((Dialect::AnthropicOther, Operation::Batches)));
        assert_eq!(of("/v1/chat/completions/chatcmpl-1/messages"), None);
        assert_eq!(of("/v1/threads/t/messages"), None);
        assert_eq!(of(""), None);
        assert_eq!(got("/v1/messages"), None);
        assert_eq!(got("/v1/models"), Some((Dialect::OpenAiOther, Operation::Models)));
        assert_eq!(got("/v1beta/models"), Some((Dialect::GeminiOther, Operation::Models)));
        assert_eq!(got("/v1/responses/resp_1"), Some((Dialect::OpenAiResponses, Operation::Retrieval)));
        assert_eq!(of("/v1internal:loadCodeAssist"), Some((Dialect::GeminiOther, Operation::Other)));
    }

    #[test]
    fn a_question_of_a_browser_and_a_look_at_a_head_are_no_calls() {
        for method in [Method::OPTIONS, Method::HEAD, Method::TRACE] {
            for path in ["/v1/chat/completions", "/v1/models", "/v1/files", "/v1/responses/resp_1"] {
                assert_eq!(Asked::by_path(&method, path), None, "{method} {path}");
            }
        }
    }

    #[test]
    fn an_arn_with_a_bare_slash_is_one_model() {
        let path = "/model/arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-a-v1:0/invoke";
        let asked = Asked::by_path(&Method::POST, path).unwrap();
        let model = "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-a-v1:0";
        assert_eq!((asked.dialect, asked.model.as_deref()), (Dialect::AnthropicMessages, Some(model)));
        assert_eq!(of("/model/a/anthropic.claude-a/invoke"), None);
    }

    #[test]
    fn what_bedrock_and_vertex_serve_of_anthropic_is_known() {
        let messages = Some((Dialect::AnthropicMessages, Operation::Chat));
        let counts = Some((Dialect::AnthropicOther, Operation::CountTokens));
        assert_eq!(of("/model/global.anthropic.claude-opus-4-5-20251101-v1:0/invoke"), messages);
        assert_eq!(of("/model/arn%3Aaws%3Abedrock%3Aa%2Fb/invoke-with-response-stream"), messages);
        assert_eq!(of("/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/count-tokens"), counts);
        assert_eq!(of("/model/meta.llama3-70b-instruct-v1:0/invoke"), None);
        assert_eq!(of("/model/anthropic.claude-sonnet-4-5-20250929-v1:0/converse"), None);
        assert_eq!(
            of("/v1/projects/p/locations/l/publishers/anthropic/models/claude-a@1:rawPredict"),
            messages
        );
        assert_eq!(
            of("/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict"),
            counts
        );
        assert_eq!(of("/v1/projects/p/locations/l/publishers/anthropic/models/claude-a@1:predict"), None);
        let batches = Some((Dialect::AnthropicOther, Operation::Batches));
        assert_eq!(got("/v1/messages/batches/msgbatch_1/results"), batches);
        assert_eq!(of("/v1/messages/batches/msgbatch_1/cancel"), batches);
    }

    #[test]
    fn an_answer_of_responses_is_fetched_cancelled_and_deleted_by_its_path_alone() {
        let retrieval = Some((Dialect::OpenAiResponses, Operation::Retrieval));
        assert_eq!(got("/v1/responses/resp_1"), retrieval);
        assert_eq!(of("/v1/responses/resp_1/cancel"), retrieval);
        assert!(!Asked::by_path(&Method::POST, "/v1/responses/resp_1/cancel").unwrap().has_body);
        assert!(Asked::by_path(&Method::POST, "/v1/responses").unwrap().has_body);
        assert_eq!(of("/v1/responses/compact"), Some((Dialect::OpenAiResponses, Operation::Other)));
        assert_eq!(of("/v1/responses/input_tokens"), Some((Dialect::OpenAiOther, Operation::CountTokens)));
        assert_eq!(
            got("/v1/responses/resp_1/input_items"),
            Some((Dialect::OpenAiOther, Operation::Retrieval))
        );
        assert_eq!(got("/v1/responses"), None);
    }

    #[test]
    fn where_several_apis_have_a_path_a_header_shows_whose_it_is() {
        for (header, dialect, vendor) in [
            ("", Dialect::OpenAiOther, "openai"),
            ("anthropic-version: 2023-06-01", Dialect::AnthropicOther, "anthropic"),
            ("x-goog-api-key: k", Dialect::GeminiOther, "gemini"),
            ("api-key: k", Dialect::OpenAiOther, "azure"),
        ] {
            let head = crate::dialect::golden::request_head(&format!("GET /v1/models\n{header}"));
            let asked = Asked::of(&head).unwrap();
            assert_eq!((asked.dialect, asked.vendor), (dialect, vendor), "{header}");
        }
    }

    #[test]
    fn where_the_path_names_the_model_it_is_read_there() {
        let asked = |path| {
            let asked = Asked::by_path(&Method::POST, path).unwrap();
            (asked.vendor, asked.model.unwrap_or_default().to_string(), asked.streaming)
        };
        assert_eq!(
            asked("/v1beta/models/gemini-2.5-pro:streamGenerateContent"),
            ("gemini", "gemini-2.5-pro".to_owned(), true)
        );
        assert_eq!(
            asked("/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/invoke"),
            ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0".to_owned(), false)
        );
        assert_eq!(
            asked(
                "/v1/projects/p/locations/l/publishers/anthropic/models/claude-opus-4@20250514:streamRawPredict"
            ),
            ("vertex", "claude-opus-4@20250514".to_owned(), true)
        );
        assert_eq!(
            asked("/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro:generateContent"),
            ("vertex", "gemini-2.5-pro".to_owned(), false)
        );
        assert_eq!(asked("/openai/deployments/my%20gpt/embeddings"), ("azure", "my gpt".to_owned(), false));
        assert_eq!(asked("/v1internal:streamGenerateContent"), ("gemini", String::new(), true));
    }
}
