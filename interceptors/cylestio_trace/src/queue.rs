//! Events that wait to be sent: those of one session one after another, those of different sessions side by side.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bounded by bytes.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
    /// Nothing comes any more: whoever rests need not.
    over: Condvar,
    /// So many bytes fit.
    room: u64,
    /// So many there are, those being sent among them.
    bytes: Arc<AtomicU64>,
}

#[derive(Default)]
struct Waiting {
    /// The events of a session; none for one whose only event is being sent.
    sessions: HashMap<Arc<str>, VecDeque<String>>,
    /// The sessions that have events, and none that is being sent.
    ready: VecDeque<Arc<str>>,
    /// So many threads wait for one.
    idle: usize,
    /// Nobody is to send before.
    paused: Option<Instant>,
    /// Nothing comes any more.
    closed: bool,
}

/// An event being sent.
pub(crate) struct Sending {
    session: Arc<str>,
    pub(crate) event: String,
}

impl Queue {
    pub(crate) fn new(room: u64, bytes: Arc<AtomicU64>) -> Self {
        Self { waiting: Mutex::default(), more: Condvar::new(), over: Condvar::new(), room, bytes }
    }

    /// Adds an event. Whether there was room.
    pub(crate) fn push(&self, session: &Arc<str>, event: String) -> bool {
        let mut waiting = self.lock();
        let bytes = self.bytes.load(Relaxed).saturating_add(event.len() as u64);
        if bytes > self.room {
            return false;
        }
        self.bytes.store(bytes, Relaxed);
        if let Some(events) = waiting.sessions.get_mut(session) {
            events.push_back(event);
            return true;
        }
        waiting.sessions.insert(Arc::clone(session), VecDeque::from([event]));
        waiting.ready.push_back(Arc::clone(session));
        self.more.notify_one();
        true
    }

    /// Whether there is more to send at once than threads that wait for it.
    pub(crate) fn wants_help(&self) -> bool {
        let waiting = self.lock();
        waiting.ready.len() > waiting.idle
    }

    /// The next event to be sent; waits for one. None once nothing comes any more.
    pub(crate) fn next(&self) -> Option<Sending> {
        let mut waiting = self.lock();
        loop {
            let paused = waiting.paused.filter(|_| !waiting.closed);
            let pause = paused.map(|until| until.saturating_duration_since(Instant::now()));
            waiting = match (waiting.ready.is_empty(), pause.filter(|pause| !pause.is_zero())) {
                (true, _) if waiting.closed => return None,
                (true, _) => {
                    waiting.idle += 1;
                    let mut woken = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                    woken.idle -= 1;
                    woken
                }
                (false, Some(pause)) => {
                    self.more.wait_timeout(waiting, pause).unwrap_or_else(PoisonError::into_inner).0
                }
                (false, None) => {
                    waiting.paused = None;
                    let session = waiting.ready.pop_front()?;
                    let event = waiting.sessions.get_mut(&session)?.pop_front()?;
                    if !waiting.ready.is_empty() {
                        // Who was woken for it may have been in a pause.
                        self.more.notify_one();
                    }
                    return Some(Sending { session, event });
                }
            };
        }
    }

    /// An event was sent, or given up: the next of its session may go.
    pub(crate) fn done(&self, sent: Sending) {
        let mut waiting = self.lock();
        let bytes = self.bytes.load(Relaxed).saturating_sub(sent.event.len() as u64);
        self.bytes.store(bytes, Relaxed);
        if waiting.sessions.get(&sent.session).is_none_or(VecDeque::is_empty) {
            waiting.sessions.remove(&sent.session);
            return;
        }
        waiting.ready.push_back(sent.session);
        self.more.notify_one();
    }

    /// Waits so long, or until nothing comes any more.
    pub(crate) fn rest(&self, wait: Duration) {
        let waiting = self.lock();
        let rested = self.over.wait_timeout_while(waiting, wait, |waiting| !waiting.closed);
        drop(rested.unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether nothing comes any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Nobody sends before this time, unless nothing comes any more.
    pub(crate) fn pause(&self, until: Instant) {
        let mut waiting = self.lock();
        waiting.paused = waiting.paused.max(Some(until));
    }

    /// Nothing comes any more. How many events there still are, without those being sent.
    pub(crate) fn close(&self) -> usize {
        let mut waiting = self.lock();
        waiting.closed = true;
        self.more.notify_all();
        self.over.notify_all();
        waiting.sessions.values().map(VecDeque::len).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(room: u64) -> Queue {
        Queue::new(room, Arc::default())
    }

    fn next(queue: &Queue) -> Sending {
        queue.next().unwrap()
    }

    #[test]
    fn a_session_waits_for_its_own_event_and_not_for_those_of_others() {
        let (queue, a, b) = (queue(100), "a".into(), "b".into());
        for (session, event) in [(&a, "a1"), (&a, "a2"), (&b, "b1")] {
            assert!(queue.push(session, event.to_owned()));
        }
        let first = next(&queue);
        assert_eq!((&*first.event, &*next(&queue).event), ("a1", "b1"));
        assert!(!queue.wants_help());
        assert!(queue.push(&a, "a3".to_owned()));
        assert!(!queue.wants_help(), "a2 and a3 wait for a1");
        queue.done(first);
        assert!(queue.wants_help());
        let second = next(&queue);
        assert_eq!(second.event, "a2");
        queue.done(second);
        assert_eq!(next(&queue).event, "a3");
    }

    #[test]
    fn what_there_is_no_room_for_is_not_taken_and_there_is_room_again() {
        let (queue, session) = (queue(4), "s".into());
        assert!(queue.push(&session, "1234".to_owned()) && !queue.push(&session, "5".to_owned()));
        let sending = next(&queue);
        assert!(!queue.push(&session, "5".to_owned()), "what is being sent is held still");
        queue.done(sending);
        assert_eq!(queue.bytes.load(Relaxed), 0);
        assert!(queue.push(&session, "5".to_owned()) && !queue.push(&session, "12345".to_owned()));
    }

    #[test]
    fn a_pause_is_kept_also_where_it_was_shorter_before_or_is_after() {
        let (queue, session) = (queue(100), "s".into());
        let until = Instant::now() + Duration::from_millis(50);
        queue.pause(Instant::now());
        queue.pause(until);
        queue.pause(Instant::now());
        assert!(queue.push(&session, "1".to_owned()));
        let sending = next(&queue);
        assert!(Instant::now() >= until);
        queue.done(sending);
    }

    #[test]
    fn who_is_to_stop_waits_for_nothing() {
        let (queue, session) = (Arc::new(queue(100)), "s".into());
        let hour = Duration::from_secs(3_600);
        assert!(queue.push(&session, "1".to_owned()));
        queue.pause(Instant::now() + hour);
        let resting = Arc::clone(&queue);
        let rests = std::thread::spawn(move || resting.rest(hour));
        assert_eq!(queue.close(), 1);
        rests.join().unwrap();
        let sending = next(&queue);
        queue.done(sending);
        queue.rest(hour);
        assert!(queue.next().is_none() && queue.is_closed());
    }

    #[test]
    fn a_closed_queue_gives_what_it_has_and_ends() {
        let (queue, session) = (queue(100), "s".into());
        assert!(queue.push(&session, "1".to_owned()) && queue.push(&session, "2".to_owned()));
        assert_eq!(queue.close(), 2);
        for _ in 0..2 {
            let sending = next(&queue);
            queue.done(sending);
        }
        assert!(queue.next().is_none());
        assert!(queue.lock().sessions.is_empty());
    }
}
