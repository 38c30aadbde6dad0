use std::sync::Arc;
use std::time::Duration;

use http::Method;
use perimeter_interceptor::host::What;
use perimeter_interceptor::{
    Answer, ApiFailure, BodyEnd, CallId, Client, Completion, Cost, End, Failure, LlmEvent, Media, Operation,
    Part, Peer, Relation, Role, Session, Stall, Stream, Tool, ToolResult, ToolUse, Turn, Upgrade, Usage, Usd,
};
use perimeter_printer::{Look, Settings};
use serde_json::json;

use crate::scene::{CALL, Scene, answer, call, printed, settings, tool, turn, user};

/// The same scenes on a narrow, an ordinary and no terminal.
fn at_every_width(scenes: &[Scene], settings: &Settings) -> String {
    let widths = [Some(60), Some(100), None];
    let sheets = widths.map(|width| {
        let title =
            width.map_or("no width".to_owned(), |width| format!("{:─<width$}", format!("{width} columns ")));
        format!("{title}\n{}", printed(scenes, Look::fixed(width, false), settings))
    });
    sheets.concat()
}

fn snapshot(scenes: &[Scene]) -> String {
    at_every_width(scenes, &Settings::default())
}

const ANSWER: &str = "Paris has 21 °C and sun; Berlin has 14 °C and rain.\n\nTake:\n\n- an umbrella for Berlin\n\
                      - sunglasses for Paris\n- a pullover, since the evenings are cool in both of them this week\n";

fn text(text: &str) -> Part {
    Part::Text(text.into())
}

fn plain_call(number: u32) -> Scene {
    let asked = vec![turn(Role::System, "You are terse."), user("What is\n   the capital of France?")];
    let completion = answer(vec![text("Paris.")], "stop");
    Scene::post(number).asks(call("gpt-4o-mini", asked)).answers(200).completes(1240, completion)
}

fn streamed_with_thinking(number: u32) -> Scene {
    let asked = vec![user(
        "Compare the weather in Paris and in Berlin over the coming week, and tell me what to pack for a journey \
         that takes in both of them, by train, with one small bag and no umbrella yet.",
    )];
    let mut call = call("claude-sonnet-4-5-20250929", asked);
    call.dialect = "anthropic_messages";
    let thinking = Part::Thinking("The user wants packing advice.\nTwo cities.".into());
    let mut completion = answer(vec![thinking, text(ANSWER)], "end_turn");
    let usage = completion.usage.as_mut().unwrap();
    (usage.input, usage.cache_read, usage.reasoning) = (48_213, Some(46_080), Some(64));
    completion.cost = Some(Cost::charged(Usd(21_528_000_000)).into());
    Scene::new(number, Method::POST, "/v1/messages")
        .asks(call)
        .answers(200)
        .says(312, "Paris has")
        .completes(12_400, completion)
}

fn parallel_tool_calls(number: u32) -> Scene {
    let asked = vec![user("What is the weather in Paris and in Berlin?")];
    let parts = vec![
        text("I'll look both up."),
        Part::ToolUse(tool("a", "get_weather", "{\"city\": \"Paris\",\n \"unit\": \"celsius\"}")),
        Part::ToolUse(tool("b", "get_weather", r#"{"city": "Berlin", "unit": "celsius"}"#)),
    ];
    Scene::post(number)
        .asks(call("gpt-4o-mini", asked))
        .answers(200)
        .completes(1240, answer(parts, "tool_calls"))
}

fn tool_results(number: u32) -> Scene {
    let uses = ["a", "b"].map(|id| Part::ToolUse(tool(id, "get_weather", "{}")));
    let result = |id: &str, text: &str| ToolResult::new(Some(id.into()), text);
    let mut failed = result("b", "no such city");
    failed.is_error = true;
    let results = vec![
        Turn::new(Role::Tool, vec![Part::ToolResult(result("a", "21 °C,\n sunny"))]),
        Turn::new(Role::Tool, vec![Part::ToolResult(failed)]),
    ];
    let mut asked = vec![user("What is the weather?"), Turn::new(Role::Assistant, uses.to_vec())];
    asked.extend(results);
    let completion = answer(vec![text(ANSWER)], "length");
    Scene::post(number).asks(call("gpt-4o-mini", asked)).answers(200).completes(1240, completion)
}

fn hosted_tools(number: u32) -> Scene {
    let mut parts = vec![text("I'll search.")];
    for id in 0..10 {
        let id = id.to_string();
        let mut tool = ToolUse::clone(&tool(&id, "web_search", r#"{"query": "tides"}"#));
        tool.hosted = true;
        let found = "Brest tides <https://tides.example/brest>\nTide tables <https://sea.example/t>";
        let mut result = ToolResult::new(Some((*id).into()), found);
        if id == "1" {
            result = ToolResult::new(result.id, "max_uses_exceeded");
            result.is_error = true;
        }
        parts.extend([Part::ToolUse(tool.into()), Part::ToolResult(result)]);
    }
    parts.push(text("At 06:12."));
    let asked = vec![user("When is high tide?")];
    Scene::post(number)
        .asks(call("claude-sonnet-4-5", asked))
        .answers(200)
        .completes(1240, answer(parts, "pause_turn"))
}

fn refused_by_provider(number: u32, status: u16, kind: &str, message: &str) -> Scene {
    let mut failure = ApiFailure::new(CALL, status, message);
    failure.kind = Some(kind.into());
    Scene::post(number)
        .asks(call("gpt-4o", vec![user("Hello")]))
        .answers(status)
        .llm(292, LlmEvent::Failure(failure.into()))
        .ends(292)
}

fn unreachable(number: u32) -> Scene {
    let failure = Failure::new("upstream_connect", "connecting to 127.0.0.1:9 failed: Connection refused");
    Scene::post(number)
        .asks(call("gpt-4o", vec![user("Hello")]))
        .then(2, What::Failure(failure.into()))
        .answers(502)
        .ends_as(3, BodyEnd::Aborted, BodyEnd::COMPLETE)
}

fn plain_get(number: u32) -> Scene {
    Scene::new(number, Method::GET, "/v1/models?limit=20").answers(200).ends(312)
}

fn session(id: &str, agent: Option<&str>) -> Arc<Session> {
    let mut session = Session::new(id);
    session.told = true;
    Arc::make_mut(&mut session.agent).told = agent.map(Into::into);
    session.into()
}

/// A call that stands here in a session that nobody named.
fn placed(number: u32, call_number: u32, relation: Relation, parent: Option<u32>) -> Scene {
    let mut call = call("gpt-4o-mini", vec![user("Hello")]);
    let mut session = Session::new("0196f1a2-7c11-4e6b-8000-0123456789ab");
    (session.call, session.is_new) = (call_number, call_number == 1);
    (session.relation, session.parent) = (relation, parent);
    let mut client = Client::new("Claude Code");
    client.version = Some("2.1.329".into());
    session.client = Some(client.into());
    Arc::make_mut(&mut session.agent).name = Some("Claude Code".into());
    call.session = session.into();
    Scene::post(number).asks(call).answers(200).completes(900, answer(vec![text("Hi.")], "stop"))
}

fn with_session(number: u32) -> Scene {
    let mut call = call("gpt-4o-mini", vec![user("Hello")]);
    call.session = session("a1fc86b8-7c11-4e6b", Some("planner"));
    Scene::post(number).asks(call).answers(200).completes(900, answer(vec![text("Hi.")], "stop"))
}

#[test]
fn a_call_is_a_head_line_and_what_was_said() {
    insta::assert_snapshot!(snapshot(&[plain_call(0), streamed_with_thinking(1)]));
}

#[test]
fn tools_are_shown_as_they_are_asked_for_and_as_they_answer() {
    insta::assert_snapshot!(snapshot(&[parallel_tool_calls(0), tool_results(1)]));
}

/// A session tells each message once: what the model asked for is not told again with the results.
#[test]
fn results_have_the_names_of_tools_that_an_earlier_call_asked_for() {
    let in_session = |scene: Scene, id: &str, turns: Vec<Turn>| {
        let mut call = call("gpt-4o-mini", turns);
        call.session = session(id, None);
        scene.asks(call).answers(200)
    };
    let asked = answer(vec![Part::ToolUse(tool("a", "get_weather", "{}"))], "tool_calls");
    let asks = LlmEvent::ToolUse(tool("a", "get_weather", "{}"));
    let result =
        || vec![Turn::new(Role::Tool, vec![Part::ToolResult(ToolResult::new(Some("a".into()), "21 °C"))])];
    let said = || answer(vec![text("Warm.")], "stop");
    let scenes = [
        in_session(Scene::post(0), "one", vec![user("Is it warm?")]).llm(800, asks).completes(900, asked),
        in_session(Scene::post(1), "one", result()).completes(900, said()),
        in_session(Scene::post(2), "another", result()).completes(900, said()),
    ];
    let shown = printed(&scenes, Look::fixed(None, false), &Settings::default());
    let results: Vec<_> = shown.lines().filter(|line| line.contains('←')).map(str::trim).collect();
    assert_eq!(results, ["← get_weather 21 °C", "← 21 °C"]);
}

#[test]
fn tools_that_the_provider_runs_are_shown_with_what_came_of_them() {
    insta::assert_snapshot!(snapshot(&[hosted_tools(0)]));
}

#[test]
fn errors_are_shown_in_full() {
    let quota = "Rate limit reached for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, Used \
                 29800, Requested 1204. Please try again in 2.008s. Visit https://platform.example/limits to learn \
                 more about the limits that apply to you.";
    insta::assert_snapshot!(snapshot(&[
        refused_by_provider(0, 401, "invalid_api_key", "Incorrect API key provided: sk-***"),
        refused_by_provider(1, 429, "rate_limit_exceeded", quota),
        unreachable(2),
    ]));
}

#[test]
fn what_broke_off_says_who_broke_it() {
    let begun = |number| {
        let scene = Scene::post(number).asks(call("gpt-4o", vec![user("Tell me a story")])).answers(200);
        let mut heard = answer(vec![text("Once upon a")], "stop");
        (heard.answers[0].stop, heard.usage) = (None, None);
        scene.says(312, "Once upon a").llm(800, LlmEvent::Cut(heard.into()))
    };
    let gone = begun(0).ends_as(800, BodyEnd::COMPLETE, BodyEnd::Aborted);
    let broken = begun(1).ends_as(800, BodyEnd::COMPLETE, BodyEnd::Failed("connection reset by peer".into()));
    let mut overloaded = ApiFailure::new(CALL, 200, "Overloaded");
    overloaded.kind = Some("overloaded_error".into());
    let failed = begun(2).llm(801, LlmEvent::Failure(overloaded.into())).ends(801);
    let early = Scene::post(3).ends_as(40, BodyEnd::COMPLETE, BodyEnd::Aborted);
    let half =
        Scene::post(4).ends_as(40, BodyEnd::Failed("connection reset by peer".into()), BodyEnd::Aborted);
    insta::assert_snapshot!(snapshot(&[gone, broken, failed, early, half]));
}

#[test]
fn a_client_that_leaves_behind_a_whole_answer_did_nothing_wrong() {
    let scene = plain_call(0);
    let whole = printed(&[scene], Look::fixed(None, false), &Settings::default());
    let left = Scene::post(0)
        .asks(call("gpt-4o-mini", vec![user("Hello?")]))
        .answers(200)
        .llm(900, LlmEvent::Completion(answer(vec![text("Hi.")], "stop").into()))
        .ends_as(901, BodyEnd::COMPLETE, BodyEnd::Aborted);
    let left = printed(&[left], Look::fixed(None, false), &Settings::default());
    assert!(!whole.contains('✗') && !left.contains('✗'), "{left}");
}

#[test]
fn an_answer_in_the_background_has_not_stopped() {
    let scene = Scene::post(0)
        .asks(call("o3-deep-research", vec![user("Find out.")]))
        .answers(200)
        .completes(900, answer(Vec::new(), "queued"));
    let shown = printed(&[scene], Look::fixed(None, false), &Settings::default());
    assert!(shown.contains("! queued\n"), "{shown}");
    let begun = answer(vec![text("It is")], "in_progress");
    let scene = Scene::post(0)
        .asks(call("gpt-5.1", vec![user("Find out.")]))
        .answers(200)
        .llm(900, LlmEvent::Cut(begun.into()))
        .ends_as(900, BodyEnd::COMPLETE, BodyEnd::Aborted);
    let shown = printed(&[scene], Look::fixed(None, false), &Settings::default());
    assert!(!shown.contains("in_progress") && shown.contains("✗ the client left"), "{shown}");
}

#[test]
fn nobody_need_be_told_that_a_request_was_not_read_where_nobody_was_there() {
    let mut asked = call("gpt-4o", Vec::new());
    asked.partial = true;
    let failure = Failure::new("upstream_connect", "cannot connect to 127.0.0.1:9: Connection refused");
    let scene = Scene::post(0).asks(asked).then(2, What::Failure(failure.into())).answers(502).ends_as(
        3,
        BodyEnd::Aborted,
        BodyEnd::COMPLETE,
    );
    let shown = printed(&[scene], Look::fixed(None, false), &Settings::default());
    assert!(shown.contains("✗ upstream_connect") && !shown.contains('!'), "{shown}");
}

#[test]
fn an_error_without_words_says_so() {
    let shown =
        printed(&[refused_by_provider(0, 503, "error", "")], Look::fixed(None, false), &Settings::default());
    assert!(shown.contains("✗ error: the provider did not say why\n"), "{shown}");
}

#[test]
fn what_was_not_seen_is_told() {
    let mut end = End::new(BodyEnd::COMPLETE, BodyEnd::COMPLETE, std::time::Duration::from_millis(5200));
    end.unseen.upstream = 12_345;
    let begun = |number| Scene::post(number).asks(call("gpt-4o", vec![user("Tell me a story")])).answers(200);
    let cut_short = begun(0)
        .says(312, "Once upon a time")
        .llm(320, LlmEvent::ToolUse(tool("a", "draw", "{}")))
        .then(5200, What::End(end.clone()));
    end.unseen.client = 4_500_000;
    let mut partial = call("gpt-4o", Vec::new());
    partial.partial = true;
    let both = Scene::post(1).asks(partial.clone()).answers(200).then(5200, What::End(end));
    let too_large =
        Scene::post(2).asks(partial).answers(200).completes(900, answer(vec![text("Hi.")], "stop"));
    insta::assert_snapshot!(snapshot(&[cut_short, both, too_large]));
}

#[test]
fn exchanges_without_a_call_are_one_line() {
    let upgrade = Scene::new(1, Method::GET, "/v1/realtime")
        .answers(101)
        .then(291, What::Upgrade(Arc::new(Upgrade::new("websocket"))))
        .ends_as(125_000, BodyEnd::COMPLETE, BodyEnd::Aborted);
    let host = Scene::new(2, Method::CONNECT, "llm.example:443").answers(405).ends(1);
    let long = Scene::new(3, Method::GET, &format!("/v1/files/{}", "abc/".repeat(30))).answers(404).ends(5);
    insta::assert_snapshot!(snapshot(&[plain_get(0), upgrade, host, long]));
}

#[test]
fn each_call_of_a_socket_is_a_block() {
    let numbered = |id, text: &str| {
        let mut call = call("gpt-realtime", vec![user(text)]);
        call.id = CallId(id);
        let mut completion = answer(vec![Part::Text("Yes.".into())], "stop");
        completion.call = CallId(id);
        (LlmEvent::Call(call.into()), LlmEvent::Completion(completion.into()))
    };
    let (first, first_done) = numbered(0, "One?");
    let (second, second_done) = numbered(1, "Two?");
    let (third, _) = numbered(2, "Three?");
    let socket = Scene::new(0, Method::GET, "/v1/realtime")
        .answers(101)
        .then(291, What::Upgrade(Arc::new(Upgrade::new("websocket"))))
        .llm(1000, first)
        .llm(1500, first_done)
        .llm(3000, second)
        .llm(5000, second_done)
        .llm(6000, third)
        .ends_as(7000, BodyEnd::COMPLETE, BodyEnd::Aborted);
    insta::assert_snapshot!(snapshot(&[socket]));
}

#[test]
fn other_sessions_are_announced_once_they_have_a_second_call() {
    let talk = [
        placed(0, 1, Relation::Opening, None),
        placed(1, 2, Relation::Turn, Some(1)),
        placed(2, 3, Relation::Turn, Some(2)),
        placed(3, 4, Relation::Retry, Some(3)),
        placed(4, 5, Relation::SubAgent, Some(4)),
        placed(5, 6, Relation::Side, None),
    ];
    insta::assert_snapshot!(snapshot(&talk));
    let line = |relation, parent| {
        let out = printed(&[placed(0, 9, relation, parent)], Look::fixed(None, false), &Settings::default());
        out.lines().find_map(|line| line.trim().strip_prefix("# session 0196f1a2, ")).map(str::to_owned)
    };
    for (relation, with, without) in [
        (Relation::Regenerate, "another answer to call 8", "another answer"),
        (Relation::Edit, "edited after call 8", "edited"),
        (Relation::Fork, "forked after call 8", "forked"),
        (Relation::Compaction, "compacted after call 8", "compacted"),
        (Relation::Truncation, "shortened after call 8", "shortened"),
        (Relation::Side, "beside call 8", "side call"),
    ] {
        assert_eq!(line(relation, Some(8)).as_deref(), Some(with));
        assert_eq!(line(relation, None).as_deref(), Some(without));
    }
    assert_eq!(line(Relation::Opening, None), None);
    // As the proxy names sessions: all that begin within a minute have the first eight digits in common.
    let mut asks = call("gpt-4o-mini", vec![user("Hello")]);
    let mut session = Session::new("0196f1a2-7c11-7000-8000-0123456789ab");
    (session.call, session.relation, session.parent) = (2, Relation::Turn, Some(1));
    asks.session = session.into();
    let scene = Scene::post(0).asks(asks).answers(200).completes(900, answer(vec![text("Hi.")], "stop"));
    let shown = printed(&[scene], Look::fixed(None, false), &Settings::default());
    assert!(shown.contains("# session 0196f1a2-7c11\n"), "{shown}");
    let hidden = settings(json!({"show_sessions": false}));
    assert!(!printed(&talk, Look::fixed(None, false), &hidden).contains("0196f1a2"));
}

#[test]
fn sessions_that_the_client_named_are_announced() {
    insta::assert_snapshot!(snapshot(&[with_session(0)]));
    let mut call = call("gpt-4o-mini", vec![user("Go")]);
    call.session = session("nightly-report/42", None);
    let named = Scene::post(1).asks(call).answers(200).completes(900, answer(Vec::new(), "stop"));
    let shown = printed(&[named], Look::fixed(None, false), &Settings::default());
    assert!(
        shown.contains("# session nightly-report/42\n"),
        "a name of the client's own is shown whole: {shown}"
    );
    let hidden = settings(json!({"show_sessions": false}));
    assert!(!printed(&[with_session(0)], Look::fixed(None, false), &hidden).contains("a1fc86b8"));
}

#[test]
fn wide_characters_are_counted_as_wide() {
    let asked = vec![user(
        "東京の天気はどうですか。明日の朝、新宿から箱根まで行きたいのですが、傘は必要でしょうか。教えてください。\
         電車の時間も知りたいです。できれば朝の八時ごろに出発したいと思っています。",
    )];
    let said = "👩‍👩‍👧‍👦 家族で行くなら ☔️ 傘を持って行きましょう 🇯🇵 e\u{301}te\u{301} 🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉";
    let completion = answer(vec![text(said)], "stop");
    let scene = Scene::post(0).asks(call("qwen-最大", asked)).answers(200).completes(1240, completion);
    insta::assert_snapshot!(snapshot(&[scene]));
}

#[test]
fn escape_sequences_are_shown_and_not_sent() {
    let evil =
        "\x1b[2J\x1b]0;owned\x07 red: \x1b[31m, C1: \u{9b}31m, back\x08space, \u{202e}desrever\u{2066}";
    let parts = vec![text(evil), Part::ToolUse(tool("a", "rm\x1b[8m", evil))];
    let scene = Scene::post(0)
        .asks(call(&format!("gpt\x1b[5m{evil}"), vec![user(evil)]))
        .answers(200)
        .completes(1240, answer(parts, "\x1b[31mstop"));
    let failure = refused_by_provider(1, 400, "\x1b[1mbad", evil);
    insta::assert_snapshot!(snapshot(&[scene, failure]));
}

#[test]
fn a_very_long_model_name_leaves_room_for_the_rest() {
    let model = format!("accounts/fireworks/models/{}", "llama-v3p1-405b-instruct-".repeat(8));
    let mut completion = answer(vec![text("Hi.")], "stop");
    completion.usage.as_mut().unwrap().cache_read = Some(1024);
    let scene = Scene::post(0).asks(call(&model, vec![user("Hello")])).answers(200).says(312, "Hi");
    insta::assert_snapshot!(snapshot(&[scene.completes(1240, completion)]));
}

#[test]
fn full_shows_all_that_is_new() {
    let mut first =
        call("gpt-4o-mini", vec![turn(Role::System, "You are terse.\n\nBe\tkind."), user("Hello")]);
    first.tools = [Tool::new("get_weather"), Tool::new("search")].into();
    let mut image = Media::new("image");
    (image.media_type, image.size) = (Some("image/png".into()), 123_456);
    let long = (1..=60).map(|line| format!("line {line}\n")).collect::<String>();
    first.news.push(Turn::new(Role::User, vec![Part::Media(image), text(&long)]));
    let first = Scene::post(0).asks(first).answers(200).completes(1240, answer(vec![text(ANSWER)], "stop"));
    let scenes = [first, streamed_with_thinking(1), parallel_tool_calls(2), tool_results(3), plain_get(4)];
    insta::assert_snapshot!(at_every_width(&scenes, &settings(json!({"format": "full"}))));
}

/// How an answer came for which somebody was waited for so often.
fn stream(stalls: &[(u64, u64, Peer)]) -> Arc<Stream> {
    let millis = Duration::from_millis;
    let mut stream = Stream::default();
    (stream.first_byte, stream.first_chunk) = (millis(212), Some(millis(213)));
    (stream.first_token, stream.last_token) = (Some(millis(640)), Some(millis(2_123)));
    (stream.last, stream.chunks, stream.bytes) = (millis(2_130), 87, 9_000);
    (0..80).chain([40, 41]).for_each(|gap| stream.gaps.add(millis(gap % 20)));
    for (at, lasted, by) in stalls {
        stream.gaps.add(millis(*lasted));
        stream.stall(Stall::new(millis(*at), millis(*lasted), *by));
    }
    stream.into()
}

fn streamed(number: u32, stalls: &[(u64, u64, Peer)]) -> (Scene, Completion) {
    let mut completion = answer(vec![text("Paris.")], "stop");
    completion.stream = Some(stream(stalls));
    let mut call = call("gpt-4o-mini", vec![user("What is the capital of France?")]);
    call.streaming = true;
    (Scene::post(number).asks(call).answers(200).says(640, "Paris"), completion)
}

#[test]
fn full_tells_how_a_stream_came_and_who_was_waited_for() {
    let silent = (2_400, 3_100, Peer::Upstream);
    let deaf = (6_000, 12_400, Peer::Client);
    let scene = |number, stalls: &[_]| {
        let (scene, completion) = streamed(number, stalls);
        scene.completes(20_000, completion)
    };
    let cut = |number, response| {
        let (scene, completion) = streamed(number, &[silent]);
        scene.llm(20_000, LlmEvent::Cut(completion.into())).ends_as(20_000, BodyEnd::COMPLETE, response)
    };
    let scenes = || {
        let mut at_once = answer(vec![text("Paris.")], "stop");
        at_once.stream = Some(Arc::default());
        let (begun, _) = streamed(6, &[]);
        [
            scene(0, &[]),
            scene(1, &[silent, deaf]),
            scene(2, &[silent, deaf, silent, silent]),
            cut(3, BodyEnd::Aborted),
            cut(4, BodyEnd::Failed("connection reset".into())),
            cut(5, BodyEnd::Stopped),
            begun.completes(700, at_once),
        ]
    };
    insta::assert_snapshot!(at_every_width(&scenes(), &settings(json!({"format": "full"}))));
    insta::assert_snapshot!(printed(
        &scenes(),
        Look::fixed(None, false),
        &settings(json!({"format": "json"}))
    ));
    let compact = printed(&scenes(), Look::fixed(None, false), &Settings::default());
    assert!(!compact.contains("gaps") && !compact.contains("stalled"), "{compact}");
}

#[test]
fn full_is_bounded_and_keeps_the_latest_turns() {
    let news = (0..500).map(|number| user(&format!("turn {number}\nand more"))).collect();
    let said = "word\n".repeat(5000);
    let parts = vec![text(&said), Part::Thinking(said.as_str().into()), text(&said), text(&said)];
    let scene = Scene::post(0).asks(call("gpt-4o", news)).answers(200).completes(1, answer(parts, "stop"));
    let out = printed(&[scene], Look::fixed(Some(80), false), &settings(json!({"format": "full"})));
    assert!(out.lines().count() <= 202, "{}", out.lines().count());
    assert!(out.contains("turn 499") && !out.contains("turn 0\n") && out.contains("earlier turns"), "{out}");
    assert!(out.contains("more lines"), "{out}");
}

#[test]
fn json_is_one_object_a_line() {
    let scenes = [
        plain_call(0),
        streamed_with_thinking(1),
        parallel_tool_calls(2),
        tool_results(3),
        refused_by_provider(4, 401, "invalid_api_key", "Incorrect API key provided\x1b[2J\u{9b}"),
        unreachable(5),
        plain_get(6),
        with_session(7),
    ];
    let out = printed(&scenes, Look::fixed(Some(40), true), &settings(json!({"format": "json"})));
    for line in out.lines() {
        let _: serde_json::Value = serde_json::from_str(line).unwrap();
    }
    insta::assert_snapshot!(out);
}

#[test]
fn colours_are_our_own_alone() {
    let scenes =
        || [plain_call(0), parallel_tool_calls(1), refused_by_provider(2, 401, "bad", "no"), plain_get(3)];
    let coloured = printed(&scenes(), Look::fixed(Some(100), true), &Settings::default());
    insta::assert_snapshot!(coloured.replace('\x1b', "␛"));
    let plain = printed(&scenes(), Look::fixed(Some(100), false), &Settings::default());
    assert!(!plain.contains('\x1b'));
}

#[test]
fn forty_columns_are_enough() {
    let scenes =
        [plain_call(0), streamed_with_thinking(1), parallel_tool_calls(2), unreachable(3), plain_get(4)];
    insta::assert_snapshot!(printed(&scenes, Look::fixed(Some(40), false), &Settings::default()));
}

#[test]
fn the_keys_of_the_predecessor_hide_what_they_name() {
    let shown = |key: &str| {
        let settings = settings(json!({ key: key == "log_body" }));
        let scenes = [tool_results(0), parallel_tool_calls(1), refused_by_provider(2, 401, "bad", "no")];
        format!("── {key}\n{}", printed(&scenes, Look::fixed(Some(60), false), &settings))
    };
    let keys = ["log_requests", "log_responses", "log_body", "show_tools", "show_llm_calls"];
    insta::assert_snapshot!(keys.map(shown).concat());
}

#[test]
fn a_key_that_is_unknown_is_refused() {
    let refused: Result<Settings, _> = serde_json::from_value(json!({"log_bodies": true}));
    assert!(refused.unwrap_err().to_string().contains("log_bodies"));
    assert_eq!(settings(json!({})), Settings::default());
}

#[test]
fn only_what_is_new_is_shown_of_a_long_conversation() {
    let asked = vec![
        user("first question"),
        turn(Role::Assistant, "first answer"),
        Turn::new(
            Role::User,
            vec![
                text("<reminder>be nice</reminder>"),
                text("second question"),
                Part::Media(Media::new("image")),
            ],
        ),
    ];
    let scene = Scene::post(0).asks(call("gpt-4o", asked));
    let out = printed(&[scene.answers(200).ends(1)], Look::fixed(None, false), &Settings::default());
    assert!(out.contains("› second question") && out.contains("+ image"), "{out}");
    assert!(!out.contains("first") && !out.contains("reminder"), "{out}");
}

#[test]
fn what_a_call_cost_is_told_unless_there_is_nothing_to_pay_for() {
    let unknown = |number, operation| {
        let mut call = call("our-own-model", vec![user("Hello?")]);
        call.operation = operation;
        let mut completion = Completion::new(CALL);
        completion.usage = Some(Usage::new(12, 0));
        Scene::post(number).asks(call).answers(200).completes(900, completion)
    };
    let no_usage = Scene::post(2)
        .asks(call("gpt-4o-mini", vec![user("Hello?")]))
        .answers(200)
        .completes(900, Completion::new(CALL));
    let scenes = [unknown(0, Operation::Chat), unknown(1, Operation::CountTokens), no_usage];
    insta::assert_snapshot!(snapshot(&scenes));
    let settings = settings(json!({"format": "json"}));
    insta::assert_snapshot!(printed(&scenes, Look::fixed(None, false), &settings));
}

/// A call that is no conversation, and its answer.
fn errand(number: u32, path: &str, operation: Operation, asked: Vec<Part>, answered: Vec<Part>) -> Scene {
    let mut call = call("", vec![Turn::new(Role::User, asked)]);
    call.model = None;
    call.operation = operation;
    if operation == Operation::Embeddings {
        call.model = Some("text-embedding-3-small".into());
    }
    if operation == Operation::Models {
        call.news = Vec::new();
    }
    let mut answer = Answer::new(0);
    answer.parts = answered;
    if operation == Operation::Batches {
        answer.stop = Some("in_progress".into());
    }
    let mut completion = Completion::new(CALL);
    completion.answers.push(answer);
    let method = if operation == Operation::Models { Method::GET } else { Method::POST };
    Scene::new(number, method, path).asks(call).answers(200).completes(900, completion)
}

#[test]
fn calls_that_are_no_conversation_are_named_and_measured() {
    let media = |kind: &str, media_type: Option<&str>, size| {
        let mut media = Media::new(kind);
        media.media_type = media_type.map(Into::into);
        media.size = size;
        Part::Media(media)
    };
    let vectors = (0..100).map(|_| media("embedding", None, 12_000)).collect();
    let inputs = (0..100).map(|n| text(&format!("Text {n}."))).collect();
    let other = |words: &str| vec![Part::Other(words.into())];
    let sound = vec![media("audio", Some("audio/mpeg"), 24_000)];
    let scenes = [
        errand(0, "/v1/embeddings", Operation::Embeddings, inputs, vectors),
        errand(1, "/v1/models", Operation::Models, vec![], other("112 models")),
        errand(2, "/v1/batches", Operation::Batches, other("/v1/responses"), vec![]),
        errand(3, "/v1/audio/speech", Operation::Speech, vec![text("Good day.")], sound.clone()),
        errand(
            4,
            "/v1/audio/transcriptions",
            Operation::Transcription,
            sound,
            vec![text("Good day."), Part::Other("3 seconds".into())],
        ),
        errand(
            5,
            "/v1/messages/count_tokens",
            Operation::CountTokens,
            other("3 messages"),
            other("2095 input tokens"),
        ),
    ];
    insta::assert_snapshot!(snapshot(&scenes));
}
