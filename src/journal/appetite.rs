//! Of which bodies somebody wants to hear.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use http::Method;
use memchr::{memchr, memchr2};
use perimeter_interceptor::Interest;

use super::{Inner, RequestHead};

/// Of which bodies somebody wants to hear. The others are not told, only that they ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Appetite {
    /// What everyone together wants.
    pub interest: Interest,
    /// Whether a request with this method and path is a call that can be read.
    pub is_call: fn(&Method, &str) -> bool,
    /// Whether one that becomes a WebSocket carries calls that can be read.
    pub is_socket: fn(&Method, &str) -> bool,
}

/// What can be read of an exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reads {
    /// Its bodies are those of a call.
    pub(super) call: bool,
    /// Behind an upgrade it carries calls.
    pub(super) socket: bool,
}

impl Appetite {
    /// Everything.
    #[cfg(test)]
    pub(crate) const ALL: Self =
        Self { interest: Interest::ALL, is_call: |_, _| true, is_socket: |_, _| true };

    pub(super) fn wants(&self, chunks: Interest, is_read: bool) -> bool {
        self.interest.includes(chunks) || (is_read && self.interest.includes(Interest::LLM))
    }

    fn reads(&self, method: &[u8], path: &[u8]) -> Reads {
        let Ok(method) = Method::from_bytes(method) else { return Reads::default() };
        let path = String::from_utf8_lossy(path);
        Reads { call: (self.is_call)(&method, &path), socket: (self.is_socket)(&method, &path) }
    }
}

/// A longer path is asked about each time.
const LONGEST_KNOWN: usize = 1024;

thread_local! {
    static LAST: RefCell<Known> = RefCell::default();
}

/// What was asked last on this thread: most requests of a program have the same path, and comparing it costs a tenth
/// of looking into it.
#[derive(Debug, Default)]
struct Known {
    of: Weak<Inner>,
    method: Vec<u8>,
    path: Vec<u8>,
    reads: Reads,
}

/// What somebody wants to read of the exchange that begins with `head`.
pub(super) fn reads(journal: &Arc<Inner>, head: &RequestHead) -> Reads {
    if !journal.appetite.interest.includes(Interest::LLM) {
        return Reads::default();
    }
    let Some((method, path)) = line(head) else { return Reads::default() };
    LAST.with_borrow_mut(|last| {
        let is_known = last.of.as_ptr() == Arc::as_ptr(journal) && last.path == path && last.method == method;
        if is_known {
            return last.reads;
        }
        let reads = journal.appetite.reads(method, path);
        if path.len() <= LONGEST_KNOWN {
            last.of = Arc::downgrade(journal);
            last.method.clear();
            last.method.extend_from_slice(method);
            last.path.clear();
            last.path.extend_from_slice(path);
            last.reads = reads;
        }
        reads
    })
}

/// The method and the path, without the query.
fn line(head: &RequestHead) -> Option<(&[u8], &[u8])> {
    let raw = match head {
        RequestHead::Parts(parts) => {
            return Some((parts.method.as_str().as_bytes(), parts.uri.path().as_bytes()));
        }
        RequestHead::Raw(raw) => raw,
    };
    let (method, rest) = raw.split_at_checked(memchr2(b' ', b'\r', raw)?)?;
    let rest = rest.get(1..)?;
    let target = rest.get(..memchr2(b' ', b'\r', rest).unwrap_or(rest.len()))?;
    Some((method, target.get(..memchr(b'?', target).unwrap_or(target.len()))?))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;
    use proptest::prelude::*;

    use super::super::{Journal, journal};
    use super::*;
    use crate::memory::Memory;

    const CALLS: Appetite = Appetite {
        interest: Interest::LLM,
        is_call: |method, path| *method == Method::POST && path.ends_with("/chat"),
        is_socket: |_, path| path.ends_with("/live"),
    };

    fn writing(appetite: Appetite) -> Journal {
        journal(1 << 20, Arc::new(Memory::new(1 << 20)), appetite).0
    }

    fn raw(line: impl Into<Vec<u8>>) -> RequestHead {
        RequestHead::Raw(Bytes::from(line.into()))
    }

    #[test]
    fn the_method_and_the_path_decide_and_not_the_query() {
        let journal = writing(CALLS);
        let reads = |line: &str| {
            let Reads { call, socket } = reads(&journal.0, &raw(line));
            (call, socket)
        };
        assert_eq!(reads("POST /v1/chat?a=/live HTTP/1.1\r\nHost: x\r\n\r\n"), (true, false));
        assert_eq!(reads("GET /v1/chat HTTP/1.1\r\n\r\n"), (false, false));
        assert_eq!(reads("GET /v1/live HTTP/1.1\r\n\r\n"), (false, true));
        assert_eq!(reads("POST /v1/chat\r\n\r\n"), (true, false));
        assert_eq!(reads("POST\r/v1/chat"), (true, false));
        for none in ["", "POST", "P@ST /v1/chat HTTP/1.1\r\n"] {
            assert_eq!(reads(none), (false, false), "{none:?}");
        }
    }

    #[test]
    fn a_head_says_the_same_raw_and_read() {
        let parts = Request::post("http://localhost/v1/chat?stream").body(()).unwrap().into_parts().0;
        let journal = writing(CALLS);
        assert!(reads(&journal.0, &RequestHead::Parts(Box::new(parts))).call);
    }

    #[test]
    fn nobody_is_asked_where_no_call_is_wanted() {
        let asks = |_: &Method, _: &str| -> bool { panic!("nobody wants to know") };
        let journal = writing(Appetite { interest: Interest::NONE, is_call: asks, is_socket: asks });
        assert_eq!(reads(&journal.0, &raw("POST /v1/chat HTTP/1.1")), Reads::default());
    }

    proptest! {
        #[test]
        fn what_is_known_of_one_request_is_not_taken_for_another(
            asked in prop::collection::vec(
                (any::<bool>(), prop::sample::select(vec!["GET", "POST"]), "/(v1/)?(chat|live)?[/a?]?", 0..1100_usize),
                1..20,
            ),
        ) {
            let none = Appetite { is_call: |_, _| false, is_socket: |_, _| false, ..CALLS };
            let (some, none) = (writing(CALLS), writing(none));
            for (is_some, method, path, longer) in asked {
                let target = format!("/{}{path}", "x".repeat(longer));
                let head = raw(format!("{method} {target} HTTP/1.1\r\n\r\n"));
                let path = target.split('?').next().unwrap();
                let told = reads(if is_some { &some.0 } else { &none.0 }, &head);
                let expected = CALLS.reads(method.as_bytes(), path.as_bytes());
                prop_assert_eq!(told, if is_some { expected } else { Reads::default() });
            }
        }
    }
}
