//! Causes are told before their effects.

use crate::support::{Provider, Watch};

const EXCHANGES: usize = 2000;

/// What a provider answers: whole, in chunks, to the end of the connection, and nothing at all.
const ANSWERS: [&str; 4] = [
    super::LAST,
    "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
    "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
];

const REQUESTS: [&str; 3] = [
    "GET /v1/models HTTP/1.1\r\nHost: app\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 2\r\n\r\nhi",
    "POST / HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
];

#[test]
fn of_two_thousand_exchanges_one_after_another_none_begins_before_the_one_before_has_ended() {
    let provider = Provider::start();
    let watch = Watch::of(&[("witness", "")]);
    let proxy = watch.setup(&provider).yaml("logging: {level: warn}").start();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..EXCHANGES {
                let mut upstream = provider.accept();
                let head = upstream.head();
                upstream.body(&head);
                upstream.send(ANSWERS[number % ANSWERS.len()]);
                upstream.close();
            }
        });
        for number in 0..EXCHANGES {
            let mut client = proxy.connect();
            client.send(REQUESTS[number % REQUESTS.len()]);
            let head = client.head();
            if head.status() != 204 {
                client.body(&head);
            }
        }
    });
    let told = watch.stop(proxy);
    let mut open = None;
    for line in told.lines.iter().filter(|line| line.get("exchange").is_some()) {
        let exchange = line["exchange"].as_str().unwrap();
        match line["callback"].as_str().unwrap() {
            "on_request_head" => assert_eq!(open.replace(exchange), None, "{line} before the last one's end"),
            "on_end" => assert_eq!(open.take(), Some(exchange)),
            _ => assert_eq!(open, Some(exchange)),
        }
    }
    let exchanges = told.exchanges();
    assert_eq!(exchanges.len(), EXCHANGES);
    let ids: Vec<_> =
        exchanges.iter().map(|exchange| exchange.lines[0]["exchange"].as_str().unwrap()).collect();
    assert!(ids.is_sorted(), "a later exchange has a greater id");
}
