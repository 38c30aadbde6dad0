//! What a call's request says, as it was written.

use std::borrow::Cow;
use std::ops::Range;

use perimeter_interceptor::{Call, Part, Role, Turn};
use serde::Serialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use crate::history::{Histories, SHORT};
use crate::members::{INNER, LISTS, Members};

/// Members that list the tools.
const TOOLS: [&str; 2] = ["tools", "functions"];

/// How long [`News`] are at most, and their name, bytes.
const NEWS: usize = 256;

/// How much of the list of messages is new.
#[derive(Serialize)]
struct News {
    total_messages: usize,
    new_messages: usize,
    from_index: usize,
    external_session: bool,
}

/// Writes the request with the messages that its session had not seen, as they were written. Where the body is no JSON
/// object (it was cut, or is a form), the model, the texts, and the measures of the media that were read of it. Which part
/// of what it wrote is known to hold no secret; `None` where nothing could be written.
pub(super) fn write_data(call: &Call, histories: &mut Histories, json: &mut Vec<u8>) -> Option<Range<usize>> {
    let start = json.len();
    if let Some(plain) = write_news(call, histories, json) {
        return Some(plain);
    }
    json.truncate(start);
    serde_json::to_writer(&mut *json, &what_was_read(call)).ok().map(|()| start..start)
}

fn write_news(call: &Call, histories: &mut Histories, json: &mut Vec<u8>) -> Option<Range<usize>> {
    let is_long = call.body.len() >= SHORT;
    let body = if is_long { histories.cut(&call.session, &call.body, call.known) } else { None };
    let Some(body) = body else {
        return write_members(call, Members::of_bytes(&call.body)?, Counted::default(), None, json);
    };
    histories.remember(&call.session, &body, &[]);
    let tail = histories.plain_tail(&call.session, &body);
    let rest = if tail.is_some() { Cow::Borrowed(&*body.rest) } else { body.rest_with_tail()? };
    json.reserve(rest.len() + tail.map_or(0, str::len) + NEWS);
    let counted = Counted { passed: body.messages, left: body.left() };
    write_members(call, Members::of(&rest)?, counted, tail, json)
}

/// What is known of a list of messages before it is read.
#[derive(Default)]
struct Counted {
    /// So many are left out already.
    passed: usize,
    /// So many are left; 0 where that is not known.
    left: usize,
}

/// Writes these members without the messages that are known; in place of the end of the last member, a list, the `tail`.
fn write_members(
    call: &Call,
    mut members: Members<'_>,
    Counted { passed, left }: Counted,
    tail: Option<&str>,
    json: &mut Vec<u8>,
) -> Option<Range<usize>> {
    let counts = match call.known.saturating_sub(passed) {
        0 if left > 0 => Some((left, 0)),
        known => cut(&mut members, known),
    };
    let (total, from) = counts.map_or((call.news.len(), 0), |(total, from)| (total + passed, from + passed));
    let external_session = call.session.told;
    let news = News { total_messages: total, new_messages: total - from, from_index: from, external_session };
    let mut plain = 0..0;
    serde_json::to_writer(&mut *json, &members).ok()?;
    json.pop();
    if let Some(tail) = tail {
        json.pop();
        plain.start = json.len();
        json.extend_from_slice(tail.strip_suffix('}')?.as_bytes());
        plain.end = json.len();
    }
    if !members.0.is_empty() {
        json.push(b',');
    }
    json.extend_from_slice(b"\"_cylestio_metadata\":");
    serde_json::to_writer(&mut *json, &news).ok()?;
    json.push(b'}');
    Some(plain)
}

/// Takes the first `known` messages out. How many there were, and how many are gone.
fn cut(members: &mut Members<'_>, known: usize) -> Option<(usize, usize)> {
    for (name, value) in &mut members.0 {
        if LISTS.contains(&&**name) {
            return Some(match cut_list(value, known) {
                Some((rest, total, from)) => {
                    if let Some(rest) = rest {
                        *value = Cow::Owned(rest);
                    }
                    (total, from)
                }
                // A text is a message.
                None => (1, 0),
            });
        }
    }
    let (_, inner) = members.0.iter_mut().find(|(name, _)| name == INNER)?;
    let (rest, counts) = {
        let mut members = Members::of(inner.get())?;
        let counts = cut(&mut members, known)?;
        (to_raw_value(&members).ok()?, counts)
    };
    *inner = Cow::Owned(rest);
    Some(counts)
}

/// What is left of the list, if something was taken out; how much there was; how much is gone.
fn cut_list(list: &RawValue, known: usize) -> Option<(Option<Box<RawValue>>, usize, usize)> {
    let messages: Vec<&RawValue> = serde_json::from_str(list.get()).ok()?;
    let (total, from) = (messages.len(), known.min(messages.len()));
    let rest = messages.get(from..).filter(|_| from > 0).and_then(|rest| to_raw_value(rest).ok());
    Some((rest, total, from))
}

fn what_was_read(call: &Call) -> serde_json::Value {
    let messages: Vec<_> = call.news.iter().map(read).collect();
    let news = json!({
        "total_messages": call.known + messages.len(),
        "new_messages": messages.len(),
        "from_index": call.known,
        "external_session": call.session.told,
    });
    json!({"model": call.model.as_deref(), "messages": messages, "_cylestio_metadata": news})
}

/// A message as it was read: its text, and of what is no text its kind, type, name and size.
fn read(turn: &Turn) -> serde_json::Value {
    let mut message = json!({"role": turn.role.as_str(), "content": turn.text()});
    let media = turn.parts.iter().filter_map(|part| match part {
        Part::Media(media) => Some(json!({
            "kind": &*media.kind,
            "media_type": media.media_type.as_deref(),
            "name": media.name.as_deref(),
            "size": media.size,
        })),
        _ => None,
    });
    let media: Vec<_> = media.collect();
    if !media.is_empty() {
        message["media"] = media.into();
    }
    message
}

/// The tools that the model may ask for, as they were written.
pub(super) fn tools(call: &Call) -> Option<Box<RawValue>> {
    let members = Members::of_bytes(&call.body)?;
    let listed =
        |members: &Members<'_>| TOOLS.iter().find_map(|name| members.get(name).map(ToOwned::to_owned));
    listed(&members).or_else(|| listed(&Members::of(members.get(INNER)?.get())?))
}

/// The system prompt among what is new.
pub(super) fn prompt(call: &Call) -> Option<String> {
    call.news.iter().find(|turn| turn.role == Role::System).map(perimeter_interceptor::Turn::text)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use perimeter_interceptor::{CallId, Media, Session};
    use perimeter_redact::secrets;
    use proptest::prelude::*;

    use super::*;

    fn call(body: &str, known: usize) -> Call {
        let mut call = Call::new(CallId(0), "openai_chat", Arc::new(Session::new("s")));
        call.body = body.to_owned().into();
        call.known = known;
        call
    }

    fn data(call: &Call) -> String {
        let mut json = Vec::new();
        write_data(call, &mut Histories::default(), &mut json).unwrap();
        String::from_utf8(json).unwrap()
    }

    fn data_of(body: &str, known: usize) -> String {
        data(&call(body, known))
    }

    /// What may stand behind the messages.
    const TAILS: [&str; 6] = [
        r#"],"stream":true,"tools":["#,
        r#"],"input":"a","tools":["#,
        r#"], "tools" : ["#,
        r#" ],"tools":["#,
        r#"],"password":"hunter2","tools":["#,
        r#"]},"request":{"tools":["#,
    ];

    proptest! {
        #[test]
        fn what_is_remembered_of_a_conversation_changes_nothing_of_what_is_told(
            lengths in prop::collection::vec(0..4_000_usize, 1..12),
            tails in prop::collection::vec((0..TAILS.len(), any::<bool>()), 2),
            inner in any::<bool>(),
            calls in prop::collection::vec((1..12_usize, 0..12_usize, any::<bool>(), 0..3_usize), 1..10),
        ) {
            let mut histories = Histories::default();
            for (count, known, is_other, at_end) in calls {
                let said: Vec<_> = lengths.iter().take(count).map(|length| format!(r#"{{"text":"{}"}}"#, "a, ]".repeat(*length))).collect();
                let (tail, is_long) = tails[usize::from(is_other)];
                let tools = r#"{"name":"read"}"#.to_owned() + &",1.50".repeat(if is_long { 200 } else { 0 });
                let (start, end) = if inner { (r#"{"request":{"#, "}") } else { ("{", "") };
                let more = ["", "", ","].get(at_end).copied().unwrap_or_default();
                let body = format!(r#"{start}"model":"m","messages":[{}{more}{}{tools}]}}{end}"#, said.join(","), TAILS[tail]);
                let call = call(&body, known.min(count));
                let mut json = b"before".to_vec();
                let plain = write_data(&call, &mut histories, &mut json).unwrap();
                // Spaces at the end of the list may go with the messages.
                let trimmed = |data: &str| data.replace(" ]", "]");
                prop_assert_eq!(trimmed(str::from_utf8(&json[6..]).unwrap()), trimmed(&data(&call)));
                prop_assert!(secrets(str::from_utf8(&json[plain]).unwrap()).is_some_and(|found| found.is_empty()));
            }
        }
    }

    #[test]
    fn the_messages_that_are_known_are_left_out_and_the_rest_stays_as_it_was_written() {
        let body = r#"{"model":"m","messages":[{"a":1},{"b": 1.10},{"c":1e2}],"temperature":0.30}"#;
        assert_eq!(
            data_of(body, 1),
            r#"{"model":"m","messages":[{"b": 1.10},{"c":1e2}],"temperature":0.30,"_cylestio_metadata":{"total_messages":3,"new_messages":2,"from_index":1,"external_session":false}}"#
        );
        assert!(data_of(body, 9).contains(r#""messages":[],"temperature""#));
        let gemini = r#"{"project":"p","request":{"contents":[{},{"x":0.10}],"tools":[1.0]}}"#;
        assert!(data_of(gemini, 1).contains(r#""request":{"contents":[{"x":0.10}],"tools":[1.0]},"_cy"#));
        assert_eq!(tools(&call(gemini, 0)).unwrap().get(), "[1.0]");
    }

    #[test]
    fn a_text_is_one_message_and_is_never_cut() {
        let data = data_of(r#"{"input":"What is the capital of France?"}"#, 5);
        assert!(data.starts_with(r#"{"input":"What is the capital of France?","#), "{data}");
        assert!(data.contains(r#""total_messages":1,"new_messages":1,"from_index":0"#), "{data}");
    }

    #[test]
    fn of_a_body_that_is_no_json_there_is_what_was_read() {
        let mut call = call(r#"{"model":"m","messages":[{"role":"user","content":"Hel"#, 0);
        call.news = vec![Turn::new(Role::User, vec![Part::Text("Hel".into())])];
        let data: serde_json::Value = serde_json::from_str(&data(&call)).unwrap();
        assert_eq!(data["messages"], json!([{"role": "user", "content": "Hel"}]));
        assert_eq!(data["_cylestio_metadata"]["new_messages"], 1);
    }

    #[test]
    fn of_the_files_of_a_form_there_are_names_types_and_sizes() {
        let mut call = call("", 0);
        let mut file = Media::new("audio");
        (file.media_type, file.name, file.size) = (Some("audio/mpeg".into()), Some("a.mp3".into()), 261);
        call.news = vec![Turn::new(Role::User, vec![Part::Media(file)])];
        let data: serde_json::Value = serde_json::from_str(&data(&call)).unwrap();
        assert_eq!(
            data["messages"][0]["media"],
            json!([{"kind": "audio", "media_type": "audio/mpeg", "name": "a.mp3", "size": 261}])
        );
    }
}
