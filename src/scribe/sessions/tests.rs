//! Sessions, their calls told one by one.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::SystemTime;

use perimeter_interceptor::{
    Answer, ApiFailure, CallId, Completion, Exchange, LlmEvent, Part, Relation, Role, Session, Turn,
};

use super::*;
use crate::dialect::{Asked, Dialect, News, Prompt};
use crate::scribe::caller::Caller;
use crate::scribe::names::Names;

mod parts;
mod random;

/// Sessions that calls are made in.
struct Stage {
    sessions: Sessions,
    start: Instant,
    now: Instant,
    exchanges: u128,
    ends: Vec<SessionEnd>,
}

/// Who makes a call, and how.
#[derive(Clone, Copy, Debug)]
struct Way {
    credential: u64,
    address: u8,
    name: Option<&'static str>,
    operation: Operation,
}

const CHAT: Way = Way { credential: 1, address: 1, name: None, operation: Operation::Chat };

impl Way {
    fn named(name: &'static str) -> Self {
        Self { name: Some(name), ..CHAT }
    }
}

/// A call that was made, and is not over.
struct Made {
    exchange: Exchange,
    session: Session,
    ticket: Ticket,
}

impl Stage {
    fn new(config: &config::Session) -> Self {
        let (sessions, now) = (Sessions::new(config, Arc::new(Memory::new(1 << 20))), Instant::now());
        Self { sessions, start: now, now, exchanges: 0, ends: Vec::new() }
    }

    fn by_default() -> Self {
        Self::new(&config::Session::default())
    }

    fn at(&mut self, seconds: u64) {
        self.now = self.start + Duration::from_secs(seconds);
    }

    fn exchange(&mut self, way: Way) -> Exchange {
        self.exchanges += 1;
        let client = (Ipv4Addr::new(127, 0, 0, way.address), 1).into();
        let mut exchange =
            Exchange::new(ExchangeId::new(self.exchanges), SystemTime::UNIX_EPOCH, client, "u");
        exchange.labels.session = way.name.map(Into::into);
        exchange
    }

    fn call(&mut self, way: Way, turns: &[Turn]) -> Made {
        let exchange = self.exchange(way);
        self.call_of(exchange, 0, way, turns)
    }

    /// Another call of an exchange.
    fn call_of(&mut self, exchange: Exchange, call: u64, way: Way, turns: &[Turn]) -> Made {
        let caller = Caller {
            credential: Some(way.credential),
            address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, way.address)),
            program: 1,
            client: None,
            names: Names::default(),
        };
        let asked = Asked {
            dialect: Dialect::OpenAiChat,
            operation: way.operation,
            vendor: "openai",
            model: None,
            streaming: false,
            has_body: true,
            downloads: false,
        };
        let prompt = Prompt { turns: turns.to_vec(), ..Prompt::default() };
        let news = News::all(&asked, self.sessions.seed(), prompt);
        let ask = Ask::new(&exchange, &caller, CallId(call.try_into().unwrap()), &asked, &news);
        let found = self.sessions.find(self.now, &ask);
        let known = self.sessions.known(&ask, &found);
        assert!(known.messages <= turns.len());
        let (session, ticket) = self.sessions.attach(self.now, &ask, found, &mut |end| self.ends.push(end));
        Made { exchange, session, ticket }
    }

    fn answer(&mut self, made: &Made, texts: &[&str]) {
        let said = LlmEvent::Completion(Arc::new(saying(texts)));
        assert!(self.sessions.heard(self.now, &made.ticket, &said));
    }

    /// Calls, and is answered.
    fn turn(&mut self, way: Way, turns: &mut Vec<Turn>, answer: &str) -> Session {
        let made = self.call(way, turns);
        self.answer(&made, &[answer]);
        turns.push(turn(Role::Assistant, answer));
        made.session
    }

    fn tick(&mut self) {
        self.sessions.expire(self.now, &mut |end| self.ends.push(end));
    }

    fn close(&mut self) {
        self.sessions.close(&mut |end| self.ends.push(end));
    }

    fn told(&mut self) -> Vec<(String, u32)> {
        self.ends.drain(..).map(|end| (end.id.to_string(), end.calls)).collect()
    }
}

fn turn(role: Role, text: &str) -> Turn {
    Turn::new(role, vec![Part::Text(text.into())])
}

fn user(text: &str) -> Turn {
    turn(Role::User, text)
}

fn saying(texts: &[&str]) -> Completion {
    let mut said = Completion::new(CallId(0));
    for (choice, text) in (0..).zip(texts) {
        let mut answer = Answer::new(choice);
        answer.parts = vec![Part::Text((*text).into())];
        said.answers.push(answer);
    }
    said
}

impl Sessions {
    /// The index, the trees and the table agree with each other, and are as large as they may be.
    fn check(&self) {
        let key = |at| self.key(at);
        let mut entries = HashMap::<(u32, u8, u64), u8>::new();
        for at in self.index.iter() {
            assert_ne!(key(at), 0, "{at:?} is of no call");
            assert!(self.index.find(key(at), &key).any(|found| found == at), "{at:?} is not found");
            let times = entries.entry((at.session, at.node, at.by as u64)).or_default();
            *times += 1;
            assert_eq!(*times, 1, "{at:?} is there twice");
        }
        let is_held = |slot: &u32| self.state(*slot).is_some();
        let slots: HashSet<u32> = (0..u32::try_from(self.held.len()).unwrap()).filter(is_held).collect();
        let listed: Vec<u32> = self.lively.iter().chain(self.quiet.iter()).collect();
        assert_eq!(listed.iter().copied().collect::<HashSet<_>>(), slots);
        assert_eq!(listed.len(), slots.len());
        assert_eq!(self.free.iter().collect::<HashSet<_>>().len() + slots.len(), self.held.len());
        assert!(!self.free.iter().any(is_held));
        for slot in slots {
            let state = self.state(slot).unwrap();
            assert_eq!(state.ended, self.quiet.iter().any(|other| other == slot));
            assert_eq!(state.told, self.by_name.get(&state.id, &self.seed) == Some(slot));
            assert!(u32::from(state.threads) <= state.calls && state.failed <= state.calls);
            assert!(state.open == 0 || !state.ended);
            assert!(state.tree.iter().count() <= tree::MOST);
            for (node, it) in state.tree.iter() {
                assert!(it.parent < it.call && it.call <= state.calls, "{it:?}");
                // What there are more of than are told apart is not all found.
                let is_found = |by: By| {
                    let at = At { session: slot, node, by };
                    let alike = || self.index.find(key(at), &key).count();
                    entries.contains_key(&(slot, node, by as u64)) || alike() >= index::ALIKE
                };
                assert!(it.answered == 0 || is_found(By::Answered), "{it:?}");
            }
        }
        let told = |slot: &u32| self.state(*slot).is_some_and(|state| state.told);
        assert!(self.by_name.places().all(told));
    }

    fn open(&self) -> u32 {
        self.held.iter().flatten().map(|state| state.open).sum()
    }
}

#[test]
fn a_named_session_counts_its_calls_and_ends_once_for_each_silence() {
    let mut stage = Stage::by_default();
    for (seconds, name, call) in [(0, "a", 1), (1, "b", 1), (5, "a", 2)] {
        stage.at(seconds);
        let session = stage.turn(Way::named(name), &mut vec![user("Hello")], "Hi");
        assert_eq!((&*session.id, session.told, session.call), (name, true, call));
        assert_eq!(session.is_new, call == 1);
    }
    for seconds in [30, 33, 34, 36, 100] {
        stage.at(seconds);
        stage.tick();
        stage.sessions.check();
    }
    assert_eq!(stage.told(), [("b".into(), 1), ("a".into(), 2)]);
    stage.at(200);
    let session = stage.turn(Way::named("a"), &mut vec![user("Hello")], "Hi");
    assert_eq!((session.call, session.is_new), (3, false));
    stage.close();
    assert_eq!(stage.ends[0].lasted, Duration::from_secs(200));
    assert_eq!(stage.told(), [("a".into(), 3)], "the end of b was told already");
}

#[test]
fn a_session_is_not_over_while_a_call_is_being_answered() {
    let mut stage = Stage::by_default();
    let made = stage.call(CHAT, &[user("Hello")]);
    for seconds in [40, 9000] {
        stage.at(seconds);
        stage.tick();
    }
    stage.answer(&made, &["Hi"]);
    stage.at(9029);
    stage.tick();
    assert_eq!(stage.told(), []);
    stage.at(9031);
    stage.tick();
    let [end] = &*stage.ends else { panic!("{:?}", stage.ends) };
    assert_eq!((end.calls, end.failed, end.lasted.as_secs()), (1, 0, 9000));
}

#[test]
fn the_longest_quiet_makes_room_and_an_old_one_is_new_again() {
    let mut stage = Stage::new(&config::Session { max_sessions: 2, ..config::Session::default() });
    for name in ["a", "b", "a", "c"] {
        stage.turn(Way::named(name), &mut vec![user("Hello")], "Hi");
        stage.sessions.check();
    }
    stage.at(3601);
    stage.tick();
    assert!(stage.turn(Way::named("a"), &mut vec![user("Hello")], "Hi").is_new);
    assert_eq!(stage.told(), [("b".into(), 1), ("a".into(), 2), ("c".into(), 1)]);
}

#[test]
fn what_is_answered_after_its_session_made_room_touches_no_other() {
    let mut stage = Stage::new(&config::Session { max_sessions: 1, ..config::Session::default() });
    let first = stage.call(CHAT, &[user("Hello")]);
    let second = stage.call(CHAT, &[user("Hello")]);
    assert_ne!(first.session.id, second.session.id);
    assert_eq!(stage.told(), [(first.session.id.to_string(), 1)]);
    stage.answer(&first, &["Hi"]);
    stage.sessions.check();
    assert_eq!(stage.sessions.open(), 1, "the second is still being answered");
    let turns = [user("Hello"), turn(Role::Assistant, "Hi"), user("Go on")];
    let third = stage.call(CHAT, &turns);
    assert_eq!(third.session.relation, Relation::Opening);
    stage.answer(&second, &["Hi"]);
    stage.answer(&third, &["I will"]);
    assert_eq!(stage.sessions.open(), 0);
    stage.sessions.check();
}

#[test]
fn a_session_that_is_forgotten_sooner_than_it_is_over_ends_once() {
    let ttl = Duration::from_secs(5);
    let mut stage = Stage::new(&config::Session { session_ttl_seconds: ttl, ..config::Session::default() });
    let mut turns = vec![user("Hello")];
    stage.turn(CHAT, &mut turns, "Hi");
    stage.at(5);
    stage.tick();
    assert_eq!((stage.sessions.count(), stage.told()), (1, vec![]));
    stage.at(6);
    stage.tick();
    assert_eq!((stage.sessions.count(), stage.told().len()), (0, 1));
    stage.at(31);
    stage.tick();
    assert_eq!(stage.told(), vec![]);
    turns.push(user("Go on"));
    assert!(stage.turn(CHAT, &mut turns, "I will").is_new);
}

#[test]
fn a_name_that_does_not_count_is_none() {
    let mut stage = Stage::new(&config::Session { enabled: false, ..config::Session::default() });
    let mut turns = vec![user("Hello")];
    for _ in 0..2 {
        let made = stage.call(Way::named("a"), &turns);
        assert!(made.ticket.is_alone());
        let session = made.session;
        assert_eq!((&session.id, session.told), (&made.exchange.id.to_string().into(), false));
        turns.extend([turn(Role::Assistant, "Hi"), user("Go on")]);
        let lasted = Duration::from_secs(2);
        let end = stage.sessions.exchange_over(&made.exchange, lasted).unwrap();
        assert_eq!((end.id, end.calls, end.lasted), (session.id, 1, lasted));
        assert_eq!(stage.sessions.exchange_over(&made.exchange, lasted), None);
    }
    stage.close();
    assert_eq!(stage.told(), []);
}

#[test]
fn what_is_no_part_of_a_conversation_is_a_session_with_its_exchange() {
    let mut stage = Stage::by_default();
    let way = Way { operation: Operation::Embeddings, ..CHAT };
    let exchange = stage.exchange(way);
    for call in [1, 2] {
        let made = stage.call_of(exchange.clone(), call, way, &[]);
        let session = made.session;
        assert_eq!((session.call, session.is_new), (u32::try_from(call).unwrap(), call == 1));
        assert_eq!(session.parent, (call == 2).then_some(1));
    }
    let made = stage.call_of(exchange.clone(), 3, way, &[]);
    let mut said = saying(&[]);
    (said.model, said.usage) = (Some("m".into()), Some(perimeter_interceptor::Usage::new(3, 0)));
    assert!(stage.sessions.heard(stage.now, &made.ticket, &LlmEvent::Completion(Arc::new(said))));
    let made = stage.call_of(exchange.clone(), 4, way, &[]);
    stage.sessions.over(stage.now, &made.ticket, false);
    let end = stage.sessions.exchange_over(&exchange, Duration::ZERO).unwrap();
    assert_eq!((end.calls, end.failed, end.usage.input, &*end.models), (4, 1, 3, &["m".into()][..]));
    stage.answer(&made, &["too late"]);
    assert!(stage.sessions.alone.is_empty());
}

#[test]
fn the_calls_of_a_socket_follow_each_other() {
    let mut stage = Stage::by_default();
    let exchange = stage.exchange(CHAT);
    let mut turns = vec![user("Count for me"), turn(Role::Assistant, "1"), user("Go on")];
    let first = stage.call_of(exchange.clone(), 0, CHAT, &turns[..1]);
    stage.answer(&first, &["1"]);
    let second = stage.call_of(exchange.clone(), 1, CHAT, &turns);
    assert_eq!((&second.session.id, second.session.parent), (&first.session.id, Some(1)));
    turns[0] = user("Count for somebody else");
    let other = stage.call_of(exchange.clone(), 2, CHAT, &turns);
    assert_eq!(&*other.session.id, format!("{}-2", exchange.id), "two of a socket have not the same name");
    assert_eq!(stage.sessions.exchange_over(&exchange, Duration::ZERO), None);
}

#[test]
fn each_call_that_fails_is_counted_once() {
    let mut stage = Stage::by_default();
    let turns = [user("Hello")];
    let fails = |stage: &mut Stage, way| {
        let made = stage.call(way, &turns);
        let failure = LlmEvent::Failure(Arc::new(ApiFailure::new(CallId(0), 500, "busy")));
        assert!(stage.sessions.heard(stage.now, &made.ticket, &failure));
        made.session.relation
    };
    let named = Way::named("a");
    assert_eq!(fails(&mut stage, named), Relation::Opening);
    assert_eq!(fails(&mut stage, named), Relation::Retry);
    assert_eq!(fails(&mut stage, Way { operation: Operation::Embeddings, ..named }), Relation::Side);
    let made = stage.call(named, &turns);
    let cut = LlmEvent::Cut(Arc::new(saying(&["Hi t"])));
    stage.sessions.heard(stage.now, &made.ticket, &cut);
    let made = stage.call(named, &turns);
    stage.answer(&made, &["Hi there"]);
    // Nothing is heard of this one.
    let made = stage.call(named, &turns);
    stage.sessions.over(stage.now, &made.ticket, false);
    stage.sessions.check();
    stage.close();
    assert_eq!((stage.ends[0].calls, stage.ends[0].failed), (6, 5));
}

#[test]
fn a_clock_that_goes_back_harms_nothing() {
    let mut stage = Stage::by_default();
    stage.at(100);
    let mut turns = vec![user("Hello")];
    stage.turn(CHAT, &mut turns, "Hi");
    stage.at(50);
    turns.push(user("Go on"));
    assert_eq!(stage.turn(CHAT, &mut turns, "I will").call, 2);
    stage.tick();
    stage.sessions.check();
    stage.at(131);
    stage.tick();
    assert_eq!(stage.ends[0].lasted, Duration::ZERO);
}

#[test]
fn sessions_that_end_together_are_let_go_little_by_little() {
    const MANY: usize = 10_000;
    let mut stage = Stage::new(&config::Session { max_sessions: MANY, ..config::Session::default() });
    for at in 0..MANY {
        let made = stage.call(CHAT, &[user(&at.to_string())]);
        stage.answer(&made, &[&at.to_string()]);
    }
    stage.at(31);
    let (mut told, mut ticks) = (0, 0);
    while told < MANY {
        stage.tick();
        ticks += 1;
        let more = stage.told().len();
        assert!((1..=expiry::OVER_AT_ONCE).contains(&more), "{more}");
        told += more;
    }
    assert_eq!(ticks, MANY.div_ceil(expiry::OVER_AT_ONCE));
    assert_eq!(stage.sessions.count(), MANY, "they are still remembered");
    stage.at(4000);
    for _ in 0..ticks {
        let before = stage.sessions.count();
        stage.tick();
        assert!(before - stage.sessions.count() <= expiry::OVER_AT_ONCE);
    }
    assert_eq!((stage.sessions.count(), stage.told()), (0, vec![]));
    assert_eq!(stage.sessions.index.iter().count(), 0);
}

#[test]
fn two_who_say_the_same_are_told_apart_by_their_keys() {
    let mut stage = Stage::by_default();
    let mut one = vec![user("Hello")];
    let mut other = one.clone();
    let someone = Way { credential: 2, ..CHAT };
    let first = stage.turn(CHAT, &mut one, "Hi");
    let second = stage.turn(someone, &mut other, "Hi");
    assert_ne!(first.id, second.id);
    one.push(user("Go on"));
    assert_eq!(stage.turn(CHAT, &mut one, "I will").id, first.id);
    assert_eq!(stage.turn(someone, &mut one, "I will").id, second.id);
}

#[test]
fn whoever_goes_on_with_any_of_several_answers_follows() {
    let mut stage = Stage::by_default();
    let made = stage.call(CHAT, &[user("Name a colour")]);
    let said = ["red", "green", "blue", "grey"];
    stage.answer(&made, &said);
    for (call, text) in (2..).zip(said) {
        let turns = [user("Name a colour"), turn(Role::Assistant, text), user("Another")];
        let session = stage.call(CHAT, &turns).session;
        assert_eq!((session.id, session.call), (made.session.id.clone(), call), "{text}");
        assert_eq!(session.parent, Some(1));
    }
    stage.sessions.check();
}
