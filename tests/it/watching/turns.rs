//! Who waits for whom where the machine has no core to spare.

use super::exchange;
use crate::support::{Provider, Watch};

/// Where thousands of streams pass and their watchers are at work, this is what keeps each event on time.
#[test]
fn those_who_forward_may_interrupt_those_who_watch() {
    let provider = Provider::start();
    let watch = Watch::of(&[("witness", "")]);
    let proxy = watch.setup(&provider).start();
    exchange(&provider, &proxy);
    // A thread chooses its place when it first runs.
    watch.wait(0, |told| told.ends() == 1);
    let niceness = |stat: &str| stat[stat.rfind(')').unwrap()..].split(' ').nth(17).unwrap().parse::<i32>();
    let threads =
        proxy.of_each_thread("stat").into_iter().map(|(name, stat)| (name, niceness(&stat).unwrap()));
    let (forward, others): (Vec<_>, Vec<_>) =
        threads.partition(|(name, _)| name.starts_with("perimeter-fwd"));
    let usual = std::fs::read_to_string("/proc/self/stat").unwrap();
    let usual = niceness(&usual).unwrap();
    assert!(!forward.is_empty() && forward.iter().all(|(_, nice)| *nice == usual), "{forward:?}");
    for watcher in ["perimeter-scrib", "perimeter-witne"] {
        let found = others.iter().find(|(name, _)| name.starts_with(watcher));
        assert_eq!(found.map(|(_, nice)| *nice), Some((usual + 5).min(19)), "{watcher}: {others:?}");
    }
    for (name, sched) in proxy.of_each_thread("sched") {
        // Not every kernel says so, and those before 6.12 have one length for all.
        let turn = sched.lines().find_map(|line| line.strip_prefix("se.slice")?.split(':').nth(1));
        if let Some(turn) = turn.filter(|_| name.starts_with("perimeter-fwd") && chooses_turns()) {
            assert_eq!(turn.trim(), "500000");
        }
    }
}

/// Whether each thread of this kernel may say how long its turns are: Linux 6.12 and later.
fn chooses_turns() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut parts = release.split(['.', '-', '+']).map_while(|part| part.trim().parse::<u32>().ok());
    parts.next().zip(parts.next()) >= Some((6, 12))
}
