//! What is no plain character in a string of JSON, found many bytes at a time.

/// So many bytes are looked at together, in a loop that compilers make vectors of.
pub(crate) const BLOCK: usize = 64;

/// The text from here on, as far as a block goes. What is behind its end is spaces.
#[inline]
pub(crate) fn block_of(text: &[u8]) -> [u8; BLOCK] {
    text.first_chunk().copied().unwrap_or_else(|| {
        let mut block = [b' '; BLOCK];
        block.iter_mut().zip(text).for_each(|(place, byte)| *place = *byte);
        block
    })
}

/// A bit for each quote, backslash and control character.
#[inline]
pub(crate) fn of(block: &[u8; BLOCK]) -> u64 {
    // What moves the lowest bits of eight bytes to the highest byte, that of the first to the lowest bit.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let mut marks = *block;
    for mark in &mut marks {
        *mark = u8::from((*mark == b'"') | (*mark == b'\\') | (*mark < b' '));
    }
    let mut bits = 0;
    for eight in marks.as_chunks::<8>().0.iter().rev() {
        bits = (bits << 8) | (u64::from_le_bytes(*eight).wrapping_mul(GATHER) >> 56);
    }
    bits
}
