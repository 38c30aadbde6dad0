//! Where strings begin and end, and whether what is escaped in them may be.

/// How many bytes are looked at together: as many as a number has bits.
const BLOCK: usize = 64;

/// The quotes in a text that no backslash escapes, one after the other.
///
/// What agents send is full of escapes, every fifteen bytes in the files that they read: a search begun anew behind each
/// costs more than what is searched, and so does a branch for each.
#[derive(Debug)]
pub(super) struct Quotes<'a> {
    text: &'a [u8],
    /// Where the block begins that comes next.
    next: usize,
    /// Which quotes of the one before were not told yet, the first by the lowest bit.
    left: u64,
    /// Whether its last byte escapes the first of the next.
    escapes_next: bool,
}

impl<'a> Quotes<'a> {
    pub(super) fn of(text: &'a [u8]) -> Self {
        Self { text, next: 0, left: 0, escapes_next: false }
    }

    /// The first one at or behind `from`. `None` where there is none, or an escape that is none before it.
    pub(super) fn next(&mut self, from: usize) -> Option<usize> {
        loop {
            while self.left == 0 {
                self.left = self.look_at_next_block()?;
            }
            let at = self.next - BLOCK + self.left.trailing_zeros() as usize;
            self.left &= self.left - 1;
            if at >= from {
                return Some(at);
            }
        }
    }

    fn look_at_next_block(&mut self) -> Option<u64> {
        let rest = self.text.get(self.next..).filter(|rest| !rest.is_empty())?;
        let mut last = [0; BLOCK];
        let block = rest.first_chunk().unwrap_or_else(|| {
            last.iter_mut().zip(rest).for_each(|(to, byte)| *to = *byte);
            &last
        });
        let escaped = self.escaped(places(block, b'\\'));
        let mut left = escaped;
        let mut are_escapes = true;
        while left != 0 {
            let at = left.trailing_zeros() as usize;
            left &= left - 1;
            are_escapes &= match block.get(at) {
                Some(b'u') => is_code_point(rest.get(at + 1..)),
                Some(byte) => ESCAPES[usize::from(*byte)],
                None => false,
            };
        }
        self.next += BLOCK;
        are_escapes.then(|| places(block, b'"') & !escaped)
    }

    /// Which bytes of a block are escaped, where it has backslashes at these places.
    fn escaped(&mut self, backslashes: u64) -> u64 {
        const ODD: u64 = 0xAAAA_AAAA_AAAA_AAAA;
        let first = u64::from(self.escapes_next);
        // One that is escaped escapes nothing.
        let backslashes = backslashes & !first;
        let behind = backslashes << 1 | first;
        // Of those one behind another each second escapes. Where they begin at an odd place, a sum flips what is behind
        // them all, so that it is even places that are escaped as well.
        let begin_odd = backslashes & ODD & !behind;
        let (ends, overflows) = begin_odd.overflowing_add(backslashes);
        self.escapes_next = overflows;
        (!ODD ^ ends << 1) & behind
    }
}

/// Where in a block this byte is.
fn places(block: &[u8; BLOCK], byte: u8) -> u64 {
    // The product has the lowest bits of eight bytes side by side, in its highest byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let mut is_it = *block;
    for other in &mut is_it {
        *other = u8::from(*other == byte);
    }
    let (eights, _) = is_it.as_chunks();
    let bits = eights.iter().map(|eight| u64::from_le_bytes(*eight).wrapping_mul(GATHER) >> 56);
    bits.rev().fold(0, |places, bits| places << 8 | bits)
}

/// Whether the four digits of a code point are here.
fn is_code_point(text: Option<&[u8]>) -> bool {
    text.and_then(|text| text.first_chunk::<4>())
        .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

/// What may stand behind a backslash by itself.
static ESCAPES: [bool; 256] = {
    let mut escapes = [false; 256];
    let mut rest: &[u8] = br#""\/bfnrt"#;
    while let [byte, behind @ ..] = rest {
        escapes[*byte as usize] = true;
        rest = behind;
    }
    escapes
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All up to the first escape that is none, and where that is.
    fn one_by_one(text: &[u8]) -> (Vec<usize>, Option<usize>) {
        let (mut quotes, mut at) = (Vec::new(), 0);
        while let Some(byte) = text.get(at) {
            at += match (byte, text.get(at + 1)) {
                (b'"', _) => {
                    quotes.push(at);
                    1
                }
                (b'\\', Some(b'u')) if is_code_point(text.get(at + 2..)) => 6,
                (b'\\', Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) => 2,
                (b'\\', _) => return (quotes, Some(at)),
                _ => 1,
            };
        }
        (quotes, None)
    }

    fn pieces(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
        prop::collection::vec((prop::sample::select(pieces), 1..5_usize), 0..120)
            .prop_map(|pieces| pieces.into_iter().map(|(piece, times)| piece.repeat(times)).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn quotes_are_those_of_one_byte_after_the_other(
            start in pieces(&["\"", "\\\\", "\\\"", "\\n", "\\u00fF", "a", "é", " {"]),
            rest in pieces(&["\"", "\\", "\\\"", "\\n\\t", "\\u12", "u", "a", "é"]),
            with_rest in any::<bool>(),
        ) {
            let text = if with_rest { start + &rest } else { start };
            let mut quotes = Quotes::of(text.as_bytes());
            let told: Vec<_> = std::iter::from_fn(|| quotes.next(0)).collect();
            let (all, bad) = one_by_one(text.as_bytes());
            prop_assert!(all.starts_with(&told), "{:?} {:?} {:?}", text, told, all);
            // In the block of what is no escape none is told.
            let until = bad.map_or(text.len(), |bad| bad / BLOCK * BLOCK);
            prop_assert!(all.get(told.len()).is_none_or(|missed| until <= *missed), "{:?}", text);
        }

        #[test]
        fn those_before_what_is_asked_for_are_left_out(
            text in pieces(&["\"", "\\\"", "a", "bc"]),
            steps in prop::collection::vec(0..90_usize, 0..20),
        ) {
            let (all, _) = one_by_one(text.as_bytes());
            let (mut quotes, mut from) = (Quotes::of(text.as_bytes()), 0);
            for step in steps {
                from += step;
                let wanted = all.iter().copied().find(|at| *at >= from);
                prop_assert_eq!(quotes.next(from), wanted);
                from = wanted.map_or(from, |at| at + 1);
            }
        }
    }
}
