use super::*;
use crate::content::settings::ToolDefinitions;

fn definitions(dialect: &'static str, body: &Value, tools: &[(&str, Option<&str>)], full: bool) -> Value {
    let mut call = call(dialect);
    call.body = body.to_string().into();
    let tool = |(name, description): &(&str, Option<&str>)| {
        let mut tool = Tool::new(*name);
        tool.description = description.map(Into::into);
        tool
    };
    call.tools = tools.iter().map(tool).collect();
    let tool_definitions = if full { ToolDefinitions::Full } else { ToolDefinitions::Names };
    let settings = Settings { tool_definitions, ..Settings::default() };
    tell(&finished(call, Vec::new()), &settings)[3].take().unwrap()
}

fn schema() -> Value {
    json!({"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]})
}

fn full(kind: &str) -> Value {
    json!({"type": kind, "name": "search", "description": "Searches.", "parameters": schema()})
}

const TOOLS: [(&str, Option<&str>); 1] = [("search", Some("Searches."))];

#[test]
fn only_names_and_types_are_told_unless_more_is_asked_for() {
    let body = json!({"tools": [{"type": "function", "name": "search", "parameters": schema()}]});
    let names = definitions("openai_responses", &body, &TOOLS, false);
    assert_eq!(names, json!([{"type": "function", "name": "search"}]));
    assert_eq!(definitions("openai_responses", &body, &TOOLS, true), json!([full("function")]));
}

#[test]
fn tools_of_each_dialect_are_told_alike() {
    let function = json!({"name": "search", "description": "Searches.", "parameters": schema()});
    let chat = json!({"tools": [{"type": "function", "function": function}]});
    assert_eq!(definitions("openai_chat", &chat, &TOOLS, true), json!([full("function")]));
    let legacy = json!({"functions": [function]});
    assert_eq!(definitions("openai_chat", &legacy, &TOOLS, true), json!([full("function")]));
    for kind in [json!({}), json!({"type": "custom"})] {
        let mut tool = json!({"name": "search", "input_schema": schema()});
        tool.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
        let anthropic = json!({"tools": [tool]});
        assert_eq!(definitions("anthropic_messages", &anthropic, &TOOLS, true), json!([full("function")]));
    }
    let openapi = json!({"type": "OBJECT", "properties": {"q": {"type": "STRING"}}, "required": ["q"]});
    let gemini = json!({"tools": [{"functionDeclarations": [
        {"name": "search", "description": "Searches.", "parameters": openapi},
    ]}]});
    assert_eq!(definitions("gemini", &gemini, &TOOLS, true), json!([full("function")]));
    assert_eq!(definitions("gemini", &json!({"request": gemini}), &TOOLS, true), json!([full("function")]));
}

#[test]
fn tools_of_the_provider_s_own_are_told_by_their_type() {
    let body = json!({"tools": [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 5},
        {"type": "bash_20250124", "name": "bash"},
    ]});
    let tools = [("web_search", None), ("bash", None)];
    let expected = json!([
        {"type": "web_search_20250305", "name": "web_search"}, {"type": "bash_20250124", "name": "bash"},
    ]);
    assert_eq!(definitions("anthropic_messages", &body, &tools, true), expected);
    let expected = json!([{"type": "file_search", "name": "file_search"}]);
    let body = json!({"tools": [{"type": "file_search"}]});
    assert_eq!(definitions("openai_responses", &body, &[("file_search", None)], true), expected);
    let body = json!({"tools": [{"googleSearch": {}}]});
    let expected = json!([{"type": "googleSearch", "name": "googleSearch"}]);
    assert_eq!(definitions("gemini", &body, &[("googleSearch", None)], true), expected);
}

#[test]
fn tools_that_a_session_was_told_before_are_functions() {
    let names = definitions("openai_realtime", &json!({}), &TOOLS, true);
    assert_eq!(names, json!([{"type": "function", "name": "search", "description": "Searches."}]));
}

#[test]
fn where_there_is_no_room_for_descriptions_names_are_told() {
    let named: Vec<_> = (0..200).map(|number| format!("tool_{number}")).collect();
    let description = "d".repeat(1000);
    let tools: Vec<_> = named.iter().map(|name| (&**name, Some(&*description))).collect();
    let told = definitions("openai_chat", &json!({}), &tools, true);
    assert_eq!(told.as_array().unwrap().len(), 200);
    assert_eq!(told[199], json!({"type": "function", "name": "tool_199"}));
}

#[test]
fn of_too_many_tools_the_last_are_counted() {
    let named: Vec<_> = (0..3000).map(|number| format!("tool_{number}")).collect();
    let tools: Vec<_> = named.iter().map(|name| (&**name, None)).collect();
    let told = definitions("openai_chat", &json!({}), &tools, false);
    let told = told.as_array().unwrap();
    let left_out = 3000 - (told.len() - 1);
    let note = json!({"type": "omitted", "name": format!("[{left_out} tools left out]")});
    assert_eq!((&told[0]["name"], told.last()), (&json!("tool_0"), Some(&note)));
}

#[test]
fn parameters_that_are_no_schema_or_too_long_are_not_told() {
    for parameters in [json!("none"), json!(null), json!({"description": "x".repeat(9000)})] {
        let body = json!({"tools": [{"type": "function", "name": "search", "parameters": parameters}]});
        let told = definitions("openai_responses", &body, &TOOLS, true);
        assert_eq!(told[0].get("parameters"), None);
    }
}
