//! Where nobody watches, nothing is there to watch with.

use super::exchange;
use crate::support::{Provider, Proxy, Watch};

/// What Linux keeps of the name of a thread.
fn short(name: &str) -> String {
    name.chars().take(15).collect()
}

#[test]
fn without_an_interceptor_there_is_no_scribe_and_no_queue() {
    let provider = Provider::start();
    for setup in [
        Proxy::to(&provider).args(&["--interceptors", "none"]),
        Proxy::to(&provider).yaml("interceptors: []"),
        Proxy::to(&provider).yaml("interceptors: [{type: printer, enabled: false}]"),
    ] {
        let proxy = setup.start();
        exchange(&provider, &proxy);
        let metrics = proxy.admin("/metrics").body;
        for name in ["perimeter_scribe_", "perimeter_queue_", "perimeter_observe_", "perimeter_interceptor_"]
        {
            assert!(!metrics.contains(name), "{name} in\n{metrics}");
        }
        let threads = proxy.threads();
        let watching = threads.iter().find(|name| {
            name.starts_with("perimeter-") && !name.starts_with("perimeter-fwd-") && *name != "perimeter-log"
        });
        assert_eq!(watching, None, "{threads:?}");
        // Nor a key for masks.
        assert!(!proxy.folder().join(".local").exists());
    }
}

#[test]
fn the_threads_of_those_who_watch_have_names() {
    let provider = Provider::start();
    let watch = Watch::of(&[("witness", ""), ("slow", ""), ("slow", "")]);
    let proxy = watch.setup(&provider).start();
    exchange(&provider, &proxy);
    // A thread gives itself its name, when it first runs.
    for number in 0..3 {
        watch.wait(number, |told| told.ends() == 1);
    }
    let threads = proxy.threads();
    for name in ["perimeter-scribe", "perimeter-witness", "perimeter-slow", "perimeter-slow-2"] {
        assert!(threads.contains(&short(name)), "no {name} in {threads:?}");
    }
    let metrics = proxy.admin("/metrics").body;
    for name in ["journal", "witness", "slow", "slow-2"] {
        assert!(
            metrics.contains(&format!("perimeter_queue_bytes{{queue=\"{name}\"}}")),
            "{name} in\n{metrics}"
        );
    }
}
