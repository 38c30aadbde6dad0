//! The page as Prometheus reads it (text format 0.0.4).

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};

use crate::scribe::tally::histogram::Histogram;

/// A page being written.
#[derive(Default)]
pub(super) struct Text {
    page: String,
    families: BTreeSet<String>,
}

/// A label, and its value where it is shown.
pub(super) type Label<'a> = (&'a str, Option<&'a str>);

impl Text {
    pub(super) fn into_page(self) -> String {
        self.page
    }

    /// Begins a family: its samples follow.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let help = visible(help).replace('\\', "\\\\");
        let _ = write!(self.page, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        self.families.insert(name.to_owned());
    }

    /// Whether something on the page has this name.
    pub(super) fn has(&self, name: &str) -> bool {
        let parts = ["_bucket", "_sum", "_count"];
        let wholes = parts.iter().filter_map(|part| name.strip_suffix(part));
        std::iter::once(name).chain(wholes).any(|name| self.families.contains(name))
    }

    pub(super) fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.page, "{name}{labels} {value}");
    }

    pub(super) fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, "", value);
    }

    /// The samples of a histogram with these labels, if it has any values.
    pub(super) fn histogram(&mut self, name: &str, labels: &[Label<'_>], histogram: &Histogram) {
        if histogram.is_empty() {
            return;
        }
        let count = histogram.count();
        let bounds = histogram.below().map(|(bound, below)| (bound.to_string(), below));
        for (bound, below) in bounds.chain([("+Inf".to_owned(), count)]) {
            let all: Vec<Label<'_>> = labels.iter().copied().chain([("le", Some(&*bound))]).collect();
            let _ = writeln!(self.page, "{name}_bucket{} {below}", told(&all));
        }
        self.sample(&format!("{name}_sum"), &told(labels), histogram.sum());
        self.sample(&format!("{name}_count"), &told(labels), count);
    }
}

/// Labels behind a name; nothing where none is shown.
pub(super) fn told(labels: &[Label<'_>]) -> String {
    let mut text = String::new();
    for (name, value) in labels.iter().filter_map(|(name, value)| Some((name, (*value)?))) {
        let before = if text.is_empty() { '{' } else { ',' };
        let _ = write!(text, "{before}{name}=\"{}\"", label(value));
    }
    if !text.is_empty() {
        text.push('}');
    }
    text
}

/// A label's value. A client chose it: what a terminal would act on is not told.
fn label(value: &str) -> String {
    visible(value).replace('\\', "\\\\").replace('"', "\\\"")
}

fn visible(text: &str) -> String {
    let is_odd = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if is_odd(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_with_an_odd_name_is_no_danger_to_who_reads_the_metrics() {
        assert_eq!(label("gpt-\u{1b}[31m\n\"x\"\\\u{9b}é"), "gpt-\u{fffd}[31m\u{fffd}\\\"x\\\"\\\\\u{fffd}é");
    }

    #[test]
    fn labels_without_value_are_left_out() {
        assert_eq!(told(&[("a", None), ("b", Some("")), ("c", Some("d"))]), "{b=\"\",c=\"d\"}");
        assert_eq!(told(&[("a", None)]), "");
    }

    #[test]
    fn a_name_is_taken_by_its_family_and_by_the_parts_of_a_histogram() {
        let mut text = Text::default();
        text.family("perimeter_added_seconds", "histogram", "Time.");
        for taken in
            ["perimeter_added_seconds", "perimeter_added_seconds_sum", "perimeter_added_seconds_bucket"]
        {
            assert!(text.has(taken), "{taken}");
        }
        assert!(!text.has("perimeter_added"));
    }
}
