//! How many sessions there are, how many there were, and how their calls belong to them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use perimeter_interceptor::{Relation, Session};

/// How a session is known, as the metrics call it: the client names it, what was said in it shows it, or it is the calls
/// of one exchange and no more.
pub(crate) const KNOWN: [&str; 3] = ["told", "recognised", "alone"];

/// How a call may follow from others.
pub(crate) const RELATIONS: [Relation; 10] = [
    Relation::Opening,
    Relation::Turn,
    Relation::Retry,
    Relation::Regenerate,
    Relation::Edit,
    Relation::Fork,
    Relation::Compaction,
    Relation::Truncation,
    Relation::SubAgent,
    Relation::Side,
];

/// Counts sessions, read by the metrics.
#[derive(Debug, Default)]
pub(crate) struct Census {
    /// Sessions that are held and not over, and those that are over.
    held: [AtomicUsize; 2],
    begun: [AtomicU64; KNOWN.len()],
    calls: [AtomicU64; RELATIONS.len()],
}

impl Census {
    /// A call was given its session, which goes on beyond its exchange or does not.
    pub(super) fn call(&self, session: &Session, goes_on: bool) {
        if session.is_new {
            let [told, recognised, alone] = &self.begun;
            let begun = match (session.told, goes_on) {
                (true, _) => told,
                (false, true) => recognised,
                (false, false) => alone,
            };
            begun.fetch_add(1, Relaxed);
        }
        for (relation, count) in RELATIONS.iter().zip(&self.calls) {
            if *relation == session.relation {
                count.fetch_add(1, Relaxed);
            }
        }
    }

    /// So many are held that are not over, and so many that are.
    pub(super) fn hold(&self, open: usize, over: usize) {
        let [held_open, held_over] = &self.held;
        held_open.store(open, Relaxed);
        held_over.store(over, Relaxed);
    }

    /// Sessions that are held and not over, and those that are over.
    pub(crate) fn held(&self) -> [usize; 2] {
        self.held.each_ref().map(|count| count.load(Relaxed))
    }

    /// The sessions that began, by [`KNOWN`].
    pub(crate) fn begun(&self) -> [u64; KNOWN.len()] {
        self.begun.each_ref().map(|count| count.load(Relaxed))
    }

    /// The calls, by [`RELATIONS`].
    pub(crate) fn calls(&self) -> [u64; RELATIONS.len()] {
        self.calls.each_ref().map(|count| count.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_counted_once_and_their_calls_each() {
        let census = Census::default();
        let call = |told, is_new, goes_on, relation| {
            let mut session = Session::new("s");
            (session.told, session.is_new, session.relation) = (told, is_new, relation);
            census.call(&session, goes_on);
        };
        call(true, true, true, Relation::Opening);
        call(true, false, true, Relation::Turn);
        call(false, true, true, Relation::Side);
        call(false, true, false, Relation::Opening);
        call(false, false, false, Relation::Turn);
        assert_eq!(census.begun(), [1, 1, 1]);
        assert_eq!(census.calls(), [2, 2, 0, 0, 0, 0, 0, 0, 0, 1]);
        census.hold(3, 4);
        assert_eq!(census.held(), [3, 4]);
    }
}
