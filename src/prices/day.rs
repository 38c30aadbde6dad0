//! Days, in UTC: prices can change on one.

use std::time::{Duration, SystemTime};

/// A day, counted from the first of January 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day(u64);

impl Day {
    /// The day of this moment.
    pub(crate) fn of(at: SystemTime) -> Self {
        const DAY: u64 = 24 * 60 * 60;
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self(since.as_secs() / DAY)
    }

    /// Reads `20250929` or `2025-09-29`: a day of this half of the century that there is, not just digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = match text.as_bytes() {
            [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] => [*y1, *y2, *y3, *y4, *m1, *m2, *d1, *d2],
            [y1, y2, y3, y4, m1, m2, d1, d2] => [*y1, *y2, *y3, *y4, *m1, *m2, *d1, *d2],
            _ => return None,
        };
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let number =
            |digits: &[u8]| digits.iter().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
        let (year, month, day) = (number(&digits[..4]), number(&digits[4..6]), number(&digits[6..]));
        if !(2020..2050).contains(&year) || day == 0 {
            return None;
        }
        // 2000 and 2100 are out of reach: each fourth year is a leap year.
        let is_leap = year % 4 == 0;
        let lengths = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let before = usize::try_from(month).ok()?.checked_sub(1)?;
        if day > *lengths.get(before)? {
            return None;
        }
        let years = (year - 1970) * 365 + (year - 1969) / 4;
        Some(Self(years + lengths.iter().take(before).sum::<u64>() + day - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_the_one_that_the_clock_tells() {
        let at = |seconds| Day::of(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        for (day, begins) in [
            ("2020-01-01", 1_577_836_800),
            ("2024-02-29", 1_709_164_800),
            ("2024-03-01", 1_709_251_200),
            ("20261231", 1_798_675_200),
            ("2027-01-01", 1_798_761_600),
        ] {
            assert_eq!(Day::parse(day), Some(at(begins)), "{day}");
            assert_eq!(Day::parse(day), Some(at(begins + 86_399)), "{day}");
            assert!(Day::parse(day) > Some(at(begins - 1)), "{day}");
        }
        assert!(Day::of(SystemTime::UNIX_EPOCH - Duration::from_secs(1)) < at(86_400));
    }

    #[test]
    fn what_is_no_day_is_none() {
        for text in [
            "",
            "20251399",
            "2025-02-29",
            "2026-02-30",
            "2026-04-31",
            "2026-00-10",
            "2026-01-00",
            "1999-01-01",
            "2050-01-01",
            "2026-1-1",
            "2026/01/01",
            "２０２５0101",
        ] {
            assert_eq!(Day::parse(text), None, "{text}");
        }
    }
}
