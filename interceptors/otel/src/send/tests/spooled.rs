//! What waits on disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use super::away::batch_size;
use super::*;

/// Room for so many spans in memory.
fn room_for(spans: usize) -> usize {
    batch_size() * spans + batch_size() / 2
}

/// The files in the spool.
fn files(spool: &Path) -> Vec<PathBuf> {
    let runs = fs::read_dir(spool).into_iter().flatten().map(|run| run.unwrap().path());
    let files = runs.filter(|run| run.is_dir()).flat_map(|run| fs::read_dir(run).unwrap());
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn what_does_not_fit_into_memory_waits_on_disk_and_nothing_is_lost() {
    let spool = tempfile::tempdir().unwrap();
    let mut collector = Collector::start();
    collector.die();
    let settings = json!({"queue": room_for(3)});
    let mut outbox = Outbox::new(&single(&collector.url(), Some(spool.path()), settings)).unwrap();
    let counters = outbox.counters();
    (0..40).for_each(|number| outbox.put(span(number)));
    assert!(count(&counters, "otlp_spool_bytes") > 0 && files(spool.path()).len() >= 36);
    assert!(count(&counters, "otlp_queue_bytes") <= room_for(3) as u64);
    collector.come_back();
    let mut numbers = numbers(&collector.wait_for_spans(40));
    assert!(numbers[1..].is_sorted(), "oldest first, but for the one in hand: {numbers:?}");
    numbers.sort_unstable();
    assert_eq!(numbers, (0..40).collect::<Vec<_>>());
    outbox.finish();
    assert_eq!(collector.spans().len(), 40, "nothing twice");
    assert_eq!(count(&counters, "otlp_lost_total"), 0);
    assert_eq!((count(&counters, "otlp_spool_bytes"), count(&counters, "otlp_queue_bytes")), (0, 0));
    assert_eq!(fs::read_dir(spool.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn nobody_else_can_look_into_it() {
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("deep/spool");
    let mut outbox = Outbox::new(&single(&nobody(), Some(&spool), json!({"queue": 1}))).unwrap();
    outbox.put(span(0));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let file = &files(&spool)[0];
    assert_eq!((mode(file), mode(file.parent().unwrap()), mode(&spool)), (0o600, 0o700, 0o700));
    drop(outbox);
}

#[test]
fn a_spool_that_is_full_loses_the_oldest_and_counts_them() {
    let spool = tempfile::tempdir().unwrap();
    let mut collector = Collector::start();
    collector.die();
    let mut effective = single(&collector.url(), Some(spool.path()), json!({"queue": 1}));
    let room = u64::try_from(room_for(10)).unwrap();
    effective.spool.as_mut().unwrap().max_size = room;
    // The first attempt takes one in hand, and fails.
    let mut outbox = Outbox::new(&effective).unwrap();
    let counters = outbox.counters();
    outbox.put(span(0));
    wait_for_count(&counters, "otlp_retries_total", 1);
    (1..30).for_each(|number| {
        outbox.put(span(number));
        assert!(count(&counters, "otlp_spool_bytes") <= room);
    });
    let lost = count(&counters, "otlp_lost_total");
    let left = 30 - lost;
    assert!((8..=10).contains(&left), "{left}");
    collector.come_back();
    let spans = collector.wait_for_spans(usize::try_from(left).unwrap());
    outbox.finish();
    let expected: Vec<u64> = std::iter::once(0).chain(lost + 1..30).collect();
    assert_eq!(numbers(&spans), expected);
    assert_eq!(count(&counters, "otlp_sent_total"), left);
    assert_eq!(count(&counters, "otlp_lost_total"), lost);
}

#[test]
fn a_spool_that_cannot_be_written_to_loses_the_newest_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool");
    fs::write(&spool, "no directory").unwrap();
    let mut collector = Collector::start();
    collector.die();
    let settings = json!({"queue": room_for(10)});
    let mut outbox = Outbox::new(&single(&collector.url(), Some(&spool), settings)).unwrap();
    let counters = outbox.counters();
    (0..25).for_each(|number| outbox.put(span(number)));
    assert_eq!(count(&counters, "otlp_lost_total"), 15);
    collector.come_back();
    assert_eq!(numbers(&collector.wait_for_spans(10)), (0..10).collect::<Vec<_>>());
    outbox.finish();
}

#[test]
fn a_file_that_is_broken_is_removed_and_keeps_nothing_else_from_being_sent() {
    let spool = tempfile::tempdir().unwrap();
    let mut collector = Collector::start();
    collector.die();
    let effective = single(&collector.url(), Some(spool.path()), json!({}));
    let mut outbox = Outbox::new(&effective).unwrap();
    (0..4).for_each(|number| outbox.put(span(number)));
    outbox.finish();
    let files = files(spool.path());
    assert_eq!(files.len(), 4);
    fs::write(&files[0], "").unwrap();
    let mut bytes = fs::read(&files[1]).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&files[1], bytes).unwrap();
    fs::write(files[0].with_file_name("notes.txt"), "not ours").unwrap();
    fs::write(files[0].with_extension("tmp"), "half").unwrap();

    collector.come_back();
    let outbox = Outbox::new(&effective).unwrap();
    let counters = outbox.counters();
    collector.wait_for_spans(2);
    outbox.finish();
    let mut sent = numbers(&collector.spans());
    sent.sort_unstable();
    assert_eq!((sent.len(), count(&counters, "otlp_lost_total")), (2, 2));
    assert_eq!(super::spooled::files(spool.path()).len(), 1, "what is not ours stays");
}

#[test]
fn what_is_too_old_is_not_sent() {
    let spool = tempfile::tempdir().unwrap();
    let mut collector = Collector::start();
    collector.die();
    let mut effective = single(&collector.url(), Some(spool.path()), json!({}));
    let mut outbox = Outbox::new(&effective).unwrap();
    outbox.put(span(0));
    outbox.finish();
    assert_eq!(files(spool.path()).len(), 1);
    effective.spool.as_mut().unwrap().max_age = Duration::from_nanos(1);
    collector.come_back();
    let outbox = Outbox::new(&effective).unwrap();
    let counters = outbox.counters();
    outbox.finish();
    assert_eq!((count(&counters, "otlp_lost_total"), collector.asked().len()), (1, 0));
}

#[test]
fn what_was_meant_for_one_backend_never_goes_to_another() {
    let spool = tempfile::tempdir().unwrap();
    let mut meant = Collector::start();
    let other = Collector::start();
    meant.die();
    let mut outbox = Outbox::new(&single(&meant.url(), Some(spool.path()), json!({}))).unwrap();
    outbox.put(span(0));
    outbox.finish();

    Outbox::new(&single(&other.url(), Some(spool.path()), json!({}))).unwrap().finish();
    assert_eq!((other.asked().len(), files(spool.path()).len()), (0, 1));
    meant.come_back();
    Outbox::new(&single(&meant.url(), Some(spool.path()), json!({}))).unwrap().finish();
    assert_eq!(numbers(&meant.spans()), [0]);
}

#[test]
fn what_is_spooled_of_one_signal_is_sent_whatever_becomes_of_the_others() {
    let spool = tempfile::tempdir().unwrap();
    let mut collector = Collector::start();
    collector.die();
    let mut outbox = Outbox::new(&single(&collector.url(), Some(spool.path()), json!({}))).unwrap();
    outbox.put(span(0));
    outbox.put(Item::Metrics(vec![a_metric(1)]));
    outbox.finish();
    fs::create_dir(spool.path().join("not-ours-1")).unwrap();

    collector.come_back();
    let without = json!({"signals": {"metrics": false, "logs": false}});
    Outbox::new(&single(&collector.url(), Some(spool.path()), without)).unwrap().finish();
    assert_eq!((numbers(&collector.spans()), collector.asked().len()), (vec![0], 1));
    Outbox::new(&single(&collector.url(), Some(spool.path()), json!({}))).unwrap().finish();
    assert_eq!(collector::metrics(&collector.asked()), [a_metric(1)]);
    assert_eq!(fs::read_dir(spool.path()).unwrap().count(), 1, "what is not ours stays, and gets no lock");
}

#[test]
fn two_that_run_at_once_do_not_send_for_each_other() {
    let spool = tempfile::tempdir().unwrap();
    let mut collector = Collector::start();
    collector.die();
    let effective = single(&collector.url(), Some(spool.path()), json!({"queue": 1}));
    let mut one = Outbox::new(&effective).unwrap();
    (0..5).for_each(|number| one.put(span(number)));
    let other = Outbox::new(&effective).unwrap();
    assert_eq!(count(&other.counters(), "otlp_spool_bytes"), 0);
    other.finish();
    collector.come_back();
    collector.wait_for_spans(5);
    one.finish();
    assert_eq!(collector.spans().len(), 5);
}

const CHILD: &str = "PERIMETER_OTEL_TEST_CHILD";

/// What the process does that is killed in the test below.
#[test]
fn a_process_that_is_killed() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let (url, spool) = told.split_once(' ').unwrap();
    let mut outbox = Outbox::new(&single(url, Some(Path::new(spool)), json!({"queue": 1}))).unwrap();
    (0..20).for_each(|number| outbox.put(span(number)));
    std::process::abort();
}

#[test]
fn a_process_that_is_killed_leaves_everything_that_was_spooled_to_the_next() {
    let spool = tempfile::tempdir().unwrap();
    let mut collector = Collector::start();
    collector.die();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "send::tests::spooled::a_process_that_is_killed"]);
    child.env(CHILD, format!("{} {}", collector.url(), spool.path().display()));
    assert!(!child.output().unwrap().status.success(), "it has killed itself");
    assert_eq!(files(spool.path()).len(), 20);

    collector.come_back();
    let outbox = Outbox::new(&single(&collector.url(), Some(spool.path()), json!({}))).unwrap();
    assert_eq!(numbers(&collector.wait_for_spans(20)), (0..20).collect::<Vec<_>>());
    outbox.finish();
    assert_eq!(fs::read_dir(spool.path()).unwrap().count(), 0);
}
