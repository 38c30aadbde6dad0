//! An interceptor at work, and what the program says while it is.

use std::io::{self, Write};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use perimeter_cylestio_trace::{CylestioTrace, Schedule, Settings};
use perimeter_interceptor::host::Desk;
use perimeter_interceptor::testing::{Scene, Script, scenes};
use perimeter_interceptor::{Counter, Interceptor as _};
use perimeter_recorder::events::Events;
use serde_json::{Value, json};

use crate::platform::Platform;

pub(crate) const KEY: &str = "K2-the-access-key";

/// Waits that tests can wait for.
pub(crate) fn quick() -> Schedule {
    let mut schedule = Schedule::default();
    schedule.first = Duration::from_millis(1);
    schedule.refused = Duration::ZERO;
    schedule
}

pub(crate) fn settings(platform: &Platform, more: Value) -> Settings {
    let url = platform.url();
    let mut settings = json!({"api_url": url, "descope_base_url": url, "access_key": KEY, "timeout": 30});
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(settings).unwrap()
}

pub(crate) fn trace(platform: &Platform) -> Events<CylestioTrace> {
    listen();
    CylestioTrace::with_schedule(settings(platform, json!({})), quick()).unwrap().interceptor()
}

/// Three events of this session.
pub(crate) fn call(session: &str) -> Scene {
    scenes::whole().in_session(session)
}

/// An interceptor that is told one thing after another.
pub(crate) struct Hired {
    desk: Desk<Events<CylestioTrace>>,
    counters: Vec<Counter>,
}

impl Hired {
    pub(crate) fn new(interceptor: Events<CylestioTrace>) -> Self {
        let counters = interceptor.counters();
        let interest = interceptor.interest();
        Self { desk: Desk::new(interceptor, interest), counters }
    }

    pub(crate) fn tell(&mut self, script: impl Into<Script>) {
        for notice in script.into().notices() {
            self.desk.take(&notice).unwrap();
        }
    }

    /// What this counter says: `sent_total`, `lost_total`, `queue_bytes`.
    pub(crate) fn count(&self, name: &str) -> u64 {
        let counter = |counter: &&Counter| counter.name == format!("cylestio_{name}");
        self.counters.iter().find(counter).unwrap().value.load(Relaxed)
    }

    /// Waits until so many events are sent and so many lost.
    pub(crate) fn wait(&self, sent: u64, lost: u64) {
        until(|| (self.count("sent_total"), self.count("lost_total")) == (sent, lost));
    }

    /// Stops it: the error's words, where it is one.
    pub(crate) fn stop(self) -> Result<(), String> {
        self.desk.shut_down().map_err(|fault| format!("{:?}", fault.what))
    }
}

pub(crate) fn until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "it does not come");
        thread::sleep(Duration::from_millis(2));
    }
}

/// All that is logged, by every test of this program.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn listen() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        let writer = log.clone();
        let ours = tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone());
        ours.init();
        log
    })
}

pub(crate) fn logged() -> String {
    String::from_utf8(listen().0.lock().unwrap().clone()).unwrap()
}
