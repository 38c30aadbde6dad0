//! Where the members and the messages of a request are, in one pass that reads none of them.

use std::borrow::Cow;
use std::ops::Range;

use crate::members::{INNER, LISTS};
use crate::scan::Scan;

/// An object of JSON that asks for something.
#[derive(Debug, Default)]
pub(super) struct Outline {
    /// Its members: their names, quotes and all, and their values.
    pub(super) members: Vec<(Range<usize>, Range<usize>)>,
    /// Its messages.
    pub(super) messages: Vec<Range<usize>>,
    /// Whether they stand in an object within it.
    pub(super) is_inner: bool,
}

impl Outline {
    /// That of this text; `None` where it is no object, or one with two lists.
    pub(super) fn of(text: &str) -> Option<Self> {
        let (mut members, mut messages) = (Vec::new(), None);
        let mut scan = Scan::of(text);
        let is_inner = object(text, &mut scan, &mut messages, Some(&mut members))?;
        scan.end()?;
        Some(Self { members, messages: messages.unwrap_or_default(), is_inner })
    }
}

/// The first list of messages in an object. Where an inner one has a list and the outer has one behind it, there is no
/// telling which is meant. Whether the list is that of an inner one, of which nobody wants the `members`.
fn object(
    text: &str,
    scan: &mut Scan<'_>,
    messages: &mut Option<Vec<Range<usize>>>,
    mut members: Option<&mut Vec<(Range<usize>, Range<usize>)>>,
) -> Option<bool> {
    let mut is_of_inner = false;
    let mut goes_on = scan.enter(b'{', b'}')?;
    while goes_on {
        let name_at = scan.name()?;
        scan.peek()?;
        let start = scan.place();
        let name = read(text, name_at.clone())?;
        let is_list = LISTS.contains(&&*name);
        if is_list && is_of_inner {
            return None;
        } else if is_list && messages.is_none() {
            *messages = Some(list(text, scan)?);
        } else if name == INNER && members.is_some() && messages.is_none() {
            object(text, scan, messages, None)?;
            is_of_inner = messages.is_some();
        } else {
            scan.value()?;
        }
        if let Some(members) = &mut members {
            members.push((name_at, start..scan.place()));
        }
        goes_on = scan.goes_on(b'}')?;
    }
    Some(is_of_inner)
}

/// A list of messages, or a text in place of one. What else may stand there is not worth knowing.
fn list(text: &str, scan: &mut Scan<'_>) -> Option<Vec<Range<usize>>> {
    let mut messages = Vec::new();
    if scan.peek()? == b'"' {
        read(text, scan.value()?)?;
        return Some(messages);
    }
    let mut goes_on = scan.enter(b'[', b']')?;
    while goes_on {
        messages.push(scan.value()?);
        goes_on = scan.goes_on(b']')?;
    }
    Some(messages)
}

/// What the string says that stands here, if it says anything: half a pair of code points does not.
pub(super) fn read(text: &str, string: Range<usize>) -> Option<Cow<'_, str>> {
    let inside = text.get(string.start + 1..string.end - 1)?;
    if memchr::memchr(b'\\', inside.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inside));
    }
    serde_json::from_str(text.get(string)?).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests;
