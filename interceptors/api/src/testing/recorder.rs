use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::host::{Notice, What};
use crate::{
    BodyEnd, Cx, End, Exchange, Failure, Interceptor, Interest, LlmEvent, Peer, RequestHead, ResponseHead,
    Result, SessionEnd, Upgrade,
};

/// An interceptor that keeps everything it is told, for the tests of whoever tells: clones share what they keep, so
/// one is hired and another asked.
///
/// ```
/// use perimeter_interceptor::testing::{Recorder, Script, assert_legal, play, scenes};
///
/// let recorder = Recorder::new();
/// let script: Script = scenes::all().into_iter().collect();
/// play(recorder.clone(), script.clone()).assert_faultless();
/// assert_legal(&recorder.notices());
/// assert_eq!(recorder.notices(), script.notices());
///
/// let session = &recorder.sessions()[0];
/// assert!(recorder.by_session(session).len() < recorder.events().len());
/// recorder.reset();
/// assert!(recorder.notices().is_empty());
/// ```
///
/// What these notices come to, as the events of sessions, is kept by the `TestRecorder` of `perimeter-recorder`.
#[derive(Clone, Debug)]
pub struct Recorder {
    interest: Interest,
    kept: Arc<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    notices: Mutex<Vec<Notice>>,
    more: Condvar,
}

impl Recorder {
    /// Keeps everything.
    pub fn new() -> Self {
        Self::of(Interest::ALL)
    }

    /// Keeps what this interest brings.
    pub fn of(interest: Interest) -> Self {
        Self { interest, kept: Arc::default() }
    }

    /// What it was told so far.
    pub fn notices(&self) -> Vec<Notice> {
        self.kept().clone()
    }

    /// What it was told of the model's API, in order.
    pub fn events(&self) -> Vec<LlmEvent> {
        self.kept().iter().filter_map(|notice| llm(notice).map(|(_, event)| event.clone())).collect()
    }

    /// The events of the calls of this session.
    pub fn by_session(&self, id: &str) -> Vec<LlmEvent> {
        let mut theirs = HashSet::new();
        let kept = self.kept();
        let events = kept.iter().filter_map(llm).filter(|(exchange, event)| {
            let call = (exchange.id, event.call());
            match event {
                LlmEvent::Call(asked) if &*asked.session.id == id => theirs.insert(call),
                _ => theirs.contains(&call),
            }
        });
        events.map(|(_, event)| event.clone()).collect()
    }

    /// The sessions of the calls it was told of, in the order of their first.
    pub fn sessions(&self) -> Vec<Arc<str>> {
        let mut sessions = Vec::new();
        for (_, event) in self.kept().iter().filter_map(llm) {
            if let LlmEvent::Call(call) = event
                && !sessions.contains(&call.session.id)
            {
                sessions.push(Arc::clone(&call.session.id));
            }
        }
        sessions
    }

    /// Forgets what it was told so far.
    pub fn reset(&self) {
        self.kept().clear();
    }

    /// Waits until what it was told is `enough`, but no longer than `within`, and gives it.
    ///
    /// # Panics
    /// If it is not enough by then.
    #[track_caller]
    pub fn wait(&self, within: Duration, enough: impl Fn(&[Notice]) -> bool) -> Vec<Notice> {
        let deadline = Instant::now() + within;
        let mut kept = self.kept();
        while !enough(&kept) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "after {within:?} this is not enough: {kept:#?}");
            kept = self.kept.more.wait_timeout(kept, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        kept.clone()
    }

    /// Waits until so many exchanges have ended, but no longer than `within`, and gives what it was told.
    ///
    /// # Panics
    /// If there are fewer by then.
    #[track_caller]
    pub fn wait_for_ends(&self, ends: usize, within: Duration) -> Vec<Notice> {
        self.wait(within, |notices| notices.iter().filter(|notice| is_end(notice)).count() >= ends)
    }

    fn keep(&self, cx: Cx<'_>, exchange: &Arc<Exchange>, what: What) -> Result {
        self.keep_notice(Notice::Exchange { exchange: Arc::clone(exchange), elapsed: cx.elapsed, what })
    }

    fn keep_notice(&self, notice: Notice) -> Result {
        self.kept().push(notice);
        self.kept.more.notify_all();
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Notice>> {
        // A test's own closure may have panicked while looking.
        self.kept.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

fn llm(notice: &Notice) -> Option<(&Exchange, &LlmEvent)> {
    match notice {
        Notice::Exchange { exchange, what: What::Llm(event), .. } => Some((exchange, event)),
        _ => None,
    }
}

fn is_end(notice: &Notice) -> bool {
    matches!(notice, Notice::Exchange { what: What::End(_), .. })
}

impl Interceptor for Recorder {
    type State = Arc<Exchange>;

    fn interest(&self) -> Interest {
        self.interest
    }

    fn on_request_head(&mut self, cx: Cx<'_>, head: &RequestHead) -> Result<Option<Arc<Exchange>>> {
        let exchange = Arc::new(cx.exchange.clone());
        self.keep(cx, &exchange, What::RequestHead(Arc::new(head.clone())))?;
        Ok(Some(exchange))
    }

    fn on_request_chunk(&mut self, cx: Cx<'_>, of: &mut Arc<Exchange>, chunk: &Bytes) -> Result {
        self.keep(cx, of, What::RequestChunk(chunk.clone()))
    }

    fn on_request_end(&mut self, cx: Cx<'_>, of: &mut Arc<Exchange>, end: &BodyEnd) -> Result {
        self.keep(cx, of, What::RequestEnd(end.clone()))
    }

    fn on_response_head(&mut self, cx: Cx<'_>, of: &mut Arc<Exchange>, head: &ResponseHead) -> Result {
        self.keep(cx, of, What::ResponseHead(Arc::new(head.clone())))
    }

    fn on_response_chunk(&mut self, cx: Cx<'_>, of: &mut Arc<Exchange>, chunk: &Bytes) -> Result {
        self.keep(cx, of, What::ResponseChunk(chunk.clone()))
    }

    fn on_llm(&mut self, cx: Cx<'_>, of: &mut Arc<Exchange>, event: &LlmEvent) -> Result {
        self.keep(cx, of, What::Llm(event.clone()))
    }

    fn on_upgrade(&mut self, cx: Cx<'_>, of: &mut Arc<Exchange>, upgrade: &Upgrade) -> Result {
        self.keep(cx, of, What::Upgrade(Arc::new(upgrade.clone())))
    }

    fn on_upgraded_chunk(&mut self, cx: Cx<'_>, of: &mut Arc<Exchange>, from: Peer, chunk: &Bytes) -> Result {
        self.keep(cx, of, What::UpgradedChunk(from, chunk.clone()))
    }

    fn on_failure(&mut self, cx: Cx<'_>, of: &mut Arc<Exchange>, failure: &Failure) -> Result {
        self.keep(cx, of, What::Failure(Arc::new(failure.clone())))
    }

    fn on_end(&mut self, cx: Cx<'_>, of: Arc<Exchange>, end: &End) -> Result {
        self.keep(cx, &of, What::End(end.clone()))
    }

    fn on_session_end(&mut self, session: &SessionEnd) -> Result {
        self.keep_notice(Notice::SessionEnd(Arc::new(session.clone())))
    }
}
