//! Durations in words: `30s`, `5m`, `1h 30m`; a bare number is seconds.

use std::fmt;
use std::time::Duration;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serializer};

/// Beyond this, adding to a point in time may overflow; and nobody waits a year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Reads a duration.
///
/// # Errors
/// Where it is none, or of more than a year.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_any(Words)
}

/// Reads a duration that cannot be no time at all.
///
/// # Errors
/// Where it is, or is none, or of more than a year.
pub fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    match deserialize(deserializer)? {
        Duration::ZERO => {
            Err(Error::invalid_value(Unexpected::Unsigned(0), &"a duration longer than nothing"))
        }
        duration => Ok(duration),
    }
}

/// Reads a duration that cannot be no time at all, unless the key is left empty.
///
/// # Errors
/// Where it is neither, or of more than a year.
pub fn some_positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    #[derive(Deserialize)]
    struct Said(#[serde(deserialize_with = "positive")] Duration);

    Ok(Option::<Said>::deserialize(deserializer)?.map(|Said(duration)| duration))
}

/// Writes it in words.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}

struct Words;

impl Words {
    fn checked<E: Error>(&self, duration: Option<Duration>, found: Unexpected<'_>) -> Result<Duration, E> {
        let duration = duration.filter(|duration| *duration <= LONGEST);
        duration.ok_or_else(|| E::invalid_value(found, self))
    }
}

impl Visitor<'_> for Words {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration of at most a year, such as 30s, 5m, 500ms, or a number of seconds")
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<Duration, E> {
        self.checked(Some(Duration::from_secs(seconds)), Unexpected::Unsigned(seconds))
    }

    fn visit_i64<E: Error>(self, seconds: i64) -> Result<Duration, E> {
        let duration = u64::try_from(seconds).ok().map(Duration::from_secs);
        self.checked(duration, Unexpected::Signed(seconds))
    }

    fn visit_f64<E: Error>(self, seconds: f64) -> Result<Duration, E> {
        self.checked(Duration::try_from_secs_f64(seconds).ok(), Unexpected::Float(seconds))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        self.checked(parse(text), Unexpected::Str(text))
    }
}

fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    match text.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn durations_are_words_or_bare_seconds() {
        for (json, millis) in [
            (json!("30s"), 30_000),
            (json!("30"), 30_000),
            (json!(" 2.5 "), 2_500),
            (json!(10), 10_000),
            (json!(0.25), 250),
            (json!("5m"), 300_000),
            (json!("1h 30m"), 5_400_000),
            (json!("250ms"), 250),
            (json!("0"), 0),
            (json!("365d"), 31_536_000_000),
        ] {
            assert_eq!(deserialize(json).unwrap(), Duration::from_millis(millis));
        }
        for text in ["", "-1", "soon", "30x", "366d", "1e300", "nan", "inf", "1,5"] {
            let error = deserialize(json!(text)).unwrap_err().to_string();
            assert!(error.contains("expected a duration of at most a year"), "{text}: {error}");
        }
        for json in [json!(-1), json!(u64::MAX), json!(-0.5), json!(true), Value::Null] {
            assert!(deserialize(json).is_err());
        }
    }

    #[test]
    fn nothing_is_no_time_where_some_is_needed_and_may_be_left_out_where_that_is_said() {
        for json in [json!(0), json!("0s"), json!(0.0)] {
            let error = positive(json).unwrap_err().to_string();
            assert!(error.contains("expected a duration longer than nothing"), "{error}");
        }
        assert_eq!(some_positive(json!("1s")).unwrap(), Some(Duration::from_secs(1)));
        assert_eq!(some_positive(Value::Null).unwrap(), None);
        assert!(some_positive(json!(0)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(millis in 0..=31_536_000_000_u64) {
            let duration = Duration::from_millis(millis);
            let written = serialize(&duration, serde_json::value::Serializer).unwrap();
            prop_assert_eq!(deserialize(written).unwrap(), duration);
        }

        #[test]
        fn any_text_is_read_without_harm(text in ".{0,30}") {
            prop_assert!(!deserialize(json!(text)).is_ok_and(|duration| duration > LONGEST));
        }
    }
}
