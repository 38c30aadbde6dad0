//! Which spans are told of what passes, field by field.

use opentelemetry_proto::tonic::trace::v1::Span;
use perimeter_interceptor::SessionEnd;
use perimeter_interceptor::testing::{Script, comply, play};
use perimeter_otel::{Kept, Settings, TraceExporter};

mod any;
mod ends;
pub(crate) mod exchanges;
mod show;
mod traces;
mod trees;
mod wire;

/// The spans of a script.
pub(crate) fn spans_of(script: impl Into<Script>) -> Vec<Span> {
    spans_with("{}", script)
}

/// The spans of a script under these settings of `trace` (JSON).
pub(crate) fn spans_with(trace: &str, script: impl Into<Script>) -> Vec<Span> {
    let (exporter, kept) = exporter(trace);
    play(exporter, script).assert_faultless();
    kept.spans()
}

fn exporter(trace: &str) -> (TraceExporter, Kept) {
    let settings: Settings = serde_json::from_str(&format!(r#"{{"trace":{trace}}}"#)).unwrap();
    TraceExporter::kept(&settings).unwrap()
}

/// The only span of this name.
#[track_caller]
pub(crate) fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut found = spans.iter().filter(|span| span.name == name);
    let span = found.next().unwrap_or_else(|| panic!("no {name} in {}", show::tree(spans)));
    assert!(found.next().is_none(), "more than one {name}");
    span
}

/// An attribute, so that its type shows; empty where it is not there.
pub(crate) fn attribute(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    found.and_then(|attribute| attribute.value.as_ref()).map(show::value).unwrap_or_default()
}

/// The end of the session that [`exchanges`] are of.
pub(crate) fn ended(script: Script, calls: u32) -> Script {
    let session = exchanges::at(1);
    script.session_end(SessionEnd::new(session.id, calls, std::time::Duration::from_secs(9)))
}

#[test]
fn whatever_passes_it_goes_on() {
    for settings in ["{}", r#"{"spans":"tree"}"#, r#"{"spans":"calls","sampler":"always_off"}"#] {
        comply(|| exporter(settings).0);
    }
}

#[test]
fn each_edition_of_the_conventions_has_its_own_words() {
    let keys = |semconv: &str| {
        let settings: Settings = serde_json::from_str(&format!(r#"{{"semconv":{semconv}}}"#)).unwrap();
        let (exporter, kept) = TraceExporter::kept(&settings).unwrap();
        let scene = exchanges::asks(exchanges::at(1), Vec::new());
        play(exporter, exchanges::Answers::answers_well(scene, "Hi")).assert_faultless();
        let call = kept.spans().remove(0);
        ["cache_write", "cache_creation"]
            .map(|word| attribute(&call, &format!("gen_ai.usage.{word}.input_tokens")))
    };
    assert_eq!(keys(r#"["latest"]"#), ["100", ""]);
    assert_eq!(keys(r#"["v1_41"]"#), ["", "100"]);
    assert_eq!(keys(r#"["latest","v1_41"]"#), ["100", "100"]);
}

#[test]
fn no_key_is_told_twice_and_no_span_ends_before_it_begins() {
    let script = Script::new().together(perimeter_interceptor::testing::scenes::all());
    let spans = spans_of(script);
    assert!(spans.len() > 40, "{}", spans.len());
    for span in &spans {
        let mut keys: Vec<_> = span.attributes.iter().map(|attribute| &attribute.key).collect();
        keys.sort_unstable();
        assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "{}", show::tree(std::slice::from_ref(span)));
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano && span.start_time_unix_nano > 0);
        assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
        assert!(matches!(span.parent_span_id.len(), 0 | 8));
    }
}

#[test]
fn what_a_configuration_may_not_say_is_refused_with_what_it_may() {
    let error = |trace: &str| {
        let settings = format!(r#"{{"trace":{trace}}}"#);
        serde_json::from_str::<Settings>(&settings).unwrap_err().to_string()
    };
    assert!(error(r#"{"spans":"all"}"#).contains("expected `tree` or `calls`"));
    assert!(error(r#"{"sampler":"often"}"#).contains("`parentbased_traceidratio`"));
    assert!(error(r#"{"sampler_arg":7}"#).contains("a number from 0 to 1"));
    assert!(error(r#"{"when_instrumented":"drop"}"#).contains("`link`"));
    assert!(error(r#"{"span":"tree"}"#).contains("unknown field `span`"));
}

#[test]
fn the_documentation_names_all_that_is_ours() {
    let document = include_str!("../../../../docs/traces.md");
    let script = Script::new().together(perimeter_interceptor::testing::scenes::all());
    let session = exchanges::Answers::answers_well(exchanges::asks(exchanges::at(1), Vec::new()), "Hi");
    let spans = spans_of(script.scene(session));
    let attributes = spans.iter().flat_map(|span| &span.attributes).map(|attribute| &attribute.key);
    let ours: std::collections::BTreeSet<_> =
        attributes.filter(|key| key.starts_with("perimeter.")).collect();
    assert!(ours.len() > 25);
    for key in ours.into_iter().filter(|key| !key.starts_with("perimeter.tag.")) {
        let (_, last) = key.rsplit_once('.').unwrap();
        let named = document.contains(&format!("`{key}`")) || document.contains(last);
        assert!(named, "{key} is not in docs/traces.md");
    }
}
