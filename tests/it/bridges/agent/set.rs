//! What the owner sets, as the CLI is told it; and sessions through all doors.

use serde_json::{Value, json};

use super::{Place, call, chat, option};

#[test]
fn a_system_prompt_can_take_the_place_of_the_clis_own_and_mcp_servers_are_the_owners() {
    let place = Place::new();
    let servers = place.path("mcp.json");
    std::fs::write(&servers, r#"{"mcpServers": {}}"#).unwrap();
    let proxy = place.with(&format!(", system_prompt: replace, mcp_config: {}", servers.display())).start();
    let mut body = chat(None, "Hi");
    body["messages"].as_array_mut().unwrap().insert(0, json!({"role": "system", "content": "Be a cat."}));
    assert_eq!(call(&proxy, "POST", "/v1/chat/completions", &body).0, 200);
    let told = place.told().join("\n");
    assert!(
        told.contains(r#""systemPrompt":["Be a cat."]"#) && !told.contains("appendSystemPrompt"),
        "{told}"
    );
    let run = place.runs().pop().unwrap();
    assert_eq!(option(&run, "--mcp-config"), servers.to_str());
    assert!(run.contains("--strict-mcp-config"), "{run}");
}

#[test]
fn a_session_goes_on_through_whichever_door() {
    let place = Place::new();
    let proxy = place.start();
    let (_, body) = call(&proxy, "POST", "/v1/chat/completions", &chat(None, "One"));
    let id = body["session_id"].as_str().unwrap();
    let user = json!([{"role": "user", "content": "On"}]);
    let doors = [
        ("/v1/messages", json!({"model": "agent", "max_tokens": 99, "session_id": id, "messages": user})),
        ("/v1/responses", json!({"model": "agent", "session_id": id, "input": "On", "store": false})),
        ("/v1/chat/completions", json!({"model": "agent", "session_id": id, "messages": user})),
    ];
    for (count, (door, body)) in doors.iter().enumerate() {
        let (status, answer) = call(&proxy, "POST", door, body);
        assert_eq!(status, 200, "{door}: {answer}");
        assert!(answer.to_string().contains("Hello."), "{door}: {answer}");
        let session = call(&proxy, "GET", &format!("/v1/sessions/{id}"), &Value::Null).1;
        assert_eq!(session["message_count"], 4 + 2 * count, "{door}");
    }
    let runs = place.runs();
    let first = option(&runs[0], "--session-id");
    assert!(runs[1..].iter().all(|run| option(run, "--resume") == first), "{runs:#?}");
}

#[test]
fn paths_of_the_configuration_mean_the_same_place_wherever_an_agent_works() {
    let place = Place::new();
    std::fs::write(place.path("mcp.json"), r#"{"mcpServers": {}}"#).unwrap();
    let here = std::env::current_dir().unwrap();
    let up = "../".repeat(here.components().count() - 1);
    let relative = |name: &str| format!("{up}{}", place.path(name).strip_prefix("/").unwrap().display());
    let yaml = format!(
        "llm: {{claude_code: {{command: {}, models: {{agent: {{mode: agent}}}}, agent: {{mcp_config: {}}}}}}}\nstate_dir: {}",
        place.path("claude").display(),
        relative("mcp.json"),
        relative("state"),
    );
    let proxy =
        crate::support::Proxy::bridge("claude_code").env("ANTHROPIC_API_KEY", "sk").yaml(&yaml).start();
    let mut body = chat(None, "Hi");
    let before = [json!({"role": "user", "content": "a"}), json!({"role": "assistant", "content": "b"})];
    body["messages"].as_array_mut().unwrap().splice(0..0, before);
    assert_eq!(call(&proxy, "POST", "/v1/chat/completions", &body).0, 200);
    let run = place.runs().pop().unwrap();
    for name in ["--mcp-config", "--resume"] {
        let path = option(&run, name).unwrap();
        assert!(path.starts_with('/') && std::path::Path::new(path).exists(), "{name} {path}");
    }
    let home =
        place.told().into_iter().find_map(|line| line.strip_prefix("home ").map(str::to_owned)).unwrap();
    assert!(home.starts_with('/'), "{home}");
}
