//! The labelled corpus of sessions, played to the scribe by itself, in a time of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, Response};
use perimeter_interceptor::LlmEvent;
use perimeter_interceptor::host::{Notice, What};

use super::*;
use labelled::scenario::{Ending, Exchange, Scenario, Step};
use labelled::score::{Found, Score, judge};
use labelled::{Dice, interleaved, scenarios, scenarios_of_others};

#[path = "../../tests/corpus/corpus.rs"]
mod labelled;
mod random;

/// Between two steps.
const MOMENT: Duration = Duration::from_millis(40);

/// Whose keys they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keys {
    /// Each scenario has its own.
    Own,
    /// The same name is the same key in all of them.
    Shared,
}

/// A scribe that scenarios are played to, and what it found.
struct Stage<'s> {
    scribe: Scribe,
    now: Instant,
    keys: Keys,
    scenarios: &'s [&'s Scenario],
    found: Vec<Vec<Option<Found>>>,
    /// The last call, and what came of it.
    events: Vec<LlmEvent>,
    /// Where each has got to.
    next: Vec<usize>,
}

impl<'s> Stage<'s> {
    fn new(scenarios: &'s [&'s Scenario], keys: Keys) -> Self {
        let settings = Settings {
            masks: Masks::new(&[1; 32], &config::Mask::default()),
            upstream: "https://h.example".into(),
            session: config::Session::default(),
            body_limit: 1 << 20,
            stall_threshold: config::Observe::default().stall_threshold,
            run: 7,
            interest: Interest::LLM,
            prices: Arc::new(Prices::load(None).unwrap()),
        };
        let (now, memory) = (Instant::now(), Arc::new(Memory::new(1 << 28)));
        let scribe = Scribe::new(settings, memory, Arc::default(), (now, SystemTime::now()));
        let found = scenarios.iter().map(|scenario| vec![None; scenario.exchanges.len()]).collect();
        let next = vec![0; scenarios.len()];
        Self { scribe, now, keys, scenarios, found, events: Vec::new(), next }
    }

    /// Plays the next step of that scenario.
    fn step(&mut self, at: usize) {
        let scenario = self.scenarios[at];
        let step = scenario.steps[self.next[at]];
        self.next[at] += 1;
        let (Step::Begins(number) | Step::Ends(number)) = step;
        let exchange = &scenario.exchanges[number];
        let records = match step {
            Step::Begins(_) => {
                self.pass(Duration::from_secs(exchange.pause));
                begins(exchange, scenario, self.keys)
            }
            Step::Ends(_) => ends(exchange),
        };
        for what in records {
            self.now += MOMENT;
            let record = Record::new((at as u64) << 32 | number as u64, self.now, what);
            let (found, events) = (&mut self.found[at][number], &mut self.events);
            self.scribe.ingest(record, &mut |notice| {
                let Notice::Exchange { what: What::Llm(event), .. } = notice else { return };
                if let LlmEvent::Call(call) = &event {
                    *found = Some(Found::of(call));
                }
                events.push(event);
            });
        }
        self.scribe.tick(self.now, &mut |_| {});
    }

    /// Lets the scribe see time pass, as its thread does.
    fn pass(&mut self, time: Duration) {
        for _ in 0..time.as_secs() / 10 {
            self.now += Duration::from_secs(10);
            self.scribe.tick(self.now, &mut |_| {});
        }
    }
}

fn begins(exchange: &Exchange, scenario: &Scenario, keys: Keys) -> Vec<journal::What> {
    let mut head = Request::builder().method(&*exchange.method).uri(&*exchange.path);
    head = head.header("content-length", exchange.body.len());
    for (name, value) in &exchange.headers {
        let value = match keys {
            Keys::Own => exchange.with_key_of(scenario, value),
            Keys::Shared => value.clone(),
        };
        head = head.header(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
    }
    let head = journal::RequestHead::Parts(Box::new(head.body(()).unwrap().into_parts().0));
    let ip = Ipv4Addr::new(127, 0, 0, exchange.client.ip());
    let client = SocketAddr::new(IpAddr::V4(ip), 50_000);
    vec![journal::What::Request { head, client, span: None }, body(Peer::Client, &exchange.body)]
}

fn body(from: Peer, bytes: &[u8]) -> journal::What {
    match bytes {
        [] => journal::What::Closed { from, end: BodyEnd::COMPLETE, unseen: 0, asked: None },
        bytes => journal::What::Chunk {
            from,
            data: journal::Data::Bytes(Bytes::copy_from_slice(bytes)),
            ends: true,
            asked: None,
        },
    }
}

fn ends(exchange: &Exchange) -> Vec<journal::What> {
    let closed = |end| journal::What::Closed { from: Peer::Upstream, end, unseen: 0, asked: None };
    if exchange.ending == Ending::None {
        return vec![closed(BodyEnd::Aborted)];
    }
    let head = Response::builder().status(exchange.status).header("content-type", exchange.content_type);
    let head = journal::ResponseHead::Parts(Box::new(head.body(()).unwrap().into_parts().0));
    let mut records = vec![journal::What::Response(head)];
    if exchange.ending == Ending::Whole {
        records.push(body(Peer::Upstream, &exchange.answer));
        return records;
    }
    let bytes = Bytes::copy_from_slice(&exchange.answer);
    records.push(journal::What::Chunk {
        from: Peer::Upstream,
        data: journal::Data::Bytes(bytes),
        ends: false,
        asked: None,
    });
    records.push(closed(match exchange.ending {
        Ending::Cut => BodyEnd::Aborted,
        _ => BodyEnd::Failed("connection reset".into()),
    }));
    records
}

/// Each scenario by itself.
fn one_by_one(scenarios: &[Scenario]) -> Score {
    let mut score = Score::default();
    for scenario in scenarios {
        let only = [scenario];
        let mut stage = Stage::new(&only, Keys::Own);
        for _ in &scenario.steps {
            stage.step(0);
        }
        score = score.and(judge(&only, &stage.found));
    }
    score
}

/// All that can be at once, in an order that chance finds.
fn interwoven(scenarios: &[Scenario], keys: Keys, seed: u64) -> Score {
    let scenarios: Vec<&Scenario> = scenarios.iter().filter(|scenario| !scenario.alone).collect();
    let mut stage = Stage::new(&scenarios, keys);
    let steps: Vec<usize> = scenarios.iter().map(|scenario| scenario.steps.len()).collect();
    for at in interleaved(&steps, &mut Dice(seed)) {
        stage.step(at);
    }
    judge(&scenarios, &stage.found)
}

#[test]
fn the_corpus_is_large_and_says_what_each_scenario_is_about() {
    let scenarios = scenarios();
    assert!(scenarios.len() >= 40, "{} scenarios", scenarios.len());
    for scenario in &scenarios {
        assert!(!scenario.about.is_empty(), "{}", scenario.name);
        assert!(!scenario.exchanges.is_empty(), "{}", scenario.name);
    }
}

/// With one key for all, an opening that is in two scenarios could not be told apart by anybody.
#[test]
fn no_two_scenarios_send_the_same() {
    let mut seen = std::collections::HashMap::new();
    for scenario in &scenarios() {
        for exchange in &scenario.exchanges {
            let earlier = seen.insert(&exchange.body, &scenario.name).filter(|_| !exchange.body.is_empty());
            assert!(earlier.is_none_or(|name| *name == scenario.name), "{earlier:?} and {}", scenario.name);
        }
    }
}

/// What is played here is what the dialects read: each request whole, and each answer as it was meant.
#[test]
fn every_call_is_read_as_it_was_meant() {
    for scenario in &scenarios() {
        for exchange in &scenario.exchanges {
            let only = [scenario];
            let mut stage = Stage::new(&only, Keys::Own);
            for what in begins(exchange, scenario, Keys::Own).into_iter().chain(ends(exchange)) {
                let record = Record::new(1, stage.now, what);
                stage.scribe.ingest(record, &mut |notice| {
                    if let Notice::Exchange { what: What::Llm(event), .. } = notice {
                        stage.events.push(event);
                    }
                });
            }
            let place = format!("{}:{}", scenario.name, exchange.id);
            let [LlmEvent::Call(call), .., end] = &*stage.events else {
                assert_eq!(
                    (stage.events.len(), exchange.ending),
                    (1, Ending::None),
                    "{place}: {:?}",
                    stage.events
                );
                continue;
            };
            assert!(!call.partial, "{place}: {call:?}");
            let texts = |answers: &[perimeter_interceptor::Answer]| -> Vec<String> {
                answers.iter().map(perimeter_interceptor::Answer::text).collect()
            };
            match (exchange.ending, end) {
                (Ending::Whole, LlmEvent::Failure(failure)) => {
                    assert_eq!(failure.status, exchange.status, "{place}")
                }
                (Ending::Whole, LlmEvent::Completion(completion)) if exchange.status < 400 => {
                    if !exchange.says.is_empty() {
                        assert_eq!(texts(&completion.answers), exchange.says, "{place}");
                    }
                }
                (Ending::Cut | Ending::Broken, LlmEvent::Cut(said)) => {
                    assert_eq!(texts(&said.answers), exchange.says, "{place}");
                }
                other => panic!("{place}: {other:?}"),
            }
        }
    }
}

/// How well it goes, for people. That no call is missing is the least of it.
#[test]
#[expect(clippy::print_stderr, reason = "it is asked for")]
fn sessions_corpus() {
    let score = one_by_one(&scenarios());
    eprintln!("each scenario by itself: {score}");
    assert_eq!(score.missing(), Vec::<String>::new());
}

#[test]
fn each_scenario_is_recognised_by_itself() {
    one_by_one(&scenarios()).assert_good("each by itself");
}

#[test]
fn the_scenarios_are_recognised_among_each_other() {
    let scenarios = scenarios();
    for seed in 0..16 {
        for keys in [Keys::Own, Keys::Shared] {
            interwoven(&scenarios, keys, seed).assert_good(&format!("{keys:?} keys, seed {seed}"));
        }
    }
}

/// Each says all that somebody else says, too, and is answered alike, at the same time: with another key or, with one
/// key for both, from another address.
#[test]
fn nobody_is_taken_for_somebody_who_says_the_same() {
    let mut scenarios = scenarios();
    scenarios.extend(scenarios_of_others());
    for seed in 0..8 {
        for keys in [Keys::Own, Keys::Shared] {
            interwoven(&scenarios, keys, seed).assert_good(&format!("{keys:?} keys, seed {seed}"));
        }
    }
}

/// People who say much the same, at once, and are told apart all the same.
#[test]
fn conversations_that_chance_makes_are_recognised() {
    for seed in 100..106 {
        let talks = random::talks(seed, 30);
        interwoven(&talks, Keys::Shared, seed).assert_good(&format!("made by chance, seed {seed}"));
    }
}
