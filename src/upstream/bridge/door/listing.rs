//! `GET /v1/models` and `GET /v1/models/{id}`, in OpenAI's words or in Anthropic's
//! (<https://platform.openai.com/docs/api-reference/models>, <https://docs.claude.com/en/api/models-list>).

use http::{HeaderMap, Uri};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::upstream::bridge::{Failure, Kind, Model, Models};

/// Models of one page of Anthropic's, unless the client says otherwise.
const PAGE: usize = 20;

/// Models of one page of Anthropic's, at most.
const LARGEST_PAGE: usize = 1_000;

/// The answer to a request for the list or for one of it; none if `uri` is of something else. Who sends
/// `anthropic-version` gets Anthropic's shape.
pub(in crate::upstream::bridge) fn answer(
    headers: &HeaderMap,
    uri: &Uri,
    models: &Models,
) -> Option<Result<Value, Failure>> {
    let path = uri.path();
    let rest = path.strip_prefix("/v1").unwrap_or(path).strip_prefix("/models")?;
    let anthropic = headers.contains_key("anthropic-version");
    match rest.strip_prefix('/') {
        None if rest.is_empty() => {}
        None => return None,
        Some("") => {}
        Some(id) => {
            return Some(one(id, models).map(|model| if anthropic { theirs(model) } else { ours(model) }));
        }
    }
    Some(if anthropic {
        page(uri.query().unwrap_or_default(), models)
    } else {
        Ok(json!({"object": "list", "data": models.iter().map(ours).collect::<Vec<_>>()}))
    })
}

/// The failure that nobody here has the name `name`; says who has one like it.
fn unknown(name: &str, models: &Models) -> Failure {
    const LONGEST: usize = 80;
    let nearest = models.nearest(name).join(", ");
    let name: String = name.chars().take(LONGEST).collect();
    let message = format!("the model `{name}` does not exist here; the nearest: {nearest}");
    Failure { param: Some("model".into()), ..Failure::new(Kind::UnknownModel, message) }
}

/// The model of this name, which may be escaped and may hold slashes.
fn one<'a>(id: &str, models: &'a Models) -> Result<&'a Model, Failure> {
    let name = percent_decode_str(id).decode_utf8_lossy();
    models.find(&name).ok_or_else(|| unknown(&name, models))
}

/// A model as OpenAI has it, and what else there is to know.
fn ours(model: &Model) -> Value {
    let can = model.can;
    json!({
        "id": model.id,
        "object": "model",
        // Nobody knows; clients want a number.
        "created": 0,
        "owned_by": model.owned_by,
        "context_window": model.context,
        "max_output_tokens": model.max_output,
        "capabilities": {
            "tools": can.tools,
            "parallel_tools": can.parallel_tools,
            "vision": can.vision,
            "reasoning": can.reasoning,
            "json_schema": can.json_schema,
            "stream": true,
        },
        "aliases": model.aliases,
    })
}

/// A model as Anthropic has it, whose documentation gives the epoch to models whose day is unknown.
fn theirs(model: &Model) -> Value {
    json!({
        "type": "model",
        "id": model.id,
        "display_name": if model.display_name.is_empty() { &model.id } else { &model.display_name },
        "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": model.context,
        "max_tokens": model.max_output,
    })
}

/// A page of Anthropic's list.
fn page(query: &str, models: &Models) -> Result<Value, Failure> {
    let all: Vec<&Model> = models.iter().collect();
    let asked = Asked::read(query)?;
    let position = |name: &'static str, id: &str| {
        let at = all.iter().position(|model| model.id == id);
        at.ok_or_else(|| Failure::invalid(name, format!("{name}: no model of the list has this id")))
    };
    let (from, to) = match (&asked.after, &asked.before) {
        (Some(_), Some(_)) => {
            let message = "before_id: either after_id or before_id would be right, not both";
            return Err(Failure::invalid("before_id", message));
        }
        (Some(after), None) => (position("after_id", after)? + 1, all.len()),
        (None, Some(before)) => (0, position("before_id", before)?),
        (None, None) => (0, all.len()),
    };
    let there = all.get(from..to).unwrap_or_default();
    let more = there.len() > asked.limit;
    let skipped = if asked.before.is_some() { there.len().saturating_sub(asked.limit) } else { 0 };
    let page: Vec<_> = there.iter().skip(skipped).take(asked.limit).copied().collect();
    Ok(json!({
        "data": page.iter().copied().map(theirs).collect::<Vec<_>>(),
        "has_more": more,
        "first_id": page.first().map(|model| &model.id),
        "last_id": page.last().map(|model| &model.id),
    }))
}

/// What page of the list is asked for.
struct Asked {
    limit: usize,
    after: Option<String>,
    before: Option<String>,
}

impl Asked {
    fn read(query: &str) -> Result<Self, Failure> {
        let mut asked = Self { limit: PAGE, after: None, before: None };
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = value.replace('+', " ");
            let value = percent_decode_str(&value).decode_utf8_lossy();
            match name {
                "after_id" => asked.after = Some(value.into_owned()),
                "before_id" => asked.before = Some(value.into_owned()),
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=LARGEST_PAGE).contains(limit));
                    let right = format!("limit: a number from 1 to {LARGEST_PAGE} would be right");
                    asked.limit = limit.ok_or_else(|| Failure::invalid("limit", right))?;
                }
                _ => {}
            }
        }
        Ok(asked)
    }
}

#[cfg(test)]
mod tests;
