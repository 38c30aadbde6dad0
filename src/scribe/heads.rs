//! Requests' heads that were read before: those of a client are the same again and again, but for how long bodies are.

mod answers;

use std::net::IpAddr;
use std::sync::Arc;

use foldhash::quality::RandomState;
use http::header::{CONTENT_LENGTH, HeaderValue};
use lru::LruCache;
use memchr::memchr;
use perimeter_interceptor::{Labels, RequestHead};

pub(super) use self::answers::Answers;
use super::caller::Caller;
use super::{Settings, head, labels, names};
use crate::dialect::Seed;
use crate::journal;

/// So many are remembered, the latest.
const MOST: usize = 64;

/// Those that are longer are read each time, bytes.
const LONGEST: usize = 8 * 1024;

const NAME: &[u8] = b"content-length:";

/// What a request's head says.
#[derive(Clone, Debug)]
pub(super) struct Said {
    /// What is a secret in it is masked.
    pub(super) head: Arc<RequestHead>,
    pub(super) labels: Labels,
    pub(super) caller: Arc<Caller>,
}

/// What was said in heads, by hashes of these and of the clients' addresses. It follows from them, so this only saves
/// work.
#[derive(Debug)]
pub(super) struct Heads(LruCache<u64, Said, RandomState>);

impl Default for Heads {
    fn default() -> Self {
        Self(LruCache::unbounded_with_hasher(RandomState::default()))
    }
}

impl Heads {
    /// Reads the head of a request that comes from this address.
    pub(super) fn read(
        &mut self,
        head: &journal::RequestHead,
        address: IpAddr,
        settings: &Settings,
        seed: &Seed,
    ) -> Said {
        let journal::RequestHead::Raw(raw) = head else { return read(head, address, settings, seed) };
        let Some((before, length, behind)) = parts(raw).filter(|_| raw.len() <= LONGEST) else {
            return read(head, address, settings, seed);
        };
        let key = seed.then(seed.of_bytes(before), seed.of_bytes(behind));
        let key = seed.then(key, seed.of_address(address));
        if let Some(said) = self.0.get(&key) {
            return said.with_length(length);
        }
        let said = read(head, address, settings, seed);
        if self.0.len() >= MOST {
            self.0.pop_lru();
        }
        self.0.put(key, said.clone());
        said
    }
}

impl Said {
    /// The same, of a request whose body is so long.
    fn with_length(&self, length: &[u8]) -> Self {
        let mut said = self.clone();
        if said.head.headers.get(CONTENT_LENGTH).is_some_and(|known| known.as_bytes() != length)
            && let Ok(length) = HeaderValue::from_bytes(length)
            && let Some(known) = Arc::make_mut(&mut said.head).headers.get_mut(CONTENT_LENGTH)
        {
            *known = length;
        }
        said
    }
}

fn read(head: &journal::RequestHead, address: IpAddr, settings: &Settings, seed: &Seed) -> Said {
    let mut head = head::request(head);
    let labels = labels::labels(&head, settings.session.legacy_headers);
    let mut caller = Caller::of(&head, address, seed);
    settings.masks.headers(&mut head.headers);
    settings.masks.uri(&mut head.uri);
    caller.names = names::of(&head.headers, &settings.session.headers);
    Said { head: Arc::new(head), labels, caller: Arc::new(caller) }
}

/// A head around the first length that it tells. `None` where it tells none, or not as everybody does.
fn parts(raw: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut at = 0;
    loop {
        at += memchr(b'\n', raw.get(at..)?)? + 1;
        let line = raw.get(at..)?;
        if !line.get(..NAME.len())?.eq_ignore_ascii_case(NAME) {
            continue;
        }
        let value = line.get(NAME.len()..)?;
        let blank = value.iter().take_while(|byte| **byte == b' ').count();
        let length = value.get(blank..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (before, rest) = raw.split_at_checked(at + NAME.len() + blank)?;
        let (length, behind) = rest.split_at_checked(length)?;
        // What follows on the line, or goes on with it on the next, belongs to the value.
        let next = behind.strip_prefix(b"\r\n")?.first()?;
        return (!length.is_empty() && !matches!(next, b' ' | b'\t')).then_some((before, length, behind));
    }
}

#[cfg(test)]
mod tests;
