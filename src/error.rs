//! Our own answers: what a client gets where no provider answered, in the error format of its SDK.

use http::header::{ALLOW, CONNECTION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::json;

use crate::api::Api;
use crate::body::Body;
use crate::metrics::Refusal;
use crate::upstream::UpstreamError;

/// Marks an answer as ours, and says why in one word.
pub(crate) const ERROR_HEADER: HeaderName = HeaderName::from_static("x-perimeter-error");

/// An answer of our own.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// Whether the client connection ends with it.
    closes: bool,
}

impl Failure {
    /// For an upstream that gave no response.
    pub(crate) fn upstream(error: &UpstreamError) -> Self {
        let status = match error {
            UpstreamError::ConnectTimeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        };
        Self { status, code: error.code(), message: format!("perimeter: {}", chain(error)), closes: false }
    }

    /// For a request that is not forwarded. The connection ends with it: what follows on it cannot be trusted.
    pub(crate) fn refused(refusal: Refusal, why: &str) -> Self {
        let status = match refusal {
            Refusal::Method => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::HeaderTimeout => StatusCode::REQUEST_TIMEOUT,
            Refusal::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Refusal::ClientKey => StatusCode::UNAUTHORIZED,
            Refusal::Foreign => StatusCode::FORBIDDEN,
            Refusal::Malformed | Refusal::Ambiguous | Refusal::MalformedBody => StatusCode::BAD_REQUEST,
        };
        Self { status, code: refusal.as_str(), message: format!("perimeter: {why}"), closes: true }
    }

    /// The response, as the SDKs of `api` read errors.
    pub(crate) fn into_response(self, api: Api) -> Response<Body> {
        let kind = match (api, self.status) {
            (Api::Anthropic, StatusCode::UNAUTHORIZED) => "authentication_error",
            (Api::Anthropic, StatusCode::FORBIDDEN) => "permission_error",
            (_, status) if status.is_server_error() => "api_error",
            _ => "invalid_request_error",
        };
        let body = match api {
            Api::OpenAi | Api::Azure => json!({
                "error": {"message": self.message, "type": kind, "param": null, "code": self.code}
            }),
            Api::Anthropic => json!({
                "type": "error", "error": {"type": kind, "message": self.message}
            }),
            Api::Gemini => json!({
                "error": {
                    "code": self.status.as_u16(), "message": self.message, "status": google_word(self.status)
                }
            }),
        };
        let mut response = Response::new(Body::full(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ERROR_HEADER, HeaderValue::from_static(self.code));
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            let allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
            headers.insert(ALLOW, HeaderValue::from_static(allowed));
        }
        if self.closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// What Google calls a status.
fn google_word(status: StatusCode) -> &'static str {
    match status {
        StatusCode::METHOD_NOT_ALLOWED => "UNIMPLEMENTED",
        StatusCode::UNAUTHORIZED => "UNAUTHENTICATED",
        StatusCode::FORBIDDEN => "PERMISSION_DENIED",
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => "DEADLINE_EXCEEDED",
        status if status.is_server_error() => "UNAVAILABLE",
        _ => "INVALID_ARGUMENT",
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        // Some crates repeat their cause in their own words.
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt as _;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<Box<Link>>,
    }

    #[test]
    fn a_cause_is_told_once_however_often_it_is_repeated() {
        for (texts, told) in [
            (&["a"][..], "a"),
            (&["a", "b", "c"], "a: b: c"),
            (&["a: b", "b"], "a: b"),
            (&["a", "b: c", "c"], "a: b: c"),
        ] {
            let mut link: Option<Box<Link>> = None;
            for text in texts.iter().rev() {
                link = Some(Box::new(Link { text, source: link }));
            }
            assert_eq!(chain(&link.unwrap()), told, "{texts:?}");
        }
    }

    #[test]
    fn each_failure_has_its_status_and_says_whether_the_connection_ends() {
        let late = UpstreamError::ConnectTimeout { address: "h:1".to_owned(), after: Duration::from_secs(3) };
        for (failure, status, code, closes) in [
            (Failure::upstream(&UpstreamError::Unasked), 502, "upstream_protocol", false),
            (Failure::upstream(&late), 504, "upstream_connect_timeout", false),
            (Failure::refused(Refusal::Ambiguous, "why"), 400, "ambiguous_request", true),
            (Failure::refused(Refusal::MalformedBody, "why"), 400, "malformed_body", true),
            (Failure::refused(Refusal::Method, "why"), 405, "method_not_allowed", true),
            (Failure::refused(Refusal::ClientKey, "why"), 401, "invalid_api_key", true),
            (Failure::refused(Refusal::Foreign, "why"), 403, "foreign_page", true),
        ] {
            let response = failure.into_response(Api::OpenAi);
            let headers = response.headers();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(headers[ERROR_HEADER], code);
            assert_eq!(
                (headers.contains_key(CONNECTION), headers.contains_key(ALLOW)),
                (closes, status == 405)
            );
        }
    }

    #[test]
    fn a_status_has_the_word_that_google_has_for_it() {
        for (status, word) in [
            (400, "INVALID_ARGUMENT"),
            (401, "UNAUTHENTICATED"),
            (403, "PERMISSION_DENIED"),
            (405, "UNIMPLEMENTED"),
            (408, "DEADLINE_EXCEEDED"),
            (431, "INVALID_ARGUMENT"),
            (502, "UNAVAILABLE"),
            (504, "DEADLINE_EXCEEDED"),
        ] {
            assert_eq!(google_word(StatusCode::from_u16(status).unwrap()), word);
        }
    }

    #[tokio::test]
    async fn a_failure_speaks_as_the_provider_does() {
        for (api, text) in [
            (
                Api::OpenAi,
                r#"{"error":{"code":"malformed_body","message":"perimeter: why","param":null,"type":"invalid_request_error"}}"#,
            ),
            (
                Api::Anthropic,
                r#"{"error":{"message":"perimeter: why","type":"invalid_request_error"},"type":"error"}"#,
            ),
            (Api::Gemini, r#"{"error":{"code":400,"message":"perimeter: why","status":"INVALID_ARGUMENT"}}"#),
        ] {
            let response = Failure::refused(Refusal::MalformedBody, "why").into_response(api);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, text.as_bytes());
        }
    }
}
