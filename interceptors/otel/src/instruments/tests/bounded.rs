use super::models::MOST;
use super::*;

const DURATION: &str = "gen_ai.client.inference.duration";

fn of(model: &str) -> Finished {
    let mut call = call("openai_chat");
    call.model = Some(model.into());
    sample::finished(call, None)
}

fn models(points: &[HistogramDataPoint]) -> Vec<String> {
    let told = |point: &HistogramDataPoint| {
        let model = attributes(&point.attributes).into_iter().find(|(key, _)| *key == "gen_ai.request.model");
        model.map_or_else(|| "-".to_owned(), |(_, model)| model.trim_matches('"').to_owned())
    };
    points.iter().map(told).collect()
}

#[test]
fn however_many_models_there_are_what_is_told_is_bounded_and_complete() {
    for temporality in [Cumulative, Delta] {
        let mut instruments = Instruments::new(BOTH, temporality, began());
        for number in 0..5_000 {
            let mut finished = of(&format!("model-{number}"));
            finished.error = Some(Problem { kind: format!("error-{number}").into(), message: "".into() });
            instruments.record(&finished);
        }
        let metrics = instruments.collect(at(1));
        let points = histograms(&metrics, DURATION);
        assert_eq!(points.len(), 200);
        assert_eq!(points.iter().map(|point| point.count).sum::<u64>(), 5_000);
        let overflow = points.iter().find(|point| point.attributes[0].key == "otel.metric.overflow").unwrap();
        assert_eq!(attributes(&overflow.attributes), [("otel.metric.overflow", "true".to_owned())]);
        assert_eq!(overflow.count, 5_000 - 199);
    }
}

#[test]
fn a_model_that_is_used_no_more_gives_way_once_it_was_told() {
    let mut instruments = instruments(&[Profile::Latest]);
    for number in 0..MOST - 1 {
        instruments.record(&of(&format!("model-{number}")));
    }
    instruments.record(&of("used"));
    // None gives way before it was told.
    instruments.record(&of("new"));
    instruments.collect(at(1));
    instruments.record(&of("used"));
    instruments.record(&of("newer"));
    let metrics = instruments.collect(at(2));
    let told = models(histograms(&metrics, DURATION));
    assert!(!told.contains(&"model-0".to_owned()) && told.contains(&"model-1".to_owned()));
    assert!(!told.contains(&"new".to_owned()));
    let newer = told.iter().position(|model| model == "newer").unwrap();
    assert_eq!(histograms(&metrics, DURATION)[newer].start_time_unix_nano, 1_001 * SECOND);
}

#[test]
fn models_that_are_not_told_by_name_are_told_together() {
    let mut models = Models::default();
    for number in 0..MOST {
        let name: Arc<str> = format!("model-{number}").into();
        assert_eq!(models.name(Some(&name)), (Some(name), None));
    }
    assert_eq!(models.name(Some(&"one".into())), (Some("other".into()), None));
    assert_eq!(models.name(None), (None, None));
    models.told();
    assert_eq!(models.name(Some(&"one".into())), (Some("one".into()), Some("model-0".into())));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn of_whatever_is_recorded_no_call_is_lost_and_no_instrument_grows_beyond_its_bound(
        names in prop::collection::vec(("[a-z]{0,2}", prop::option::of(".{0,3}"), any::<bool>()), 1..600),
        delta in any::<bool>(),
    ) {
        let temporality = if delta { Delta } else { Cumulative };
        let mut instruments = Instruments::new(BOTH, temporality, began());
        let (mut told, count) = (0, names.len() as u64);
        for (model, error, collect) in names {
            let mut finished = of(&model);
            finished.error = error.map(|kind| Problem { kind: kind.into(), message: "".into() });
            instruments.record(&finished);
            if collect && delta {
                told += calls(&instruments.collect(at(1)))?;
            }
        }
        let metrics = instruments.collect(at(2));
        prop_assert_eq!(told + calls(&metrics)?, count);
    }
}

fn calls(metrics: &[Metric]) -> Result<u64, TestCaseError> {
    let points = find(metrics, DURATION).map_or(&[][..], |_| histograms(metrics, DURATION));
    prop_assert!(points.len() <= 200);
    for point in points {
        prop_assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
        prop_assert!(point.start_time_unix_nano <= point.time_unix_nano);
    }
    Ok(points.iter().map(|point| point.count).sum())
}
