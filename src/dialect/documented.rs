//! `docs/dialects.md` tells what is read of each dialect, and by which golden cases that is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::golden;

/// A row of the table of a dialect.
struct Row {
    feature: String,
    read: String,
    cases: Vec<String>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The rows of each section.
fn sections() -> BTreeMap<String, Vec<Row>> {
    let text = fs::read_to_string(root().join("docs/dialects.md")).unwrap();
    let mut sections = BTreeMap::new();
    for section in text.split("\n## ").skip(1) {
        let (name, rest) = section.split_once('\n').unwrap();
        let rows: Vec<Row> = rest.lines().filter_map(row).collect();
        assert!(sections.insert(name.trim().to_owned(), rows).is_none(), "{name} has two sections");
    }
    sections
}

/// A line of a table that is neither its head nor the rule below it.
fn row(line: &str) -> Option<Row> {
    let cells: Vec<&str> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
    let [feature, read, cases] = *cells else { panic!("not three cells: {line}") };
    if feature == "feature" || feature.starts_with("---") {
        return None;
    }
    let cases = cases.split(',').map(str::trim).filter(|case| !case.is_empty()).map(|case| {
        let name = case.strip_prefix('`').and_then(|case| case.strip_suffix('`'));
        name.unwrap_or_else(|| panic!("not in backticks: {case}")).to_owned()
    });
    Some(Row { feature: feature.to_owned(), read: read.to_owned(), cases: cases.collect() })
}

/// The golden cases of a dialect.
fn cases(dialect: &str) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(Path::new(&root()).join("tests/fixtures").join(dialect)) else {
        return BTreeSet::new();
    };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn what_is_documented_of_a_dialect_is_shown_by_its_cases() {
    for (dialect, rows) in sections() {
        assert!(!rows.is_empty(), "{dialect} has no table");
        let cases = cases(&dialect);
        let named: BTreeSet<String> = rows.iter().flat_map(|row| row.cases.iter().cloned()).collect();
        let missing: Vec<_> = named.difference(&cases).collect();
        assert!(missing.is_empty(), "{dialect}: there are no cases {missing:?}");
        let unnamed: Vec<_> = cases.difference(&named).collect();
        assert!(unnamed.is_empty(), "{dialect}: no row names {unnamed:?}");
        for Row { feature, read, cases } in &rows {
            let is_read = read == "yes" || read.starts_with("in part: ");
            assert!(is_read || read.starts_with("no: ") || read == "no", "{dialect}, {feature}: {read:?}");
            assert!(!is_read || !cases.is_empty(), "{dialect}: nothing shows {feature}");
        }
    }
}

#[test]
fn no_section_is_of_something_else() {
    let dialects = golden::DIALECTS.into_iter().map(|(dialect, _)| dialect.name());
    let dialects: Vec<&str> = dialects.chain(["sockets"]).collect();
    for name in sections().keys() {
        assert!(dialects.contains(&&**name), "{name} is no dialect");
    }
}

#[test]
fn every_dialect_has_a_section() {
    let sections = sections();
    for (dialect, _) in golden::DIALECTS {
        assert!(sections.contains_key(dialect.name()), "{} has no section", dialect.name());
    }
}
