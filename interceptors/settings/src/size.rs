//! Sizes in words: `64MiB` (1024 × 1024), `10MB` (1000 × 1000); a bare number is bytes.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serializer};

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Beyond this it could not be written down again: YAML's integers have a sign.
const LARGEST: u64 = i64::MAX.unsigned_abs();

/// Reads a size, in bytes.
///
/// # Errors
/// Where it is none.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_any(Size)
}

/// Reads a size, in bytes, unless the key is left empty.
///
/// # Errors
/// Where it is neither.
pub fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    struct Said(#[serde(deserialize_with = "deserialize")] u64);

    Ok(Option::<Said>::deserialize(deserializer)?.map(|Said(bytes)| bytes))
}

/// Writes it in the largest unit that leaves no rest.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    let exact = UNITS.iter().find(|(_, unit)| *bytes >= *unit && bytes.is_multiple_of(*unit));
    match exact {
        Some((name, unit)) if *unit > 1 => serializer.collect_str(&format_args!("{}{name}", bytes / unit)),
        _ => serializer.serialize_u64(*bytes),
    }
}

struct Size;

impl Visitor<'_> for Size {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as 64MiB, 10MB, or a number of bytes")
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<u64, E> {
        if bytes <= LARGEST { Ok(bytes) } else { Err(E::invalid_value(Unexpected::Unsigned(bytes), &self)) }
    }

    fn visit_i64<E: Error>(self, bytes: i64) -> Result<u64, E> {
        u64::try_from(bytes).map_err(|_| E::invalid_value(Unexpected::Signed(bytes), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..)? {
        "" => 1,
        unit => UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    times(digits.trim(), unit).filter(|bytes| *bytes <= LARGEST)
}

/// `number` × `unit`, where `number` may have a fraction as long as the product has none.
fn times(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > 6 {
        return None;
    }
    let scale = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
    let part = fraction.parse::<u64>().ok()?.checked_mul(unit)?;
    if !part.is_multiple_of(scale) {
        return None;
    }
    whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(part / scale)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn sizes_are_words_or_bare_bytes() {
        for (text, bytes) in [
            ("0", 0),
            ("10485760", 10 << 20),
            ("64MiB", 64 << 20),
            ("64 MiB", 64 << 20),
            ("10MB", 10_000_000),
            ("10mb", 10_000_000),
            ("1.5GiB", 3 << 29),
            ("512B", 512),
            ("1TiB", 1 << 40),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for text in
            ["", "MiB", "-1", "1.5", "0.3KiB", "10M", "10 apples", "9999999TiB", "1e3", "1.", ".5MB", "ü"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_size_is_a_number_or_text_and_may_be_left_out_where_that_is_said() {
        for (json, bytes) in [(json!(7), 7), (json!("1KiB"), 1024), (json!(0), 0)] {
            assert_eq!(deserialize(json.clone()).unwrap(), bytes);
            assert_eq!(some(json).unwrap(), Some(bytes));
        }
        assert_eq!(some(Value::Null).unwrap(), None);
        for json in [json!(-1), json!(u64::MAX), json!(1.5), json!(true), json!("much")] {
            let error = some(json.clone()).unwrap_err().to_string();
            assert!(error.contains("expected a size such as 64MiB"), "{json}: {error}");
        }
        assert!(deserialize(Value::Null).is_err());
    }

    #[test]
    fn a_size_is_written_in_the_largest_unit_that_fits() {
        for (bytes, text) in
            [(64 << 20, "\"64MiB\""), (10_000_000, "\"10MB\""), (1000, "\"1KB\""), (1001, "1001"), (0, "0")]
        {
            let mut out = Vec::new();
            serialize(&bytes, &mut serde_json::Serializer::new(&mut out)).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(bytes in 0..=LARGEST, shift in 0..63_u32) {
            let bytes = bytes >> shift;
            let written = serialize(&bytes, serde_json::value::Serializer).unwrap();
            prop_assert_eq!(deserialize(written).unwrap(), bytes);
        }

        #[test]
        fn any_text_is_read_without_harm(text in ".{0,30}") {
            prop_assert!(parse(&text).is_none_or(|bytes| bytes <= LARGEST));
        }
    }
}
