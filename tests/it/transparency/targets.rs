//! Request targets: bytes, not meanings.

use crate::support::{Provider, Proxy, forwarded, forwarded_by, latin1};

#[track_caller]
fn check(target: &str, expected: &str) {
    let head = forwarded(format!("GET {target} HTTP/1.1\r\nHost: app\r\n\r\n"));
    assert_eq!(head.first_line(), format!("GET {expected} HTTP/1.1"));
}

#[track_caller]
fn check_joined(base_path: &str, target: &str, expected: &str) {
    let setup = |provider: &Provider| Proxy::to_url(format!("{}{base_path}", provider.url()));
    let head = forwarded_by(setup, format!("GET {target} HTTP/1.1\r\nHost: app\r\n\r\n"));
    assert_eq!(head.target(), expected, "{target} below {base_path:?}");
}

#[test]
fn percent_encoding_is_kept() {
    check("/v1/files/a%2Fb%20c%00%C3%A9", "/v1/files/a%2Fb%20c%00%C3%A9");
    check("/v1/%7euser/%7E", "/v1/%7euser/%7E");
    check("/v1/100%", "/v1/100%");
}

#[test]
fn dots_and_slashes_are_kept() {
    check("/v1/../a/./b/", "/v1/../a/./b/");
    check("//v1//models///", "//v1//models///");
    check("/", "/");
}

#[test]
fn odd_characters_in_a_path_are_kept() {
    check("/v1/{model}:generate|^\\~!$&'()*+,;=@[]\"", "/v1/{model}:generate|^\\~!$&'()*+,;=@[]\"");
}

#[test]
fn odd_characters_in_a_query_are_kept() {
    check("/v1?a=b?c&d=/../&&=&e=%zz+{x}|'`^\\", "/v1?a=b?c&d=/../&&=&e=%zz+{x}|'`^\\");
    check("/v1?", "/v1?");
    check("/v1?a[]=1&a[]=2", "/v1?a[]=1&a[]=2");
}

#[test]
fn characters_that_no_target_should_hold_are_kept() {
    for target in [
        &b"/a`b"[..],
        b"/a<b",
        b"/a>b_c",
        b"/?a=\"b\"",
        b"/_?a<b",
        b"/?a>b",
        b"/not-utf-8-\xff?\xfe",
        b"/v1?a=b#c",
    ] {
        let head = forwarded([b"GET ", target, b" HTTP/1.1\r\nHost: app\r\n\r\n"].concat());
        assert_eq!(head.first_line(), latin1([b"GET ", target, b" HTTP/1.1"].concat()));
    }
}

#[test]
fn such_characters_are_kept_behind_a_base_path_and_a_workflow() {
    check_joined("/base", "/agent-workflow/w/v1?q=<a>#\"b", "/base/v1?q=<a>#\"b");
    check_joined("/base_", "/_<_>_", "/base_/_<_>_");
}

#[test]
fn bytes_beyond_ascii_in_a_target_are_kept() {
    let mut request = b"GET /v1/\xc3\xa9?q=\xc3\xa9 HTTP/1.1\r\nHost: app\r\n\r\n".to_vec();
    let head = forwarded(&request);
    request.truncate(b"GET /v1/\xc3\xa9?q=\xc3\xa9 HTTP/1.1".len());
    assert_eq!(head.first_line(), latin1(request));
}

#[test]
fn a_long_target_passes() {
    let long = format!("/v1/{}?q={}", "p".repeat(30_000), "q".repeat(30_000));
    check(&long, &long);
}

#[test]
fn a_base_url_with_a_path_comes_before_the_path() {
    check_joined("/openai/v1", "/models", "/openai/v1/models");
    check_joined("/openai/v1", "/models?a=1", "/openai/v1/models?a=1");
    check_joined("/a%2Fb", "/%2e%2e/c", "/a%2Fb/%2e%2e/c");
}

#[test]
fn one_slash_stands_at_the_seam() {
    check_joined("", "/v1/models", "/v1/models");
    check_joined("/", "/v1/models", "/v1/models");
    check_joined("/v1", "/models", "/v1/models");
    check_joined("/v1/", "/models", "/v1/models");
    check_joined("/v1/", "/", "/v1/");
    check_joined("/v1", "/?a=1", "/v1/?a=1");
}

#[test]
fn the_workflow_prefix_goes_before_the_base_path_comes() {
    check_joined("/openai/v1", "/agent-workflow/w/models", "/openai/v1/models");
}

#[test]
fn a_target_in_absolute_form_goes_to_the_configured_provider() {
    let head = forwarded(
        "GET http://elsewhere.example:81/v1/models?a=1 HTTP/1.1\r\nHost: elsewhere.example:81\r\n\r\n",
    );
    assert_eq!(head.text(), "GET /v1/models?a=1 HTTP/1.1\r\nHost: UPSTREAM\r\n\r\n");
}

#[test]
fn a_target_in_absolute_form_without_a_path_has_the_path_slash() {
    let head = forwarded("GET http://elsewhere.example HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n");
    assert_eq!(head.first_line(), "GET / HTTP/1.1");
}

#[test]
fn options_of_the_whole_server_stays_that() {
    let head = forwarded("OPTIONS * HTTP/1.1\r\nHost: app\r\n\r\n");
    assert_eq!(head.text(), "OPTIONS * HTTP/1.1\r\nHost: UPSTREAM\r\n\r\n");
}
