//! What the doors write alike: ids, times, server-sent events.

use std::time::SystemTime;

use serde::Serialize;

/// A new id that begins with `prefix` and that nobody can guess.
pub(in crate::upstream::bridge) fn id(prefix: &str) -> String {
    // Without random bytes no TLS connection would have come about; an id of nothing does no harm.
    let random = crate::state::random::<16>().unwrap_or_default();
    random.iter().fold(prefix.to_owned(), |id, byte| id + &format!("{byte:02x}"))
}

/// Seconds since 1970, as OpenAI's `created` has them.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Appends `value` as JSON.
pub(super) fn json(value: &impl Serialize, to: &mut Vec<u8>) {
    let before = to.len();
    if serde_json::to_writer(&mut *to, value).is_err() {
        // Only what is no JSON fails, such as a map whose keys are no strings; none is written here.
        to.truncate(before);
    }
}

/// Appends an event that has no name.
pub(super) fn data(value: &impl Serialize, to: &mut Vec<u8>) {
    to.extend_from_slice(b"data: ");
    json(value, to);
    to.extend_from_slice(b"\n\n");
}

/// Appends an event with a name.
pub(super) fn named(name: &str, value: &impl Serialize, to: &mut Vec<u8>) {
    to.extend_from_slice(b"event: ");
    to.extend_from_slice(name.as_bytes());
    to.push(b'\n');
    data(value, to);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ() {
        let (a, b) = (id("chatcmpl-"), id("chatcmpl-"));
        assert_ne!(a, b);
        assert_eq!(a.len(), "chatcmpl-".len() + 32);
    }

    #[test]
    fn an_event_is_one_line_of_json_whatever_is_in_it() {
        let mut to = Vec::new();
        named("x", &serde_json::json!({"a": "1\n\n2\r\u{2028}"}), &mut to);
        assert_eq!(to, "event: x\ndata: {\"a\":\"1\\n\\n2\\r\u{2028}\"}\n\n".as_bytes());
    }
}
