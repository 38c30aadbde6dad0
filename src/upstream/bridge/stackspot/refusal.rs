//! What Stackspot says instead of an answer, and what that means to a client.
//!
//! Its documentation lists statuses only; codes and texts are those that its users have met.

use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::super::{Failure, Kind};

/// A request that was refused.
#[derive(Debug)]
pub(super) struct Refusal {
    /// What the client is told.
    pub failure: Failure,
    /// What may help.
    pub remedy: Remedy,
}

/// What may help a refused request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing.
    Nothing,
    /// Another token.
    Token,
    /// To wait: for as long as Stackspot says, where it does.
    Wait(Option<Duration>),
    /// To ask once more.
    Again,
}

/// What a response other than 200 means, to a request for `model`.
pub(super) fn of_response(status: StatusCode, headers: &HeaderMap, body: &[u8], model: &str) -> Refusal {
    let said =
        Said::read(&serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into()));
    let retry_after =
        headers.get(RETRY_AFTER).and_then(|value| wait(value.to_str().ok()?, SystemTime::now()));
    meaning(status.as_u16(), &said, retry_after, model)
}

/// How long `retry-after` says to wait: seconds, or until a date (RFC 9110 section 10.2.3).
fn wait(said: &str, now: SystemTime) -> Option<Duration> {
    let said = said.trim();
    if let Ok(seconds) = said.parse() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(said).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// What an error in the midst of an answer means.
pub(super) fn of_event(event: &Value, model: &str) -> Failure {
    let number = |key| event.get(key).or_else(|| event.get("error")?.get(key)).and_then(Value::as_u64);
    let status =
        number("status").or_else(|| number("status_code")).and_then(|status| u16::try_from(status).ok());
    meaning(status.unwrap_or(500), &Said::read(event), None, model).failure
}

/// Whether an event is an error, though it does not have that name.
pub(super) fn is_error(event: &Value) -> bool {
    let is_some = |key| event.get(key).is_some_and(|value| !value.is_null());
    let is_code =
        event.get("code").and_then(Value::as_str).is_some_and(|code| code.starts_with("INFERENCE_"));
    let is_status = event.get("status").and_then(Value::as_u64).is_some_and(|status| status >= 400);
    is_some("error")
        || is_code
        || is_status
        || (is_some("code") && !is_some("message"))
        || (is_some("details") && is_some("type"))
}

/// The words of an error, wherever they stand.
struct Said {
    code: String,
    details: String,
}

impl Said {
    fn read(value: &Value) -> Self {
        let within = match value.get("error") {
            Some(inner @ Value::Object(_)) => inner,
            _ => value,
        };
        let text = |key| match within.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        };
        let bare = || [within, value.get("error").unwrap_or(value)].iter().find_map(|value| value.as_str());
        let details =
            [text("details"), text("message"), text("detail")].into_iter().find(|text| !text.is_empty());
        Self {
            code: text("code"),
            details: details.or_else(|| bare().map(str::to_owned)).unwrap_or_default(),
        }
    }

    /// Its details, where they can be shown: not too long, and without an address.
    fn shown(&self) -> Option<String> {
        const MOST: usize = 300;
        let fits = !self.details.is_empty() && !self.details.contains("://") && !self.details.contains('<');
        fits.then(|| self.details.chars().take(MOST).collect())
    }

    fn mentions(&self, words: &str) -> bool {
        self.details.to_ascii_lowercase().contains(words)
    }
}

fn meaning(status: u16, said: &Said, retry_after: Option<Duration>, model: &str) -> Refusal {
    let refusal = |kind, message: String, remedy| Refusal { failure: Failure::new(kind, message), remedy };
    let with_details = |message: &str| match said.shown() {
        Some(details) => format!("{message}: {details}"),
        None => message.to_owned(),
    };
    if said.mentions("credit limit") {
        return refusal(Kind::Quota, "the Stackspot account has no credits left".into(), Remedy::Nothing);
    }
    if said.code.starts_with("INFERENCE_6001") {
        let too_long = said.details.is_empty() || said.mentions("token") || said.mentions("exceed");
        let kind = if too_long { Kind::TooLong } else { Kind::Invalid };
        return refusal(kind, with_details("the agent's model does not take the request"), Remedy::Nothing);
    }
    if said.code.starts_with("INFERENCE_3008") || status == 429 {
        let message = with_details("Stackspot's limit of requests is reached");
        return refusal(Kind::RateLimit, message, Remedy::Wait(retry_after));
    }
    let failed = format!("Stackspot failed ({status})");
    match status {
        401 => refusal(Kind::UpstreamAuth, "Stackspot does not take our token (401)".into(), Remedy::Token),
        403 => refusal(
            Kind::UpstreamAuth,
            format!("Stackspot lets us not ask the agent of {model} (403): wrong or unshared agent"),
            Remedy::Nothing,
        ),
        404 => refusal(
            Kind::Upstream,
            format!("Stackspot has no agent by the agent_id of the model {model} (404)"),
            Remedy::Nothing,
        ),
        413 => refusal(Kind::TooLong, "Stackspot takes no request that large (413)".into(), Remedy::Nothing),
        408 | 504 => {
            refusal(Kind::UpstreamTimeout, format!("Stackspot took too long ({status})"), Remedy::Again)
        }
        503 | 529 => {
            refusal(Kind::Overloaded, format!("Stackspot has too much to do ({status})"), Remedy::Again)
        }
        500.. => refusal(Kind::Upstream, with_details(&failed), Remedy::Again),
        _ => refusal(
            Kind::Upstream,
            with_details(&format!("Stackspot does not take the request ({status})")),
            Remedy::Nothing,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, body: &str, kind: Kind, remedy: Remedy, words: &str) {
        let headers = [(RETRY_AFTER, http::HeaderValue::from_static("7"))].into_iter().collect();
        let refusal = of_response(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes(), "m");
        assert_eq!((refusal.failure.kind, refusal.remedy), (kind, remedy), "{body}");
        assert!(refusal.failure.message.contains(words), "{}", refusal.failure.message);
    }

    #[test]
    fn every_documented_refusal_has_its_meaning() {
        let too_long = r#"{"type":"BadRequestError","code":"INFERENCE_6001_LLM_MODEL_BAD_REQUEST","details":"Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300001 tokens."}"#;
        check(400, too_long, Kind::TooLong, Remedy::Nothing, "300001 tokens");
        let limit = r#"{"type":"TooManyRequests","code":"INFERENCE_3008_CHAT_RATE_LIMIT_EXCEEDED","details":"Maximum number of requests reached."}"#;
        check(429, limit, Kind::RateLimit, Remedy::Wait(Some(Duration::from_secs(7))), "Maximum number");
        check(429, r#"{"message":"Credit Limit Reached"}"#, Kind::Quota, Remedy::Nothing, "credits");
        check(429, "Credit Limit Reached", Kind::Quota, Remedy::Nothing, "credits");
        check(403, "", Kind::UpstreamAuth, Remedy::Nothing, "wrong or unshared agent");
        check(404, r#"{"detail":"Agent 01X not found"}"#, Kind::Upstream, Remedy::Nothing, "model m ");
        check(401, "", Kind::UpstreamAuth, Remedy::Token, "401");
        check(500, "<html>oops</html>", Kind::Upstream, Remedy::Again, "failed (500)");
        check(502, "see https://inner/", Kind::Upstream, Remedy::Again, "failed (502)");
        check(503, "", Kind::Overloaded, Remedy::Again, "503");
        check(504, "", Kind::UpstreamTimeout, Remedy::Again, "504");
        check(422, r#"{"details":["x"]}"#, Kind::Upstream, Remedy::Nothing, r#"(422): ["x"]"#);
    }

    #[test]
    fn a_time_to_wait_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (said, seconds) in [
            ("7", Some(7.0)),
            (" 0.5 ", Some(0.5)),
            ("0", Some(0.0)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30.0)),
            ("Sun, 06 Nov 1994 08:40:00 GMT", Some(0.0)),
            ("-1", None),
            ("NaN", None),
            ("1e300", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(wait(said, now), seconds.map(Duration::from_secs_f64), "{said}");
        }
    }

    #[test]
    fn errors_within_an_answer_mean_the_same() {
        for (event, kind) in [
            (serde_json::json!({"error": {"code": "INFERENCE_3008_X", "details": "slow"}}), Kind::RateLimit),
            (serde_json::json!({"error": "Credit Limit Reached"}), Kind::Quota),
            (serde_json::json!({"code": "INFERENCE_6001", "details": "too many tokens"}), Kind::TooLong),
            (serde_json::json!({"status": 503, "message": "busy"}), Kind::Overloaded),
            (serde_json::json!({"message": "oops"}), Kind::Upstream),
        ] {
            assert_eq!(of_event(&event, "m").kind, kind, "{event}");
        }
        for event in [
            serde_json::json!({"error": "x"}),
            serde_json::json!({"code": "INFERENCE_3008_X", "message": "too fast"}),
            serde_json::json!({"status": 500, "message": "boom"}),
        ] {
            assert!(is_error(&event), "{event}");
        }
        assert!(!is_error(&serde_json::json!({"status": 200, "message": "fine"})));
        assert!(!is_error(&serde_json::json!({"error": null, "message": "x", "code": null})));
    }
}
