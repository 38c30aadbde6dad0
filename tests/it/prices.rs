//! What calls cost: as the printer and the metrics tell it, and as `perimeter prices` does.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{Provider, Proxy, asked};

/// One chat completion of a model, with this usage.
fn chat(provider: &Provider, proxy: &Proxy, model: &str, usage: &str) {
    let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]}}"#);
    let answer = format!(
        r#"{{"id":"c","model":"{model}","choices":[{{"index":0,"message":{{"role":"assistant","content":"hi"}},"finish_reason":"stop"}}]{usage}}}"#
    );
    post(provider, proxy, "/v1/chat/completions", &body, &answer);
}

/// One call and its answer.
fn post(provider: &Provider, proxy: &Proxy, path: &str, body: &str, answer: &str) {
    let head = format!("POST {path} HTTP/1.1\r\nHost: app\r\nContent-Type: application/json");
    let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (mut client, mut upstream) = asked(provider, proxy, request);
    upstream.expect(body);
    upstream.send(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{answer}",
        answer.len()
    ));
    upstream.close();
    assert_eq!(client.head().status(), 200);
    client.expect(answer);
}

const USAGE: &str = r#","usage":{"prompt_tokens":1204,"completion_tokens":87,"prompt_tokens_details":{"cached_tokens":1024}}"#;

#[test]
fn what_calls_cost_is_printed_and_counted_by_model() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml("interceptors: [{type: printer, config: {format: json}}]").start();
    chat(&provider, &proxy, "gpt-4o-mini-2024-07-18", USAGE);
    chat(&provider, &proxy, "our-own-llama", USAGE);
    chat(&provider, &proxy, "gpt-4o-mini", "");
    for (series, value) in [
        // (1204 - 1024) × 0.15 + 1024 × 0.075 + 87 × 0.6
        ("perimeter_cost_usd_total{model=\"gpt-4o-mini\"}", 0.000_156),
        ("perimeter_calls_unpriced_total{model=\"our-own-llama\"}", 1.0),
        ("perimeter_calls_unpriced_total{model=\"gpt-4o-mini\"}", 1.0),
        ("perimeter_tokens_total{model=\"gpt-4o-mini\",kind=\"input\"}", 1204.0),
        ("perimeter_tokens_total{model=\"gpt-4o-mini\",kind=\"cache_read\"}", 1024.0),
        ("perimeter_tokens_total{model=\"our-own-llama\",kind=\"output\"}", 87.0),
    ] {
        proxy.wait_for_metric(series, value);
    }
    let metrics = proxy.admin("/metrics").body;
    assert!(!metrics.contains("perimeter_cost_usd_total{model=\"our-own-llama\"}"), "{metrics}");
    let printed = proxy.stop_and_tell();
    let lines: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let costs: Vec<_> = lines.iter().map(|line| line.get("cost_usd").map(Value::to_string)).collect();
    assert_eq!(costs, ["0.000156", "null", "null"].map(|cost| Some(cost.to_owned())));
}

#[test]
fn every_bill_through_the_binary_is_what_was_worked_out_by_hand() {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/bills");
    let bills = fs::read_to_string(format!("{fixtures}/bills.json")).unwrap();
    let bills: Vec<Value> = serde_json::from_str(&bills).unwrap();
    let answered = |bill: &&Value| bill["path"].is_string() && bill["response"].is_object();
    let bills: Vec<&Value> = bills.iter().filter(answered).collect();
    assert!(bills.len() >= 25);
    let provider = Provider::start();
    let file = format!("pricing: {{file: {fixtures}/prices.json}}");
    let proxy = Proxy::to(&provider)
        .kind("auto")
        .yaml("interceptors: [{type: printer, config: {format: json}}]")
        .yaml(&file)
        .start();
    for bill in &bills {
        let (path, model) = (bill["path"].as_str().unwrap(), &bill["asked"]);
        let body = format!(r#"{{"model":{model},"messages":[{{"role":"user","content":"hi"}}]}}"#);
        post(&provider, &proxy, path, &body, &bill["response"].to_string());
    }
    let unknown = bills.iter().filter(|bill| bill["dollars"].is_null()).count();
    assert!(unknown >= 5);
    let printed = proxy.stop_and_tell();
    let lines: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), bills.len());
    for (bill, line) in bills.iter().zip(&lines) {
        let dollars = bill["dollars"].as_str().map(|dollars| dollars.parse::<f64>().unwrap());
        assert_eq!(line["cost_usd"].as_f64(), dollars, "{}: {line}", bill["name"]);
    }
}

#[test]
fn a_file_of_ones_own_prices_the_calls_it_names() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prices.json");
    let own = r#"{"models": {"our-own-llama": {"input": 1, "cache_read": 0.5, "output": 2, "source": "us", "as_of": "2026-01-31"}}}"#;
    fs::write(&file, own).unwrap();
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml(&format!("pricing: {{file: {}}}", file.display())).start();
    chat(&provider, &proxy, "our-own-llama", USAGE);
    // 180 × 1 + 1024 × 0.5 + 87 × 2
    proxy.wait_for_metric("perimeter_cost_usd_total{model=\"our-own-llama\"}", 0.000_866);
}

/// Calls the command in a folder with this file of prices, named by this configuration.
fn call(args: &[&str], prices: Option<&str>) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = "llm: {type: openai, base_url: http://localhost:1}\n".to_owned();
    if let Some(prices) = prices {
        fs::write(folder.path().join("prices.json"), prices).unwrap();
        config.push_str("pricing: {file: prices.json}\n");
    }
    fs::write(folder.path().join("perimeter.yaml"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_perimeter"));
    let command = command.args(args).current_dir(folder.path()).env_clear().env("HOME", folder.path());
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn prices_shows_what_applies_to_a_name_and_why() {
    let (code, said, _) = call(&["prices", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"], None);
    assert_eq!(code, Some(0));
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    assert_eq!(lines[0], "claude-sonnet-4-5");
    for part in [
        "Amazon Bedrock's name without region, vendor and version",
        "without the date: this version has no prices of its own",
        "in a region of Bedrock, tokens times 1.1: applies to this name",
    ] {
        assert!(lines.contains(&part), "{said}");
    }
    assert!(said.contains("above 200000 tokens of input: input 6,"), "{said}");
    assert!(said.contains("https://platform.claude.com/docs/en/about-claude/pricing as of 2026-"), "{said}");

    let (code, said, _) = call(&["prices", "--json", "gpt-5-2025-08-07"], None);
    assert_eq!(code, Some(0));
    let json: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(json["model"], "gpt-5");
    assert_eq!(json["prices"]["tiers"]["flex"]["cache_read"], "0.0625");
}

#[test]
fn prices_shows_all_of_them_and_those_of_the_configuration() {
    let (code, said, _) = call(&["prices"], None);
    assert_eq!(code, Some(0));
    assert!(said.lines().count() > 150, "{said}");
    let own = r#"{"models": {"our-own-llama": {"input": 1, "source": "us", "as_of": "2026-01-31"}}}"#;
    let (code, said, _) = call(&["prices", "--config", "perimeter.yaml"], Some(own));
    assert_eq!(code, Some(0));
    assert!(said.lines().any(|line| line.starts_with("our-own-llama ")), "{said}");
    let (code, said, _) = call(&["prices", "--json"], None);
    assert_eq!(code, Some(0));
    let json: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(json["models"]["gpt-4o-mini"]["tiers"]["standard"]["input"], "0.15");
}

#[test]
fn a_model_without_a_price_is_a_failure_and_the_nearest_names_are_told() {
    let (code, said, hint) = call(&["prices", "gpt-5-nanoo"], None);
    assert_eq!((code, said.as_str()), (Some(1), ""));
    assert!(hint.contains("the names nearest to it are gpt-5-nano"), "{hint}");
    let (code, said, _) = call(&["prices", "--json", "zzzzzzzz"], None);
    assert_eq!(code, Some(1));
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["model"], Value::Null);
}

#[test]
fn a_wrong_price_file_is_refused_by_all_who_would_read_it() {
    let wrong = "{\n  \"models\": {\n    \"m\": {\"inptu\": 1, \"source\": \"us\", \"as_of\": \"2026-01-31\"}\n  }\n}\n";
    for args in [
        &["validate-config", "perimeter.yaml"][..],
        &["run", "--config", "perimeter.yaml", "--port", "0"],
        &["prices", "--config", "perimeter.yaml"],
    ] {
        let (code, _, said) = call(args, Some(wrong));
        assert_eq!(code, Some(2), "{said}");
        let told = "prices.json:3: models › m › inptu: there is no such key; did you mean `input`?";
        assert!(said.contains(told), "{said}");
    }
}
