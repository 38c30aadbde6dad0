//! `perimeter sessions`.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{answer, ask, call};
use crate::support::provider::free_port;
use crate::support::{Provider, Proxy};

struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Calls it with these arguments and this in its environment, and nothing else there.
fn sessions(args: &[&str], environment: &[(&str, &str)]) -> Ended {
    let output = Command::new(env!("CARGO_BIN_EXE_perimeter"))
        .arg("sessions")
        .args(args)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn url(proxy: &Proxy) -> String {
    format!("http://{}", proxy.admin_address())
}

/// What it says on stdout, once it is what is waited for: it may be called before what passed has been read.
#[track_caller]
pub(super) fn shown(args: &[&str], wanted: impl Fn(&str) -> bool) -> String {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let ended = sessions(args, &[]);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        if wanted(&ended.stdout) {
            return ended.stdout;
        }
        assert!(std::time::Instant::now() < deadline, "{}", ended.stdout);
    }
}

/// The cells of the row of this session.
fn row<'a>(table: &'a str, session: &str) -> Vec<&'a str> {
    let line = table.lines().find(|line| line.starts_with(session)).unwrap_or_default();
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

/// Answers whoever asks with these bytes.
fn answering(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        // Who asked may have left.
        let _ = stream.write_all(bytes);
    });
    url
}

#[test]
fn the_sessions_are_a_table_or_the_page_as_it_is() {
    let provider = Provider::start();
    let proxy = Proxy::to(&provider).start();
    let url = url(&proxy);
    assert_eq!(shown(&["--url", &url], |_| true), "No sessions so far.\n");
    for session in ["first", "second", "second"] {
        call(&provider, &proxy, session);
    }
    let open = ask(&provider, &proxy, "third");
    let table = shown(&["--url", &url], |table| {
        row(table, "third").contains(&"answering") && row(table, "second").contains(&"quiet")
    });
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("SESSION  AGENT "), "{table}");
    assert_eq!(lines.len(), 4, "{table}");
    assert_eq!(row(&table, "second")[2], "2", "{table}");
    assert!(lines[3].starts_with("first"), "the latest first: {table}");

    let one = shown(&["--url", &url, "--limit", "1"], |_| true);
    assert!(one.ends_with("\nThe latest 1 of 3 sessions; --limit shows more.\n"), "{one}");
    let json = shown(&["--url", &url, "--json", "--limit", "2"], |_| true);
    let page: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&page["live"], &page["shown"]), (&3.into(), &2.into()));
    answer(open);
}

#[test]
fn a_configuration_says_where_and_what_is_asked_for() {
    let provider = Provider::start();
    let port = free_port();
    let yaml = format!("server: {{admin: {{host: 0.0.0.0, port: {port}, token: at-1}}}}\n");
    let proxy = Proxy::to(&provider).yaml(&yaml).start();
    call(&provider, &proxy, "a");
    let file = proxy.folder().join("full.yaml");
    std::fs::write(&file, format!("llm: {{type: openai, base_url: {}}}\n{yaml}", provider.url())).unwrap();
    let file = file.to_str().unwrap();
    shown(&["--config", file], |table| row(table, "a").contains(&"quiet"));

    let url = url(&proxy);
    let with = |args: &[&str], token: &str| {
        let args = [&["--url", &url], args].concat();
        sessions(&args, &[("PERIMETER_ADMIN_TOKEN", token)])
    };
    assert_eq!(with(&[], "at-1").code, Some(0));
    assert_eq!(with(&["--token", "at-1"], "at-2").code, Some(0), "the flag stands above the environment");
    let none = with(&[], "");
    assert_eq!((none.code, none.stdout.as_str()), (Some(1), ""));
    assert!(none.stderr.contains("asks for a token: set PERIMETER_ADMIN_TOKEN"), "{}", none.stderr);
    let wrong = with(&[], "at-2");
    assert_eq!(wrong.code, Some(1));
    assert!(wrong.stderr.contains("does not take this token") && !wrong.stderr.contains("at-2"));
    let above = sessions(&["--config", file], &[("PERIMETER_ADMIN_TOKEN", "at-2")]);
    assert_eq!(above.code, Some(1), "the environment stands above the file");
}

#[test]
fn where_nobody_listens_it_says_what_to_do() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let ended = sessions(&["--url", &url], &[]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    for words in [&*url, "Is perimeter running?", "--url", "Connection refused"] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
}

#[test]
fn what_is_no_perimeter_is_told() {
    for answer in [
        "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"sessions\":{}}",
        "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"sessions\":[",
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        "SSH-2.0-OpenSSH_9.9\r\n",
        "",
    ] {
        let url = answering(answer.as_bytes());
        let ended = sessions(&["--url", &url], &[]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{answer}");
        assert!(ended.stderr.contains("is not the admin listener of a perimeter"), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}

#[test]
fn what_a_page_says_does_not_move_the_cursor() {
    let url = answering(
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 28\r\n\r\n{\"error\":\"\\u001b[2J\\nhello\"}",
    );
    let ended = sessions(&["--url", &url], &[]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.ends_with("says: ␛[2J hello\n"), "{:?}", ended.stderr);

    let page =
        b"HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n{\"sessions\":[\"\xc2\x9b\xe2\x80\xae\x7f[2J\"]}";
    let ended = sessions(&["--url", &answering(page), "--json"], &[]);
    assert_eq!(ended.stdout, "{\"sessions\":[\"\\u009b\\u202e\\u007f[2J\"]}\n");
    // And a page that this version cannot read is told, not shown.
    let ended = sessions(&["--url", &answering(page)], &[]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert!(ended.stderr.contains("none that this version reads"), "{}", ended.stderr);
}

#[test]
fn wrong_usage_exits_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("free.yaml");
    std::fs::write(&file, "llm: {type: openai, base_url: http://a}\nserver: {port: 0}\n").unwrap();
    for args in [
        &["--url", "https://127.0.0.1:4001"][..],
        &["--url", "http://user:secret@127.0.0.1:4001"],
        &["--limit", "0"],
        &["--limit", "10001"],
        &["--token", "a\nb"],
        &["--config", "/nowhere/at/all.yaml"],
        &["--config", file.to_str().unwrap()],
        &["surplus"],
    ] {
        let ended = sessions(args, &[]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{args:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains("secret"), "{}", ended.stderr);
    }
}
