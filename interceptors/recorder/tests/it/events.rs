//! What happens in sessions: each event once, in the order of cause and effect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use perimeter_interceptor::testing::{Scene, Script, comply, play, scenes};
use perimeter_interceptor::{
    Agent, Answer, ApiFailure, BodyEnd, Completion, Cost, CostSource, LlmEvent, Part, Role, SessionEnd,
    ToolResult, ToolUse, Turn, Usage, Usd,
};
use perimeter_recorder::TestRecorder;
use serde_json::{Value, json};

pub(crate) mod script;

use script::{ask_for_the_weather, bring_the_weather};

/// The events of a script.
pub(crate) fn events_of(script: impl Into<Script>) -> Vec<Value> {
    let recorder = TestRecorder::default();
    play(recorder.interceptor(), script).assert_faultless();
    recorder.events()
}

/// The same without what is only true of this machine, an event a paragraph.
fn text_of(script: impl Into<Script>) -> String {
    let mut text = String::new();
    for mut event in events_of(script) {
        let attributes = event["attributes"].as_object_mut().unwrap();
        for name in ["os.type", "os.version", "env.machine.type", "host.name"] {
            assert!(attributes.remove(name).unwrap().is_string());
        }
        text.push_str(&serde_json::to_string_pretty(&event).unwrap());
        text.push('\n');
    }
    text
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["name"].as_str().unwrap()).collect()
}

fn ended(script: Script, session: &str, calls: u32) -> Script {
    script.session_end(SessionEnd::new(session, calls, Duration::from_millis(4_500)))
}

#[test]
fn a_streamed_conversation_with_tools() {
    let script = Script::new().scene(ask_for_the_weather("s")).scene(bring_the_weather("s"));
    insta::assert_snapshot!(text_of(ended(script, "s", 2)));
}

#[test]
fn calls_at_the_same_time_in_one_session_keep_their_spans() {
    let one = scenes::streamed().in_session("s");
    let script = Script::new().together([one.clone(), one.clone(), one]);
    let events = events_of(ended(script, "s", 3));
    assert_eq!(names(&events)[..2], ["session.start", "llm.call.start"]);
    assert_eq!(names(&events).iter().filter(|name| **name == "session.start").count(), 1);
    assert_eq!(events.last().unwrap()["name"], "session.end");
    assert_eq!(events.last().unwrap()["attributes"]["session.events_count"], 8);
    let mut spans = BTreeMap::<_, Vec<_>>::new();
    for event in events.iter().filter(|event| event["name"].as_str().unwrap().starts_with("llm.")) {
        let of = (event["span_id"].as_str().unwrap(), event["attributes"]["exchange_id"].as_str().unwrap());
        spans.entry(of).or_default().push(event["name"].as_str().unwrap());
        assert_eq!(event["parent_span_id"], events[0]["span_id"]);
    }
    assert_eq!(spans.len(), 3);
    assert!(spans.values().all(|names| *names == ["llm.call.start", "llm.call.finish"]), "{spans:?}");
}

#[test]
fn an_error_in_the_middle_of_a_stream() {
    insta::assert_snapshot!(text_of(scenes::error_mid_stream()));
}

#[test]
fn an_answer_that_the_client_did_not_wait_for() {
    insta::assert_snapshot!(text_of(scenes::client_left_mid_stream()));
}

#[test]
fn a_provider_that_cannot_be_reached() {
    insta::assert_snapshot!(text_of(scenes::unreachable()));
}

#[test]
fn embeddings() {
    insta::assert_snapshot!(text_of(script::embeddings()));
}

#[test]
fn everyone_to_blame_has_a_word() {
    let blamed = |scene: Scene| {
        let events = events_of(scene);
        assert_eq!(names(&events), ["session.start", "llm.call.start", "llm.call.error"]);
        let error = &events[2]["attributes"];
        (error["error.type"].as_str().unwrap().to_owned(), error["llm.response.content"].clone())
    };
    let said = json!([{"role": "assistant", "content": "The capital "}]);
    assert_eq!(blamed(scenes::client_left_before_the_head()), ("client_left".into(), Value::Null));
    assert_eq!(blamed(scenes::broken_off()), ("upstream_broke".into(), said.clone()));
    assert_eq!(blamed(scenes::truncated_response()), ("unseen".into(), said.clone()));
    assert_eq!(blamed(scenes::unreachable()), ("upstream_unreachable".into(), Value::Null));
    assert_eq!(blamed(scenes::api_error()), ("rate_limit_error".into(), Value::Null));
    let asks = || Scene::post("/v1/chat/completions").request("{}").asks("m", "Hello").response(200);
    assert_eq!(blamed(asks().end()).0, "unread");
    assert_eq!(blamed(asks().ends(BodyEnd::COMPLETE, BodyEnd::Stopped)).0, "stopped");
}

#[test]
fn a_stream_says_who_ended_it() {
    let begun = || {
        let body = r#"{"model": "m", "stream": true}"#;
        Scene::post("/v1/chat/completions").request(body).asks("m", "Hello").response(200).says("The ")
    };
    let closed = |scene: Scene| {
        let events = events_of(scene);
        assert_eq!(events[2]["name"], "llm.call.error");
        let attributes = &events[2]["attributes"];
        assert_eq!(attributes["llm.stream.chunks"], 13);
        assert_eq!(attributes["llm.stream.stall_count"], 2);
        attributes["llm.stream.closed_first"].as_str().unwrap().to_owned()
    };
    let cut = || {
        let scene = begun();
        let mut said = scene.completion("The ", None);
        said.stream = Some(Arc::new(script::stream()));
        scene.llm(LlmEvent::Cut(Arc::new(said)))
    };
    let overloaded = ApiFailure::new(begun().completion("", None).call, 200, "Overloaded");
    let overloaded = LlmEvent::Failure(Arc::new(overloaded));
    assert_eq!(closed(cut().aborted()), "client");
    assert_eq!(closed(cut().broken_off("reset")), "upstream");
    assert_eq!(closed(cut().end()), "upstream");
    assert_eq!(closed(cut().ends(BodyEnd::COMPLETE, BodyEnd::Stopped)), "proxy");
    assert_eq!(closed(cut().llm(overloaded).aborted()), "upstream");
}

#[test]
fn of_a_stream_only_what_is_known_is_told() {
    let body = r#"{"model": "m", "stream": true}"#;
    let asked =
        Scene::post("/v1/chat/completions").request(body).asks("m", "Hello").response(200).says("One.");
    let mut said = asked.completion("One.", None);
    said.stream = Some(Arc::default());
    let events = events_of(asked.llm(LlmEvent::Completion(Arc::new(said))).end());
    let attributes = events[2]["attributes"].as_object().unwrap();
    let told: Vec<_> = attributes.keys().filter_map(|name| name.strip_prefix("llm.stream.")).collect();
    assert_eq!(told, ["chunks", "closed_first", "stall_count", "time_to_first_byte_ms"]);
    let whole = events_of(scenes::whole());
    assert!(!whole[2]["attributes"].as_object().unwrap().keys().any(|name| name.contains("stream.")));
}

#[test]
fn a_failure_before_the_request_was_read_is_told_of_its_call() {
    let scene = Scene::post("/v1/chat/completions")
        .failure("upstream_connect", "refused")
        .response(502)
        .request("{}")
        .asks("m", "Hello")
        .end();
    let events = events_of(scene);
    assert_eq!(names(&events), ["session.start", "llm.call.start", "llm.call.error"]);
    assert_eq!(events[2]["attributes"]["error.type"], "upstream_connect");
}

#[test]
fn a_result_that_comes_again_with_the_history_is_told_once() {
    let script = Script::new()
        .scene(ask_for_the_weather("s"))
        .scene(bring_the_weather("s"))
        .scene(bring_the_weather("s"))
        .scene(bring_the_weather("s"));
    let events = events_of(script);
    let results: Vec<_> = events.iter().filter(|event| event["name"] == "tool.result").collect();
    assert_eq!(results.len(), 2, "{results:#?}");
    for result in results {
        let asked = events.iter().find(|event| {
            event["name"] == "tool.execution"
                && event["attributes"]["tool.call_id"] == result["attributes"]["tool.call_id"]
        });
        let asked = asked.unwrap();
        assert_eq!(
            (&asked["span_id"], &asked["parent_span_id"]),
            (&result["span_id"], &result["parent_span_id"])
        );
    }
}

#[test]
fn a_result_of_a_tool_that_was_not_seen_being_asked_for_has_its_name_and_no_time() {
    let events = events_of(scenes::conversation());
    let results: Vec<_> = events.iter().filter(|event| event["name"] == "tool.result").collect();
    let of = |name: &str| results.iter().map(|result| result["attributes"][name].clone()).collect::<Vec<_>>();
    assert_eq!(of("tool.name"), [json!("weather"), Value::Null]);
    assert_eq!(of("tool.status"), [json!("success"), json!("error")]);
    assert_eq!(of("tool.execution_time_ms"), [Value::Null, Value::Null]);
    assert_ne!(results[0]["span_id"], results[1]["span_id"]);
    assert_eq!(
        names(&events),
        ["session.start", "tool.result", "tool.result", "llm.call.start", "llm.call.finish"]
    );
}

#[test]
fn a_tool_that_the_provider_ran_has_its_result_right_behind_the_answer_and_no_time() {
    let scene = script::hosted_search("s");
    let events = events_of(Script::new().scene(scene));
    assert_eq!(
        names(&events),
        ["session.start", "llm.call.start", "llm.call.finish", "tool.execution", "tool.result"]
    );
    let (asked, result) = (&events[3], &events[4]);
    assert_eq!(asked["attributes"]["tool.hosted"], true);
    assert_eq!(asked["span_id"], result["span_id"]);
    assert_eq!(result["attributes"]["tool.name"], "web_search");
    assert_eq!(result["attributes"]["tool.status"], "error");
    assert!(result["attributes"].get("tool.execution_time_ms").is_none());
}

/// A call whose request brings `known` messages that were seen and these, and its answer.
fn turn(session: &str, known: usize, news: Vec<Turn>, said: Vec<Part>) -> Scene {
    let scene = Scene::post("/v1beta/models/m:generateContent").in_session(session).request("{}");
    let mut call = scene.next_call("m", "");
    (call.known, call.news) = (known, news);
    let scene = scene.llm(LlmEvent::Call(Arc::new(call))).response(200);
    let mut completion = scene.completion("", None);
    completion.answers[0].parts = said;
    scene.llm(LlmEvent::Completion(Arc::new(completion))).end()
}

fn asks_for(name: &str, hosted: bool) -> Part {
    let mut tool = ToolUse::new(perimeter_interceptor::CallId(0), name, "{}");
    tool.hosted = hosted;
    Part::ToolUse(Arc::new(tool))
}

fn answers(id: Option<&str>, text: &str) -> Part {
    Part::ToolResult(ToolResult::new(id.map(Into::into), text))
}

/// The executions and results: which, and the span.
fn tools_of(events: &[Value]) -> Vec<(String, String)> {
    let tools = events.iter().filter(|event| event["name"].as_str().unwrap().starts_with("tool."));
    let tools = tools.map(|event| {
        assert!(event["attributes"].get("tool.call_id").is_none(), "{event:#}");
        let (name, text) = (&event["attributes"]["tool.name"], &event["attributes"]["tool.result"]);
        let text = text.as_str().map_or(String::new(), |text| format!(" {text}"));
        (format!("{}{text}", name.as_str().unwrap()), event["span_id"].to_string())
    });
    tools.collect()
}

#[test]
fn functions_without_ids_are_joined_to_their_results_by_name_and_order() {
    let asks = || vec![asks_for("weather", false), asks_for("news", false), asks_for("weather", false)];
    let results = || {
        let parts = [("weather", "sunny"), ("news", "none"), ("weather", "rain")];
        let parts = parts.map(|(name, text)| answers(Some(name), text)).to_vec();
        vec![Turn::new(Role::Assistant, asks()), Turn::new(Role::User, parts)]
    };
    // Each time with what is new, or with everything, and once more after that.
    for known in [1, 0] {
        let again = if known == 0 { [results(), results()].concat() } else { results() };
        let script = Script::new()
            .scene(turn("s", 0, Vec::new(), asks()))
            .scene(turn("s", known, results(), Vec::new()))
            .scene(turn("s", known, if known == 0 { results() } else { Vec::new() }, asks()))
            .scene(turn("s", 4 * known, again, Vec::new()));
        let events = events_of(script);
        assert_ordered(&events);
        let tools = tools_of(&events);
        let names: Vec<_> = tools.iter().map(|(name, _)| name.as_str()).collect();
        let one = ["weather", "news", "weather", "weather sunny", "news none", "weather rain"];
        assert_eq!(names, [one, one].concat());
        for first in [0, 6] {
            for tool in first..first + 3 {
                assert_eq!(tools[tool].1, tools[tool + 3].1);
            }
        }
    }
}

#[test]
fn a_function_that_nobody_answered_is_not_answered_by_the_next_of_its_name() {
    let news = vec![Turn::new(Role::User, vec![answers(Some("weather"), "sunny")])];
    let script = Script::new()
        .scene(turn("s", 0, Vec::new(), vec![asks_for("weather", false)]))
        .scene(turn("s", 1, Vec::new(), vec![asks_for("weather", false)]))
        .scene(turn("s", 2, news, Vec::new()));
    let tools = tools_of(&events_of(script));
    assert_eq!(tools[1].1, tools[2].1);
    assert_ne!(tools[0].1, tools[1].1);
}

#[test]
fn what_the_provider_ran_without_an_id_is_joined_to_its_result_and_told_once() {
    let said = || {
        let code = || asks_for("code_execution", true);
        vec![code(), answers(None, "1"), Part::Text("And".into()), code(), answers(None, "1")]
    };
    for (known, news) in [(1, vec![said()]), (0, vec![said()])] {
        let news = news.into_iter().map(|said| Turn::new(Role::Assistant, said)).collect();
        let script =
            Script::new().scene(turn("s", 0, Vec::new(), said())).scene(turn("s", known, news, Vec::new()));
        let events = events_of(script);
        assert_ordered(&events);
        let tools = tools_of(&events);
        let names: Vec<_> = tools.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["code_execution", "code_execution", "code_execution 1", "code_execution 1"]);
        assert_eq!((&tools[0].1, &tools[1].1), (&tools[2].1, &tools[3].1));
    }
}

#[test]
fn what_the_provider_had_run_before_an_answer_broke_off_is_told() {
    let scene = Scene::post("/v1/messages").in_session("s").request("{}").asks("m", "Hello").response(200);
    let Part::ToolUse(tool) = asks_for("code_execution", true) else { unreachable!() };
    let mut cut = scene.completion("", None);
    cut.answers[0].parts = vec![Part::ToolUse(Arc::clone(&tool)), answers(None, "1")];
    let scene = scene.llm(LlmEvent::ToolUse(tool)).llm(LlmEvent::Cut(Arc::new(cut)));
    let events = events_of(scene.aborted());
    assert_eq!(names(&events)[2..], ["llm.call.error", "tool.execution", "tool.result"]);
    assert_eq!(events[3]["span_id"], events[4]["span_id"]);
}

#[test]
fn the_tools_of_an_answer_that_is_fetched_again_are_not_told_again() {
    let scene = Scene::get("/v1/responses/resp_1").in_session("s").asks("m", "").response(200);
    let mut completion = scene.completion("", None);
    completion.repeated = true;
    completion.answers[0].parts = vec![asks_for("search", true), answers(None, "found")];
    let events = events_of(scene.llm(LlmEvent::Completion(Arc::new(completion))).end());
    assert_eq!(names(&events), ["session.start", "llm.call.start", "llm.call.finish"]);
}

#[test]
fn tools_that_were_asked_for_before_an_answer_broke_off_are_told_and_others_are_not() {
    let scene =
        Scene::post("/v1/chat/completions").in_session("s").request("{}").asks("m", "Hello").response(200);
    let scene = scene.uses("a", "search", "{}");
    let mut cut = scene.completion("", None);
    let half = ToolUse::new(cut.call, "delete", r#"{"fi"#);
    cut.answers[0].parts.push(Part::ToolUse(Arc::new(half)));
    let events = events_of(scene.llm(LlmEvent::Cut(Arc::new(cut))).aborted());
    assert_eq!(names(&events), ["session.start", "llm.call.start", "llm.call.error", "tool.execution"]);
    assert_eq!(events[3]["attributes"]["tool.name"], "search");
}

#[test]
fn a_session_that_goes_on_after_its_end_starts_again_and_says_so() {
    let one = || scenes::whole().in_session("s");
    let script = ended(Script::new().scene(one()), "s", 1).scene(one());
    let events = events_of(ended(script, "s", 2));
    let once = ["session.start", "llm.call.start", "llm.call.finish", "session.end"];
    assert_eq!(names(&events), [once, once].concat());
    let resumed: Vec<_> = events.iter().map(|event| event["attributes"]["session.resumed"] == true).collect();
    assert_eq!(resumed, [false, false, false, false, true, false, false, false]);
    assert_eq!(events[3]["attributes"]["session.events_count"], 4);
    assert_eq!(events[7]["attributes"]["session.events_count"], 8);
    assert_eq!(events[7]["attributes"]["session.calls"], 2);
}

#[test]
fn a_session_does_not_end_before_its_calls_do() {
    let scene = scenes::streamed().in_session("s");
    let mut notices = Script::from(scene).notices();
    let end = Script::new().session_end(SessionEnd::new("s", 1, Duration::ZERO)).notices();
    let middle = notices.len() / 2;
    notices.splice(middle..middle, end);
    let recorder = TestRecorder::default();
    let mut desk =
        perimeter_interceptor::host::Desk::new(recorder.interceptor(), perimeter_interceptor::Interest::LLM);
    for notice in &notices {
        desk.take(notice).unwrap();
    }
    let events = recorder.events();
    assert_eq!(names(&events), ["session.start", "llm.call.start", "llm.call.finish", "session.end"]);
}

#[test]
fn each_event_is_its_calls_agents_and_the_session_that_of_its_first_call() {
    let asked = |agent: &'static str, call: u32| {
        Scene::post("/v1/messages").in_session("s").request("{}").asks("m", "Hello").session(move |session| {
            session.id = "s".into();
            (session.call, session.is_new) = (call, call == 1);
            session.agent = Arc::new(Agent::new(agent, "agent-1"));
        })
    };
    let mut told = asked("prompt-1", 3);
    told = told.session(|session| Arc::make_mut(&mut session.agent).told = Some("planner".into()));
    let script: Script =
        [asked("prompt-1", 1), asked("prompt-2", 2), told].map(Scene::aborted).into_iter().collect();
    let events = events_of(ended(script, "s", 3));
    let agents: Vec<_> = events.iter().map(|event| event["agent_id"].as_str().unwrap()).collect();
    let [one, two] = ["prompt-1", "prompt-2"];
    assert_eq!(agents, [one, one, one, two, two, "planner", "planner", one]);
    assert!(events.iter().all(|event| event["attributes"]["agent.stable_id"] != "agent-7077bd40d00f"));
}

#[test]
fn a_cost_has_all_its_digits_or_is_unknown() {
    let cost_of = |cost: Option<Cost>| {
        let scene = Scene::post("/v1/chat/completions").request("{}").asks("m", "Hello").response(200);
        let mut completion: Completion = scene.completion("Hi", Some(Usage::new(1, 1)));
        completion.cost = cost.map(Arc::new);
        let recorder = TestRecorder::default();
        let script = Script::new().scene(scene.llm(LlmEvent::Completion(Arc::new(completion))).end());
        let script = script.session_end(SessionEnd::new("POST /v1/chat/completions", 1, Duration::ZERO));
        play(recorder.interceptor(), script).assert_faultless();
        let events = recorder.events();
        let (call, session) = (&events[2]["attributes"], &events[3]["attributes"]);
        let of = |value: &Value| value.to_string();
        [
            of(&call["llm.cost.usd"]),
            of(&call["llm.cost.source"]),
            of(&session["session.cost_usd"]),
            of(&session["session.unpriced_calls"]),
        ]
    };
    assert_eq!(cost_of(None), ["null", "\"unknown\"", "0.0", "1"]);
    let charged = Cost::charged(Usd(4_200_000_000));
    assert_eq!(cost_of(Some(charged)), ["0.0042", "\"provider\"", "0.0042", "0"]);
    let prices = CostSource::Prices { model: "m-1".into(), tier: "standard", as_of: "2026-11-01".into() };
    let mut priced = Cost::new(prices);
    (priced.total, priced.output) = (Usd(1_500_000_000_000), Usd(1_500_000_000_000));
    assert_eq!(cost_of(Some(priced)), ["1.5", "\"prices\"", "1.5", "0"]);
}

#[test]
fn an_answer_that_is_fetched_again_is_not_counted_again() {
    let events = events_of(ended(Script::new().scene(script::fetched_again("s")), "s", 1));
    let (finish, end) = (&events[2]["attributes"], &events[3]["attributes"]);
    assert_eq!(
        (&finish["llm.response.repeated"], &finish["llm.usage.input_tokens"]),
        (&json!(true), &json!(9))
    );
    assert!(finish.get("llm.cost.source").is_none());
    assert_eq!((&end["session.input_tokens"], &end["session.unpriced_calls"]), (&json!(0), &json!(0)));
}

#[test]
fn the_same_exchange_has_the_same_ids() {
    let script =
        || ended(Script::new().scene(ask_for_the_weather("s")).scene(bring_the_weather("s")), "s", 2);
    assert_eq!(events_of(script()), events_of(script()));
}

#[test]
fn it_holds_what_every_interceptor_must() {
    comply(|| TestRecorder::default().interceptor());
}

/// That sessions start once before all else, calls start and end once, and parents come before their children.
#[track_caller]
fn assert_ordered(events: &[Value]) {
    let mut begun = BTreeSet::new();
    let mut calls = BTreeMap::<&str, Vec<&str>>::new();
    for event in events {
        let (name, span) = (event["name"].as_str().unwrap(), event["span_id"].as_str().unwrap());
        if let Some(parent) = event["parent_span_id"].as_str() {
            assert!(begun.contains(parent), "{event:#}");
        }
        begun.insert(span);
        if name.starts_with("llm.") {
            calls.entry(span).or_default().push(name);
        }
    }
    for names in calls.values() {
        assert_eq!(names.len(), 2, "{names:?}");
        assert_eq!(names[0], "llm.call.start");
    }
    let unique: BTreeSet<_> =
        events.iter().map(|event| (event["name"].as_str(), event["span_id"].as_str())).collect();
    assert_eq!(unique.len(), events.len(), "each once");
}

#[test]
fn each_event_is_told_once_and_in_order_wherever_exchanges_end() {
    for scene in scenes::all() {
        assert_ordered(&events_of(scene.clone()));
        for notices in 1..24 {
            assert_ordered(&events_of(scene.cut_short(notices)));
        }
    }
    for seed in 0..8 {
        assert_ordered(&events_of(Script::new().shuffled(seed, scenes::all())));
    }
}

#[test]
fn the_test_recorder_keeps_the_latest_and_forgets_when_it_is_told_to() {
    use perimeter_recorder::test_recorder::Settings;
    let settings: Settings = serde_json::from_value(json!({"max_events": 2})).unwrap();
    let recorder = TestRecorder::new(&settings);
    play(recorder.interceptor(), scenes::whole()).assert_faultless();
    assert_eq!(names(&recorder.events()), ["llm.call.start", "llm.call.finish"]);
    let session = &recorder.sessions()[0];
    assert_eq!(recorder.by_session(session), recorder.events());
    assert!(recorder.by_session("other").is_empty());
    recorder.reset();
    assert!(recorder.events().is_empty() && recorder.sessions().is_empty());

    let small: Settings = serde_json::from_value(json!({"max_size": "1KiB"})).unwrap();
    let recorder = TestRecorder::new(&small);
    let long = format!(r#"{{"prompt":"{}"}}"#, "x".repeat(5_000));
    let long = Scene::post("/v1/completions").in_session("s").request(long).asks("m", "x");
    play(recorder.interceptor(), long.aborted()).assert_faultless();
    assert_eq!(names(&recorder.events()), ["llm.call.error"]);
}

#[test]
fn an_event_that_holds_what_no_value_can_is_kept_all_the_same() {
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(300), "]".repeat(300));
    for body in [r#"{"temperature":1e400}"#, &deep] {
        let scene = Scene::post("/v1/chat/completions").in_session("s").request(body.to_owned());
        let events = events_of(scene.asks("m", "Hello").aborted());
        assert_eq!(names(&events), ["session.start", "llm.call.start", "llm.call.error"]);
        let data = events[1]["attributes"]["llm.request.data"].as_str().unwrap();
        assert!(data.starts_with(&body[..body.len() - 1]), "{data}");
    }
}

#[test]
fn a_result_of_the_provider_without_its_tool_is_told_too() {
    let scene = Scene::post("/v1/responses").in_session("s").request("{}").asks("m", "Hello").response(200);
    let mut completion = scene.completion("", None);
    completion.answers = vec![Answer::new(0)];
    completion.answers[0].parts =
        vec![Part::ToolResult(ToolResult::new(None, "one")), Part::ToolResult(ToolResult::new(None, "one"))];
    let events = events_of(scene.llm(LlmEvent::Completion(Arc::new(completion))).end());
    assert_eq!(names(&events)[2..], ["llm.call.finish", "tool.result", "tool.result"]);
    assert_ordered(&events);
}
