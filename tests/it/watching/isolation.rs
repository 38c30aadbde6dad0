//! An interceptor that is slow, stuck or broken changes nothing: not for the client, not for the other interceptors.

use serde_json::json;

use super::{exchange, stream};
use crate::support::{Gate, Provider, Proxy, Watch};

/// Every callback that an exchange without a body of its own, and with a streamed answer, comes to.
const CALLBACKS: [&str; 5] =
    ["on_request_head", "on_request_end", "on_response_head", "on_response_chunk", "on_end"];

/// A witness, and beside it one that misbehaves so.
fn beside(kind: &str, settings: &str) -> (Provider, Proxy, Watch) {
    let provider = Provider::start();
    let watch = Watch::of(&[("witness", ""), (kind, settings)]);
    let proxy = watch.setup(&provider).start();
    (provider, proxy, watch)
}

/// That the witness was told these streams whole.
#[track_caller]
fn assert_told(watch: &Watch, streams: &[String]) {
    let exchanges = watch.after(0).exchanges();
    assert_eq!(exchanges.len(), streams.len());
    for (exchange, said) in exchanges.iter().zip(streams) {
        assert_eq!(exchange.text("on_response_chunk"), *said);
        assert_eq!(exchange.ended(), (&json!("complete"), &json!("complete")));
        assert_eq!(exchange.unseen(), (0, 0));
    }
}

#[test]
fn a_slow_interceptor_is_told_everything_later_and_nobody_waits_for_it() {
    let (provider, proxy, watch) = beside("slow", "naps: 20");
    let streams = [stream(&provider, &proxy), stream(&provider, &proxy)];
    watch.wait(0, |told| told.ends() == 2);
    proxy.stop();
    assert_told(&watch, &streams);
    let slow = watch.after(1).exchanges();
    assert_eq!(slow.len(), 2);
    for (exchange, said) in slow.iter().zip(&streams) {
        assert_eq!((exchange.text("on_response_chunk"), exchange.unseen()), (said.clone(), (0, 0)));
    }
}

#[test]
fn a_stream_passes_event_by_event_while_an_interceptor_is_blocked_anywhere() {
    for callback in CALLBACKS {
        let gate = Gate::new();
        let (provider, proxy, watch) = beside("blocked", &format!("at: {callback}, {}", gate.settings()));
        let first = stream(&provider, &proxy);
        let held = gate.blocked();
        let streams = [first, stream(&provider, &proxy), stream(&provider, &proxy)];
        watch.wait(0, |told| told.ends() == 3);
        assert_eq!(proxy.metric("perimeter_open_exchanges"), 0.0);
        drop(held);
        proxy.stop();
        assert_told(&watch, &streams);
        let blocked = watch.after(1).exchanges();
        let texts: Vec<_> = blocked.iter().map(|exchange| exchange.text("on_response_chunk")).collect();
        assert_eq!(texts, streams, "blocked in {callback}");
    }
}

#[test]
fn a_failing_interceptor_is_counted_and_heard_of_and_goes_on() {
    let (provider, proxy, watch) = beside("failing", "fails: true, at: on_response_chunk");
    let streams = [stream(&provider, &proxy), stream(&provider, &proxy)];
    watch.wait(1, |told| told.ends() == 2);
    let line = proxy.wait_for_log(|line| line.contains("on_response_chunk failed"));
    assert!(line.contains("failing") && line.contains("on purpose"), "{line}");
    let chunks = watch.told(1).of("on_response_chunk").len();
    proxy.wait_for_metric("perimeter_interceptor_errors_total{interceptor=\"failing\"}", chunks as f64);
    assert_eq!(proxy.metric("perimeter_interceptor_errors_total{interceptor=\"witness\"}"), 0.0);
    proxy.stop();
    assert_told(&watch, &streams);
    for (exchange, said) in watch.after(1).exchanges().iter().zip(&streams) {
        assert_eq!(exchange.text("on_response_chunk"), *said);
    }
}

#[test]
fn an_interceptor_that_fails_everywhere_is_told_of_every_exchange_and_skips_it() {
    let (provider, proxy, watch) = beside("failing", "fails: true");
    let streams: Vec<_> = (0..20).map(|_| stream(&provider, &proxy)).collect();
    proxy.wait_for_metric("perimeter_interceptor_errors_total{interceptor=\"failing\"}", 20.0);
    assert_eq!(proxy.metric("perimeter_interceptor_retired{interceptor=\"failing\"}"), 0.0);
    proxy.stop();
    assert_told(&watch, &streams);
    // Nothing but the heads that it failed at.
    assert_eq!(watch.told(1).of("on_request_head").len(), 20);
    assert_eq!(watch.told(1).ends(), 0);
}

#[test]
fn after_a_panic_an_interceptor_hears_no_more_of_that_exchange_and_all_of_the_next() {
    for callback in CALLBACKS {
        let (provider, proxy, watch) = beside("panicking", &format!("panics: 1, at: {callback}"));
        let streams = [stream(&provider, &proxy), stream(&provider, &proxy)];
        watch.wait(1, |told| {
            told.exchanges().len() == 2 && told.lines.last().unwrap()["callback"] == "on_end"
        });
        proxy.wait_for_metric("perimeter_interceptor_panics_total{interceptor=\"panicking\"}", 1.0);
        let line = proxy.wait_for_log(|line| line.contains("panicked: on purpose"));
        assert!(line.contains("panicking") && line.contains(callback), "{line}");
        let exit = proxy.stop();
        assert!(!exit.stderr.contains("retired"), "{}", exit.stderr);
        assert_told(&watch, &streams);
        let exchanges = watch.told(1).exchanges();
        let course = exchanges[0].course();
        let until: Vec<_> =
            CALLBACKS.iter().copied().take_while(|other| *other != callback).chain([callback]).collect();
        assert_eq!(course, until);
        assert_eq!(exchanges[1].text("on_response_chunk"), streams[1]);
        assert_eq!(exchanges[1].ended(), (&json!("complete"), &json!("complete")));
    }
}

#[test]
fn an_interceptor_that_panics_ten_times_is_retired_and_named() {
    let (provider, proxy, watch) = beside("panicking", "panics: 1000");
    let streams: Vec<_> = (0..9).map(|_| stream(&provider, &proxy)).collect();
    proxy.wait_for_metric("perimeter_interceptor_panics_total{interceptor=\"panicking\"}", 9.0);
    assert_eq!(proxy.metric("perimeter_interceptor_retired{interceptor=\"panicking\"}"), 0.0);
    assert_eq!(proxy.admin("/ready").body, "{\"status\":\"ready\"}");
    let more: Vec<_> = (0..3).map(|_| stream(&provider, &proxy)).collect();
    let line = proxy.wait_for_log(|line| line.contains("retired"));
    assert!(line.contains("panicking"), "{line}");
    proxy.wait_for_metric("perimeter_interceptor_retired{interceptor=\"panicking\"}", 1.0);
    assert_eq!(proxy.metric("perimeter_interceptor_panics_total{interceptor=\"panicking\"}"), 10.0);
    assert_eq!(proxy.metric("perimeter_interceptor_retired{interceptor=\"witness\"}"), 0.0);
    let ready: serde_json::Value = serde_json::from_str(&proxy.admin("/ready").body).unwrap();
    assert_eq!(ready, json!({"status": "ready", "retired": ["panicking"]}));
    assert_eq!(proxy.admin("/ready").head.status(), 200);
    // Nothing is held for one that does not listen.
    proxy.wait_for_metric("perimeter_queue_bytes{queue=\"panicking\"}", 0.0);
    proxy.wait_for_metric("perimeter_observe_memory_bytes", 0.0);
    proxy.stop();
    assert_told(&watch, &[streams, more].concat());
    assert_eq!(watch.told(1).of("on_request_head").len(), 10);
}

#[test]
fn a_panic_while_it_writes_out_or_shuts_down_harms_nobody() {
    for callback in ["on_idle", "on_shutdown"] {
        let (provider, proxy, watch) = beside("panicking", &format!("panics: 1, at: {callback}"));
        let streams = [stream(&provider, &proxy)];
        watch.wait(0, |told| told.ends() == 1);
        let exit = proxy.stop();
        let complaint = exit.stderr.lines().find(|line| line.contains(&format!("{callback} panicked")));
        assert!(complaint.is_some_and(|line| line.contains("panicking")), "{}", exit.stderr);
        assert_told(&watch, &streams);
    }
}

#[test]
fn a_blocked_interceptor_is_left_behind_when_the_proxy_stops() {
    let gate = Gate::new();
    let provider = Provider::start();
    let settings = format!("at: on_response_head, {}", gate.settings());
    let watch = Watch::of(&[("blocked", &settings), ("witness", ""), ("slow", "naps: 1")]);
    let mut proxy = watch.setup(&provider).yaml("server: {flush: 2s}").start();
    let streams = [stream(&provider, &proxy)];
    let _held = gate.blocked();
    exchange(&provider, &proxy);
    proxy.signal(rustix::process::Signal::TERM);
    let exit = proxy.exit();
    assert_eq!(exit.code, Some(0));
    let named: Vec<_> = exit.stderr.lines().filter(|line| line.contains("left behind")).collect();
    assert_eq!(named.len(), 1, "{}", exit.stderr);
    assert!(named[0].contains("interceptor=blocked") || named[0].contains("\"blocked\""), "{}", named[0]);
    for number in [1, 2] {
        let exchanges = watch.after(number).exchanges();
        assert_eq!(exchanges.len(), 2);
        assert_eq!(exchanges[0].text("on_response_chunk"), streams[0]);
        assert_eq!(exchanges[1].ended(), (&json!("complete"), &json!("complete")));
    }
}
