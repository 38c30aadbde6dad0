use super::{Failure, Reader, Reading};
use crate::upstream::bridge::Kind;

pub(super) fn read(_: Reader<'_>) -> Result<Reading, Failure> {
    Err(Failure::new(Kind::Unavailable, "this door is not built yet"))
}

/// Answers that clients may come back to.
#[derive(Debug, Default)]
pub(in crate::upstream::bridge) struct Kept;

pub(in crate::upstream::bridge) fn own(
    _: &http::Method,
    _: &str,
    _: Option<&str>,
    _: &crate::upstream::Caller,
    _: &Kept,
) -> Option<Result<serde_json::Value, Failure>> {
    None
}
