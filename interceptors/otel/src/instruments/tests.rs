use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, NumberDataPoint};
use perimeter_interceptor::{CallId, Cost, Gaps, Operation, Peer, Stall, Usd};
use proptest::prelude::*;

use super::*;
use crate::content::value::write;
use crate::finished::Problem;
use crate::sample::{self, began, call};

mod bounded;

use AggregationTemporality::{Cumulative, Delta};

const BOTH: &[Profile] = &[Profile::Latest, Profile::V1_41];
const SECOND: u64 = 1_000_000_000;

fn instruments(profiles: &[Profile]) -> Instruments {
    Instruments::new(profiles, Cumulative, began())
}

fn at(seconds: u64) -> SystemTime {
    began() + Duration::from_secs(seconds)
}

/// A call of `gpt-5` that was answered by `gpt-5-2026`.
fn answered(with: impl FnOnce(&mut Completion)) -> Finished {
    let mut answer = Completion::new(CallId(0));
    answer.model = Some("gpt-5-2026".into());
    with(&mut answer);
    let mut call = call("openai_chat");
    call.model = Some("gpt-5".into());
    sample::finished(call, Some(answer))
}

fn find<'m>(metrics: &'m [Metric], name: &str) -> Option<&'m Metric> {
    metrics.iter().find(|metric| metric.name == name)
}

fn histograms<'m>(metrics: &'m [Metric], name: &str) -> &'m [HistogramDataPoint] {
    match &find(metrics, name).expect(name).data {
        Some(Data::Histogram(histogram)) => &histogram.data_points,
        other => panic!("{name}: {other:?}"),
    }
}

fn numbers<'m>(metrics: &'m [Metric], name: &str) -> &'m [NumberDataPoint] {
    match &find(metrics, name).expect(name).data {
        Some(Data::Sum(sum)) => &sum.data_points,
        other => panic!("{name}: {other:?}"),
    }
}

fn attributes(attributes: &[KeyValue]) -> Vec<(&str, String)> {
    attributes.iter().map(|is| (&*is.key, write(is.value.as_ref().unwrap()))).collect()
}

/// Those that each metric of the sample has.
fn common() -> Vec<(&'static str, String)> {
    [
        ("gen_ai.operation.name", "\"chat\""),
        ("gen_ai.provider.name", "\"openai\""),
        ("gen_ai.request.model", "\"gpt-5\""),
        ("gen_ai.response.model", "\"gpt-5-2026\""),
        ("server.address", "\"up.test\""),
        ("server.port", "443"),
    ]
    .map(|(key, is)| (key, is.to_owned()))
    .to_vec()
}

fn common_and(key: &'static str, is: &str) -> Vec<(&'static str, String)> {
    let mut all = common();
    all.push((key, format!("\"{is}\"")));
    all
}

fn names(metrics: &[Metric]) -> Vec<&str> {
    metrics.iter().map(|metric| &*metric.name).collect()
}

#[test]
fn the_bounds_are_those_of_the_conventions() {
    for doubled in 0..14 {
        assert_eq!(Duration::from_millis(10 << doubled).as_secs_f64(), SECONDS[doubled]);
        assert_eq!(4_f64.powi(doubled as i32), TOKENS[doubled]);
    }
}

#[test]
fn durations_are_told_under_the_names_of_each_edition_and_once() {
    let mut instruments = instruments(BOTH);
    let mut finished = answered(|_| {});
    finished.lasted = Duration::from_millis(1_500);
    instruments.record(&finished);
    finished.lasted = Duration::from_millis(10);
    instruments.record(&finished);
    let metrics = instruments.collect(at(60));
    for name in ["gen_ai.client.inference.duration", "gen_ai.client.operation.duration"] {
        let metric = find(&metrics, name).unwrap();
        assert_eq!(metric.unit, "s");
        assert!(!metric.description.is_empty());
        let Some(Data::Histogram(histogram)) = &metric.data else { panic!("{metric:?}") };
        assert_eq!(histogram.aggregation_temporality, 2);
        let [point] = histograms(&metrics, name) else { panic!("{metric:?}") };
        assert_eq!(attributes(&point.attributes), common());
        assert_eq!(point.start_time_unix_nano, 1_000 * SECOND);
        assert_eq!(point.time_unix_nano, 1_060 * SECOND);
        assert_eq!((point.count, point.sum), (2, Some(1.51)));
        assert_eq!(point.explicit_bounds, SECONDS);
        assert_eq!(point.bucket_counts, [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!((point.min, point.max, point.flags), (None, None, 0));
    }
}

#[test]
fn each_edition_has_its_own_names() {
    let record = |profiles| {
        let mut instruments = instruments(profiles);
        instruments.record(&answered(|answer| {
            let mut usage = Usage::new(1, 1);
            (usage.cache_read, usage.cache_write, usage.reasoning) = (Some(1), Some(1), Some(1));
            answer.usage = Some(usage);
            answer.stream = Some(streamed().into());
        }));
        instruments.collect(at(1))
    };
    let latest = [
        "gen_ai.client.inference.duration",
        "gen_ai.client.inference.time_to_first_chunk",
        "gen_ai.client.inference.time_per_output_chunk",
        "gen_ai.client.inference.usage.input_tokens",
        "gen_ai.client.inference.usage.output_tokens",
        "gen_ai.client.inference.usage.cache_read.input_tokens",
        "gen_ai.client.inference.usage.cache_write.input_tokens",
        "gen_ai.client.inference.usage.reasoning.output_tokens",
        "gen_ai.client.inference.operation.input_tokens",
        "gen_ai.client.inference.operation.output_tokens",
    ];
    let v1_41 = [
        "gen_ai.client.operation.duration",
        "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.client.operation.time_per_output_chunk",
        "gen_ai.client.token.usage",
    ];
    assert_eq!(names(&record(&[Profile::Latest])), latest);
    assert_eq!(names(&record(&[Profile::V1_41])), v1_41);
    assert_eq!(names(&record(BOTH)), [&latest[..], &v1_41].concat());
    assert_eq!(names(&record(&[])), <[&str; 0]>::default());
}

/// Parts after 100 ms, with gaps of 10 ms, 11 ms and 3 s.
fn streamed() -> Stream {
    let mut stream = Stream::default();
    stream.first_chunk = Some(Duration::from_millis(100));
    let mut gaps = Gaps::default();
    [10, 11, 3_000].into_iter().for_each(|millis| gaps.add(Duration::from_millis(millis)));
    stream.gaps = gaps;
    stream
}

#[test]
fn gaps_between_parts_are_counted_exactly() {
    let mut instruments = instruments(BOTH);
    for _ in 0..2 {
        instruments.record(&answered(|answer| answer.stream = Some(streamed().into())));
    }
    instruments.record(&answered(|_| {}));
    let metrics = instruments.collect(at(1));
    for edition in ["inference", "operation"] {
        let first = &histograms(&metrics, &format!("gen_ai.client.{edition}.time_to_first_chunk"))[0];
        assert_eq!((first.count, first.sum, first.bucket_counts[4]), (2, Some(0.2), 2));
        let chunk = &histograms(&metrics, &format!("gen_ai.client.{edition}.time_per_output_chunk"))[0];
        assert_eq!((chunk.count, chunk.sum), (6, Some(6.042)));
        assert_eq!(chunk.bucket_counts, [2, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0]);
        assert_eq!(attributes(&chunk.attributes), common());
    }
}

#[test]
fn tokens_are_told_by_type_and_by_kind() {
    let mut instruments = instruments(BOTH);
    instruments.record(&answered(|answer| {
        let mut usage = Usage::new(1_000, 50);
        usage.cache_read = Some(900);
        usage.reasoning = Some(20);
        answer.usage = Some(usage);
    }));
    let metrics = instruments.collect(at(1));
    let by_type = histograms(&metrics, "gen_ai.client.token.usage");
    for (kind, tokens, bucket) in [("input", 1_000.0, 5), ("output", 50.0, 3)] {
        let expected = common_and("gen_ai.token.type", kind);
        let point = by_type.iter().find(|point| attributes(&point.attributes) == expected).unwrap();
        assert_eq!((point.count, point.sum, point.bucket_counts[bucket]), (1, Some(tokens), 1));
        assert_eq!(point.explicit_bounds, TOKENS);
    }
    for (kind, tokens) in [
        ("input_tokens", 1_000),
        ("output_tokens", 50),
        ("cache_read.input_tokens", 900),
        ("reasoning.output_tokens", 20),
    ] {
        let name = format!("gen_ai.client.inference.usage.{kind}");
        let [point] = numbers(&metrics, &name) else { panic!("{name}") };
        assert_eq!(attributes(&point.attributes), common_and("gen_ai.token.modality", "unknown"));
        assert_eq!(point.value, Some(Value::AsInt(tokens)));
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (1_000 * SECOND, 1_001 * SECOND));
        let Some(Data::Sum(sum)) = &find(&metrics, &name).unwrap().data else { panic!("{name}") };
        assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
        assert_eq!(find(&metrics, &name).unwrap().unit, "{token}");
    }
    assert_eq!(find(&metrics, "gen_ai.client.inference.usage.cache_write.input_tokens"), None);
    let [point] = histograms(&metrics, "gen_ai.client.inference.operation.input_tokens") else { panic!() };
    assert_eq!((point.sum, attributes(&point.attributes)), (Some(1_000.0), common()));
}

#[test]
fn where_a_provider_tells_modalities_apart_so_do_we() {
    let mut instruments = instruments(&[Profile::Latest]);
    instruments.record(&answered(|answer| {
        let mut usage = Usage::new(100, 10);
        (usage.audio_input, usage.image_input) = (Some(30), Some(20));
        answer.usage = Some(usage);
    }));
    let metrics = instruments.collect(at(1));
    let input = numbers(&metrics, "gen_ai.client.inference.usage.input_tokens");
    assert_eq!(input.len(), 3);
    for (modality, tokens) in [("text", 50), ("audio", 30), ("image", 20)] {
        let expected = common_and("gen_ai.token.modality", modality);
        let point = input.iter().find(|point| attributes(&point.attributes) == expected).unwrap();
        assert_eq!(point.value, Some(Value::AsInt(tokens)), "{modality}");
    }
}

#[test]
fn what_asks_no_model_to_infer_is_not_timed() {
    let mut instruments = instruments(BOTH);
    for operation in [Operation::Models, Operation::Files, Operation::Batches, Operation::Retrieval] {
        let mut call = call("openai_other");
        call.operation = operation;
        instruments.record(&sample::finished(call, Some(Completion::new(CallId(0)))));
    }
    assert_eq!(names(&instruments.collect(at(1))), <[&str; 0]>::default());
    // What was made in the background is used, and told of, when it is fetched.
    let mut fetched = call("openai_responses");
    fetched.operation = Operation::Retrieval;
    let mut answer = Completion::new(CallId(0));
    answer.usage = Some(Usage::new(7, 3));
    instruments.record(&sample::finished(fetched, Some(answer)));
    let metrics = instruments.collect(at(2));
    assert_eq!(
        names(&metrics),
        [
            "gen_ai.client.inference.usage.input_tokens",
            "gen_ai.client.inference.usage.output_tokens",
            "gen_ai.client.inference.operation.input_tokens",
            "gen_ai.client.inference.operation.output_tokens",
            "gen_ai.client.token.usage",
        ]
    );
}

#[test]
fn where_nothing_is_said_of_usage_nothing_of_an_unknown_modality_was_used() {
    let mut instruments = instruments(BOTH);
    instruments.record(&answered(|_| {}));
    let metrics = instruments.collect(at(1));
    for kind in ["input_tokens", "output_tokens"] {
        let [point] = numbers(&metrics, &format!("gen_ai.client.inference.usage.{kind}")) else { panic!() };
        assert_eq!(attributes(&point.attributes), common_and("gen_ai.token.modality", "unknown"));
        assert_eq!(point.value, Some(Value::AsInt(0)));
    }
    assert_eq!(find(&metrics, "gen_ai.client.token.usage"), None);
    assert_eq!(find(&metrics, "gen_ai.client.inference.operation.input_tokens"), None);
}

#[test]
fn what_is_fetched_again_or_only_counted_uses_and_costs_nothing_more() {
    let mut instruments = instruments(BOTH);
    let usage = |answer: &mut Completion| {
        answer.usage = Some(Usage::new(5, 5));
        answer.cost = Some(Cost::charged(Usd(5)).into());
    };
    instruments.record(&answered(|answer| {
        usage(answer);
        answer.repeated = true;
    }));
    let mut counted = call("anthropic_other");
    counted.operation = Operation::CountTokens;
    instruments.record(&sample::finished(counted, Some(Completion::new(CallId(0)))));
    let metrics = instruments.collect(at(1));
    assert_eq!(names(&metrics), ["gen_ai.client.inference.duration", "gen_ai.client.operation.duration"]);
}

#[test]
fn an_error_is_told_where_the_conventions_want_it() {
    let mut instruments = instruments(BOTH);
    let mut finished = answered(|answer| {
        answer.usage = Some(Usage::new(5, 5));
        answer.stream = Some(streamed().into());
    });
    finished.error = Some(Problem { kind: "overloaded_error".into(), message: "busy".into() });
    instruments.record(&finished);
    let metrics = instruments.collect(at(1));
    let with_error = common_and("error.type", "overloaded_error");
    for name in [
        "gen_ai.client.inference.duration",
        "gen_ai.client.operation.duration",
        "gen_ai.client.inference.operation.input_tokens",
        "gen_ai.client.inference.operation.output_tokens",
    ] {
        assert_eq!(attributes(&histograms(&metrics, name)[0].attributes), with_error, "{name}");
    }
    let first = histograms(&metrics, "gen_ai.client.inference.time_to_first_chunk");
    assert_eq!(attributes(&first[0].attributes), common());
}

#[test]
fn what_calls_cost_is_added_up_exactly() {
    let mut instruments = instruments(&[]);
    for _ in 0..3 {
        instruments.record(&answered(|answer| {
            answer.cost = Some(Cost::charged(Usd(100_000_000_000)).into());
        }));
    }
    let metrics = instruments.collect(at(1));
    assert_eq!(names(&metrics), ["perimeter.client.cost"]);
    assert_eq!(metrics[0].unit, "USD");
    let [point] = numbers(&metrics, "perimeter.client.cost") else { panic!() };
    // And not 0.30000000000000004.
    assert_eq!(point.value, Some(Value::AsDouble(0.3)));
    assert_eq!(attributes(&point.attributes), common());
}

#[test]
fn the_time_in_which_streams_stood_still_is_told_by_cause() {
    let mut instruments = instruments(&[]);
    instruments.record(&answered(|answer| {
        let mut stream = Stream::default();
        let stall = |seconds, by| Stall::new(Duration::ZERO, Duration::from_secs(seconds), by);
        stream.stall(stall(5, Peer::Upstream));
        stream.stall(stall(7, Peer::Upstream));
        stream.stall(stall(3, Peer::Client));
        answer.stream = Some(stream.into());
    }));
    let metrics = instruments.collect(at(1));
    let points = numbers(&metrics, "perimeter.client.stream.stalled");
    for (cause, seconds) in [("upstream", 12.0), ("client", 3.0)] {
        let expected = common_and("perimeter.stall.cause", cause);
        let point = points.iter().find(|point| attributes(&point.attributes) == expected).unwrap();
        assert_eq!(point.value, Some(Value::AsDouble(seconds)));
    }
}

#[test]
fn cumulative_metrics_count_from_the_start_and_deltas_from_the_last_time() {
    for (temporality, second) in [(Cumulative, (1_000, 3)), (Delta, (1_060, 1))] {
        let mut instruments = Instruments::new(&[Profile::Latest], temporality, began());
        let name = "gen_ai.client.inference.duration";
        let point = |metrics: &[Metric]| {
            let point = &histograms(metrics, name)[0];
            (point.start_time_unix_nano / SECOND, point.count, point.time_unix_nano / SECOND)
        };
        assert!(instruments.collect(at(30)).is_empty());
        instruments.record(&answered(|_| {}));
        instruments.record(&answered(|_| {}));
        assert_eq!(point(&instruments.collect(at(60))), (1_030, 2, 1_060));
        instruments.record(&answered(|_| {}));
        let metrics = instruments.collect(at(120));
        let start = if temporality == Cumulative { 1_030 } else { second.0 };
        assert_eq!(point(&metrics), (start, second.1, 1_120));
        let Some(Data::Histogram(histogram)) = &find(&metrics, name).unwrap().data else { panic!() };
        assert_eq!(histogram.aggregation_temporality, i32::from(temporality));
        let again = instruments.collect(at(180));
        assert_eq!(again.is_empty(), temporality == Delta);
    }
}

#[test]
fn a_clock_that_goes_back_does_not_make_metrics_end_before_they_begin() {
    let mut instruments = instruments(&[Profile::Latest]);
    instruments.record(&answered(|_| {}));
    let metrics = instruments.collect(began() - Duration::from_secs(5));
    let point = &histograms(&metrics, "gen_ai.client.inference.duration")[0];
    assert!(point.start_time_unix_nano <= point.time_unix_nano);
}
