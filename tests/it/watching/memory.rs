//! All that is held for those who watch has one bound.

use crate::support::{GET, Gate, Provider, Proxy, Watch, Wire, asked, pattern};

const STREAMS: usize = 500;
const ROUNDS: usize = 40;
/// A little more than a page, so that the allocator rounds it up by much.
const CHUNK: usize = 4200;

const MIB: u64 = 1 << 20;

/// What is taken for heads and ends, whatever there is room for, of each exchange.
const MUST_ARRIVE: u64 = 4 * 1024;

/// What watching takes besides what is held, whatever the bound is.
const SLACK: u64 = 24 * MIB;

/// 500 streams at once, a chunk of each after the other.
fn load(provider: &Provider, proxy: &Proxy) {
    let chunk = pattern::bytes(CHUNK);
    let mut streams: Vec<(Wire, Wire)> = (0..STREAMS)
        .map(|_| {
            let (mut client, mut upstream) = asked(provider, proxy, GET);
            upstream.send(super::EVENTS);
            client.head();
            (client, upstream)
        })
        .collect();
    for _ in 0..ROUNDS {
        for (client, upstream) in &mut streams {
            upstream.send_chunk(&chunk);
            let mut got = 0;
            while got < CHUNK {
                got += client.chunk().len();
            }
        }
    }
    for (mut client, mut upstream) in streams {
        upstream.send("0\r\n\r\n");
        upstream.close();
        assert_eq!(client.chunked().0, b"");
    }
}

#[test]
fn five_hundred_streams_past_a_blocked_interceptor_stay_within_the_bound() {
    let provider = Provider::start();
    let idle = Proxy::to(&provider).watched().args(&["--interceptors", "none"]).start();
    load(&provider, &idle);
    let baseline = idle.peak_memory();
    drop(idle);

    let gate = Gate::new();
    let settings = format!("llm: false, texts: false, at: on_request_head, {}", gate.settings());
    let watch = Watch::of(&[("blocked", &settings)]);
    let bound = 32 * MIB;
    let yaml = "observe: {memory: 32MiB, journal: 1GiB, mailbox: 1GiB}";
    let proxy = watch.setup(&provider).yaml(yaml).start();
    let (mut first, mut upstream) = asked(&provider, &proxy, GET);
    let _held = gate.blocked();
    upstream.send(super::LAST);
    first.head();
    load(&provider, &proxy);
    let held = proxy.metric("perimeter_observe_memory_bytes") as u64;
    assert!(held > bound / 2, "only {held} bytes were held: nothing was put to the test");
    assert!(held < bound + STREAMS as u64 * MUST_ARRIVE, "{held} bytes are held");
    assert_eq!(proxy.metric("perimeter_observe_memory_limit_bytes") as u64, bound);
    let grown = proxy.peak_memory().saturating_sub(baseline);
    assert!(grown < bound + SLACK, "it grew by {} MiB for a bound of 32 MiB", grown / MIB);
    let lost = proxy.metric("perimeter_unseen_bytes_total{queue=\"blocked\"}")
        + proxy.metric("perimeter_unseen_bytes_total{queue=\"journal\"}");
    assert!(lost > (STREAMS * ROUNDS * CHUNK) as f64 - bound as f64 * 1.1, "{lost} bytes were lost");
}
