//! Sizes, durations and paths as settings say them, the same everywhere: `64MiB`, `1h 30m`, `~/traces`.
//!
//! For serde's `deserialize_with` and `serialize_with`. What cannot be is refused with what could.

pub mod duration;
pub mod path;
pub mod size;
