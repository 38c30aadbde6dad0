//! Whose turn it is: so many answers at once, so many who wait, and each caller's requests in turn with the others'.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::failure::{Failure, Kind};
use crate::upstream::Caller;

/// Places for answers, and the line before them.
#[derive(Clone, Debug)]
pub(super) struct Queue(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    line: Mutex<Line>,
    /// How many may wait.
    most: usize,
    /// How long.
    patience: Duration,
}

#[derive(Debug)]
struct Line {
    /// Places that nobody has.
    free: usize,
    /// All who wait, by caller.
    waiting: HashMap<Caller, VecDeque<(u64, oneshot::Sender<Place>)>>,
    /// The callers with somebody in line, the next one first.
    turns: VecDeque<Caller>,
    /// How many wait.
    length: usize,
    /// Tells those who wait apart.
    number: u64,
}

/// A place. Dropped, it is the next one's.
#[derive(Debug)]
pub(super) struct Place(Option<Arc<Inner>>);

/// When it is worth asking again: by then some answer in progress has probably ended.
const RETRY: Duration = Duration::from_secs(5);

impl Queue {
    /// `places` answers at once; `most` wait, for `patience` each.
    pub(super) fn new(places: usize, most: usize, patience: Duration) -> Self {
        let line =
            Line { free: places, waiting: HashMap::new(), turns: VecDeque::new(), length: 0, number: 0 };
        Self(Arc::new(Inner { line: Mutex::new(line), most, patience }))
    }

    /// Waits for a place. Who stops waiting has left the line.
    ///
    /// # Errors
    /// Where the line is too long (it may become so for a request in it, of a caller who has most of it), or the wait.
    pub(super) async fn enter(&self, caller: &Caller) -> Result<Place, Failure> {
        let inner = &self.0;
        let (number, place) = {
            let mut line = inner.lock();
            if line.free > 0 && line.length == 0 {
                line.free -= 1;
                return Ok(Place(Some(inner.clone())));
            }
            if line.length >= inner.most && !line.make_room(caller) {
                return Err(inner.full());
            }
            line.join(caller)
        };
        let _leaves = Leaves { inner, caller, number };
        match tokio::time::timeout(inner.patience, place).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(inner.full()),
            Err(_) => {
                let message =
                    format!("no place within {} s (llm.bridge.queue_timeout)", inner.patience.as_secs_f32());
                Err(Failure::new(Kind::QueueTimeout, message).after(RETRY))
            }
        }
    }

    /// Answers in line, and places that nobody has.
    pub(super) fn state(&self) -> (usize, usize) {
        let line = self.0.lock();
        (line.length, line.free)
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn full(&self) -> Failure {
        let message = format!("{} requests wait for their turn already", self.most);
        Failure::new(Kind::QueueFull, message).after(RETRY)
    }
}

impl Line {
    fn join(&mut self, caller: &Caller) -> (u64, oneshot::Receiver<Place>) {
        let (give, place) = oneshot::channel();
        self.number += 1;
        self.length += 1;
        let theirs = self.waiting.entry(caller.clone()).or_default();
        if theirs.is_empty() {
            self.turns.push_back(caller.clone());
        }
        theirs.push_back((self.number, give));
        (self.number, place)
    }

    /// Whoever is next: the callers take turns, each with its oldest request.
    fn next(&mut self) -> Option<oneshot::Sender<Place>> {
        let caller = self.turns.pop_front()?;
        let theirs = self.waiting.get_mut(&caller)?;
        let (_, next) = theirs.pop_front()?;
        self.length -= 1;
        if theirs.is_empty() {
            self.waiting.remove(&caller);
        } else {
            self.turns.push_back(caller);
        }
        Some(next)
    }

    /// Sends away the newest request of whoever has most of the line, if that is more than `caller` would have: nobody
    /// can keep others out of it.
    fn make_room(&mut self, caller: &Caller) -> bool {
        let of = |caller| self.waiting.get(caller).map_or(0, VecDeque::len);
        let Some(most) = self.turns.iter().max_by_key(|other| of(other)) else { return false };
        if of(most) <= of(caller) + 1 {
            return false;
        }
        let newest = self.waiting.get_mut(most).and_then(VecDeque::pop_back);
        self.length -= usize::from(newest.is_some());
        newest.is_some()
    }

    fn leave(&mut self, caller: &Caller, number: u64) {
        let Some(theirs) = self.waiting.get_mut(caller) else { return };
        let before = theirs.len();
        theirs.retain(|(waiting, _)| *waiting != number);
        self.length -= before - theirs.len();
        if theirs.is_empty() {
            self.waiting.remove(caller);
            self.turns.retain(|other| other != caller);
        }
    }
}

/// Somebody in line: gone, when dropped.
struct Leaves<'a> {
    inner: &'a Inner,
    caller: &'a Caller,
    number: u64,
}

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.inner.lock().leave(self.caller, self.number);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(inner) = self.0.take() else { return };
        loop {
            let next = {
                let mut line = inner.lock();
                let next = line.next();
                if next.is_none() {
                    line.free += 1;
                }
                next
            };
            let Some(next) = next else { return };
            match next.send(Place(Some(inner.clone()))) {
                Ok(()) => return,
                // It has left in this very moment, and the place is still ours to give.
                Err(mut place) => place.0 = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    fn callers() -> [Caller; 3] {
        ["a", "b", "c"].map(|key| Caller::with_key(key, b""))
    }

    #[tokio::test]
    async fn callers_take_turns_however_many_requests_one_of_them_has() {
        let queue = Queue::new(1, 100, LONG);
        let [a, b, c] = callers();
        let first = queue.enter(&a).await.unwrap();
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let tasks = tokio_util::task::TaskTracker::new();
        for (name, caller) in [("a1", &a), ("a2", &a), ("a3", &a), ("b1", &b), ("c1", &c), ("b2", &b)] {
            let (queue, caller, tell) = (queue.clone(), caller.clone(), tell.clone());
            let before = queue.state().0;
            tasks.spawn({
                let queue = queue.clone();
                async move {
                    let _place = queue.enter(&caller).await.unwrap();
                    tell.send(name).unwrap();
                }
            });
            while queue.state().0 == before {
                tokio::task::yield_now().await;
            }
        }
        drop((first, tell));
        let mut order = Vec::new();
        while let Some(name) = told.recv().await {
            order.push(name);
        }
        assert_eq!(order, ["a1", "b1", "c1", "a2", "b2", "a3"]);
        assert_eq!(queue.state(), (0, 1));
    }

    #[tokio::test]
    async fn a_line_has_an_end_and_so_has_patience() {
        let queue = Queue::new(1, 1, Duration::from_millis(50));
        let [a, ..] = callers();
        let place = queue.enter(&a).await.unwrap();
        let (waits, refused) = tokio::join!(queue.enter(&a), queue.enter(&a));
        assert_eq!(waits.unwrap_err().kind, Kind::QueueTimeout);
        let refused = refused.unwrap_err();
        assert_eq!((refused.kind, refused.retry_after), (Kind::QueueFull, Some(RETRY)));
        drop(place);
        assert_eq!(queue.state(), (0, 1));
    }

    #[tokio::test]
    async fn a_line_that_one_caller_has_filled_has_room_for_others_up_to_their_share() {
        let queue = Queue::new(1, 4, LONG);
        let [a, b, _] = callers();
        let place = queue.enter(&a).await.unwrap();
        let mut line: Vec<_> = (0..4).map(|_| Box::pin(queue.enter(&a))).collect();
        for waits in &mut line {
            assert!(futures_poll(waits).is_none());
        }
        let refused = |result: Option<Result<Place, Failure>>| result.unwrap().unwrap_err().kind;
        let mut theirs = [(); 3].map(|()| Box::pin(queue.enter(&b)));
        for (waits, newest) in theirs.iter_mut().zip([3, 2]) {
            assert!(futures_poll(waits).is_none());
            assert_eq!(refused(futures_poll(&mut line[newest])), Kind::QueueFull);
            assert_eq!(queue.state(), (4, 0));
        }
        assert_eq!(refused(futures_poll(&mut theirs[2])), Kind::QueueFull, "they have half of it");
        assert_eq!(refused(futures_poll(&mut Box::pin(queue.enter(&a)))), Kind::QueueFull);
        drop((line, theirs));
        assert_eq!(queue.state(), (0, 0));
        drop(place);
        assert_eq!(queue.state(), (0, 1));
    }

    #[tokio::test]
    async fn who_leaves_the_line_takes_no_place_with_it() {
        let queue = Queue::new(2, 10, LONG);
        let [a, b, _] = callers();
        let places = (queue.enter(&a).await.unwrap(), queue.enter(&a).await.unwrap());
        for _ in 0..3 {
            let mut waits = Box::pin(queue.enter(&b));
            assert!(futures_poll(&mut waits).is_none());
            assert_eq!(queue.state(), (1, 0));
            drop(waits);
            assert_eq!(queue.state(), (0, 0));
        }
        // One that was given its place, and left before it looked.
        let mut waits = Box::pin(queue.enter(&b));
        assert!(futures_poll(&mut waits).is_none());
        drop(places);
        drop(waits);
        assert_eq!(queue.state(), (0, 2));
    }

    fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}
