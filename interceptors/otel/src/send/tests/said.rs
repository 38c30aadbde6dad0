//! What is logged: each thing once, and no secret.

use std::fmt::{self, Write};
use std::sync::{Mutex, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::*;

/// What all tests of this process have logged.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Log;

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| tracing::subscriber::set_global_default(Log).unwrap());
}

/// What was logged of this backend.
fn said_of(collector: &Collector) -> Vec<String> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let is_of =
        |line: &&String| ["/", "\""].iter().any(|end| line.contains(&format!("{}{end}", collector.url())));
    lines.iter().filter(is_of).cloned().collect()
}

#[test]
fn a_refusal_is_said_once_for_each_status_with_the_backends_words_and_no_secret_of_ours() {
    listen();
    let collector = Collector::start();
    for status in [400, 400, 401, 400] {
        collector.once(Reply::Status(status, Vec::new(), b"not with aHVudGVyMg==".to_vec()));
    }
    let settings = json!({"headers": {"authorization": "Basic aHVudGVyMg=="}});
    let mut outbox = Outbox::new(&single(&collector.url(), None, settings)).unwrap();
    (0..5).for_each(|number| outbox.put(span(number)));
    outbox.finish();
    let said = said_of(&collector);
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(said[0].starts_with("INFO") && said[0].contains("telemetry is sent traces="), "{said:#?}");
    assert!(said[1].starts_with("WARN") && said[1].contains("status 400: not with [REDACTED]"), "{said:#?}");
    assert!(said[2].contains("status 401") && !said.concat().contains("aHVudGVyMg"), "{said:#?}");
}

#[test]
fn a_web_page_in_place_of_an_answer_is_said() {
    listen();
    let collector = Collector::start();
    let html = vec![("content-type", "text/html; charset=utf-8".to_owned())];
    collector.always(Reply::Status(200, html, b"<!doctype html><h1>Log in</h1>".to_vec()));
    let mut outbox = Outbox::new(&single(&collector.url(), None, json!({}))).unwrap();
    (0..5).for_each(|number| outbox.put(span(number)));
    outbox.finish();
    let said = said_of(&collector);
    assert!(said.len() == 2 && said[1].contains("web page"), "{said:#?}");
}

#[test]
fn a_spool_that_cannot_be_written_to_is_said_once_with_its_name_and_why() {
    listen();
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("a file in place of a spool");
    std::fs::write(&spool, "x").unwrap();
    let settings = json!({"queue": 100});
    let mut outbox = Outbox::new(&single(&nobody(), Some(&spool), settings)).unwrap();
    (0..20).for_each(|number| outbox.put(span(number)));
    outbox.finish();
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let said: Vec<_> = lines.iter().filter(|line| line.contains(spool.to_str().unwrap())).collect();
    let unwritable: Vec<_> = said.iter().filter(|line| line.contains("cannot be written to")).collect();
    assert!(unwritable.len() == 1 && unwritable[0].contains("error="), "{said:#?}");
}

#[test]
fn what_only_memory_holds_when_it_stops_is_said_before_it_is_lost_and_how_much_it_was() {
    listen();
    let settings = json!({"timeout": "2500ms", "protocol": "grpc", "endpoint": nobody()});
    let mut outbox = Outbox::new(&single(&nobody(), None, settings)).unwrap();
    (0..314_159).step_by(100).for_each(|number| outbox.put(span(number)));
    let bytes = count(&outbox.counters(), "otlp_queue_bytes");
    outbox.finish();
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let said = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
    assert_eq!(said(&format!("memory holds is lost unless the backend takes it now bytes={bytes}")), 1);
    assert_eq!(said("were lost in all lost=3142"), 1);
    let away: Vec<_> =
        lines.iter().filter(|line| line.contains("connect error: Connection refused")).collect();
    assert!(
        !away.is_empty() && away.iter().all(|line| line.matches("connect error").count() == 1),
        "{away:#?}"
    );
}

#[test]
fn that_a_backend_is_away_and_back_is_said_once_each_whatever_is_sent_to_it() {
    listen();
    let mut collector = Collector::start();
    collector.die();
    let mut outbox = Outbox::new(&single(&collector.url(), None, json!({}))).unwrap();
    let counters = outbox.counters();
    outbox.put(Item::Log(Box::new(a_log(0))));
    outbox.put(Item::Metrics(vec![a_metric(1)]));
    (0..5).for_each(|number| outbox.put(span(number)));
    wait_for_count(&counters, "otlp_retries_total", 9);
    collector.come_back();
    collector.wait_for_spans(5);
    outbox.finish();
    let said = said_of(&collector);
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(said[1].starts_with("WARN") && said[1].contains("does not answer"), "{said:#?}");
    assert!(said[2].starts_with("INFO") && said[2].contains("answers again"), "{said:#?}");
}

#[test]
fn a_loss_is_said_when_it_begins_and_when_it_is_over() {
    listen();
    let counts = super::super::Counts::new();
    let why = "a reason of this test only";
    let said = |words: &str| {
        let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter(|line| line.contains(words)).count()
    };
    (0..100).for_each(|_| counts.lost(271_828, why));
    counts.sent(1);
    counts.sent(1);
    assert_eq!((said(why), said("lost=27182800")), (1, 1));
    counts.lost(1, why);
    assert_eq!(said(why), 2, "another time");
}
