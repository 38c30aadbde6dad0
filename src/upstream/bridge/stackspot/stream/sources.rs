//! What an answer rests on: `source` and `knowledge_source_id`, in whatever form they come.

use serde_json::Value;

use super::super::super::event::Citation;

/// More sources than this are not told.
const MOST: usize = 100;

/// Where a source has its ids.
const IDS: [&str; 4] = ["knowledge_source_id", "id", "document_id", "slug"];

/// Adds those that `said` names and `to` has not. Objects first: they know more than ids.
pub(super) fn add(said: &Value, to: &mut Vec<Citation>) {
    for key in ["source", "sources", "knowledge_source_id"] {
        let list = match said.get(key) {
            Some(Value::Array(list)) => list.as_slice(),
            Some(one @ (Value::Object(_) | Value::String(_))) => std::slice::from_ref(one),
            _ => &[],
        };
        for citation in list.iter().filter(|source| !is_named(source, said)).filter_map(citation) {
            if to.len() < MOST && !to.iter().any(|known| known.id == citation.id) {
                to.push(citation);
            }
        }
    }
}

/// Whether `source` is an id that an object of `said` has, by whichever key.
fn is_named(source: &Value, said: &Value) -> bool {
    let lists = ["source", "sources"].iter().filter_map(|key| said.get(*key)?.as_array());
    source.is_string() && lists.flatten().any(|object| IDS.iter().any(|key| object.get(*key) == Some(source)))
}

fn citation(source: &Value) -> Option<Citation> {
    let text = |key: &&str| {
        let text = match source.get(*key)? {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        (!text.is_empty()).then_some(text)
    };
    if let Value::String(id) = source {
        let id = id.trim();
        return (!id.is_empty()).then(|| Citation { url: url(id), id: id.to_owned(), title: None });
    }
    let title = ["title", "name", "file_name"].iter().find_map(text);
    let address = ["url", "link", "path"].iter().find_map(text).and_then(|text| url(&text));
    let id = IDS.iter().find_map(text).or_else(|| title.clone()).or_else(|| address.clone())?;
    Some(Citation { title, url: address, id })
}

fn url(text: &str) -> Option<String> {
    (text.starts_with("https://") || text.starts_with("http://")).then(|| text.to_owned())
}
