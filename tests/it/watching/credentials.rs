//! No secret reaches anybody who watches; the provider gets all of them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::support::provider::Nobody;
use crate::support::told::Exchange;
use crate::support::{Provider, Proxy, Watch, Wire};

const SECRET: &str = "SECRET";

/// Every file below that folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files
}

/// The value of that field of the request's head, as it was told.
#[track_caller]
fn told_field<'a>(exchange: &'a Exchange, name: &str) -> &'a str {
    let fields = exchange.line("on_request_head")["headers"].as_array().unwrap();
    let field = fields.iter().find(|field| field[0] == name);
    field.unwrap_or_else(|| panic!("no {name} in {fields:?}"))[1].as_str().unwrap()
}

/// What reaches the provider when a client sends this.
fn forwarded(provider: &Provider, proxy: &Proxy, request: &str) -> String {
    let mut client = proxy.connect();
    client.send(request);
    let mut upstream = provider.accept();
    let head = upstream.head();
    upstream.body(&head);
    upstream.send(ANSWER);
    upstream.close();
    let answer = client.head();
    assert!(answer.text().contains("a=SECRET-20; Path=/"), "{answer:?}");
    client.body(&answer);
    head.text().to_owned()
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nSet-Cookie: a=SECRET-20; Path=/\r\n\
    Location: https://user:SECRET-24@app/x?key=SECRET-21&b=1#access_token=SECRET-25\r\nX-Mine: SECRET-22\r\n\
    Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

const FIELDS: [&str; 15] = [
    "Referer: https://user:SECRET-26@app/",
    "Authorization: Bearer SECRET-01",
    "Authorization: SECRET-02 with a blank",
    "Authorization: Basic U0VDUkVULTAz",
    "x-api-key: SECRET-04",
    "Api-Key: SECRET-05",
    "X-Goog-Api-Key: SECRET-06",
    "Ocp-Apim-Subscription-Key: SECRET-07",
    "X-Amz-Security-Token: SECRET-08",
    "Cookie: a=1; b=SECRET-09",
    "X-Perimeter-Key: SECRET-10",
    "X-Mine: SECRET-11",
    "Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.SECRET-12",
    "Referer: https://app/?api_key=SECRET-13",
    "Proxy-Authorization: Bearer SECRET-14",
];

const TARGETS: [&str; 5] = [
    "/v1/chat/completions?key=SECRET-15",
    "/v1/chat/completions?a=b&API_KEY=SECRET-16&c=d",
    "/v1/chat/completions?%6bey=SECRET-17",
    "/v1/chat/completions?sig=SECRET-18",
    "/v1/chat/completions?X-Amz-Signature=SECRET-19",
];

#[test]
fn no_secret_is_told_nor_written_anywhere_and_the_provider_gets_it() {
    let provider = Provider::start();
    let logs = tempfile::tempdir().unwrap();
    let watch = Watch::of(&[("witness", "")]);
    let more = format!(
        "- {{type: printer, config: {{format: json, log_body: true}}}}\n\
         - {{type: message_logger, config: {{directory: {}}}}}\n\
         observe: {{mask: {{headers: [X-Mine], query: [sig]}}}}\n\
         logging: {{level: trace}}\n",
        logs.path().display()
    );
    let url = format!("http://user:SECRET-BASE@{}", provider.host());
    let proxy = watch.setup_to(url).yaml(&more).env("LLM_API_KEY", "SECRET-CONFIGURED").start();
    let body = r#"{"model":"gpt-4.1","messages":[{"role":"user","content":"hi"}]}"#;
    let mut count = 0;
    let mut check = |target: &str, field: &str| {
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: app\r\n{field}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        count += 1;
        forwarded(&provider, &proxy, &request)
    };
    for field in FIELDS {
        let got = check("/v1/chat/completions", field);
        let passes = !field.starts_with("X-Perimeter-Key");
        assert_eq!(got.contains(field), passes, "{field} in {got}");
    }
    for target in TARGETS {
        let got = check(target, "X-A: 1");
        assert!(got.contains(target), "{target} in {got}");
    }
    let port = proxy.port();
    let got = check(&format!("http://user:SECRET-23@127.0.0.1:{port}/v1/chat/completions"), "X-A: 1");
    assert!(!got.contains("SECRET-23"), "{got}");
    watch.wait(0, |told| told.ends() == count);
    let admin: String = ["/config", "/metrics", "/ready"].map(|page| proxy.admin(page).body).concat();
    assert!(!admin.contains(SECRET), "{admin}");

    let folder = proxy.folder().to_owned();
    let mut written: Vec<_> = files(logs.path()).into_iter().chain([watch.file(0)]).collect();
    written.extend(files(&folder).into_iter().filter(|file| !file.ends_with("perimeter.yaml")));
    let (stdout, state) = (folder.join("stdout"), folder.join(".local/state/perimeter/mask.key"));
    assert!(written.contains(&stdout) && written.contains(&state), "{written:?}");
    assert!(written.iter().any(|file| file.starts_with(logs.path())), "nothing was logged");
    // They are read when all has been written, and before the folder is gone.
    let copies = tempfile::tempdir().unwrap();
    for (number, file) in written.iter().enumerate() {
        std::fs::hard_link(file, copies.path().join(number.to_string())).unwrap();
    }
    let exit = proxy.stop();
    assert!(!exit.stderr.contains(SECRET), "{}", exit.stderr);
    for (number, file) in written.iter().enumerate() {
        let bytes = std::fs::read(copies.path().join(number.to_string())).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!bytes.is_empty(), "{} is empty", file.display());
        for secret in [SECRET, "U0VDUkVULTAz"] {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "in {}", file.display());
        }
    }
    let told = watch.after(0);
    let upstreams = told.of("on_request_head").into_iter().map(|head| head["upstream"].as_str().unwrap());
    for upstream in upstreams {
        assert!(upstream.contains(&provider.host()) && !upstream.contains("user"), "{upstream}");
    }
}

#[test]
fn a_failure_tells_no_secret_either() {
    let nobody = Nobody::new();
    let watch = Watch::of(&[("witness", "")]);
    let proxy = watch.setup_to(format!("http://user:SECRET-1@{}/a", nobody.host())).start();
    let mut client = proxy.connect();
    client.send("GET /x?key=SECRET-2 HTTP/1.1\r\nHost: app\r\nAuthorization: Bearer SECRET-3\r\n\r\n");
    let head = client.head();
    assert_eq!(head.status(), 502);
    client.body(&head);
    let told = watch.stop(proxy);
    assert!(!format!("{:?}", told.lines).contains(SECRET), "{:#?}", told.lines);
}

#[test]
fn trailers_are_masked() {
    let provider = Provider::start();
    let watch = Watch::of(&[("witness", "")]);
    let proxy = watch.setup(&provider).start();
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: app\r\nTE: trailers\r\n\r\n");
    let mut upstream = provider.accept();
    upstream.head();
    upstream.send(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Api-Key, X-B\r\n\r\n\
         0\r\nApi-Key: SECRET\r\nX-B: 1\r\n\r\n",
    );
    client.head();
    client.chunked();
    let exchange = watch.stop(proxy).only();
    let trailers = exchange.ended().1["complete"].as_array().unwrap().clone();
    let value = |name: &str| trailers.iter().find(|field| field[0] == name).map(|field| field[1].clone());
    assert_eq!(value("x-b"), Some(Value::from("1")));
    assert!(value("api-key").is_some_and(|value| value.as_str().unwrap().starts_with("***")), "{trailers:?}");
}

/// How a request with this credential is told by a proxy that keeps its state there.
fn told_with(provider: &Provider, state: &str, credential: &str) -> (String, String) {
    let watch = Watch::of(&[("witness", "")]);
    let proxy = watch.setup(provider).yaml(&format!("state_dir: {state}")).start();
    let mut client: Wire = proxy.connect();
    client.send(format!("GET / HTTP/1.1\r\nHost: app\r\nAuthorization: {credential}\r\n\r\n"));
    let mut upstream = provider.accept();
    assert_eq!(upstream.head().value("authorization"), Some(credential));
    upstream.send(super::LAST);
    upstream.close();
    client.head();
    client.expect("ok");
    watch.wait(0, |told| told.ends() == 1);
    let stderr = proxy.stop().stderr;
    (told_field(&watch.after(0).only(), "authorization").to_owned(), stderr)
}

#[test]
fn a_masked_key_is_the_same_in_every_run_and_tells_keys_apart() {
    let provider = Provider::start();
    let home = tempfile::tempdir().unwrap();
    let (state, other) = (home.path().join("here/state"), home.path().join("there"));
    let (state_dir, other_dir) = (state.to_str().unwrap(), other.to_str().unwrap());
    let (first, stderr) = told_with(&provider, state_dir, "Bearer sk-1");
    assert!(first.starts_with("Bearer ***") && first.len() > "Bearer ***".len(), "{first}");
    assert!(!stderr.contains("WARN"), "{stderr}");
    assert_eq!(told_with(&provider, state_dir, "Bearer sk-1").0, first);
    assert_ne!(told_with(&provider, state_dir, "Bearer sk-2").0, first);
    assert_ne!(told_with(&provider, other_dir, "Bearer sk-1").0, first);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&state), mode(&state.join("mask.key"))), (0o700, 0o600));
}

#[test]
fn a_state_folder_that_cannot_be_made_is_a_warning() {
    let provider = Provider::start();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (told, stderr) = told_with(&provider, file.join("state").to_str().unwrap(), "Bearer sk-1");
    assert!(told.starts_with("Bearer ***"), "{told}");
    let warning = stderr.lines().find(|line| line.contains("WARN") && line.contains("no key in"));
    assert!(warning.is_some(), "{stderr}");
}
