//! What is read of a raw head is what hyper reads of the same bytes: two parsers that disagree would tell of another
//! exchange than the one that passed.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::raw_head::RawHead;

/// More than any head here.
const PIPE: usize = 64 * 1024;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// The request that hyper reads of `bytes`, set up as for clients; `None` where it refuses them.
async fn request_of_hyper(bytes: &[u8]) -> Option<http::request::Parts> {
    let (mut client, server) = duplex(PIPE);
    client.write_all(bytes).await.unwrap();
    client.shutdown().await.unwrap();
    let seen = Arc::new(Mutex::new(None));
    let service = service_fn(|request: Request<Incoming>| {
        seen.lock().unwrap().get_or_insert(request.into_parts().0);
        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    // It may end with an error: nothing of the head matters after it was read.
    let _ = builder.header_read_timeout(None).serve_connection(TokioIo::new(server), service).await;
    seen.lock().unwrap().take()
}

/// The response that hyper reads of `bytes`, set up as for upstreams; `None` where it refuses them.
async fn response_of_hyper(bytes: &[u8]) -> Option<http::response::Parts> {
    let (client, mut server) = duplex(PIPE);
    let mut builder = hyper::client::conn::http1::Builder::new();
    builder.allow_obsolete_multiline_headers_in_responses(true);
    let (mut sender, connection) = builder.handshake(TokioIo::new(client)).await.unwrap();
    let answer = async {
        let _ = server.read(&mut [0; 1024]).await;
        server.write_all(bytes).await.unwrap();
        server.shutdown().await.unwrap();
    };
    let request = Request::builder().uri("/").header("host", "h").body(Empty::<Bytes>::new()).unwrap();
    let (mut connection, mut answer) = (pin!(connection), pin!(answer));
    let mut response = pin!(sender.send_request(request));
    let (mut over, mut answered) = (false, false);
    loop {
        tokio::select! {
            biased;
            response = &mut response => return response.ok().map(|response| response.into_parts().0),
            () = &mut answer, if !answered => answered = true,
            _ = &mut connection, if !over => over = true,
        }
    }
}

/// As it comes to the scribe, and what is hidden from hyper in `bytes`.
fn raw(bytes: &mut [u8], is_request: bool) -> Bytes {
    let mut raw = RawHead::default();
    let (_, ended) = if is_request { raw.feed_request(bytes) } else { raw.feed(bytes) };
    assert!(ended, "{:?}", String::from_utf8_lossy(bytes));
    Bytes::copy_from_slice(raw.bytes())
}

/// By name, the values in their order.
fn fields(headers: &HeaderMap) -> Vec<(String, Vec<Vec<u8>>)> {
    let values = |name| headers.get_all(name).iter().map(unfolded).collect();
    let mut fields: Vec<_> = headers.keys().map(|name| (name.to_string(), values(name))).collect();
    fields.sort();
    fields
}

/// However much blank the folds of a line became: hyper writes a blank for each byte of a line's end.
fn unfolded(value: &HeaderValue) -> Vec<u8> {
    let words = value.as_bytes().split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(&b' ')
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        20 => 0x20..0x7f_u8,
        4 => 0x80..=0xff_u8,
        2 => Just(b'\t'),
        2 => Just(b' '),
    ];
    prop::collection::vec(byte, 0..12)
}

fn line_end() -> impl Strategy<Value = &'static [u8]> {
    prop_oneof![9 => Just(&b"\r\n"[..]), 1 => Just(&b"\n"[..])]
}

fn field(folds: bool) -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof!["[Xx]-[AaBb]", "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}"];
    let name = name.prop_filter("framing", |name| {
        !["content-length", "transfer-encoding", "connection", "upgrade"].contains(&&*name.to_lowercase())
    });
    let blank = prop::sample::select(vec!["", " ", "\t ", "  "]);
    let more =
        prop::collection::vec((line_end(), prop::sample::select(vec![" ", "\t", "   "]), value()), 0..3);
    let fold = prop::bool::weighted(0.2);
    (name, blank, value(), more, fold, line_end()).prop_map(move |(name, blank, value, more, fold, end)| {
        let mut line = [name.as_bytes(), b":", blank.as_bytes(), &value].concat();
        for (end, blank, value) in more.into_iter().filter(|_| fold && folds) {
            line.extend([end, blank.as_bytes(), &value].concat());
        }
        line.extend(end);
        line
    })
}

fn target() -> impl Strategy<Value = Vec<u8>> {
    let byte =
        prop_oneof![10 => 0x21..0x7f_u8, 3 => prop::sample::select(b"\"<>`#^?%/{}|\\\xc3\xff".to_vec())];
    let start = prop::sample::select(vec!["/", "/?", "http://h/", "HTTP://u@H:80/a", "/v1/chat?key="]);
    prop_oneof![
        9 => (start, prop::collection::vec(byte, 0..12)).prop_map(|(start, rest)| [start.as_bytes(), &rest].concat()),
        1 => prop::sample::select(vec!["*", "http://h", "http://h?q", "h:80"]).prop_map(|target| target.into()),
    ]
}

fn is_hidden(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | b'`' | b'#') || byte >= 0x80
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_request_is_told_as_hyper_read_it(
        method in prop::sample::select(vec!["GET", "POST", "OPTIONS", "PURGE", "a!#$%&'*+-.^_`|~"]),
        target in target(),
        version in prop::sample::select(vec!["HTTP/1.1", "HTTP/1.0"]),
        end in line_end(),
        fields in prop::collection::vec(field(false), 0..6),
    ) {
        let line = [method.as_bytes(), b" ", &target, b" ", version.as_bytes(), end].concat();
        let mut bytes = [line, fields.concat(), b"\r\n".to_vec()].concat();
        let told = request(&journal::RequestHead::Raw(raw(&mut bytes, true)));
        let Some(read) = runtime().block_on(request_of_hyper(&bytes)) else { return Ok(()) };
        prop_assert_eq!(&told.method, &read.method);
        prop_assert_eq!(told.version, read.version);
        prop_assert_eq!(self::fields(&told.headers), self::fields(&read.headers));
        if target.iter().any(|byte| is_hidden(*byte)) {
            let encoded = |byte: &u8| match byte {
                byte if is_hidden(*byte) => format!("%{byte:02X}"),
                byte => char::from(*byte).to_string(),
            };
            let encoded: Uri = target.iter().map(encoded).collect::<String>().parse().unwrap();
            prop_assert_eq!(&told.uri, &encoded);
        } else {
            prop_assert_eq!(&told.uri, &read.uri);
        }
    }

    #[test]
    fn a_response_is_told_as_hyper_read_it(
        version in prop::sample::select(vec!["HTTP/1.1", "HTTP/1.0"]),
        status in 200..999_u16,
        reason in prop::sample::select(vec!["", " ", " OK", " Not  Found", " a\tb", " \u{fc}"]),
        end in line_end(),
        fields in prop::collection::vec(field(true), 0..6),
    ) {
        let line = [format!("{version} {status}{reason}").as_bytes(), end].concat();
        let mut bytes = [line, fields.concat(), b"\r\n".to_vec()].concat();
        let told = response(&journal::ResponseHead::Raw(raw(&mut bytes, false)));
        let Some(read) = runtime().block_on(response_of_hyper(&bytes)) else { return Ok(()) };
        prop_assert_eq!(told.status, read.status);
        prop_assert_eq!(told.version, read.version);
        prop_assert_eq!(self::fields(&told.headers), self::fields(&read.headers));
    }
}
