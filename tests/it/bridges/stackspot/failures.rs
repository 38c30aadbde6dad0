use super::*;
use crate::support::provider::Nobody;

#[test]
fn every_documented_refusal_reaches_the_client_as_what_it_is() {
    let too_long = r#"{"type":"BadRequestError","code":"INFERENCE_6001_LLM_MODEL_BAD_REQUEST","details":"Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300001 tokens."}"#;
    let spot = Stackspot::start();
    let proxy = setup(&spot, "cooldown: 10ms").start();
    for (reply, tries, status, code) in [
        (Reply::refusal(400, too_long), 1, 400, "context_length_exceeded"),
        (Reply::refusal(429, r#"{"details":"Credit Limit Reached"}"#), 1, 402, "insufficient_quota"),
        (Reply::refusal(403, ""), 1, 502, "upstream_auth"),
        (Reply::refusal(404, "{}"), 1, 502, "upstream_error"),
        (Reply::refusal(401, ""), 2, 502, "upstream_auth"),
        (Reply::refusal(500, ""), 3, 502, "upstream_error"),
        (Reply::refusal(503, ""), 3, 503, "overloaded"),
        (Reply::refusal(504, ""), 3, 504, "upstream_timeout"),
        (Reply::rate_limit(), 3, 429, "rate_limit_exceeded"),
    ] {
        for stream in [false, true] {
            let before = spot.chats().len();
            (0..tries).for_each(|_| spot.reply(reply.clone()));
            let answer = chat(&proxy, &with(question("hi"), json!({"stream": stream})));
            let error = answer.error();
            assert_eq!((error.0, error.1.as_str()), (status, code), "{}", error.2);
            assert!(!error.2.contains(AGENT) && !error.2.contains("127.0.0.1"), "{}", error.2);
            assert_eq!(spot.chats().len() - before, tries, "{code}");
            assert_eq!(answer.header("retry-after").is_some(), status == 429, "{code}");
        }
    }
}

#[test]
fn what_may_help_is_tried_before_the_first_byte() {
    let spot = Stackspot::start();
    let proxy = setup(&spot, "cooldown: 10ms").start();
    for replies in [
        vec![Reply::refusal(503, ""), Reply::refusal(502, "")],
        vec![Reply::rate_limit(), Reply::rate_limit().header("Retry-After", "0")],
        vec![Reply::rate_limit().header("Retry-After", "1")],
    ] {
        let (before, refusals) = (spot.chats().len(), replies.len());
        replies.into_iter().for_each(|reply| spot.reply(reply));
        assert_eq!(chat(&proxy, &question("hi")).text(), "Hello there.");
        assert_eq!(spot.chats().len() - before, refusals + 1);
    }
}

#[test]
fn nobody_waits_longer_for_stackspot_than_for_a_turn() {
    let spot = Stackspot::start();
    let yaml = spot.yaml("cooldown: 10ms").replace("  type:", "  bridge: {queue_timeout: 5s}\n  type:");
    let proxy = Proxy::bridge("stackspot").yaml(&yaml).start();
    spot.reply(Reply::rate_limit().header("Retry-After", "200"));
    let answer = chat(&proxy, &question("hi"));
    assert_eq!(answer.error().0, 429);
    assert_eq!(answer.header("retry-after"), Some("200"));
    let after: u64 = chat(&proxy, &question("hi")).header("retry-after").unwrap().parse().unwrap();
    assert!(after <= 200 && after > 100, "{after}");
    assert_eq!(spot.chats().len(), 1, "until then nothing is sent");
}

#[test]
fn no_more_is_sent_in_a_minute_than_the_account_may() {
    let spot = Stackspot::start();
    let yaml =
        spot.yaml("requests_per_minute: 2").replace("  type:", "  bridge: {queue_timeout: 1s}\n  type:");
    let proxy = Proxy::bridge("stackspot").yaml(&yaml).start();
    for _ in 0..2 {
        chat(&proxy, &question("hi")).text();
    }
    assert_eq!(chat(&proxy, &question("hi")).error().0, 429);
    assert_eq!(spot.chats().len(), 2);
}

#[test]
fn an_answer_that_breaks_off_is_no_answer() {
    let spot = Stackspot::start();
    let proxy = setup(&spot, "cooldown: 10ms").start();
    let half = || Reply::deltas(&["half of", " it"]).without_end();
    let error = json!({"code": "INFERENCE_3008_X", "details": "slow down"});
    let event = format!("data: {{\"message\":\"half of it\"}}\n\nevent: error\ndata: {error}\n\n");
    for (reply, status, code) in [
        (half(), 502, "upstream_error"),
        (half().cut(), 502, "upstream_error"),
        (Reply::raw("text/event-stream", event), 429, "rate_limit_exceeded"),
        (Reply::raw("text/html", "<html>maintenance</html>"), 502, "upstream_error"),
        (Reply::raw("text/event-stream", ""), 502, "upstream_error"),
    ] {
        spot.reply(reply.clone());
        let failure = chat(&proxy, &question("hi")).error();
        assert_eq!((failure.0, failure.1.as_str()), (status, code), "{}", failure.2);
        let before = spot.chats().len();
        spot.reply(reply);
        let answer = chat(&proxy, &with(question("hi"), json!({"stream": true})));
        assert!(answer.body.contains(code) && !answer.body.contains("[DONE]"), "{}", answer.body);
        assert_eq!(spot.chats().len() - before, 1, "what has begun is not asked again");
    }
}

#[test]
fn an_agent_that_falls_silent_is_given_up() {
    let spot = Stackspot::start();
    let proxy = setup(&spot, "idle_timeout: 300ms").start();
    spot.reply(Reply::deltas(&["a"]).without_end().never_ends());
    let error = chat(&proxy, &question("hi")).error();
    assert_eq!((error.0, error.1.as_str()), (504, "upstream_timeout"));
    spot.wait_until_left(1);
}

#[test]
fn a_stackspot_that_is_not_there_is_said_without_its_address() {
    let spot = Stackspot::start();
    let nobody = Nobody::new();
    let yaml = spot
        .yaml("")
        .replace(&format!("  base_url: {}", spot.url()), &format!("  base_url: {}", nobody.url()));
    let proxy = Proxy::bridge("stackspot").yaml(&yaml).start();
    let error = chat(&proxy, &question("hi")).error();
    assert_eq!((error.0, error.1.as_str()), (502, "upstream_error"));
    assert!(error.2.contains("cannot be reached") && !error.2.contains("127.0.0.1"), "{}", error.2);
}
