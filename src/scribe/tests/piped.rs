//! Bodies whose parts are in pipes: what is told of them is what is told where they are in memory.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::pipe::tests::{alone, filled};

/// What is told of a request: its body, whether it is partial, and how many bytes nobody saw.
fn told(
    desk: &mut Desk,
    fields: &[(&'static str, &str)],
    parts: &[&[u8]],
    piped: bool,
) -> (Bytes, bool, u64) {
    let Opened { mut client, mut upstream } = desk.open("/v1/chat/completions", fields).unwrap();
    for (number, part) in parts.iter().enumerate() {
        let ends = number + 1 == parts.len();
        if !(piped && client.piped(&filled(part), ends)) {
            client.chunk(&Bytes::copy_from_slice(part), ends);
        }
    }
    head_of(&upstream, 200, "application/json");
    upstream.chunk(&Bytes::from_static(b"{}"), true);
    desk.read();
    desk.check_empty();
    let unseen = desk.ends().last().unwrap().unseen.client;
    (desk.call().body.clone(), desk.call().partial, unseen)
}

fn asking(size: usize) -> String {
    let text: String =
        (0_u32..).flat_map(|number| number.to_string().into_bytes()).map(char::from).take(size).collect();
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#)
}

fn zipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_is_in_pipes_is_told_like_what_is_in_memory() {
    let _alone = alone();
    const MUCH: usize = 1 << 24;
    let body = asking(200_000);
    let zipped = zipped(&body);
    for interest in [Interest::LLM, Interest::ALL] {
        for (fields, body) in [(&[][..], body.as_bytes()), (&[("content-encoding", "gzip")], &zipped)] {
            for (memory, limit) in
                [(MUCH, MUCH), (MUCH, 200_020), (MUCH, 90_000), (150_000, MUCH), (70_000, MUCH)]
            {
                for cuts in [vec![0], vec![100], vec![20_000, 60_000, 170_000], vec![60_000, 61_000]] {
                    let ends = cuts.iter().copied().chain([body.len()]).skip(usize::from(cuts[0] == 0));
                    let starts = [0].into_iter().chain(cuts.iter().copied().filter(|at| *at > 0));
                    let parts: Vec<_> = starts.zip(ends).map(|(start, end)| &body[start..end]).collect();
                    let desk = || Desk::of(interest, MUCH, memory, limit);
                    let expected = told(&mut desk(), fields, &parts, false);
                    assert_eq!(
                        told(&mut desk(), fields, &parts, true),
                        expected,
                        "{memory} {limit} {cuts:?} {fields:?}"
                    );
                    assert_eq!(expected.1, (memory, limit) != (MUCH, MUCH));
                }
            }
        }
    }
}
