//! Whether a bridge could answer: found out once for all who ask meanwhile, and not waited for without end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::{Backend, Readiness};

/// How long whoever asks waits: those who watch over a proxy do not wait for long either.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks whether the bridge could answer.
#[derive(Clone)]
pub(crate) struct IsReady(Arc<Inner>);

struct Inner {
    backend: Arc<dyn Backend>,
    /// Where it lives.
    home: Handle,
    /// Stopping does not wait for these.
    tasks: TaskTracker,
    patience: Duration,
    /// What is being found out, or was last.
    asked: Mutex<watch::Receiver<Option<Readiness>>>,
}

impl std::fmt::Debug for IsReady {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IsReady").finish_non_exhaustive()
    }
}

impl IsReady {
    /// Asks `backend`, which lives at `home`.
    pub(super) fn new(backend: Arc<dyn Backend>, home: Handle) -> Self {
        let (_, asked) = watch::channel(None);
        let (tasks, asked) = (TaskTracker::new(), Mutex::new(asked));
        Self(Arc::new(Inner { backend, home, tasks, patience: PATIENCE, asked }))
    }

    /// Asks, and says after a while that there is no answer yet. Who stops waiting does not keep others from hearing
    /// what is found out.
    pub(crate) async fn ask(&self) -> Readiness {
        let patience = self.0.patience;
        tokio::time::timeout(patience, self.find_out()).await.unwrap_or_else(|_| {
            let patience = patience.as_secs_f32();
            unknown(format!("the bridge has not said within {patience} s what it lacks: ask again"))
        })
    }

    /// Asks, and waits for as long as it takes.
    pub(super) async fn find_out(&self) -> Readiness {
        let mut asked = self.0.ask();
        let told = asked.wait_for(Option::is_some).await.ok().and_then(|told| told.clone());
        told.unwrap_or_else(|| unknown("the bridge could not be asked: see the log".to_owned()))
    }
}

fn unknown(missing: String) -> Readiness {
    Readiness { ready: false, missing, detail: Value::Null }
}

impl Inner {
    fn ask(&self) -> watch::Receiver<Option<Readiness>> {
        let mut last = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_open = last.has_changed().is_ok() && last.borrow().is_none();
        if !is_open {
            let (tell, asked) = watch::channel(None);
            let backend = self.backend.clone();
            let find_out = async move {
                // Whoever asked may have left.
                tell.send_replace(Some(backend.readiness().await));
            };
            self.tasks.spawn_on(find_out, &self.home);
            *last = asked;
        }
        last.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use tokio::sync::Semaphore;

    use super::*;
    use crate::upstream::bridge::model::Model;
    use crate::upstream::bridge::{Ask, Count, Failure, Later, Models, Out};

    /// Says so once it is let.
    struct Slow {
        models: Models,
        asked: AtomicUsize,
        may: Semaphore,
    }

    impl Backend for Slow {
        fn name(&self) -> &'static str {
            "slow"
        }

        fn places(&self) -> usize {
            1
        }

        fn models(&self) -> &Models {
            &self.models
        }

        fn check(&self, _: &mut Ask, _: &Model, _: bool) -> Result<(), Failure> {
            Ok(())
        }

        fn answer(self: Arc<Self>, _: Ask, _: Out) -> Later<Result<(), Failure>> {
            Box::pin(std::future::ready(Ok(())))
        }

        fn count(self: Arc<Self>, _: Ask) -> Later<Result<Count, Failure>> {
            Box::pin(std::future::ready(Ok(Count { tokens: 0, estimated: true })))
        }

        fn readiness(self: Arc<Self>) -> Later<Readiness> {
            Box::pin(async move {
                self.asked.fetch_add(1, SeqCst);
                self.may.acquire().await.unwrap().forget();
                Readiness { ready: true, missing: String::new(), detail: Value::Null }
            })
        }
    }

    fn slow(patience: Duration) -> (Arc<Slow>, IsReady) {
        let (asked, may) = (AtomicUsize::new(0), Semaphore::new(0));
        let backend = Arc::new(Slow { models: Models::default(), asked, may });
        let mut ready = IsReady::new(backend.clone(), Handle::current());
        Arc::get_mut(&mut ready.0).unwrap().patience = patience;
        (backend, ready)
    }

    #[tokio::test]
    async fn nobody_waits_for_long_and_what_was_begun_goes_on_for_those_who_ask_later() {
        let (backend, ready) = slow(Duration::from_millis(20));
        for _ in 0..3 {
            let readiness = ready.ask().await;
            assert!(!readiness.ready && readiness.missing.contains("ask again"), "{}", readiness.missing);
        }
        assert_eq!(backend.asked.load(SeqCst), 1);
    }

    #[tokio::test]
    async fn all_who_ask_at_once_hear_what_is_found_out_once() {
        let (backend, ready) = slow(Duration::from_secs(600));
        let first = tokio::time::timeout(Duration::from_millis(20), ready.ask()).await;
        assert!(first.is_err(), "it has left");
        backend.may.add_permits(1);
        let (one, other) = tokio::join!(ready.ask(), ready.ask());
        assert!(one.ready && other.ready);
        assert_eq!(backend.asked.load(SeqCst), 1);
        backend.may.add_permits(1);
        assert!(ready.ask().await.ready, "and anew, when all have heard");
        assert_eq!(backend.asked.load(SeqCst), 2);
    }
}
