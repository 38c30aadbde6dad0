//! curl: HTTP as it can be, one invocation a promise.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::compare::{assert_same, assert_same_but_for, describe_bytes, drop_hop_by_hop, tidy};
use crate::process::client;
use crate::provider::{Provider, Request, encode};

/// Runs curl with `arguments` on `paths` and tells everything that it got: how it ended, each head,
/// the body.
fn curl(base_url: &str, arguments: &[&str], input: Option<&[u8]>, paths: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path());
    command
        .args(["--dump-header", "heads", "--write-out", "%{http_code} after %{num_connects} connections\n"])
        .args(arguments)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped());
    for path in paths {
        command.arg(format!("{base_url}{path}")).args(["--output", "body"]);
    }
    let mut child = command.spawn().unwrap();
    if let Some(input) = input {
        child.stdin.take().unwrap().write_all(input).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    format!(
        "exit {:?}\n{}{}\n{}\n",
        output.status.code(),
        String::from_utf8_lossy(&output.stdout),
        heads(&fs::read(folder.path().join("heads")).unwrap_or_default()),
        describe_bytes(&fs::read(folder.path().join("body")).unwrap_or_default()),
    )
}

fn command(folder: &Path) -> Command {
    let mut command = client("curl", folder);
    command.args(["--silent", "--max-time", "300", "--globoff"]);
    command
}

/// The heads that curl has received, without what belongs to one connection.
fn heads(bytes: &[u8]) -> String {
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let mut told = String::new();
    for head in text.split_inclusive("\r\n\r\n") {
        let mut lines: Vec<_> = head.lines().map(str::to_owned).collect();
        drop_hop_by_hop(&mut lines);
        tidy(&mut lines);
        told.extend(lines.iter().flat_map(|line| [line, "\n"]));
    }
    told
}

/// Straight and through the proxy: the same.
fn same(arguments: &[&str], paths: &[&str]) -> String {
    assert_same("openai", |_, url| curl(url, arguments, None, paths))
}

#[test]
fn head_lines_keep_case_order_and_values() {
    let told = same(
        &[
            "--header",
            "x-lower: 1",
            "--header",
            "X-UPPER: 2",
            "--header",
            "X-MiXeD: three, four ;five=\"6\"",
            "--header",
            "X-Empty;",
            "--header",
            "Via: 1.1 somebody",
            "--header",
            "X-Forwarded-For: 10.0.0.1",
            "--header",
            "User-Agent:",
            "--header",
            "Accept:",
        ],
        &["/plain/odd"],
    );
    assert!(told.contains("HTTP/1.1 299 Strange But True\nx-lower: 1\nX-UPPER: 2\n"), "{told}");
}

#[test]
fn repeated_names_keep_their_values_apart() {
    same(
        &[
            "--header",
            "X-Twice: 1",
            "--header",
            "X-Between: 2",
            "--header",
            "x-twice: 3",
            "--header",
            "X-Twice: 4, 5",
            "--cookie",
            "a=1; b=2",
        ],
        &["/plain/odd"],
    );
}

#[test]
fn paths_and_queries_pass_as_bytes() {
    for path in [
        "/plain/../x/./y//z",
        "/plain/%2e%2E/%2f%zz?a=%20+%2B&&b=c=d?e#cut",
        "/plain/q?",
        "/plain/~!$&'()*,;=:@|",
    ] {
        same(&["--path-as-is"], &[path]);
    }
}

#[test]
fn any_method_passes() {
    for method in ["OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "made-UP"] {
        same(&["--request", method], &["/plain/echo"]);
        same(&["--request", method, "--data", "with a body"], &["/plain/echo"]);
    }
    same(&["--request", "GET", "--data", "with a body"], &["/plain/echo"]);
}

#[test]
fn answers_without_a_body_keep_their_heads() {
    let told = same(&["--head"], &["/plain/head"]);
    assert!(told.contains("Content-Length: 5000000000"), "{told}");
    same(&[], &["/plain/empty"]);
    same(&["--header", "If-None-Match: \"abc\""], &["/plain/unchanged"]);
}

#[test]
fn one_connection_serves_many_requests() {
    let told = same(&[], &["/plain/again", "/plain/again", "/plain/empty", "/plain/chunks", "/plain/again"]);
    assert!(told.contains("200 after 1 connections\n200 after 0 connections\n"), "{told}");
}

#[test]
fn uploads_pass_whatever_their_framing() {
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n >> 4) as u8).collect();
    for arguments in [
        &["--upload-file", "-"][..],
        &["--data-binary", "@-"],
        &["--data-binary", "@-", "--header", "Transfer-Encoding: chunked"],
        &["--data-binary", "@-", "--header", "Expect:"],
        &["--form", "purpose=user_data", "--form", "file=@-;filename=a \"b\".bin;type=application/x-odd"],
    ] {
        assert_same("openai", |_, url| curl(url, arguments, Some(&large), &["/plain/upload"]));
        assert_same("openai", |_, url| curl(url, arguments, Some(b"small"), &["/plain/upload"]));
    }
    same(&["--data", ""], &["/plain/upload"]);
}

#[test]
fn a_body_waits_for_the_providers_100_continue() {
    let body = vec![b'x'; 2_000_000];
    let told = assert_same("openai", |_, url| {
        let arguments =
            ["--header", "Expect: 100-continue", "--expect100-timeout", "60", "--data-binary", "@-"];
        curl(url, &arguments, Some(&body), &["/plain/upload"])
    });
    assert!(told.contains("HTTP/1.1 100 Continue"), "{told}");
}

#[test]
fn a_body_that_the_provider_refuses_is_not_sent() {
    let body = vec![b'x'; 2_000_000];
    let told = assert_same("openai", |_, url| {
        let arguments =
            ["--header", "Expect: 100-continue", "--expect100-timeout", "60", "--data-binary", "@-"];
        curl(url, &arguments, Some(&body), &["/plain/refused"])
    });
    assert!(!told.contains("100 Continue") && told.contains("who are you?"), "{told}");
}

#[test]
fn compressed_answers_stay_compressed() {
    let told = same(&["--compressed"], &["/plain/gzip"]);
    assert!(told.contains("compressed wörld"), "{told}");
    same(&["--header", "Accept-Encoding: br;q=0.5, gzip , *;q=0"], &["/plain/gzip"]);
    same(&[], &["/plain/gzip"]);
}

/// Requests and answers in every coding that clients use: they pass as they are, and are read all the same.
#[test]
fn compressed_calls_are_read() {
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let accept = format!("Accept-Encoding: {coding}");
        let compressed = format!("Content-Encoding: {coding}");
        for stream in [false, true] {
            let question = json!({
                "model": "compressed", "stream": stream,
                "messages": [{"role": "user", "content": "why? ".repeat(50_000)}],
            });
            let body = encode(coding, question.to_string().as_bytes());
            let arguments =
                ["--header", &accept, "--header", &compressed, "--json", "@-", "--header", "Accept:"];
            let told =
                assert_same("openai", |_, url| curl(url, &arguments, Some(&body), &["/v1/chat/completions"]));
            assert!(told.contains(&format!("Content-Encoding: {coding}\n")), "{told}");
        }
    }
}

#[test]
fn large_and_chunked_answers_pass() {
    same(&[], &["/plain/large"]);
    same(&[], &["/plain/chunks"]);
    same(&["--limit-rate", "4M"], &["/plain/large"]);
}

/// For a client of HTTP/1.1 the engine makes it chunked; one of HTTP/1.0 gets it as it came.
#[test]
fn an_answer_that_ends_with_its_connection_passes() {
    let told = assert_same("openai", |_, url| {
        curl(url, &[], None, &["/plain/until-closed"]).replace("transfer-encoding: chunked\n", "")
    });
    assert!(told.contains("until the end"), "{told}");
    assert_same_but_for("openai", drop_version, |_, url| {
        curl(url, &["--http1.0"], None, &["/plain/until-closed"]).replace("HTTP/1.0 200", "HTTP/1.1 200")
    });
}

#[test]
fn ranges_and_redirects_are_the_providers() {
    same(&["--range", "10-19"], &["/plain/range"]);
    same(&[], &["/plain/elsewhere"]);
    let told = same(&["--location"], &["/plain/moved"]);
    assert!(told.contains("GET /plain/landed?from=moved"), "{told}");
}

#[test]
fn trailers_pass_where_they_are_asked_for() {
    // The engine writes their names in lower case.
    let told = assert_same("openai", |_, url| {
        let told = curl(url, &["--header", "TE: trailers"], None, &["/plain/trailers"]);
        told.replace("\nX-Checksum: ", "\nx-checksum: ")
    });
    assert!(told.contains("x-checksum: 42"), "{told}");
}

#[test]
fn credentials_pass_as_they_are() {
    same(&["--user", "Aladdin:open sesame"], &["/plain/echo"]);
    same(&["--oauth2-bearer", "made-up"], &["/plain/echo"]);
    same(&["--header", "x-api-key: made-up", "--header", "api-key: too"], &["/plain/echo"]);
}

#[test]
fn an_upgrade_that_the_provider_refuses_is_refused() {
    let upgrade = ["--header", "Connection: Upgrade", "--header", "Upgrade: websocket"];
    let told = same(&upgrade, &["/plain/refused"]);
    assert!(told.contains("HTTP/1.1 426 Upgrade Required"), "{told}");
    // curl asks for HTTP/2 by an upgrade that no proxy may pass on, and is content without.
    same(&["--http2"], &["/plain/echo"]);
    same(&["--tr-encoding"], &["/plain/echo"]);
}

/// A client of HTTP/1.0 has a connection of its own version; the request goes on as HTTP/1.1.
#[test]
fn a_client_of_http_1_0_is_served() {
    for (arguments, path) in [
        (&["--http1.0", "--data", "a body"][..], "/plain/echo"),
        (&["--http1.0"], "/plain/large"),
        (&["--http1.0", "--header", "Connection: keep-alive"], "/plain/echo"),
    ] {
        assert_same_but_for("openai", drop_version, |_, url| {
            curl(url, arguments, None, &[path]).replace("HTTP/1.0 200", "HTTP/1.1 200")
        });
    }
}

fn drop_version(requests: &mut Vec<Request>) {
    for request in requests {
        request.line = request.line.replace("HTTP/1.0", "HTTP/1.1");
    }
}

#[test]
fn a_broken_answer_is_broken_for_the_client() {
    for path in ["/plain/short", "/plain/cut"] {
        let told = same(&[], &[path]);
        assert!(told.starts_with("exit Some(18)"), "{told}");
    }
}

/// Where the end of the connection is the end of the answer, only a reset tells a broken one from a whole.
/// The engine makes such an answer chunked for HTTP/1.1: there a missing last chunk tells it.
#[test]
fn a_reset_answer_is_broken_for_the_client() {
    assert_same_but_for("openai", drop_version, |provider, url| {
        let code = read_until_reset(provider, &format!("{url}/plain/reset"), "--http1.0");
        assert_eq!(code, Some(56), "curl takes the answer for whole");
        let code = read_until_reset(provider, &format!("{url}/plain/reset"), "--http1.1");
        assert!(matches!(code, Some(18 | 56)), "curl takes the answer for whole: {code:?}");
        "broken twice".to_owned()
    });
}

/// Takes the answer's first line, has the provider reset the rest, and tells how curl ended.
fn read_until_reset(provider: &Provider, url: &str, version: &str) -> Option<i32> {
    let folder = tempfile::tempdir().unwrap();
    let mut child =
        command(folder.path()).args(["--no-buffer", version, url]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "one\n");
    provider.seen("curl-reset", 1);
    let code = child.wait().unwrap().code();
    provider.forget("curl-reset");
    code
}

/// The provider sends an event when curl has written the one before it to its output.
#[test]
fn each_event_arrives_at_once() {
    assert_same("openai", |provider, url| {
        let folder = tempfile::tempdir().unwrap();
        let mut child = command(folder.path())
            .args(["--no-buffer", "--data", "{}", &format!("{url}/plain/paced")])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = String::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(number) = line.strip_prefix("data: ") {
                provider.seen("curl", number.parse().unwrap());
            }
            told.push_str(&line);
            told.push('\n');
        }
        assert!(child.wait().unwrap().success(), "{told}");
        told
    });
}

#[test]
fn a_client_that_leaves_has_left_for_the_provider() {
    assert_same("openai", |provider, url| {
        leave(provider, &format!("{url}/plain/left"), true);
        provider.await_leaving("curl-left");
        leave(provider, &format!("{url}/plain/silent"), false);
        provider.await_leaving("curl-silent");
        "left twice".to_owned()
    });
}

/// Ends a curl in the middle: of an answer's body, or of the silence before its head.
fn leave(provider: &Provider, url: &str, answered: bool) {
    let folder = tempfile::tempdir().unwrap();
    // Not under `timeout`, which would be killed in its place.
    let mut child = Command::new("curl")
        .args(["--disable", "--silent", "--no-buffer", "--max-time", "300", "--noproxy", "*", url])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    if answered {
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "one\n");
    } else {
        provider.await_request("/plain/silent");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
