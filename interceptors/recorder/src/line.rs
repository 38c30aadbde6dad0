//! JSON in one line.

use serde::Serialize;

/// Room for most lines, bytes.
const ROOM: usize = 1 << 10;

/// This as JSON. Line ends can only stand between the tokens of what was taken over as it was written, where a space
/// means the same.
pub fn of(value: &impl Serialize) -> String {
    let mut json = Vec::with_capacity(ROOM);
    match serde_json::to_writer(&mut json, value) {
        Ok(()) => of_json(json),
        Err(_) => String::new(),
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
