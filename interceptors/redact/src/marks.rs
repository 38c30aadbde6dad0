//! Looks for bytes, many at a time.

/// So many bytes are looked at together, in a loop that compilers make vectors of.
const BLOCK: usize = 64;

/// Of the bytes at or behind `from` that are one of the two `wanted`, the first of which something is `found`. It pays
/// where such bytes come often: there is next to nothing to do for each of them.
pub(super) fn find_map<T>(
    text: &[u8],
    from: usize,
    wanted: [u8; 2],
    mut found: impl FnMut(usize) -> Option<T>,
) -> Option<T> {
    let mut start = from;
    while let Some(block) = text.get(start..)?.first_chunk::<BLOCK>() {
        let mut marks = marks_of(block, wanted);
        while marks != 0 {
            if let Some(found) = found(start + marks.trailing_zeros() as usize) {
                return Some(found);
            }
            marks &= marks - 1;
        }
        start += BLOCK;
    }
    let rest = text.get(start..)?.iter();
    (start..).zip(rest).filter(|(_, byte)| wanted.contains(byte)).find_map(|(at, _)| found(at))
}

/// A bit for each byte that is wanted.
#[inline]
fn marks_of(block: &[u8; BLOCK], [one, other]: [u8; 2]) -> u64 {
    // What moves the lowest bits of eight bytes to the highest byte, that of the first to the lowest bit.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let mut marks = *block;
    for mark in &mut marks {
        *mark = u8::from((*mark == one) | (*mark == other));
    }
    let mut bits = 0;
    for eight in marks.as_chunks::<8>().0.iter().rev() {
        bits = (bits << 8) | (u64::from_le_bytes(*eight).wrapping_mul(GATHER) >> 56);
    }
    bits
}
