//! Which program makes a call, as its headers say.

use http::HeaderMap;
use http::header::USER_AGENT;
use perimeter_interceptor::Client;

/// A name or a version is no longer than this, bytes.
const NAME: usize = 64;
/// So much of a header is looked at, bytes.
const MOST: usize = 512;

/// What a program is. Where a header names several, the first of these tells most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// An agent, or an app that people talk to: its name is that of whoever makes the call.
    Agent,
    /// A library or a framework that apps are made with.
    Library,
    /// What sends requests for anybody.
    Http,
    /// What that runs in.
    Runtime,
}

use Kind::{Agent, Http, Library, Runtime};

/// Programs by the beginning of a product in their `User-Agent`, in small letters. Behind it stands a `/`, `-`, `_`,
/// blank or the end, unless it ends in `/` itself. The more special comes first.
#[rustfmt::skip]
const PRODUCTS: &[(&str, &str, Kind)] = &[
    // claude-cli/2.1.329 (external, cli), captured. See `is_agent_sdk` for the SDK, which says the same.
    ("claude-cli", "Claude Code", Agent),
    ("claude-code", "Claude Code", Agent),
    // codex_cli_rs/0.46.0 (Ubuntu 22.4.0; x86_64) xterm-256color; codex_exec/, codex_vscode/, codex-tui/, codex_app/.
    ("codex", "Codex", Agent),
    // opencode/1.18.31 ai-sdk/provider-utils/4.0.40 runtime/bun/1.3.14; opencode/latest/1.3.15/cli.
    ("opencode", "OpenCode", Agent),
    ("opencode2", "OpenCode", Agent),
    // GeminiCLI/0.34.0/gemini-2.5-pro (darwin; arm64; terminal); GeminiCLI-a2a-server/, GeminiCLI-tui/.
    ("geminicli", "Gemini CLI", Agent),
    // QwenCode/0.24.7 (darwin; arm64), from its providers' default headers.
    ("qwencode", "Qwen Code", Agent),
    // Cline/3.0.47, beside X-Title: Cline.
    ("cline", "Cline", Agent),
    // RooCode/3.54.0, beside X-Title: Roo Code; roo-code/3.54.0 (…) on the Responses API.
    ("roocode", "Roo Code", Agent),
    ("roo-code", "Roo Code", Agent),
    // Kilo-Code/7.8.3 ai-sdk/…, from its default headers; kilo/latest/7.8.3/cli.
    ("kilo-code", "Kilo Code", Agent),
    ("kilo/", "Kilo Code", Agent),
    // Charm-Crush/v0.97.1 (https://charm.land/crush), from its agent.
    ("charm-crush", "Crush", Agent),
    // goose/1.45.0.
    ("goose/", "Goose", Agent),
    // aider/0.86.0, which it also says as Editor-Version.
    ("aider", "Aider", Agent),
    // Zed/0.210.0 (macos; aarch64).
    ("zed/", "Zed", Agent),
    // GitHubCopilotChat/0.35.0, GithubCopilot/1.155.0, copilot-cli/1.0.0.
    ("githubcopilotchat", "GitHub Copilot", Agent),
    ("githubcopilotcli", "GitHub Copilot", Agent),
    ("githubcopilot", "GitHub Copilot", Agent),
    ("copilot-cli", "GitHub Copilot", Agent),
    // Cursor/1.0.0, also behind Mozilla/5.0.
    ("cursor/", "Cursor", Agent),
    // factory-cli/0.232.0.
    ("factory-cli", "Droid", Agent),
    // kimi-code-cli/2.1.1, kimi-code-vscode/; KimiCLI/1.52.0 before.
    ("kimi-code", "Kimi Code", Agent),
    ("kimicli", "Kimi Code", Agent),
    // Mistral-Vibe/2.25.8, and behind the name of Mistral's SDK.
    ("mistral-client-python/mistral-vibe", "Mistral Vibe", Agent),
    ("mistral-vibe", "Mistral Vibe", Agent),
    // pi/0.74.0 (linux; x64), pi-coding-agent.
    ("pi-coding-agent", "Pi", Agent),
    ("pi/", "Pi", Agent),
    ("openclaw", "OpenClaw", Agent),
    ("continue/", "Continue", Agent),
    ("amp/", "Amp", Agent),
    ("cherry studio", "Cherry Studio", Agent),
    ("cherrystudio", "Cherry Studio", Agent),
    // Mozilla/5.0 (compatible; n8n/1.123.0; +https://n8n.io/), n8n.
    ("n8n", "n8n", Agent),
    ("dify", "Dify", Agent),
    ("flowise", "Flowise", Agent),
    ("librechat", "LibreChat", Agent),

    // Agents/Python 0.2.0: the OpenAI Agents SDK.
    ("agents/python", "OpenAI Agents SDK", Library),
    // pydantic-ai/2.40.0, from its models' get_user_agent.
    ("pydantic-ai", "Pydantic AI", Library),
    // langchainjs-openai/1.0.0 ((node/v24.16.0; linux; x64)), langchain-js/. LangChain for Python says what the SDK says.
    ("langchainjs", "LangChain", Library),
    ("langchain", "LangChain", Library),
    ("langgraph", "LangGraph", Library),
    ("llama_index", "LlamaIndex", Library),
    ("llama-index", "LlamaIndex", Library),
    ("llamaindex", "LlamaIndex", Library),
    ("semantic-kernel", "Semantic Kernel", Library),
    ("spring-ai", "Spring AI", Library),
    // ai/7.0.93 ai-sdk/provider-utils/5.0.36 runtime/node.js/v22; ai-sdk/openai-compatible/2.0.47 ….
    ("ai/", "Vercel AI SDK", Library),
    ("ai-sdk", "Vercel AI SDK", Library),
    // litellm/1.83.9.
    ("litellm", "LiteLLM", Library),
    // OpenAI/Python 2.20.0, AsyncOpenAI/Python …, AzureOpenAI/Python …, OpenAI/JS 6.26.0, OpenAI/Go 3.15.0,
    // OpenAIClientImpl/Java …, OpenAI::Client/Ruby …, OpenAI/2.1.0 (.NET 8.0.0; …); `Async` is taken off before.
    ("openai/python", "OpenAI Python", Library),
    ("azureopenai/python", "OpenAI Python", Library),
    ("openai/js", "OpenAI JS", Library),
    ("azureopenai/js", "OpenAI JS", Library),
    ("openai/go", "OpenAI Go", Library),
    ("openaiclientimpl/java", "OpenAI Java", Library),
    ("openaiclientasyncimpl/java", "OpenAI Java", Library),
    ("openai::client/ruby", "OpenAI Ruby", Library),
    ("openai-python", "OpenAI Python", Library),
    ("openai/", "OpenAI .NET", Library),
    ("azsdk-net-ai.openai", "OpenAI .NET", Library),
    ("openai-php", "OpenAI PHP", Library),
    // Anthropic/Python 0.75.0, AnthropicBedrock/Python …, AnthropicVertex/Python …, Anthropic/JS …, and so on.
    ("anthropic/python", "Anthropic Python", Library),
    ("anthropicbedrock/python", "Anthropic Python", Library),
    ("anthropicvertex/python", "Anthropic Python", Library),
    ("anthropicfoundry/python", "Anthropic Python", Library),
    ("anthropic/js", "Anthropic JS", Library),
    ("anthropicbedrock/js", "Anthropic JS", Library),
    ("anthropicvertex/js", "Anthropic JS", Library),
    ("anthropic/go", "Anthropic Go", Library),
    ("anthropicclientimpl/java", "Anthropic Java", Library),
    ("anthropicclientasyncimpl/java", "Anthropic Java", Library),
    ("anthropic::client/ruby", "Anthropic Ruby", Library),
    ("anthropic/php", "Anthropic PHP", Library),
    ("anthropicclient/c#", "Anthropic .NET", Library),
    // google-genai-sdk/1.41.0 gl-node/v22.19.0, from its _append_library_version_headers.
    ("google-genai-sdk", "Google Gen AI", Library),
    ("genai-py", "Google Generative AI", Library),
    // mistral-client-python/1.9.0, from its CustomUserAgentHook.
    ("mistral-client-python", "Mistral Python", Library),
    ("mistral-client-typescript", "Mistral JS", Library),
    ("ollama-python", "Ollama Python", Library),
    ("ollama-js", "Ollama JS", Library),
    ("ollama", "Ollama", Library),
    // Boto3/1.40.0 md/Botocore#…, aws-sdk-js/3.…: for Bedrock.
    ("boto3", "AWS SDK Python", Library),
    ("botocore", "AWS SDK Python", Library),
    ("aws-sdk-js", "AWS SDK JS", Library),
    ("aws-sdk-go", "AWS SDK Go", Library),
    ("aws-sdk-java", "AWS SDK Java", Library),
    ("aws-sdk-rust", "AWS SDK Rust", Library),

    ("curl", "curl", Http),
    ("wget", "Wget", Http),
    ("httpie", "HTTPie", Http),
    ("postmanruntime", "Postman", Http),
    ("insomnia", "Insomnia", Http),
    ("python-requests", "Python requests", Http),
    ("python-httpx", "httpx", Http),
    ("python-urllib", "Python urllib", Http),
    // Python/3.13 aiohttp/3.12.0.
    ("aiohttp", "aiohttp", Http),
    ("axios", "axios", Http),
    ("node-fetch", "node-fetch", Http),
    ("undici", "undici", Http),
    // Node's own fetch says `node` and no more.
    ("node", "Node.js", Runtime),
    ("bun", "Bun", Runtime),
    ("deno", "Deno", Runtime),
    ("got", "got", Http),
    ("go-http-client", "Go net/http", Http),
    ("java-http-client", "Java HttpClient", Http),
    ("apache-httpclient", "Apache HttpClient", Http),
    ("okhttp", "OkHttp", Http),
    ("reqwest", "reqwest", Http),
    ("guzzlehttp", "Guzzle", Http),
    ("faraday", "Faraday", Http),
    ("ruby", "Ruby", Runtime),
    ("dart", "Dart", Runtime),
    ("windowspowershell", "PowerShell", Http),
    ("powershell", "PowerShell", Http),
    ("python", "Python", Runtime),
    ("mozilla", "Browser", Runtime),
];

/// Apps by what they call themselves in `X-Title` (OpenRouter's way, which many servers know), in small letters. It is
/// theirs where the `User-Agent` is that of what they are made with or, as Kilo Code does, descend from.
const TITLES: &[(&str, &str)] = &[
    ("aider", "Aider"),
    ("cherry studio", "Cherry Studio"),
    ("cline", "Cline"),
    ("continue", "Continue"),
    ("dify", "Dify"),
    ("goose", "Goose"),
    ("kilo code", "Kilo Code"),
    ("librechat", "LibreChat"),
    ("n8n", "n8n"),
    ("open webui", "Open WebUI"),
    ("openclaw", "OpenClaw"),
    ("opencode", "OpenCode"),
    ("pi", "Pi"),
    ("qwen code", "Qwen Code"),
    ("roo code", "Roo Code"),
    ("zed editor", "Zed"),
];

/// The program that these headers of a request tell of.
///
/// In this order: an app's title that is known; an agent in `User-Agent` or, as Codex and Aider say it too, in
/// `originator` or `editor-version`; any other title, as it is; a library; a program that is not known, by the first
/// product of its `User-Agent`; a library by its own headers; what sends requests for anybody.
pub(super) fn client_of(headers: &HeaderMap) -> Option<Client> {
    let agent = text(headers, USER_AGENT.as_str());
    let title = ["x-title", "x-openrouter-title"].into_iter().find_map(|name| text(headers, name));
    let by_agent = agent.as_deref().and_then(best);
    if let Some(title) = &title
        && let Some((_, name)) = TITLES.iter().find(|(known, _)| known.eq_ignore_ascii_case(title))
    {
        // What it is made with has another version.
        let version = by_agent.filter(|found| found.name == *name).and_then(|found| found.version);
        return Some(client(name, version));
    }
    let known = |found: Option<Found<'_>>, kind| found.filter(|found| found.kind == kind).map(Found::client);
    if let Some(client) = known(by_agent, Agent) {
        return Some(client);
    }
    for name in ["originator", "editor-version"] {
        let said = text(headers, name);
        if let Some(client) = known(said.as_deref().and_then(best), Agent) {
            return Some(client);
        }
    }
    if let Some(title) = title {
        return Some(client(&title, None));
    }
    known(by_agent, Library)
        .or_else(|| agent.as_deref().filter(|_| by_agent.is_none()).and_then(unknown))
        .or_else(|| {
            let google = text(headers, "x-goog-api-client");
            known(google.as_deref().and_then(best), Library)
        })
        .or_else(|| stainless(headers))
        .or_else(|| by_agent.map(Found::client))
}

/// Whether the program's name is also that of the agent: an SDK or an HTTP client tells nothing of who uses it.
pub(super) fn names_agent(client: &Client) -> bool {
    let named = |name: &str| *client.name == *name;
    PRODUCTS.iter().any(|(_, name, kind)| *kind == Agent && named(name))
        || TITLES.iter().any(|(_, name)| named(name))
}

/// A product that the table knows.
#[derive(Clone, Copy)]
struct Found<'a> {
    name: &'static str,
    kind: Kind,
    version: Option<&'a str>,
}

impl Found<'_> {
    fn client(self) -> Client {
        client(self.name, self.version)
    }
}

fn client(name: &str, version: Option<&str>) -> Client {
    let mut client = Client::new(bounded(name));
    client.version = version.map(|version| bounded(version).into());
    client
}

fn bounded(text: &str) -> &str {
    text.get(..text.floor_char_boundary(NAME)).unwrap_or_default().trim_end()
}

/// The beginning of a header, as far as a person can read it.
fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.as_bytes();
    let text = String::from_utf8_lossy(value.get(..MOST).unwrap_or(value));
    let text = text.trim();
    let is_readable = !text.is_empty() && !text.chars().any(|sign| sign.is_control() || sign == '\u{fffd}');
    is_readable.then(|| text.to_owned())
}

/// The product in this header that tells most.
fn best(header: &str) -> Option<Found<'_>> {
    let found = products(header).filter_map(product).min_by_key(|found| found.kind)?;
    if found.name != "Claude Code" {
        return Some(found);
    }
    Some(agent_sdk(header).unwrap_or(found))
}

/// What is made with Claude's Agent SDK runs Claude Code, and says so: `claude-cli/2.1.259 (external, sdk-py,
/// agent-sdk/0.1.20)`. `sdk-cli` is Claude Code without a terminal.
fn agent_sdk(header: &str) -> Option<Found<'_>> {
    let (_, comment) = header.split_once('(')?;
    let mut words = comment.split([',', ')', ';', ' ']);
    let word = words.find(|word| {
        matches!(*word, "sdk-py" | "sdk-ts" | "sdk-python" | "sdk-typescript")
            || word.starts_with("agent-sdk")
    })?;
    let own = std::iter::once(word).chain(words).find_map(|word| word.strip_prefix("agent-sdk/"));
    Some(Found { name: "Claude Agent SDK", kind: Library, version: own })
}

/// Where products begin in a header, behind comments' brackets too.
fn products(header: &str) -> impl Iterator<Item = &str> {
    let starts = header.char_indices().scan(true, |is_start, (at, sign)| {
        let is_gap = matches!(sign, ' ' | '(' | ')' | ';' | ',');
        let starts = *is_start && !is_gap;
        *is_start = is_gap;
        Some(starts.then_some(at))
    });
    starts.flatten().take(16).filter_map(|at| header.get(at..))
}

/// The product that begins here, if it is known.
fn product(header: &str) -> Option<Found<'_>> {
    let header = header.strip_prefix("Async").unwrap_or(header);
    let is_it = |start: &str| {
        let Some((head, rest)) = header.split_at_checked(start.len()) else { return false };
        let ends = rest.chars().next().is_none_or(|sign| matches!(sign, '/' | '-' | '_' | ' ' | ')' | ';'));
        head.eq_ignore_ascii_case(start) && (ends || start.ends_with('/'))
    };
    let (_, name, kind) = PRODUCTS.iter().find(|(start, ..)| is_it(start))?;
    Some(Found { name, kind: *kind, version: version(header) })
}

/// The first of the product's parts that is a version, or the word behind it: `a/1.2`, `a/b/1.2`, `a/b 1.2`.
fn version(header: &str) -> Option<&str> {
    let mut words = header.split([' ', ';', ')', ',']).filter(|word| !word.is_empty());
    let parts = words.next()?.split('/').skip(1);
    parts.chain(words.next()).find_map(|part| {
        let number = part.strip_prefix('v').unwrap_or(part);
        (number.starts_with(|sign: char| sign.is_ascii_digit()) && !number.contains('/')).then_some(number)
    })
}

/// A program that nobody here knows.
fn unknown(header: &str) -> Option<Client> {
    let first = products(header).next()?;
    let name = first.split(['/', ' ', ';', ')', ',']).next().filter(|name| !name.is_empty())?;
    Some(client(name, version(first)))
}

/// The SDKs of OpenAI and Anthropic, by headers that apps leave where they give themselves another `User-Agent`.
fn stainless(headers: &HeaderMap) -> Option<Client> {
    let language = match &*text(headers, "x-stainless-lang")?.to_ascii_lowercase() {
        "python" => "Python",
        "js" => "JS",
        "go" => "Go",
        "java" => "Java",
        "ruby" => "Ruby",
        _ => return None,
    };
    let vendor = if headers.contains_key("anthropic-version") { "Anthropic" } else { "OpenAI" };
    let version = text(headers, "x-stainless-package-version");
    Some(client(&format!("{vendor} {language}"), version.as_deref()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn headers(said: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = said
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        pairs.collect()
    }

    /// Name, version, and whether it is the agent's.
    fn told(said: &[(&'static str, &str)]) -> String {
        let Some(client) = client_of(&headers(said)) else { return "-".to_owned() };
        let version = client.version.as_deref().unwrap_or("-");
        format!("{} {version}{}", client.name, if names_agent(&client) { " agent" } else { "" })
    }

    #[test]
    fn programs_are_known_by_what_they_really_send() {
        for (agent, expected) in [
            ("claude-cli/2.1.329 (external, cli)", "Claude Code 2.1.329 agent"),
            ("claude-cli/2.1.329 (external, sdk-cli)", "Claude Code 2.1.329 agent"),
            ("claude-cli/2.1.259 (external, sdk-py)", "Claude Agent SDK -"),
            ("claude-cli/2.0.8 (external, sdk-ts, agent-sdk/0.1.20)", "Claude Agent SDK 0.1.20"),
            ("codex_cli_rs/0.46.0 (Ubuntu 22.4.0; x86_64) xterm-256color", "Codex 0.46.0 agent"),
            ("codex_exec/0.138.0 (Mac OS 26.2.0; arm64)", "Codex 0.138.0 agent"),
            (
                "codex_vscode/0.147.0-alpha.6.5 (Ubuntu 24.4.0; x86_64) unknown",
                "Codex 0.147.0-alpha.6.5 agent",
            ),
            ("opencode/1.18.31 ai-sdk/provider-utils/4.0.40 runtime/bun/1.3.14", "OpenCode 1.18.31 agent"),
            ("opencode/latest/1.3.15/cli", "OpenCode 1.3.15 agent"),
            ("GeminiCLI/0.34.0/gemini-2.5-pro (darwin; arm64; terminal)", "Gemini CLI 0.34.0 agent"),
            ("GeminiCLI-a2a-server/0.34.0", "Gemini CLI 0.34.0 agent"),
            ("QwenCode/0.24.7 (darwin; arm64)", "Qwen Code 0.24.7 agent"),
            ("Kilo-Code/7.8.3 ai-sdk/provider-utils/3.0.0", "Kilo Code 7.8.3 agent"),
            ("Charm-Crush/v0.97.1 (https://charm.land/crush)", "Crush 0.97.1 agent"),
            ("GitHubCopilotChat/0.35.0", "GitHub Copilot 0.35.0 agent"),
            ("Mozilla/5.0 Cursor/1.0.0", "Cursor 1.0.0 agent"),
            ("mistral-client-python/Mistral-Vibe/2.25.8", "Mistral Vibe 2.25.8 agent"),
            ("Mozilla/5.0 (compatible; n8n/1.123.0; +https://n8n.io/)", "n8n 1.123.0 agent"),
            ("Agents/Python 0.2.0", "OpenAI Agents SDK 0.2.0"),
            ("langchainjs-openai/1.0.0 ((node/v24.16.0; linux; x64))", "LangChain 1.0.0"),
            ("ai/7.0.93 ai-sdk/provider-utils/5.0.36 runtime/node.js/v22", "Vercel AI SDK 7.0.93"),
            ("ai-sdk/openai-compatible/2.0.47 ai-sdk/provider-utils/4.0.27", "Vercel AI SDK 2.0.47"),
            ("OpenAI/Python 2.20.0", "OpenAI Python 2.20.0"),
            ("AsyncOpenAI/Python 2.20.0", "OpenAI Python 2.20.0"),
            ("AsyncAzureOpenAI/Python 1.9.1", "OpenAI Python 1.9.1"),
            ("OpenAI/JS 6.26.0", "OpenAI JS 6.26.0"),
            ("OpenAI/Go 3.15.0", "OpenAI Go 3.15.0"),
            ("OpenAIClientAsyncImpl/Java 3.0.0", "OpenAI Java 3.0.0"),
            ("OpenAI/2.1.0 (.NET 8.0.0; Microsoft Windows 10.0.0)", "OpenAI .NET 2.1.0"),
            ("AsyncAnthropic/Python 0.107.1", "Anthropic Python 0.107.1"),
            ("AnthropicVertex/JS 0.94.0", "Anthropic JS 0.94.0"),
            ("google-genai-sdk/1.41.0 gl-node/v22.19.0", "Google Gen AI 1.41.0"),
            ("mistral-client-python/1.9.0", "Mistral Python 1.9.0"),
            ("litellm/1.83.9", "LiteLLM 1.83.9"),
            ("pydantic-ai/2.40.0", "Pydantic AI 2.40.0"),
            ("curl/8.12.0", "curl 8.12.0"),
            ("Python/3.13 aiohttp/3.12.0", "aiohttp 3.12.0"),
            ("python-httpx/0.28.1", "httpx 0.28.1"),
            ("node", "Node.js -"),
            ("Go-http-client/2.0", "Go net/http 2.0"),
            ("Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0.0.0 Safari/537.36", "Browser 5.0"),
        ] {
            assert_eq!(told(&[("user-agent", agent)]), expected, "{agent}");
        }
    }

    #[test]
    fn the_beginning_of_a_word_is_no_program() {
        for (agent, expected) in [
            ("pi-hole/1.0", "pi-hole 1.0"),
            ("geminiclient/1.0", "geminiclient 1.0"),
            ("not-codex_cli_rs/1.0", "not-codex_cli_rs 1.0"),
            ("acme-bot (nightly)", "acme-bot -"),
        ] {
            assert_eq!(told(&[("user-agent", agent)]), expected);
        }
    }

    #[test]
    fn an_app_that_says_its_name_is_called_by_it() {
        let sdk = ("user-agent", "OpenAI/JS 5.0.0");
        assert_eq!(told(&[sdk, ("x-title", "Cline")]), "Cline - agent");
        assert_eq!(
            told(&[("user-agent", "RooCode/3.54.0"), ("x-title", "Roo Code")]),
            "Roo Code 3.54.0 agent"
        );
        let heir =
            [("user-agent", "opencode/7.8.3 (darwin)"), ("originator", "opencode"), ("x-title", "Kilo Code")];
        assert_eq!(told(&heir), "Kilo Code - agent");
        assert_eq!(told(&[sdk, ("originator", "codex_vscode")]), "Codex - agent");
        assert_eq!(told(&[sdk, ("editor-version", "aider/0.86.0")]), "Aider 0.86.0 agent");
        assert_eq!(told(&[sdk, ("editor-version", "vscode/1.107.0")]), "OpenAI JS 5.0.0");
        assert_eq!(told(&[sdk, ("x-title", "Trip planner")]), "Trip planner -");
        assert_eq!(told(&[("user-agent", "codex_exec/1.0"), ("x-title", "Trip planner")]), "Codex 1.0 agent");
    }

    #[test]
    fn a_library_is_known_by_its_own_headers_too() {
        let python = [("x-stainless-lang", "python"), ("x-stainless-package-version", "2.24.0")];
        assert_eq!(told(&python), "OpenAI Python 2.24.0");
        let anthropic =
            [("user-agent", "node"), ("x-stainless-lang", "js"), ("anthropic-version", "2023-06-01")];
        assert_eq!(told(&anthropic), "Anthropic JS -");
        assert_eq!(
            told(&[("x-goog-api-client", "google-genai-sdk/1.0.0 gl-python/3.12")]),
            "Google Gen AI 1.0.0"
        );
        assert_eq!(told(&[("user-agent", "acme/1"), python[0]]), "acme 1");
        assert_eq!(told(&[]), "-");
        assert_eq!(told(&[("user-agent", "")]), "-");
    }

    #[test]
    fn every_row_can_be_reached() {
        for (at, (start, name, kind)) in PRODUCTS.iter().enumerate() {
            let found = product(start).unwrap();
            assert_eq!((found.name, found.kind), (*name, *kind), "{at}: {start}");
            assert_eq!(*start, start.to_lowercase());
        }
    }

    proptest! {
        #[test]
        fn any_header_names_a_short_readable_program_or_none(
            agent in prop::collection::vec(0x20_u8..=0xff, 0..600),
            title in prop::option::of(prop::collection::vec(0x20_u8..=0xff, 0..100)),
        ) {
            let mut headers = HeaderMap::new();
            let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).unwrap_or(HeaderValue::from_static("a/1"));
            headers.insert(USER_AGENT, value(&agent));
            if let Some(title) = title {
                headers.insert("x-title", value(&title));
            }
            if let Some(client) = client_of(&headers) {
                prop_assert!(!client.name.is_empty() && client.name.len() <= NAME);
                prop_assert!(client.version.is_none_or(|version| version.len() <= NAME));
            }
        }
    }
}
