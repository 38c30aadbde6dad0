//! Texts as strings of JSON.

use std::ops::Range;

use crate::marks::{self, BLOCK};

/// So many bytes are copied at once, bytes.
const FEW: usize = 16;

/// Writes what `serde_json` makes of this text, faster where much of it has to be escaped: code, what tools print.
pub(crate) fn write(text: &str, json: &mut Vec<u8>) {
    json.reserve(text.len() + text.len() / 16 + 2);
    json.push(b'"');
    let text = text.as_bytes();
    for start in (0..text.len()).step_by(BLOCK) {
        let rest = text.get(start..).unwrap_or_default();
        write_block(&marks::block_of(rest), rest.len().min(BLOCK), json);
    }
    json.push(b'"');
}

/// Writes the first bytes of a block.
fn write_block(block: &[u8; BLOCK], length: usize, json: &mut Vec<u8>) {
    let mut marks = marks::of(block);
    let mut written = 0;
    while marks != 0 {
        let special = marks.trailing_zeros() as usize;
        write_plain(block, written..special, json);
        write_escape(block[special], json);
        written = special + 1;
        marks &= marks - 1;
    }
    write_plain(block, written..length, json);
}

/// Writes what has no escapes. To copy a few bytes too many and to forget them takes less than to copy few.
fn write_plain(block: &[u8; BLOCK], part: Range<usize>, json: &mut Vec<u8>) {
    let end = json.len() + part.len();
    match block.get(part.start..).and_then(<[u8]>::first_chunk::<FEW>) {
        Some(few) if part.len() <= FEW => {
            json.extend_from_slice(few);
            json.truncate(end);
        }
        _ => json.extend_from_slice(block.get(part).unwrap_or_default()),
    }
}

fn write_escape(byte: u8, json: &mut Vec<u8>) {
    let letter = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\t' => b't',
        b'\r' => b'r',
        8 => b'b',
        12 => b'f',
        _ => {
            let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' + half - 10 };
            json.extend_from_slice(b"\\u00");
            json.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
            return;
        }
    };
    json.extend_from_slice(&[b'\\', letter]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_is_written_as_serde_writes_it(
            pieces in prop::collection::vec(prop_oneof![any::<String>(), "[a-z\"\\\\\n\t\r]{0,40}", "[\0-\x7f]{0,40}"], 0..6),
        ) {
            let text = pieces.concat();
            let mut json = b"before".to_vec();
            write(&text, &mut json);
            prop_assert_eq!(String::from_utf8(json).unwrap(), format!("before{}", serde_json::to_string(&text).unwrap()));
        }
    }
}
