//! What a call's request says, as it was written.

use std::borrow::Cow;
use std::ops::Range;

use perimeter_interceptor::{Call, Part, Role, Turn};
use serde::Serialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::attributes::Attributes;
use crate::history::{Body, Histories};
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

/// A request as it was written, passed over once.
pub(super) struct Request<'a> {
    call: &'a Call,
    /// Its body without what is known of it; `None` where that is no object, or one with two lists of messages.
    body: Option<Body<'a>>,
}

impl<'a> Request<'a> {
    pub(super) fn of(call: &'a Call, histories: &mut Histories) -> Self {
        Self { call, body: histories.cut(call, call.known) }
    }

    /// Writes the request with the messages that its session had not seen, as they were written. Where the body is no
    /// JSON object (it was cut, or is a form), the model, the texts, and the measures of the media that were read of it.
    /// Which part of what it wrote is known to hold no secret; `None` where nothing could be written.
    pub(super) fn write_data(&self, histories: &mut Histories, json: &mut Vec<u8>) -> Option<Range<usize>> {
        let start = json.len();
        if let Some(plain) = self.write_news(histories, json) {
            return Some(plain);
        }
        json.truncate(start);
        serde_json::to_writer(&mut *json, &what_was_read(self.call)).ok().map(|()| start..start)
    }

    fn write_news(&self, histories: &mut Histories, json: &mut Vec<u8>) -> Option<Range<usize>> {
        let call = self.call;
        let Some(body) = &self.body else {
            let members = Members::of_bytes(&call.body)?;
            return write_members(call, members, Counted::default(), None, json);
        };
        histories.remember(body, &[]);
        let tail = histories.plain_tail(body);
        let rest = if tail.is_some() { Cow::Borrowed(&*body.rest) } else { body.rest_with_tail()? };
        json.reserve(rest.len() + tail.map_or(0, str::len) + NEWS);
        if matches!(rest, Cow::Borrowed(_)) && body.left() > 0 {
            return write_body(call, body, tail, json);
        }
        let counted = Counted { passed: body.messages, left: body.left() };
        write_members(call, Members::of(&rest)?, counted, tail, json)
    }

    /// Adds the tools that the model may ask for, as they were written.
    pub(super) fn add_tools(&self, attributes: &mut Attributes) {
        let Some(body) = self.body.as_ref().filter(|body| body.is_whole()) else {
            attributes.add_some("tools", self.tools_elsewhere().as_deref());
            return;
        };
        let listed = |wanted: &str| {
            let (_, value) = body.members().filter(|(name, _)| name == wanted).last()?;
            (value != "null").then_some(value)
        };
        match TOOLS.iter().find_map(|name| listed(name)) {
            Some(tools) => attributes.add_json("tools", |json| {
                json.extend_from_slice(tools.as_bytes());
                Some(0..0)
            }),
            None => {
                let tools = listed(INNER).and_then(|inner| tools_of(&Members::of(inner)?));
                attributes.add_some("tools", tools.as_deref());
            }
        }
    }

    fn tools_elsewhere(&self) -> Option<Box<RawValue>> {
        let members = Members::of_bytes(&self.call.body)?;
        tools_of(&members).or_else(|| tools_of(&Members::of(members.get(INNER)?.get())?))
    }
}

fn tools_of(members: &Members<'_>) -> Option<Box<RawValue>> {
    TOOLS.iter().find_map(|name| members.get(name).map(ToOwned::to_owned))
}

/// The same as [`write_members`], of a body that has its messages in a list of its own.
fn write_body(call: &Call, body: &Body<'_>, tail: Option<&str>, json: &mut Vec<u8>) -> Option<Range<usize>> {
    let from = call.known.saturating_sub(body.messages).min(body.left());
    let mut is_cut = from == 0;
    json.push(b'{');
    for (name, value) in body.members() {
        if json.last() != Some(&b'{') {
            json.push(b',');
        }
        serde_json::to_writer(&mut *json, &*name).ok()?;
        json.push(b':');
        if is_cut || !LISTS.contains(&&*name) {
            json.extend_from_slice(value.as_bytes());
            continue;
        }
        is_cut = true;
        json.push(b'[');
        for message in body.messages_from(from) {
            json.extend_from_slice(message.as_bytes());
            json.push(b',');
        }
        json.pop_if(|last| *last == b',');
        json.push(b']');
    }
    let mut plain = 0..0;
    if let Some(tail) = tail {
        json.pop();
        plain.start = json.len();
        json.extend_from_slice(tail.strip_suffix('}')?.as_bytes());
        plain.end = json.len();
    }
    let counts = (body.left() + body.messages, from + body.messages);
    write_counts(call, counts, json)?;
    Some(plain)
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
    let counts = counts.map_or((call.news.len(), 0), |(total, from)| (total + passed, from + passed));
    let mut plain = 0..0;
    serde_json::to_writer(&mut *json, &members).ok()?;
    json.pop();
    if let Some(tail) = tail {
        json.pop();
        plain.start = json.len();
        json.extend_from_slice(tail.strip_suffix('}')?.as_bytes());
        plain.end = json.len();
    }
    write_counts(call, counts, json)?;
    Some(plain)
}

/// Writes how many messages there are, and the first of them that is new, as the last member of an object, and its end.
fn write_counts(call: &Call, (total, from): (usize, usize), json: &mut Vec<u8>) -> Option<()> {
    let external_session = call.session.told;
    let news = News { total_messages: total, new_messages: total - from, from_index: from, external_session };
    if json.last() != Some(&b'{') {
        json.push(b',');
    }
    json.extend_from_slice(b"\"_cylestio_metadata\":");
    serde_json::to_writer(&mut *json, &news).ok()?;
    json.push(b'}');
    Some(())
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

/// The system prompt among what is new.
pub(super) fn prompt(call: &Call) -> Option<String> {
    call.news.iter().find(|turn| turn.role == Role::System).map(perimeter_interceptor::Turn::text)
}

#[cfg(test)]
mod tests {
    use perimeter_interceptor::{Media, Session};
    use perimeter_redact::secrets;
    use proptest::prelude::*;

    use super::*;
    use crate::history::tests::call_in;

    fn call(body: &str, known: usize) -> Call {
        let mut call = call_in(Session::new("s"), body);
        call.known = known;
        call
    }

    fn data(call: &Call) -> String {
        let mut json = Vec::new();
        let mut histories = Histories::default();
        Request::of(call, &mut histories).write_data(&mut histories, &mut json).unwrap();
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
                let plain = Request::of(&call, &mut histories).write_data(&mut histories, &mut json).unwrap();
                // Spaces at the end of the list may go with the messages.
                let trimmed = |data: &str| data.replace(" ]", "]");
                prop_assert_eq!(trimmed(str::from_utf8(&json[6..]).unwrap()), trimmed(&data(&call)));
                prop_assert!(secrets(str::from_utf8(&json[plain]).unwrap()).is_some_and(|found| found.is_empty()));
            }
        }
    }

    /// A body, and more often one that looks like a request.
    fn body() -> impl Strategy<Value = String> {
        let value = prop_oneof![
            prop::sample::select(vec![
                "[]",
                "[ ]",
                "[{\"a\":1},{\"b\" : [1.50, {}]} ,\"c\"]",
                "[1,2,3]",
                "\"text\"",
                "\"\\ud800\"",
                "null",
                "12",
                "{}",
                "{\"messages\":[1,2]}",
                "{\"contents\":[{}],\"tools\":[1.0]}",
                "{\"functions\":[]}",
                "{\"request\":{\"input\":[1]}}",
                "[1,]",
            ])
            .prop_map(str::to_owned),
            (0..300_usize).prop_map(|count| format!("[{}0]", "{\"text\":\"a, ]\"} ,".repeat(count))),
        ];
        let name = prop::sample::select(vec![
            "messages",
            "input",
            "contents",
            "request",
            "tools",
            "functions",
            "model",
            "m\\u0065ssages",
            "a\\nb",
            "\\udead",
        ]);
        let member = (name, prop::sample::select(vec!["", " ", "\n"]), value);
        prop::collection::vec(member, 0..5).prop_map(|members| {
            let members: Vec<_> = members
                .iter()
                .map(|(name, space, value)| format!("{space}\"{name}\"{space}:{space}{value}{space}"))
                .collect();
            format!("{{{}}}", members.join(","))
        })
    }

    proptest! {
        #[test]
        fn a_request_that_is_passed_over_once_says_what_its_members_say(body in body(), known in 0..5_usize) {
            let call = call(&body, known);
            let mut plain = Vec::new();
            let members = Members::of_bytes(&call.body);
            if members.and_then(|members| write_members(&call, members, Counted::default(), None, &mut plain)).is_none() {
                plain = serde_json::to_vec(&what_was_read(&call)).unwrap();
            }
            prop_assert_eq!(data(&call), String::from_utf8(plain).unwrap());
            let (mut tools, mut plain) = (Attributes::default(), Attributes::default());
            let read = Request::of(&call, &mut Histories::default());
            read.add_tools(&mut tools);
            plain.add_some("tools", read.tools_elsewhere().as_deref());
            prop_assert_eq!(serde_json::to_string(&tools).unwrap(), serde_json::to_string(&plain).unwrap());
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
        let mut tools = Attributes::default();
        Request::of(&call(gemini, 0), &mut Histories::default()).add_tools(&mut tools);
        assert_eq!(tools.get("tools").unwrap().get(), "[1.0]");
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
