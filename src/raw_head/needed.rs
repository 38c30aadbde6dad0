//! What of a head hyper, or anybody who forwards it, needs to see.

/// Whether whoever forwards a message reads the header `name`, or takes it off: how the message is framed, what belongs
/// to one connection, whose key it brings, what is addressed to us. A line with any other name need not be shown to
/// hyper. **Whoever reads a further header on the forwarding path adds it here.**
pub(super) fn is_needed(name: &[u8]) -> bool {
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    is_ours(name)
        || match name.len() {
            2 => is("te"),
            4 => is("host"),
            6 => is("expect") || is("origin"),
            7 => is("upgrade") || is("trailer") || is("api-key"),
            9 => is("x-api-key"),
            10 => is("connection") || is("keep-alive") || is("tracestate"),
            11 => is("traceparent"),
            13 => is("authorization"),
            14 => is("content-length") || is("sec-fetch-site") || is("x-goog-api-key"),
            16 => is("proxy-connection"),
            17 => is("transfer-encoding") || is("anthropic-version") || is("x-goog-api-client"),
            22 => is("sec-websocket-protocol"),
            _ => false,
        }
}

/// Whether a header is addressed to us.
fn is_ours(name: &[u8]) -> bool {
    let begins = |with: &str| {
        name.split_at_checked(with.len())
            .is_some_and(|(begin, _)| begin.eq_ignore_ascii_case(with.as_bytes()))
    };
    matches!(name.first(), Some(b'x' | b'X')) && (begins("x-perimeter-") || begins("x-cylestio-"))
}

/// Whether a line can be read in one way only (RFC 9112 section 5): it ends with CR and LF, has no further CR, and
/// nothing else that is for machines. What is not plain is shown to hyper, which refuses or mends it.
pub(super) fn is_plain(line: &[u8]) -> bool {
    let Some(line) = line.strip_suffix(b"\r\n") else { return false };
    // No way out before the end: the compiler looks at many bytes at once.
    !line.iter().fold(false, |bad, byte| bad | ((*byte < b' ') & (*byte != b'\t')) | (*byte == 0x7f))
}

/// The length of the name that a line begins with; 0 where that is no name (RFC 9110 section 5.1).
pub(super) fn name(line: &[u8]) -> usize {
    let len = line.iter().take_while(|byte| IN_NAMES[usize::from(**byte)]).count();
    if line.get(len) == Some(&b':') { len } else { 0 }
}

/// Whether a value of `Connection` names no header.
pub(super) fn names_nothing(value: &[u8]) -> bool {
    let mut words = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    words.all(|word| {
        [&b"keep-alive"[..], b"close", b"upgrade", b"te", b""]
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known))
    })
}

/// The bytes of which a name may be made (RFC 9110 section 5.6.2).
const IN_NAMES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let c = byte as u8;
        table[byte] = c.is_ascii_alphanumeric()
            || matches!(
                c,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_known_in_any_case() {
        for name in [
            "Content-Length",
            "HOST",
            "te",
            "X-Perimeter-Session",
            "x-cylestio-a",
            "Authorization",
            "Keep-Alive",
        ] {
            assert!(is_needed(name.as_bytes()), "{name}");
        }
        for name in ["Accept", "content-type", "x-perimeter", "x-request-id", "date", ""] {
            assert!(!is_needed(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn what_is_addressed_to_us_is_needed_however_long() {
        for begin in ["x-perimeter-", "X-Cylestio-"] {
            for len in 0..40 {
                let name = format!("{begin}{}", "a".repeat(len));
                assert!(is_needed(name.as_bytes()), "{name}");
            }
        }
    }

    #[test]
    fn a_line_that_two_parsers_could_read_differently_is_not_plain() {
        let plain = |line: &[u8]| name(line) > 0 && is_plain(line);
        for line in [&b"A: b\r\n"[..], b"A:\r\n", b"a-B_c:\t b \t\xff\r\n", b"A:b:c\r\n"] {
            assert!(plain(line), "{line:?}");
        }
        for line in [
            &b"A: b\n"[..],
            b"A : b\r\n",
            b" A: b\r\n",
            b": b\r\n",
            b"A\r\n",
            b"A: b\rc\r\n",
            b"A: \0\r\n",
            b"A: b\r\r\n",
            b"A\xe9: b\r\n",
            b"A: \x7f\r\n",
            b"\r\n",
            b"",
        ] {
            assert!(!plain(line), "{line:?}");
        }
    }

    #[test]
    fn only_words_of_the_connection_itself_name_nothing() {
        for value in [&b" keep-alive\r\n"[..], b"Close, TE", b" Upgrade , keep-alive", b""] {
            assert!(names_nothing(value), "{value:?}");
        }
        for value in [&b" x-hop"[..], b"close, x", b"keep-alive; x"] {
            assert!(!names_nothing(value), "{value:?}");
        }
    }
}
