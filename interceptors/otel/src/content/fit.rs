//! What there is room for.

use opentelemetry_proto::tonic::common::v1::AnyValue;

use super::value::{self, member, object};

/// More than a note has bytes of JSON.
pub(super) const NOTE: usize = 96;

/// A part that says how much was left out.
pub(super) fn note(left_out: usize, what: &str) -> AnyValue {
    object(vec![member("type", value::text("omitted")), member("content", value::text(said(left_out, what)))])
}

/// How much was left out, in words.
pub(super) fn said(left_out: usize, what: &str) -> String {
    let ending = if left_out == 1 { "" } else { "s" };
    format!("[{left_out} {what}{ending} left out]")
}

/// The newest of `parts` whose JSON takes `most` bytes, with commas. A note says how many there are before.
pub(super) fn newest(mut parts: Vec<AnyValue>, most: usize) -> Vec<AnyValue> {
    parts.reverse();
    let mut parts = oldest(parts, most, |left_out| note(left_out, "part"));
    parts.reverse();
    parts
}

/// The first of `values` whose JSON takes `most` bytes, with commas. What `note` makes of their number says how many
/// there are after.
pub(super) fn oldest(
    mut values: Vec<AnyValue>,
    most: usize,
    note: impl FnOnce(usize) -> AnyValue,
) -> Vec<AnyValue> {
    let lengths: Vec<usize> = values.iter().map(|value| value::length(value) + 1).collect();
    if lengths.iter().sum::<usize>() <= most {
        return values;
    }
    let Some(most) = most.checked_sub(NOTE) else { return Vec::new() };
    let mut taken = 0;
    let fits = |length: &&usize| {
        taken += **length;
        taken <= most
    };
    let kept = lengths.iter().take_while(fits).count();
    let left_out = values.len() - kept;
    values.truncate(kept);
    values.push(note(left_out));
    values
}
