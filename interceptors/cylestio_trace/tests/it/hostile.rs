//! A platform that means harm, or is broken in ways that nobody lists.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use perimeter_cylestio_trace::{CylestioTrace, Schedule};
use serde_json::json;

use crate::platform::{Platform, Reply, after, status, token};
use crate::scene::{Hired, call, logged, quick, settings, trace};

/// What is done with a connection after a request was read from it.
type Deed = dyn Fn(&mut TcpStream) + Send + Sync;

/// Somebody who does this with each connection that an event comes by, once its head was read.
fn doing(deed: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (deed, came): (Arc<Deed>, Arc<AtomicUsize>) = (Arc::new(deed), Arc::default());
    let counts = Arc::clone(&came);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (deed, came) = (Arc::clone(&deed), Arc::clone(&counts));
            thread::spawn(move || serve(stream.unwrap(), &*deed, &came));
        }
    });
    (url, came)
}

fn serve(mut stream: TcpStream, deed: &Deed, came: &AtomicUsize) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if let Some(told) = line.to_lowercase().strip_prefix("content-length:") {
            length = told.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_ok() {
        came.fetch_add(1, SeqCst);
        deed(&mut stream);
    }
}

/// An interceptor whose events go to this address, and whose tokens come from a platform that is as it should be.
fn sending_to(url: &str) -> (Hired, Platform) {
    let issuer = Platform::taking(|_, _| status(200));
    let settings = settings(&issuer, json!({"api_url": url, "timeout": "500ms"}));
    (Hired::new(CylestioTrace::with_schedule(settings, quick()).unwrap().interceptor()), issuer)
}

/// Writes the same again and again until nobody takes it any more.
fn drip(stream: &mut TcpStream, text: &str, wait: Duration) {
    while stream.write_all(text.as_bytes()).is_ok() {
        thread::sleep(wait);
    }
}

#[test]
fn who_answers_drop_by_drop_or_without_end_holds_up_nobody() {
    let slow = Duration::from_millis(20);
    let deeds: [Box<Deed>; 5] = [
        Box::new(move |stream| drip(stream, "H", slow)),
        Box::new(move |stream| {
            let _ = stream.write_all(b"HTTP/1.1 503 No\r\n");
            drip(stream, "x: y\r\n", slow);
        }),
        Box::new(|stream| {
            let _ = stream.write_all(b"HTTP/1.1 503 No\r\n");
            drip(stream, &format!("x: {}\r\n", "y".repeat(1000)), Duration::ZERO);
        }),
        Box::new(move |stream| {
            let _ = stream.write_all(b"HTTP/1.1 503 No\r\ncontent-length: 1000000\r\n\r\n");
            drip(stream, "x", slow);
        }),
        Box::new(|stream| {
            let _ = stream.write_all(b"HTTP/1.1 503 No\r\n\r\n");
            drip(stream, &"y".repeat(1000), Duration::ZERO);
        }),
    ];
    for deed in deeds {
        let (url, came) = doing(deed);
        let (mut hired, _issuer) = sending_to(&url);
        hired.tell(call("s"));
        hired.wait(0, 3);
        // Each event is tried three times; where the machine has much to do, a try may end before it comes here.
        assert!((1..=9).contains(&came.load(SeqCst)), "{came:?} tries");
        assert!(hired.stop().is_err());
    }
}

#[test]
fn what_is_no_answer_loses_events_and_nothing_else() {
    let deeds: [&[u8]; 6] = [
        b"",
        b"\r\n\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 999999 Odd\r\n\r\n",
        b"HTTP/1.1 204\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 503 No\r\ncontent-length: -1\r\n\r\n",
    ];
    for answer in deeds {
        let (url, _) = doing(move |stream| {
            let _ = stream.write_all(answer);
            let _ = stream.shutdown(Shutdown::Write);
        });
        let (mut hired, _issuer) = sending_to(&url);
        hired.tell(call("s"));
        crate::scene::until(|| hired.count("lost_total") + hired.count("sent_total") == 3);
        let _ = hired.stop();
    }
}

#[test]
fn a_redirect_takes_neither_token_nor_event_elsewhere() {
    let elsewhere = Platform::taking(|_, _| status(200));
    let there = format!("{}/v1/telemetry", elsewhere.url());
    for code in [301, 302, 307, 308] {
        let there = there.clone();
        let platform = Platform::taking(move |_, _| {
            Reply::Answer(code, Some(("Location", there.clone())), String::new())
        });
        let mut hired = Hired::new(trace(&platform));
        hired.tell(call("s"));
        hired.wait(0, 3);
        assert!(hired.stop().is_err());
    }
    let there = elsewhere.url();
    let platform = Platform::start(move |_, _| {
        Reply::Answer(307, Some(("Location", format!("{there}/v1/auth/accesskey/exchange"))), String::new())
    });
    let mut hired = Hired::new(trace(&platform));
    hired.tell(call("s"));
    hired.wait(0, 3);
    assert!(hired.stop().is_err());
    assert!(elsewhere.seen().is_empty());
}

#[test]
fn a_connection_that_was_closed_meanwhile_costs_no_event() {
    let platform = Platform::taking(|_, _| status(200));
    let (url, came) = doing(|stream| {
        // It does not say that it closes.
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    });
    let settings = settings(&platform, json!({"api_url": url}));
    let mut hired = Hired::new(CylestioTrace::with_schedule(settings, quick()).unwrap().interceptor());
    for number in 0..10 {
        hired.tell(call(&format!("s{number}")));
    }
    hired.wait(30, 0);
    hired.stop().unwrap();
    assert_eq!(came.load(SeqCst), 30);
}

#[test]
fn odd_tokens_are_shown_as_they_are_and_harm_nothing() {
    use base64::Engine as _;
    let coded = |claims: &str| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(claims);
    let jwts = [
        "no-dots".to_owned(),
        "a.%%%.c".to_owned(),
        format!("a.{}.c", coded(r#"{"exp": "soon"}"#)),
        format!("a.{}.c", coded(r#"{"exp": -1}"#)),
        format!("a.{}.c", coded(r#"{"exp": 1e308, "iat": -1e308}"#)),
        format!("a.{}.c", coded(&"[".repeat(3000))),
        format!("a.{}.{}", coded(r#"{"exp": null}"#), "c".repeat(20_000)),
    ];
    for jwt in jwts {
        let body = json!({"sessionJwt": jwt}).to_string();
        let platform = Platform::start(move |request, _| match request.is_exchange() {
            true => Reply::Answer(200, None, body.clone()),
            false => status(200),
        });
        let mut hired = Hired::new(trace(&platform));
        hired.tell(call("s"));
        hired.wait(3, 0);
        assert!(platform.events().iter().all(|event| event.token() == jwt));
        assert!(platform.exchanges().len() <= 3, "{}", platform.exchanges().len());
        hired.stop().unwrap();
    }
}

#[test]
fn what_cannot_be_a_token_loses_events_and_is_not_shown_in_the_log() {
    for odd in ["bad\r\nX-Injected: 1", "t\u{e4}st-odd-token", " ", "", &"odd-token ".repeat(20_000)] {
        let body = json!({"sessionJwt": odd}).to_string();
        let platform = Platform::start(move |_, _| Reply::Answer(200, None, body.clone()));
        let mut hired = Hired::new(trace(&platform));
        hired.tell(call("s"));
        hired.wait(0, 3);
        assert!(platform.events().is_empty());
        assert!(hired.stop().unwrap_err().contains("Undelivered(3)"));
    }
    assert!(!logged().contains("odd-token") && !logged().contains("X-Injected"));
    assert!(!logged().contains("ureq_proto::util"), "what passes is logged byte by byte");
}

#[test]
fn a_stop_does_not_wait_as_long_as_the_platform_would_like() {
    for slow in [0, 1] {
        // Slow to give tokens, then slow to take events.
        let platform = Platform::start(move |request, _| match request.is_exchange() {
            true if slow == 0 => after(429, "100000"),
            true => token("one", 3_600),
            false => after(503, "100000"),
        });
        let mut schedule = Schedule::default();
        schedule.first = Duration::from_millis(20);
        let made = CylestioTrace::with_schedule(settings(&platform, json!({})), schedule).unwrap();
        let mut hired = Hired::new(made.interceptor());
        for number in 0..40 {
            hired.tell(call(&format!("s{number}")));
        }
        crate::scene::until(|| !platform.seen().is_empty());
        let asked = Instant::now();
        let stopped = hired.stop().unwrap_err();
        assert!(asked.elapsed() < Duration::from_secs(100), "{:?}", asked.elapsed());
        assert!(stopped.contains("Undelivered(120)"), "{stopped}");
        let tries = platform.events().len();
        assert!(tries <= 3 * 30, "{tries} tries for what cannot be");
    }
}

#[test]
fn a_dead_platform_is_told_of_no_more_than_fits_and_every_loss_is_counted() {
    let platform = Platform::taking(|_, _| after(503, "100000"));
    let settings = settings(&platform, json!({"queue": "256KiB"}));
    let made = CylestioTrace::with_schedule(settings, quick()).unwrap();
    let mut hired = Hired::new(made.interceptor());
    for number in 0..10_000 {
        hired.tell(call(&format!("s{number}")));
    }
    assert!(hired.count("queue_bytes") <= 256 << 10);
    let stopped = hired.stop().unwrap_err();
    assert!(stopped.contains("Undelivered(30000)"), "{stopped}");
}
