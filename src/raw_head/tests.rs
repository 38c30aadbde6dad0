use proptest::prelude::*;

use super::*;

fn raw(text: &[u8]) -> RawHead {
    let mut head = RawHead::default();
    assert_eq!(head.feed(text), (text.len(), true));
    head
}

fn restored(head: &RawHead, written: &[u8]) -> Vec<u8> {
    let mut restored = Vec::new();
    head.restore(written, &mut restored);
    restored
}

/// As hyper writes it: names in lower case, the values of one name side by side.
fn as_hyper_writes(first: &str, fields: &[(String, String)]) -> Vec<u8> {
    let same = |name: &str, other: &str| name.eq_ignore_ascii_case(other);
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_by_key(|(name, _)| fields.iter().position(|(other, _)| same(name, other)));
    let lines: String =
        sorted.iter().map(|(name, value)| format!("{}: {value}\r\n", name.to_lowercase())).collect();
    format!("{first}\r\n{lines}\r\n").into_bytes()
}

fn as_sent(first: &str, fields: &[(String, String)]) -> Vec<u8> {
    let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{first}\r\n{lines}\r\n").into_bytes()
}

fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    proptest::collection::vec(
        ("[Xx]-[aAbB]{1,2}", "[ -~]{0,9}".prop_map(|text| text.trim().to_owned())),
        0..14,
    )
}

proptest! {
    #[test]
    fn what_hyper_made_of_a_head_is_the_head_again(fields in fields()) {
        let written = as_hyper_writes("GET / HTTP/1.1", &fields);
        let sent = as_sent("GET / HTTP/1.1", &fields);
        let restored = restored(&raw(&sent), &written);
        prop_assert_eq!(String::from_utf8_lossy(&restored), String::from_utf8_lossy(&sent));
    }

    /// Whatever was taken off or added on the way: the same lines, but for the case of names and their order.
    #[test]
    fn a_head_keeps_its_meaning(sent in fields(), written in fields()) {
        let before = as_hyper_writes("GET / HTTP/1.1", &written);
        let restored = restored(&raw(&as_sent("GET / HTTP/1.1", &sent)), &before);
        let lines = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let mut lines: Vec<_> = text
                .split("\r\n")
                .map(|line| line.split_once(':').map_or((line.to_owned(), String::new()), |(name, value)| {
                    (name.to_lowercase(), value.to_owned())
                }))
                .collect();
            lines.sort();
            lines
        };
        prop_assert_eq!(lines(&restored), lines(&before));
        prop_assert!(restored.ends_with(b"\r\n\r\n"));
        // Equal names stay in their order.
        let values = |bytes: &[u8], name: &str| -> Vec<String> {
            String::from_utf8_lossy(bytes)
                .split("\r\n")
                .filter_map(|line| line.split_once(": "))
                .filter(|(other, _)| other.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.to_owned())
                .collect()
        };
        for (name, _) in &written {
            prop_assert_eq!(values(&restored, name), values(&before, name));
        }
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(raw in proptest::collection::vec(any::<u8>(), 0..200), written in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut head = RawHead::default();
        head.feed_request(&mut raw.clone());
        prop_assert_eq!(restored(&head, &written).len(), written.len());
        let mut reader = HeadReader::default();
        reader.expect(Shows::Needed);
        let mut seen = raw.clone();
        prop_assert!(reader.feed(&mut seen) > 0 || raw.is_empty());
    }

    #[test]
    fn a_target_comes_back_whole(target in "/[!-~\u{80}-\u{ff}]{0,30}") {
        let sent = [b"GET ", target.as_bytes(), b" HTTP/1.1\r\n\r\n"].concat();
        let mut seen = sent.clone();
        let mut head = RawHead::default();
        head.feed_request(&mut seen);
        prop_assert!(!seen.iter().any(|byte| is_refused(*byte)));
        prop_assert_eq!(restored(&head, &seen), sent);
    }
}

#[test]
fn the_head_after_informational_ones_is_kept() {
    let mut reader = HeadReader::default();
    reader.expect(Shows::Needed);
    let begin = b"\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hi\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nX";
    assert_eq!(reader.feed(&mut begin.to_vec()), begin.len());
    assert!(reader.take().is_none());
    let mut rest = b"-A: b\r\nX-B: c\r\n\r\nbody: x\r\n\r\n".to_vec();
    let shown = reader.feed(&mut rest);
    assert_eq!(&rest[..shown], b"-A: b\r\n\r\nbody: x\r\n\r\n", "what has begun to be shown is shown");
    let mut whole = raw(b"HTTP/1.1 200 OK\r\nX-A: b\r\nX-B: c\r\n\r\n");
    whole.lines[2].view = View::Kept;
    assert_eq!(reader.take().unwrap(), whole);
}

/// What hyper is shown of a head that comes in one read.
#[track_caller]
fn check_shown(shows: Shows, sent: &str, shown: &str) {
    let mut read = sent.as_bytes().to_vec();
    let mut head = raw(&read);
    let len = head.show(&mut read, shows);
    assert_eq!(String::from_utf8_lossy(&read[..len]), shown, "{sent}");
}

#[test]
fn hyper_is_shown_what_is_needed_to_forward_a_message() {
    check_shown(
        Shows::Needed,
        "GET / HTTP/1.1\r\nHost: a\r\nAccept: *\r\nCONNECTION: Keep-Alive\r\nX: y\r\ncontent-length: 3\r\nZ:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\ncontent-length: 3\r\n\r\n",
    );
    check_shown(
        Shows::All,
        "GET / HTTP/1.1\r\nHost: a\r\nAccept: *\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nAccept: *\r\n\r\n",
    );
    check_shown(
        Shows::Needed,
        "HTTP/1.1 200 OK\r\nDate: d\r\nTransfer-Encoding: chunked\r\nServer: s\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
}

#[test]
fn what_connection_may_name_and_what_is_not_plain_is_shown() {
    for all in [
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\nX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nConnection: keep-alive, x\r\nX: y\r\n\r\n",
        "GET / HTTP/1.1\r\nX : y\r\n\r\n",
        "GET / HTTP/1.1\r\nX: y\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nX: y\n\r\n",
        "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
    ] {
        check_shown(Shows::Needed, all, all);
    }
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(101));
    check_shown(Shows::Needed, &many, &many);
}

proptest! {
    /// However a head falls into reads, and whatever of it hyper is shown.
    #[test]
    fn what_was_kept_from_hyper_is_put_back_in_its_place(
        fields in proptest::collection::vec(("Host|Te|X-[aA]|Accept", "[ -~]{0,9}".prop_map(|text| text.trim().to_owned())), 0..14),
        cut in any::<prop::sample::Index>(),
    ) {
        let sent = as_sent("GET / HTTP/1.1", &fields);
        let cut = cut.index(sent.len());
        let mut head = RawHead::default();
        let mut last = sent[cut..].to_vec();
        head.feed(&sent[..cut]);
        head.feed(&last);
        let len = head.show(&mut last, Shows::Needed);
        let shown = [&sent[..cut], &last[..len]].concat();
        let shown: Vec<(String, String)> = String::from_utf8_lossy(&shown)
            .split("\r\n")
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let restored = restored(&head, &as_hyper_writes("GET / HTTP/1.1", &shown));
        prop_assert_eq!(String::from_utf8_lossy(&restored), String::from_utf8_lossy(&sent));
    }
}
