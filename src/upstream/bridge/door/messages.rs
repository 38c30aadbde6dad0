//! Anthropic's Messages (<https://docs.claude.com/en/api/messages>).

use serde_json::{Value, json};

use super::{Failure, Reader, Reading, wire};
use crate::upstream::bridge::{Ask, Count};

mod content;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub(super) use read::THREAD;
use write::Message;

/// Reads a request for a message.
///
/// # Errors
/// What the client is told.
pub(super) fn read(reader: Reader<'_>) -> Result<Reading, Failure> {
    let ask = read::ask(&reader, read::For::Answer)?;
    let writer = Box::new(Message::new(wire::id("msg_"), reader.id, &ask));
    Ok(Reading { ask, writer })
}

/// Reads a request for the number of tokens that a message would read
/// (<https://docs.claude.com/en/api/messages-count-tokens>).
///
/// # Errors
/// What the client is told.
pub(in crate::upstream::bridge) fn read_count(reader: Reader<'_>) -> Result<Ask, Failure> {
    read::ask(&reader, read::For::Count)
}

/// The answer to [`read_count`].
pub(in crate::upstream::bridge) fn count(count: Count) -> Value {
    let mut value = json!({"input_tokens": count.tokens});
    if count.estimated {
        value["estimated"] = true.into();
    }
    value
}
