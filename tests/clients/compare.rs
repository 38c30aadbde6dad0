//! One client, twice: straight and through the proxy.
//!
//! What is taken out before the comparison, and why:
//!
//! - hop-by-hop fields (`Connection`, every field that it names, `Keep-Alive`, `Proxy-Connection`, `TE`
//!   other than `trailers`): they belong to one connection, and each side of the proxy has its own;
//! - the place of a repeated field: its values come together at the name's first place, in their order
//!   (a limit of the engine that ARCHITECTURE.md names);
//! - white space around a value: there is none behind an empty one (the engine again: it writes one);
//! - the boundary of a multipart body and `Sec-WebSocket-Key`: the client draws them anew in every run.
//!
//! The `Host` field *is* compared: both runs talk to the same provider, and the proxy must name it.

use crate::perimeter::Perimeter;
use crate::provider::{Provider, Request};
use crate::watched::Watched;

/// What came of one run of a client.
#[derive(Debug)]
struct Run {
    transcript: String,
    requests: Vec<String>,
    /// The same as they came.
    raw: Vec<Request>,
}

/// Runs `client` straight against a provider and then through a proxy of that `dialect`, and asserts
/// that both runs are the same on both ends, and that the
/// interceptors tell of the second what the provider has seen of it. `client` is given the base URL (without a path) and
/// returns its transcript, which this function returns in turn.
pub(crate) fn assert_same(dialect: &str, client: impl Fn(&Provider, &str) -> String) -> String {
    assert_same_but_for(dialect, |_| {}, client)
}

/// As [`assert_same`], where `unlike` evens out what this client draws or orders anew in every run.
pub(crate) fn assert_same_but_for(
    dialect: &str,
    unlike: impl Fn(&mut Vec<Request>),
    client: impl Fn(&Provider, &str) -> String,
) -> String {
    let (told, _) = watched(dialect, unlike, client);
    told
}

/// As [`assert_same_but_for`]. Returns what the interceptors made of it, too.
pub(crate) fn watched(
    dialect: &str,
    unlike: impl Fn(&mut Vec<Request>),
    client: impl Fn(&Provider, &str) -> String,
) -> (String, Watched) {
    let provider = Provider::start();
    let straight = run(&provider, &provider.url(""), &unlike, &client);
    let perimeter = Perimeter::start(dialect, &provider.url(""));
    let proxied = run(&provider, &perimeter.url, &unlike, &client);

    assert!(!straight.requests.is_empty(), "nothing has reached the provider");
    assert_lines("what the client has to tell", &straight.transcript, &proxied.transcript, &perimeter);
    for (number, (straight, proxied)) in straight.requests.iter().zip(&proxied.requests).enumerate() {
        assert_lines(&format!("request {number} at the provider"), straight, proxied, &perimeter);
    }
    assert_eq!(
        straight.requests.len(),
        proxied.requests.len(),
        "requests at the provider\n{}",
        perimeter.log()
    );
    let watched = perimeter.stop();
    watched.assert_tells(dialect, &proxied.raw);
    (straight.transcript, watched)
}

fn run(
    provider: &Provider,
    base_url: &str,
    unlike: impl Fn(&mut Vec<Request>),
    client: impl Fn(&Provider, &str) -> String,
) -> Run {
    let transcript = client(provider, base_url);
    let (mut requests, faults) = provider.take();
    assert!(faults.is_empty(), "through {base_url}: {faults:#?}\n{transcript}");
    let raw = requests.clone();
    for request in &mut requests {
        even_out(request);
    }
    unlike(&mut requests);
    Run { transcript, requests: requests.iter().map(describe).collect(), raw }
}

fn even_out(request: &mut Request) {
    drop_hop_by_hop(&mut request.fields);
    tidy(&mut request.fields);
    for field in &mut request.fields {
        if name(field).eq_ignore_ascii_case("sec-websocket-key") {
            *field = format!("{}: (drawn)", name(field));
        }
    }
    if let Some(boundary) = boundary(request) {
        let drawn = "-".repeat(boundary.len());
        for field in &mut request.fields {
            *field = field.replace(&boundary, &drawn);
        }
        request.body = replace(&request.body, boundary.as_bytes(), drawn.as_bytes());
    }
}

/// Takes out the fields that belong to one connection.
pub(crate) fn drop_hop_by_hop(fields: &mut Vec<String>) {
    let mut own = vec!["connection".to_owned(), "keep-alive".to_owned(), "proxy-connection".to_owned()];
    for field in fields.iter() {
        if let Some(named) = field.to_ascii_lowercase().strip_prefix("connection:") {
            own.extend(named.split(',').map(|name| name.trim().to_owned()));
        }
    }
    fields.retain(|field| {
        let lower = field.to_ascii_lowercase();
        let accepts_trailers = lower.starts_with("te:") && lower.contains("trailers");
        accepts_trailers || !own.iter().chain([&"te".to_owned()]).any(|own| name(&lower) == own)
    });
}

/// Brings equal names together at the first one's place, and takes the space from before an empty value.
pub(crate) fn tidy(fields: &mut [String]) {
    for field in fields.iter_mut() {
        field.truncate(field.trim_end().len());
    }
    let names: Vec<_> = fields.iter().map(|field| name(field).to_ascii_lowercase()).collect();
    let first = |field: &String| names.iter().position(|found| found.eq_ignore_ascii_case(name(field)));
    fields.sort_by_key(first);
}

fn name(field: &str) -> &str {
    field.split(':').next().unwrap_or_default()
}

fn boundary(request: &Request) -> Option<String> {
    let kind = request.header("content-type")?;
    let boundary = kind.strip_prefix("multipart/")?.split_once("boundary=")?.1;
    Some(boundary.trim_matches('"').to_owned())
}

/// `bytes` with every `from` made `to`.
pub(crate) fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    replaced.extend_from_slice(rest);
    replaced
}

fn describe(request: &Request) -> String {
    let Request { line, fields, body, trailers, .. } = request;
    format!("{line}\n{}\n\n{}\n{}", fields.join("\n"), describe_bytes(body), trailers.join("\n"))
}

/// Bytes for the eye, and to be compared: what is long or no text is told by length and digest.
pub(crate) fn describe_bytes(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) if text.len() < 100_000 => text.to_owned(),
        _ => {
            let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
            format!("({} bytes, {digest:?})", bytes.len())
        }
    }
}

/// Fails at the first line that differs, and shows that one alone: transcripts are long.
fn assert_lines(what: &str, straight: &str, proxied: &str, perimeter: &Perimeter) {
    if straight == proxied {
        return;
    }
    let mut before = Vec::new();
    let (mut left, mut right) = (straight.lines(), proxied.lines());
    loop {
        let (one, other) = (left.next(), right.next());
        if one != other {
            panic!(
                "{what}: not the same\nafter {}\nstraight: {}\nproxied:  {}\nthe proxy logged:\n{}",
                before.join("\n      "),
                one.unwrap_or("(nothing)"),
                other.unwrap_or("(nothing)"),
                perimeter.log(),
            );
        }
        before.extend(one.map(str::to_owned));
    }
}
