//! What turns cost, and what sessions may.

use serde_json::{Value, json};

use super::{Place, call, chat, say, wait_until};

fn session(proxy: &crate::support::Proxy, id: &str) -> Value {
    call(proxy, "GET", &format!("/v1/sessions/{id}"), &Value::Null).1
}

#[test]
fn what_a_turn_has_cost_counts_also_where_it_was_stopped_or_left_or_has_failed() {
    let place = Place::new();
    let proxy = place.setup().start();
    let (_, body) = say(&proxy, None, "One");
    let id = body["session_id"].as_str().unwrap();
    assert_eq!(session(&proxy, id)["total_cost"], 0.25);

    // The CLI counts on: 0.75 more when it is stopped.
    std::thread::scope(|scope| {
        let first = scope.spawn(|| say(&proxy, Some(id), "HANG"));
        wait_until("it hangs", || place.told().iter().any(|line| line.contains("HANG")));
        call(&proxy, "DELETE", &format!("/v1/chat/completions/{id}"), &Value::Null);
        assert_eq!(first.join().unwrap().0, 502);
    });
    let stopped = session(&proxy, id);
    assert_eq!((&stopped["total_cost"], &stopped["total_tokens"]), (&json!(1.0), &json!(25)));

    // A new transcript, whose cost begins anew.
    let body = chat(Some(id), "HANG").to_string();
    let mut wire = proxy.connect();
    wire.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{body}",
        proxy.address(),
        body.len()
    ));
    let hangs = || place.told().iter().filter(|line| line.contains(r#""text":"HANG""#)).count();
    wait_until("it hangs again", || hangs() == 2);
    drop(wire);
    wait_until("it has ended", || session(&proxy, id)["total_cost"] == 2.0);
    assert_eq!(session(&proxy, id)["message_count"], 6, "what it has said by then is kept");

    assert_eq!(say(&proxy, Some(id), "FAIL").0, 429);
    assert_eq!(session(&proxy, id)["total_cost"], 2.125);
}

#[test]
fn a_session_that_has_spent_its_money_is_refused() {
    let place = Place::new();
    let proxy = place.with(", max_cost: 1.0").start();
    let (_, body) = say(&proxy, None, "One");
    let id = body["session_id"].as_str().unwrap();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| say(&proxy, Some(id), "HANG"));
        wait_until("it hangs", || place.told().iter().any(|line| line.contains("HANG")));
        call(&proxy, "DELETE", &format!("/v1/chat/completions/{id}"), &Value::Null);
        first.join().unwrap();
    });
    let runs = place.runs().len();
    let (status, error) = say(&proxy, Some(id), "Two");
    assert_eq!((status, &error["error"]["code"]), (402, &json!("insufficient_quota")), "{error}");
    assert_eq!(place.runs().len(), runs, "nobody was asked");
    assert_eq!(say(&proxy, None, "Another").0, 200);
}

#[test]
fn a_project_that_holds_too_much_begins_no_turn() {
    let place = Place::new();
    let proxy = place.with(", project_size: 64KiB").start();
    let (_, body) = say(&proxy, None, "One");
    let id = body["session_id"].as_str().unwrap();
    let file = place.path("state/claude_code/agent/workspace/default-local/large");
    std::fs::write(&file, vec![0; 100_000]).unwrap();
    let (status, error) = say(&proxy, Some(id), "Two");
    assert_eq!((status, &error["error"]["param"]), (402, &json!("project_id")), "{error}");
    assert_eq!(say(&proxy, None, "In a session of its own").0, 402);
    assert_eq!(place.runs().len(), 1);
    let sessions = call(&proxy, "GET", "/v1/sessions", &Value::Null).1;
    assert_eq!(sessions["pagination"]["total_items"], 1, "of what was refused nothing is left");
    std::fs::remove_file(file).unwrap();
    assert_eq!(say(&proxy, Some(id), "Two").0, 200);
}
