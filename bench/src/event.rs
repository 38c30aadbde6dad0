//! The SSE event of every stream: a chunk of a chat completion of 150 bytes, whose text says when it was sent and
//! which it is. Zeros lead these numbers, so in JSON they can stand in a string only.

/// The length of an event, as it is in the answers of real providers when a delta is one token.
pub(crate) const LENGTH: usize = 150;

const STAMP: usize = 19;
const NUMBER: usize = 6;
const BEFORE: &[u8] =
    b"data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"model\":\"gpt-5\",\
    \"choices\":[{\"index\":0,\"delta\":{\"content\":\" ";
const BETWEEN: &[u8] = b" ";
const AFTER: &[u8] = b"\"}}]}\n\n";
const _: () = assert!(BEFORE.len() + STAMP + BETWEEN.len() + NUMBER + AFTER.len() <= LENGTH);

/// Writes event `number`, sent at `sent` nanoseconds, in chunked coding: a chunk of its own.
pub(crate) fn write_chunk(out: &mut Vec<u8>, sent: u64, number: u32) {
    out.extend_from_slice(b"96\r\n");
    out.extend_from_slice(&build(sent, number));
    out.extend_from_slice(b"\r\n");
}

/// The event by itself.
pub(crate) fn build(sent: u64, number: u32) -> [u8; LENGTH] {
    let mut event = [b' '; LENGTH];
    let (head, rest) = event.split_at_mut(BEFORE.len());
    head.copy_from_slice(BEFORE);
    let (stamp, rest) = rest.split_at_mut(STAMP);
    digits(stamp, sent);
    let (between, rest) = rest.split_at_mut(BETWEEN.len());
    between.copy_from_slice(BETWEEN);
    let (place, rest) = rest.split_at_mut(NUMBER);
    digits(place, number.into());
    let spare = rest.len() - AFTER.len();
    rest[spare..].copy_from_slice(AFTER);
    event
}

fn digits(place: &mut [u8], mut value: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

/// When the event was sent, if it is event `number` to the last byte.
pub(crate) fn sent_at(event: &[u8; LENGTH], number: u32) -> Option<u64> {
    let stamp = event.get(BEFORE.len()..BEFORE.len() + STAMP)?;
    let sent = stamp.iter().try_fold(0u64, |sum, digit| {
        digit.is_ascii_digit().then(|| sum.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')))
    })?;
    (build(sent, number) == *event).then_some(sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_tells_when_it_was_sent_and_which_it_is() {
        let event = build(1_234_567_890_123, 42);
        assert_eq!(sent_at(&event, 42), Some(1_234_567_890_123));
        assert_eq!(sent_at(&event, 43), None);
    }

    #[test]
    fn an_event_is_a_chunk_of_a_completion() {
        let event = build(1_234_567_890_123, 42);
        let json = event.strip_prefix(b"data: ").and_then(|rest| rest.strip_suffix(b"\n\n")).unwrap();
        let chunk: serde_json::Value = serde_json::from_slice(json).unwrap();
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["choices"][0]["delta"]["content"], " 0000001234567890123 000042");
    }

    #[test]
    fn a_changed_byte_is_seen_wherever_it_is() {
        let event = build(7, 1);
        for place in 0..LENGTH {
            let mut changed = event;
            changed[place] ^= 0x80;
            assert_eq!(sent_at(&changed, 1), None, "byte {place}");
        }
    }

    #[test]
    fn the_chunk_declares_the_length_of_the_event() {
        let mut out = Vec::new();
        write_chunk(&mut out, 1, 1);
        assert_eq!(out.len(), "96\r\n".len() + LENGTH + "\r\n".len());
        assert_eq!(usize::from_str_radix("96", 16), Ok(LENGTH));
    }
}
