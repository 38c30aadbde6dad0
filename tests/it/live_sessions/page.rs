//! `/sessions` on the admin listener.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{answer, ask, call};
use crate::support::{Provider, Proxy};

/// The page, when it tells what is waited for: it may be asked before what passed has been read.
#[track_caller]
fn page(proxy: &Proxy, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = proxy.admin(path);
        assert_eq!(answer.head.status(), 200, "{}", answer.body);
        assert_eq!(answer.head.value("content-type"), Some("application/json"));
        assert_eq!(answer.head.value("cache-control"), Some("no-store"));
        let page: Value = serde_json::from_str(&answer.body).unwrap();
        if wanted(&page) {
            return page;
        }
        assert!(Instant::now() < deadline, "{page:#}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn ids(page: &Value) -> Vec<&str> {
    let sessions = page["sessions"].as_array().unwrap();
    sessions.iter().map(|session| session["session_id"].as_str().unwrap()).collect()
}

fn state<'a>(page: &'a Value, session: &str) -> &'a str {
    let sessions = page["sessions"].as_array().unwrap();
    let session = sessions.iter().find(|held| held["session_id"] == session);
    session.and_then(|session| session["state"].as_str()).unwrap_or_default()
}

#[test]
fn the_sessions_are_told_the_latest_first_with_what_they_came_to() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).start();
    assert_eq!(
        page(&proxy, "/sessions", |_| true),
        json!({"sessions": [], "live": 0, "shown": 0, "watching": true})
    );
    for session in ["a", "b", "a"] {
        call(&provider, &proxy, session);
    }
    let told = page(&proxy, "/sessions", |page| {
        page["live"] == 2 && page["sessions"][0]["calls"] == 2 && state(page, "a") == "quiet"
    });
    assert_eq!((ids(&told), &told["shown"]), (vec!["a", "b"], &json!(2)));
    let first = &told["sessions"][0];
    assert_eq!((&first["told"], &first["open_calls"]), (&json!(true), &json!(0)));
    assert!(first["quiet_ms"].is_u64() && first["tree"].is_array() && first["agent"]["id"].is_string());
    let told = page(&proxy, "/sessions?limit=1", |_| true);
    assert_eq!((ids(&told), &told["live"], &told["shown"]), (vec!["a"], &json!(2), &json!(1)));
}

#[test]
fn a_session_is_answering_then_quiet_then_over() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).yaml("session: {completion_timeout: 1s}\n").start();
    let open = ask(&provider, &proxy, "a");
    page(&proxy, "/sessions", |page| state(page, "a") == "answering");
    answer(open);
    page(&proxy, "/sessions", |page| state(page, "a") == "quiet");
    page(&proxy, "/sessions", |page| state(page, "a") == "over");
    call(&provider, &proxy, "a");
    page(&proxy, "/sessions", |page| state(page, "a") != "over");
}

#[test]
fn a_limit_that_is_none_is_refused() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).start();
    for limit in ["0", "10001", "-1", "all", ""] {
        let answer = proxy.admin(&format!("/sessions?limit={limit}"));
        assert_eq!(answer.head.status(), 400, "{limit}");
        assert!(answer.body.contains("from 1 to 10000"), "{}", answer.body);
    }
}

#[test]
fn where_nobody_watches_there_is_none() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).args(&["--interceptors", "none"]).start();
    call(&provider, &proxy, "a");
    let told = page(&proxy, "/sessions", |_| true);
    assert_eq!(told, json!({"sessions": [], "live": 0, "shown": 0, "watching": false}));
}

#[test]
fn many_who_ask_at_once_are_answered_while_calls_pass() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).start();
    call(&provider, &proxy, "a");
    page(&proxy, "/sessions", |page| page["live"] == 1);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| page(&proxy, "/sessions", |page| ids(page).contains(&"a")));
        }
        for _ in 0..8 {
            call(&provider, &proxy, "b");
        }
    });
    page(&proxy, "/sessions", |page| page["sessions"][0]["calls"] == 8);
}

#[test]
fn a_secret_that_a_client_calls_its_session_by_is_not_shown() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).start();
    call(&provider, &proxy, "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEF");
    let told = page(&proxy, "/sessions", |page| page["live"] == 1);
    assert!(told.to_string().contains("[REDACTED]") && !told.to_string().contains("abcdefghij"), "{told}");
}

#[test]
fn nothing_on_the_page_moves_the_cursor_of_who_asks_from_a_terminal() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).start();
    let model = "m\u{1b}[2J\u{9b}31m\u{202e}";
    let body = json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]}).to_string();
    let mut client = proxy.connect();
    client.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: app\r\nContent-Type: application/json\r\n\
         x-session-id: \u{202e}a\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let mut upstream = provider.accept();
    let head = upstream.head();
    upstream.body(&head);
    answer((client, upstream));
    let told = page(&proxy, "/sessions", |page| page["live"] == 1);
    // It says what it is.
    assert_eq!((ids(&told), &told["sessions"][0]["models"][0]), (vec!["\u{202e}a"], &json!(model)));
    let text = proxy.admin("/sessions").body;
    assert!(text.chars().all(|sign| matches!(sign, ' '..='~')), "{text:?}");
}
