//! Texts without their white space.

/// So many bytes of a text are looked at together.
const PIECE: usize = 256;

const EACH: u64 = 0x0101_0101_0101_0101;

/// The highest bit of each of eight bytes.
const HIGH: u64 = 0x80 * EACH;

/// A text without its white space: bytes are moved over each gap eight at a time, since words are short.
pub(super) fn dense(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len());
    let bytes = text.as_bytes();
    let (eights, rest) = bytes.as_chunks();
    let (mut kept, mut at, mut wide) = ([0; PIECE + 8], 0, 0);
    for eights in eights.chunks(PIECE / 8) {
        let mut count = 0;
        for eight in eights {
            let word = u64::from_le_bytes(*eight);
            let mut gaps = ascii_gaps(word);
            if word & HIGH != 0 {
                (gaps, wide) = (gaps | wide, 0);
                wide_gaps(word, bytes, at, &mut gaps, &mut wide);
            }
            let (word, length) = without_gaps(word, gaps);
            if let Some(place) = kept.get_mut(count..).and_then(|kept| kept.first_chunk_mut()) {
                *place = word.to_le_bytes();
            }
            count += length;
            at += 8;
        }
        out.extend_from_slice(kept.get(..count).unwrap_or_default());
    }
    if !rest.is_empty() {
        let mut last = [b' '; 8];
        last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
        let word = u64::from_le_bytes(last);
        let mut gaps = ascii_gaps(word) | wide;
        wide_gaps(word, bytes, at, &mut gaps, &mut 0);
        let (word, length) = without_gaps(word, gaps);
        out.extend_from_slice(word.to_le_bytes().get(..length).unwrap_or_default());
    }
}

/// Which of eight bytes, the first the lowest, are white space of ASCII's.
fn ascii_gaps(word: u64) -> u64 {
    // No sum carries into the next byte: the highest bit of each is free, and tells.
    let low = word & !HIGH;
    let others = (low ^ (u64::from(b' ') * EACH)) + 0x7f * EACH;
    let (from_tab, from_behind_return) = (low + (0x80 - 0x09) * EACH, low + (0x80 - 0x0e) * EACH);
    (!others | from_tab & !from_behind_return) & !word & HIGH
}

/// Adds white space beyond ASCII that begins in the eight bytes at `at`, to their `gaps` and to those `behind` them.
fn wide_gaps(word: u64, text: &[u8], at: usize, gaps: &mut u64, behind: &mut u64) {
    // All of it begins with one of the bytes C2, E1, E2 and E3.
    let is = |word: u64, byte: u64| {
        let differs = word ^ (byte * EACH);
        !(((differs & !HIGH) + 0x7f * EACH) | differs) & HIGH
    };
    let mut begins = is(word, 0xc2) | is(word & (0xfc * EACH), 0xe0);
    while begins != 0 {
        let first = begins.trailing_zeros() as usize / 8;
        begins &= begins - 1;
        let length = match text.get(at + first..).unwrap_or_default() {
            [0xc2, 0x85 | 0xa0, ..] => 2,
            [0xe1, 0x9a, 0x80, ..]
            | [0xe2, 0x80, 0x80..=0x8a | 0xa8 | 0xa9 | 0xaf, ..]
            | [0xe2, 0x81, 0x9f, ..]
            | [0xe3, 0x80, 0x80, ..] => 3,
            _ => continue,
        };
        let gap = u128::from(HIGH >> (8 * (8 - length))) << (8 * first);
        *gaps |= gap as u64;
        *behind |= (gap >> 64) as u64;
    }
}

/// Eight bytes, the first the lowest, without these gaps; and how many are left.
fn without_gaps(mut word: u64, mut gaps: u64) -> (u64, usize) {
    // The highest byte of the product is the sum of all: few processors are known to count bits.
    let count = (gaps >> 7).wrapping_mul(EACH) >> 56;
    while gaps != 0 {
        let before = ((gaps & gaps.wrapping_neg()) - 1) >> 7;
        word = word & before | word >> 8 & !before;
        gaps = (gaps & (gaps - 1)) >> 8;
    }
    (word, 8 - count as usize)
}
