//! Durations (`30s`, `1h 30m`; a bare number is seconds) and sizes (`16MiB`; a bare number is bytes), as everywhere in
//! a configuration.

use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// Beyond this, adding to a point in time may overflow; and nobody waits a year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

const A_DURATION: &str =
    "expected a duration longer than nothing, and of at most a year, such as 30s, 5m or 500ms";

pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse_duration(&String::deserialize(deserializer)?).ok_or_else(|| Error::custom(A_DURATION))
}

/// A duration, unless the key is left empty.
pub(super) fn some_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    parse_duration(&text).map(Some).ok_or_else(|| Error::custom(A_DURATION))
}

pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    perimeter_recorder::size::deserialize(deserializer)
}

/// A size, unless the key is left empty.
pub(super) fn some_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    struct Size(#[serde(deserialize_with = "size")] u64);

    Ok(Option::<Size>::deserialize(deserializer)?.map(|Size(bytes)| bytes))
}

/// A number from 1 on, unless the key is left empty.
pub(super) fn some_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    match Option::<usize>::deserialize(deserializer)? {
        Some(0) => Err(Error::custom("expected a number from 1 on")),
        count => Ok(count),
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let duration = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => humantime::parse_duration(text).ok()?,
    };
    (duration > Duration::ZERO && duration <= LONGEST).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_words_or_bare_seconds() {
        for (text, millis) in
            [("30s", 30_000), ("30", 30_000), (" 2.5 ", 2_500), ("1h 30m", 5_400_000), ("7d", 604_800_000)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "0", "0s", "-1", "soon", "366d", "nan", "inf"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
