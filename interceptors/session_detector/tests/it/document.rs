//! `docs/sessions.md` against what is really written.

use super::*;

fn agent() -> Arc<Agent> {
    let mut agent = Agent::new("prompt-5dbc98dcc983", "agent-0c9f4e21b7aa");
    agent.name = Some("Claude Code".into());
    Arc::new(agent)
}

fn client() -> Arc<Client> {
    let mut client = Client::new("Claude Code");
    client.version = Some("2.1.50".into());
    Arc::new(client)
}

/// A session that is all there is to tell.
fn session() -> Script {
    const NAME: &str = "1c8a3c5e-9a51-4c8b-9d0e-2f6c1f4b7d10";
    let mut labels = Labels::default();
    labels.workflow = Some("nightly".into());
    let scene = Scene::post("/v1/messages").labels(labels).request("{}");
    let mut call = scene.next_call("claude-opus-4-8", "Fix slug.py.");
    (call.dialect, call.vendor) = ("anthropic_messages", "anthropic");
    let mut session = Session::new(NAME);
    (session.told, session.agent, session.client) = (true, agent(), Some(client()));
    session.tags.insert("team".to_owned(), "a".to_owned());
    call.session = Arc::new(session);

    let mut end = SessionEnd::new(NAME, 7, Duration::from_micros(48_211_500));
    end.told = true;
    end.began = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_601);
    (end.agent, end.client) = (agent(), Some(client()));
    end.models = vec!["claude-opus-4-8".into(), "claude-haiku-4-5".into()];
    end.usage = Usage::new(61_204, 1_830);
    (end.usage.cache_read, end.usage.cache_write) = (Some(48_120), Some(12_044));
    (end.cost, end.unpriced, end.failed) = (Usd(127_415_000_000), 1, 1);
    let branch = |call, parent, relation, thread| {
        let mut branch = Branch::new(call, relation);
        (branch.parent, branch.thread) = (parent, thread);
        branch
    };
    end.tree = vec![
        branch(1, None, Relation::Opening, 0),
        branch(2, Some(1), Relation::Side, 1),
        branch(3, Some(1), Relation::Retry, 0),
        branch(5, Some(4), Relation::SubAgent, 2),
    ];
    Script::new().scene(scene.llm(LlmEvent::Call(Arc::new(call))).response(200)).session_end(end)
}

#[test]
fn its_lines_are_what_is_written_and_each_member_is_explained() {
    let document = include_str!("../../../../docs/sessions.md");
    for line in written(session()) {
        assert!(document.contains(&line), "this is what is written:\n{line}");
        let members: serde_json::Map<String, Value> = serde_json::from_str(&line).unwrap();
        for name in members.keys() {
            assert!(document.contains(&format!("| `{name}`")), "{name} is not explained");
        }
    }
}
