//! What passes while the backend is away arrives all the same: all of the exporter, from exchanges to requests.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use perimeter_interceptor::testing::{Scene, Script, play, scenes};
use perimeter_interceptor::{Counter, Interceptor, Usage};
use perimeter_otel::{Settings, TraceExporter};
use serde_json::json;

use crate::collector::{self, Collector};

/// An exporter to this backend, whose memory is too small for anything.
fn exporter(url: &str, spool: &Path, protocol: &str) -> TraceExporter {
    let settings = json!({
        "endpoint": url, "protocol": protocol, "spool": {"directory": spool}, "queue": 1, "batch": {"max_spans": 1},
    });
    TraceExporter::new(serde_json::from_value::<Settings>(settings).unwrap()).unwrap()
}

/// So many calls, each in a session of its own.
fn calls(count: usize) -> Script {
    let call = |number: usize| {
        let scene = Scene::post("/v1/chat/completions").in_session(&format!("session {number}"));
        scene.asks("gpt-5", "Hello").response(200).answers("Hi", Usage::default())
    };
    (0..count).map(call).collect()
}

fn count(counters: &[Counter], name: &str) -> u64 {
    let counter = counters.iter().find(|counter| counter.name == name).unwrap();
    counter.value.load(std::sync::atomic::Ordering::Relaxed)
}

#[test]
fn a_backend_that_is_away_until_after_the_stop_gets_everything_from_the_next_run() {
    for protocol in ["http/protobuf", "http/json", "grpc"] {
        let spool = tempfile::tempdir().unwrap();
        let mut collector = Collector::start();
        collector.die();
        let first = exporter(&collector.url(), spool.path(), protocol);
        let counters = first.counters();
        play(first, calls(20)).assert_faultless();
        assert_eq!(count(&counters, "otlp_lost_total"), 0);
        assert!(count(&counters, "otlp_spool_bytes") > 0);

        collector.come_back();
        play(exporter(&collector.url(), spool.path(), protocol), calls(0)).assert_faultless();
        let asked = collector.asked();
        let spans = collector::spans(&asked);
        let ids: BTreeSet<_> = spans.iter().map(|span| span.span_id.clone()).collect();
        assert_eq!(spans.iter().filter(|span| span.name == "chat gpt-5").count(), 20, "{protocol}");
        assert_eq!(ids.len(), spans.len(), "{protocol}: nothing twice");
        assert!(!collector::metrics(&asked).is_empty());
        assert_eq!(fs::read_dir(spool.path()).unwrap().count(), 0);
    }
}

#[test]
fn whatever_passes_while_the_backend_is_away_is_no_fault() {
    let spool = tempfile::tempdir().unwrap();
    let mut collector = Collector::start();
    collector.die();
    let all = Script::new().together(scenes::all());
    play(exporter(&collector.url(), spool.path(), "http/protobuf"), all).assert_faultless();
}

const CHILD: &str = "PERIMETER_OTEL_TEST_PROXY";

/// What the process does that has a proxy in its environment.
#[test]
fn a_process_with_a_proxy() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let (url, spool) = told.split_once(' ').unwrap();
    play(exporter(url, Path::new(spool), "http/protobuf"), calls(1)).assert_faultless();
}

/// That process, with a proxy at this address.
fn process(proxy: SocketAddr, url: &str, spool: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "delivery::a_process_with_a_proxy"]).stdout(Stdio::null());
    child.env(CHILD, format!("{url} {}", spool.display()));
    child.env("HTTP_PROXY", format!("http://{proxy}")).env_remove("NO_PROXY").spawn().unwrap()
}

#[test]
fn a_proxy_of_the_environment_is_used() {
    let spool = tempfile::tempdir().unwrap();
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut child = process(proxy.local_addr().unwrap(), "http://backend.invalid:4318", spool.path());
    let (mut socket, _) = proxy.accept().unwrap();
    let mut line = String::new();
    BufReader::new(&socket).read_line(&mut line).unwrap();
    assert_eq!(line, "CONNECT backend.invalid:4318 HTTP/1.1\r\n");
    socket.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").unwrap();
    drop((socket, proxy));
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_backend_on_this_machine_is_reached_without_the_proxy_of_the_environment() {
    let spool = tempfile::tempdir().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let collector = Collector::start();
    assert!(process(nobody, &collector.url(), spool.path()).wait().unwrap().success());
    assert!(!collector::spans(&collector.asked()).is_empty());
}
