//! examples/grafana: the dashboard asks for what is there, and can be looked at.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::full;

/// What stands in queries besides metrics and labels.
const WORDS: [&str; 6] = ["sum", "max", "rate", "increase", "histogram_quantile", "by"];

fn dashboard() -> Value {
    serde_json::from_str(&std::fs::read_to_string("examples/grafana/perimeter.json").unwrap()).unwrap()
}

fn panels(dashboard: &Value) -> Vec<&Value> {
    dashboard["panels"].as_array().unwrap().iter().collect()
}

/// A query taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    metrics: BTreeSet<String>,
    /// What is asked of the labels of each metric.
    matched: BTreeSet<(String, String)>,
    grouped: BTreeSet<String>,
}

impl Query {
    #[track_caller]
    fn of(text: &str) -> Self {
        let mut query = Self::default();
        let mut rest = text;
        let mut last = String::new();
        while let Some(c) = rest.chars().next() {
            let word = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            if c.is_ascii_alphabetic() {
                let (name, behind) = rest.split_at(word);
                if name.starts_with("perimeter_") || name.starts_with("gen_ai_") {
                    query.metrics.insert(name.to_owned());
                } else {
                    assert!(WORDS.contains(&name), "{name:?} in {text:?}");
                }
                (last, rest) = (name.to_owned(), behind);
                if last == "by" {
                    let (labels, behind) =
                        rest.trim_start().strip_prefix('(').unwrap().split_once(')').unwrap();
                    query.grouped.extend(labels.split(',').map(|label| label.trim().to_owned()));
                    rest = behind;
                }
            } else if c == '{' {
                let (matchers, behind) = rest[1..].split_once('}').unwrap();
                for matcher in matchers.split(',') {
                    let (label, _) = matcher.split_once(['=', '!']).unwrap_or_else(|| panic!("{text:?}"));
                    query.matched.insert((last.clone(), label.to_owned()));
                }
                rest = behind;
            } else if c == '[' {
                let (range, behind) = rest[1..].split_once(']').unwrap();
                assert!(["$__rate_interval", "$__range"].contains(&range), "{range:?} in {text:?}");
                rest = behind;
            } else {
                assert!(c.is_ascii_digit() || " (),./*".contains(c), "{c:?} in {text:?}");
                rest = &rest[1..];
            }
        }
        query
    }

    #[track_caller]
    fn check(&self, text: &str, names: &BTreeMap<&str, BTreeSet<&str>>) {
        assert!(!self.metrics.is_empty(), "{text:?}");
        let labels =
            |metric: &str| names.get(metric).unwrap_or_else(|| panic!("no {metric} is there: {text:?}"));
        for metric in &self.metrics {
            let has = labels(metric);
            for label in &self.grouped {
                assert!(has.contains(label.as_str()), "{metric} has no {label}: {text:?}");
            }
        }
        for (metric, label) in &self.matched {
            assert!(labels(metric).contains(label.as_str()), "{metric} has no {label}: {text:?}");
        }
    }
}

#[test]
fn each_query_of_the_dashboard_asks_for_metrics_and_labels_that_are_there() {
    let page = full();
    let names = page.names();
    let dashboard = dashboard();
    let mut asked = BTreeSet::new();
    for panel in panels(&dashboard) {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let (text, legend) = (target["expr"].as_str().unwrap(), target["legendFormat"].as_str().unwrap());
            let query = Query::of(text);
            query.check(text, &names);
            for label in legend.split("{{").skip(1).map(|label| label.split("}}").next().unwrap()) {
                assert!(query.grouped.contains(label), "{label} of the legend is not kept: {text:?}");
            }
            asked.extend(query.metrics);
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let Some(text) = variable["query"]["query"].as_str() else { continue };
        let (metric, label) =
            text.strip_prefix("label_values(").unwrap().strip_suffix(')').unwrap().split_once(", ").unwrap();
        assert!(names[metric].contains(label), "{text:?}");
    }
    // All of ours but what only a look at the page itself is for.
    let shown = |name: &str| asked.iter().any(|asked| asked.starts_with(name));
    let missing = page.families.iter().map(|family| family.name.as_str());
    let missing: Vec<&str> = missing.filter(|name| name.starts_with("perimeter_") && !shown(name)).collect();
    assert_eq!(
        missing,
        [
            "perimeter_connections_total",
            "perimeter_log_lines_dropped_total",
            "perimeter_scribe_records_total",
            "perimeter_opaque_bodies_total",
            "perimeter_cylestio_queue_bytes",
        ]
    );
}

#[test]
fn the_dashboard_can_be_looked_at() {
    let dashboard = dashboard();
    let (mut ids, mut titles, mut places) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "the id of {title:?} stands twice");
        assert!(titles.insert(title), "{title:?} stands twice");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        assert!(x + w <= 24, "{title:?} is too wide");
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(places.insert(place), "{title:?} lies on another");
        }
        if panel["type"] == "row" {
            continue;
        }
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title:?}");
        let unit = &panel["fieldConfig"]["defaults"]["unit"];
        assert!(unit.is_string() || panel["options"]["yAxis"]["unit"].is_string(), "{title:?} has no unit");
        let refs: Vec<_> =
            panel["targets"].as_array().unwrap().iter().map(|target| &target["refId"]).collect();
        assert!(
            !refs.is_empty() && refs.iter().collect::<std::collections::HashSet<_>>().len() == refs.len()
        );
    }
    assert_eq!(dashboard["schemaVersion"], 41);
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variables: Vec<_> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(variables, ["datasource", "model", "agent"]);
    let text = dashboard.to_string();
    assert!(["$model", "$agent"].iter().all(|variable| text.contains(variable)));
}

#[test]
fn a_query_is_taken_apart_into_what_it_asks_for() {
    let query = Query::of(
        "histogram_quantile(0.9, sum by (le, model) (rate(perimeter_a_bucket{model=~\"$model\",b!=\"\"}[$__rate_interval]))) / 2",
    );
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!((query.metrics, query.grouped), (set(&["perimeter_a_bucket"]), set(&["le", "model"])));
    let matched = ["model", "b"].map(|label| ("perimeter_a_bucket".to_owned(), label.to_owned()));
    assert_eq!(query.matched, BTreeSet::from(matched));
}
