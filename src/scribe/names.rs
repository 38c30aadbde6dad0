//! What a client says of the session in headers of its own. They are the client's, and go on to the provider as they
//! came.

use std::sync::Arc;

use http::header::{AsHeaderName, HeaderMap, HeaderName};

use crate::dialect::name;

#[cfg(test)]
mod tests;

/// What the headers of a request name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// The conversation. A client's sub-agents have the same, unless it says `parent_session`.
    pub session: Option<Arc<str>>,
    /// The instance of an agent within it; none is the main one.
    pub agent: Option<Arc<str>>,
    /// The instance that started this agent; none is the main one.
    pub parent: Option<Arc<str>>,
    /// The session that started this one, where sub-agents have sessions of their own.
    pub parent_session: Option<Arc<str>>,
    /// The trace that the call is a part of: a hint, since a trace may be one call, or a whole day.
    pub trace: Option<u128>,
    /// How many times the client has tried it before.
    pub retries: Option<u32>,
}

/// A header that names something.
#[derive(Debug)]
struct Header {
    name: &'static str,
    kind: Kind,
    /// Who sends it.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test holds docs/sessions.md against it"))]
    by: &'static str,
    /// Where that can be read.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test holds docs/sessions.md against it"))]
    source: &'static str,
}

/// What it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Session,
    Agent,
    Parent,
    ParentSession,
    Trace,
    Retries,
}

const fn header(name: &'static str, kind: Kind, by: &'static str, source: &'static str) -> Header {
    Header { name, kind, by, source }
}

const CLAUDE_CODE: &str = "https://code.claude.com/docs/en/llm-gateway-protocol";
const CODEX: &str = "https://github.com/openai/codex/blob/main/codex-rs/codex-api/src/requests/headers.rs";
const OPENCODE: &str =
    "https://github.com/anomalyco/opencode/blob/dev/packages/opencode/src/session/llm/request.ts";
const CLINE: &str =
    "https://github.com/cline/cline/blob/main/sdk/packages/llms/src/providers/request-headers.ts";

const LITELLM: &str = "https://github.com/BerriAI/litellm/blob/main/litellm/proxy/litellm_pre_call_utils.py";

/// The headers that are known, in order of precedence: those of one client before those that an app groups its calls
/// by. Only what names a conversation is here. An id of a request, a run of a program, a machine, a user or a tenant
/// would join what does not belong together.
const HEADERS: &[Header] = &[
    header("x-claude-code-session-id", Kind::Session, "Claude Code", CLAUDE_CODE),
    header("session-id", Kind::Session, "Codex", CODEX),
    header("session_id", Kind::Session, "Codex before, Cline and Roo Code as Codex", CODEX),
    header(
        "x-opencode-session",
        Kind::Session,
        "OpenCode, and others to its gateway",
        "https://opencode.ai/docs/go/",
    ),
    header("x-session-affinity", Kind::Session, "OpenCode, Kilo Code", OPENCODE),
    header("x-kilocode-taskid", Kind::Session, "Kilo Code", "https://github.com/Kilo-Org/kilocode"),
    header("x-task-id", Kind::Session, "Cline", CLINE),
    header("x-roo-task-id", Kind::Session, "Roo Code", "https://github.com/RooCodeInc/Roo-Code/pull/7303"),
    header(
        "x-openwebui-chat-id",
        Kind::Session,
        "Open WebUI",
        "https://github.com/open-webui/open-webui/blob/main/backend/open_webui/env.py",
    ),
    header(
        "helicone-session-id",
        Kind::Session,
        "apps behind Helicone",
        "https://docs.helicone.ai/features/sessions",
    ),
    header("x-litellm-session-id", Kind::Session, "apps behind LiteLLM", LITELLM),
    // LiteLLM takes it for the session as well, and Cline writes its own there.
    header("x-litellm-trace-id", Kind::Session, "Cline, apps behind LiteLLM", CLINE),
    header(
        "langfuse_session_id",
        Kind::Session,
        "apps behind LiteLLM, for Langfuse too",
        "https://docs.litellm.ai/docs/observability/langfuse_integration",
    ),
    header(
        "x-session-id",
        Kind::Session,
        "OpenCode, apps behind OpenRouter",
        "https://openrouter.ai/docs/guides/features/broadcast/overview",
    ),
    header("x-claude-code-agent-id", Kind::Agent, "Claude Code", CLAUDE_CODE),
    header("thread-id", Kind::Agent, "Codex", CODEX),
    header("x-claude-code-parent-agent-id", Kind::Parent, "Claude Code", CLAUDE_CODE),
    header("x-codex-parent-thread-id", Kind::Parent, "Codex", CODEX),
    header("x-parent-session-id", Kind::ParentSession, "OpenCode", OPENCODE),
    header(
        "traceparent",
        Kind::Trace,
        "whoever is traced, such as Claude Code where it is told to",
        "https://www.w3.org/TR/trace-context/",
    ),
    header(
        "x-stainless-retry-count",
        Kind::Retries,
        "the SDKs of OpenAI and Anthropic",
        "https://github.com/openai/openai-python/blob/main/src/openai/_base_client.py",
    ),
];

/// What these headers name. Those of `added` name the session before all that are known. They are masked already: a
/// secret that somebody has in one of them is told by its fingerprint, which names a session as well.
pub(super) fn of(headers: &HeaderMap, added: &[HeaderName]) -> Names {
    let session =
        added.iter().find_map(|header| value(headers, header)).or_else(|| first(headers, Kind::Session));
    // The main agent may be named as its session is.
    let beside = |name: &Arc<str>| session.as_ref() != Some(name);
    Names {
        agent: first(headers, Kind::Agent).filter(beside),
        parent: first(headers, Kind::Parent).filter(beside),
        parent_session: first(headers, Kind::ParentSession).filter(beside),
        trace: known(Kind::Trace).find_map(|name| trace(text(headers, name)?)),
        retries: known(Kind::Retries).find_map(|name| text(headers, name)?.parse().ok()),
        session,
    }
}

fn known(kind: Kind) -> impl Iterator<Item = &'static str> {
    HEADERS.iter().filter(move |header| header.kind == kind).map(|header| header.name)
}

fn first(headers: &HeaderMap, kind: Kind) -> Option<Arc<str>> {
    known(kind).find_map(|name| value(headers, name))
}

/// The first of the header's values that is a name.
fn value(headers: &HeaderMap, header: impl AsHeaderName) -> Option<Arc<str>> {
    headers.get_all(header).iter().find_map(|value| name(std::str::from_utf8(value.as_bytes()).ok()?))
}

/// The header's only value.
fn text<'a>(headers: &'a HeaderMap, header: &str) -> Option<&'a str> {
    let mut values = headers.get_all(header).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    value.to_str().ok().map(str::trim)
}

/// The trace that a `traceparent` names, where it is a valid one: `00-<32 hex digits>-<16 hex digits>-<2 hex digits>`,
/// and perhaps more behind that in a later version.
fn trace(text: &str) -> Option<u128> {
    let mut parts = text.splitn(5, '-');
    let mut hex = |digits: usize| {
        let part = parts.next().filter(|part| part.len() == digits)?;
        let is_lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        part.bytes().all(is_lower).then(|| u128::from_str_radix(part, 16).ok()).flatten()
    };
    let (version, trace, parent, _flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
    let is_whole = version != 0 || parts.next().is_none();
    (is_whole && version != 0xff && trace != 0 && parent != 0).then_some(trace)
}
