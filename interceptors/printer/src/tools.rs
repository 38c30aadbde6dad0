//! The names of tools that were asked for: their answers come in a later call, and say an id alone.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use perimeter_interceptor::{Session, ToolUse};

/// So many are remembered: the latest.
const MOST: usize = 4096;
/// A longer name is not remembered, bytes.
const LONGEST: usize = 256;

/// Tools by the line of talk that they were asked for in, and the ids of their uses.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    named: HashMap<u64, Arc<str>>,
    order: VecDeque<u64>,
    seed: RandomState,
}

impl Tools {
    /// The model asked for this one.
    pub(crate) fn add(&mut self, session: &Session, tool: &ToolUse) {
        let Some(id) = tool.id.as_deref().filter(|_| tool.name.len() <= LONGEST) else { return };
        let key = self.key(session, id);
        if self.named.insert(key, Arc::clone(&tool.name)).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.named.remove(&oldest);
        }
    }

    /// The name of the tool that was asked for with this id.
    pub(crate) fn name(&self, session: &Session, id: &str) -> Option<Arc<str>> {
        self.named.get(&self.key(session, id)).cloned()
    }

    fn key(&self, session: &Session, id: &str) -> u64 {
        self.seed.hash_one((&session.id, session.thread, id))
    }
}

#[cfg(test)]
mod tests {
    use perimeter_interceptor::CallId;

    use super::*;

    #[test]
    fn the_latest_are_remembered_by_their_ids_and_no_more() {
        let mut tools = Tools::default();
        let tool = |id: &str, name: &str| {
            let mut tool = ToolUse::new(CallId(0), name, "{}");
            tool.id = Some(id.into());
            tool
        };
        let session = Session::new("s");
        let mut agent = session.clone();
        agent.thread = 1;
        tools.add(&session, &ToolUse::new(CallId(0), "nameless", "{}"));
        tools.add(&session, &tool("x", &"x".repeat(LONGEST + 1)));
        for number in 0..MOST {
            tools.add(&session, &tool(&number.to_string(), "read"));
        }
        tools.add(&agent, &tool("7", "write"));
        assert_eq!((tools.named.len(), tools.order.len()), (MOST, MOST));
        assert_eq!(tools.name(&session, "0"), None);
        assert_eq!(tools.name(&session, "7").as_deref(), Some("read"));
        assert_eq!(tools.name(&agent, "7").as_deref(), Some("write"));
    }
}
