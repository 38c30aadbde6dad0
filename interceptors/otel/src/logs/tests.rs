use std::time::Duration;

use perimeter_interceptor::{Answer, CallId, Completion, Part};

use super::*;
use crate::content;
use crate::content::value::write;
use crate::finished::Problem;
use crate::sample::{self, began, call};

const SECOND: u64 = 1_000_000_000;

fn written(record: &LogRecord) -> Vec<(&str, String)> {
    record
        .attributes
        .iter()
        .map(|attribute| (&*attribute.key, write(attribute.value.as_ref().unwrap())))
        .collect()
}

/// What every record of the sample says.
fn assert_placed(record: &LogRecord) {
    assert_eq!(record.time_unix_nano, 1_001 * SECOND);
    assert_eq!(record.observed_time_unix_nano, 1_002 * SECOND);
    assert_eq!(record.trace_id, [1; 16]);
    assert_eq!(record.span_id, [2; 8]);
    assert_eq!(record.flags, 1);
    assert_eq!(record.body, None);
    assert_eq!(record.dropped_attributes_count, 0);
}

#[test]
fn details_are_what_the_span_says_and_structured_content() {
    let mut completion = Completion::new(CallId(0));
    let mut answer = Answer::new(0);
    answer.parts = vec![Part::Text("Hello".into())];
    answer.stop = Some("stop".into());
    completion.answers = vec![answer];
    let finished = sample::finished(call("openai_chat"), Some(completion));
    let content = Content::of(&finished, &content::Settings::default());
    let mut span = vec![member("gen_ai.operation.name", text("chat"))];
    span.extend(content.on_span());
    let record = details(&finished, span, &content, began() + Duration::from_secs(2));
    assert_eq!(record.event_name, "gen_ai.client.inference.operation.details");
    assert_eq!((record.severity_number, &*record.severity_text), (5, "DEBUG"));
    let message =
        r#"[{"role":"assistant","parts":[{"type":"text","content":"Hello"}],"finish_reason":"stop"}]"#;
    let expected =
        [("gen_ai.operation.name", "\"chat\"".to_owned()), ("gen_ai.output.messages", message.to_owned())];
    assert_eq!(written(&record), expected);
    assert_placed(&record);
}

#[test]
fn a_failure_is_told_with_its_kind_and_its_message_without_secrets() {
    let mut finished = sample::finished(call("openai_chat"), None);
    let observed = began() + Duration::from_secs(2);
    assert_eq!(exception(&finished, observed), None);
    let key = format!("sk-proj-{}", "aB3".repeat(30));
    let message = format!("Incorrect API key provided: {key}.").into();
    finished.error = Some(Problem { kind: "invalid_api_key".into(), message });
    let record = exception(&finished, observed).unwrap();
    assert_eq!(record.event_name, "gen_ai.client.operation.exception");
    assert_eq!((record.severity_number, &*record.severity_text), (13, "WARN"));
    let expected = [
        ("exception.type", "\"invalid_api_key\"".to_owned()),
        ("exception.message", "\"Incorrect API key provided: sk-proj-[REDACTED].\"".to_owned()),
    ];
    assert_eq!(written(&record), expected);
    assert_placed(&record);
}
