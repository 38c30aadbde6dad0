//! Which calls belong together, and who made them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::{Usage, Usd};

/// A conversation: calls that belong together, and where one of them stands among the others.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Session {
    /// Its name: as the client told it, or the proxy's own.
    pub id: Arc<str>,
    /// Whether the client named it.
    pub told: bool,
    /// Whether this is its first call.
    pub is_new: bool,
    /// Which call of the session this is. The first is 1.
    pub call: u32,
    /// How it follows from the calls before it.
    pub relation: Relation,
    /// What a side call of a known client is for, in a word such as `title`.
    pub side: Option<&'static str>,
    /// The call that it follows, or that it belongs to: the number of an earlier one of this session. A retry, or another
    /// answer, follows the call that it repeats; an edit or a fork the call whose answer it goes on from.
    pub parent: Option<u32>,
    /// Which line of talk it is, of those that the session holds: the first is 0, and each sub-agent, each side call
    /// and whatever else begins anew has the next number.
    pub thread: u32,
    /// Who makes the call.
    pub agent: Arc<Agent>,
    /// The program that makes it, where it is known.
    pub client: Option<Arc<Client>>,
    /// The client's tags.
    pub tags: BTreeMap<String, String>,
}

impl Session {
    /// A session at its first call.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self {
            id: id.into(),
            told: false,
            is_new: true,
            call: 1,
            relation: Relation::Opening,
            side: None,
            parent: None,
            thread: 0,
            agent: Arc::default(),
            client: None,
            tags: BTreeMap::new(),
        }
    }
}

/// How a call follows from those of its session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Relation {
    /// It follows from none: a conversation begins.
    #[default]
    Opening,
    /// The next turn: it goes on from an earlier call and the answer to it.
    Turn,
    /// The same as an earlier call that was not answered, or not to its end.
    Retry,
    /// The same as an earlier call that was answered: another answer is wanted.
    Regenerate,
    /// An earlier message was replaced, and what had followed is dropped.
    Edit,
    /// It goes on where another call goes on that is still being answered.
    Fork,
    /// The client replaced what was said by a summary.
    Compaction,
    /// The client left out what was said first, and goes on.
    Truncation,
    /// An agent begins that another one of the session asked for.
    SubAgent,
    /// Beside the conversation: a title, a count of tokens, a probe.
    Side,
}

impl Relation {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Turn => "turn",
            Self::Retry => "retry",
            Self::Regenerate => "regenerate",
            Self::Edit => "edit",
            Self::Fork => "fork",
            Self::Compaction => "compaction",
            Self::Truncation => "truncation",
            Self::SubAgent => "sub_agent",
            Self::Side => "side",
        }
    }
}

/// Who makes calls: the system prompt shows it, or the client says it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Agent {
    /// Its id, where the client says which agent it is.
    pub told: Option<Arc<str>>,
    /// `prompt-` and the first twelve hexadecimal digits of the MD5 of its system prompt.
    pub prompt: Arc<str>,
    /// `agent-` and twelve hexadecimal digits: the same where only dates, paths, numbers and the like differ in the
    /// system prompt.
    pub stable: Arc<str>,
    /// A name for people, where the client is known.
    pub name: Option<Arc<str>>,
}

impl Agent {
    /// The agent with these ids of its system prompt.
    pub fn new(prompt: impl Into<Arc<str>>, stable: impl Into<Arc<str>>) -> Self {
        Self { told: None, prompt: prompt.into(), stable: stable.into(), name: None }
    }

    /// Its id: as told, else by its prompt.
    pub fn id(&self) -> &Arc<str> {
        self.told.as_ref().unwrap_or(&self.prompt)
    }
}

/// The agent without a system prompt.
impl Default for Agent {
    fn default() -> Self {
        Self::new("prompt-7077bd40d00f", "agent-7077bd40d00f")
    }
}

/// A program that makes calls, by its `User-Agent`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Client {
    /// Its name, such as `Claude Code` or `OpenAI Python`.
    pub name: Arc<str>,
    /// Its version, where it says so.
    pub version: Option<Arc<str>>,
}

impl Client {
    /// A program of this name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), version: None }
    }
}

/// A session that is over, and what it came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionEnd {
    /// Its name.
    pub id: Arc<str>,
    /// Whether the client named it.
    pub told: bool,
    /// How many calls it had.
    pub calls: u32,
    /// When its first call began.
    pub began: SystemTime,
    /// From the beginning of its first call to the end of its last.
    pub lasted: Duration,
    /// Who made its first call.
    pub agent: Arc<Agent>,
    /// The program that made its first call, where it is known.
    pub client: Option<Arc<Client>>,
    /// The models that answered, or were asked, in the order of their first call. No more than sixteen.
    pub models: Vec<Arc<str>>,
    /// What its calls used, as far as the provider said so.
    pub usage: Usage,
    /// What they cost, as far as that is known.
    pub cost: Usd,
    /// How many answers cost something that nobody knows.
    pub unpriced: u32,
    /// How many calls were not answered, or not to their end.
    pub failed: u32,
    /// The calls that are no simple next turn, in their order: openings, retries, edits, sub-agents and so on. Of many,
    /// the latest.
    pub tree: Vec<Branch>,
}

impl SessionEnd {
    /// The end of the session `id`.
    pub fn new(id: impl Into<Arc<str>>, calls: u32, lasted: Duration) -> Self {
        Self {
            id: id.into(),
            told: false,
            calls,
            began: SystemTime::UNIX_EPOCH,
            lasted,
            agent: Arc::default(),
            client: None,
            models: Vec::new(),
            usage: Usage::default(),
            cost: Usd::default(),
            unpriced: 0,
            failed: 0,
            tree: Vec::new(),
        }
    }
}

/// A call that is no simple next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Branch {
    /// Its number in the session.
    pub call: u32,
    /// The call that it follows, or belongs to.
    pub parent: Option<u32>,
    /// How it follows.
    pub relation: Relation,
    /// Which line of talk it is.
    pub thread: u32,
}

impl Branch {
    /// A call that follows in this way.
    pub fn new(call: u32, relation: Relation) -> Self {
        Self { call, parent: None, relation, thread: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_goes_by_what_it_is_told_else_by_its_prompt() {
        let mut agent = Agent::new("prompt-1", "agent-1");
        assert_eq!(&**agent.id(), "prompt-1");
        agent.told = Some("writer".into());
        assert_eq!(&**agent.id(), "writer");
    }
}
