use perimeter_interceptor::{Agent, ApiFailure, Session, Stream};

use super::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

fn meter() -> (Arc<Tally>, Meter) {
    let tally = Arc::new(Tally::default());
    let meter = Meter::new(&tally);
    (tally, meter)
}

fn asks(call: u32) -> LlmEvent {
    let mut session = Session::new("s");
    session.agent = Arc::new(Agent::new("prompt-1", "agent-1"));
    let mut asks = Call::new(CallId(call), "openai_chat", Arc::new(session));
    asks.model = Some("m".into());
    LlmEvent::Call(Arc::new(asks))
}

fn answer(call: u32) -> Arc<Completion> {
    let mut answer = Completion::new(CallId(call));
    answer.usage = Some(Usage::new(10, 2));
    answer.stream = Some(Arc::new(Stream::default()));
    Arc::new(answer)
}

fn fails(call: u32, kind: Option<&str>) -> LlmEvent {
    let mut failure = ApiFailure::new(CallId(call), 529, "no");
    failure.kind = kind.map(Arc::from);
    LlmEvent::Failure(Arc::new(failure))
}

/// Each kind of end: its error, how many there were, how long they took together, seconds.
fn told(tally: &Tally) -> Vec<(Option<String>, u64, f64)> {
    let told = tally.genai().into_iter().map(|(attributes, calls)| {
        let error = attributes.error_type.map(|error| error.to_string());
        (error, calls.duration.count(), calls.duration.sum())
    });
    told.collect()
}

fn closed(tally: &Tally) -> [u64; 3] {
    tally.streams().first().map(|(_, streamed)| streamed.closed).unwrap_or_default()
}

fn error(word: &str) -> Option<String> {
    Some(word.to_owned())
}

#[test]
fn a_call_lasts_from_its_request_to_the_last_of_its_answer() {
    let (tally, mut meter) = meter();
    meter.note(&asks(0), MS(5), false);
    meter.note(&LlmEvent::Completion(answer(0)), MS(1500), false);
    meter.settle(None, true);
    // The client leaves behind the last word of the answer, and before the end of the body.
    meter.settle(Some(Closer::Client), true);
    meter.end(Some(Closer::Client), true, MS(2000));
    assert_eq!((told(&tally), closed(&tally)), (vec![(None, 1, 1.5)], [1, 0, 0]));
}

#[test]
fn calls_of_a_socket_begin_with_their_messages_and_end_with_their_answers() {
    let (tally, mut meter) = meter();
    for call in 0..2 {
        meter.note(&asks(call), MS(1000), true);
    }
    meter.note(&LlmEvent::Completion(answer(1)), MS(1250), true);
    meter.note(&LlmEvent::Completion(answer(0)), MS(1500), true);
    meter.end(Some(Closer::Client), true, MS(9000));
    assert_eq!((told(&tally), closed(&tally)), (vec![(None, 2, 0.75)], [2, 0, 0]));
}

#[test]
fn an_answer_that_broke_off_is_told_once_and_by_the_provider_where_it_says_why() {
    let (tally, mut meter) = meter();
    meter.note(&asks(0), MS(0), false);
    meter.note(&LlmEvent::Cut(answer(0)), MS(250), false);
    meter.note(&fails(0, Some("overloaded_error")), MS(250), false);
    meter.settle(Some(Closer::Upstream), true);
    meter.end(Some(Closer::Upstream), true, MS(500));
    assert_eq!(told(&tally), [(error("overloaded_error"), 1, 0.25)]);
    assert_eq!(closed(&tally), [1, 0, 0]);
}

#[test]
fn who_closed_it_says_why_it_broke_off() {
    let words = [
        (Closer::Upstream, "stream_truncated"),
        (Closer::Client, "client_cancelled"),
        (Closer::Proxy, "proxy_stopped"),
    ];
    for (by, word) in words {
        let (tally, mut meter) = meter();
        meter.note(&asks(0), MS(0), false);
        meter.note(&LlmEvent::Cut(answer(0)), MS(250), false);
        meter.settle(None, true);
        assert_eq!(told(&tally), []);
        meter.settle(Some(by), true);
        meter.end(Some(by), true, MS(500));
        assert_eq!(told(&tally), [(error(word), 1, 0.25)]);
        assert_eq!(closed(&tally).iter().sum::<u64>(), 1);
    }
}

#[test]
fn what_was_not_seen_whole_is_no_fault_of_the_call() {
    let (tally, mut meter) = meter();
    meter.note(&asks(0), MS(0), false);
    meter.note(&LlmEvent::Cut(answer(0)), MS(250), false);
    meter.note(&asks(1), MS(0), false);
    meter.end(Some(Closer::Upstream), false, MS(500));
    assert_eq!(told(&tally), []);
}

#[test]
fn a_call_without_an_answer_ends_with_its_exchange() {
    let ends = [
        (Some("upstream_connect"), Closer::Upstream, error("connect_error")),
        (None, Closer::Client, error("client_cancelled")),
        (None, Closer::Upstream, None),
    ];
    for (code, by, word) in ends {
        let (tally, mut meter) = meter();
        meter.note(&asks(0), MS(0), false);
        if let Some(code) = code {
            meter.failed(&Failure::new(code, "refused"));
        }
        meter.end(Some(by), true, MS(500));
        assert_eq!(told(&tally), [(word, 1, 0.5)]);
    }
}

#[test]
fn an_error_without_a_word_goes_by_its_status() {
    let (tally, mut meter) = meter();
    for (call, kind) in [(0, None), (1, Some(""))] {
        meter.note(&asks(call), MS(0), false);
        meter.note(&fails(call, kind), MS(250), false);
    }
    assert_eq!(told(&tally), [(error("529"), 2, 0.5)]);
}

#[test]
fn an_agent_goes_by_what_it_is_told_else_by_its_name_else_by_its_prompt() {
    let (_, mut meter) = meter();
    let mut agent = Agent::new("prompt-1", "agent-1");
    let known = |meter: &mut Meter, agent: &Agent| {
        let mut session = Session::new("s");
        session.agent = Arc::new(agent.clone());
        let call = Call::new(CallId(0), "openai_chat", Arc::new(session));
        meter.note(&LlmEvent::Call(Arc::new(call)), MS(0), false);
        let (name, standing) = meter.agent().unwrap();
        (name.to_string(), *standing)
    };
    assert_eq!(known(&mut meter, &agent), ("agent-1".to_owned(), Standing::Said));
    agent.name = Some("Claude Code".into());
    assert_eq!(known(&mut meter, &agent), ("Claude Code".to_owned(), Standing::Listed));
    agent.told = Some("writer".into());
    assert_eq!(known(&mut meter, &agent), ("writer".to_owned(), Standing::Proven));
}
