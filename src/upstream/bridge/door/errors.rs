//! Failures in the words of each provider: a whole response's body, or the last thing in a stream.

use serde_json::{Value, json};

use super::messages::THREAD;
use crate::upstream::bridge::{Failure, Kind};

/// `failure` as OpenAI's API says it (<https://platform.openai.com/docs/guides/error-codes>).
pub(in crate::upstream::bridge) fn openai(failure: &Failure) -> Value {
    json!({"error": {
        "message": failure.message,
        "type": failure.kind.openai_type(),
        "param": failure.param,
        "code": failure.kind.code(),
    }})
}

/// `failure` as Anthropic's API says it (<https://docs.claude.com/en/api/errors>), in answer to this request.
pub(in crate::upstream::bridge) fn anthropic(failure: &Failure, request_id: &str) -> Value {
    let mut error = json!({"type": failure.kind.anthropic_type(), "message": failure.message});
    if failure.kind == Kind::Unsupported && failure.param.as_deref() == Some(THREAD) {
        // What Anthropic's SDKs go on without a thread for.
        error["details"] = json!({"error_code": "thread_unsupported_request", "unsupported": [THREAD]});
    }
    json!({"type": "error", "error": error, "request_id": request_id})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_api_gets_a_failure_in_its_own_shape() {
        let failure = Failure::unsupported("n", "one answer is all there is");
        let error = json!({"error": {"message": "one answer is all there is", "type": "invalid_request_error",
            "param": "n", "code": "unsupported_parameter"}});
        assert_eq!(openai(&failure), error);
        let error = json!({"type": "error", "request_id": "req_1", "error":
            {"type": "invalid_request_error", "message": "one answer is all there is"}});
        assert_eq!(anthropic(&failure, "req_1"), error);
    }

    #[test]
    fn a_failure_that_no_parameter_is_to_blame_for_says_so() {
        assert_eq!(openai(&Failure::new(Kind::Overloaded, "busy"))["error"]["param"], Value::Null);
    }

    #[test]
    fn who_asks_for_a_thread_is_told_so_that_sdks_go_on_without_one() {
        let error = anthropic(&Failure::unsupported("thread", "none"), "req_1");
        let details = json!({"error_code": "thread_unsupported_request", "unsupported": ["thread"]});
        assert_eq!(error["error"]["details"], details);
    }
}
