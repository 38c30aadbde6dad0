//! `/metrics`: that it can be read, that it says what happened, and that what is made of it, a table and a dashboard,
//! speaks of what is there.

mod dashboard;
mod document;
mod page;
mod traffic;

use std::collections::BTreeSet;

use page::{Family, Page};
use traffic::{Answer, call, everything, failing, left, streamed};

use crate::support::proxy::Setup;
use crate::support::{Provider, Proxy, Watch};

/// A proxy that has seen everything that is counted, and its page.
fn full() -> Page {
    let provider = Provider::start();
    let proxy = hiring_all(Proxy::to(&provider)).start();
    everything(&provider, &proxy);
    Page::of(&proxy)
}

/// With all interceptors that count something of themselves. Those that send find nobody.
fn hiring_all(setup: Setup) -> Setup {
    let trace = "{type: trace_exporter, config: {endpoint: 'http://127.0.0.1:9', spool: {enabled: false}}}";
    let cylestio = "{type: cylestio_trace, config: {api_url: 'http://127.0.0.1:9', descope_base_url: 'http://127.0.0.1:9', access_key: k}}";
    let yaml = format!("interceptors: [{{type: printer}}, {trace}, {cylestio}]\nserver: {{flush: 100ms}}");
    setup.kind("auto").yaml(&yaml)
}

#[test]
fn the_page_is_valid_and_holds_every_family_once_everything_has_happened() {
    let page = full();
    for family in &page.families {
        assert!(!family.samples.is_empty(), "{} is empty", family.name);
    }
    let odd = page.families.iter().flat_map(|family| &family.samples);
    let odd = odd.filter(|sample| sample.labels.get("model").is_some_and(|model| model == traffic::ODD));
    assert!(odd.count() > 0, "no label is as odd as what was asked for");
}

#[test]
fn the_page_is_valid_before_anything_has_happened_and_where_nobody_watches() {
    let provider = Provider::start();
    for yaml in ["", "interceptors: []"] {
        let page = Page::of(&Proxy::to(&provider).yaml(yaml).start());
        assert!(page.family("perimeter_exchanges_total").is_some());
    }
}

#[test]
fn calls_are_read_for_the_page_alone_where_it_is_asked_for() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml("interceptors: []\nmetrics: {calls: true}").start();
    streamed(&provider, &proxy, "gpt-4o-mini", &["Hello", " world"]);
    let page = Page::of(&proxy);
    // 1,204 of input, 1,024 of them from a cache, and 87 of output.
    let micros = page.exactly("perimeter_cost_usd_total", &[("model", "gpt-4o-mini")]) * 1e6;
    assert!((micros - (180.0 * 0.15 + 1024.0 * 0.075 + 87.0 * 0.6)).abs() < 1e-6, "{micros}");
    assert!(!page.family("gen_ai_client_token_usage").unwrap().samples.is_empty());
    assert!(page.family("perimeter_interceptor_errors_total").unwrap().samples.is_empty());
}

#[test]
fn a_call_is_told_by_the_names_of_both_states_of_the_conventions() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).start();
    streamed(&provider, &proxy, "gpt-4o-mini", &["Hello", " world"]);
    let page = Page::of(&proxy);
    let port = provider.port().to_string();
    let labels = [
        ("gen_ai_operation_name", "chat"),
        ("gen_ai_provider_name", "openai"),
        ("gen_ai_request_model", "gpt-4o-mini"),
        ("gen_ai_response_model", "gpt-4o-mini-2024-07-18"),
        ("server_address", "127.0.0.1"),
        ("server_port", &port),
    ];
    let chunks = traffic::PARTS_AROUND + 2;
    for (latest, v1_41, count) in [
        ("inference_duration_seconds", "operation_duration_seconds", 1),
        ("inference_time_to_first_chunk_seconds", "operation_time_to_first_chunk_seconds", 1),
        ("inference_time_per_output_chunk_seconds", "operation_time_per_output_chunk_seconds", chunks - 1),
    ] {
        let [latest, v1_41] =
            [latest, v1_41].map(|name| page.exactly(&format!("gen_ai_client_{name}_count"), &labels));
        assert_eq!((latest, v1_41), (count as f64, count as f64));
    }
    let with = |name, value| labels.iter().copied().chain([(name, value)]).collect::<Vec<_>>();
    for (kind, tokens) in [("input", 1204.0), ("output", 87.0)] {
        let usage = page.exactly("gen_ai_client_token_usage_sum", &with("gen_ai_token_type", kind));
        let latest = page.exactly(&format!("gen_ai_client_inference_operation_{kind}_tokens_sum"), &labels);
        let counter = format!("gen_ai_client_inference_usage_{kind}_tokens_total");
        let counted = page.exactly(&counter, &with("gen_ai_token_modality", "unknown"));
        assert_eq!([usage, latest, counted], [tokens; 3], "{kind}");
    }
    let le: Vec<&str> = page
        .family("gen_ai_client_inference_duration_seconds")
        .unwrap()
        .samples
        .iter()
        .filter_map(|sample| sample.labels.get("le").map(String::as_str))
        .collect();
    let bounds =
        "0.01 0.02 0.04 0.08 0.16 0.32 0.64 1.28 2.56 5.12 10.24 20.48 40.96 81.92 163.84 327.68 +Inf";
    assert_eq!(le.join(" "), bounds);
}

#[test]
fn only_the_states_that_are_asked_for_are_told() {
    let provider = Provider::start();
    for (semconv, latest, v1_41) in
        [("[latest]", true, false), ("[V1_41]", false, true), ("[]", false, false)]
    {
        let proxy = Proxy::to(&provider).yaml(&format!("metrics: {{semconv: {semconv}}}")).start();
        let page = Page::of(&proxy);
        assert_eq!(page.family("gen_ai_client_inference_duration_seconds").is_some(), latest, "{semconv}");
        assert_eq!(page.family("gen_ai_client_token_usage").is_some(), v1_41, "{semconv}");
        assert!(page.family("perimeter_calls_total").is_some());
    }
}

#[test]
fn what_goes_wrong_is_told_in_the_word_of_who_knows() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).start();
    failing(&provider, &proxy, "m");
    left(&provider, &proxy, "m");
    traffic::broken(&provider, &proxy, "m");
    let page = Page::of(&proxy);
    let family = page.family("gen_ai_client_inference_duration_seconds").unwrap();
    let words: BTreeSet<&str> = family.values_of("error_type");
    assert_eq!(words, BTreeSet::from(["rate_limit_error", "client_cancelled", "stream_truncated"]));
    let streams = page.family("gen_ai_client_inference_time_to_first_chunk_seconds").unwrap();
    assert!(streams.values_of("error_type").is_empty());

    let nobody = crate::support::provider::Nobody::new();
    let proxy = Proxy::to_url(nobody.url()).start();
    let mut client = proxy.connect();
    client.send(traffic::request("/v1/chat/completions", "", r#"{"model":"m","messages":[]}"#));
    assert_eq!(client.head().status(), 502);
    proxy.wait_for_metric(&traffic::counted("openai_chat", "", traffic::NO_PROMPT, "none"), 1.0);
    let page = Page::of(&proxy);
    let family = page.family("gen_ai_client_inference_duration_seconds").unwrap();
    assert_eq!(family.values_of("error_type"), BTreeSet::from(["connect_error"]));
}

#[test]
fn streams_are_told_by_who_closed_them_and_how_they_came() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).start();
    streamed(&provider, &proxy, "m", &["Hello", " wide", " world"]);
    left(&provider, &proxy, "m");
    traffic::broken(&provider, &proxy, "m");
    let page = Page::of(&proxy);
    let closed = |by| page.exactly("perimeter_streams_total", &[("model", "m"), ("closed_first", by)]);
    assert_eq!([closed("upstream"), closed("client"), closed("proxy")], [2.0, 1.0, 0.0]);
    let of_model = [("model", "m")];
    assert_eq!(page.exactly("perimeter_time_to_first_token_seconds_count", &of_model), 3.0);
    // The two that were cut had one part each, and no gap.
    let gaps = (traffic::PARTS_AROUND + 3 - 1) as f64;
    assert_eq!(page.exactly("perimeter_stream_gap_seconds_count", &of_model), gaps);
    assert_eq!(page.exactly("perimeter_stream_tokens_per_second_count", &of_model), 1.0);
    // 86 tokens came in no less than the naps between three.
    let rate = page.exactly("perimeter_stream_tokens_per_second_sum", &of_model);
    assert!(rate > 0.0 && rate <= 86.0 / (2.0 * traffic::NAP.as_secs_f64()), "{rate}");
}

#[test]
fn a_stream_that_stalls_is_told_by_who_kept_the_other_waiting() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider)
        .yaml(&format!("observe: {{stall_threshold: {}ms}}", traffic::NAP.as_millis() / 2))
        .start();
    streamed(&provider, &proxy, "m", &["a", "b", "c"]);
    let page = Page::of(&proxy);
    assert!(page.exactly("perimeter_stream_stalls_total", &[("model", "m")]) >= 2.0);
    let stalled = page.exactly("perimeter_stream_stall_seconds_total", &[("model", "m"), ("by", "upstream")]);
    assert!(stalled >= 2.0 * traffic::NAP.as_secs_f64(), "{stalled}");
}

#[test]
fn agents_are_told_by_their_names_and_labels_that_are_not_wanted_are_left_out() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).start();
    let named = "x-perimeter-agent-id: writer\r\n";
    call(&provider, &proxy, &Answer { headers: named, ..Answer::chat("m") });
    proxy.wait_for_metric(&traffic::counted("openai_chat", "m", "writer", "complete"), 1.0);

    let labels = "metrics: {labels: {model: false, agent: 0, dialect: false, response_model: 0}}";
    let proxy = Proxy::to(&provider).yaml(labels).start();
    for model in ["m", "n"] {
        call(&provider, &proxy, &Answer { headers: named, ..Answer::chat(model) });
    }
    proxy.wait_for_metric("perimeter_calls_total{outcome=\"complete\"}", 2.0);
    proxy.wait_for_metric("perimeter_tokens_total{kind=\"input\"}", 48.0);
    let page = Page::of(&proxy);
    for family in &page.families {
        for label in ["model", "agent", "dialect", "gen_ai_request_model", "gen_ai_response_model"] {
            assert!(family.values_of(label).is_empty(), "{} has {label}", family.name);
        }
    }
}

#[test]
fn models_that_nobody_answers_for_take_half_of_the_lines_and_no_more() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml("metrics: {labels: {model: 4}}").start();
    for number in 0..6 {
        failing(&provider, &proxy, &format!("made-up-{number}"));
    }
    for real in ["our-own-llama", "gpt-4o-mini"] {
        call(&provider, &proxy, &Answer::chat(real));
        proxy.wait_for_metric(&traffic::counted("openai_chat", real, traffic::NO_PROMPT, "complete"), 1.0);
    }
    let counted = proxy.metric(&traffic::counted("openai_chat", "other", traffic::NO_PROMPT, "error"));
    assert!((counted - 4.0).abs() < f64::EPSILON, "{counted}");
}

#[test]
fn what_an_interceptor_counts_of_itself_is_told_with_its_name() {
    let provider = Provider::start();
    let watch = Watch::of(&[("witness", "counts: true"), ("witness", "counts: true")]);
    let proxy = watch.setup(&provider).start();
    let page = Page::of(&proxy);
    let told: Vec<_> = ["witness", "witness-2"]
        .map(|name| page.exactly("perimeter_witness_heads_total", &[("interceptor", name)]))
        .into();
    assert_eq!(told, [0.0, 0.0]);
    let gauge = page.family("perimeter_witness_open").unwrap();
    assert_eq!(gauge.kind, "gauge");
    assert!(gauge.help.starts_with("A backslash \\ and a line"), "{}", gauge.help);
    // Names that others have, or that are none, would make the page unreadable.
    assert!(!page.families.iter().any(|family| family.name.contains("Bad name")));
    let calls: &Family = page.family("perimeter_calls_total").unwrap();
    assert!(calls.values_of("interceptor").is_empty());
}
