//! A backend that says no.

use super::*;

#[test]
fn what_is_refused_for_good_is_not_sent_again_and_what_follows_is() {
    let collector = Collector::start();
    for status in [400, 401, 403, 404, 500, 501, 301] {
        collector.once(Reply::Status(status, Vec::new(), b"no".to_vec()));
    }
    let mut outbox = Outbox::new(&single(&collector.url(), None, json!({}))).unwrap();
    let counters = outbox.counters();
    (0..8).for_each(|number| outbox.put(span(number)));
    outbox.finish();
    assert_eq!(numbers(&collector.spans()), [7]);
    assert_eq!(collector.asked().len(), 8);
    assert_eq!(count(&counters, "otlp_failed_total"), 7);
    assert_eq!((count(&counters, "otlp_sent_total"), count(&counters, "otlp_retries_total")), (1, 0));
}

#[test]
fn what_may_be_taken_later_is_sent_again() {
    let collector = Collector::start();
    for status in [429, 502, 503, 504] {
        collector.once(Reply::Status(status, Vec::new(), Vec::new()));
    }
    let mut outbox = Outbox::new(&single(&collector.url(), None, json!({}))).unwrap();
    let counters = outbox.counters();
    outbox.put(span(0));
    outbox.put(span(1));
    assert_eq!(numbers(&collector.wait_for_spans(2)), [0, 1]);
    outbox.finish();
    assert_eq!((count(&counters, "otlp_sent_total"), count(&counters, "otlp_retries_total")), (2, 4));
    assert_eq!((count(&counters, "otlp_failed_total"), count(&counters, "otlp_lost_total")), (0, 0));
}

#[test]
fn grpc_is_tried_again_by_its_own_codes() {
    use tonic::{Code, Status};
    let collector = Collector::start();
    let again = [
        Code::Cancelled,
        Code::DeadlineExceeded,
        Code::Aborted,
        Code::OutOfRange,
        Code::Unavailable,
        Code::DataLoss,
    ];
    for code in again {
        collector.once(Reply::Grpc(Status::new(code, "later")));
    }
    let mut outbox = Outbox::new(&single(&collector.url(), None, json!({"protocol": "grpc"}))).unwrap();
    let counters = outbox.counters();
    outbox.put(span(0));
    assert_eq!(numbers(&collector.wait_for_spans(1)), [0]);
    assert_eq!(count(&counters, "otlp_retries_total"), 6);

    let never = [
        Code::InvalidArgument,
        Code::Unauthenticated,
        Code::ResourceExhausted,
        Code::Internal,
        Code::Unknown,
    ];
    for code in never {
        collector.once(Reply::Grpc(Status::new(code, "no")));
    }
    (1..=6).for_each(|number| outbox.put(span(number)));
    outbox.finish();
    assert_eq!(numbers(&collector.spans()), [0, 6]);
    assert_eq!((count(&counters, "otlp_failed_total"), count(&counters, "otlp_retries_total")), (5, 6));
}

#[test]
fn a_backend_that_says_when_is_not_asked_before() {
    let collector = Collector::start();
    let after = vec![("retry-after", "1".to_owned())];
    collector.once(Reply::Status(429, after, Vec::new()));
    let mut outbox = Outbox::new(&single(&collector.url(), None, json!({}))).unwrap();
    outbox.put(span(0));
    let asked = collector.wait_for_requests(2);
    assert!(asked[1].at - asked[0].at >= Duration::from_millis(900), "without patience it would be 10 ms");
}

#[test]
fn a_grpc_backend_that_says_when_is_not_asked_before() {
    // google.rpc.Status with a RetryInfo of one second.
    let info =
        [&b"\x0a\x28type.googleapis.com/google.rpc.RetryInfo\x12\x04"[..], b"\x0a\x02\x08\x01"].concat();
    let details = [&[0x08, 0x08, 0x1a, u8::try_from(info.len()).unwrap()][..], &info].concat();
    let status = tonic::Status::with_details(
        tonic::Code::ResourceExhausted,
        "slowly",
        tonic::codegen::Bytes::from(details),
    );
    let collector = Collector::start();
    collector.once(Reply::Grpc(status));
    let mut outbox = Outbox::new(&single(&collector.url(), None, json!({"protocol": "grpc"}))).unwrap();
    outbox.put(span(0));
    let asked = collector.wait_for_requests(2);
    assert!(asked[1].at - asked[0].at >= Duration::from_millis(900), "without patience it would be 10 ms");
    assert_eq!(numbers(&collector.wait_for_spans(1)), [0]);
}

#[test]
fn a_partial_success_is_no_failure_of_the_rest() {
    for protocol in ["http/protobuf", "http/json", "grpc"] {
        let collector = Collector::start();
        collector.once(Reply::TakeBut(3, "too old"));
        let settings = json!({"endpoint": collector.url(), "protocol": protocol});
        let mut outbox = Outbox::new(&effective(settings)).unwrap();
        let counters = outbox.counters();
        (0..10).for_each(|number| outbox.put(span(number)));
        outbox.finish();
        assert_eq!(collector.asked().len(), 1, "{protocol}");
        assert_eq!(count(&counters, "otlp_sent_total"), 7, "{protocol}");
        assert_eq!(count(&counters, "otlp_failed_total"), 3, "{protocol}");
    }
}

#[test]
fn a_batch_that_is_too_large_is_sent_in_halves() {
    let collector = Collector::start();
    collector.always(Reply::AtMost(60));
    let mut outbox = Outbox::new(&effective(json!({"endpoint": collector.url()}))).unwrap();
    let counters = outbox.counters();
    (0..200).for_each(|number| outbox.put(span(number)));
    outbox.finish();
    assert_eq!(numbers(&collector.spans()), (0..200).collect::<Vec<_>>());
    assert_eq!((count(&counters, "otlp_sent_total"), count(&counters, "otlp_failed_total")), (200, 0));
    assert_eq!(count(&counters, "otlp_queue_bytes"), 0);
}

#[test]
fn one_that_finds_everything_too_large_is_not_asked_for_each_span() {
    let collector = Collector::start();
    collector.always(Reply::AtMost(0));
    let mut outbox = Outbox::new(&effective(json!({"endpoint": collector.url()}))).unwrap();
    let counters = outbox.counters();
    (0..200).for_each(|number| outbox.put(span(number)));
    outbox.finish();
    assert_eq!(count(&counters, "otlp_failed_total"), 200);
    assert!(collector.asked().len() < 16, "{}", collector.asked().len());
}
