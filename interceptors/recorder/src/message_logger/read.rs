//! Bodies that are written as they are: nothing is made of them but what is in the file.

use std::ops::Range;

use perimeter_interceptor::Call;
use perimeter_redact::{REDACTED, secrets};

use crate::history::Histories;
use crate::scan::is_json;

/// JSON in one line, and where in it the secrets are that are to be replaced.
pub(super) struct Read<'a> {
    json: &'a [u8],
    secrets: Vec<Range<usize>>,
}

impl<'a> Read<'a> {
    /// The request of this call. `None` where it has to be read otherwise: it is no object, has line ends, or space around
    /// it, or letters as code points.
    pub(super) fn request(histories: &mut Histories, call: &'a Call, redacts: bool) -> Option<Self> {
        let json = &*call.body;
        if json.trim_ascii().len() < json.len() {
            return None;
        }
        let body = histories.cut(call, usize::MAX)?;
        if memchr::memchr2(b'\n', b'\r', body.rest.as_bytes()).is_some() {
            return None;
        }
        let mut found = if redacts { secrets(&body.rest)? } else { Vec::new() };
        for secret in &mut found {
            *secret = body.place(secret.start)..body.place(secret.end);
        }
        found.extend(histories.found(&body));
        found.sort_unstable_by_key(|secret| secret.start);
        histories.remember(&body, &found);
        Some(Self { json, secrets: found })
    }

    /// An answer, likewise.
    pub(super) fn response(json: &'a [u8], redacts: bool) -> Option<Self> {
        let text = str::from_utf8(json).ok().filter(|text| text.trim_ascii().len() == text.len())?;
        if !is_json(text) || memchr::memchr2(b'\n', b'\r', json).is_some() {
            return None;
        }
        let secrets = if redacts { secrets(text)? } else { Vec::new() };
        Some(Self { json, secrets })
    }

    /// It with the secrets replaced, in parts.
    pub(super) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.secrets.iter().map(|secret| secret.end));
        let ends = self.secrets.iter().map(|secret| secret.start).chain([self.json.len()]);
        starts.zip(ends).enumerate().flat_map(|(number, (start, end))| {
            let before: &[u8] = if number > 0 { REDACTED.as_bytes() } else { b"" };
            [before, self.json.get(start..end).unwrap_or_default()]
        })
    }
}

#[cfg(test)]
mod tests {
    use perimeter_interceptor::Session;
    use perimeter_redact::redact;
    use proptest::prelude::*;

    use super::*;
    use crate::history::tests::call_in;

    /// Messages as they may be written, some with secrets.
    const MESSAGES: [&str; 9] = [
        r#"{"role":"user","content":"Read the file."}"#,
        r#"{"role":"user","content":"My key is sk-proj-aB3dE5gH7jK9mN1pQ3sT5vW7 and no other."}"#,
        r#"{"role":"tool","content":"{\"password\": \"hunter2\", \"api_key\":\"x\"}"}"#,
        r#"{"role":"tool","password":"hunter2"}"#,
        r#"{"role":"assistant","content":"token: eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3In0.dozjgNryP4J3jVmN"}"#,
        r#"{"content":"postgres://me:Secret1@db/x"}"#,
        r#""sk-proj-aB3dE5gH7jK9mN1pQ3sT5vW7""#,
        r#"{"content":"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----"}"#,
        r#"{"content":"\u0073k-proj-aB3dE5gH7jK9mN1pQ3sT5vW7"}"#,
    ];

    fn message() -> impl Strategy<Value = String> {
        (0..MESSAGES.len() * 4, 0..3000_usize).prop_map(|(which, more)| match MESSAGES.get(which) {
            Some(message) => (*message).to_owned(),
            None => format!("{{\"role\":\"user\",\"content\":\"{}\"}}", "a\\\"b ".repeat(more / 5)),
        })
    }

    /// What stands behind the messages.
    fn tail() -> impl Strategy<Value = String> {
        let tools = r#"],"tools":[{"name":"read"},"#.to_owned() + &"{},".repeat(200);
        let end = [
            "{}]",
            r#"{}],"password":"hunter2","n":1"#,
            r#""sk-proj-aB3dE5gH7jK9mN1pQ3sT5vW7"]"#,
            "{}], \"a\" : 1",
        ];
        (0..4_usize, 0..4_usize).prop_map(move |(long, which)| {
            let start = if long > 0 { &tools } else { r#"],"token":["# };
            format!("{start}{}}}", end.get(which).copied().unwrap_or_default())
        })
    }

    fn written(read: &Read<'_>) -> String {
        String::from_utf8(read.parts().collect::<Vec<_>>().concat()).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_remembered_of_a_conversation_changes_nothing_of_what_is_written(
            messages in prop::collection::vec(message(), 1..24),
            edited in message(),
            tails in prop::collection::vec(tail(), 2),
            calls in prop::collection::vec((0..24_usize, any::<bool>(), any::<bool>()), 1..8),
        ) {
            let mut histories = Histories::default();
            for (count, edits, is_other) in calls {
                let mut said = messages[..=count.min(messages.len() - 1)].to_vec();
                if edits {
                    let last = said.len() - 1;
                    said[last / 2].clone_from(&edited);
                }
                let (said, tail) = (said.join(","), &tails[usize::from(is_other)]);
                let body = format!(r#"{{"key":"AKIAIOSFODNN7EXAMPLE","messages":[{said}{tail}"#);
                let has_code_points = body.contains("\\u0073");
                let call = call_in(Session::new("s"), &body);
                let read = Read::request(&mut histories, &call, true);
                if let Some(read) = &read {
                    prop_assert_eq!(written(read), redact(&body));
                }
                prop_assert!(read.is_some() || has_code_points);
            }
        }
    }

    #[test]
    fn what_would_not_be_a_line_or_no_json_is_left_to_others() {
        let mut histories = Histories::default();
        let mut is_read = |json: &str| {
            let call = call_in(Session::new("s"), json);
            let request = Read::request(&mut histories, &call, true);
            (request.is_some(), Read::response(json.as_bytes(), true).is_some())
        };
        assert_eq!(is_read(r#"{"messages":[1]}"#), (true, true));
        assert_eq!(is_read("[1]"), (false, true));
        for other in ["{\n}", " {}", "{} ", "{}\r\n", "{", "", r#"{"a":"\u0073"}"#, "\u{c}{}"] {
            assert_eq!(is_read(other), (false, false), "{other:?}");
        }
    }
}
