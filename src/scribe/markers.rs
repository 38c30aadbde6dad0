//! What known clients write that is not the conversation itself.

use std::borrow::Cow;

/// The text without what a client puts into a message in one request and takes out in the next.
pub(crate) fn lasting(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text)
}

/// A call beside the conversation.
pub(crate) fn side_call(
    _system: Option<&str>,
    _turns: &[perimeter_interceptor::Turn],
    _tools: usize,
) -> Option<&'static str> {
    None
}

pub(crate) fn asks_for_summary(_last: &perimeter_interceptor::Turn) -> bool {
    false
}

pub(crate) fn is_summary(_first: &perimeter_interceptor::Turn) -> bool {
    false
}
