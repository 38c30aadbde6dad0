use std::sync::Barrier;

use super::*;

/// Fifty clients at once.
fn crowd(proxy: &Proxy) {
    let start = Barrier::new(50);
    std::thread::scope(|scope| {
        for number in 0..50 {
            let (start, proxy) = (&start, &proxy);
            scope.spawn(move || {
                start.wait();
                assert_eq!(chat(proxy, &question(&format!("hi {number}"))).text(), "Hello there.");
            });
        }
    });
}

#[test]
fn a_token_that_ends_while_fifty_ask_is_renewed_once() {
    let spot = Stackspot::start();
    // The first one, which is got at the start, has ended when it comes.
    spot.grant(Grant::For(json!(0.000_001)));
    let proxy = setup(&spot, "").start();
    spot.wait_for_token_requests(1);
    crowd(&proxy);
    assert_eq!(spot.token_requests(), 2);
    assert_eq!(spot.chats().len(), 50);
}

#[test]
fn a_token_that_is_refused_in_a_burst_is_renewed_once() {
    let spot = Stackspot::start();
    let proxy = setup(&spot, "").start();
    chat(&proxy, &question("hi")).text();
    spot.revoke();
    crowd(&proxy);
    assert_eq!(spot.token_requests(), 2);
    let refused =
        spot.chats().iter().filter(|chat| chat.header("authorization") == Some("Bearer token-1")).count();
    assert!((2..=9).contains(&refused), "those that were on their way: {refused}");
}

#[test]
fn whoever_began_a_renewal_may_leave_before_it_is_done() {
    let spot = Stackspot::start();
    spot.grant(Grant::For(json!(0.000_001)));
    spot.grant(Grant::At("renewed"));
    let proxy = setup(&spot, "").start();
    spot.wait_for_token_requests(1);
    let first = send(&proxy, "/v1/chat/completions", "", &question("hi"));
    spot.wait_for_token_requests(2);
    let second = send(&proxy, "/v1/chat/completions", "", &question("hi"));
    first.close();
    proxy.wait_for_log(|line| line.contains("/v1/chat/completions") && line.contains("client"));
    spot.open("renewed");
    assert_eq!(receive(second).text(), "Hello there.");
    assert_eq!((spot.token_requests(), spot.chats().len()), (2, 1));
}

#[test]
fn no_token_means_no_answer_and_says_why() {
    for (grant, code, words) in [
        (Grant::No(401, "invalid_client"), "upstream_auth", "client_secret"),
        (Grant::No(500, "oops"), "upstream_error", "500"),
        (Grant::Silence, "upstream_error", "closed the connection"),
    ] {
        let spot = Stackspot::start();
        spot.grant(grant);
        let proxy = setup(&spot, "").start();
        proxy.wait_for_log(|line| line.contains("not ready"));
        spot.grant(Grant::No(418, "only the first is remembered for a while"));
        let error = chat(&proxy, &question("hi")).error();
        assert!(error.1 == code && error.2.contains(words) || error.2.contains("418"), "{error:?}");
        assert_eq!(spot.chats().len(), 0);
    }
}

#[test]
fn a_credential_that_is_not_taken_is_said_to_whoever_asks_whether_it_is_ready() {
    let spot = Stackspot::start();
    let yaml = spot.yaml("").replace("client_id: me", "client_id: somebody");
    let proxy = Proxy::bridge("stackspot").yaml(&yaml).start();
    let page = proxy.admin("/ready");
    assert_eq!(page.head.status(), 503, "{}", page.body);
    assert!(page.body.contains("client_secret"), "{}", page.body);
    assert_eq!(chat(&proxy, &question("hi")).error().1, "upstream_auth");
}

#[test]
fn a_lifetime_that_is_not_told_or_makes_no_sense_does_no_harm() {
    for said in [Value::Null, json!("1199"), json!("soon"), json!(0), json!(-1)] {
        let spot = Stackspot::start();
        spot.grant(Grant::For(said));
        let proxy = setup(&spot, "").start();
        for _ in 0..2 {
            chat(&proxy, &question("hi")).text();
        }
        assert_eq!(spot.token_requests(), 1);
    }
}
