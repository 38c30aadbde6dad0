//! Numbers as they are written in a price list, exactly: no floating point anywhere.

use std::fmt;

/// How many digits after the point there may be.
const PLACES: u32 = 12;

/// A number of 10⁻¹².
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Decimal(u64);

/// Not a decimal number, or one with more digits than are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotDecimal;

impl Decimal {
    /// One.
    pub(crate) const ONE: Self = Self(10_u64.pow(PLACES));

    /// Reads `1.25`, `0.000003`, `15`: digits, and a point and more digits if there is one. No sign, no exponent.
    pub(super) fn parse(text: &str) -> Result<Self, NotDecimal> {
        let (whole, part) = match text.split_once('.') {
            Some((whole, part)) if !part.is_empty() => (whole, part),
            Some(_) => return Err(NotDecimal),
            None => (text, ""),
        };
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(part) {
            return Err(NotDecimal);
        }
        let part = part.trim_end_matches('0');
        let missing = u32::try_from(part.len()).ok().and_then(|length| PLACES.checked_sub(length));
        let scale = 10_u64.pow(missing.ok_or(NotDecimal)?);
        let whole: u64 = whole.parse().map_err(|_| NotDecimal)?;
        let part: u64 = if part.is_empty() { 0 } else { part.parse().map_err(|_| NotDecimal)? };
        let whole = whole.checked_mul(Self::ONE.0).ok_or(NotDecimal)?;
        whole.checked_add(part * scale).map(Self).ok_or(NotDecimal)
    }

    /// How many of 10⁻¹² it is.
    pub(super) fn units(self) -> u64 {
        self.0
    }

    /// The product, where it needs no more digits than are kept.
    pub(super) fn times(self, factor: Self) -> Option<Self> {
        let product = u128::from(self.0) * u128::from(factor.0);
        let one = u128::from(Self::ONE.0);
        if product % one == 0 { u64::try_from(product / one).ok().map(Self) } else { None }
    }
}

/// As it would be written in a price list, without needless digits.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / Self::ONE.0, self.0 % Self::ONE.0);
        if part == 0 {
            return write!(f, "{whole}");
        }
        write!(f, "{whole}.{}", format!("{part:012}").trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_price_is_what_is_written_to_the_last_digit() {
        let read = |text: &str| Decimal::parse(text).map(Decimal::units);
        assert_eq!(read("1.25"), Ok(1_250_000_000_000));
        assert_eq!(read("0.003625"), Ok(3_625_000_000));
        assert_eq!(read("600"), Ok(600_000_000_000_000));
        assert_eq!(read("0.000000000001"), Ok(1));
        assert_eq!(read("2.500000000000000"), Ok(2_500_000_000_000));
        for wrong in
            ["", ".5", "5.", "-1", "+1", "1e3", "1,5", " 1", "0.0000000000001", "99999999999", "1.2.3", "NaN"]
        {
            assert_eq!(read(wrong), Err(NotDecimal), "{wrong}");
        }
    }

    #[test]
    fn a_product_is_exact_or_none() {
        let number = |text| Decimal::parse(text).unwrap();
        assert_eq!(number("0.003625").times(number("0.5")), Some(number("0.0018125")));
        assert_eq!(number("0.000000000001").times(number("0.5")), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_is_written_is_read_again(text in "\\PC*", units: u64) {
            let _ = Decimal::parse(&text);
            let number = Decimal(units);
            prop_assert_eq!(Decimal::parse(&number.to_string()), Ok(number));
        }
    }
}
