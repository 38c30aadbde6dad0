//! Who makes a call, as far as its system prompt shows.

use std::cell::RefCell;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::quality::RandomState;
use lru::LruCache;
use perimeter_interceptor::{Agent, Role, Turn};

mod volatile;

/// The system prompt of an agent without one.
const NO_PROMPT: &str = "default-system";

/// The agent that has this system prompt.
pub(crate) fn agent_of(prompt: Option<&str>) -> Agent {
    let prompt = prompt.filter(|prompt| !prompt.is_empty()).unwrap_or(NO_PROMPT);
    let stable = volatile::masked(prompt);
    Agent::new(format!("prompt-{}", digits(prompt)), format!("agent-{}", digits(&stable)))
}

/// So many agents are remembered, the latest.
const MOST: usize = 256;

/// Agents by their prompts, as hashes.
struct Latest {
    of: LruCache<u64, Arc<Agent>>,
    hasher: RandomState,
}

thread_local! {
    /// Only saves work and memory: what an agent is called depends on its prompt alone.
    static LATEST: RefCell<Latest> =
        RefCell::new(Latest { of: LruCache::unbounded(), hasher: RandomState::default() });
}

/// The same; one for all calls with this prompt, as far as it is remembered.
pub(crate) fn shared_agent_of(prompt: Option<&str>) -> Arc<Agent> {
    LATEST.with_borrow_mut(|latest| {
        let key = latest.hasher.hash_one(prompt);
        if let Some(agent) = latest.of.get(&key) {
            return agent.clone();
        }
        let agent = Arc::new(agent_of(prompt));
        if latest.of.len() >= MOST {
            latest.of.pop_lru();
        }
        latest.of.put(key, agent.clone());
        agent
    })
}

/// The first twelve hexadecimal digits of its MD5.
fn digits(text: &str) -> String {
    let mut digits = format!("{:x}", md5::compute(text));
    digits.truncate(12);
    digits
}

/// The system prompt of a request with these turns: its first turn, if that is instructions. What an app puts in later,
/// reminders and the like, is not who it is.
pub(crate) fn prompt_text(turns: &[Turn]) -> Option<String> {
    let first = turns.first().filter(|turn| turn.role == Role::System)?;
    Some(first.text()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
