//! The tools that the model may ask for.

use std::collections::HashMap;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use perimeter_interceptor::{Call, Tool};
use serde_json::value::RawValue;

use super::fit;
use super::part::Teller;
use super::settings::ToolDefinitions;
use super::value::{self, list, member, object};
use crate::body::Members;

/// Where providers write them, and what may hold that.
const LISTS: &[&str] = &["tools", "functions", "request", "response"];

/// What providers write of one.
const NAMES: &[&str] = &[
    "type",
    "name",
    "function",
    "custom",
    "parameters",
    "parametersJsonSchema",
    "input_schema",
    "functionDeclarations",
    "function_declarations",
];

/// `gen_ai.tool.definitions`. Where there is no room for all, first their descriptions are left out, then the last of them.
pub(super) fn definitions(teller: &Teller<'_>, call: &Call) -> AnyValue {
    let written = Written::in_body(call);
    let all = |full| -> Vec<AnyValue> {
        call.tools.iter().map(|tool| written.definition(teller, tool, full)).collect()
    };
    let most = teller.room().saturating_sub(2);
    if teller.settings.tool_definitions == ToolDefinitions::Full {
        let full = list(all(true));
        if value::length(&full) <= most {
            return full;
        }
    }
    let left_out = |count| {
        let kind = member("type", value::text("omitted"));
        object(vec![kind, member("name", value::text(fit::said(count, "tool")))])
    };
    list(fit::oldest(all(false), most, left_out))
}

/// What the body says of tools, by their names.
struct Written<'a> {
    tools: HashMap<String, Definition<'a>>,
    /// Whether they are in the body: to a socket they may have been told before.
    is_there: bool,
}

struct Definition<'a> {
    kind: String,
    parameters: Option<&'a str>,
    /// Whether its parameters are written in OpenAPI's manner, whose types are in capitals.
    is_openapi: bool,
}

impl<'a> Written<'a> {
    fn in_body(call: &'a Call) -> Self {
        let body = Members::of(&call.body, LISTS);
        let inner = body.within("request", LISTS).and(body.within("response", LISTS));
        let lists = body.and(inner);
        let mut written = Self { tools: HashMap::new(), is_there: false };
        for name in ["tools", "functions"] {
            let Some(tools) = lists.read::<Vec<&'a RawValue>>(&[name]) else { continue };
            written.is_there = true;
            tools.into_iter().for_each(|tool| written.add(tool.get()));
        }
        written
    }

    fn add(&mut self, tool: &'a str) {
        let top = Members::of(tool.as_bytes(), NAMES);
        let declared = top.read::<Vec<&'a RawValue>>(&["functionDeclarations", "function_declarations"]);
        if let Some(declared) = declared {
            for function in declared {
                self.insert(Members::of(function.get().as_bytes(), NAMES), true);
            }
            return;
        }
        let inner = top.within("function", NAMES).and(top.within("custom", NAMES));
        self.insert(top.and(inner), false);
    }

    fn insert(&mut self, tool: Members<'a>, is_declared: bool) {
        let kind = tool.read::<String>(&["type"]).filter(|_| !is_declared);
        let Some(name) = tool.read::<String>(&["name"]).or_else(|| kind.clone()) else { return };
        // Anthropic calls `custom` what others call a function, and what it knows by itself by its type.
        let is_function =
            kind.as_deref().is_none_or(|kind| kind == "custom" && tool.get("input_schema").is_some());
        let kind = kind.filter(|_| !is_function).unwrap_or_else(|| "function".to_owned());
        let parameters = ["parameters", "parametersJsonSchema", "input_schema"];
        let (at, parameters) = parameters
            .iter()
            .find_map(|key| Some((*key, tool.get(key)?)))
            .map_or(("", None), |(key, json)| (key, Some(json)));
        self.tools
            .insert(name, Definition { kind, parameters, is_openapi: is_declared && at == "parameters" });
    }

    fn definition(&self, teller: &Teller<'_>, tool: &Tool, full: bool) -> AnyValue {
        let written = self.tools.get(&*tool.name);
        // Gemini writes tools of its own as nothing but their name.
        let kind = match written {
            Some(written) => &written.kind,
            None if self.is_there => &*tool.name,
            None => "function",
        };
        let mut members = vec![member("type", teller.word(kind)), member("name", teller.word(&tool.name))];
        if full {
            let description = tool.description.as_ref();
            members.extend(description.map(|text| member("description", teller.text(text))));
            members.extend(written.and_then(|written| written.schema(teller)));
        }
        object(members)
    }
}

impl Definition<'_> {
    /// Its parameters, where they are a schema that has room in a part.
    fn schema(&self, teller: &Teller<'_>) -> Option<KeyValue> {
        let json = self.parameters.filter(|json| json.starts_with('{'))?;
        let mut schema = teller.short_json(json)?;
        if self.is_openapi {
            lower_types(&mut schema);
        }
        Some(member("parameters", schema))
    }
}

/// Types as JSON Schema writes them: `object` for `OBJECT`.
fn lower_types(schema: &mut AnyValue) {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    match &mut schema.value {
        Some(Value::ArrayValue(list)) => list.values.iter_mut().for_each(lower_types),
        Some(Value::KvlistValue(object)) => {
            for member in &mut object.values {
                let Some(value) = &mut member.value else { continue };
                match &mut value.value {
                    Some(Value::StringValue(kind)) if member.key == "type" => kind.make_ascii_lowercase(),
                    _ => lower_types(value),
                }
            }
        }
        _ => {}
    }
}
