//! Earlier responses: gone on from, looked at, deleted.

use http::Method;
use serde_json::{Value, json};

use super::event::{Begin, Done, Event, Stop, Usage};
use super::writing::{every_kind, streamed, whole};
use super::*;

/// Asks with these fields, and is answered with `events`. Returns the response.
fn answered(kept: &Kept, fields: Value, events: &[Event]) -> Value {
    let mut writer = try_with(kept, &request(fields), false).unwrap().writer;
    whole(&mut *writer, events)
}

fn says(text: &str) -> Vec<Event> {
    let done = Done { stop: Stop::EndTurn, usage: Usage::default(), refusal: None, cost: None };
    vec![Event::Begin(Begin::Text), Event::Text(text.to_owned()), Event::End, Event::Done(done)]
}

fn get(kept: &Kept, path: &str) -> Result<Value, Failure> {
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    own(&Method::GET, path, query, &Caller::local(), kept).unwrap()
}

fn id(response: &Value) -> &str {
    response["id"].as_str().unwrap()
}

/// The turns, each as its role and what it says.
fn told(ask: &Ask) -> Vec<(Role, Vec<String>)> {
    let block = |block: &Block| match block {
        Block::Text(text) => text.clone(),
        Block::Thinking { text, signature } => format!("thinks {text} {signature:?}"),
        Block::Redacted(data) => format!("thinks in secret {data}"),
        Block::ToolUse { name, input, .. } => format!("calls {name} {input}"),
        Block::ToolResult { id, .. } => format!("answers {id}"),
        other => format!("{other:?}"),
    };
    ask.turns
        .iter()
        .map(|turn| (turn.role, turn.parts.iter().map(|part| block(&part.block)).collect()))
        .collect()
}

#[test]
fn a_conversation_goes_on_from_an_earlier_response() {
    let kept = Kept::default();
    let first = json!({"instructions": "Gone.", "input": [{"role": "developer", "content": "Stays."},
        {"role": "user", "content": "a"}]});
    let first = answered(&kept, first, &every_kind());
    let input = json!([{"type": "function_call_output", "call_id": "toolu_1", "output": "b"}]);
    let second = json!({"previous_response_id": first["id"], "input": input});
    let second = answered(&kept, second, &says("c"));
    let third = request(json!({"previous_response_id": second["id"], "input": "d", "instructions": "New."}));
    let ask = try_with(&kept, &third, false).unwrap().ask;
    let system: Vec<_> = ask.system.iter().map(|prompt| prompt.text.as_str()).collect();
    assert_eq!(system, ["New.", "Stays."]);
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        told(&ask),
        [
            (Role::User, owned(&["a"])),
            (
                Role::Assistant,
                owned(&[
                    "thinks Hm, well. Some(\"c2ln\")",
                    "thinks in secret ZGF0YQ==",
                    "I look\n\ntwice é.",
                    "calls look {\"at\":1.50}"
                ])
            ),
            (Role::User, owned(&["answers toolu_1"])),
            (Role::Assistant, owned(&["c"])),
            (Role::User, owned(&["d"])),
        ]
    );
    assert_eq!(dropped(&ask), "");
}

#[test]
fn what_a_client_gives_back_is_what_goes_on_by_itself() {
    let kept = Kept::default();
    let ours = json!({"include": ["reasoning.encrypted_content"], "input": "a"});
    let first = answered(&kept, ours, &every_kind());
    let mut input = vec![json!({"role": "user", "content": "a"})];
    input.extend(first["output"].as_array().unwrap().clone());
    let result = json!({"type": "function_call_output", "call_id": "toolu_1", "output": "b"});
    input.push(result.clone());
    let by_hand = try_with(&kept, &request(json!({"input": input})), false).unwrap().ask;
    let by_id = request(json!({"previous_response_id": first["id"], "input": [result]}));
    let by_id = try_with(&kept, &by_id, false).unwrap().ask;
    assert_eq!(told(&by_hand), told(&by_id));
    assert_eq!((dropped(&by_hand), dropped(&by_id)), Default::default());
    let elsewhere = asked(&request(json!({"input": input})));
    assert!(!told(&elsewhere).iter().any(|(_, said)| said.iter().any(|said| said.contains("c2ln"))));
    assert_eq!(dropped(&elsewhere), "dropped=input[].encrypted_content");
}

#[test]
fn an_item_is_named_by_its_id() {
    let kept = Kept::default();
    let first = answered(&kept, json!({"input": "a"}), &every_kind());
    let items = get(&kept, &format!("/v1/responses/{}/input_items", id(&first))).unwrap();
    let refer = |id: &Value| json!({"type": "item_reference", "id": id});
    let input = json!([refer(&items["data"][0]["id"]), {"id": first["output"][2]["id"]}]);
    let second = answered(&kept, json!({"input": input}), &says("b"));
    let ask = try_with(&kept, &request(json!({"input": input})), false).unwrap().ask;
    assert_eq!(told(&ask)[1].1, ["I look\n\ntwice é."]);
    // What was found once is found again, and what the model adds belongs to what it had said.
    let again = request(json!({"previous_response_id": second["id"], "input": "c"}));
    assert_eq!(told(&try_with(&kept, &again, false).unwrap().ask)[1].1, ["I look\n\ntwice é.", "b"]);
}

#[test]
fn a_call_that_was_cut_off_is_none_in_what_follows() {
    let kept = Kept::default();
    let done = Done { stop: Stop::MaxTokens, usage: Usage::default(), refusal: None, cost: None };
    let begin = Begin::Tool { id: "1".to_owned(), name: "f".to_owned() };
    let cut = [Event::Begin(begin), Event::Input("{\"a".to_owned()), Event::End, Event::Done(done)];
    let first = answered(&kept, json!({}), &cut);
    let next = request(json!({"previous_response_id": first["id"]}));
    assert_eq!(told(&try_with(&kept, &next, false).unwrap().ask).len(), 2);
}

#[test]
fn a_response_is_looked_at_as_it_was_told() {
    let kept = Kept::default();
    let fields = json!({"reasoning": {"summary": "auto"}});
    let mut writer = try_with(&kept, &request(fields), false).unwrap().writer;
    let told = streamed(&mut *writer, &every_kind()).pop().unwrap()["response"].clone();
    let path = format!("/v1/responses/{}", id(&told));
    assert_eq!(get(&kept, &path).unwrap(), told);
    let sealed = get(&kept, &format!("{path}?include%5B%5D=reasoning.encrypted_content")).unwrap();
    assert!(sealed["output"][0]["encrypted_content"].is_string());
    assert_eq!(get(&kept, &format!("{path}?stream=true")).unwrap_err().kind, Kind::Unsupported);
}

#[test]
fn a_response_belongs_to_whoever_asked_and_can_be_deleted() {
    let kept = Kept::default();
    let response = answered(&kept, json!({}), &says("a"));
    let path = format!("/v1/responses/{}", id(&response));
    let call = |method: &Method, path: &str, caller: &Caller| own(method, path, None, caller, &kept).unwrap();
    let (ours, other) = (Caller::local(), Caller::with_key("k", b""));
    let kind = |result: Result<Value, Failure>| result.unwrap_err().kind;
    assert_eq!(kind(call(&Method::GET, &path, &other)), Kind::NotFound);
    assert_eq!(kind(call(&Method::DELETE, &path, &other)), Kind::NotFound);
    assert_eq!(kind(call(&Method::PUT, &path, &ours)), Kind::Method);
    assert_eq!(kind(call(&Method::POST, &format!("{path}/cancel"), &ours)), Kind::Invalid);
    assert_eq!(kind(call(&Method::POST, &format!("{path}/cancel"), &other)), Kind::NotFound);
    assert_eq!(kind(call(&Method::GET, &format!("{path}/cancel"), &ours)), Kind::Method);
    assert_eq!(kind(call(&Method::GET, &format!("{path}/x"), &ours)), Kind::NotFound);
    let deleted = json!({"id": id(&response), "object": "response", "deleted": true});
    assert_eq!(call(&Method::DELETE, &path, &ours).unwrap(), deleted);
    assert_eq!(kind(call(&Method::GET, &path, &ours)), Kind::NotFound);
    assert!(own(&Method::GET, "/v1/models", None, &ours, &kept).is_none());
}

#[test]
fn nothing_is_kept_of_what_is_not_to_be_stored() {
    let kept = Kept::default();
    let response = answered(&kept, json!({"store": false}), &says("a"));
    assert_eq!(get(&kept, &format!("/v1/responses/{}", id(&response))).unwrap_err().kind, Kind::NotFound);
    assert_eq!(response["store"], false);
}

#[test]
fn the_items_of_the_input_are_listed_page_by_page() {
    let kept = Kept::default();
    let input: Vec<Value> = (0..5).map(|at| json!({"role": "user", "content": at.to_string()})).collect();
    let response = answered(&kept, json!({"input": input}), &says("a"));
    let path = format!("/v1/responses/{}/input_items", id(&response));
    let texts = |page: &Value| {
        let texts = page["data"].as_array().unwrap().iter().map(|item| item["content"][0]["text"].clone());
        texts.map(|text| text.as_str().unwrap().to_owned()).collect::<String>()
    };
    let all = get(&kept, &path).unwrap();
    assert_eq!(
        (texts(&all).as_str(), &all["has_more"], &all["object"]),
        ("43210", &json!(false), &json!("list"))
    );
    let first = get(&kept, &format!("{path}?order=asc&limit=2")).unwrap();
    assert_eq!((texts(&first).as_str(), &first["has_more"]), ("01", &json!(true)));
    let after = first["last_id"].as_str().unwrap();
    let second = get(&kept, &format!("{path}?order=asc&limit=2&after={after}")).unwrap();
    assert_eq!(texts(&second), "23");
    assert_eq!(first["data"][0]["type"], "message");
    for wrong in ["limit=0", "limit=101", "limit=x", "order=up", "after=nowhere"] {
        assert_eq!(get(&kept, &format!("{path}?{wrong}")).unwrap_err().kind, Kind::Invalid, "{wrong}");
    }
}
