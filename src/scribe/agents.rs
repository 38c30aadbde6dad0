//! Who makes a call, as far as its system prompt shows.

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
