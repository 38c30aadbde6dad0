//! Durations in words: `30s`, `5m`, `1h 30m`; a bare number is seconds. For `#[serde(with)]`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

/// Beyond this, adding to a point in time may overflow; and nobody waits a year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

const EXPECTED: &str =
    "expected a duration of at most a year, such as 30s, 5m, 500ms, or a number of seconds";

pub(super) fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    let duration = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => humantime::parse_duration(text).ok()?,
    };
    (duration <= LONGEST).then_some(duration)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(deserializer)?).ok_or_else(|| serde::de::Error::custom(EXPECTED))
}

/// As `deserialize`, for what cannot be no time at all.
pub(super) fn deserialize_positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    match deserialize(deserializer)? {
        Duration::ZERO => Err(serde::de::Error::custom("expected a duration longer than nothing")),
        duration => Ok(duration),
    }
}

pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_bare_seconds() {
        for (text, millis) in [
            ("30s", 30_000),
            ("30", 30_000),
            (" 2.5 ", 2_500),
            ("5m", 300_000),
            ("1h 30m", 5_400_000),
            ("250ms", 250),
            ("0", 0),
            ("365d", 31_536_000_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "-1", "soon", "30x", "366d", "1e300", "nan", "inf", "1,5"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
