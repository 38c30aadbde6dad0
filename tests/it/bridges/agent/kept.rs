//! What is kept of agents: whose it is, where it is, and that it goes.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{Place, call, chat, option, say, send};

#[test]
fn nobody_sees_or_ends_what_is_anothers() {
    let place = Place::new();
    let proxy = place.setup().yaml("server: {client_keys: [sk-one, sk-two]}").start();
    let one = |method: &str, path: &str, body: &Value| send(&proxy, method, path, "sk-one", body);
    let two = |method: &str, path: &str, body: &Value| send(&proxy, method, path, "sk-two", body);
    let new = json!({"name": "Mine", "path": "shared"});
    let project: Value = serde_json::from_str(&one("POST", "/v1/projects", &new).body).unwrap();
    let answer: Value =
        serde_json::from_str(&one("POST", "/v1/chat/completions", &chat(None, "Hi")).body).unwrap();
    let (project, session) = (project["id"].as_str().unwrap(), answer["session_id"].as_str().unwrap());
    let of_session = [
        ("GET", format!("/v1/sessions/{session}")),
        ("DELETE", format!("/v1/sessions/{session}")),
        ("GET", format!("/v1/chat/completions/{session}/status")),
        ("DELETE", format!("/v1/chat/completions/{session}")),
    ];
    let of_project =
        [("GET", format!("/v1/projects/{project}")), ("DELETE", format!("/v1/projects/{project}"))];
    for (code, paths) in [("session_not_found", &of_session[..]), ("project_not_found", &of_project[..])] {
        for (method, path) in paths {
            let answer = two(method, path, &Value::Null);
            assert_eq!(answer.head.status(), 404, "{method} {path}: {}", answer.body);
            assert!(answer.body.contains(code), "{}", answer.body);
        }
    }
    let answer = two("POST", "/v1/chat/completions", &chat(Some(session), "Hi"));
    assert_eq!(answer.head.status(), 404, "{}", answer.body);
    let answer = two("POST", "/v1/sessions", &json!({"project_id": project}));
    assert_eq!(answer.head.status(), 404, "{}", answer.body);
    for path in ["/v1/sessions", "/v1/projects"] {
        assert!(two("GET", path, &Value::Null).body.contains("\"total_items\":0"));
    }
    // Nor does one get at another's files by way of a project of one's own.
    for path in ["shared", "shared/deeper"] {
        let answer = two("POST", "/v1/projects", &json!({"name": "Yours", "path": path}));
        assert_eq!(answer.head.status(), 400, "{}", answer.body);
    }
    assert_eq!(one("GET", &format!("/v1/sessions/{session}"), &Value::Null).head.status(), 200);
    let kept = fs::read(place.path("state/claude_code/agent/sessions.sqlite")).unwrap();
    assert!(!String::from_utf8_lossy(&kept).contains("sk-one"), "keys are kept nowhere");
}

#[test]
fn a_project_is_a_directory_below_the_workspace_which_goes_with_it_if_it_was_made_for_it() {
    let place = Place::new();
    let proxy = place.start();
    let workspace = place.path("state/claude_code/agent/workspace");
    for path in ["../out", "/etc", "a/../../out", ".", ""] {
        let (status, error) = call(&proxy, "POST", "/v1/projects", &json!({"name": "x", "path": path}));
        assert_eq!((status, &error["error"]["param"]), (400, &json!("path")), "{path}: {error}");
    }
    fs::create_dir(workspace.join("mine")).unwrap();
    fs::write(workspace.join("mine/kept"), "").unwrap();
    let made = |path: &str| {
        let (status, project) = call(&proxy, "POST", "/v1/projects", &json!({"name": path, "path": path}));
        assert_eq!(status, 200, "{project}");
        project
    };
    let (mine, first, second) = (made("mine"), made("shared"), made("shared"));
    assert_eq!(first["path"], workspace.join("shared").to_str().unwrap());
    let (_, page) = call(&proxy, "GET", "/v1/projects?page=2&per_page=2", &Value::Null);
    assert_eq!(page["data"], json!([second]));
    let pagination = json!({"page": 2, "per_page": 2, "total_items": 3, "total_pages": 2, "has_next": false, "has_prev": true});
    assert_eq!(page["pagination"], pagination);
    let delete = |project: &Value| {
        let id = project["id"].as_str().unwrap();
        let (status, deleted) = call(&proxy, "DELETE", &format!("/v1/projects/{id}"), &Value::Null);
        assert_eq!((status, deleted), (200, json!({"project_id": id, "status": "deleted"})));
    };
    delete(&mine);
    assert!(workspace.join("mine/kept").exists(), "it was there before");
    delete(&first);
    assert!(workspace.join("shared").exists(), "another project is there");
    let alone = made("alone");
    fs::write(workspace.join("alone/file"), "").unwrap();
    delete(&alone);
    assert!(!workspace.join("alone").exists());
}

#[test]
fn what_a_session_was_is_gone_when_it_is_deleted() {
    let place = Place::new();
    let proxy = place.start();
    let (_, body) = say(&proxy, None, "LIMIT");
    let session = body["session_id"].as_str().unwrap();
    say(&proxy, Some(session), "Again");
    let cli_session = option(place.runs().first().unwrap(), "--session-id").unwrap().to_owned();
    let kept = place.path("state/claude_code/agent/home/.claude/projects/-some-project");
    fs::create_dir_all(&kept).unwrap();
    let runs = place.runs();
    let now = option(runs.last().unwrap(), "--resume").unwrap();
    let now = Path::new(now).file_stem().map_or(now, |stem| stem.to_str().unwrap());
    fs::write(kept.join(format!("{now}.jsonl")), "what was said").unwrap();
    let (status, deleted) = call(&proxy, "DELETE", &format!("/v1/sessions/{session}"), &Value::Null);
    assert_eq!(
        (status, deleted),
        (200, json!({"session_id": session, "status": "deleted"})),
        "{cli_session}"
    );
    assert_eq!(fs::read_dir(&kept).unwrap().count(), 0);
    assert_eq!(fs::read_dir(place.path("state/claude_code/agent/transcripts")).unwrap().count(), 0);
    let (status, _) = say(&proxy, Some(session), "Are you there?");
    assert_eq!(status, 404);
}
