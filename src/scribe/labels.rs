//! What a client says about an exchange in headers and path that are addressed to us.

use std::collections::BTreeMap;

use http::HeaderMap;
use perimeter_interceptor::{Labels, RequestHead};

use crate::config::LegacyHeaders;
use crate::dialect::{name as session_name, shortened};
use crate::workflow;

/// More tags than this are not kept, as with the predecessor; so with longer names and values. Bytes.
const TAGS: usize = 50;
const TAG_NAME: usize = 64;
const TAG_VALUE: usize = 512;

/// Reads the labels of a request; `legacy` says what two headers of the predecessor mean.
pub(super) fn labels(head: &RequestHead, legacy: LegacyHeaders) -> Labels {
    let headers = &head.headers;
    let first = |names: &[&str]| names.iter().find_map(|name| text(headers, name)).map(shortened);
    let mut labels = Labels::default();
    labels.workflow = workflow::split(head.uri.path()).map(|(id, _)| shortened(id));
    labels.agent = first(&["x-perimeter-agent-id", "x-cylestio-prompt-id", "x-cylestio-agent-id"]);
    for tags in ["x-perimeter-tags", "x-cylestio-tags"] {
        for value in headers.get_all(tags) {
            add_tags(&mut labels.tags, &String::from_utf8_lossy(value.as_bytes()));
        }
    }
    // What is written where there is no name would join all who write it.
    let session = |names: &[&str]| names.iter().find_map(|name| session_name(text(headers, name)?));
    match legacy {
        LegacyHeaders::V1 => {
            labels.session =
                session(&["x-perimeter-session-id", "x-cylestio-conversation-id", "x-cylestio-session-id"]);
        }
        LegacyHeaders::V2 => {
            labels.session = session(&["x-perimeter-session-id", "x-cylestio-conversation-id"]);
            if let Some(session) = text(headers, "x-cylestio-session-id") {
                add_tag(&mut labels.tags, "session", session);
            }
        }
    }
    labels
}

/// The header's value, where it is text and not blank.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = std::str::from_utf8(headers.get(name)?.as_bytes()).ok()?.trim();
    (!value.is_empty() && !value.chars().any(char::is_control)).then_some(value)
}

/// `name:value,name2:value2,flag`.
fn add_tags(tags: &mut BTreeMap<String, String>, list: &str) {
    for tag in list.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
        match tag.split_once(':') {
            Some((name, value)) => add_tag(tags, name.trim(), value.trim()),
            None => add_tag(tags, tag, "true"),
        }
    }
}

fn add_tag(tags: &mut BTreeMap<String, String>, name: &str, value: &str) {
    if !name.is_empty() && name.len() <= TAG_NAME && (tags.len() < TAGS || tags.contains_key(name)) {
        let value = &value[..value.floor_char_boundary(TAG_VALUE)];
        tags.insert(name.to_owned(), value.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue, Method, Version};

    use super::*;

    fn of(path: &str, headers: &[(&'static str, &str)], legacy: LegacyHeaders) -> Labels {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        let head = RequestHead::new(Method::POST, path.parse().unwrap(), Version::HTTP_11, headers.collect());
        labels(&head, legacy)
    }

    #[test]
    fn both_generations_of_headers_mean_what_their_documentation_says() {
        let headers = [("x-cylestio-session-id", "s"), ("x-cylestio-agent-id", "a")];
        let old = of("/", &headers, LegacyHeaders::V1);
        assert_eq!((old.session.as_deref(), old.agent.as_deref()), (Some("s"), Some("a")));
        let new = of("/", &headers, LegacyHeaders::V2);
        assert_eq!((new.session.as_deref(), new.agent.as_deref()), (None, Some("a")));
        assert_eq!(new.tags["session"], "s");

        let both = [
            ("x-cylestio-conversation-id", "theirs"),
            ("x-perimeter-session-id", "ours"),
            ("x-cylestio-prompt-id", "p"),
        ];
        let labels = of("/agent-workflow/w1/v1/messages", &both, LegacyHeaders::V2);
        assert_eq!(labels.session.as_deref(), Some("ours"));
        assert_eq!(labels.agent.as_deref(), Some("p"));
        assert_eq!(labels.workflow.as_deref(), Some("w1"));
    }

    #[test]
    fn a_name_may_be_of_any_script_and_holds_no_control_characters() {
        let session = |name: &[u8]| {
            let value = HeaderValue::from_bytes(name).unwrap();
            let headers = HeaderMap::from_iter([(HeaderName::from_static("x-perimeter-session-id"), value)]);
            let head = RequestHead::new(Method::POST, "/".parse().unwrap(), Version::HTTP_11, headers);
            labels(&head, LegacyHeaders::V2).session
        };
        assert_eq!(session("Müller 会話".as_bytes()).as_deref(), Some("Müller 会話"));
        for none in [&b""[..], b"  ", b"M\xfcller", b"a\tb", "a\u{9b}31m".as_bytes()] {
            assert_eq!(session(none), None, "{none:?}");
        }
    }

    #[test]
    fn what_stands_for_no_session_names_none() {
        for nobody in ["null", "undefined", "${SESSION_ID}", "{{session}}", " "] {
            let headers = [("x-perimeter-session-id", nobody)];
            assert_eq!(of("/", &headers, LegacyHeaders::V2).session, None, "{nobody}");
            let both = [("x-perimeter-session-id", nobody), ("x-cylestio-conversation-id", "theirs")];
            assert_eq!(of("/", &both, LegacyHeaders::V2).session.as_deref(), Some("theirs"), "{nobody}");
        }
    }

    #[test]
    fn tags_are_read_and_bounded() {
        let long = "v".repeat(600);
        let list = format!("a:1, b : 2:3 ,flag,,:x,long:{long}, {}:y", "n".repeat(65));
        let labels = of("/", &[("x-perimeter-tags", &list)], LegacyHeaders::V2);
        let tags: Vec<_> = labels.tags.iter().map(|(name, value)| (name.as_str(), value.len())).collect();
        assert_eq!(tags, [("a", 1), ("b", 3), ("flag", 4), ("long", 512)]);
        let many: Vec<_> = (0..99).map(|n| format!("t{n}")).collect();
        let labels = of("/", &[("x-cylestio-tags", &many.join(","))], LegacyHeaders::V2);
        assert_eq!(labels.tags.len(), 50);
    }
}
