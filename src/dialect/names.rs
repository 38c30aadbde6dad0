//! What a request's body says of whose conversation it is, member by member.

use std::borrow::Cow;
use std::sync::Arc;

use serde::de::MapAccess;

use super::Dialect;
use super::json::{self, Str, Take};

#[cfg(test)]
mod tests;

/// Longer names are shortened. Bytes.
const LONGEST: usize = 512;

/// Names that a request's body holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// The session, in a member that clients write it in.
    pub(crate) session: Option<Arc<str>>,
    /// The app's own user for whom it calls.
    pub(crate) user: Option<Arc<str>>,
    /// What the app says has the same beginning: OpenAI's `prompt_cache_key`.
    pub(crate) cache_key: Option<Arc<str>>,
}

/// What stands where a program had no name to give.
const NO_NAME: [&str; 13] = [
    "",
    "-",
    "null",
    "nil",
    "none",
    "nan",
    "n/a",
    "undefined",
    "unknown",
    "anonymous",
    "default",
    "00000000-0000-0000-0000-000000000000",
    // Open WebUI's chats that are not kept; also with what follows it: `local:` and the id of a browser's page.
    "local",
];

/// `text` as a name, where it is one.
pub(crate) fn name(text: &str) -> Option<Arc<str>> {
    let text = text.trim();
    let is_none = NO_NAME.iter().any(|word| text.eq_ignore_ascii_case(word))
        || text.starts_with("local:")
        || is_template(text)
        || text.chars().any(char::is_control);
    (!is_none).then(|| shortened(text))
}

/// A name that is not too long; the end of a longer one tells what was left out.
pub(crate) fn shortened(name: &str) -> Arc<str> {
    if name.len() <= LONGEST {
        return name.into();
    }
    let rest = format!("~{:x}", md5::compute(name));
    let start = name.get(..name.floor_char_boundary(LONGEST - rest.len())).unwrap_or_default();
    format!("{start}{rest}").into()
}

/// Whether it is a place for a name that nobody filled in, such as `${SESSION_ID}`, `{{session}}`, `<session-id>` or
/// `[object Object]`. A UUID may stand in braces as well.
fn is_template(text: &str) -> bool {
    let bare = text.trim_start_matches(['$', '{', '<', '[', '%']);
    let inner = bare.trim_end_matches(['}', '>', ']', '%']);
    let is_marked = text.starts_with('$') || (bare.len() < text.len() && inner.len() < bare.len());
    is_marked && inner.chars().all(|c| c.is_alphabetic() || matches!(c, '_' | '-' | '.' | ' ' | ':'))
}

/// A member that names something.
#[derive(Debug)]
pub(super) struct Member {
    /// Its path from the top: a key, or two with a dot between them.
    path: &'static str,
    kind: Kind,
    /// Who writes it.
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
    User,
    CacheKey,
    /// The user, in which Claude Code wraps the session.
    ClaudeUser,
}

const fn member(path: &'static str, kind: Kind, by: &'static str, source: &'static str) -> Member {
    Member { path, kind, by, source }
}

const LITELLM: &str = "apps behind LiteLLM";
const LITELLM_SESSIONS: &str = "https://docs.litellm.ai/docs/proxy/ui_logs_sessions";
const LANGFUSE: &str = "apps behind LiteLLM, for Langfuse too";
const LITELLM_LANGFUSE: &str = "https://docs.litellm.ai/docs/observability/langfuse_integration";
const OPENROUTER: &str = "apps behind OpenRouter";
const LANGSMITH: &str = "apps that name threads as LangSmith does";
const LANGSMITH_THREADS: &str = "https://docs.langchain.com/langsmith/threads";
const OPENAI_REFERENCE: &str = "https://platform.openai.com/docs/api-reference";

/// What is read of Anthropic's requests. The first that is there counts: what a client says of its own conversation
/// stands before what an app groups its calls by.
pub(super) const ANTHROPIC: &[Member] = &[
    member(
        "metadata.user_id",
        Kind::ClaudeUser,
        "Claude Code (session and user), any app (user)",
        "https://platform.claude.com/docs/en/api/messages",
    ),
    member("litellm_session_id", Kind::Session, LITELLM, LITELLM_SESSIONS),
    member(
        "session_id",
        Kind::Session,
        OPENROUTER,
        "https://openrouter.ai/docs/api/api-reference/anthropic-messages/create-messages",
    ),
    member("metadata.session_id", Kind::Session, LANGFUSE, LITELLM_LANGFUSE),
    member(
        "user",
        Kind::User,
        OPENROUTER,
        "https://openrouter.ai/docs/api/api-reference/anthropic-messages/create-messages",
    ),
];

/// What is read of OpenAI's, in all their APIs.
pub(super) const OPENAI: &[Member] = &[
    member("client_metadata.session_id", Kind::Session, "Codex", "https://github.com/openai/codex"),
    member("litellm_session_id", Kind::Session, LITELLM, LITELLM_SESSIONS),
    member(
        "session_id",
        Kind::Session,
        OPENROUTER,
        "https://openrouter.ai/docs/guides/features/broadcast/overview",
    ),
    member("metadata.session_id", Kind::Session, LANGFUSE, LITELLM_LANGFUSE),
    member("metadata.thread_id", Kind::Session, LANGSMITH, LANGSMITH_THREADS),
    member("metadata.conversation_id", Kind::Session, LANGSMITH, LANGSMITH_THREADS),
    member("safety_identifier", Kind::User, "any app", OPENAI_REFERENCE),
    member("user", Kind::User, "any app", OPENAI_REFERENCE),
    member("prompt_cache_key", Kind::CacheKey, "any app", OPENAI_REFERENCE),
];

/// What is read of Gemini's.
pub(super) const GEMINI: &[Member] = &[member(
    "request.session_id",
    Kind::Session,
    "Gemini CLI, to Code Assist",
    "https://github.com/google-gemini/gemini-cli/blob/main/packages/core/src/code_assist/converter.ts",
)];

/// What is read of the requests of a dialect.
pub(super) fn of(dialect: Dialect) -> &'static [Member] {
    match dialect.vendor() {
        "anthropic" => ANTHROPIC,
        "gemini" => GEMINI,
        _ => OPENAI,
    }
}

/// The names that were heard while a body was read.
#[derive(Debug)]
pub(super) struct Heard {
    members: &'static [Member],
    /// By the number of their member; the last of each, as with everything that stands twice.
    heard: Vec<(usize, Names)>,
}

impl Heard {
    /// Nothing yet, of these members.
    pub(super) fn of(members: &'static [Member]) -> Self {
        Self { members, heard: Vec::new() }
    }

    /// Reads the value of the `key` that was just read, `within` the object of that name or at the top. Whatever its
    /// type, it does not make the body an odd one.
    pub(super) fn member<'de, A: MapAccess<'de>>(
        &mut self,
        object: &mut A,
        within: Option<&'static str>,
        key: &str,
    ) -> Result<bool, A::Error> {
        if let Some((number, kind)) = self.find(within, key) {
            json::value(object, Word { number, kind, heard: &mut self.heard })?;
        } else if let Some(within) = self.holder(key).filter(|_| within.is_none()) {
            json::value(object, Holder { within, heard: self })?;
        } else {
            json::skip(object)?;
        }
        Ok(true)
    }

    /// What it comes to.
    pub(super) fn names(mut self) -> Names {
        self.heard.sort_by_key(|(number, _)| *number);
        let mut names = Names::default();
        for (_, heard) in self.heard {
            names.session = names.session.or(heard.session);
            names.user = names.user.or(heard.user);
            names.cache_key = names.cache_key.or(heard.cache_key);
        }
        names
    }

    fn find(&self, within: Option<&str>, key: &str) -> Option<(usize, Kind)> {
        let is_it = |member: &Member| match within {
            Some(holder) => {
                member.path.strip_prefix(holder).and_then(|path| path.strip_prefix('.')) == Some(key)
            }
            None => member.path == key && !key.contains('.'),
        };
        let number = self.members.iter().position(is_it)?;
        Some((number, self.members.get(number)?.kind))
    }

    /// The name of the object `key`, where it holds some of the members.
    fn holder(&self, key: &str) -> Option<&'static str> {
        let is_holder =
            |member: &&Member| member.path.strip_prefix(key).is_some_and(|path| path.starts_with('.'));
        self.members.iter().find(is_holder)?.path.get(..key.len())
    }
}

/// Takes a name.
struct Word<'h> {
    number: usize,
    kind: Kind,
    heard: &'h mut Vec<(usize, Names)>,
}

impl<'de> Take<'de> for Word<'_> {
    fn text(self, text: Cow<'de, str>) -> bool {
        self.passing(&text)
    }

    fn passing(self, text: &str) -> bool {
        let none = Names::default();
        let names = match self.kind {
            Kind::Session => Names { session: name(text), ..none },
            Kind::User => Names { user: name(text), ..none },
            Kind::CacheKey => Names { cache_key: name(text), ..none },
            Kind::ClaudeUser => claude(text),
        };
        match self.heard.iter_mut().find(|(number, _)| *number == self.number) {
            Some((_, heard)) => *heard = names,
            None => self.heard.push((self.number, names)),
        }
        true
    }
}

/// Takes an object that holds names.
struct Holder<'h> {
    within: &'static str,
    heard: &'h mut Heard,
}

impl<'de> Take<'de> for Holder<'_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            self.heard.member(&mut object, Some(self.within), &key)?;
        }
        Ok(true)
    }
}

/// What Claude Code writes as the user: JSON, or `user_<device>_account_<account>_session_<session>` up to 2.1.50. Both
/// name the same user alike. Anything else is a user wholly.
fn claude(text: &str) -> Names {
    let text = text.trim();
    if let Some(names) = claude_json(text).or_else(|| claude_text(text)) {
        return names;
    }
    Names { user: name(text), ..Names::default() }
}

fn claude_json(text: &str) -> Option<Names> {
    if !text.starts_with('{') {
        return None;
    }
    let mut user = ClaudeUser::default();
    if json::read(text.as_bytes(), &mut user) == json::Read::Broken {
        return None;
    }
    let session = name(&user.session?)?;
    let user = match (user.device.as_deref().and_then(name), user.account.as_deref().and_then(name)) {
        (None, None) => None,
        (device, account) => {
            let part = |part: Option<Arc<str>>| part.unwrap_or_default();
            name(&format!("user_{}_account_{}", part(device), part(account)))
        }
    };
    Some(Names { session: Some(session), user, cache_key: None })
}

#[derive(Default)]
struct ClaudeUser<'de> {
    session: Option<Cow<'de, str>>,
    device: Option<Cow<'de, str>>,
    account: Option<Cow<'de, str>>,
}

impl<'de> Take<'de> for &mut ClaudeUser<'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "session_id" => json::value(&mut object, Str(&mut self.session))?,
                "device_id" => json::value(&mut object, Str(&mut self.device))?,
                "account_uuid" => json::value(&mut object, Str(&mut self.account))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

fn claude_text(text: &str) -> Option<Names> {
    let (user, session) = text.rsplit_once("_session_")?;
    let (device, account) = user.strip_prefix("user_")?.split_once("_account_")?;
    let is_id = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if device.is_empty() || ![device, account, session].into_iter().all(is_id) {
        return None;
    }
    Some(Names { session: Some(name(session)?), user: name(user), cache_key: None })
}
