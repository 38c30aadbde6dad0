//! Who an agent is, by its system prompt.

use perimeter_interceptor::{Agent, Role, Turn};

pub(crate) fn agent_of(_prompt: Option<&str>) -> Agent {
    Agent::default()
}

pub(crate) fn prompt_text(turns: &[Turn]) -> Option<String> {
    turns.iter().find(|turn| turn.role == Role::System).map(Turn::text)
}
