use super::{Failure, Reader, Reading};
use crate::upstream::bridge::Kind;

pub(super) fn read(_: Reader<'_>) -> Result<Reading, Failure> {
    Err(Failure::new(Kind::Unavailable, "this door is not built yet"))
}

pub(in crate::upstream::bridge) fn read_count(
    _: Reader<'_>,
) -> Result<crate::upstream::bridge::Ask, Failure> {
    Err(Failure::new(Kind::Unavailable, "this door is not built yet"))
}

pub(in crate::upstream::bridge) fn count(count: crate::upstream::bridge::Count) -> serde_json::Value {
    serde_json::json!({"input_tokens": count.tokens})
}
