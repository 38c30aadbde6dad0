use std::sync::Mutex;
use std::time::Instant;

use perimeter_interceptor::host::Desk;
use perimeter_interceptor::testing::{Recorder, Scene, Script, breaches, scenes};
use perimeter_interceptor::{Cx, End, RequestHead, Result, SessionEnd};
use proptest::prelude::*;

use super::*;
use crate::scribe::task::BEAT;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn crew(mailbox: usize, memory: usize) -> (Crew, Arc<Memory>) {
    let memory = Arc::new(Memory::new(memory));
    (Crew::new(mailbox, memory.clone()), memory)
}

/// Seats somebody whose work the test does itself, when it likes.
fn seat(crew: &mut Crew, interest: Interest) -> (Worker, Arc<Gauge>) {
    let gauge = Arc::new(Gauge::new("seated", crew.mailbox, Vec::new()));
    let (mailbox, inbox) = mpsc::channel();
    crew.seat(interest, gauge.clone(), mailbox);
    (Worker { inbox, gauge: gauge.clone() }, gauge)
}

fn tell_all(crew: &mut Crew, script: &Script) {
    script.notices().iter().for_each(|notice| crew.tell(notice));
    crew.post();
}

/// An exchange in whose request so many bytes come at a time.
fn upload(chunks: &[usize]) -> Scene {
    let begun = Scene::post("/v1/files");
    let sent = chunks.iter().fold(begun, |scene, chunk| scene.request_chunk(vec![b'x'; *chunk]));
    sent.request_end(perimeter_interceptor::BodyEnd::COMPLETE).response(200).end()
}

fn scene(exchanges: usize) -> Script {
    (0..exchanges).map(|_| upload(&[10])).collect()
}

fn ends(notices: &[Notice]) -> Vec<End> {
    let end = |notice: &Notice| match notice {
        Notice::Exchange { what: What::End(end), .. } => Some(end.clone()),
        _ => None,
    };
    notices.iter().filter_map(end).collect()
}

/// Waits for what another thread does.
#[track_caller]
fn until(done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "it did not come");
        thread::yield_now();
    }
}

fn all_leave(leaving: Vec<Leaving>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let left = runtime.block_on(dismiss(leaving, PATIENCE));
    assert!(left.is_empty(), "{left:?} are still there");
}

/// What is told of each exchange must be what was said, less what can be lost from some point on, and that counted.
#[track_caller]
fn check_told(said: &[Notice], told: &[Notice], interest: Interest) {
    assert_eq!(breaches(told), [""; 0]);
    let of = |notices: &[Notice], id| -> Vec<What> {
        let of_exchange = |notice: &Notice| match notice {
            Notice::Exchange { exchange, what, .. } if exchange.id == id && interest.wants(what) => {
                Some(what.clone())
            }
            _ => None,
        };
        notices.iter().filter_map(of_exchange).collect()
    };
    let ids = told.iter().filter_map(|notice| match notice {
        Notice::Exchange { exchange, what: What::RequestHead(_), .. } => Some(exchange.id),
        _ => None,
    });
    for id in ids {
        let (said, mut told) = (of(said, id), of(told, id));
        // In place of a call that did not fit stands one without its content.
        let is_whole = |what: &What| match what {
            What::Llm(LlmEvent::Call(call)) => !call.partial || said.contains(what),
            _ => true,
        };
        told.retain(is_whole);
        let kept = told.iter().filter(|what| loses(what).is_some()).count();
        let (mut expected, mut lossy, mut unseen) = (Vec::new(), 0, Unseen::default());
        for mut what in said {
            if let Some((from, bytes)) = loses(&what) {
                lossy += 1;
                if lossy > kept {
                    unseen.add(from, bytes as u64);
                    continue;
                }
            }
            if let What::End(end) = &mut what {
                end.unseen.add(Peer::Client, unseen.client);
                end.unseen.add(Peer::Upstream, unseen.upstream);
            }
            expected.push(what);
        }
        assert_eq!(told, expected);
    }
}

proptest! {
    #[test]
    fn an_exchange_is_told_whole_or_as_a_true_prefix_or_not_at_all(
        seed in any::<u64>(),
        mailbox in 500_usize..60_000,
        memory in 500_usize..120_000,
        interest in prop::sample::select(vec![
            Interest::ALL, Interest::NONE, Interest::LLM, Interest::RESPONSE_CHUNKS | Interest::REQUEST_CHUNKS,
        ]),
        posts in prop::collection::vec(any::<bool>(), 1..20),
    ) {
        let (mut crew, memory) = crew(mailbox, memory);
        let (worker, gauge) = seat(&mut crew, interest);
        let said = Script::new().shuffled(seed, scenes::all()).notices();
        for (notice, post) in said.iter().zip(posts.iter().cycle()) {
            let before = (gauge.held.load(Relaxed), memory.used());
            crew.tell(notice);
            let after = (gauge.held.load(Relaxed), memory.used());
            if let Notice::Exchange { what, .. } = notice
                && after != before
                && (loses(what).is_some() || matches!(what, What::RequestHead(_)))
            {
                let weight = after.1 - before.1;
                let capacity = if weight > mailbox / 64 { mailbox - mailbox / 8 } else { mailbox };
                let is_oversize = weight > mailbox - mailbox / 8;
                prop_assert!((is_oversize && before.0 <= mailbox / 64) || after.0 <= capacity, "{weight} more make {} of {mailbox}", after.0);
                prop_assert!(after.1 <= memory.limit());
            }
            if *post {
                crew.post();
            }
        }
        crew.post();
        let heads = said.iter().filter(|notice| {
            matches!(notice, Notice::Exchange { what: What::RequestHead(_), .. })
        });
        let heads = heads.count() as u64;
        prop_assert!(crew.members[0].told.is_empty());
        drop(crew);
        let recorder = Recorder::of(interest);
        worker.work(Desk::new(recorder.clone(), interest));
        let told = recorder.notices();
        check_told(&said, &told, interest);
        prop_assert_eq!(ends(&told).len() as u64 + gauge.refused.load(Relaxed), heads);
        prop_assert_eq!((gauge.held.load(Relaxed), memory.used()), (0, 0));
    }
}

#[test]
fn once_something_was_lost_nothing_that_follows_is_told_though_it_would_fit() {
    let (mut crew, memory) = crew(20_000, 1 << 20);
    let (worker, gauge) = seat(&mut crew, Interest::ALL);
    tell_all(&mut crew, &Script::from(upload(&[100, 30_000, 1])));
    // Another exchange is told as if nothing had happened.
    tell_all(&mut crew, &Script::from(upload(&[7])));
    drop(crew);
    let recorder = Recorder::new();
    worker.work(Desk::new(recorder.clone(), Interest::ALL));
    let unseen: Vec<_> = ends(&recorder.notices()).iter().map(|end| end.unseen.client).collect();
    assert_eq!(unseen, [30_001, 0]);
    assert_eq!((gauge.unseen.load(Relaxed), memory.used()), (30_001, 0));
}

#[test]
fn the_ends_of_sessions_are_bounded_too() {
    let (mut crew, memory) = crew(40_000, 1 << 20);
    let (worker, gauge) = seat(&mut crew, Interest::ALL);
    for number in 0..1_000 {
        crew.tell(&Notice::SessionEnd(Arc::new(SessionEnd::new(number.to_string(), 1, Duration::ZERO))));
    }
    assert!((39_000..=40_000).contains(&gauge.held.load(Relaxed)));
    crew.post();
    drop(crew);
    let recorder = Recorder::new();
    worker.work(Desk::new(recorder.clone(), Interest::ALL));
    assert_eq!((recorder.notices().len(), memory.used()), (78, 0));
}

#[test]
fn the_last_eighth_of_a_mailbox_is_for_small_notices() {
    let (mut crew, _) = crew(64 * 1024, 1 << 20);
    let (worker, _) = seat(&mut crew, Interest::ALL);
    tell_all(&mut crew, &Script::from(upload(&[27_000, 2_000])));
    tell_all(&mut crew, &Script::from(upload(&[300])));
    drop(crew);
    let recorder = Recorder::new();
    worker.work(Desk::new(recorder.clone(), Interest::ALL));
    let unseen: Vec<_> = ends(&recorder.notices()).iter().map(|end| end.unseen.client).collect();
    assert_eq!(unseen, [2_000, 0]);
}

/// Waits in its first callback until it is let go.
struct Stuck(mpsc::Receiver<()>);

impl Interceptor for Stuck {
    type State = ();

    fn on_request_head(&mut self, _: Cx<'_>, _: &RequestHead) -> Result<Option<()>> {
        // Disconnected from then on.
        let _ = self.0.recv();
        Ok(Some(()))
    }
}

#[test]
fn one_that_is_stuck_loses_its_own_view_and_nobody_elses() {
    let (mut crew, memory) = crew(8_000, 1 << 20);
    let (go_on, gate) = mpsc::channel();
    let recorder = Recorder::new();
    let leaving =
        vec![crew.hire("stuck", Stuck(gate)).unwrap(), crew.hire("recorder", recorder.clone()).unwrap()];
    let [stuck, at_work] = &crew.gauges()[..] else { unreachable!() };
    for exchange in 1..=100 {
        tell_all(&mut crew, &Script::from(upload(&[100, 200])));
        recorder.wait_for_ends(exchange, PATIENCE);
        until(|| at_work.held.load(Relaxed) == 0);
    }
    assert!(stuck.refused.load(Relaxed) > 50 && stuck.held.load(Relaxed) > 4_000);
    assert!(memory.used() < 12_000, "{}", memory.used());
    assert!(ends(&recorder.notices()).iter().all(|end| end.unseen.total() == 0));
    assert_eq!((at_work.refused.load(Relaxed), at_work.unseen.load(Relaxed)), (0, 0));
    drop((go_on, crew));
    all_leave(leaving);
    assert_eq!((stuck.held.load(Relaxed), memory.used()), (0, 0));
}

#[test]
fn one_that_is_still_busy_when_time_is_up_is_left_behind_and_named() {
    let (mut crew, memory) = crew(1 << 20, 1 << 20);
    let (go_on, gate) = mpsc::channel();
    let mut leaving =
        vec![crew.hire("stuck", Stuck(gate)).unwrap(), crew.hire("recorder", Recorder::new()).unwrap()];
    tell_all(&mut crew, &scene(1));
    drop(crew);
    all_leave(leaving.split_off(1));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let left = runtime.block_on(dismiss(leaving, Duration::ZERO));
    assert_eq!(left, ["stuck".into()]);
    drop(go_on);
    until(|| memory.used() == 0);
}

/// Panics at each head; its drop panics too.
struct Panics;

impl Interceptor for Panics {
    type State = ();

    fn on_request_head(&mut self, _: Cx<'_>, _: &RequestHead) -> Result<Option<()>> {
        panic!("at a head")
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        panic!("at the end")
    }
}

#[test]
fn ten_panics_retire_an_interceptor_and_nobody_else() {
    let (mut crew, memory) = crew(1 << 20, 1 << 20);
    let recorder = Recorder::new();
    let leaving =
        vec![crew.hire("panics", Panics).unwrap(), crew.hire("recorder", recorder.clone()).unwrap()];
    let panics = crew.gauges()[0].clone();
    tell_all(&mut crew, &scene(9));
    until(|| panics.held.load(Relaxed) == 0);
    assert!(!panics.retired.load(Relaxed));
    tell_all(&mut crew, &scene(1));
    until(|| panics.retired.load(Relaxed));
    until(|| panics.held.load(Relaxed) == 0);
    scene(5).notices().iter().for_each(|notice| crew.tell(notice));
    crew.tell(&Notice::SessionEnd(Arc::new(SessionEnd::new("s", 1, Duration::ZERO))));
    assert_eq!(panics.held.load(Relaxed), 0, "it is told nothing any more");
    assert!(crew.members[0].told.is_empty());
    crew.post();
    drop(crew);
    all_leave(leaving);
    assert_eq!(ends(&recorder.notices()).len(), 15);
    // The eleventh is that of its own end.
    assert_eq!((panics.panics.load(Relaxed), memory.used()), (11, 0));
}

/// Fails at each end.
struct Fails(Arc<Mutex<u32>>);

impl Fails {
    fn fail(&self) -> Result {
        *self.0.lock().unwrap() += 1;
        Err("no".into())
    }
}

impl Interceptor for Fails {
    type State = ();

    fn on_request_head(&mut self, _: Cx<'_>, _: &RequestHead) -> Result<Option<()>> {
        Ok(Some(()))
    }

    fn on_end(&mut self, _: Cx<'_>, (): (), _: &End) -> Result {
        self.fail()
    }

    fn on_shutdown(self) -> Result {
        self.fail()
    }
}

#[test]
fn errors_are_counted_and_change_nothing() {
    let (mut crew, memory) = crew(1 << 20, 1 << 20);
    let (worker, gauge) = seat(&mut crew, Interest::ALL);
    tell_all(&mut crew, &scene(30));
    drop(crew);
    let called = Arc::default();
    worker.work(Desk::new(Fails(Arc::clone(&called)), Interest::ALL));
    assert_eq!((*called.lock().unwrap(), gauge.errors.load(Relaxed)), (31, 31));
    assert!(!gauge.retired.load(Relaxed));
    assert_eq!((gauge.held.load(Relaxed), memory.used()), (0, 0));
}

#[test]
fn what_a_thread_that_is_gone_had_not_taken_holds_no_memory() {
    let (mut crew, memory) = crew(1 << 20, 1 << 20);
    let (worker, gauge) = seat(&mut crew, Interest::ALL);
    tell_all(&mut crew, &scene(3));
    assert!(memory.used() > 0 && gauge.held.load(Relaxed) == memory.used());
    drop(worker);
    assert_eq!((gauge.held.load(Relaxed), memory.used()), (0, 0));
    tell_all(&mut crew, &scene(3));
    assert_eq!((gauge.held.load(Relaxed), memory.used()), (0, 0));
    assert!(gauge.retired.load(Relaxed));
}

/// Tells what was called.
struct Beats(mpsc::Sender<&'static str>, Duration);

impl Interceptor for Beats {
    type State = ();

    fn on_request_head(&mut self, _: Cx<'_>, _: &RequestHead) -> Result<Option<()>> {
        Ok(Some(()))
    }

    fn on_end(&mut self, _: Cx<'_>, (): (), _: &End) -> Result {
        thread::sleep(std::mem::take(&mut self.1));
        Ok(self.0.send("end")?)
    }

    fn on_idle(&mut self) -> Result {
        Ok(self.0.send("idle")?)
    }

    fn on_shutdown(self) -> Result {
        Ok(self.0.send("shutdown")?)
    }
}

#[test]
fn whoever_has_nothing_to_do_may_write_out_what_it_holds_at_once_and_again_and_again() {
    let (mut crew, _) = crew(1 << 20, 1 << 20);
    let (called, calls) = mpsc::channel();
    let leaving = vec![crew.hire("beats", Beats(called, Duration::ZERO)).unwrap()];
    let next = || calls.recv_timeout(PATIENCE).unwrap();
    assert_eq!([next(), next()], ["idle"; 2]);
    tell_all(&mut crew, &scene(1));
    while next() != "end" {}
    assert_eq!(next(), "idle");
    drop(crew);
    all_leave(leaving);
    assert_eq!(calls.iter().last(), Some("shutdown"));
}

#[test]
fn whoever_always_has_something_to_do_may_write_out_what_it_holds_at_each_beat() {
    let (mut crew, _) = crew(1 << 20, 1 << 20);
    let (worker, _) = seat(&mut crew, Interest::ALL);
    tell_all(&mut crew, &scene(1));
    tell_all(&mut crew, &scene(2));
    drop(crew);
    let (called, calls) = mpsc::channel();
    worker.work(Desk::new(Beats(called, BEAT), Interest::ALL));
    let calls: Vec<_> = calls.iter().collect();
    assert_eq!(calls[..2], ["end", "idle"]);
    assert_eq!(calls.iter().filter(|call| **call == "end").count(), 3);
    assert_eq!(calls.last(), Some(&"shutdown"));
}
