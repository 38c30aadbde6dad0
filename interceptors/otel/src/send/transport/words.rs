//! What backends say, in OTLP's own messages and in Google's.

use std::time::Duration;

use http::HeaderMap;
use prost::Message;
use serde::Deserialize;

use super::Answer;

/// The longest message that is repeated.
const LONGEST: usize = 300;

/// `google.rpc.Status`, as far as it is of use: the body of an OTLP error.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Any {
    #[prost(string, tag = "1")]
    pub(super) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub(super) delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Delay {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

impl Status {
    /// How long the backend asks to wait.
    pub(super) fn delay(&self) -> Option<Duration> {
        let info = self.details.iter().find(|any| any.type_url.ends_with("google.rpc.RetryInfo"))?;
        let delay = RetryInfo::decode(&*info.value).ok()?.delay.unwrap_or_default();
        Some(Duration::new(u64::try_from(delay.seconds).ok()?, u32::try_from(delay.nanos).ok()?))
    }
}

/// `Export…ServiceResponse` of each signal: they differ in names only.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Response {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<Partial>,
}

#[derive(Clone, PartialEq, Message)]
struct Partial {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct JsonResponse {
    partial_success: JsonPartial,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct JsonPartial {
    #[serde(alias = "rejectedLogRecords", alias = "rejectedDataPoints")]
    rejected_spans: Number,
    error_message: String,
}

/// 64-bit numbers are texts in Protobuf's JSON; a number is taken as well.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Number {
    Number(i64),
    Text(String),
}

impl Default for Number {
    fn default() -> Self {
        Self::Number(0)
    }
}

/// The words of a backend, fit for a log.
#[derive(Debug)]
pub(super) struct Words {
    /// What is our own secret, should a backend repeat it.
    secrets: Vec<String>,
}

impl Words {
    pub(super) fn new(headers: &HeaderMap) -> Self {
        let values = headers.values().filter_map(|value| value.to_str().ok());
        // Of `Basic abc` the second word is the secret.
        let secrets = values.flat_map(|value| value.split_whitespace().chain([value]));
        let mut secrets: Vec<String> = secrets.filter(|secret| secret.len() > 3).map(str::to_owned).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets }
    }

    /// On one line, without secrets, and not too long.
    pub(super) fn clean(&self, text: &str) -> String {
        let text =
            self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "[REDACTED]"));
        let text = perimeter_redact::redact_start(&text, 4 * LONGEST);
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let line: String = line.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        line
    }

    /// The answer with which a backend took a request.
    pub(super) fn taken(&self, rejected: i64, message: &str) -> Answer {
        let message = self.clean(message);
        Answer::Taken {
            rejected: u64::try_from(rejected).unwrap_or(0),
            message: (!message.is_empty()).then_some(message),
        }
    }

    /// The same, of a body in Protobuf. One that is none is as good as an empty one: it was taken.
    pub(super) fn taken_protobuf(&self, body: &[u8]) -> Answer {
        let partial = Response::decode(body).ok().and_then(|response| response.partial_success);
        let partial = partial.unwrap_or_default();
        self.taken(partial.rejected, &partial.error_message)
    }

    /// The same, of a body in JSON.
    pub(super) fn taken_json(&self, body: &[u8]) -> Answer {
        let partial = serde_json::from_slice::<JsonResponse>(body).unwrap_or_default().partial_success;
        let rejected = match partial.rejected_spans {
            Number::Number(number) => number,
            Number::Text(text) => text.parse().unwrap_or(0),
        };
        self.taken(rejected, &partial.error_message)
    }

    /// What the body of an error says, whatever it is.
    pub(super) fn error(&self, body: &[u8]) -> String {
        #[derive(Deserialize)]
        struct Json {
            message: String,
        }
        if let Ok(Json { message }) = serde_json::from_slice(body) {
            return self.clean(&message);
        }
        match std::str::from_utf8(body) {
            Ok(text) if !text.starts_with(|c: char| c.is_control()) => self.clean(text),
            _ => self.clean(&Status::decode(body).unwrap_or_default().message),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words() -> Words {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Basic aHVudGVyMg==".parse().unwrap());
        Words::new(&headers)
    }

    #[test]
    fn a_partial_success_is_read_in_both_forms() {
        let taken = Answer::Taken { rejected: 3, message: Some("too old".into()) };
        let partial = Partial { rejected: 3, error_message: "too old".into() };
        let protobuf = Response { partial_success: Some(partial) }.encode_to_vec();
        assert_eq!(words().taken_protobuf(&protobuf), taken);
        for json in [
            r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}"#,
            r#"{"partialSuccess":{"rejectedLogRecords":3,"errorMessage":"too old"}}"#,
            r#"{"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"too old","x":1}}"#,
        ] {
            assert_eq!(words().taken_json(json.as_bytes()), taken, "{json}");
        }
        for empty in ["", "{}", "OK", r#"{"partialSuccess":{}}"#] {
            assert_eq!(
                words().taken_json(empty.as_bytes()),
                Answer::Taken { rejected: 0, message: None },
                "{empty}"
            );
        }
    }

    #[test]
    fn an_error_is_read_in_any_form_and_tells_no_secret() {
        let status = Status { message: "no aHVudGVyMg== here".into(), details: Vec::new() };
        for body in [
            status.encode_to_vec(),
            br#"{"code":3,"message":"no aHVudGVyMg== here"}"#.to_vec(),
            b"no Basic aHVudGVyMg==\nhere".to_vec(),
        ] {
            let said = words().error(&body);
            assert!(said.starts_with("no [REDACTED]") && said.ends_with("here"), "{said}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_is_too_strange(body: Vec<u8>) {
            words().taken_protobuf(&body);
            words().taken_json(&body);
            prop_assert!(words().error(&body).chars().count() <= LONGEST);
            let _ = Status::decode(&*body).unwrap_or_default().delay();
        }
    }
}
