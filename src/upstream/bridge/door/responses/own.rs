//! Earlier responses, looked at and deleted.

use std::borrow::Cow;

use http::Method;
use serde_json::{Value, json};

use super::kept::{Earlier, Kept};
use super::object::item_id;
use crate::upstream::Caller;
use crate::upstream::bridge::{Failure, Kind};

/// Answers a request for `/v1/responses/{id}` and what is below it. None where `path` is another.
pub(in crate::upstream::bridge) fn own(
    method: &Method,
    path: &str,
    query: Option<&str>,
    caller: &Caller,
    kept: &Kept,
) -> Option<Result<Value, Failure>> {
    let path = path.strip_prefix("/v1").unwrap_or(path);
    let path = path.strip_prefix("/responses/")?;
    let query = Query(query.unwrap_or_default());
    Some(match path.split_once('/') {
        None => response(method, path, query, caller, kept),
        Some((id, "input_items")) => input_items(method, id, query, caller, kept),
        Some((id, "cancel")) => cancel(method, id, caller, kept),
        Some(_) => Err(Failure::new(Kind::NotFound, "there is nothing at this path")),
    })
}

fn response(
    method: &Method,
    id: &str,
    query: Query<'_>,
    caller: &Caller,
    kept: &Kept,
) -> Result<Value, Failure> {
    match *method {
        Method::GET | Method::HEAD => {
            if query.get("stream").is_some_and(|stream| stream == "true") {
                let message = "a response that is over is not streamed again; leave stream out";
                return Err(Failure::unsupported("stream", message));
            }
            shown(&*kept.find(caller, id)?, query)
        }
        Method::DELETE => {
            kept.forget(caller, id)?;
            Ok(json!({"id": id, "object": "response", "deleted": true}))
        }
        _ => Err(Failure::new(Kind::Method, "GET or DELETE would be right")),
    }
}

/// A response as it was told. Thinking is sealed in it where that is asked for.
fn shown(earlier: &Earlier, query: Query<'_>) -> Result<Value, Failure> {
    let mut response: Value = parsed(&earlier.response)?;
    let includes = |name: &str| query.all(&["include", "include[]"]).any(|value| value == name);
    if !includes("reasoning.encrypted_content") {
        for item in response["output"].as_array_mut().into_iter().flatten() {
            if item["type"] == "reasoning" {
                item["encrypted_content"] = Value::Null;
            }
        }
    }
    Ok(response)
}

fn cancel(method: &Method, id: &str, caller: &Caller, kept: &Kept) -> Result<Value, Failure> {
    if method != Method::POST {
        return Err(Failure::new(Kind::Method, "POST would be right"));
    }
    kept.find(caller, id)?;
    Err(Failure::new(Kind::Invalid, "this response is over: only those in the background can be cancelled"))
}

/// Items on a page, unless the client says how many.
const PAGE: usize = 20;

/// And if it does, at most.
const MOST: usize = 100;

fn input_items(
    method: &Method,
    id: &str,
    query: Query<'_>,
    caller: &Caller,
    kept: &Kept,
) -> Result<Value, Failure> {
    if ![Method::GET, Method::HEAD].contains(method) {
        return Err(Failure::new(Kind::Method, "GET would be right"));
    }
    let earlier = kept.find(caller, id)?;
    let mut items = parsed(&earlier.items)?;
    let items = items["input"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let mut items: Vec<Value> =
        items.into_iter().enumerate().map(|(at, item)| listed(item, id, at)).collect();
    match query.get("order").as_deref() {
        None | Some("desc") => items.reverse(),
        Some("asc") => {}
        Some(_) => return Err(Failure::invalid("order", "order: one of asc, desc would be right")),
    }
    let limit = match query.get("limit").map(|limit| limit.parse::<usize>()) {
        None => PAGE,
        Some(Ok(limit @ 1..=MOST)) => limit,
        Some(_) => {
            return Err(Failure::invalid(
                "limit",
                format!("limit: a number from 1 to {MOST} would be right"),
            ));
        }
    };
    if let Some(after) = query.get("after") {
        let at = items.iter().position(|item| item["id"] == after.as_ref());
        let at = at.ok_or_else(|| Failure::invalid("after", "after: there is no item of this id"))?;
        items.drain(..=at);
    }
    let has_more = items.len() > limit;
    items.truncate(limit);
    let id_of = |item: Option<&Value>| item.map(|item| item["id"].clone()).unwrap_or_default();
    Ok(json!({
        "object": "list",
        "first_id": id_of(items.first()),
        "last_id": id_of(items.last()),
        "has_more": has_more,
        "data": items,
    }))
}

/// An item of the input in its long form: with a type, an id, a status, and its content in parts.
fn listed(mut item: Value, response: &str, at: usize) -> Value {
    let kind = match item["type"].as_str() {
        Some("function_call") => "fc",
        Some("function_call_output") => "fco",
        Some("reasoning") => "rs",
        Some("message") => "msg",
        None if !item["role"].is_null() => "msg",
        _ => "item",
    };
    if kind == "msg" {
        item["type"] = "message".into();
        if let Some(text) = item["content"].as_str() {
            let kind = if item["role"] == "assistant" { "output_text" } else { "input_text" };
            let mut part = json!({"type": kind, "text": text});
            if kind == "output_text" {
                part["annotations"] = json!([]);
            }
            item["content"] = json!([part]);
        }
    }
    if item["id"].is_null() {
        item["id"] = item_id(kind, response, 'i', at).into();
    }
    if item["status"].is_null() {
        item["status"] = "completed".into();
    }
    item
}

fn parsed(json: &str) -> Result<Value, Failure> {
    serde_json::from_str(json)
        .map_err(|_| Failure::new(Kind::NotFound, "what is kept of this response cannot be read"))
}

/// What follows the question mark.
#[derive(Clone, Copy)]
struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    fn pairs(self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        let decoded = |text: &'a str| percent_encoding::percent_decode_str(text).decode_utf8_lossy();
        let pairs = self.0.split('&').filter_map(|pair| pair.split_once('='));
        pairs.map(move |(name, value)| (decoded(name), decoded(value)))
    }

    fn get(self, name: &str) -> Option<Cow<'a, str>> {
        self.pairs().find(|(found, _)| found == name).map(|(_, value)| value)
    }

    fn all(self, names: &[&str]) -> impl Iterator<Item = Cow<'a, str>> {
        self.pairs().filter(move |(found, _)| names.contains(&found.as_ref())).map(|(_, value)| value)
    }
}
