//! docs/metrics.md: its tables are what the page shows.

use std::collections::{BTreeMap, BTreeSet};

use super::full;

/// What the document calls the labels that all metrics of the conventions have.
const ATTRIBUTES: [&str; 6] = [
    "gen_ai_operation_name",
    "gen_ai_provider_name",
    "gen_ai_request_model",
    "gen_ai_response_model",
    "server_address",
    "server_port",
];

/// Each metric of the tables, its type and its labels.
fn documented(text: &str) -> BTreeMap<&str, (&str, BTreeSet<&str>)> {
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>();
    let mut metrics = BTreeMap::new();
    for row in text.to_owned().leak().lines().filter(|line| line.starts_with("| `")).map(cells) {
        let [name, kind @ ("counter" | "gauge" | "histogram"), labels, what] = row.as_slice() else {
            continue;
        };
        let labels = labels.split(", ").filter(|label| !label.is_empty()).flat_map(|label| match label {
            "attributes" => ATTRIBUTES.to_vec(),
            label => vec![label.trim_matches('`')],
        });
        assert!(!what.is_empty(), "{name} is not explained");
        let twice = metrics.insert(name.trim_matches('`'), (*kind, labels.collect()));
        assert_eq!(twice, None, "{name} stands twice");
    }
    metrics
}

#[test]
fn the_document_tells_every_metric_with_its_type_and_its_labels_and_no_others() {
    let text = std::fs::read_to_string("docs/metrics.md").unwrap();
    let told = documented(&text);
    let page = full();
    for family in &page.families {
        let (kind, labels) = told.get(family.name.as_str()).unwrap_or_else(|| panic!("{}", family.name));
        assert_eq!(*kind, family.kind, "{}", family.name);
        let shown = family.samples.iter().flat_map(|sample| sample.labels.keys().map(String::as_str));
        let shown: BTreeSet<&str> = shown.filter(|label| *label != "le").collect();
        assert_eq!(*labels, shown, "{}", family.name);
    }
    let unseen = told.keys().filter(|name| page.family(name).is_none());
    let unseen = unseen.collect::<Vec<_>>();
    assert!(unseen.is_empty(), "no such metrics: {unseen:?}");
    for attribute in ATTRIBUTES {
        assert!(text.contains(&format!("`{attribute}`")), "{attribute}");
    }
}
