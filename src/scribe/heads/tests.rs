use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use perimeter_interceptor::Interest;
use proptest::prelude::*;

use super::*;
use crate::config;
use crate::prices::Prices;
use crate::scribe::Masks;

fn settings() -> Settings {
    Settings {
        masks: Masks::new(&[7; 32], &config::Mask::default()),
        upstream: "upstream".into(),
        session: config::Session::default(),
        body_limit: 1024,
        stall_threshold: Duration::from_secs(1),
        run: 0,
        interest: Interest::LLM,
        prices: Arc::new(Prices::load(None).unwrap()),
    }
}

/// Reads heads from here one after the other, each as if no other had been there. How many are remembered.
fn check(heads: &[String]) -> usize {
    let (settings, seed, mut known) = (settings(), Seed::default(), Heads::default());
    for (number, raw) in heads.iter().enumerate() {
        let address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, (number % 2) as u8));
        let head = journal::RequestHead::Raw(Bytes::copy_from_slice(raw.as_bytes()));
        let fresh = read(&head, address, &settings, &seed);
        let said = known.read(&head, address, &settings, &seed);
        assert_eq!((&said.head, &said.labels), (&fresh.head, &fresh.labels), "{raw}");
        assert_eq!(format!("{:?}", said.caller), format!("{:?}", fresh.caller), "{raw}");
    }
    known.0.len()
}

fn head(length: &str, key: &str) -> String {
    format!(
        "POST /v1/x HTTP/1.1\r\nHost: h\r\ncontent-Length:{length}\r\nAuthorization: Bearer {key}\r\n\r\n"
    )
}

#[test]
fn heads_that_differ_in_nothing_but_a_length_are_one() {
    let heads: Vec<String> = (0..20).map(|number| head(&format!(" {}", number / 2 * 37), "a")).collect();
    assert_eq!(check(&heads), 2, "one for each address");
}

#[test]
fn heads_of_others_are_others() {
    let heads: Vec<String> = (0..8).map(|number| head(" 5", &format!("key-{}", number / 2))).collect();
    assert_eq!(check(&heads), 8);
}

#[test]
fn so_many_heads_are_remembered_and_no_more() {
    let heads: Vec<String> = (0..300).map(|number| head(" 5", &format!("key-{number}"))).collect();
    assert_eq!(check(&heads), MOST);
    assert_eq!(check(&[head(" 5", &"k".repeat(LONGEST))]), 0);
}

proptest! {
    #[test]
    fn a_head_is_read_as_if_it_were_the_first(
        heads in prop::collection::vec(
            "P /[ab]{0,1} HTTP/1.1(\r\n|\n)([hH]ost: h(\r\n|\n)|(content-length|Content-Length|content-lengths|x)( )?:[ \t]{0,2}[12]{0,2}[ ,x]{0,1}(\r\n|\n| \r\n|\r\n 3\r\n)){0,4}(\r\n){0,1}",
            1..12,
        ),
    ) {
        check(&heads);
    }
}
