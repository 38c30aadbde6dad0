//! Which spans are told of what passes, field by field.

use opentelemetry_proto::tonic::trace::v1::Span;
use perimeter_interceptor::SessionEnd;
use perimeter_interceptor::testing::{Script, comply, play};
use perimeter_otel::{Profile, TraceExporter, TraceSettings};

mod ends;
mod exchanges;
mod show;
mod traces;
mod trees;

/// The spans of a script.
pub(crate) fn spans_of(script: impl Into<Script>) -> Vec<Span> {
    spans_with("{}", script)
}

/// The spans of a script under these settings (JSON).
pub(crate) fn spans_with(settings: &str, script: impl Into<Script>) -> Vec<Span> {
    let settings: TraceSettings = serde_json::from_str(settings).unwrap();
    let (exporter, kept) = TraceExporter::kept(settings, vec![Profile::Latest, Profile::V1_41]);
    play(exporter, script).assert_faultless();
    kept.spans()
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
        let settings: TraceSettings = serde_json::from_str(settings).unwrap();
        comply(|| TraceExporter::kept(settings.clone(), vec![Profile::Latest]).0);
    }
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
    let error = |settings: &str| serde_json::from_str::<TraceSettings>(settings).unwrap_err().to_string();
    assert!(error(r#"{"spans":"all"}"#).contains("expected `tree` or `calls`"));
    assert!(error(r#"{"sampler":"often"}"#).contains("`parentbased_traceidratio`"));
    assert!(error(r#"{"sampler_arg":7}"#).contains("a number from 0 to 1"));
    assert!(error(r#"{"when_instrumented":"drop"}"#).contains("`link`"));
    assert!(error(r#"{"span":"tree"}"#).contains("unknown field `span`"));
}
