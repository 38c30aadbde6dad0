//! The [`events`](crate::events) of sessions in memory, for tests.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use perimeter_interceptor::Result;
use perimeter_settings::size;
use serde::Deserialize;
use serde_json::Value;

use crate::events::{Event, Events, Sink};

/// Keeps events in memory, the latest of them. Clones share what they keep: one is hired, as
/// [`interceptor`](Self::interceptor), and another asked.
///
/// ```
/// use perimeter_interceptor::testing::{play, scenes};
/// use perimeter_recorder::TestRecorder;
///
/// let recorder = TestRecorder::default();
/// play(recorder.interceptor(), scenes::whole()).assert_faultless();
/// let names: Vec<_> = recorder.events().iter().map(|event| event["name"].clone()).collect();
/// assert_eq!(names, ["session.start", "llm.call.start", "llm.call.finish"]);
/// assert_eq!(recorder.sessions().len(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct TestRecorder {
    kept: Arc<Kept>,
}

/// What a [`TestRecorder`] keeps.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How many events are kept; the oldest go first.
    pub max_events: usize,
    /// How many bytes all of them may hold.
    #[serde(deserialize_with = "size::deserialize")]
    pub max_size: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_events: 10_000, max_size: 64 << 20 }
    }
}

#[derive(Debug)]
struct Kept {
    settings: Settings,
    events: Mutex<Latest>,
    more: Condvar,
}

/// The latest events.
#[derive(Debug, Default)]
struct Latest {
    events: VecDeque<Event>,
    size: u64,
}

impl Latest {
    fn push(&mut self, event: Event, settings: &Settings) {
        self.size += event.size() as u64;
        self.events.push_back(event);
        while self.events.len() > settings.max_events || self.size > settings.max_size {
            let Some(oldest) = self.events.pop_front() else { break };
            self.size -= oldest.size() as u64;
        }
    }
}

impl TestRecorder {
    /// Keeps as much as this says.
    pub fn new(settings: &Settings) -> Self {
        let settings = settings.clone();
        let kept = Kept { settings, events: Mutex::default(), more: Condvar::new() };
        Self { kept: Arc::new(kept) }
    }

    /// What is to be hired.
    pub fn interceptor(&self) -> Events<Self> {
        Events::to(self.clone())
    }

    /// All events, as JSON, in their order. An attribute that holds what a [`Value`] cannot, such as 1e400 or more than
    /// a hundred levels, is the text of its JSON.
    pub fn events(&self) -> Vec<Value> {
        self.lock().events.iter().map(json).collect()
    }

    /// The events of this session.
    pub fn by_session(&self, id: &str) -> Vec<Value> {
        self.lock().events.iter().filter(|event| &*event.session == id).map(json).collect()
    }

    /// The sessions that there are events of, in the order of their first.
    pub fn sessions(&self) -> Vec<Arc<str>> {
        let mut sessions: Vec<Arc<str>> = Vec::new();
        for event in self.lock().events.iter() {
            if !sessions.contains(&event.session) {
                sessions.push(Arc::clone(&event.session));
            }
        }
        sessions
    }

    /// Forgets all events.
    pub fn reset(&self) {
        *self.lock() = Latest::default();
    }

    /// Waits until `enough` is true of the events, but no longer than `within`, and gives them: whether it is or not.
    pub fn wait(&self, within: Duration, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + within;
        let mut kept = self.lock();
        loop {
            let events: Vec<_> = kept.events.iter().map(json).collect();
            let left = deadline.saturating_duration_since(Instant::now());
            if enough(&events) || left.is_zero() {
                return events;
            }
            kept = self.kept.more.wait_timeout(kept, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Latest> {
        self.kept.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for TestRecorder {
    fn default() -> Self {
        Self::new(&Settings::default())
    }
}

/// What no [`Value`] can hold, such as 1e400, makes a text of its attribute.
fn json(event: &Event) -> Value {
    let mut json = serde_json::to_value(event.envelope()).unwrap_or_default();
    let attributes = event.attributes.iter().map(|(name, value)| {
        let text = || Value::String(value.get().to_owned());
        (name.to_owned(), serde_json::from_str(value.get()).unwrap_or_else(|_| text()))
    });
    json["attributes"] = Value::Object(attributes.collect());
    json
}

impl Sink for TestRecorder {
    fn event(&mut self, event: Event) -> Result {
        self.lock().push(event, &self.kept.settings);
        self.kept.more.notify_all();
        Ok(())
    }
}
