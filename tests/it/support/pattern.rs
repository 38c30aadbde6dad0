//! A body of any size that nobody has to hold: bytes that do not repeat for a megabyte, compared as they come.

use std::io::{ErrorKind, Write};
use std::ops::Range;
use std::sync::LazyLock;

use super::wire::{Wire, is_reset};

/// As much as is written or read at once.
const BLOCK: usize = 64 * 1024;

/// A prime number of bytes, so that no block boundary ever meets the same place again soon.
static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    let mut bytes: Vec<u8> = (0..1_000_003).map(|_| next()).collect();
    let start = bytes[..BLOCK].to_vec();
    bytes.extend(start);
    bytes
});

/// Up to a block of the endless pattern from `offset` on.
fn block(offset: u64, limit: u64) -> &'static [u8] {
    let period = (PATTERN.len() - BLOCK) as u64;
    let start = usize::try_from(offset % period).unwrap();
    let length = usize::try_from(limit.min(BLOCK as u64)).unwrap();
    &PATTERN[start..start + length]
}

/// The first `count` bytes of the pattern.
pub(crate) fn bytes(count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count);
    while bytes.len() < count {
        bytes.extend_from_slice(block(bytes.len() as u64, (count - bytes.len()) as u64));
    }
    bytes
}

/// Sends `count` bytes of the pattern.
pub(crate) fn send(wire: &mut Wire, count: u64) {
    let mut sent = 0;
    while sent < count {
        let block = block(sent, count - sent);
        wire.send(block);
        sent += block.len() as u64;
    }
}

/// Sends up to `count` bytes of the pattern until the socket takes none before its write timeout; says how many.
pub(crate) fn send_until_stuck(wire: &Wire, count: u64) -> u64 {
    let mut socket = wire.socket();
    let mut sent = 0;
    while sent < count {
        match socket.write(block(sent, count - sent)) {
            Ok(written) => sent += written as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("the bytes after {sent} cannot be sent: {error}"),
        }
    }
    sent
}

/// Sends `count` bytes of the pattern in chunks.
pub(crate) fn send_chunked(wire: &mut Wire, count: u64) {
    let mut sent = 0;
    while sent < count {
        let block = block(sent, count - sent);
        wire.send_chunk(block);
        sent += block.len() as u64;
    }
    wire.send("0\r\n\r\n");
}

/// Reads `count` bytes, which must be those of the pattern.
pub(crate) fn expect(wire: &mut Wire, count: u64) {
    let read = expect_or_end(wire, 0..count);
    assert_eq!(read, count, "the body ended too early");
}

/// Reads these bytes of the pattern, or up to the end of the connection; says where it is then.
pub(crate) fn expect_or_end(wire: &mut Wire, Range { start: mut at, end }: Range<u64>) -> u64 {
    let mut buffer = vec![0; BLOCK];
    while at < end {
        let room = usize::try_from((end - at).min(BLOCK as u64)).unwrap();
        let read = match wire.read(&mut buffer[..room]) {
            Ok(0) => break,
            Ok(read) => read,
            // A debugger, or whoever stops and continues the whole test, is not the end of a body.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if is_reset(&error) => break,
            Err(error) => panic!("after byte {at}: {error}"),
        };
        assert!(buffer[..read] == *block(at, read as u64), "the body differs after byte {at}");
        at += read as u64;
    }
    at
}
