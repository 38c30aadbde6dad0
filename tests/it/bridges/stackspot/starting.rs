use super::super::scripted_stackspot::SECRET;
use super::*;

fn plain(spot: &Stackspot) -> Setup {
    let yaml = format!(
        "llm: {{type: stackspot, base_url: \"{0}\", stackspot: {{idm_url: \"{0}\", files_url: \"{0}\"}}}}",
        spot.url()
    );
    Proxy::bridge("stackspot").yaml(&yaml)
}

#[test]
fn the_predecessors_environment_is_enough() {
    let spot = Stackspot::start();
    let proxy = plain(&spot)
        .env("CLIENT_ID", "me")
        .env("CLIENT_SECRET", SECRET)
        .env("REALM", "acme")
        .env("GENAI_AGENT_ID", AGENT)
        .start();
    assert_eq!(chat(&proxy, &question("hi")).text(), "Hello there.");
}

#[test]
fn quick_commands_take_nothing_from_the_environments_agent() {
    let spot = Stackspot::start();
    let proxy = Proxy::bridge("stackspot")
        .yaml(&spot.account("quick_commands: [explain]"))
        .env("GENAI_AGENT_ID", AGENT)
        .start();
    assert_eq!(chat(&proxy, &question("hi")).text(), "Hello there.");
    let answer = chat(&proxy, &with(question("x"), json!({"model": "qc/explain"})));
    assert_eq!(answer.text(), "ran: x");
}

#[test]
fn what_is_missing_is_named_with_its_variable() {
    let spot = Stackspot::start();
    let all = [
        ("REALM", "realm"),
        ("CLIENT_ID", "client_id"),
        ("CLIENT_SECRET", "client_secret"),
        ("GENAI_AGENT_ID", "agents"),
    ];
    for (variable, key) in all {
        let others = all.iter().filter(|(other, _)| *other != variable);
        let setup = others.fold(plain(&spot), |setup, (name, _)| setup.env(name, "01x"));
        let exit = setup.args(&["--port", "0"]).fails();
        assert_ne!(exit.code, Some(0));
        assert!(exit.stderr.contains(&format!("llm.stackspot.{key}")), "{}", exit.stderr);
        assert!(exit.stderr.contains(variable), "{}", exit.stderr);
    }
}

#[test]
fn a_secret_comes_from_a_file_and_goes_nowhere_but_to_the_token_endpoint() {
    let spot = Stackspot::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let yaml = spot
        .yaml("")
        .replace(&format!("client_secret: \"{SECRET}\""), &format!("client_secret_file: {}", file.display()));
    let proxy = Proxy::bridge("stackspot").yaml(&yaml).env("LOG_LEVEL", "trace").start();
    assert_eq!(chat(&proxy, &question("hi")).text(), "Hello there.");
    assert!(!proxy.admin("/config").body.contains(SECRET));
    let said = proxy.stop().stderr;
    assert!(!said.contains(SECRET) && !said.contains("s3cr%26t") && !said.contains("token-1"), "{said}");
}

#[test]
fn a_personal_access_token_is_shown_as_it_is() {
    let spot = Stackspot::start();
    spot.take("pat-1");
    let yaml = spot.yaml("").replace("  type:", "  api_key: pat-1\n  type:");
    let proxy = Proxy::bridge("stackspot").yaml(&yaml).start();
    assert_eq!(chat(&proxy, &question("hi")).text(), "Hello there.");
    assert_eq!(spot.chats()[0].header("authorization"), Some("Bearer pat-1"));
    spot.revoke();
    assert_eq!(chat(&proxy, &question("hi")).error().1, "upstream_auth");
    assert_eq!(spot.token_requests(), 0);
}

#[test]
fn settings_that_make_no_sense_are_refused_with_what_would() {
    let spot = Stackspot::start();
    let yaml = spot.yaml("").replace("  type:", "  bridge: {concurrency: 0}\n  type:");
    let exit = Proxy::bridge("stackspot").yaml(&yaml).args(&["--port", "0"]).fails();
    assert!(exit.stderr.contains("llm.bridge.concurrency: found 0; expected at least 1"), "{}", exit.stderr);
    for (more, words) in [
        ("agents: {a: {agent_id: \"x/y\"}}", "letters and digits"),
        ("agents: {a: {agent_id: x}, b: {agent_id: y, aliases: [a]}}", "for one agent"),
        ("agents: {a: {agent_id: x, extra_body: {user_prompt: hi}}}", "user_prompt"),
        ("agents: {a: {agent_id: x}}\nconversation: always", "stateless"),
        ("agents: {a: {agent_id: x}}\nrequests_per_minute: 0", "expected 1 to 100000"),
        ("agents: {a: {agent_id: x, tool_dialect: xml}}", "tool_dialect"),
        ("agents: {a: {agent_id: x, aliases: [a]}}", "is there twice"),
        ("agents: {a: {agent_id: x}}\nquick_commands: [a/b]", "a/b"),
        ("agents: {a: {agent_id: x}}\nquick_commands: [a, a]", "two models have the name qc/a"),
        ("agents: {a: {agent_id: x}}\nclient_secret_file: nowhere", "client_secret is set, too"),
        ("agents: {a: {agent_id: x}}\ntool_style: xml", "llm.stackspot.agents.<name>"),
    ] {
        let setup = Proxy::bridge("stackspot").yaml(&spot.account(more));
        let exit = setup.args(&["--port", "0"]).fails();
        assert!(exit.stderr.contains(words), "{more}: {}", exit.stderr);
    }
}
