//! The log: its lines, its levels, its files, and that nobody waits for it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{GET, Provider, Proxy, Wire};

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// Runs one exchange through a proxy, stops the proxy, and tells what it said on stderr.
fn said_after(start: impl FnOnce(&Provider) -> Proxy, request: &str) -> String {
    let provider = Provider::start();
    let proxy = start(&provider);
    exchange(&provider, &mut proxy.connect(), request);
    proxy.stop().stderr
}

fn exchange(provider: &Provider, client: &mut Wire, request: &str) {
    client.send(request);
    let mut upstream = provider.accept();
    upstream.head();
    upstream.send(ANSWER);
    assert_eq!(client.head().status(), 200);
    client.expect("hello");
}

fn access_lines(stderr: &str) -> Vec<&str> {
    stderr.lines().filter(|line| line.contains(" access: ")).collect()
}

#[test]
fn an_exchange_leaves_one_line() {
    let stderr = said_after(
        |provider| Proxy::to(provider).start(),
        "GET /v1/models?key=SECRET HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    let lines = access_lines(&stderr);
    assert_eq!(lines.len(), 1, "{stderr}");
    let words: Vec<_> = lines[0].split(' ').collect();
    assert_eq!(words[1..6], ["INFO", "access:", "GET", "/v1/models", "200"], "{stderr}");
    assert_eq!((words[6], words[8], words[10], words[12]), ("complete", "ttfb", "in", "out"), "{stderr}");
    assert!(words[7].ends_with("ms") && words[9].ends_with("ms"), "{stderr}");
    assert!(!stderr.contains("SECRET"), "{stderr}");
}

#[test]
fn an_exchange_leaves_one_json_object_where_json_is_wanted() {
    let start = |provider: &Provider| Proxy::to(provider).yaml("logging: {format: json}").start();
    let stderr = said_after(start, GET);
    let lines: Vec<Value> = stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    // All but the start line is JSON.
    assert_eq!(lines.len(), stderr.lines().count() - 1, "{stderr}");
    let access: Vec<_> = lines.iter().filter(|line| line["target"] == "access").collect();
    assert_eq!(access.len(), 1, "{stderr}");
    assert_eq!((&access[0]["method"], &access[0]["status"]), (&"GET".into(), &200.into()));
    assert_eq!(access[0]["outcome"], "complete");
    for key in ["duration_ms", "ttfb_ms", "request_bytes", "response_bytes"] {
        assert!(access[0][key].is_number(), "{key}: {stderr}");
    }
    assert!(access[0]["path"].is_string() && access[0]["timestamp"].is_string());
}

#[test]
fn a_pipe_gets_no_colours() {
    assert!(!said_after(|provider| Proxy::to(provider).start(), GET).contains('\u{1b}'));
}

#[test]
fn a_higher_level_silences_all_but_the_start_line() {
    let start = |provider: &Provider| Proxy::to(provider).args(&["--log-level", "error"]).start();
    let stderr = said_after(start, GET);
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains(" listening on http://"), "{stderr}");
}

#[test]
fn a_filter_stands_above_the_level() {
    let start = |provider: &Provider| {
        let setup = Proxy::to(provider).args(&["--log-level", "trace"]);
        setup.env("PERIMETER_LOG", "error,access=info").start()
    };
    let stderr = said_after(start, GET);
    assert_eq!(stderr.lines().count(), 2, "{stderr}");
    assert_eq!(access_lines(&stderr).len(), 1, "{stderr}");
}

#[test]
fn a_log_file_takes_the_log_and_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("made/for/it/p.log");
    let yaml = format!("logging: {{file: {}}}", file.display());
    let stderr = said_after(|provider| Proxy::to(provider).yaml(&yaml).start(), GET);
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    let log = fs::read_to_string(&file).unwrap();
    assert_eq!(access_lines(&log).len(), 1, "{log}");
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(&folder.path().join("made")), 0o700);
}

#[test]
fn a_full_log_file_is_turned_over() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.log");
    let yaml = format!("logging: {{file: {}, max_file_size: 400, backup_count: 2}}", file.display());
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml(&yaml).start();
    for n in 0..12 {
        let request = format!("GET /{n} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        exchange(&provider, &mut proxy.connect(), &request);
    }
    proxy.stop();
    let backup = |n: usize| folder.path().join(format!("p.log.{n}"));
    assert!(backup(2).exists() && !backup(3).exists());
    for path in [file, backup(1), backup(2)] {
        let log = fs::read_to_string(&path).unwrap();
        assert!(log.len() <= 400 && log.ends_with('\n'), "{log}");
        assert_eq!(mode(&path), 0o600);
    }
}

#[test]
fn a_stderr_that_nobody_reads_stops_neither_the_traffic_nor_the_end() {
    let provider = Provider::start();
    let url = provider.url();
    let mut child = Command::new(env!("CARGO_BIN_EXE_perimeter"))
        .args(["run", "--base-url", &url, "--type", "openai", "--port", "0", "--interceptors", "none"])
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Its start line is read, and not a byte more than the buffer takes with it.
    let mut stderr = BufReader::with_capacity(256, child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let address = |marker: &str| {
        let rest = line.split(marker).nth(1).unwrap();
        rest.split([' ', ',', ';']).next().unwrap().parse().unwrap()
    };

    // Far more of it than the pipe and the log's own buffer hold.
    let mut client = Wire::to(address("listening on http://"));
    let request = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(12_000));
    client.send(&request);
    let mut upstream = provider.accept();
    for n in 0..500 {
        if n > 0 {
            client.send(&request);
        }
        upstream.head();
        upstream.send(ANSWER);
        assert_eq!(client.head().status(), 200, "exchange {n}");
        client.expect("hello");
    }
    assert!(dropped_lines(address("admin on http://")) > 0);

    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(stderr);
}

fn dropped_lines(admin: SocketAddr) -> u64 {
    let mut client = Wire::to(admin);
    client.send(format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n"));
    let head = client.head();
    let text = String::from_utf8(client.body(&head)).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix("perimeter_log_lines_dropped_total "));
    value.unwrap().parse().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
