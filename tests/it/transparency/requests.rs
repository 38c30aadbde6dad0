//! Request heads, but for their targets.

use crate::support::{GET, Provider, Proxy, forwarded, forwarded_through, latin1, start};

#[test]
fn a_request_head_arrives_byte_for_byte_but_for_its_host() {
    let head = forwarded(
        "GET /v1/models?limit=3 HTTP/1.1\r\n\
         Host: 127.0.0.1:4000\r\n\
         Authorization: Bearer sk-123\r\n\
         User-Agent: OpenAI/Python 2.3.0\r\n\
         Accept: application/json\r\n\
         Accept-Encoding: gzip, deflate, br, zstd\r\n\
         X-Stainless-Lang: python\r\n\
         x-request-id: 7\r\n\r\n",
    );
    assert_eq!(
        head.text(),
        "GET /v1/models?limit=3 HTTP/1.1\r\n\
         Host: UPSTREAM\r\n\
         Authorization: Bearer sk-123\r\n\
         User-Agent: OpenAI/Python 2.3.0\r\n\
         Accept: application/json\r\n\
         Accept-Encoding: gzip, deflate, br, zstd\r\n\
         X-Stainless-Lang: python\r\n\
         x-request-id: 7\r\n\r\n"
    );
}

#[test]
fn nothing_is_added_to_a_request() {
    assert_eq!(forwarded(GET).text(), "GET /v1/models HTTP/1.1\r\nHost: UPSTREAM\r\n\r\n");
}

#[test]
fn the_host_keeps_its_place_among_the_other_fields() {
    let head = forwarded("GET / HTTP/1.1\r\nX-First: 1\r\nHost: app\r\nX-Last: 2\r\n\r\n");
    assert_eq!(head.fields(), [("X-First", "1"), ("Host", "UPSTREAM"), ("X-Last", "2")]);
}

#[test]
fn the_case_of_request_header_names_is_kept() {
    let head =
        forwarded("GET / HTTP/1.1\r\nhOsT: app\r\nx-lower: 1\r\nX-UPPER: 2\r\nX-WeIrD-cAsE: 3\r\n\r\n");
    assert_eq!(head.names(), ["hOsT", "x-lower", "X-UPPER", "X-WeIrD-cAsE"]);
}

#[test]
fn the_order_of_request_headers_is_kept() {
    let names: Vec<String> = (0..60).map(|n| format!("X-{}", (n * 37) % 60)).collect();
    let fields: String = names.iter().map(|name| format!("{name}: v\r\n")).collect();
    let head = forwarded(format!("GET / HTTP/1.1\r\nHost: app\r\n{fields}\r\n"));
    assert_eq!(head.names()[1..], names);
}

#[test]
fn the_order_is_kept_where_fields_are_taken_off() {
    let head = forwarded(
        "GET / HTTP/1.1\r\nA: 1\r\nx-perimeter-tags: t\r\nHost: app\r\nB: 2\r\nConnection: X-Hop\r\nC: 3\r\n\
         X-Hop: y\r\nD: 4\r\nE: 5\r\n\r\n",
    );
    assert_eq!(head.names(), ["A", "Host", "B", "C", "D", "E"]);
}

#[test]
fn equal_request_header_names_stay_apart_and_in_order() {
    let head = forwarded(
        "GET / HTTP/1.1\r\nHost: app\r\nOpenAI-Beta: a\r\nOpenAI-Beta: b\r\nOpenAI-Beta: a\r\n\r\n",
    );
    assert_eq!(head.values("OpenAI-Beta"), ["a", "b", "a"]);
}

#[test]
fn values_of_one_name_keep_their_places_among_others() {
    let head = forwarded("GET / HTTP/1.1\r\nHost: app\r\nX-b: 1\r\nx-A: 2\r\nX-B: 3\r\nx-a: 4\r\n\r\n");
    assert_eq!(head.fields()[1..], [("X-b", "1"), ("x-A", "2"), ("X-B", "3"), ("x-a", "4")]);
}

#[test]
fn values_of_one_name_keep_their_places_where_fields_are_taken_off() {
    let head = forwarded(
        "GET / HTTP/1.1\r\nX-b: 1\r\nX-Perimeter-Session-Id: s\r\nConnection: x-hop\r\nx-A: 2\r\nHost: app\r\n\
         X-Hop: h\r\nX-B: 3\r\nKeep-Alive: timeout=5\r\nx-a: 4\r\n\r\n",
    );
    let names: Vec<_> = head.fields().into_iter().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(names, ["X-b", "x-A", "Host", "X-B", "x-a"]);
}

#[test]
fn white_space_around_a_value_is_kept() {
    let head = forwarded("GET / HTTP/1.1\r\nHost:app\r\nX-Tight:1\r\nX-Wide: \t 2 \t \r\n\r\n");
    assert!(head.text().contains("\r\nX-Tight:1\r\nX-Wide: \t 2 \t \r\n"), "{head:?}");
}

#[test]
fn known_limit_white_space_around_a_value_that_the_proxy_reads_is_normalised() {
    let head = forwarded("GET / HTTP/1.1\r\nHost:app\r\nOrigin:1\r\nTraceparent: \t 2 \t \r\n\r\n");
    assert!(head.text().contains("\r\nOrigin: 1\r\nTraceparent: 2\r\n"), "{head:?}");
}

#[test]
fn white_space_within_a_value_is_kept() {
    let head = forwarded("GET / HTTP/1.1\r\nHost: app\r\nX-Inner: a  b\tc ,  d\r\n\r\n");
    assert_eq!(head.value("X-Inner"), Some("a  b\tc ,  d"));
}

#[test]
fn an_empty_value_stays_an_empty_value() {
    let head = forwarded("GET / HTTP/1.1\r\nHost: app\r\nX-Empty:\r\nX-Next: 1\r\n\r\n");
    assert_eq!(head.fields()[1..], [("X-Empty", ""), ("X-Next", "1")]);
}

#[test]
fn odd_bytes_in_request_values_are_kept() {
    let mut request = b"GET / HTTP/1.1\r\nHost: app\r\nX-Odd: ".to_vec();
    let odd: Vec<u8> = (0x21..=0xff).filter(|byte| *byte != 0x7f).collect();
    request.extend(&odd);
    request.extend(b"\r\n\r\n");
    assert_eq!(forwarded(request).value("X-Odd"), Some(latin1(odd).as_str()));
}

#[test]
fn odd_header_names_are_kept() {
    let head = forwarded("GET / HTTP/1.1\r\nHost: app\r\n!#$%&'*+-.^_`|~9: 1\r\nunder_score: 2\r\n\r\n");
    assert_eq!(head.names()[1..], ["!#$%&'*+-.^_`|~9", "under_score"]);
}

#[test]
fn a_long_request_value_passes() {
    let long = "v".repeat(60_000);
    let head = forwarded(format!("GET / HTTP/1.1\r\nHost: app\r\nX-Long: {long}\r\n\r\n"));
    assert_eq!(head.value("X-Long"), Some(long.as_str()));
}

#[test]
fn a_hundred_request_headers_pass() {
    let fields: String = (1..100).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let head = forwarded(format!("GET / HTTP/1.1\r\nHost: app\r\n{fields}\r\n"));
    assert_eq!(head.fields().len(), 100);
}

#[test]
fn known_limit_more_than_a_hundred_request_headers_are_refused() {
    let (provider, proxy) = start();
    let fields: String = (0..100).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let mut client = proxy.connect();
    client.send(format!("GET / HTTP/1.1\r\nHost: app\r\n{fields}\r\n"));
    assert_eq!(client.head().status(), 431);
    proxy.stop();
    assert_eq!(provider.rest(), "");
}

#[test]
fn cookies_pass() {
    let head = forwarded("GET / HTTP/1.1\r\nHost: app\r\nCookie: a=1; b=\"2\"\r\nCookie: c=3\r\n\r\n");
    assert_eq!(head.values("Cookie"), ["a=1; b=\"2\"", "c=3"]);
}

#[test]
fn a_credential_of_the_client_passes_whatever_its_form() {
    let (provider, proxy) = start();
    for field in
        ["Authorization: Bearer a b", "x-api-key: k", "api-key: k", "Proxy-Authorization: Basic eDp5"]
    {
        let request = format!("GET / HTTP/1.1\r\nHost: app\r\n{field}\r\n\r\n");
        let head = forwarded_through(&provider, &proxy, request);
        assert!(head.text().contains(&format!("\r\n{field}\r\n")), "{head:?}");
        assert_eq!(head.fields().len(), 2, "{head:?}");
    }
}

#[test]
fn the_accepted_encodings_pass_as_they_are() {
    let (provider, proxy) = start();
    for accepted in ["identity", "gzip;q=0.5, *;q=0", "br, zstd, x-own", ""] {
        let request = format!("GET / HTTP/1.1\r\nHost: app\r\nAccept-Encoding: {accepted}\r\n\r\n");
        let head = forwarded_through(&provider, &proxy, request);
        assert_eq!(head.values("Accept-Encoding"), [accepted]);
    }
}

#[test]
fn any_method_passes_in_its_own_case() {
    let (provider, proxy) = start();
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "BREW", "get", "x-y!z"] {
        let request = format!("{method} /v1/x HTTP/1.1\r\nHost: app\r\n\r\n");
        let head = forwarded_through(&provider, &proxy, request);
        assert_eq!(head.first_line(), format!("{method} /v1/x HTTP/1.1"));
    }
}

#[test]
fn a_cors_preflight_is_the_providers_to_answer() {
    let request = "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: app\r\nOrigin: https://app.example\r\n\
                   Access-Control-Request-Method: POST\r\n\r\n";
    let expected = request.replace("Host: app", "Host: UPSTREAM");
    assert_eq!(forwarded(request).text(), expected);
}

#[test]
fn a_foreign_host_goes_to_the_configured_provider_like_any_other() {
    let head = forwarded("GET /v1/models HTTP/1.1\r\nHost: elsewhere.example:81\r\n\r\n");
    assert_eq!(head.text(), "GET /v1/models HTTP/1.1\r\nHost: UPSTREAM\r\n\r\n");
}

#[test]
fn the_host_is_the_name_in_the_base_url_not_its_address() {
    let provider = Provider::start();
    let name = format!("localhost:{}", provider.port());
    let proxy = Proxy::to_url(format!("http://{name}")).start();
    let mut client = proxy.connect();
    client.send(GET);
    assert_eq!(provider.accept().head().value("Host"), Some(name.as_str()));
}

#[test]
fn a_head_that_comes_byte_by_byte_is_one_request() {
    let (provider, proxy) = start();
    let mut client = proxy.connect();
    for byte in GET.bytes() {
        client.send([byte]);
    }
    assert_eq!(provider.accept().head().first_line(), "GET /v1/models HTTP/1.1");
}

#[test]
fn an_http_1_0_request_goes_on_as_http_1_1() {
    let head = forwarded("GET /v1/models HTTP/1.0\r\nX-A: 1\r\n\r\n");
    assert_eq!(head.first_line(), "GET /v1/models HTTP/1.1");
    assert_eq!(head.value("Host"), Some("UPSTREAM"));
    assert_eq!(head.value("X-A"), Some("1"));
    assert_eq!(head.fields().len(), 2, "{head:?}");
}
