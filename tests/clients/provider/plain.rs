//! Answers without any provider's tongue, for curl: HTTP as it can be.

use super::openai::bytes;
use super::request::Request;
use super::script::{Script, Step};

pub(super) fn answer(request: &Request, asked: usize) -> Script {
    match request.path() {
        "/plain/odd" => odd(),
        "/plain/empty" => Script::raw("HTTP/1.1 204 No Content\r\nX-Mark: one\r\n\r\n"),
        "/plain/unchanged" => Script::raw("HTTP/1.1 304 Not Modified\r\nETag: \"abc\"\r\nContent-Length: 1234\r\n\r\n"),
        "/plain/head" => Script::raw(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5000000000\r\nETag: W/\"x\"\r\n\r\n",
        ),
        "/plain/large" => Script::whole("200 OK", "Content-Type: application/octet-stream\r\n", &bytes(8_000_000)),
        "/plain/chunks" => chunks(),
        "/plain/until-closed" => Script::raw(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nuntil the end",
        )
        .closing(),
        "/plain/range" => range(),
        "/plain/gzip" => Script::whole(
            "200 OK",
            "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
            include_bytes!("completion.json.gz"),
        ),
        "/plain/trailers" => Script::raw(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTrailer: X-Checksum\r\nTransfer-Encoding: chunked\r\n\r\n",
        )
        .chunk("all of it")
        .send("0\r\nX-Checksum: 42\r\n\r\n"),
        "/plain/moved" => Script::whole("302 Found", "Location: /plain/landed?from=moved\r\n", b"over there"),
        "/plain/elsewhere" => {
            Script::whole("301 Moved Permanently", "Location: https://elsewhere.invalid/a?b=c\r\n", b"")
        }
        "/plain/refused" if request.header("upgrade").is_some() => {
            Script::whole("426 Upgrade Required", "Upgrade: HTTP/2.0\r\nConnection: Upgrade\r\n", b"not here")
        }
        // The body was never asked for, so it may still be on its way: this connection cannot go on.
        "/plain/refused" => {
            Script::whole("401 Unauthorized", "Connection: close\r\n", b"{\"error\":\"who are you?\"}").closing()
        }
        "/plain/short" => {
            Script::raw("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nonly this")
                .closing()
        }
        "/plain/cut" => {
            Script::chunked("Content-Type: text/plain\r\n").chunk("one").send("ff\r\nnot all").closing()
        }
        "/plain/reset" => Script::raw(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\none\n",
        )
        .seen("curl-reset", 1)
        .step(Step::Reset),
        "/plain/paced" => paced("curl"),
        "/plain/silent" => Script { steps: vec![Step::Left("curl-silent".to_owned())], close: true },
        "/plain/left" => Script::chunked("Content-Type: text/plain\r\n").chunk("one\n").left("curl-left"),
        "/plain/again" => Script::whole("200 OK", "", format!("answer {asked}").as_bytes()),
        _ => echo(request),
    }
}

/// What nothing may tidy up: case, order, repetition, odd spelling, a reason phrase of its own.
fn odd() -> Script {
    Script::raw(
        "HTTP/1.1 299 Strange But True\r\n\
          x-lower: 1\r\n\
          X-UPPER: 2\r\n\
          X-MiXeD: 3\r\n\
          Set-Cookie: a=1\r\n\
          set-cookie: b=2\r\n\
          X-Empty:\r\n\
          X-Latin: caf\u{e9}\r\n\
          X-Quoted: \"a, b\" ,c;d=\"e\"\r\n\
          Via: 1.0 somebody\r\n\
          Warning: 199 - \"misc\"\r\n\
          Content-Length: 3\r\n\
          \r\nodd"
            .chars()
            // One byte for each character, so that the é is not UTF-8.
            .map(|character| character as u8)
            .collect::<Vec<u8>>(),
    )
}

fn chunks() -> Script {
    let mut script = Script::chunked("Content-Type: text/plain\r\n");
    for size in [1, 10, 100, 10_000, 100_000] {
        script = script.chunk(bytes(size));
    }
    script.end()
}

fn range() -> Script {
    let part = &bytes(1_000)[10..20];
    Script::whole("206 Partial Content", "Accept-Ranges: bytes\r\nContent-Range: bytes 10-19/1000\r\n", part)
}

fn paced(stream: &str) -> Script {
    let mut script = Script::events();
    for number in 1..=6 {
        script = script.chunk(format!("data: {number}\n\n")).seen(stream, number);
    }
    script.end()
}

fn echo(request: &Request) -> Script {
    let said = format!("{} {}, {} bytes", request.method(), request.target(), request.body.len());
    Script::whole("200 OK", "Content-Type: text/plain\r\n", said.as_bytes())
}
