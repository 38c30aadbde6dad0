//! Sends the events of sessions to the Cylestio platform.
//!
//! The events are those of `event_recorder`; this is another end of them. Each is one request (`docs/cylestio.md`). They
//! leave on threads of their own, up to ten at once; those of one session one after another, so that they arrive in
//! their order. Requests and answers are in `platform`, the token in `token`, tries and waits in `delivery`.

use std::borrow::Cow;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use perimeter_interceptor::{Counter, Result};
use perimeter_recorder::events::{Event, Events, Sink};
use perimeter_redact::redact;

mod delivery;
mod platform;
mod queue;
mod settings;
mod token;

pub use delivery::Schedule;
pub use settings::{Secret, Settings, StartError};

use delivery::{Delivery, Loss};
use platform::{AT_ONCE, Platform};
use queue::Queue;
use token::Issuer;

/// Sends events to the platform.
pub struct CylestioTrace {
    delivery: Arc<Delivery>,
    redacts: bool,
    counters: [Counter; 3],
    threads: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for CylestioTrace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CylestioTrace").field("counters", &self.counters).finish_non_exhaustive()
    }
}

/// Events never arrived.
#[derive(Debug, thiserror::Error)]
#[error("{0} events did not reach the Cylestio platform")]
pub struct Undelivered(u64);

impl CylestioTrace {
    /// Prepares to send. Nobody is called before there is something to say.
    ///
    /// # Errors
    /// Where neither the settings nor the environment say an access key, or the environment says what cannot be.
    pub fn new(settings: Settings) -> Result<Self, StartError> {
        Self::with_schedule(settings, Schedule::default())
    }

    /// The same with other waits, as tests want it.
    ///
    /// # Errors
    /// As [`CylestioTrace::new`].
    pub fn with_schedule(settings: Settings, schedule: Schedule) -> Result<Self, StartError> {
        let settings = settings.with(|name| std::env::var(name).ok())?;
        settings.warn_of_plain_text();
        let agent = platform::agent(&settings);
        let key = settings.access_key.ok_or(StartError::NoKey)?;
        let issuer = settings.descope_base_url.ok_or(StartError::Issuer)?;
        tracing::info!(platform = settings.api_url, "events are sent to the Cylestio platform");
        let [sent, lost, bytes] = [
            Counter::new("cylestio_sent_total", "Events that the Cylestio platform took."),
            Counter::new("cylestio_lost_total", "Events that did not reach the Cylestio platform."),
            Counter::new("cylestio_queue_bytes", "Bytes of events on their way to the Cylestio platform."),
        ];
        let delivery = Delivery {
            queue: Queue::new(settings.queue, Arc::clone(&bytes.value)),
            issuer: Issuer::new(agent.clone(), &issuer, key, schedule.refused),
            platform: Platform::new(agent, &settings.api_url),
            schedule,
            sent: Arc::clone(&sent.value),
            lost: Arc::clone(&lost.value),
            said: Default::default(),
            hopeless: OnceLock::new(),
        };
        Ok(Self {
            delivery: Arc::new(delivery),
            redacts: settings.redact_credentials,
            counters: [sent, lost, bytes],
            threads: Vec::new(),
        })
    }

    /// What is to be hired.
    pub fn interceptor(self) -> Events<Self> {
        Events::to(self)
    }

    /// Starts another thread, where there is more to send at once than there are threads.
    fn help(&mut self) -> io::Result<()> {
        if self.threads.len() == AT_ONCE || !self.delivery.queue.wants_help() {
            return Ok(());
        }
        let delivery = Arc::clone(&self.delivery);
        let work = move || delivery.work();
        match thread::Builder::new().name("perimeter-cylestio".to_owned()).spawn(work) {
            Ok(thread) => self.threads.push(thread),
            // Those that there are will do.
            Err(_) if !self.threads.is_empty() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Sink for CylestioTrace {
    fn counters(&self) -> Vec<Counter> {
        self.counters.to_vec()
    }

    fn event(&mut self, event: Event) -> Result {
        let mut text = event.to_json();
        if self.redacts
            && let Cow::Owned(redacted) = redact(&text)
        {
            text = redacted;
        }
        if !self.delivery.queue.push(&event.session, text) {
            self.delivery.lose(&Loss::Full);
        }
        Ok(self.help()?)
    }

    fn finish(mut self) -> Result {
        let waiting = self.delivery.queue.close();
        if waiting > 0 {
            tracing::info!(waiting, "events are still on their way to the Cylestio platform");
        }
        if self.threads.is_empty() {
            // The system gave none.
            self.delivery.lost.fetch_add(waiting as u64, Relaxed);
        }
        for thread in self.threads.drain(..) {
            // It does not panic; and if it did, the others are waited for.
            let _ = thread.join();
        }
        match self.delivery.lost.load(Relaxed) {
            0 => Ok(()),
            lost => Err(Undelivered(lost).into()),
        }
    }
}

/// Nothing comes any more, also where nobody says so.
impl Drop for CylestioTrace {
    fn drop(&mut self) {
        self.delivery.queue.close();
    }
}
