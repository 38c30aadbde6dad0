use proptest::prelude::*;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::io::AsyncWrite;

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
        let mut response = RawHead::default();
        response.feed(&raw);
        response.sort_out(Shows::Needed);
        prop_assert!(response.fields().count() <= response.len());
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
fn what_is_left_of_a_response_is_what_forwarding_needs() {
    let mut head =
        raw(b"HTTP/1.1 200 OK\r\nX-A: b\r\ncontent-LENGTH:  5 \r\nConnection: keep-alive\r\nDate: d\r\n\r\n");
    assert!(head.sort_out(Shows::Needed));
    assert_eq!(head.first_line(), b"HTTP/1.1 200 OK\r\n");
    assert_eq!(head.fields().collect::<Vec<_>>(), [(&b"content-LENGTH"[..], &b"5"[..])]);
    assert!(head.sort_out(Shows::All));
    let names: Vec<_> = head.fields().map(|(name, _)| name).collect();
    assert_eq!(names, [&b"X-A"[..], b"content-LENGTH", b"Date"]);
}

#[test]
fn lines_that_could_be_read_in_two_ways_are_not_read_by_themselves() {
    for head in [
        "HTTP/1.1 200 OK\r\nA: b\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: \x01\r\n\r\n",
        "\r\n",
    ] {
        assert!(!raw(head.as_bytes()).sort_out(Shows::Needed), "{head:?}");
    }
    let many = |lines| format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(lines));
    assert!(raw(many(100).as_bytes()).sort_out(Shows::Needed));
    assert!(!raw(many(101).as_bytes()).sort_out(Shows::Needed));
}

proptest! {
    /// Whatever heads came before on the thread, and however this one falls into reads.
    #[test]
    fn a_line_that_came_before_says_the_same_again(
        heads in proptest::collection::vec(
            proptest::collection::vec(
                prop_oneof![
                    "(Accept|X-a|Host|Connection|connection|Te)(:| :)( keep-alive|close|x-a|b)\r?\n",
                    "[ -~]{1,6}\r\n",
                ],
                0..6,
            ),
            1..12,
        ),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 12),
    ) {
        let mut known = Known::default();
        for (fields, cut) in heads.iter().zip(cuts) {
            let sent = format!("GET / HTTP/1.1\r\n{}\r\nbody", fields.concat()).into_bytes();
            let cut = cut.index(sent.len() + 1);
            let mut head = RawHead::default();
            let (mut len, mut ended) = head.take(&sent[..cut], &mut known);
            if !ended {
                (len, ended) = head.take(&sent[cut..], &mut known);
                len += cut;
            }
            let mut fresh = RawHead::default();
            prop_assert_eq!((len, ended), fresh.take(&sent, &mut Known::default()));
            prop_assert_eq!(&head, &fresh);
            prop_assert_eq!(head.bytes(), &sent[..len]);
        }
    }
}

#[test]
fn credentials_are_not_remembered() {
    let mut known = Known::default();
    let sent = b"GET /?key=s3cret HTTP/1.1\r\nAccept: *\r\nAuthorization: s3cret\r\nX-Api-Key: s3cret\r\nX: y\r\nZ: y\r\n\r\n";
    RawHead::default().take(sent, &mut known);
    assert!(known.begins(1, b"Accept: *\r\n").is_some());
    let remembered = format!("{known:?}");
    let secret = format!("{:?}", b"s3cret").replace(['[', ']'], "");
    assert!(!remembered.contains(&secret), "{remembered}");
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
        "GET / HTTP/1.1\r\nConnection: keep-alive\r\n , x-hop\r\nX-Hop: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nConnection: close\r\n\t, x-hop\r\nX-Hop: 1\r\n\r\n",
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
        adds in any::<bool>(),
    ) {
        let mut sent = as_sent("GET / HTTP/1.1", &fields);
        let cut = cut.index(sent.len());
        let mut head = RawHead::default();
        let mut last = sent[cut..].to_vec();
        head.feed(&sent[..cut]);
        head.feed(&last);
        let len = head.show(&mut last, Shows::Needed);
        let shown = [&sent[..cut], &last[..len]].concat();
        let mut shown: Vec<(String, String)> = String::from_utf8_lossy(&shown)
            .split("\r\n")
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        if adds {
            shown.push(("added".to_owned(), "1".to_owned()));
            sent.splice(sent.len() - 2.., *b"added: 1\r\n\r\n");
        }
        let restored = restored(&head, &as_hyper_writes("GET / HTTP/1.1", &shown));
        prop_assert_eq!(String::from_utf8_lossy(&restored), String::from_utf8_lossy(&sent));
    }
}

/// Takes so many bytes of each write, and of every other one nothing yet.
struct Slow {
    taken: Vec<u8>,
    each: usize,
    waits: bool,
}

impl AsyncWrite for Slow {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.waits = !self.waits;
        if self.waits {
            return Poll::Pending;
        }
        let len = buf.len().min(self.each);
        self.taken.extend_from_slice(&buf[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        self.poll_write(cx, &all)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

proptest! {
    /// However slowly the other end takes it, and however it is cut into pieces: the head as it was, then the body.
    #[test]
    fn a_head_and_its_body_are_written_once_and_in_order(
        fields in fields(),
        body in proptest::collection::vec(any::<u8>(), 0..9000),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..5),
        each in 1usize..5000,
    ) {
        let sent = as_sent("GET / HTTP/1.1", &fields);
        let mut head = raw(&sent);
        let mut read = sent.clone();
        let len = head.show(&mut read, Shows::Needed);
        let hypers = [&read[..len], &body].concat();
        let mut writer = HeadWriter::default();
        writer.expect(Arc::new(head));
        let mut slow = Slow { taken: Vec::new(), each, waits: false };
        let mut cx = Context::from_waker(Waker::noop());
        // hyper's first piece holds the whole head.
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| len + cut.index(body.len() + 1)).collect();
        cuts.sort_unstable();
        let mut done = 0;
        while done < hypers.len() {
            let mut at = done;
            let mut bufs = Vec::new();
            for cut in cuts.iter().copied().chain([hypers.len()]).filter(|cut| *cut > done) {
                bufs.push(IoSlice::new(&hypers[at..cut.max(at)]));
                at = cut.max(at);
            }
            if let Poll::Ready(written) = writer.poll_write(Pin::new(&mut slow), &mut cx, &bufs) {
                done += written.unwrap();
            }
        }
        prop_assert_eq!(done, hypers.len());
        prop_assert_eq!(slow.taken, [sent, body].concat());
    }
}
