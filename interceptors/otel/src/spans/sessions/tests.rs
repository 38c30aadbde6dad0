use std::time::{Duration, UNIX_EPOCH};

use perimeter_interceptor::{CallId, Session, ToolUse, Turn};

use super::*;

fn call(session: &str, number: u32, news: Vec<Turn>) -> Call {
    let mut place = Session::new(session);
    (place.call, place.is_new) = (number, number == 1);
    let mut call = Call::new(CallId(0), "openai_chat", Arc::new(place));
    call.news = news;
    call
}

fn begin(sessions: &mut Sessions, exchange: u128, call: &Call, told: &mut Vec<Span>) -> Standing {
    let began = UNIX_EPOCH + Duration::from_secs(exchange as u64);
    let first = First { session: &call.session, provider: "openai", model: None, began };
    sessions.call(ExchangeId::new(exchange), call, &first, true, told)
}

fn asked(call: &Call, number: usize, id: &str) -> Asked {
    let mut tool = ToolUse::new(CallId(0), "search", "{}");
    tool.id = Some(id.into());
    let spans = (ids::tool(ExchangeId::new(1), CallId(0), number), [1; 8]);
    Asked::new((number, &tool), spans, Above::None, &call.session, UNIX_EPOCH)
}

#[test]
fn what_is_remembered_is_bounded_and_what_makes_room_is_told() {
    let mut sessions = Sessions { limits: (3, 100), ..Sessions::new() };
    let mut told = Vec::new();
    for number in 0..10 {
        begin(&mut sessions, number, &call(&number.to_string(), 1, Vec::new()), &mut told);
    }
    assert_eq!((sessions.known.len(), told.len()), (3, 7));
    assert!(told.iter().all(|span| span.name == "invoke_agent"));
    sessions.end_all(&mut told);
    assert_eq!((sessions.known.len(), sessions.waiting, told.len()), (0, 0, 10));
}

#[test]
fn tools_are_bounded_too_also_those_of_one_session() {
    let mut sessions = Sessions { limits: (10, 20), ..Sessions::new() };
    let mut told = Vec::new();
    let call = call("s", 1, Vec::new());
    begin(&mut sessions, 1, &call, &mut told);
    for number in 0..50 {
        let tool = asked(&call, number, &number.to_string());
        sessions.ask(&call.session.id, vec![tool], &mut told);
        assert!(sessions.waiting <= 20);
    }
    let tools = told.iter().filter(|span| span.name == "execute_tool search").count();
    assert_eq!((tools, told.len()), (20, 21), "a session that is forgotten is not asked any more");
}

#[test]
fn a_session_that_holds_more_than_its_share_makes_room_itself() {
    let mut sessions = Sessions { limits: (10, 40), ..Sessions::new() };
    let mut told = Vec::new();
    for number in 0..5 {
        begin(&mut sessions, number, &call(&number.to_string(), 1, Vec::new()), &mut told);
    }
    let greedy = call("s", 1, Vec::new());
    begin(&mut sessions, 9, &greedy, &mut told);
    let tools = (0..100).map(|number| asked(&greedy, number, &number.to_string())).collect();
    sessions.ask(&greedy.session.id, tools, &mut told);
    assert_eq!((sessions.known.len(), sessions.waiting, told.len()), (5, 5, 101));
}

#[test]
fn what_is_remembered_is_counted_right_whatever_becomes_of_it() {
    let mut sessions = Sessions::new();
    let mut told = Vec::new();
    let first = call("s", 1, Vec::new());
    begin(&mut sessions, 1, &first, &mut told);
    let twice = vec![asked(&first, 0, "a"), asked(&first, 1, "a"), asked(&first, 2, "b")];
    sessions.ask(&first.session.id, twice, &mut told);
    assert_eq!(sessions.waiting, 4);
    let result = Part::ToolResult(ToolResult::new(Some("a".into()), "x"));
    let second = call("s", 2, vec![Turn::new(Role::Tool, vec![result.clone(), result.clone(), result])]);
    begin(&mut sessions, 2, &second, &mut told);
    assert_eq!((sessions.waiting, told.len()), (2, 2), "a third result is of no tool");
    sessions.end(&first.session.id, &mut told);
    assert_eq!(sessions.waiting, 1, "the agent");
}

#[test]
fn a_session_that_an_earlier_run_has_told_goes_on_as_another_span() {
    let said = |role| Turn::new(role, vec![Part::Text("x".into())]);
    for (told, role, is_known) in
        [(true, Role::Assistant, true), (true, Role::System, false), (false, Role::Assistant, false)]
    {
        let mut call = call("s", 1, vec![said(Role::User), said(role), said(Role::User)]);
        Arc::make_mut(&mut call.session).told = told;
        let above = begin(&mut Sessions::new(), 3, &call, &mut Vec::new()).above;
        let expected = if is_known { ids::agent(ExchangeId::new(3), CallId(0)) } else { ids::session("s") };
        assert_eq!(above, Above::Ours(expected));
    }
}

#[test]
fn a_sub_agent_of_which_nobody_knows_who_asked_is_under_the_main_agent_and_never_is_it() {
    let (mut sessions, mut told) = (Sessions::new(), Vec::new());
    let of_thread = |number, thread, relation| {
        let mut call = call("s", number, Vec::new());
        let session = Arc::make_mut(&mut call.session);
        (session.thread, session.relation) = (thread, relation);
        call
    };
    let stray = of_thread(5, 2, Relation::SubAgent);
    begin(&mut sessions, 1, &stray, &mut told);
    let main = begin(&mut sessions, 2, &of_thread(6, 0, Relation::Turn), &mut told);
    begin(&mut sessions, 3, &of_thread(7, 3, Relation::SubAgent), &mut told);
    sessions.end_all(&mut told);
    let Above::Ours(main) = main.above else { panic!("{main:?}") };
    let above: Vec<_> = told.iter().map(|span| &span.parent_span_id[..]).collect();
    assert_eq!(above, [&[][..], &[], &main]);
}

#[test]
fn an_agent_is_there_as_long_as_its_calls_whatever_their_order() {
    let mut sessions = Sessions::new();
    let mut told = Vec::new();
    begin(&mut sessions, 5, &call("s", 1, Vec::new()), &mut told);
    begin(&mut sessions, 2, &call("s", 2, Vec::new()), &mut told);
    sessions.end_all(&mut told);
    assert_eq!(told[0].start_time_unix_nano, 2_000_000_000);
}

#[test]
fn a_session_that_was_forgotten_goes_on_as_another_span() {
    let mut sessions = Sessions { limits: (1, 100), ..Sessions::new() };
    let mut told = Vec::new();
    let spans: Vec<_> = [("a", 1), ("b", 1), ("a", 2)]
        .iter()
        .zip(1..)
        .map(|((id, number), exchange)| {
            begin(&mut sessions, exchange, &call(id, *number, Vec::new()), &mut told)
        })
        .map(|standing| standing.above)
        .collect();
    assert_eq!(spans[0], Above::Ours(ids::session("a")));
    assert_eq!(spans[2], Above::Ours(ids::agent(ExchangeId::new(3), CallId(0))));
    assert_eq!(told.len(), 2);
}

#[test]
fn of_results_that_look_alike_the_latest_is_the_new_one() {
    let mut sessions = Sessions::new();
    let mut told = Vec::new();
    let first = call("s", 1, Vec::new());
    begin(&mut sessions, 1, &first, &mut told);
    sessions.ask(&first.session.id, vec![asked(&first, 0, "search")], &mut told);
    let result = |failed| {
        let mut result = ToolResult::new(Some("search".into()), "x");
        result.is_error = failed;
        Turn::new(Role::Tool, vec![Part::ToolResult(result)])
    };
    begin(&mut sessions, 2, &call("s", 2, vec![result(true), result(false)]), &mut told);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].status.as_ref().unwrap().code, 0, "the earlier one had failed");
}
