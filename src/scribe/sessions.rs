//! Which conversation a call belongs to: the one that the client names, else one of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lru::LruCache;
use perimeter_interceptor::{Exchange, ExchangeId, Session, SessionEnd};

use super::remembered::Remembered;
use crate::config;
use crate::memory::Memory;

/// The sessions that clients have named, the one without a call for the longest time first to go.
#[derive(Debug)]
pub(super) struct Sessions {
    told: LruCache<Arc<str>, Told>,
    /// How many calls the open exchanges have had that are a session each.
    alone: HashMap<ExchangeId, u32>,
    enabled: bool,
    max: usize,
    /// How long a session is remembered without a call.
    ttl: Duration,
    /// How long after its last call it counts as over.
    complete_after: Duration,
    /// What is remembered of what was said in them.
    pub(super) remembered: Remembered,
}

#[derive(Debug)]
struct Told {
    calls: u32,
    first: Instant,
    last: Instant,
    /// Calls that are being answered.
    open: u32,
    /// Whether its end was told since its last call.
    ended: bool,
}

impl Sessions {
    pub(super) fn new(config: &config::Session, memory: Arc<Memory>) -> Self {
        Self {
            told: LruCache::unbounded(),
            alone: HashMap::new(),
            enabled: config.enabled,
            max: config.max_sessions,
            ttl: config.session_ttl_seconds,
            complete_after: config.completion_timeout,
            remembered: Remembered::new(memory),
        }
    }

    /// The session of a call that was made `now`. `over` is told of one that has to make room.
    pub(super) fn attach(
        &mut self,
        now: Instant,
        exchange: &Exchange,
        over: &mut dyn FnMut(SessionEnd),
    ) -> Session {
        let labels = &exchange.labels;
        let mut session = match self.name_of(exchange) {
            Some(id) => self.told(now, &id),
            None => self.alone(exchange),
        };
        Arc::make_mut(&mut session.agent).told.clone_from(&labels.agent);
        session.tags.clone_from(&labels.tags);
        while self.told.len() > self.max {
            self.forget_one(over);
        }
        session
    }

    fn told(&mut self, now: Instant, id: &Arc<str>) -> Session {
        let told = self.told.get_or_insert_mut(id.clone(), || Told {
            calls: 0,
            first: now,
            last: now,
            open: 0,
            ended: false,
        });
        told.calls = told.calls.saturating_add(1);
        told.open = told.open.saturating_add(1);
        told.last = now;
        told.ended = false;
        let mut session = Session::new(id.clone());
        session.told = true;
        session.is_new = told.calls == 1;
        session.call = told.calls;
        session
    }

    fn alone(&mut self, exchange: &Exchange) -> Session {
        let calls = self.alone.entry(exchange.id).or_default();
        *calls = calls.saturating_add(1);
        let mut session = Session::new(exchange.id.to_string());
        session.is_new = *calls == 1;
        session.call = *calls;
        session
    }

    /// The session that the client says this exchange belongs to, where that counts.
    fn name_of(&self, exchange: &Exchange) -> Option<Arc<str>> {
        exchange.labels.session.clone().filter(|_| self.enabled)
    }

    /// A call of this exchange, which was attached, is over.
    pub(super) fn answered(&mut self, now: Instant, exchange: &Exchange) {
        if let Some(id) = self.name_of(exchange)
            && let Some(told) = self.told.get_mut(&id)
        {
            told.open = told.open.saturating_sub(1);
            told.last = now;
        }
    }

    /// This exchange is over, having lasted so long. Its session's end, where it was one of its own.
    pub(super) fn over(&mut self, exchange: &Exchange, lasted: Duration) -> Option<SessionEnd> {
        let calls = self.alone.remove(&exchange.id)?;
        Some(SessionEnd::new(exchange.id.to_string(), calls, lasted))
    }

    /// Tells `over` of the sessions that have been quiet for long enough, and forgets the old ones.
    pub(super) fn expire(&mut self, now: Instant, over: &mut dyn FnMut(SessionEnd)) {
        let quiet = |told: &Told| now.saturating_duration_since(told.last);
        while let Some((_, told)) = self.told.peek_lru()
            && quiet(told) > self.ttl
            && told.open == 0
        {
            self.forget_one(over);
        }
        let complete_after = self.complete_after;
        for (id, told) in self.told.iter_mut().rev().take_while(|(_, told)| quiet(told) > complete_after) {
            if !told.ended && told.open == 0 {
                told.ended = true;
                over(SessionEnd::new(id.clone(), told.calls, told.last.duration_since(told.first)));
            }
        }
    }

    /// Tells `over` of all that are left.
    pub(super) fn close(&mut self, over: &mut dyn FnMut(SessionEnd)) {
        while self.forget_one(over) {}
    }

    /// Forgets the session that has been without a call for the longest time.
    fn forget_one(&mut self, over: &mut dyn FnMut(SessionEnd)) -> bool {
        let Some((id, told)) = self.told.pop_lru() else { return false };
        drop(self.remembered.take(&id));
        told.end(id, over);
        true
    }
}

impl Told {
    fn end(self, id: Arc<str>, over: &mut dyn FnMut(SessionEnd)) {
        if !self.ended {
            over(SessionEnd::new(id, self.calls, self.last.duration_since(self.first)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use perimeter_interceptor::ExchangeId;

    use super::*;

    fn sessions(config: &config::Session) -> Sessions {
        Sessions::new(config, Arc::new(Memory::new(1 << 20)))
    }

    fn exchange(session: Option<&str>) -> Exchange {
        let client = ([127, 0, 0, 1], 1).into();
        let mut exchange = Exchange::new(ExchangeId::new(1), SystemTime::UNIX_EPOCH, client, "u");
        exchange.labels.session = session.map(Into::into);
        exchange
    }

    #[test]
    fn a_told_session_counts_its_calls_and_ends_once_for_each_silence() {
        let mut sessions = sessions(&config::Session::default());
        let mut over = Vec::new();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut tell = |end: SessionEnd| over.push((end.id.to_string(), end.calls, end.lasted.as_secs()));
        for (seconds, id, call) in [(0, "a", 1), (1, "b", 1), (5, "a", 2)] {
            let session = sessions.attach(at(seconds), &exchange(Some(id)), &mut tell);
            sessions.answered(at(seconds), &exchange(Some(id)));
            assert_eq!((&*session.id, session.call, session.is_new), (id, call, call == 1));
        }
        for seconds in [30, 33, 34, 36, 100] {
            sessions.expire(at(seconds), &mut tell);
        }
        let session = sessions.attach(at(200), &exchange(Some("a")), &mut tell);
        assert_eq!((session.call, session.is_new), (3, false));
        sessions.close(&mut tell);
        assert_eq!(over, [("b".into(), 1, 0), ("a".into(), 2, 5), ("a".into(), 3, 200)]);
    }

    #[test]
    fn a_session_is_not_over_while_a_call_is_being_answered() {
        let mut sessions = sessions(&config::Session::default());
        let mut over = 0;
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        sessions.attach(start, &exchange(Some("a")), &mut |_| unreachable!());
        sessions.expire(at(40), &mut |_| unreachable!());
        sessions.expire(at(9000), &mut |_| unreachable!());
        sessions.answered(at(9000), &exchange(Some("a")));
        sessions.expire(at(9029), &mut |_| unreachable!());
        sessions.expire(at(9031), &mut |end| {
            over += 1;
            assert_eq!(end.lasted.as_secs(), 9000);
        });
        assert_eq!(over, 1);
    }

    #[test]
    fn the_longest_idle_makes_room_and_an_old_one_is_new_again() {
        let config = config::Session { max_sessions: 2, ..config::Session::default() };
        let mut sessions = sessions(&config);
        let mut over = Vec::new();
        let mut tell = |end: SessionEnd| over.push(end.id.to_string());
        let start = Instant::now();
        for id in ["a", "b", "a", "c"] {
            sessions.attach(start, &exchange(Some(id)), &mut tell);
            sessions.answered(start, &exchange(Some(id)));
        }
        let later = start + Duration::from_secs(3601);
        sessions.expire(later, &mut tell);
        assert!(sessions.attach(later, &exchange(Some("a")), &mut tell).is_new);
        assert_eq!(over, ["b", "a", "c"]);
    }

    #[test]
    fn without_a_name_an_exchange_is_a_session_of_its_own_and_ends_it() {
        let mut sessions = sessions(&config::Session::default());
        let (now, lasted) = (Instant::now(), Duration::from_secs(2));
        for call in [1, 2] {
            let session = sessions.attach(now, &exchange(None), &mut |_| unreachable!());
            assert_eq!((&*session.id, session.told), ("00000000-0000-0000-0000-000000000001", false));
            assert_eq!((session.call, session.is_new), (call, call == 1));
        }
        let end = sessions.over(&exchange(None), lasted);
        assert_eq!(end, Some(SessionEnd::new("00000000-0000-0000-0000-000000000001", 2, lasted)));
        assert_eq!(sessions.over(&exchange(None), lasted), None);
        sessions.close(&mut |_| unreachable!());
    }

    #[test]
    fn a_name_that_does_not_count_is_none() {
        let config = config::Session { enabled: false, ..config::Session::default() };
        let mut sessions = sessions(&config);
        let now = Instant::now();
        let session = sessions.attach(now, &exchange(Some("a")), &mut |_| unreachable!());
        let end = sessions.over(&exchange(Some("a")), Duration::ZERO);
        assert_eq!(end.map(|end| end.id), Some(session.id));
    }
}
