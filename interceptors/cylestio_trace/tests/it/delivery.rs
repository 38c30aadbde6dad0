//! What becomes of events where the platform does not simply take them.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use perimeter_cylestio_trace::CylestioTrace;
use perimeter_interceptor::testing::{Script, play, scenes};
use perimeter_recorder::TestRecorder;
use serde_json::json;

use crate::platform::{Platform, Reply, after, status};
use crate::scene::{Hired, call, logged, quick, settings, trace, until};

/// A door that requests wait at.
#[derive(Clone, Default)]
struct Door(Arc<(Mutex<bool>, Condvar)>);

impl Door {
    fn pass(&self) {
        let mut open = self.0.0.lock().unwrap();
        while !*open {
            open = self.0.1.wait(open).unwrap();
        }
    }

    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

#[test]
fn what_may_pass_is_tried_three_times() {
    for busy in [429, 502, 503, 504] {
        let platform = Platform::taking(move |_, tries| status(if tries < 3 { busy } else { 200 }));
        play(trace(&platform), call("s")).assert_faultless();
        let events = platform.events();
        assert_eq!(events.len(), 9);
        // The second event does not overtake the first.
        let names: Vec<_> = events.iter().step_by(3).map(|event| event.name()).collect();
        assert_eq!(names, ["session.start", "llm.call.start", "llm.call.finish"]);
        assert!(events.chunks(3).all(|tries| tries.iter().all(|event| event.body == tries[0].body)));
    }
}

#[test]
fn what_fails_three_times_is_lost_and_counted_and_said_once() {
    let platform = Platform::taking(|_, _| status(504));
    let mut hired = Hired::new(trace(&platform));
    hired.tell(call("s"));
    hired.wait(0, 3);
    assert_eq!((platform.events().len(), hired.count("queue_bytes")), (9, 0));
    let stopped = hired.stop().unwrap_err();
    assert!(stopped.contains("Undelivered(3)"), "{stopped}");
    assert_eq!(logged().matches("the platform answers 504").count(), 1);
}

#[test]
fn what_is_refused_is_not_sent_again_and_said_once() {
    let refused = [400, 404, 413, 422, 500, 302];
    for refusal in refused {
        let platform = Platform::taking(move |_, _| {
            Reply::Answer(refusal, Some(("Location", "http://127.0.0.1:9/".to_owned())), String::new())
        });
        let mut hired = Hired::new(trace(&platform));
        hired.tell(call("s"));
        hired.wait(0, 3);
        assert_eq!(platform.events().len(), 3);
        assert!(hired.stop().is_err());
    }
    assert_eq!(logged().matches("the platform refuses it with 422").count(), 1);
}

#[test]
fn a_throttled_platform_is_left_alone_as_long_as_it_says() {
    let platform = Platform::taking(|_, tries| if tries == 1 { after(429, "1") } else { status(200) });
    let began = Instant::now();
    let mut hired = Hired::new(trace(&platform));
    hired.tell(call("s"));
    hired.wait(3, 0);
    assert!(began.elapsed() >= Duration::from_secs(3), "a second for each event");
    assert_eq!(platform.events().len(), 6);
    hired.stop().unwrap();
}

#[test]
fn a_platform_that_dies_and_comes_back_gets_everything() {
    let platform = Platform::taking(|_, tries| if tries < 3 { Reply::Die } else { status(200) });
    let mut hired = Hired::new(trace(&platform));
    hired.tell(call("s"));
    hired.wait(3, 0);
    hired.stop().unwrap();
}

#[test]
fn a_platform_that_is_away_for_long_loses_events_and_gets_the_later_ones() {
    let is_away = Arc::new(AtomicBool::new(true));
    let away = Arc::clone(&is_away);
    let platform = Platform::start(move |request, _| match away.load(SeqCst) {
        true => Reply::Die,
        false if request.is_exchange() => crate::platform::token("one", 3_600),
        false => status(200),
    });
    let mut hired = Hired::new(trace(&platform));
    hired.tell(call("s"));
    hired.wait(0, 3);
    is_away.store(false, SeqCst);
    hired.tell(call("t"));
    hired.wait(3, 3);
    assert!(platform.events().iter().all(|event| event.session() == "t"));
    assert!(hired.stop().is_err());
}

#[test]
fn where_nobody_listens_events_are_lost_and_nothing_hangs() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let platform = Platform::taking(|_, _| status(200));
    let settings = settings(&platform, json!({"api_url": format!("http://{gone}")}));
    let mut hired = Hired::new(CylestioTrace::with_schedule(settings, quick()).unwrap().interceptor());
    hired.tell(call("s"));
    hired.wait(0, 3);
    assert!(hired.stop().is_err());
}

#[test]
fn a_platform_that_shows_no_certificate_is_told_nothing() {
    let platform = Platform::taking(|_, _| status(200));
    let url = platform.url().replace("http:", "https:");
    let settings = settings(&platform, json!({"api_url": url, "descope_base_url": url}));
    let mut hired = Hired::new(CylestioTrace::with_schedule(settings, quick()).unwrap().interceptor());
    hired.tell(call("s"));
    hired.wait(0, 3);
    assert!(platform.seen().is_empty());
    assert!(hired.stop().is_err());
}

#[test]
fn a_platform_that_does_not_answer_in_time_is_tried_again() {
    let door = Door::default();
    let waiting = door.clone();
    let platform = Platform::taking(move |_, tries| {
        if tries == 1 {
            waiting.pass();
        }
        status(200)
    });
    let settings = settings(&platform, json!({"timeout": "2s"}));
    let mut hired = Hired::new(CylestioTrace::with_schedule(settings, quick()).unwrap().interceptor());
    hired.tell(call("s"));
    until(|| platform.events().len() >= 2);
    let names: Vec<_> = platform.events().iter().map(|event| event.name()).collect();
    assert_eq!(names[..2], ["session.start", "session.start"]);
    door.open();
    let _ = hired.stop();
}

#[test]
fn a_slow_platform_keeps_nobody_waiting_but_the_stop() {
    let door = Door::default();
    let waiting = door.clone();
    let platform = Platform::taking(move |_, _| {
        waiting.pass();
        status(200)
    });
    let mut hired = Hired::new(trace(&platform));
    for number in 0..30 {
        hired.tell(call(&format!("s{number}")));
    }
    until(|| platform.events().len() == 10);
    assert_eq!(hired.count("sent_total"), 0);
    assert!(hired.count("queue_bytes") > 0);
    door.open();
    hired.stop().unwrap();
    assert_eq!(platform.events().len(), 90);
}

#[test]
fn sessions_go_side_by_side_and_each_in_its_own_order() {
    let going = Arc::new(Mutex::new(BTreeMap::<String, usize>::new()));
    let (most, busiest) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (inside, at_once, of_one) = (Arc::clone(&going), Arc::clone(&most), Arc::clone(&busiest));
    // Nobody is answered before ten are there, or all but the last few are through.
    let meeting = Arc::new((Mutex::new(0), Condvar::new()));
    let platform = Platform::taking(move |request, tries| {
        let session = request.session();
        {
            let mut inside = inside.lock().unwrap();
            *inside.entry(session.clone()).or_default() += 1;
            at_once.fetch_max(inside.len(), SeqCst);
            of_one.fetch_max(inside[&session], SeqCst);
        }
        let mut arrived = meeting.0.lock().unwrap();
        *arrived += 1;
        meeting.1.notify_all();
        if *arrived <= 10 {
            while *arrived < 10 {
                arrived = meeting.1.wait(arrived).unwrap();
            }
        }
        drop(arrived);
        let mut inside = inside.lock().unwrap();
        let left = inside.get_mut(&session).unwrap();
        *left -= 1;
        if *left == 0 {
            inside.remove(&session);
        }
        // Some are held up, and their sessions with them.
        status(if tries == 1 && request.body.len() % 3 == 0 { 503 } else { 200 })
    });
    let sessions = || (0..15).map(|number| scenes::conversation().in_session(&format!("s{number}")));
    let script = || Script::new().together(sessions()).together(sessions());
    play(trace(&platform), script()).assert_faultless();
    let recorder = TestRecorder::default();
    play(recorder.interceptor(), script()).assert_faultless();
    assert_eq!((most.load(SeqCst), busiest.load(SeqCst)), (10, 1));
    for session in recorder.sessions() {
        let of_session = platform.events().into_iter().filter(|event| event.session() == *session);
        let mut came: Vec<_> = of_session.map(|event| event.event()).collect();
        came.dedup();
        assert_eq!(came, recorder.by_session(&session));
    }
}

#[test]
fn what_there_is_no_room_for_is_lost_and_counted() {
    let door = Door::default();
    let waiting = door.clone();
    let platform = Platform::taking(move |_, _| {
        waiting.pass();
        status(200)
    });
    let settings = settings(&platform, json!({"queue": "10KiB"}));
    let mut hired = Hired::new(CylestioTrace::with_schedule(settings, quick()).unwrap().interceptor());
    for number in 0..100 {
        hired.tell(call(&format!("s{number}")));
        assert!(hired.count("queue_bytes") <= 10 << 10);
    }
    let lost = hired.count("lost_total");
    assert!(lost > 200, "{lost}");
    door.open();
    hired.wait(300 - lost, lost);
    hired.tell(call("later"));
    hired.wait(303 - lost, lost);
    assert!(hired.stop().is_err());
}

#[test]
fn a_stop_sends_what_waits_however_often_it_must_be_tried() {
    let platform = Platform::taking(|_, tries| status(if tries < 3 { 503 } else { 200 }));
    let mut hired = Hired::new(trace(&platform));
    for number in 0..25 {
        hired.tell(call(&format!("s{number}")));
    }
    hired.stop().unwrap();
    assert_eq!(platform.events().len(), 225);
}

#[test]
fn one_that_is_dropped_still_sends_what_it_has() {
    let platform = Platform::taking(|_, _| status(200));
    let mut hired = Hired::new(trace(&platform));
    hired.tell(call("s"));
    drop(hired);
    until(|| platform.events().len() == 3);
}
