//! What is sent: the same again and again, or what comes next in a session.

use std::iter;
use std::rc::Rc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::agent;
use crate::clock::now;
use crate::workload::{self, Exchange};

/// The number of the next session: no target hears one twice, whatever was run before, in another process too. It begins
/// with the time: who reads along takes a conversation that is played again for one to read whole.
static SESSIONS: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(now()));

/// A connection's requests, one after the other.
pub(super) struct Requests(Box<dyn Iterator<Item = Rc<[u8]>>>);

impl Requests {
    /// As many as there are connections: what they have in common is in memory once.
    pub(super) fn of(exchange: Exchange, host: &str, connections: usize) -> Vec<Self> {
        let same: Option<Rc<[u8]>> = exchange.request(host).map(Into::into);
        let one = || match &same {
            Some(same) => Self(Box::new(iter::repeat(same.clone()))),
            None => Self::sessions(exchange, host.to_owned()),
        };
        iter::repeat_with(one).take(connections).collect()
    }

    fn sessions(exchange: Exchange, host: String) -> Self {
        let answer = workload::answer_text();
        let session = move || agent::session(SESSIONS.fetch_add(1, Ordering::Relaxed), answer.clone());
        let turns = iter::repeat_with(session).flatten();
        Self(Box::new(turns.map(move |body| exchange.request_with(&host, body.as_bytes()).into())))
    }

    /// The next one.
    pub(super) fn next(&mut self) -> Rc<[u8]> {
        self.0.next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_send_the_same_or_each_a_session_of_its_own() {
        let mut same = Requests::of(Exchange::Json { body: 1024 }, "host", 2);
        let first = same[0].next();
        assert_eq!((same[0].next(), same[1].next()), (first.clone(), first));

        let mut sessions = Requests::of(Exchange::Turn, "host", 2);
        let (first, other) = (sessions[0].next(), sessions[1].next());
        assert_ne!(first, other);
        assert!(sessions[0].next().len() > first.len(), "the second turn brings the first");
    }
}
