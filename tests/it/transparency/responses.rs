//! Response heads, and bodies that a less plain proxy would touch.

use crate::support::pattern;
use crate::support::{GET, Head, OK, answered, asked, latin1, returned, returned_through, start};

#[test]
fn a_response_head_arrives_byte_for_byte() {
    let response = "HTTP/1.1 200 OK\r\n\
        Date: Fri, 20 Nov 2026 10:00:00 GMT\r\n\
        Content-Type: application/json\r\n\
        Content-Length: 0\r\n\
        x-request-id: req_1\r\n\
        OpenAI-Processing-Ms: 12\r\n\
        Server: cloudflare\r\n\
        CF-RAY: abc-FRA\r\n\
        alt-svc: h3=\":443\"; ma=86400\r\n\r\n";
    assert_eq!(returned(response).text(), response);
}

#[test]
fn headers_stand_once_behind_an_odd_first_line() {
    for first in ["HTTP/1.1 200", "HTTP/1.1 200 Caf\u{e9}", "HTTP/1.0 200 OK", "HTTP/1.0 200 x HTTP/1.1"] {
        let fields = "X-A: b\r\nSet-Cookie: c\r\nsEt-cookie: d\r\nContent-Length: 0\r\nServer: z\r\n";
        let head = returned(format!("{first}\r\n{fields}\r\n"));
        let lines: String =
            head.fields().iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        assert_eq!(lines, fields, "{first}");
    }
}

#[test]
fn nothing_is_added_to_a_response() {
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(returned(response).text(), response);
}

#[test]
fn the_date_and_server_of_the_provider_stand_once() {
    let head = returned(
        "HTTP/1.1 200 OK\r\nserver: uvicorn\r\ndate: Fri, 20 Nov 2026 10:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(head.values("date"), ["Fri, 20 Nov 2026 10:00:00 GMT"]);
    assert_eq!(head.values("server"), ["uvicorn"]);
}

#[test]
fn the_case_of_response_header_names_is_kept() {
    let head =
        returned("HTTP/1.1 200 OK\r\nx-lower: 1\r\nX-UPPER: 2\r\nX-WeIrD: 3\r\ncontent-LENGTH: 0\r\n\r\n");
    assert_eq!(head.names(), ["x-lower", "X-UPPER", "X-WeIrD", "content-LENGTH"]);
}

#[test]
fn the_order_of_response_headers_is_kept_where_fields_are_taken_off() {
    let head = returned(
        "HTTP/1.1 200 OK\r\nA: 1\r\nKeep-Alive: x\r\nB: 2\r\nC: 3\r\nContent-Length: 0\r\nD: 4\r\n\r\n",
    );
    assert_eq!(head.names(), ["A", "B", "C", "Content-Length", "D"]);
}

#[test]
fn cookies_that_are_set_stay_apart() {
    let head = returned(
        "HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Expires=Fri, 20 Nov 2026 10:00:00 GMT\r\nSet-Cookie: b=2\r\n\
         Set-Cookie: a=1; Expires=Fri, 20 Nov 2026 10:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
    );
    let expires = "a=1; Expires=Fri, 20 Nov 2026 10:00:00 GMT";
    assert_eq!(head.values("Set-Cookie"), [expires, "b=2", expires]);
}

#[test]
fn odd_bytes_in_response_values_are_kept() {
    let odd: Vec<u8> = (0x21..=0xff).filter(|byte| *byte != 0x7f).collect();
    let mut response = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Odd: ".to_vec();
    response.extend(&odd);
    response.extend(b"\r\n\r\n");
    assert_eq!(returned(response).value("X-Odd"), Some(latin1(odd).as_str()));
}

#[test]
fn an_empty_response_value_stays_an_empty_value() {
    let head = returned("HTTP/1.1 200 OK\r\nX-Empty:\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(head.fields(), [("X-Empty", ""), ("Content-Length", "0")]);
}

#[test]
fn a_hundred_response_headers_pass() {
    let fields: String = (1..100).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let head = returned(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n"));
    assert_eq!(head.fields().len(), 100);
}

#[test]
fn known_limit_more_than_a_hundred_response_headers_are_no_response() {
    let fields: String = (0..100).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let head = returned(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n"));
    assert_eq!(head.status(), 502);
    assert_eq!(head.value("x-perimeter-error"), Some("upstream_protocol"));
}

#[test]
fn values_of_one_response_name_keep_their_places_among_others() {
    let head = returned(
        "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-a: 1\r\nset-cookie: b=2\r\nX-A: 2\r\nContent-Length: 0\r\n\r\n",
    );
    let fields =
        [("Set-Cookie", "a=1"), ("X-a", "1"), ("set-cookie", "b=2"), ("X-A", "2"), ("Content-Length", "0")];
    assert_eq!(head.fields(), fields);
}

#[test]
fn a_long_response_value_passes() {
    let long = "v".repeat(60_000);
    let head = returned(format!("HTTP/1.1 200 OK\r\nX-Long: {long}\r\nContent-Length: 0\r\n\r\n"));
    assert_eq!(head.value("X-Long"), Some(long.as_str()));
}

#[test]
fn a_folded_response_line_arrives_as_one_line() {
    let head = returned("HTTP/1.1 200 OK\r\nX-Folded: one\r\n two\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(head.value("X-Folded"), Some("one two"));
}

#[test]
fn of_two_lengths_of_a_response_the_one_that_counts_is_passed_on() {
    let response =
        "HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let (provider, proxy) = start();
    let (head, body) = returned_through(&provider, &proxy, response);
    assert_eq!(head.names(), ["Transfer-Encoding"]);
    assert_eq!(latin1(body), "ok");
}

#[test]
fn every_status_passes_as_it_is() {
    let (provider, proxy) = start();
    for status in [
        "200 OK",
        "201 Created",
        "202 Accepted",
        "206 Partial Content",
        "300 Multiple Choices",
        "400 Bad Request",
        "401 Unauthorized",
        "403 Forbidden",
        "404 Not Found",
        "405 Method Not Allowed",
        "408 Request Timeout",
        "409 Conflict",
        "413 Payload Too Large",
        "418 I'm a teapot",
        "422 Unprocessable Entity",
        "425 Too Early",
        "429 Too Many Requests",
        "500 Internal Server Error",
        "502 Bad Gateway",
        "503 Service Unavailable",
        "504 Gateway Timeout",
        "529 Overloaded",
        "599 Whatever",
        "999 Beyond",
    ] {
        let response = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n");
        let (head, body) = returned_through(&provider, &proxy, format!("{response}{{}}"));
        assert_eq!(head.text(), response);
        assert_eq!(latin1(body), "{}");
    }
}

#[test]
fn the_reason_phrase_is_kept() {
    let (provider, proxy) = start();
    for line in ["HTTP/1.1 200 Fine By Me", "HTTP/1.1 404 not found", "HTTP/1.1 500 "] {
        let response = format!("{line}\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(returned_through(&provider, &proxy, response).0.first_line(), line);
    }
}

#[test]
fn known_limit_a_reason_phrase_beyond_ascii_arrives_empty() {
    let head = returned(b"HTTP/1.1 200 tr\xe8s bien\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(head.first_line(), "HTTP/1.1 200 ");
}

#[test]
fn redirects_are_passed_on_and_not_followed() {
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "303 See Other",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let (provider, proxy) = start();
        let location = format!("{}/elsewhere", provider.url());
        let response = format!("HTTP/1.1 {status}\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let (mut client, mut upstream) = asked(&provider, &proxy, GET);
        upstream.send(&response);
        assert_eq!(client.head().text(), response);
        proxy.stop();
        upstream.expect_end();
        assert_eq!(provider.rest(), "", "a request went to the redirect's target");
    }
}

#[test]
fn a_rate_limit_on_a_stream_request_stays_a_rate_limit() {
    let (provider, proxy) = start();
    let body = r#"{"model":"m","stream":true}"#;
    let mut client = proxy.connect();
    client.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: app\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let mut upstream = provider.accept();
    let head = upstream.head();
    assert_eq!(latin1(upstream.body(&head)), body);
    let response = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nx-ratelimit-remaining-tokens: 0\r\n\
                    Content-Type: application/json\r\nContent-Length: 12\r\n\r\n";
    upstream.send(format!("{response}{{\"error\":{{}}}}"));
    assert_eq!(client.head().text(), response);
    client.expect("{\"error\":{}}");
}

#[test]
fn the_headers_of_a_stream_are_all_kept() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = asked(&provider, &proxy, GET);
    let response = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nanthropic-ratelimit-requests-limit: 50\r\n\
                    request-id: req_1\r\nTransfer-Encoding: chunked\r\n\r\n";
    upstream.send(response);
    assert_eq!(client.head().fields(), Head::new(response).fields());
}

#[test]
fn compressed_bodies_pass_untouched() {
    let body = pattern::bytes(5000);
    let (provider, proxy) = start();
    for encoding in ["gzip", "deflate", "br", "zstd", "x-unknown", "gzip, br"] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: 5000\r\n\r\n");
        let mut response = head.clone().into_bytes();
        response.extend(&body);
        let (got, got_body) = returned_through(&provider, &proxy, response);
        assert_eq!(got.text(), head);
        assert!(got_body == body, "the {encoding} body was touched");
    }
}

#[test]
fn bodies_that_are_not_what_they_say_pass_untouched() {
    let (provider, proxy) = start();
    for body in [
        r#"{"choices":[{"message":{"tool_calls":null}}]}"#,
        "[1,2",
        "{\"choices\":null}",
        "\u{0}\u{1}",
        "null",
    ] {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let (_, got) = returned_through(&provider, &proxy, format!("{head}{body}"));
        assert_eq!(latin1(got), latin1(body));
    }
}

#[test]
fn a_204_has_no_body_and_the_connection_goes_on() {
    let (provider, proxy) = start();
    let response = "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n";
    let (mut client, mut upstream) = asked(&provider, &proxy, GET);
    upstream.send(response);
    assert_eq!(client.head().text(), response);
    client.send(GET);
    upstream.head();
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(client.head().status(), 200);
    client.expect("ok");
}

#[test]
fn a_204_keeps_the_length_it_came_with() {
    let response = "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nX-A: 1\r\n\r\n";
    assert_eq!(returned(response).text(), response);
}

#[test]
fn a_body_behind_a_response_that_has_none_reaches_nobody() {
    for (request, response) in [
        (GET, "HTTP/1.1 204 No Content\r\n\r\n"),
        (GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 57\r\n\r\n"),
        ("HEAD / HTTP/1.1\r\nHost: app\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 57\r\n\r\n"),
    ] {
        let (provider, proxy) = start();
        let (mut client, mut upstream) = asked(&provider, &proxy, request);
        upstream.send(format!("{response}HTTP/1.1 200 OK\r\nX-Evil: 1\r\nContent-Length: 4\r\n\r\nevil"));
        assert_eq!(client.head().text(), response);
        client.send(GET);
        let mut fresh = provider.accept();
        fresh.head();
        fresh.send(OK);
        assert_eq!(client.head().text(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
        client.expect("ok");
    }
}

#[test]
fn a_304_keeps_the_length_of_the_body_it_does_not_have() {
    let (provider, proxy) = start();
    let response = "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 1234\r\n\r\n";
    let (mut client, mut upstream) = asked(&provider, &proxy, GET);
    upstream.send(response);
    assert_eq!(client.head().text(), response);
    client.send(GET);
    assert_eq!(upstream.head().first_line(), "GET /v1/models HTTP/1.1");
}

#[test]
fn the_answer_to_head_keeps_the_length_of_the_body_it_does_not_have() {
    let (provider, proxy) = start();
    let head = "HEAD /v1/models HTTP/1.1\r\nHost: app\r\n\r\n";
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nContent-Type: text/plain\r\n\r\n";
    let (mut client, mut upstream) = asked(&provider, &proxy, head);
    upstream.send(response);
    assert_eq!(client.head().text(), response);
    client.send(GET);
    assert_eq!(upstream.head().first_line(), "GET /v1/models HTTP/1.1");
}

#[test]
fn the_answer_to_head_of_a_chunked_resource_has_no_body() {
    let (provider, proxy) = start();
    let head = "HEAD /v1/models HTTP/1.1\r\nHost: app\r\n\r\n";
    let (mut client, mut upstream) = asked(&provider, &proxy, head);
    upstream.send("HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
    let head = client.head();
    assert_eq!(head.value("X-A"), Some("1"));
    assert!(!head.has("Content-Length"), "{head:?}");
    client.send(GET);
    upstream.head();
    upstream.send(OK);
    assert_eq!(client.head().status(), 200);
}

#[test]
fn known_limit_informational_responses_are_not_passed_on_but_the_final_one_is() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = asked(&provider, &proxy, GET);
    upstream.send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n");
    upstream.send("HTTP/1.1 100 Continue\r\n\r\n");
    upstream.send(OK);
    assert_eq!(client.head().text(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    client.expect("ok");
}

#[test]
fn a_response_head_that_comes_byte_by_byte_is_one_response() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) = asked(&provider, &proxy, GET);
    for byte in OK.bytes() {
        upstream.send([byte]);
    }
    assert_eq!(client.head().text(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    client.expect("ok");
}

#[test]
fn an_http_1_0_response_reaches_the_client_as_http_1_1() {
    let (provider, proxy) = start();
    let answer = "HTTP/1.0 200 OK\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nok";
    let (mut client, mut upstream) = asked(&provider, &proxy, GET);
    upstream.send(answer);
    upstream.close();
    assert_eq!(client.head().text(), "HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 2\r\n\r\n");
    client.expect("ok");
}

#[test]
fn a_response_in_many_small_pieces_is_the_same_response() {
    let (provider, proxy) = start();
    let (mut client, mut upstream) =
        answered(&provider, &proxy, GET, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
    let body = pattern::bytes(100);
    for byte in &body {
        upstream.send([*byte]);
    }
    client.expect(body);
}
