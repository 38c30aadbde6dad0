//! Sizes in words: `64MiB` (1024 × 1024), `10MB` (1000 × 1000); a bare number is bytes. For `#[serde(with)]`.

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

const EXPECTED: &str = "expected a size such as 64MiB, 10MB, or a number of bytes";

pub(super) fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..)?;
    let unit = match unit {
        "" => 1,
        _ => UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    let bytes = times(digits.trim(), unit)?;
    (bytes <= i64::MAX.unsigned_abs()).then_some(bytes)
}

/// `number` × `unit`, where `number` may have a fraction as long as the product has none.
fn times(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > 6 {
        return None;
    }
    let scale = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
    let fraction: u64 = fraction.parse().ok()?;
    let part = fraction.checked_mul(unit)?;
    if !part.is_multiple_of(scale) {
        return None;
    }
    whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(part / scale)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    parse(&String::deserialize(deserializer)?).ok_or_else(|| serde::de::Error::custom(EXPECTED))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
pub(super) fn serialize<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    let exact = UNITS.iter().find(|(_, unit)| *bytes >= *unit && bytes.is_multiple_of(*unit));
    match exact {
        Some((name, unit)) if *unit > 1 => serializer.collect_str(&format_args!("{}{name}", bytes / unit)),
        _ => serializer.serialize_u64(*bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_bare_bytes() {
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
    fn a_size_is_written_in_the_largest_unit_that_fits() {
        for (bytes, text) in
            [(64 << 20, "\"64MiB\""), (10_000_000, "\"10MB\""), (1000, "\"1KB\""), (1001, "1001"), (0, "0")]
        {
            let mut out = Vec::new();
            serialize(&bytes, &mut serde_json::Serializer::new(&mut out)).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
