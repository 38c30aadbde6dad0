//! Who is hired: as the configuration says, and as it says wrongly.

use super::exchange;
use crate::support::{Provider, Proxy, Watch};

/// The watchers' names, as the metrics have them.
fn hired(proxy: &Proxy) -> Vec<String> {
    let metrics = proxy.admin("/metrics").body;
    let mut names: Vec<_> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("perimeter_interceptor_retired{interceptor=\""))
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn without_a_word_about_it_the_printer_is_hired() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).start();
    assert_eq!(hired(&proxy), ["printer"]);
    exchange(&provider, &proxy);
    while !proxy.stdout().contains("/plain") {
        std::thread::yield_now();
    }
}

#[test]
fn the_flag_names_who_is_hired_and_keeps_their_settings() {
    let provider = Provider::start();
    let yaml = "interceptors: [{type: printer, enabled: false, config: {format: json}}]";
    let proxy = Proxy::to(&provider).yaml(yaml).args(&["--interceptors", "printer"]).start();
    assert_eq!(hired(&proxy), ["printer"]);
    exchange(&provider, &proxy);
    while !proxy.stdout().ends_with('\n') {
        std::thread::yield_now();
    }
    assert!(proxy.stdout().starts_with('{'), "{}", proxy.stdout());
    let logs = tempfile::tempdir().unwrap();
    let yaml =
        format!("interceptors: [{{type: message_logger, config: {{directory: {}}}}}]", logs.path().display());
    let proxy = Proxy::to(&provider).yaml(&yaml).args(&["--interceptors", "printer,message_logger"]).start();
    assert_eq!(hired(&proxy), ["message_logger", "printer"]);
}

#[test]
fn a_kind_that_is_hired_twice_has_two_names_and_each_its_own_settings() {
    let provider = Provider::start();
    let watch = Watch::of(&[("witness", ""), ("witness", "texts: false"), ("witness", "chunks: false")]);
    let proxy = watch.setup(&provider).start();
    assert_eq!(hired(&proxy), ["witness", "witness-2", "witness-3"]);
    exchange(&provider, &proxy);
    proxy.stop();
    let exchanges = [0, 1, 2].map(|number| watch.after(number).only());
    assert_eq!(exchanges[0].text("on_response_chunk"), "ok");
    assert_eq!(exchanges[1].line("on_response_chunk").get("text"), None);
    assert_eq!(exchanges[2].bytes("on_response_chunk"), 0);
}

#[test]
fn a_wrong_setting_is_refused_where_it_stands() {
    for (settings, place, path, what) in [
        ("{format: loud}", "2:25", "interceptors[0].config.format", "compact, full, json"),
        ("{fromat: json}", "2:17", "interceptors[0].config.fromat", "format"),
        ("{show_tools: 7}", "2:29", "interceptors[0].config.show_tools", "true"),
    ] {
        let yaml = format!("interceptors:\n- {{type: printer, config: {settings}}}\n");
        let exit = Proxy::to_url("http://127.0.0.1:9").yaml(&yaml).fails();
        assert_eq!(exit.code, Some(2), "{}", exit.stderr);
        let line = exit.stderr.lines().next().unwrap();
        for part in ["perimeter.yaml:2:", path, what] {
            assert!(line.contains(part), "no {part} in {line}");
        }
        let _ = place;
    }
}

#[test]
fn the_wrong_setting_of_anybodys_interceptor_is_refused_as_perimeters_own() {
    let yaml = "interceptors:\n- type: witness\n  config:\n    naps: long\n";
    let exit = Proxy::to_url("http://127.0.0.1:9").watched().yaml(yaml).fails();
    assert_eq!(exit.code, Some(2), "{}", exit.stderr);
    assert!(exit.stderr.contains("perimeter.yaml:4:11: interceptors[0].config.naps"), "{}", exit.stderr);
}

#[test]
fn an_unknown_kind_is_refused_with_those_there_are() {
    let yaml = "interceptors:\n- type: blockchain\n";
    let exit = Proxy::to_url("http://127.0.0.1:9").watched().yaml(yaml).fails();
    assert_eq!(exit.code, Some(2), "{}", exit.stderr);
    for part in
        ["perimeter.yaml:2:9: interceptors[0].type", "printer", "message_logger", "witness", "panicking"]
    {
        assert!(exit.stderr.contains(part), "no {part} in {}", exit.stderr);
    }
}

#[test]
fn an_interceptor_that_cannot_be_made_stops_the_start_and_is_named() {
    let yaml = "interceptors:\n- {type: witness, config: {file: /no/such/folder/file}}\n";
    let exit = Proxy::to_url("http://127.0.0.1:9").watched().yaml(yaml).args(&["--port", "0"]).fails();
    assert_eq!(exit.code, Some(1), "{}", exit.stderr);
    assert!(exit.stderr.contains("interceptor witness cannot start"), "{}", exit.stderr);
    assert!(exit.stderr.contains("No such file"), "{}", exit.stderr);
}
