//! The end.

use std::fs;

use super::*;

#[test]
fn what_is_left_when_it_stops_is_delivered() {
    for spool in [None, Some(tempfile::tempdir().unwrap())] {
        let collector = Collector::start();
        let spool = spool.as_ref().map(|spool| spool.path());
        let mut settings = json!({"endpoint": collector.url()});
        settings["spool"] = json!({"enabled": spool.is_some(), "directory": spool});
        let mut outbox = Outbox::new(&effective(settings)).unwrap();
        (0..100).for_each(|number| outbox.put(span(number)));
        outbox.finish();
        assert_eq!(collector.spans().len(), 100);
        assert!(spool.is_none_or(|spool| fs::read_dir(spool).unwrap().count() == 0));
    }
}

#[test]
fn what_a_backend_does_not_take_when_it_stops_is_sent_by_the_next_run() {
    let spool = tempfile::tempdir().unwrap();
    let mut collector = Collector::start();
    collector.die();
    // Without the spool this would be how long it tried.
    let settings = json!({"timeout": "10m"});
    let effective = single(&collector.url(), Some(spool.path()), settings);
    let mut outbox = Outbox::new(&effective).unwrap();
    let counters = outbox.counters();
    (0..5).for_each(|number| outbox.put(span(number)));
    outbox.finish();
    assert_eq!((count(&counters, "otlp_lost_total"), count(&counters, "otlp_queue_bytes")), (0, 0));
    assert!(count(&counters, "otlp_spool_bytes") > 0);

    collector.come_back();
    let next = Outbox::new(&effective).unwrap();
    assert_eq!(numbers(&collector.wait_for_spans(5)), [0, 1, 2, 3, 4]);
    next.finish();
    assert_eq!(fs::read_dir(spool.path()).unwrap().count(), 0);
}

#[test]
fn what_is_being_sent_when_it_stops_is_on_disk_at_once() {
    let spool = tempfile::tempdir().unwrap();
    let collector = Collector::start();
    collector.always(Reply::Hang);
    let settings = json!({"timeout": "1s"});
    let effective = single(&collector.url(), Some(spool.path()), settings);
    let mut outbox = Outbox::new(&effective).unwrap();
    let counters = outbox.counters();
    outbox.put(span(0));
    outbox.put(span(1));
    collector.wait_for_requests(1);
    outbox.end(super::super::Stop::Finish(Instant::now() + outbox.patience));
    assert!(count(&counters, "otlp_spool_bytes") > 0);
    assert_eq!(count(&counters, "otlp_queue_bytes"), 0);
    outbox.finish();

    collector.always(Reply::Take);
    Outbox::new(&effective).unwrap().finish();
    assert_eq!(numbers(&collector.spans()), [0, 1]);
}

#[test]
fn without_a_spool_a_backend_that_is_busy_when_it_stops_is_asked_again() {
    let collector = Collector::start();
    for _ in 0..3 {
        collector.once(Reply::Status(503, Vec::new(), Vec::new()));
    }
    let mut outbox = Outbox::new(&single(&collector.url(), None, json!({}))).unwrap();
    (0..3).for_each(|number| outbox.put(span(number)));
    outbox.finish();
    assert_eq!(numbers(&collector.spans()), [0, 1, 2]);
}

#[test]
fn without_a_spool_what_cannot_be_delivered_in_time_is_counted_as_lost() {
    let mut outbox = Outbox::new(&single(&nobody(), None, json!({"timeout": "300ms"}))).unwrap();
    let counters = outbox.counters();
    (0..3).for_each(|number| outbox.put(span(number)));
    outbox.finish();
    assert_eq!((count(&counters, "otlp_lost_total"), count(&counters, "otlp_queue_bytes")), (3, 0));
}

#[test]
fn one_that_is_dropped_leaves_what_it_has_to_the_next() {
    let spool = tempfile::tempdir().unwrap();
    let collector = Collector::start();
    collector.always(Reply::Status(503, Vec::new(), Vec::new()));
    let effective = single(&collector.url(), Some(spool.path()), json!({}));
    let mut outbox = Outbox::new(&effective).unwrap();
    let couriers = std::mem::take(&mut outbox.couriers);
    (0..3).for_each(|number| outbox.put(span(number)));
    drop(outbox);
    for courier in couriers {
        courier.join().unwrap();
    }
    collector.always(Reply::Take);
    Outbox::new(&effective).unwrap().finish();
    assert_eq!(numbers(&collector.spans()), [0, 1, 2]);
}

#[test]
fn when_it_stops_nothing_waits_for_its_time_to_be_tried_again() {
    for reply in [Reply::Hang, Reply::Status(503, Vec::new(), Vec::new())] {
        let collector = Collector::start();
        collector.once(reply);
        let mut effective = single(&collector.url(), None, json!({"timeout": "500ms"}));
        let hour = Duration::from_secs(60 * 60);
        effective.schedule = Schedule { first: hour, longest: hour };
        let mut outbox = Outbox::new(&effective).unwrap();
        outbox.put(span(0));
        collector.wait_for_requests(1);
        outbox.finish();
        assert_eq!(numbers(&collector.spans()), [0]);
    }
}
