//! OpenAI's Responses (<https://platform.openai.com/docs/api-reference/responses>), without background mode.

use super::{Failure, Reader, Reading};

mod items;
mod kept;
mod object;
mod own;
mod parts;
mod read;
mod seal;
#[cfg(test)]
mod tests;
mod tools;
mod write;

pub(in crate::upstream::bridge) use kept::Kept;
pub(in crate::upstream::bridge) use own::own;

/// Reads a request for a response.
///
/// # Errors
/// What the client is told.
pub(super) fn read(reader: Reader<'_>) -> Result<Reading, Failure> {
    let (ask, writer) = write::Writing::new(read::asked(&reader)?, reader.kept);
    Ok(Reading { ask, writer: Box::new(writer) })
}
