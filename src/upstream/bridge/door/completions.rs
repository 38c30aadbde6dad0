use super::{Failure, Reader, Reading};
use crate::upstream::bridge::Kind;

pub(super) fn read(_: Reader<'_>) -> Result<Reading, Failure> {
    Err(Failure::new(Kind::Unavailable, "this door is not built yet"))
}
