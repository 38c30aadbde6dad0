//! `/v1/models`.

use super::Failure;
use crate::upstream::bridge::Models;

pub(in crate::upstream::bridge) fn answer(
    _: &http::HeaderMap,
    _: &http::Uri,
    _: &Models,
) -> Option<Result<serde_json::Value, Failure>> {
    None
}
