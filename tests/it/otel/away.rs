//! A backend that is away, and comes back.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::trace::v1::Span;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::collector::{Collector, Reply};
use super::spoken::completion;
use super::stage::{Ask, call, exporting, settings};
use super::told::{KEYS, contains};
use crate::support::{Provider, Proxy};

/// So many calls pass at a time.
const MANY: usize = 40;

/// One call a batch, with what was said, and little room in memory.
fn small(spool: &Path) -> Value {
    json!({"content": {"capture": "span"}, "compression": "none", "trace": {"spans": "calls"}, "batch": {"max_spans": 1, "interval": "5ms"}, "queue": "8KiB",
        "metrics_interval": "1h", "signals": {"logs": false}, "spool": {"directory": spool}})
}

fn start(provider: &Provider, collector: &Collector, settings_of: &Value) -> Proxy {
    Proxy::to(provider).yaml(&exporting(&settings(collector, settings_of))).start()
}

/// Calls with these numbers pass, each with a secret.
fn pass(provider: &Provider, proxy: &Proxy, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let ask = Ask::chat(&format!("Hello {}", KEYS[2]))
            .with(&format!("x-perimeter-session-id: {}", name(number)));
        call(provider, proxy, &ask, (200, &completion("Hi")));
    }
}

/// The session of the call with this number.
fn name(number: usize) -> String {
    format!("call-{number:03}")
}

/// Asserts that those with these numbers came, each once.
#[track_caller]
fn assert_came(spans: &[Span], numbers: impl IntoIterator<Item = usize>) {
    let session = |span: &Span| super::told::attribute(span, "session.id").as_str().unwrap().to_owned();
    let came: Vec<_> = spans.iter().map(session).collect();
    let each: BTreeSet<_> = came.iter().cloned().collect();
    assert_eq!(came.len(), each.len(), "some came twice: {came:?}");
    assert_eq!(each, numbers.into_iter().map(name).collect(), "others came");
}

/// What a counter of spans says.
fn counted(proxy: &Proxy, what: &str) -> f64 {
    let page = proxy.admin("/metrics").body;
    let lines = page.lines().filter(|line| line.starts_with(&format!("perimeter_otlp_{what}{{")));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// Waits until so many bytes wait on disk.
#[track_caller]
fn wait_for_spool(proxy: &Proxy, bytes: u32) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while counted(proxy, "spool_bytes") < f64::from(bytes) {
        assert!(Instant::now() < deadline, "{}", proxy.admin("/metrics").body);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the exporter has taken in all of the first calls.
#[track_caller]
fn settle(proxy: &Proxy) {
    proxy.wait_for_metric("perimeter_session_calls_total{relation=\"opening\"}", MANY as f64);
    for queue in ["journal", "scribe", "trace_exporter"] {
        proxy.wait_for_metric(&format!("perimeter_queue_bytes{{queue=\"{queue}\"}}"), 0.0);
    }
}

/// All that lies on disk.
fn spooled(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(spooled(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap_or_default();
            found.push((path, bytes));
        }
    }
    found
}

#[test]
fn a_backend_that_is_away_and_back_gets_everything_once() {
    let (provider, mut collector) = (Provider::start(), Collector::start());
    let spool = tempfile::tempdir().unwrap();
    let proxy = start(&provider, &collector, &small(spool.path()));
    pass(&provider, &proxy, 0..MANY);
    collector.wait_for_spans(MANY);
    collector.die();
    pass(&provider, &proxy, MANY..2 * MANY);
    wait_for_spool(&proxy, 16 << 10);
    let files = spooled(spool.path());
    assert!(files.iter().any(|(_, bytes)| contains(bytes, b"ghp_[REDACTED]")), "what was said is in them");
    for (path, bytes) in files {
        for key in KEYS {
            assert!(!contains(&bytes, key.as_bytes()), "a secret is in {path:?}");
        }
    }
    collector.come_back();
    let spans = collector.wait_for_spans(2 * MANY);
    assert_came(&spans, 0..2 * MANY);
    assert_eq!((counted(&proxy, "lost_total"), counted(&proxy, "failed_total")), (0.0, 0.0));
    let exit = proxy.stop();
    assert_came(&collector.spans(), 0..2 * MANY);
    assert_eq!(spooled(spool.path()).len(), 0, "{}", exit.stderr);
}

#[test]
fn what_is_left_at_a_stop_is_sent_by_the_next_start() {
    let (provider, mut collector) = (Provider::start(), Collector::start());
    let spool = tempfile::tempdir().unwrap();
    collector.die();
    let proxy = start(&provider, &collector, &small(spool.path()));
    pass(&provider, &proxy, 0..MANY);
    let exit = proxy.stop();
    let files = spooled(spool.path());
    let is_there = |number: &usize| files.iter().any(|(_, bytes)| contains(bytes, name(*number).as_bytes()));
    assert_eq!((0..MANY).filter(is_there).count(), MANY, "{}", exit.stderr);
    collector.come_back();
    let proxy = start(&provider, &collector, &small(spool.path()));
    collector.wait_for_spans(MANY);
    pass(&provider, &proxy, MANY..MANY + 5);
    proxy.stop();
    assert_came(&collector.spans(), 0..MANY + 5);
    assert_eq!(spooled(spool.path()).len(), 0);
}

#[test]
fn what_a_killed_proxy_had_spooled_is_sent_by_the_next_start() {
    let (provider, mut collector) = (Provider::start(), Collector::start());
    let spool = tempfile::tempdir().unwrap();
    collector.die();
    let mut proxy = start(&provider, &collector, &small(spool.path()));
    pass(&provider, &proxy, 0..MANY);
    wait_for_spool(&proxy, 16 << 10);
    proxy.signal(Signal::KILL);
    assert_eq!(proxy.exit().code, None);
    // It may have been killed while it wrote one.
    let is_whole = |(path, _): &(PathBuf, _)| path.extension().is_some_and(|end| end == "otlp");
    let files: Vec<_> = spooled(spool.path()).into_iter().filter(is_whole).collect();
    let in_files = |number: &usize| files.iter().any(|(_, bytes)| contains(bytes, name(*number).as_bytes()));
    let numbers: Vec<_> = (0..MANY).filter(in_files).collect();
    assert!(!numbers.is_empty() && numbers.len() == files.len());
    collector.come_back();
    let proxy = start(&provider, &collector, &small(spool.path()));
    collector.wait_for_spans(numbers.len());
    proxy.stop();
    // What was in memory is gone.
    assert_came(&collector.spans(), numbers);
    assert_eq!(spooled(spool.path()).len(), 0);
}

#[test]
fn a_backend_that_never_answers_keeps_a_proxy_that_stops_no_longer_than_it_may() {
    let (provider, collector) = (Provider::start(), Collector::start());
    let spool = tempfile::tempdir().unwrap();
    collector.always(Reply::Hang);
    let mut patient = small(spool.path());
    patient["timeout"] = json!("10m");
    let yaml = format!("{}server: {{flush: 2s}}\n", exporting(&settings(&collector, &patient)));
    let proxy = Proxy::to(&provider).yaml(&yaml).start();
    pass(&provider, &proxy, 0..MANY);
    settle(&proxy);
    // It ends within the test's own patience, which is far less than what a request may take.
    proxy.stop();
    assert!(collector.spans().is_empty());
    collector.always(Reply::Take);
    let proxy = start(&provider, &collector, &small(spool.path()));
    collector.wait_for_spans(MANY);
    proxy.stop();
    assert_came(&collector.spans(), 0..MANY);
}

#[test]
fn what_there_is_no_room_for_is_counted_and_said_when_it_begins_and_when_it_is_over() {
    let (provider, mut collector) = (Provider::start(), Collector::start());
    let mut without = small(Path::new("/nowhere"));
    without["spool"] = json!({"enabled": false});
    collector.die();
    let proxy = start(&provider, &collector, &without);
    pass(&provider, &proxy, 0..MANY);
    proxy.wait_for_log(|line| line.contains("WARN") && line.contains("telemetry is lost"));
    settle(&proxy);
    collector.come_back();
    proxy.wait_for_log(|line| line.contains("INFO") && line.contains("telemetry is not lost any more"));
    let lost = wait_for_all_of(&proxy, MANY);
    assert!(lost > 0);
    assert_eq!(collector.spans().len() + lost, MANY);
    let exit = proxy.stop();
    assert_eq!(exit.stderr.matches("telemetry is lost").count(), 1, "{}", exit.stderr);
    assert_eq!(exit.stderr.matches("telemetry is not lost any more").count(), 1, "{}", exit.stderr);
}

/// Waits until so many spans were sent or lost; says how many were lost.
#[track_caller]
fn wait_for_all_of(proxy: &Proxy, spans: usize) -> usize {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let lost = counted(proxy, "lost_total");
        if counted(proxy, "sent_total") + lost >= spans as f64 {
            return lost as usize;
        }
        assert!(Instant::now() < deadline, "{}", proxy.admin("/metrics").body);
        std::thread::sleep(Duration::from_millis(5));
    }
}
