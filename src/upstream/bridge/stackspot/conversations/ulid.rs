//! ULIDs, which are what Stackspot calls conversations (<https://github.com/ulid/spec>).

use std::time::{SystemTime, UNIX_EPOCH};

use ring::digest::{Context, SHA256};

const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// What `parts` are known by, all of them together.
pub(super) fn key(parts: &[&str]) -> [u8; 16] {
    let mut digest = Context::new(&SHA256);
    for part in parts {
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    let mut key = [0; 16];
    key.iter_mut().zip(digest.finish().as_ref()).for_each(|(to, from)| *to = *from);
    key
}

/// `name` where it is a ULID, and otherwise one made of `key`, always the same.
pub(super) fn of(name: &str, key: &[u8; 16]) -> String {
    if is(name) { name.to_ascii_uppercase() } else { write(key) }
}

fn is(text: &str) -> bool {
    text.len() == 26
        && text.starts_with(|first: char| ('0'..='7').contains(&first))
        && text.bytes().all(|byte| DIGITS.contains(&byte.to_ascii_uppercase()))
}

/// `bytes` with the time of now in front, as a ULID has it.
pub(super) fn dated(mut bytes: [u8; 16]) -> [u8; 16] {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let millis = u64::try_from(now).unwrap_or_default().to_be_bytes();
    bytes.iter_mut().zip(millis.iter().skip(2)).for_each(|(to, from)| *to = *from);
    bytes
}

/// In Crockford's base 32.
pub(super) fn write(bytes: &[u8; 16]) -> String {
    let number = u128::from_be_bytes(*bytes);
    let digit =
        |at: u32| DIGITS.get((number >> (5 * at)) as usize & 31).map_or('0', |digit| char::from(*digit));
    (0..26).rev().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ulid_is_taken_as_it_is_and_all_else_is_made_one() {
        let key = key(&["a", "b"]);
        assert_eq!(of("01ARZ3NDEKTSV4RRFFQ69G5FAV", &key), "01ARZ3NDEKTSV4RRFFQ69G5FAV");
        assert_eq!(of("01arz3ndektsv4rrffq69g5fav", &key), "01ARZ3NDEKTSV4RRFFQ69G5FAV");
        for other in ["chat-1", "", "81ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAU", "01ARZ3"] {
            assert!(is(&of(other, &key)), "{other}");
            assert_eq!(of(other, &key), write(&key));
        }
    }

    #[test]
    fn numbers_are_written_as_the_specification_has_them() {
        assert_eq!(write(&[0xff; 16]), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
        assert_eq!(write(&[0; 16]), "00000000000000000000000000");
        assert!(write(&dated([7; 16])).starts_with("01"), "of this century");
    }

    #[test]
    fn parts_cannot_be_moved_from_one_to_the_next() {
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
    }
}
