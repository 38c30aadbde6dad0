//! Stopping: what clients have got has been told and written, and nobody who watches keeps the proxy from its end.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use rustix::process::Signal;
use serde_json::Value;

use super::exchange;
use crate::support::{Provider, Proxy, Watch};

const CLIENTS: usize = 8;

/// So many exchanges are over before the signal comes.
const BEFORE: usize = 200;

/// The head and body of a message; `None` where the connection ends before or in it.
fn read_message(reader: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            return Some((head, String::from_utf8(body).ok()?));
        }
        head.push_str(&line);
    }
}

/// Answers what is said with the same words, until the connection ends.
fn echo(stream: TcpStream) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some((_, body)) = read_message(&mut reader) {
        let asked: Value = serde_json::from_str(&body).unwrap();
        let said = asked["messages"][0]["content"].as_str().unwrap();
        let answer = serde_json::json!({"id": said, "object": "chat.completion", "model": "m", "choices":
            [{"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}]});
        let answer = answer.to_string();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json";
        let message = format!("{head}\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
        if writer.write_all(message.as_bytes()).is_err() {
            return;
        }
    }
}

/// Asks until the proxy takes no more; which of its questions were answered whole.
fn client(proxy: &Proxy, number: usize, count: &AtomicUsize) -> Vec<String> {
    let mut answered = Vec::new();
    let Ok(stream) = TcpStream::connect(proxy.address()) else { return answered };
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        let said = format!("word-{number}-{}", answered.len());
        let body = serde_json::json!({"model": "m", "messages": [{"role": "user", "content": said}]});
        let body = body.to_string();
        let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: app\r\nContent-Type: application/json";
        let message = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if writer.write_all(message.as_bytes()).is_err() {
            return answered;
        }
        let Some((head, answer)) = read_message(&mut reader) else { return answered };
        assert!(head.contains(" 200 ") && answer.contains(&said), "{head}{answer}");
        answered.push(said);
        count.fetch_add(1, SeqCst);
    }
}

#[test]
fn what_clients_have_got_under_load_is_told_and_logged_when_the_proxy_is_told_to_stop() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let logs = tempfile::tempdir().unwrap();
    let watch = Watch::of(&[("witness", "")]);
    let logger = format!("- {{type: message_logger, config: {{directory: {}}}}}", logs.path().display());
    let mut proxy = watch.setup_to(format!("http://{address}")).yaml(&logger).start();
    let (over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let answered = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while let Ok((stream, _)) = listener.accept() {
                if over.load(SeqCst) {
                    break;
                }
                scope.spawn(|| echo(stream));
            }
        });
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (proxy, count) = (&proxy, &count);
                scope.spawn(move || client(proxy, number, count))
            })
            .collect();
        while count.load(SeqCst) < BEFORE {
            std::thread::yield_now();
        }
        proxy.signal(Signal::TERM);
        for client in clients {
            answered.lock().unwrap().extend(client.join().unwrap());
        }
        over.store(true, SeqCst);
        let _ = TcpStream::connect(address);
    });
    assert_eq!(proxy.exit().code, Some(0));
    let answered = answered.into_inner().unwrap();
    assert!(answered.len() >= BEFORE);

    let mut told = BTreeSet::new();
    for exchange in watch.after(0).exchanges() {
        if exchange.ended().1 == "complete" && exchange.unseen() == (0, 0) {
            let answer: Value = serde_json::from_str(&exchange.text("on_response_chunk")).unwrap();
            let said = answer["id"].as_str().unwrap().to_owned();
            assert!(exchange.text("on_request_chunk").contains(&said));
            assert!(told.insert(said), "told twice");
        }
    }
    let missing: Vec<_> = answered.difference(&told).collect();
    assert!(missing.is_empty(), "{missing:?} were answered and not told");

    let log = std::fs::read_to_string(logs.path().join("message_log.jsonl")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for said in &answered {
        let word = format!("\"{said}\"");
        let count = lines.iter().filter(|line| line.to_string().contains(&word)).count();
        assert_eq!(count, 2, "{said} in the log: a request and a response");
    }
}

#[test]
fn a_printer_whose_output_is_closed_harms_nobody() {
    let provider = Provider::start();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let proxy = Proxy::to(&provider).stdout(writer).yaml("interceptors: [{type: printer}]").start();
    for _ in 0..20 {
        exchange(&provider, &proxy);
    }
    assert_eq!(proxy.metric("perimeter_open_exchanges"), 0.0);
    // It says so once and not again.
    let exit = proxy.stop();
    let complaints = exit.stderr.lines().filter(|line| line.contains("output was closed")).count();
    assert_eq!(complaints, 1, "{}", exit.stderr);
}

#[test]
fn a_printer_whose_output_nobody_reads_holds_up_neither_the_traffic_nor_the_end() {
    let provider = Provider::start();
    let (_reader, mut writer) = std::io::pipe().unwrap();
    // All that such a pipe holds, so that the printer's first word waits for ever.
    writer.write_all(&[b'\n'; 64 * 1024]).unwrap();
    let yaml = "interceptors: [{type: printer}]\nserver: {flush: 300ms}";
    let mut proxy = Proxy::to(&provider).stdout(writer).yaml(yaml).start();
    for _ in 0..20 {
        exchange(&provider, &proxy);
    }
    proxy.signal(Signal::TERM);
    let exit = proxy.exit();
    assert_eq!(exit.code, Some(0));
    let left = exit.stderr.lines().find(|line| line.contains("left behind"));
    assert!(left.is_some_and(|line| line.contains("printer")), "{}", exit.stderr);
}
