//! Calls as log records: what they said, and why they failed.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};

use crate::content::value::{member, text};
use crate::content::{Content, KEYS};
use crate::finished::Finished;
use crate::text::said;

/// No more of an error's message is told, in bytes.
const MESSAGE: usize = 1 << 10;

/// `gen_ai.client.inference.operation.details`: what the call's span says, and what was said in it. `observed` is when
/// that was known.
pub(crate) fn details(
    finished: &Finished,
    span: Vec<KeyValue>,
    content: &Content,
    observed: SystemTime,
) -> LogRecord {
    let beside_content = span.into_iter().filter(|attribute| !KEYS.contains(&&*attribute.key));
    LogRecord {
        event_name: "gen_ai.client.inference.operation.details".to_owned(),
        severity_number: SeverityNumber::Debug.into(),
        severity_text: "DEBUG".to_owned(),
        attributes: beside_content.chain(content.on_event()).collect(),
        ..record(finished, observed)
    }
}

/// `gen_ai.client.operation.exception`: why the call has no whole answer. Nothing where it has one.
pub(crate) fn exception(finished: &Finished, observed: SystemTime) -> Option<LogRecord> {
    let problem = finished.error.as_ref()?;
    // Providers quote keys in their refusals.
    let message = said(&problem.message, MESSAGE);
    Some(LogRecord {
        event_name: "gen_ai.client.operation.exception".to_owned(),
        severity_number: SeverityNumber::Warn.into(),
        severity_text: "WARN".to_owned(),
        attributes: vec![
            member("exception.type", text(&*problem.kind)),
            member("exception.message", text(message)),
        ],
        ..record(finished, observed)
    })
}

/// A record of the moment at which the call was over.
fn record(finished: &Finished, observed: SystemTime) -> LogRecord {
    LogRecord {
        time_unix_nano: nanos(finished.began.checked_add(finished.lasted).unwrap_or(finished.began)),
        observed_time_unix_nano: nanos(observed),
        flags: finished.span.flags.into(),
        trace_id: finished.span.trace.to_vec(),
        span_id: finished.span.span.to_vec(),
        ..LogRecord::default()
    }
}

/// Nanoseconds since 1970; 0 before.
pub(crate) fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
