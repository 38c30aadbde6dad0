//! A tiny run of the built binary: that it measures, not how fast anything is.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn bench(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_perimeter-bench")).args(arguments).output()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs the comparison of these targets with these workloads, a few requests each; what it says as JSON and as tables.
fn compared(targets: &str, workloads: &str) -> std::io::Result<(Value, String)> {
    let json = tempfile::NamedTempFile::new()?;
    let output = Command::new(env!("CARGO_BIN_EXE_perimeter-bench"))
        .args(["--targets", targets, "--only", workloads, "--requests=4", "--rounds=1", "--no-pin", "--json"])
        .arg(json.path())
        .output()?;
    assert!(output.status.success(), "{}", text(&output.stderr));
    Ok((serde_json::from_slice(&fs::read(json.path())?)?, text(&output.stdout)))
}

#[test]
fn every_workload_runs_through_the_floors_and_ends_in_a_table_and_json() {
    let (report, table) = compared("direct,tcp,floor,floor2", "w1,w2,w3-c1,w3-1ms,w3-f,w4,w5").unwrap();
    assert!(table.contains("### w1-c64") && table.contains("| floor "), "{table}");
    assert!(table.contains("### floor2 to floor"), "{table}");
    assert_eq!(report["rounds"], 1);
    let workloads = report["workloads"].as_array().unwrap();
    assert_eq!(workloads.len(), 17);
    for workload in workloads {
        let row = |name| {
            let mut rows = workload["targets"].as_array().unwrap().iter();
            rows.find(|row| row["target"] == name)
        };
        let tls = workload["workload"].as_str().unwrap().contains("tls");
        assert_eq!(row("direct").is_none(), tls, "only proxies speak TLS: {workload}");
        assert_eq!(row("tcp").is_none(), tls, "{workload}");
        assert!(row("direct").is_none_or(|direct| direct["cpu_us"].is_null()));
        let floor = row("floor").unwrap();
        assert!(floor["cpu_us"]["median"].as_f64().unwrap() > 0.0, "{workload}");
        assert_eq!(floor["cpu_to_reference"]["max"], 1.0);
        assert!(floor["p99_us"]["median"].as_f64() >= floor["p50_us"]["median"].as_f64());
        assert!(row("floor2").is_some());
    }
}

/// What would measure nothing ends as an error, before it has taken a quarter of an hour.
#[test]
fn nonsense_is_refused_with_what_would_be_right() {
    let refused = |arguments: &[&str], words: &str| {
        let output = bench(arguments).unwrap();
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(words), "{arguments:?}: {said}");
        assert_eq!(text(&output.stdout), "");
    };
    refused(&["--only", "w1-c1,nonsense"], "no workload begins with nonsense; there are w1-c1, w1-c16,");
    refused(&["--rounds", "0"], "invalid value '0' for '--rounds");
    refused(&["--requests", "0"], "invalid value '0' for '--requests");
    refused(&["--targets", "direct", "--only", "w4"], "none of these targets is measured with");
    refused(
        &["--only", "w1-c1", "--targets", "direct", "--json", "/nowhere/x.json"],
        "writing /nowhere/x.json",
    );
    refused(
        &["--only", "w1-c1", "--targets", "perimeter", "--perimeter", "/bin/true"],
        "perimeter (/bin/true) did not start: exit status: 0",
    );
    refused(
        &["load", "--to", "127.0.0.1:9", "--workload", "w1"],
        "no workload is called w1; there are w1-c1,",
    );
    refused(&["floor", "--upstream", "127.0.0.1:9", "--workers", "0"], "invalid value '0'");
    refused(&["start", "--targets", "floor", "--json", "/nowhere/x.json"], "writing /nowhere/x.json");
    for part in ["idle", "growth"] {
        refused(
            &[part, "--targets", "floor", "--connections", "1000000"],
            "1000000 connections need 2000256 descriptors, of which there are",
        );
    }
}

#[test]
fn a_load_of_streams_that_do_not_end_ends_when_its_time_is_up() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_perimeter-bench"));
    let mut upstream = command.arg("upstream").stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(upstream.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.split("http://").nth(1).unwrap().split([' ', ',', '\n']).next().unwrap();
    let output = bench(&["load", "--to", address, "--workload", "w6-200"]);
    upstream.kill().unwrap();
    upstream.wait().unwrap();
    let said = text(&output.unwrap().stdout);
    assert!(said.starts_with("w6-200: ") && said.contains(" events of 200 streams in 2."), "{said}");
}

#[test]
fn connections_to_the_upstream_are_counted_where_each_request_has_its_own() {
    let (report, _) = compared("tcp,floor", "w5").unwrap();
    let opened = |workload: usize, target: usize| {
        report["workloads"][workload]["targets"][target]["opened"]["median"].as_f64().unwrap()
    };
    // Four requests: the first goes over the connection of the warm-up.
    assert_eq!(opened(0, 0), 0.75, "the forwarder has no pool");
    assert!(opened(0, 1) < 0.75 && opened(1, 0) < 0.75, "the floor has one, also within TLS: {report}");
}

#[test]
fn streams_that_are_all_open_are_measured_with_what_they_hold() {
    let (report, table) = compared("direct,floor,floor-mt", "w6-200").unwrap();
    let [direct, floor, mt] = [0, 1, 2].map(|at| &report["workloads"][0]["targets"][at]);
    assert!(direct["resident_kib"].is_null() && direct["load_busy"]["median"].as_f64().unwrap() > 0.0);
    for target in [floor, mt] {
        assert!(target["resident_kib"]["median"].as_f64().unwrap() > 1.0, "{target}");
        assert!(target["cpu_us"]["median"].as_f64().unwrap() > 0.0, "{target}");
    }
    assert!(table.contains("KiB/stream"), "{table}");
}

#[test]
fn a_slow_interceptor_is_measured_beside_an_idle_one() {
    let (report, table) = compared("floor,floor2,slow", "w1-c64,w3-1ms").unwrap();
    for workload in report["workloads"].as_array().unwrap() {
        let names = workload["targets"].as_array().unwrap().iter().map(|row| row["target"].as_str().unwrap());
        assert_eq!(names.collect::<Vec<_>>(), ["floor", "floor2", "perimeter-idle", "perimeter-slow"]);
        for row in &workload["targets"].as_array().unwrap()[2..] {
            let [process, forwarding] =
                ["cpu_us", "forwarding_us"].map(|time| row[time]["median"].as_f64().unwrap());
            assert!(process > forwarding && forwarding > 0.0, "{row}");
        }
    }
    assert!(table.contains("### Targets") && table.contains("an idle interceptor"), "{table}");
}

#[test]
fn servers_are_measured_where_they_are_installed() {
    let (report, _) = compared("floor,servers", "w2-256k,w3-flood,w4,w5-reconnect-tls").unwrap();
    for workload in report["workloads"].as_array().unwrap() {
        assert!(workload["targets"].as_array().unwrap().iter().all(|row| row["cpu_us"]["median"].is_f64()));
    }
}

#[test]
fn an_unknown_target_is_a_usage_error_that_names_those_there_are() {
    let output = bench(&["--targets=squid"]).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("perimeter-all"), "{}", text(&output.stderr));
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
