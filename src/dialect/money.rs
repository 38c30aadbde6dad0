//! Dollars as they are written in JSON, exactly.

use perimeter_interceptor::Usd;
use serde::de::MapAccess;
use serde_json::value::RawValue;

use super::json::{self, Take};

/// How many digits stand behind the point of a dollar, at most.
const PLACES: i64 = 12;

/// A number of dollars as JSON writes one, such as `0.95` or `1.2e-5`. What is finer than 10⁻¹² is rounded, what is
/// more than fits is the most that does; `None` where it is no number, or below nought.
pub(super) fn dollars(written: &str) -> Option<Usd> {
    let (mantissa, exponent) = match written.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (written, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = whole.bytes().chain(fraction.bytes());
    if whole.is_empty() || !digits.clone().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    // Where the last digit that counts stands, from the first.
    let end = (whole.len() as i64).saturating_add(exponent).saturating_add(PLACES);
    let mut picos: u64 = 0;
    let mut read = 0;
    for digit in digits {
        if read >= end {
            let half = read == end && digit >= b'5';
            return Some(Usd(picos.saturating_add(u64::from(half))));
        }
        picos = picos.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
        read += 1;
    }
    while read < end && picos > 0 && picos < u64::MAX {
        picos = picos.saturating_mul(10);
        read += 1;
    }
    Some(Usd(picos))
}

/// What a provider says that a call cost: OpenRouter's number of dollars, or Perplexity's object of several.
pub(super) fn cost(written: &RawValue) -> Option<Usd> {
    let mut total = None;
    json::read(written.get().as_bytes(), Total(&mut total));
    dollars(total.unwrap_or(written).get())
}

/// xAI's word for the same: 10¹⁰ make a dollar.
pub(super) fn ticks(written: &RawValue) -> Option<Usd> {
    let ticks = written.get().parse::<u64>().ok()?;
    Some(Usd(ticks.saturating_mul(Usd::DOLLAR / 10_000_000_000)))
}

struct Total<'s, 'de>(&'s mut Option<&'de RawValue>);

impl<'de> Take<'de> for Total<'_, 'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "total_cost" => *self.0 = json::raw(&mut object)?,
                _ => drop(json::skip(&mut object)?),
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn picos(written: &str) -> Option<u64> {
        dollars(written).map(|usd| usd.0)
    }

    #[test]
    fn dollars_are_read_to_the_last_digit() {
        assert_eq!(picos("0"), Some(0));
        assert_eq!(picos("1"), Some(1_000_000_000_000));
        assert_eq!(picos("0.95"), Some(950_000_000_000));
        assert_eq!(picos("0.1"), Some(100_000_000_000));
        assert_eq!(picos("0.00014649"), Some(146_490_000));
        assert_eq!(picos("1.2e-5"), Some(12_000_000));
        assert_eq!(picos("7.5E-7"), Some(750_000));
        assert_eq!(picos("1.5e+1"), Some(15_000_000_000_000));
        assert_eq!(picos("12e2"), Some(1_200_000_000_000_000));
        assert_eq!(picos("0.000000000001"), Some(1));
        assert_eq!(picos("0.0000000000005"), Some(1));
        assert_eq!(picos("0.00000000000049"), Some(0));
        assert_eq!(picos("9e-13"), Some(1));
        assert_eq!(picos("9e-14"), Some(0));
    }

    #[test]
    fn what_does_not_fit_is_the_most_that_does() {
        assert_eq!(picos("1e99"), Some(u64::MAX));
        assert_eq!(picos("99999999999999999999999"), Some(u64::MAX));
        assert_eq!(picos("0e9223372036854775807"), Some(0));
        assert_eq!(picos("1e-9223372036854775808"), Some(0));
    }

    #[test]
    fn what_is_no_number_of_dollars_is_none() {
        for written in ["", "null", "-0.5", "\"0.5\"", ".5", "1e", "1.2.3", "{}", "1e99999999999999999999"] {
            assert_eq!(picos(written), None, "{written}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_not(text in ".*") {
            dollars(&text);
        }

        #[test]
        fn what_is_written_is_what_is_read(picos in any::<u64>()) {
            prop_assert_eq!(dollars(&Usd(picos).to_string()), Some(Usd(picos)));
        }
    }
}
