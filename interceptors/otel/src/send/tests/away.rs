//! A backend that is not there.

use super::*;

#[test]
fn a_backend_that_is_away_and_comes_back_gets_everything() {
    for protocol in ["http/protobuf", "grpc"] {
        let mut collector = Collector::start();
        let mut outbox = Outbox::new(&single(&collector.url(), None, json!({"protocol": protocol}))).unwrap();
        let counters = outbox.counters();
        outbox.put(span(0));
        collector.wait_for_spans(1);
        collector.die();
        (1..50).for_each(|number| outbox.put(span(number)));
        wait_for_count(&counters, "otlp_retries_total", 3);
        collector.come_back();
        assert_eq!(numbers(&collector.wait_for_spans(50)), (0..50).collect::<Vec<_>>(), "{protocol}");
        outbox.finish();
        assert_eq!(collector.spans().len(), 50, "{protocol}: nothing twice");
        assert_eq!(count(&counters, "otlp_lost_total"), 0);
        assert_eq!(count(&counters, "otlp_queue_bytes"), 0);
    }
}

#[test]
fn a_backend_that_never_answers_is_asked_again_after_the_timeout() {
    for protocol in ["http/protobuf", "grpc"] {
        let collector = Collector::start();
        collector.once(Reply::Hang);
        let settings = json!({"protocol": protocol, "timeout": "200ms"});
        let mut outbox = Outbox::new(&single(&collector.url(), None, settings)).unwrap();
        outbox.put(span(0));
        let asked = collector.wait_for_requests(2);
        assert!(asked[1].at - asked[0].at >= Duration::from_millis(150), "{protocol}");
        outbox.finish();
    }
}

#[test]
fn one_that_is_away_is_asked_less_and_less_often() {
    let collector = Collector::start();
    collector.always(Reply::Status(503, Vec::new(), Vec::new()));
    let mut effective = single(&collector.url(), None, json!({}));
    effective.schedule = Schedule { first: Duration::from_millis(40), longest: Duration::from_millis(160) };
    let mut outbox = Outbox::new(&effective).unwrap();
    (0..100).for_each(|number| outbox.put(span(number)));
    let asked = collector.wait_for_requests(6);
    let waits: Vec<Duration> = asked.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    for (wait, least) in waits.iter().zip([20, 40, 80, 80, 80]) {
        assert!(*wait >= Duration::from_millis(least - 1), "{waits:?}");
    }
    let first = &asked[0].export;
    assert!(asked.iter().all(|asked| asked.export == *first), "one at a time, whatever waits");
    collector.always(Reply::Take);
    collector.wait_for_spans(100);
}

#[test]
fn without_a_spool_what_does_not_fit_is_lost_and_counted() {
    let mut collector = Collector::start();
    collector.die();
    let size = u64::try_from(batch_size()).unwrap();
    let settings = json!({"queue": size * 10 + size / 2});
    let mut outbox = Outbox::new(&single(&collector.url(), None, settings)).unwrap();
    let counters = outbox.counters();
    (0..25).for_each(|number| outbox.put(span(number)));
    assert_eq!(count(&counters, "otlp_lost_total"), 15);
    assert!(count(&counters, "otlp_queue_bytes") <= size * 10 + size / 2);
    collector.come_back();
    assert_eq!(numbers(&collector.wait_for_spans(10)), (0..10).collect::<Vec<_>>(), "the newest are lost");
    wait_for_count(&counters, "otlp_sent_total", 10);
    outbox.put(span(25));
    outbox.finish();
    assert_eq!(collector.spans().len(), 11);
    assert_eq!(count(&counters, "otlp_lost_total"), 15);
}

/// The size of a request with a span of two digits.
pub(super) fn batch_size() -> usize {
    let effective = single("http://localhost:1", None, json!({}));
    super::super::Wrapper::new(effective.resource.clone(), &effective.profiles)
        .spans(vec![a_span(10)])
        .body
        .len()
}

#[test]
fn a_signal_whose_backend_is_away_keeps_no_other_from_its_own() {
    let collector = Collector::start();
    let endpoints =
        json!({"traces": format!("{}/v1/traces", nobody()), "logs": format!("{}/v1/logs", collector.url())});
    let mut outbox = Outbox::new(&effective(json!({"endpoints": endpoints}))).unwrap();
    outbox.put(span(0));
    outbox.put(Item::Log(Box::new(a_log(0))));
    outbox.end(super::super::Stop::Finish(Instant::now() + Duration::from_millis(100)));
    collector.wait(|asked| (collector::logs(asked).len() == 1).then_some(()));
}
