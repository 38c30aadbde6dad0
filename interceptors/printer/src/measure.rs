//! Quantities in as few characters as tell them.

use std::time::Duration;

use perimeter_interceptor::Usd;

/// A duration in at most six characters: `3.2ms`, `312ms`, `1.24s`, `12.4s`, `2m05s`, `1h02m`.
pub fn duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    let millis = micros / 1000;
    let seconds = millis / 1000;
    match millis {
        0..10 => format!("{millis}.{}ms", micros / 100 % 10),
        10..1000 => format!("{millis}ms"),
        1000..10_000 => format!("{seconds}.{:02}s", millis / 10 % 100),
        10_000..60_000 => format!("{seconds}.{}s", millis / 100 % 10),
        60_000..3_600_000 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600_000..360_000_000 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A number, exact up to 9999: `1204`, `48.2k`, `1.3M`.
pub fn count(count: u64) -> String {
    match count {
        0..10_000 => count.to_string(),
        10_000..1_000_000 => scaled(count, 1000, "k"),
        _ => scaled(count, 1_000_000, "M"),
    }
}

/// A number of bytes: `812 B`, `12.3 kB`, `4.5 MB`.
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => scaled(bytes, 1000, " kB"),
        1_000_000..1_000_000_000 => scaled(bytes, 1_000_000, " MB"),
        _ => scaled(bytes, 1_000_000_000, " GB"),
    }
}

/// An amount of money, to the cent from a dollar on, and below that to two digits that tell something: `$12.34`,
/// `$0.31`, `$0.0042`.
pub fn dollars(amount: Usd) -> String {
    let round = |unit: u64| amount.0.saturating_add(unit / 2) / unit * unit;
    // A tenth of the unit of the first digit, and nothing finer than a millionth of a dollar.
    let mut unit = Usd::DOLLAR / 100;
    while unit > Usd::DOLLAR / 1_000_000 && round(unit / 10) < unit * 10 {
        unit /= 10;
    }
    match round(unit) {
        0 if amount.0 > 0 => "<$0.000001".to_owned(),
        rounded => format!("${}", Usd(rounded)),
    }
}

fn scaled(number: u64, unit: u64, name: &str) -> String {
    format!("{}.{}{name}", number / unit, number % unit / (unit / 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_at_every_scale() {
        let all = [0, 420, 3_249, 9_999, 10_000, 312_400, 999_999, 1_249_000, 59_999_000, 125_000_000];
        let shown = all.map(|micros| duration(Duration::from_micros(micros)));
        let expected =
            ["0.0ms", "0.4ms", "3.2ms", "9.9ms", "10ms", "312ms", "999ms", "1.24s", "59.9s", "2m05s"];
        assert_eq!(shown, expected);
        assert_eq!(duration(Duration::from_secs(3_725)), "1h02m");
        assert!(duration(Duration::from_secs(99 * 3600)).len() <= 6);
        assert_eq!(duration(Duration::from_secs(200 * 3600)), "8d");
        assert!(!duration(Duration::MAX).is_empty());
        // As much as fits, which a sum may come to.
        assert_eq!(dollars(Usd(u64::MAX)), "$18446744.07");
    }

    #[test]
    fn amounts_are_told_to_the_cent_or_to_two_digits() {
        let all = [
            (0, "$0.00"),
            (1, "<$0.000001"),
            (499_999, "<$0.000001"),
            (500_000, "$0.000001"),
            (232_800_000, "$0.00023"),
            (4_200_000_000, "$0.0042"),
            (99_600_000_000, "$0.10"),
            (309_000_000_000, "$0.31"),
            (999_999_999_999, "$1.00"),
            (12_345_678_901_234, "$12.35"),
            (u64::MAX - Usd::DOLLAR, "$18446743.07"),
        ];
        for (amount, shown) in all {
            assert_eq!(dollars(Usd(amount)), shown, "{amount}");
        }
    }

    #[test]
    fn counts_are_exact_while_that_is_short() {
        assert_eq!(
            [9_999, 10_000, 48_213, 999_999, 1_300_000].map(count),
            ["9999", "10.0k", "48.2k", "999.9k", "1.3M"]
        );
        assert_eq!(
            [0, 999, 12_345, 4_500_000, 7_000_000_000].map(bytes),
            ["0 B", "999 B", "12.3 kB", "4.5 MB", "7.0 GB"]
        );
    }
}
