//! The page, read strictly (Prometheus text format 0.0.4, and the customs of its clients).

use std::collections::{BTreeMap, BTreeSet};

use crate::support::Proxy;

/// A page that holds every rule.
pub(super) struct Page {
    pub(super) families: Vec<Family>,
}

pub(super) struct Family {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) help: String,
    pub(super) samples: Vec<Sample>,
}

pub(super) struct Sample {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) value: f64,
}

impl Page {
    #[track_caller]
    pub(super) fn of(proxy: &Proxy) -> Self {
        let answer = proxy.admin("/metrics");
        assert_eq!(answer.head.value("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        Self::read(&answer.body)
    }

    #[track_caller]
    fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut families: Vec<Family> = Vec::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
                let kind = lines
                    .next()
                    .and_then(|line| line.strip_prefix("# TYPE "))
                    .unwrap_or_else(|| panic!("no type: {line:?}"));
                let (of, kind) = kind.split_once(' ').unwrap();
                assert_eq!(of, name, "the type is of another");
                assert!(is_name(name), "{name:?}");
                assert!(families.iter().all(|family| family.name != name), "{name} stands twice");
                let help = unescaped(help, false);
                let (name, kind) = (name.to_owned(), kind.to_owned());
                families.push(Family { name, kind, help, samples: Vec::new() });
            } else {
                let sample = Sample::read(line);
                let family = families.last_mut().unwrap_or_else(|| panic!("of no family: {line:?}"));
                family.take(sample);
            }
        }
        let mut page = Self { families };
        page.families.iter_mut().for_each(Family::check);
        page
    }

    pub(super) fn family(&self, name: &str) -> Option<&Family> {
        self.families.iter().find(|family| family.name == name)
    }

    /// The names of all samples, and the labels that each may have.
    pub(super) fn names(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut names = BTreeMap::<&str, BTreeSet<&str>>::new();
        for sample in self.families.iter().flat_map(|family| &family.samples) {
            names.entry(&sample.name).or_default().extend(sample.labels.keys().map(String::as_str));
        }
        names
    }

    /// The value of the sample with exactly these labels.
    #[track_caller]
    pub(super) fn exactly(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: BTreeMap<String, String> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut samples = self.families.iter().flat_map(|family| &family.samples);
        let found = samples.find(|sample| sample.name == name && sample.labels == labels);
        found.unwrap_or_else(|| panic!("no {name} with {labels:?}")).value
    }
}

impl Family {
    pub(super) fn values_of(&self, label: &str) -> BTreeSet<&str> {
        self.samples.iter().filter_map(|sample| sample.labels.get(label).map(String::as_str)).collect()
    }

    fn take(&mut self, sample: Sample) {
        let parts: &[&str] = if self.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        let is_ours = parts.iter().any(|part| sample.name == format!("{}{part}", self.name));
        assert!(is_ours, "{} stands among the samples of {}", sample.name, self.name);
        let is_twice = |other: &Sample| other.name == sample.name && other.labels == sample.labels;
        assert!(!self.samples.iter().any(is_twice), "{} {:?} stands twice", sample.name, sample.labels);
        self.samples.push(sample);
    }

    fn check(&mut self) {
        let (name, kind) = (&self.name, self.kind.as_str());
        assert!(["counter", "gauge", "histogram"].contains(&kind), "{name} is a {kind}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        assert!(self.help.ends_with('.'), "{name} is not explained: {}", self.help);
        for sample in &self.samples {
            assert!(sample.value.is_finite(), "{} is {}", sample.name, sample.value);
            assert!(kind == "gauge" || sample.value >= 0.0, "{} is {}", sample.name, sample.value);
        }
        if kind == "histogram" {
            self.check_histogram();
        }
    }

    /// Each with its buckets in their order, none below the one before, and the last with all.
    fn check_histogram(&self) {
        let mut series = BTreeMap::<BTreeMap<String, String>, Vec<&Sample>>::new();
        for sample in &self.samples {
            let mut labels = sample.labels.clone();
            let bound = labels.remove("le");
            assert_eq!(bound.is_some(), sample.name.ends_with("_bucket"), "{}", sample.name);
            series.entry(labels).or_default().push(sample);
        }
        for (labels, samples) in series {
            let place = format!("{} {labels:?}", self.name);
            let of = |part: &str| -> Vec<&Sample> {
                samples.iter().copied().filter(|sample| sample.name.ends_with(part)).collect()
            };
            let [sum, count] = ["_sum", "_count"].map(|part| {
                let found: Vec<_> = of(part).iter().map(|sample| sample.value).collect();
                assert_eq!(found.len(), 1, "{part} of {place}");
                found[0]
            });
            let bound = |sample: &Sample| sample.labels["le"].replace("+Inf", "inf").parse::<f64>().unwrap();
            let buckets: Vec<(f64, f64)> =
                of("_bucket").iter().map(|sample| (bound(sample), sample.value)).collect();
            let rises = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
            assert!(buckets.windows(2).all(rises), "{place}: {buckets:?}");
            assert_eq!(buckets.last().copied(), Some((f64::INFINITY, count)), "{place}");
            assert!(sum >= 0.0 && (count > 0.0 || sum == 0.0), "{place}");
        }
    }
}

impl Sample {
    #[track_caller]
    fn read(line: &str) -> Self {
        let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line:?}"));
        let (name, mut rest) = line.split_at(end);
        assert!(is_name(name), "{line:?}");
        let mut labels = BTreeMap::new();
        if let Some(mut inside) = rest.strip_prefix('{') {
            loop {
                let (label, quoted) = inside.split_once("=\"").unwrap_or_else(|| panic!("{line:?}"));
                assert!(is_name(label) && !label.contains(':'), "{line:?}");
                let end = closing_quote(quoted).unwrap_or_else(|| panic!("{line:?}"));
                let twice = labels.insert(label.to_owned(), unescaped(&quoted[..end], true));
                assert_eq!(twice, None, "{line:?}");
                inside = &quoted[end + 1..];
                match inside.strip_prefix(',') {
                    Some(more) => inside = more,
                    None => break,
                }
            }
            rest = inside.strip_prefix('}').unwrap_or_else(|| panic!("{line:?}"));
        }
        let value = rest.strip_prefix(' ').and_then(|value| value.parse().ok());
        Self { name: name.to_owned(), labels, value: value.unwrap_or_else(|| panic!("{line:?}")) }
    }
}

fn is_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | ':');
    name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_ascii_digit())
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end.then_some(at)
    })
}

#[track_caller]
fn unescaped(text: &str, quoted: bool) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next() {
                Some('\\') => '\\',
                Some('n') => '\n',
                Some('"') if quoted => '"',
                other => panic!("an escape that there is not, {other:?}, in {text:?}"),
            },
            c => c,
        });
    }
    plain
}

#[test]
fn the_reader_of_pages_takes_no_wrong_one() {
    let good = "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"\\\\\\\"\"} 1\na_total 2\n";
    assert_eq!(Page::read(good).family("a_total").unwrap().values_of("x"), BTreeSet::from(["\\\""]));
    let head = "# HELP h H.\n# TYPE h histogram\n";
    let histogram = |bound: &str, inf: u32| {
        format!(
            "{head}h_bucket{{le=\"1\"}} 2\nh_bucket{{le=\"{bound}\"}} 3\nh_bucket{{le=\"+Inf\"}} {inf}\nh_sum 1\nh_count 3\n"
        )
    };
    Page::read(&histogram("2", 3));
    let wrong = [
        good.trim_end().to_owned(),
        good.replace("a_total 2", "a_total{x=\"\\\\\\\"\"} 2"),
        good.replace("a_total 2", "b_total 2"),
        good.replace(" counter", " gauge"),
        good.replace("x=", "x-y="),
        good.replace("\\\\\\\"", "\\t"),
        good.replace(" 2", " two"),
        format!("{good}{good}"),
        histogram("0.5", 3),
        histogram("2", 4),
        format!("{head}h_bucket{{le=\"1\"}} 2\nh_sum 1\nh_count 2\n"),
    ];
    for page in wrong {
        let read = std::panic::catch_unwind(|| Page::read(&page).families.len());
        assert!(read.is_err(), "{page}");
    }
}
