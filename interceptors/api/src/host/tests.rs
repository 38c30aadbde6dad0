use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::SystemTime;

use http::{HeaderMap, Method, StatusCode, Uri, Version};

use super::*;
use crate::{CallId, Delta, Said};

/// Writes down what it is told, and does in one callback what it is asked to.
struct Witness {
    told: Sender<String>,
    acts: (&'static str, Act),
    skips: Option<ExchangeId>,
    explosive: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Act {
    Nothing,
    Fails,
    Panics,
    PanicsWithMore,
}

/// A state that may panic when it is dropped.
struct State {
    id: ExchangeId,
    told: Sender<String>,
    explosive: bool,
}

impl Drop for State {
    fn drop(&mut self) {
        let _ = self.told.send(format!("{} dropped", self.id.bits()));
        assert!(!self.explosive || std::thread::panicking(), "state of {}", self.id.bits());
    }
}

/// What a panic carries, which panics when it is dropped.
struct Mine;

impl Drop for Mine {
    fn drop(&mut self) {
        panic!("one more");
    }
}

impl Witness {
    fn new(acts: (&'static str, Act)) -> (Self, Receiver<String>) {
        let (told, heard) = channel();
        (Self { told, acts, skips: None, explosive: false }, heard)
    }

    fn hear(&self, callback: &str, exchange: Option<ExchangeId>) -> Result {
        let line = match exchange {
            Some(id) => format!("{} {callback}", id.bits()),
            None => callback.to_owned(),
        };
        let _ = self.told.send(line);
        match self.acts.1 {
            _ if self.acts.0 != callback => Ok(()),
            Act::Nothing => Ok(()),
            Act::Fails => Err("no room".into()),
            Act::Panics => panic!("no room"),
            Act::PanicsWithMore => std::panic::panic_any(Mine),
        }
    }
}

impl Interceptor for Witness {
    type State = State;

    fn on_request_head(&mut self, cx: Cx<'_>, _: &RequestHead) -> Result<Option<State>> {
        let id = cx.exchange.id;
        self.hear("on_request_head", Some(id))?;
        let state = State { id, told: self.told.clone(), explosive: self.explosive };
        if self.skips == Some(id) {
            return Ok(None);
        }
        Ok(Some(state))
    }
    fn on_request_chunk(&mut self, cx: Cx<'_>, _: &mut State, _: &Bytes) -> Result {
        self.hear("on_request_chunk", Some(cx.exchange.id))
    }
    fn on_request_end(&mut self, cx: Cx<'_>, _: &mut State, _: &BodyEnd) -> Result {
        self.hear("on_request_end", Some(cx.exchange.id))
    }
    fn on_response_head(&mut self, cx: Cx<'_>, _: &mut State, _: &ResponseHead) -> Result {
        self.hear("on_response_head", Some(cx.exchange.id))
    }
    fn on_response_chunk(&mut self, cx: Cx<'_>, _: &mut State, _: &Bytes) -> Result {
        self.hear("on_response_chunk", Some(cx.exchange.id))
    }
    fn on_llm(&mut self, cx: Cx<'_>, _: &mut State, _: &LlmEvent) -> Result {
        self.hear("on_llm", Some(cx.exchange.id))
    }
    fn on_upgrade(&mut self, cx: Cx<'_>, _: &mut State, _: &Upgrade) -> Result {
        self.hear("on_upgrade", Some(cx.exchange.id))
    }
    fn on_upgraded_chunk(&mut self, cx: Cx<'_>, _: &mut State, _: Peer, _: &Bytes) -> Result {
        self.hear("on_upgraded_chunk", Some(cx.exchange.id))
    }
    fn on_failure(&mut self, cx: Cx<'_>, _: &mut State, _: &Failure) -> Result {
        self.hear("on_failure", Some(cx.exchange.id))
    }
    fn on_end(&mut self, cx: Cx<'_>, _: State, _: &End) -> Result {
        self.hear("on_end", Some(cx.exchange.id))
    }
    fn on_session_end(&mut self, _: &SessionEnd) -> Result {
        self.hear("on_session_end", None)
    }
    fn on_idle(&mut self) -> Result {
        self.hear("on_idle", None)
    }
    fn on_shutdown(self) -> Result {
        self.hear("on_shutdown", None)
    }
}

fn head() -> What {
    let head = RequestHead::new(Method::POST, Uri::from_static("/v1"), Version::HTTP_11, HeaderMap::new());
    What::RequestHead(Arc::new(head))
}

fn end() -> What {
    What::End(End::new(BodyEnd::COMPLETE, BodyEnd::COMPLETE, Duration::ZERO))
}

/// One of each of what may come between a head and an end.
fn between() -> [What; 8] {
    let response = ResponseHead::new(StatusCode::OK, Version::HTTP_11, HeaderMap::new());
    [
        What::RequestChunk(Bytes::from_static(b"{}")),
        What::RequestEnd(BodyEnd::COMPLETE),
        What::Llm(LlmEvent::Delta(Delta::new(CallId(0), Said::Text("a".into())))),
        What::Failure(Arc::new(Failure::new("upstream_unreachable", "refused"))),
        What::ResponseHead(Arc::new(response)),
        What::ResponseChunk(Bytes::from_static(b"{}")),
        What::Upgrade(Arc::new(Upgrade::new("websocket"))),
        What::UpgradedChunk(Peer::Client, Bytes::from_static(b"ping")),
    ]
}

fn notice(id: u128, what: What) -> Notice {
    let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000));
    let exchange = Exchange::new(ExchangeId::new(id), SystemTime::UNIX_EPOCH, client, "http://localhost");
    Notice::Exchange { exchange: Arc::new(exchange), elapsed: Duration::ZERO, what }
}

fn desk(witness: Witness) -> Desk<Witness> {
    Desk::new(witness, Interest::ALL)
}

/// What was told since the last time.
fn heard(told: &Receiver<String>) -> Vec<String> {
    told.try_iter().collect()
}

fn words(fault: &Fault) -> &str {
    match &fault.what {
        Misfortune::Panic(words) => words,
        Misfortune::Error(_) => panic!("an error, not a panic: {fault:?}"),
    }
}

#[test]
fn each_notice_comes_to_its_own_callback() {
    let (witness, told) = Witness::new(("", Act::Nothing));
    let mut desk = desk(witness);
    for what in [head()].into_iter().chain(between()).chain([end()]) {
        let expected = format!("1 {}", what.callback());
        desk.take(&notice(1, what)).unwrap();
        assert_eq!(told.try_recv().unwrap(), expected);
    }
    assert_eq!(heard(&told), ["1 dropped"]);
    desk.take(&Notice::SessionEnd(Arc::new(SessionEnd::new("s", 1, Duration::ZERO)))).unwrap();
    desk.idle().unwrap();
    desk.shut_down().unwrap();
    assert_eq!(heard(&told), ["on_session_end", "on_idle", "on_shutdown"]);
}

#[test]
fn after_a_panic_in_any_callback_it_hears_no_more_of_that_exchange_and_all_of_the_others() {
    for what in between() {
        let callback = what.callback();
        let (witness, told) = Witness::new((callback, Act::Panics));
        let mut desk = desk(witness);
        desk.take(&notice(1, head())).unwrap();
        desk.take(&notice(2, head())).unwrap();
        heard(&told);

        let fault = desk.take(&notice(1, what)).unwrap_err();
        assert_eq!((fault.callback, fault.exchange), (callback, Some(ExchangeId::new(1))));
        assert_eq!(words(&fault), "no room");
        assert_eq!(heard(&told), [format!("1 {callback}"), "1 dropped".to_owned()]);

        for what in between().into_iter().chain([end()]) {
            desk.take(&notice(1, what)).unwrap();
        }
        assert!(heard(&told).is_empty(), "after a panic in {callback}");
        assert_eq!(desk.open(), 1);
        desk.take(&notice(2, end())).unwrap();
        assert_eq!(heard(&told), ["2 on_end", "2 dropped"]);
    }
}

#[test]
fn an_error_in_any_callback_is_told_and_the_next_comes_as_if_nothing_had_happened() {
    for what in between() {
        let callback = what.callback();
        let (witness, told) = Witness::new((callback, Act::Fails));
        let mut desk = desk(witness);
        desk.take(&notice(1, head())).unwrap();
        let fault = desk.take(&notice(1, what)).unwrap_err();
        assert_eq!(fault.to_string(), format!("{callback} failed"));
        assert_eq!(std::error::Error::source(&fault).unwrap().to_string(), "no room");
        desk.take(&notice(1, end())).unwrap();
        let callback = format!("1 {callback}");
        assert_eq!(heard(&told), ["1 on_request_head", callback.as_str(), "1 on_end", "1 dropped"]);
    }
}

#[test]
fn an_exchange_whose_head_fails_or_panics_is_skipped() {
    for act in [Act::Fails, Act::Panics] {
        let (witness, told) = Witness::new(("on_request_head", act));
        let mut desk = desk(witness);
        let fault = desk.take(&notice(1, head())).unwrap_err();
        assert_eq!(fault.callback, "on_request_head");
        for what in between().into_iter().chain([end()]) {
            desk.take(&notice(1, what)).unwrap();
        }
        assert_eq!(heard(&told), ["1 on_request_head"]);
        assert_eq!(desk.open(), 0);
    }
}

#[test]
fn an_exchange_without_a_state_is_skipped() {
    let (witness, told) = Witness::new(("", Act::Nothing));
    let mut desk = desk(Witness { skips: Some(ExchangeId::new(1)), ..witness });
    for what in [head()].into_iter().chain(between()).chain([end()]) {
        desk.take(&notice(1, what)).unwrap();
    }
    assert_eq!(heard(&told), ["1 on_request_head", "1 dropped"]);
    desk.take(&notice(2, head())).unwrap();
    assert_eq!(desk.open(), 1);
}

#[test]
fn the_end_takes_the_state_even_where_it_panics() {
    for act in [Act::Fails, Act::Panics] {
        let (witness, told) = Witness::new(("on_end", act));
        let mut desk = desk(witness);
        desk.take(&notice(1, head())).unwrap();
        assert_eq!(desk.take(&notice(1, end())).unwrap_err().callback, "on_end");
        assert_eq!(desk.open(), 0);
        desk.take(&notice(1, end())).unwrap();
        assert_eq!(heard(&told), ["1 on_request_head", "1 on_end", "1 dropped"]);
    }
}

#[test]
fn what_it_has_no_interest_in_does_not_reach_it() {
    let (witness, told) = Witness::new(("", Act::Nothing));
    let mut desk = Desk::new(witness, Interest::NONE);
    for what in [head()].into_iter().chain(between()).chain([end()]) {
        desk.take(&notice(1, what)).unwrap();
    }
    let told_to_everyone = [
        "1 on_request_head",
        "1 on_request_end",
        "1 on_failure",
        "1 on_response_head",
        "1 on_upgrade",
        "1 on_end",
        "1 dropped",
    ];
    assert_eq!(heard(&told), told_to_everyone);
}

#[test]
fn panics_outside_exchanges_are_faults_and_it_goes_on() {
    for callback in ["on_session_end", "on_idle"] {
        let (witness, told) = Witness::new((callback, Act::Panics));
        let mut desk = desk(witness);
        desk.take(&notice(1, head())).unwrap();
        let fault = match callback {
            "on_idle" => desk.idle().unwrap_err(),
            _ => {
                let end = SessionEnd::new("s", 1, Duration::ZERO);
                desk.take(&Notice::SessionEnd(Arc::new(end))).unwrap_err()
            }
        };
        assert_eq!((fault.callback, fault.exchange), (callback, None));
        assert_eq!(fault.to_string(), format!("{callback} panicked: no room"));
        desk.take(&notice(1, end())).unwrap();
        desk.shut_down().unwrap();
        assert_eq!(heard(&told), ["1 on_request_head", callback, "1 on_end", "1 dropped", "on_shutdown"]);
    }
}

#[test]
fn a_panic_that_carries_something_that_panics_when_dropped_stays_inside() {
    let (witness, _told) = Witness::new(("on_llm", Act::PanicsWithMore));
    let mut desk = desk(witness);
    desk.take(&notice(1, head())).unwrap();
    let [_, _, llm, ..] = between();
    let fault = desk.take(&notice(1, llm)).unwrap_err();
    assert_eq!(words(&fault), "something that is not text");
}

#[test]
fn a_state_that_panics_when_dropped_is_one_fault_wherever_it_is_dropped() {
    let explosive = |acts| {
        let (witness, told) = Witness::new(acts);
        (desk(Witness { explosive: true, ..witness }), told)
    };

    let (mut at_the_end, _told) = explosive(("", Act::Nothing));
    at_the_end.take(&notice(1, head())).unwrap();
    let fault = at_the_end.take(&notice(1, end())).unwrap_err();
    assert_eq!((fault.callback, words(&fault)), ("on_end", "state of 1"));

    let (mut after_a_panic, _told) = explosive(("on_llm", Act::Panics));
    after_a_panic.take(&notice(1, head())).unwrap();
    let [_, _, llm, ..] = between();
    let fault = after_a_panic.take(&notice(1, llm)).unwrap_err();
    assert_eq!((fault.callback, words(&fault)), ("on_llm", "no room"));
    assert_eq!(after_a_panic.open(), 0);

    let (mut replaced, _told) = explosive(("", Act::Nothing));
    replaced.take(&notice(1, head())).unwrap();
    let fault = replaced.take(&notice(1, head())).unwrap_err();
    assert_eq!((fault.callback, words(&fault)), ("drop", "state of 1"));
    assert_eq!(replaced.open(), 1);
    assert!(replaced.retire().is_err());
}

#[test]
fn shutting_down_drops_every_open_state_and_tells_the_interceptor_even_where_they_panic() {
    let (witness, told) = Witness::new(("", Act::Nothing));
    let mut desk = desk(Witness { explosive: true, ..witness });
    for id in 1..=3 {
        desk.take(&notice(id, head())).unwrap();
    }
    heard(&told);
    assert_eq!(desk.shut_down().unwrap_err().callback, "drop");
    let mut told = heard(&told);
    assert_eq!(told.pop().unwrap(), "on_shutdown");
    told.sort();
    assert_eq!(told, ["1 dropped", "2 dropped", "3 dropped"]);
}

#[test]
fn after_panics_it_is_shut_down_as_ever() {
    let (witness, told) = Witness::new(("on_llm", Act::Panics));
    let mut desk = desk(witness);
    for id in 1..=10 {
        desk.take(&notice(id, head())).unwrap();
        let [_, _, llm, ..] = between();
        assert!(desk.take(&notice(id, llm)).is_err());
    }
    desk.shut_down().unwrap();
    assert_eq!(heard(&told).pop().unwrap(), "on_shutdown");
}

#[test]
fn a_shutdown_that_fails_or_panics_is_a_fault() {
    for act in [Act::Fails, Act::Panics] {
        let (witness, _told) = Witness::new(("on_shutdown", act));
        let fault = desk(witness).shut_down().unwrap_err();
        assert_eq!(fault.callback, "on_shutdown");
    }
}

#[test]
fn one_that_is_retired_is_dropped_without_a_word() {
    let (witness, told) = Witness::new(("", Act::Nothing));
    let mut desk = desk(witness);
    desk.take(&notice(1, head())).unwrap();
    desk.retire().unwrap();
    assert_eq!(heard(&told), ["1 on_request_head", "1 dropped"]);
    assert!(told.recv().is_err(), "the interceptor is gone");
}
