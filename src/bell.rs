//! Tells whether something happened to a connection since it was last looked at, and who is to look.
//!
//! A client's connection is driven by one task, which has other things to look at, too; and hyper wakes itself when it
//! has passed on the end of a request. Each such ring would be a turn more in which nothing is found. So what rings while
//! the connection is looked at is looked at in that turn, and a turn in which nothing rang need not look.

use std::sync::atomic::{
    AtomicBool,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// So often something that rings for itself is looked at in one turn: others want theirs.
const LOOKS: usize = 4;

/// The bell of one connection.
#[derive(Debug)]
pub(crate) struct Bell {
    inner: Arc<Inner>,
    waker: Waker,
    /// Who looks next, so that it need not be asked of `inner` each time.
    task: Waker,
}

#[derive(Debug)]
struct Inner {
    rung: AtomicBool,
    /// Whether the connection is being looked at.
    inside: AtomicBool,
    /// Who looks next.
    task: Mutex<Waker>,
}

impl Wake for Inner {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, SeqCst);
        if !self.inside.load(SeqCst) {
            self.task.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
        }
    }
}

impl Bell {
    /// One that rings, for nobody.
    pub(crate) fn new() -> Self {
        let inner = Arc::new(Inner {
            rung: AtomicBool::new(true),
            inside: AtomicBool::new(false),
            task: Mutex::new(Waker::noop().clone()),
        });
        let waker = Waker::from(inner.clone());
        Self { inner, waker, task: Waker::noop().clone() }
    }

    /// Lets the next look find that something happened.
    pub(crate) fn ring(&self) {
        self.inner.rung.store(true, SeqCst);
    }

    /// Looks with `look`, if the bell rang. It rings for the task of `cx` from now on.
    pub(crate) fn answer<T>(
        &mut self,
        cx: &Context<'_>,
        mut look: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.set_task(cx.waker());
        // What rings from here on rings for that task.
        if !self.inner.rung.load(SeqCst) {
            return Poll::Pending;
        }
        self.inner.inside.store(true, Relaxed);
        let mut ours = Context::from_waker(&self.waker);
        let mut found = Poll::Pending;
        for _ in 0..LOOKS {
            if !self.inner.rung.swap(false, SeqCst) {
                break;
            }
            found = look(&mut ours);
            if found.is_ready() {
                // There may be more where that came from, and nobody rings for it.
                self.ring();
                break;
            }
        }
        self.inner.inside.store(false, SeqCst);
        // Whoever found something looks again anyhow.
        if found.is_pending() && self.inner.rung.load(SeqCst) {
            cx.waker().wake_by_ref();
        }
        found
    }

    fn set_task(&mut self, waker: &Waker) {
        if !self.task.will_wake(waker) {
            self.task.clone_from(waker);
            let mut task = self.inner.task.lock().unwrap_or_else(PoisonError::into_inner);
            task.clone_from(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    fn task() -> (Arc<Woken>, Waker) {
        let woken = Arc::new(Woken::default());
        (woken.clone(), Waker::from(woken))
    }

    #[test]
    fn it_is_answered_once_for_each_time_it_rang() {
        let (woken, waker) = task();
        let (cx, mut bell) = (Context::from_waker(&waker), Bell::new());
        let mut looks = 0;
        let mut answer = |bell: &mut Bell| {
            let _ = bell.answer(&cx, |_| -> Poll<()> {
                looks += 1;
                Poll::Pending
            });
            looks
        };
        assert_eq!(answer(&mut bell), 1, "a new one rings");
        assert_eq!(answer(&mut bell), 1, "nothing happened");
        bell.waker.wake_by_ref();
        assert_eq!((answer(&mut bell), woken.0.load(SeqCst)), (2, 1));
        assert_eq!(answer(&mut bell), 2, "nothing happened since");
    }

    #[test]
    fn what_rings_while_somebody_looks_is_looked_at_in_the_same_turn() {
        let (woken, waker) = task();
        let (cx, mut bell) = (Context::from_waker(&waker), Bell::new());
        let mut looks = 0;
        let found = bell.answer(&cx, |ours| {
            looks += 1;
            ours.waker().wake_by_ref();
            if looks < 3 { Poll::Pending } else { Poll::Ready(looks) }
        });
        assert_eq!((found, woken.0.load(SeqCst)), (Poll::Ready(3), 0));
    }

    #[test]
    fn what_rings_for_ever_gives_others_their_turn() {
        let (woken, waker) = task();
        let (cx, mut bell) = (Context::from_waker(&waker), Bell::new());
        let mut looks = 0;
        let found: Poll<()> = bell.answer(&cx, |ours| {
            looks += 1;
            ours.waker().wake_by_ref();
            Poll::Pending
        });
        assert_eq!((found, looks, woken.0.load(SeqCst)), (Poll::Pending, LOOKS, 1));
    }
}
