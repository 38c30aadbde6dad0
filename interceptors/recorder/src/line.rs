//! JSON in one line.

use serde::Serialize;

/// This as JSON. Line ends can only stand between the tokens of what was taken over as it was written, where a space
/// means the same.
pub fn of(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).unwrap_or_default();
    match memchr::memchr2(b'\n', b'\r', text.as_bytes()) {
        Some(_) => text.replace(['\n', '\r'], " "),
        None => text,
    }
}

/// The same of what was written as JSON.
pub(crate) fn of_json(mut json: Vec<u8>) -> String {
    join(&mut json, 0);
    String::from_utf8(json).unwrap_or_default()
}

/// The same of the JSON that begins at `start`, in its place.
pub(crate) fn join(text: &mut [u8], start: usize) {
    let json = text.get_mut(start..).unwrap_or_default();
    if let Some(first) = memchr::memchr2(b'\n', b'\r', json) {
        json.iter_mut()
            .skip(first)
            .filter(|byte| matches!(byte, b'\n' | b'\r'))
            .for_each(|byte| *byte = b' ');
    }
}
