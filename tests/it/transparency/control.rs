//! What is addressed to the proxy ends at the proxy.

use crate::support::{forwarded, forwarded_through, returned, start};

#[test]
fn request_headers_for_the_proxy_are_taken_off() {
    let head = forwarded(
        "GET / HTTP/1.1\r\nHost: app\r\nx-perimeter-tags: a:b\r\nX-Perimeter-Session-Id: s\r\n\
         X-CYLESTIO-Conversation-Id: c\r\nx-cylestio-anything: d\r\nX-Stays: 1\r\n\r\n",
    );
    assert_eq!(head.names(), ["Host", "X-Stays"]);
}

#[test]
fn request_headers_for_the_proxy_are_taken_off_however_long_their_names() {
    let ours: String =
        (0..40).map(|len| format!("X-Perimeter-{0}: 1\r\nx-cylestio-{0}: 2\r\n", "a".repeat(len))).collect();
    let head = forwarded(format!("GET / HTTP/1.1\r\nHost: app\r\n{ours}X-Stays: 1\r\n\r\n"));
    assert_eq!(head.names(), ["Host", "X-Stays"]);
}

#[test]
fn names_that_only_look_like_ours_stay() {
    let head = forwarded(
        "GET / HTTP/1.1\r\nHost: app\r\nx-perimeters: 1\r\nmy-x-perimeter-tags: 2\r\nperimeter: 3\r\n\r\n",
    );
    assert_eq!(head.names()[1..], ["x-perimeters", "my-x-perimeter-tags", "perimeter"]);
}

#[test]
fn response_headers_of_those_names_are_the_providers() {
    let head =
        returned("HTTP/1.1 200 OK\r\nx-cylestio-a: 1\r\nX-Perimeter-B: 2\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(head.names(), ["x-cylestio-a", "X-Perimeter-B", "Content-Length"]);
}

#[test]
fn the_workflow_prefix_is_taken_off_the_path() {
    let (provider, proxy) = start();
    for (target, expected) in [
        ("/agent-workflow/w-1/v1/models", "/v1/models"),
        ("/agent-workflow/w-1/v1/models?a=1&b", "/v1/models?a=1&b"),
        ("/agent-workflow/a%2Fb/v1/x", "/v1/x"),
        ("/agent-workflow/w/", "/"),
        ("/agent-workflow/w//x", "//x"),
        ("/agent-workflow/w/agent-workflow/v/x", "/agent-workflow/v/x"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: app\r\n\r\n");
        let head = forwarded_through(&provider, &proxy, request);
        assert_eq!(head.target(), expected, "of {target}");
    }
}

#[test]
fn only_a_whole_segment_at_the_beginning_is_the_workflow_prefix() {
    let (provider, proxy) = start();
    for target in
        ["/agent-workflows/w/v1", "/v1/agent-workflow/w/x", "/Agent-Workflow/w/x", "/x?/agent-workflow/w/"]
    {
        let request = format!("GET {target} HTTP/1.1\r\nHost: app\r\n\r\n");
        let head = forwarded_through(&provider, &proxy, request);
        assert_eq!(head.target(), target);
    }
}

#[test]
fn paths_of_the_admin_listener_are_the_providers_on_the_proxy_port() {
    let (provider, proxy) = start();
    for path in ["/health", "/ready", "/metrics", "/config", "/docs", "/openapi.json", "/"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: app\r\n\r\n");
        let head = forwarded_through(&provider, &proxy, request);
        assert_eq!(head.target(), path);
    }
}
