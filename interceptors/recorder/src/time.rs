//! Times as they stand in records.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// So long after that.
pub fn after(began: SystemTime, elapsed: Duration) -> SystemTime {
    began.checked_add(elapsed).unwrap_or(UNIX_EPOCH)
}

/// RFC 3339 in UTC, to the microsecond.
pub fn timestamp(at: SystemTime) -> String {
    let mut text = String::with_capacity("2026-11-21T00:33:08.264672Z".len());
    // It fails behind the year 9999.
    let _ = write!(text, "{}", humantime::format_rfc3339_micros(at.max(UNIX_EPOCH)));
    text
}

/// Milliseconds, to the microsecond.
pub fn milliseconds(duration: Duration) -> f64 {
    let microseconds = u32::try_from(duration.as_micros()).map_or(duration.as_secs_f64() * 1e6, f64::from);
    microseconds.round() / 1e3
}
