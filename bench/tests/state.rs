//! Tiny runs of the parts about memory, starts and growth: that they measure, not what.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

fn bench(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_perimeter-bench")).args(arguments).output()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a run prints, and its rows.
fn rows(arguments: &[&str]) -> std::io::Result<(String, Vec<Value>)> {
    let dir = tempfile::tempdir()?;
    let json = dir.path().join("rows.json");
    let output = bench(&[arguments, &["--no-pin", "--json", &json.to_string_lossy()]].concat())?;
    assert!(output.status.success(), "{}", text(&output.stderr));
    Ok((text(&output.stdout), serde_json::from_slice(&fs::read(&json)?)?))
}

#[test]
fn idle_connections_are_weighed_and_those_to_the_upstream_counted() {
    let (table, rows) =
        rows(&["idle", "--targets=floor", "--connections=5", "--together=2", "--after=0,0.1"]).unwrap();
    assert!(table.contains("| 0.1 s: KiB each |"), "{table}");
    assert_eq!(rows.len(), 1);
    assert!(rows[0]["before"]["all"].as_u64().unwrap() > 0);
    let looks = rows[0]["looks"].as_array().unwrap();
    assert_eq!(looks.len(), 2);
    // Two at a time made requests. A connection may come back later than the answer on it, but no client needs two.
    assert!(
        looks.iter().all(|look| (1..=5).contains(&look["upstream_connections"].as_u64().unwrap())),
        "{rows:?}"
    );
}

#[test]
fn starts_are_timed_to_the_first_answer() {
    let (table, rows) = rows(&["start", "--targets=floor", "--starts=2"]).unwrap();
    assert!(table.contains("| first answer ms |"), "{table}");
    assert!(rows[0]["first_answer_ms"]["min"].as_f64().unwrap() > 0.0);
    assert!(rows[0]["memory"]["all"].as_u64().unwrap() > 0);
}

#[test]
fn growth_is_told_by_connections_and_by_requests() {
    let (_, rows) =
        rows(&["growth", "--targets=floor", "--connections=1,3", "--requests=8", "--total=5", "--window=3"])
            .unwrap();
    let points: Vec<_> = rows.iter().map(|row| row["point"].as_str().unwrap()).collect();
    assert_eq!(points, ["1 connection", "3 connections", "to request 3", "to request 5"]);
    assert!(rows.iter().all(|row| row["process_us"].as_f64().unwrap() > 0.0));
}

#[test]
fn a_soak_looks_again_and_again_and_compares_its_quarters() {
    let (table, rows) =
        rows(&["soak", "--target=floor", "--minutes=0.002", "--every=0.05", "--mix=16"]).unwrap();
    assert!(table.contains("- resident: ") && table.contains("in the last: "), "{table}");
    assert!(rows.len() >= 2);
    assert!(rows.iter().all(|row| row["requests"].as_u64().unwrap() >= 19));
}

#[test]
fn instructions_are_counted_by_thread_where_valgrind_is_installed() {
    let output = bench(&[
        "instructions",
        "--targets=floor",
        "--workloads=w1-c1",
        "--few=2",
        "--many=12",
        "--top=3",
        "--no-pin",
    ])
    .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let counted = said.contains("| w1-c1 ") && said.contains("### w1-c1, floor");
    assert!(counted || said.contains("valgrind is not installed"), "{said}");
}

#[test]
fn a_start_without_perimeter_is_refused_plainly() {
    let output =
        bench(&["start", "--targets=perimeter-default", "--no-pin", "--perimeter=/nowhere/perimeter"])
            .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no perimeter at /nowhere/perimeter"));
}
