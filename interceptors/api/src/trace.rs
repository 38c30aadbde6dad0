use std::fmt;

/// A span, as W3C's Trace Context names it in the header `traceparent` (<https://www.w3.org/TR/trace-context/>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SpanContext {
    /// The trace that it is part of.
    pub trace: [u8; 16],
    /// The span.
    pub span: [u8; 8],
    /// 1: the trace is sampled; 2: its id is random. The others have no meaning yet.
    pub flags: u8,
}

impl SpanContext {
    /// This span.
    pub fn new(trace: [u8; 16], span: [u8; 8], flags: u8) -> Self {
        Self { trace, span, flags }
    }

    /// Whether its trace is sampled.
    pub fn is_sampled(self) -> bool {
        self.flags & 1 == 1
    }

    /// What a `traceparent` says: version, trace, span and flags, in lower case. A version that is not known yet may have
    /// more behind a dash. `None` where it is not valid.
    pub fn parse(header: &[u8]) -> Option<Self> {
        let (known, more) = header.split_at_checked(55)?;
        let mut fields = known.split(|byte| *byte == b'-');
        let [version] = bytes(fields.next()?)?;
        let trace = bytes(fields.next()?)?;
        let span = bytes(fields.next()?)?;
        let [flags] = bytes(fields.next()?)?;
        let may_have_more = version > 0 && more.starts_with(b"-");
        let is_valid = version != 0xff
            && fields.next().is_none()
            && (more.is_empty() || may_have_more)
            && trace != [0; 16]
            && span != [0; 8];
        is_valid.then_some(Self { trace, span, flags: flags & KNOWN_FLAGS })
    }
}

/// The flags that mean something.
const KNOWN_FLAGS: u8 = 3;

/// As the header has it, in version 00.
impl fmt::Display for SpanContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (u128::from_be_bytes(self.trace), u64::from_be_bytes(self.span));
        write!(f, "00-{trace:032x}-{span:016x}-{:02x}", self.flags)
    }
}

fn bytes<const N: usize>(hex: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if hex.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

fn digit(letter: u8) -> Option<u8> {
    match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_written_is_what_was_read() {
        for text in [VALID, "00-00000000000000000000000000000001-0000000000000001-00"] {
            assert_eq!(SpanContext::parse(text.as_bytes()).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_not_valid_is_nothing() {
        let is_read = |text: &str| SpanContext::parse(text.as_bytes()).is_some();
        assert!(
            is_read(&VALID.replacen("00", "cc", 1))
                && is_read(&format!("{}-more", VALID.replacen("00", "cc", 1)))
        );
        let zero_trace = VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        let zero_span = VALID.replace("00f067aa0ba902b7", &"0".repeat(16));
        let (upper, ff) = (VALID.to_uppercase(), VALID.replacen("00", "ff", 1));
        let more = format!("{VALID}-more");
        for wrong in ["", "00", &zero_trace, &zero_span, &upper, &ff, &more, &VALID[..54], &VALID[1..]] {
            assert!(!is_read(wrong), "{wrong}");
        }
    }
}
