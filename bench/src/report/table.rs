//! Markdown tables whose columns line up in plain text too.

use std::fmt::Write as _;

use crate::statistics::Spread;

/// What stands for a figure that there is not.
const NOTHING: &str = "–";

/// The median, with so many digits.
pub(crate) fn middle(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(|| NOTHING.to_owned(), |spread| format!("{:.digits$}", spread.median))
}

/// The extremes.
pub(crate) fn ends(spread: Option<Spread>) -> String {
    extremes(spread, 2)
}

/// The extremes, with so many digits.
pub(super) fn extremes(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(String::new, |Spread { min, max, .. }| {
        let to = if min < 0.0 { " to " } else { "–" };
        format!("{min:.digits$}{to}{max:.digits$}")
    })
}

/// A Markdown table whose columns line up in plain text too; the first line is its header.
pub(crate) fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            _ = if column == 0 {
                write!(text, "| {cell:<width$} ")
            } else {
                write!(text, "| {cell:>width$} ")
            };
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                _ = write!(text, "|{}{}", "-".repeat(width + 1), if column == 0 { "-" } else { ":" });
            }
            text.push_str("|\n");
        }
    }
    text
}

/// The same without the columns that have nothing to say.
pub(super) fn full(lines: &[Vec<String>]) -> String {
    let says = |column: usize| {
        let mut cells = lines.iter().skip(1).filter_map(|line| line.get(column));
        cells.any(|cell| !cell.is_empty() && cell != NOTHING)
    };
    let columns: Vec<bool> = (0..lines.first().map_or(0, Vec::len)).map(says).collect();
    let kept = |line: &Vec<String>| {
        line.iter().zip(&columns).filter(|(_, says)| **says).map(|(cell, _)| cell.clone()).collect()
    };
    aligned(&lines.iter().map(kept).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[&[&str]]) -> Vec<Vec<String>> {
        lines.iter().map(|line| line.iter().map(|cell| (*cell).to_owned()).collect()).collect()
    }

    #[test]
    fn columns_line_up() {
        assert_eq!(
            aligned(&lines(&[&["a", "µs"], &["long", "1.00"]])),
            "| a    |   µs |\n|------|-----:|\n| long | 1.00 |\n"
        );
    }

    #[test]
    fn a_column_that_says_nothing_is_left_out() {
        let table = full(&lines(&[&["a", "b", "c"], &["x", NOTHING, ""], &["y", "", "1"]]));
        assert_eq!(table, aligned(&lines(&[&["a", "c"], &["x", ""], &["y", "1"]])));
    }
}
