//! Keeping the heads of responses.

use super::{RawHead, Shows};

/// Keeps the head of a response as it came.
#[derive(Debug, Default)]
pub(crate) struct HeadReader {
    reading: Option<RawHead>,
    read: Option<RawHead>,
    shows: Shows,
}

/// What hyper is shown of what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fed {
    /// So many bytes, moved to the beginning.
    pub(crate) shown: usize,
    /// Where in them a body begins that is plainly chunked: see [`RawHead::is_plainly_chunked`].
    pub(crate) body: Option<usize>,
}

impl Fed {
    fn all(bytes: &[u8]) -> Self {
        Self { shown: bytes.len(), body: None }
    }
}

/// hyper gives a head up that is longer.
const MAX_HEAD: usize = 512 * 1024;

impl HeadReader {
    /// What is read next is a head, of which hyper is shown `shows`.
    pub(crate) fn expect(&mut self, shows: Shows) {
        *self = Self { reading: Some(RawHead::default()), read: None, shows };
    }

    /// The head, where it has come whole.
    pub(crate) fn take(&mut self) -> Option<RawHead> {
        self.read.take()
    }

    /// The other end sent `bytes`. What hyper is shown of them is moved to their beginning; says how much.
    pub(crate) fn feed(&mut self, bytes: &mut [u8]) -> Fed {
        let mut passed = 0;
        while let Some(head) = &mut self.reading {
            let (len, ended) = head.feed(&bytes[passed..]);
            if !ended {
                if head.bytes.len() > MAX_HEAD {
                    self.reading = None;
                }
                break;
            }
            let mut head = std::mem::take(head);
            // After an informational head (RFC 9110 section 15.2) comes another one, and an empty line is none.
            if head.lines.len() > 1 && !head.is_informational() {
                let left = head.show(&mut bytes[passed..passed + len], self.shows);
                bytes.copy_within(passed + len.., passed + left);
                let body = head.is_plainly_chunked().then_some(passed + left);
                self.reading = None;
                self.read = Some(head);
                return Fed { shown: bytes.len() - len + left, body };
            }
            passed += len;
        }
        Fed::all(bytes)
    }
}
