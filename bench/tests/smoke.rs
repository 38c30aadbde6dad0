//! A tiny run of the built binary: that it measures, not how fast anything is.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

fn bench(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_perimeter-bench")).args(arguments).output()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_workload_runs_through_the_floor_and_ends_in_a_table_and_json() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("run.json");
    let output = bench(&[
        "--targets=direct,floor",
        "--only=w1,w2,w3-1ms,w3-flood",
        "--requests=4",
        "--rounds=2",
        "--no-pin",
        "--json",
        json.to_str().unwrap(),
    ])
    .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    assert!(table.contains("### w1-c64") && table.contains("| floor "), "{table}");

    let report: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert_eq!(report["rounds"], 2);
    let workloads = report["workloads"].as_array().unwrap();
    assert_eq!(workloads.len(), 7);
    for workload in workloads {
        let (direct, floor) = (&workload["targets"][0], &workload["targets"][1]);
        assert_eq!((direct["target"].as_str(), floor["target"].as_str()), (Some("direct"), Some("floor")));
        assert!(direct["cpu_us"].is_null());
        assert!(floor["cpu_us"]["median"].as_f64().unwrap() > 0.0, "{workload}");
        assert_eq!(floor["cpu_to_reference"]["max"], 1.0);
        assert!(floor["p99_us"]["median"].as_f64() >= floor["p50_us"]["median"].as_f64());
    }
}

#[test]
fn reading_is_measured_per_mebibyte_and_per_event() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("scribe.json");
    let output = bench(&["scribe", "--quick", "--rounds=1", "--json", json.to_str().unwrap()]).unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("| request of 2 MiB "), "{}", text(&output.stdout));
    let rows: Vec<Value> = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert!(rows.iter().any(|row| row["unit"] == "mib") && rows.iter().any(|row| row["unit"] == "event"));
    for row in rows {
        let [value, ignored] =
            ["value_us", "ignored_us"].map(|reader| row[reader]["median"].as_f64().unwrap());
        assert!(value > 0.0 && ignored > 0.0, "{row}");
    }
}

#[test]
fn a_missing_perimeter_is_said_plainly() {
    let output = bench(&["--targets=perimeter", "--no-pin", "--perimeter=/nowhere/perimeter"]).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("no perimeter at /nowhere/perimeter") && said.contains("cargo build --release"),
        "{said}"
    );
}

#[test]
fn an_unknown_workload_is_a_usage_error() {
    let output = bench(&["--only=w9"]).unwrap();
    assert_eq!(output.status.code(), Some(2));
}
