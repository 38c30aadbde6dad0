//! Quick commands: what runs at Stackspot for a while, and is asked for its outcome until there is one
//! (<https://ai.stackspot.com/docs/quick-commands/quick-commands>).

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};

use super::super::{Failure, Kind};
use super::Stackspot;
use super::network::whole;
use super::refusal::{self, Refusal, Remedy};
use super::token::Token;
use crate::body::Body;

/// Between two questions: the first time, and at most.
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(4);

/// How long one question may take.
const BOUND: Duration = Duration::from_secs(30);

/// How often in a row a question may fail.
const FAILED: u32 = 3;

/// The path that starts `slug`.
pub(super) fn path(slug: &str) -> String {
    format!("/v1/quick-commands/create-execution/{slug}")
}

/// What it is started with.
pub(super) fn body(prompt: &str) -> Bytes {
    Bytes::from(json!({"input_data": prompt}).to_string())
}

impl Stackspot {
    /// The outcome of the run that `started` tells of, as an agent would answer.
    pub(super) async fn outcome(&self, started: Body, token: &Token, model: &str) -> Result<Body, Failure> {
        let began = Instant::now();
        let started = tokio::time::timeout(BOUND, whole(started)).await.map_err(|_| self.silent())?;
        let id = run(&started?)?;
        let path = format!("/v1/quick-commands/callback/{id}");
        let (mut pause, mut token, mut renewed, mut failed) = (FIRST, token.clone(), false, 0);
        while began.elapsed() < self.idle_timeout {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST);
            let refusal = match self.look(&path, &token, model).await {
                Ok(Some(text)) => {
                    return Ok(Body::full(json!({"message": text, "stop_reason": "stop"}).to_string()));
                }
                Ok(None) => {
                    failed = 0;
                    continue;
                }
                Err(refusal) => refusal,
            };
            // The run goes on, and is paid for, whether it can be looked at or not.
            match refusal.remedy {
                Remedy::Token if !renewed => {
                    renewed = true;
                    token = self.tokens.after(&token).await?;
                }
                Remedy::Wait(_) | Remedy::Again if failed < FAILED => {
                    failed += 1;
                    pause = LONGEST;
                }
                _ => return Err(refusal.failure),
            }
        }
        Err(self.silent())
    }

    /// What has come of the run at `path`. None while it runs.
    async fn look(&self, path: &str, token: &Token, model: &str) -> Result<Option<String>, Refusal> {
        let fatal = |failure| Refusal { failure, remedy: Remedy::Nothing };
        let mut request = self.commands.get(path).map_err(fatal)?;
        request.headers_mut().insert(AUTHORIZATION, token.bearer().map_err(fatal)?);
        let response = self.commands.ask(request, BOUND).await;
        let response = response.map_err(|failure| Refusal { failure, remedy: Remedy::Again })?;
        if response.status().is_success() {
            return text(response.body()).map_err(fatal);
        }
        Err(refusal::of_response(response.status(), response.headers(), response.body(), model))
    }
}

/// The name of a run that has been started. It becomes part of a path.
fn run(started: &[u8]) -> Result<String, Failure> {
    let id = match serde_json::from_slice(started) {
        Ok(Value::String(id)) => Some(id),
        Ok(Value::Object(map)) => map.get("execution_id").and_then(Value::as_str).map(str::to_owned),
        _ => None,
    };
    id.filter(|id| super::settings::is_id(id)).ok_or_else(|| {
        Failure::new(Kind::Upstream, "Stackspot did not say which run of the quick command it began")
    })
}

/// What has come of it. None while it runs.
fn text(said: &[u8]) -> Result<Option<String>, Failure> {
    let broken = |how: &str| Failure::new(Kind::Upstream, format!("the quick command {how}"));
    let said: Value =
        serde_json::from_slice(said).map_err(|_| broken("answered with something that is no JSON"))?;
    match said.pointer("/progress/status").and_then(Value::as_str) {
        Some("COMPLETED") => {}
        Some("FAILED" | "FAILURE") => return Err(broken("failed")),
        _ => return Ok(None),
    }
    let answer =
        |step: &Value| step.pointer("/step_result/answer").and_then(Value::as_str).map(str::to_owned);
    let steps = said.get("steps").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let result = match said.get("result") {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Null) | None => steps.iter().rev().find_map(answer),
        Some(other) => Some(other.to_string()),
    };
    result.map(Some).ok_or_else(|| broken("ended without a result"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(said: &Value, result: Result<Option<&str>, &str>) {
        let text = text(said.to_string().as_bytes());
        assert_eq!(
            text.as_ref().map(Option::as_deref).map_err(|failure| failure.message.as_str()),
            result,
            "{said}"
        );
    }

    #[test]
    fn an_outcome_is_the_result_or_the_last_steps_answer() {
        check(&json!({"progress": {"status": "RUNNING"}}), Ok(None));
        check(&json!({}), Ok(None));
        check(&json!({"progress": {"status": "COMPLETED"}, "result": "r", "steps": []}), Ok(Some("r")));
        check(&json!({"progress": {"status": "COMPLETED"}, "result": {"a": 1}}), Ok(Some("{\"a\":1}")));
        let steps = json!([{"step_result": {"answer": "a"}}, {"step_result": {"answer": "b"}}, {}]);
        check(&json!({"progress": {"status": "COMPLETED"}, "result": null, "steps": steps}), Ok(Some("b")));
        check(&json!({"progress": {"status": "COMPLETED"}}), Err("the quick command ended without a result"));
        check(&json!({"progress": {"status": "FAILURE"}}), Err("the quick command failed"));
    }

    #[test]
    fn the_name_of_a_run_is_no_path() {
        assert_eq!(run(b"\"01X\"").unwrap(), "01X");
        for said in ["\"../x\"", "{}", "", "\"\""] {
            assert!(run(said.as_bytes()).is_err(), "{said}");
        }
    }
}
