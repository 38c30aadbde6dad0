//! Fields that belong to one connection end with it.

use crate::support::{forwarded, returned};

#[test]
fn the_connection_fields_of_a_request_end_at_the_proxy() {
    let head = forwarded(
        "GET / HTTP/1.1\r\nHost: app\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: keep-alive\r\nX-Hop: 1\r\nX-Stays: 2\r\n\r\n",
    );
    assert_eq!(head.names(), ["Host", "X-Stays"]);
}

#[test]
fn the_connection_fields_of_a_response_end_at_the_proxy() {
    let head = returned(
        "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nX-Hop: 1\r\n\
         X-Stays: 2\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(head.names(), ["X-Stays", "Content-Length"]);
}

#[test]
fn every_connection_field_names_what_ends_at_the_proxy() {
    let head = forwarded(
        "GET / HTTP/1.1\r\nHost: app\r\nConnection: x-one\r\nX-One: 1\r\nX-Two: 2\r\nX-Three: 3\r\n\
         connection: X-TWO ,, x-three,\r\n\r\n",
    );
    assert_eq!(head.names(), ["Host"]);
}

#[test]
fn te_stays_only_for_trailers() {
    let head = forwarded("GET / HTTP/1.1\r\nHost: app\r\nTE: trailers\r\n\r\n");
    assert_eq!(head.values("TE"), ["trailers"]);
    let head = forwarded("GET / HTTP/1.1\r\nHost: app\r\nTE: gzip;q=0.5\r\n\r\n");
    assert_eq!(head.names(), ["Host"]);
}

#[test]
fn te_trailers_stays_beside_other_codings_which_go() {
    let head = forwarded("GET / HTTP/1.1\r\nHost: app\r\nTE: gzip, trailers, deflate;q=0.5\r\n\r\n");
    assert_eq!(head.values("TE"), ["trailers"]);
}

#[test]
fn te_trailers_stays_where_connection_names_te_as_it_must() {
    let head = forwarded("GET / HTTP/1.1\r\nHost: app\r\nConnection: TE, close\r\nTE: trailers\r\n\r\n");
    assert_eq!(head.values("TE"), ["trailers"]);
}

#[test]
fn an_upgrade_to_http_2_is_not_asked_of_the_provider() {
    let head = forwarded(
        "GET / HTTP/1.1\r\nHost: app\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n",
    );
    assert_eq!(head.names(), ["Host"]);
}

#[test]
fn an_upgrade_that_connection_does_not_name_is_none() {
    let head = forwarded("GET / HTTP/1.1\r\nHost: app\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(head.names(), ["Host"]);
}

#[test]
fn connection_cannot_take_the_host_away() {
    let head = forwarded("GET / HTTP/1.1\r\nHost: app\r\nConnection: Host\r\n\r\n");
    assert_eq!(head.fields(), [("Host", "UPSTREAM")]);
}

#[test]
fn an_upgrade_offered_in_a_plain_response_ends_at_the_proxy() {
    let head =
        returned("HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: h2,h2c\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(head.names(), ["Content-Length"]);
}

#[test]
fn the_names_of_trailers_stay_announced() {
    let head = forwarded("GET / HTTP/1.1\r\nHost: app\r\nTE: trailers\r\nTrailer: X-Sum\r\n\r\n");
    assert_eq!(head.value("Trailer"), Some("X-Sum"));
}
