//! One request to an agent: when it may be sent, with which token, and how often.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use serde_json::{Map, Value, json};

use super::super::{Failure, Kind};
use super::Stackspot;
use super::network::{unreachable, whole};
use super::quick;
use super::refusal::{self, Refusal, Remedy};
use super::settings::Agent;
use super::token::Token;
use crate::body::Body;

/// How often a request is sent at most, while nothing has come back.
const TRIES: u32 = 3;

/// How long the words of a refusal may take.
const REFUSAL: Duration = Duration::from_secs(30);

/// What is asked of an agent.
pub(super) struct Call<'a> {
    /// Whom.
    pub agent: &'a Agent,
    /// The model's name with the client.
    pub model: &'a str,
    /// The conversation's name at Stackspot.
    pub conversation: Option<&'a str>,
    /// Files of this request.
    pub uploads: &'a [String],
    /// How long the client would wait for it to be sent.
    pub deadline: Instant,
}

impl Call<'_> {
    fn body(&self, prompt: &str) -> Bytes {
        let agent = self.agent;
        if agent.quick {
            return quick::body(prompt);
        }
        let mut body = Map::new();
        let mut set = |key: &str, value: Value| body.insert(key.to_owned(), value);
        set("streaming", json!(true));
        set("user_prompt", json!(prompt));
        set("stackspot_knowledge", json!(agent.use_knowledge));
        set("return_ks_in_response", json!(agent.return_knowledge));
        set("use_conversation", json!(self.conversation.is_some()));
        if let Some(id) = self.conversation {
            set("conversation_id", json!(id));
        }
        if !self.uploads.is_empty() {
            set("upload_ids", json!(self.uploads));
        }
        if agent.deep_search {
            set("deep_search_ks", json!(true));
        }
        if !agent.knowledge_sources.is_empty() {
            set("knowledge_source_ids", json!(agent.knowledge_sources));
        }
        if let Some(version) = agent.version {
            set("agent_version_number", json!(version));
        }
        body.extend(agent.extra_body.clone());
        Bytes::from(Value::Object(body).to_string())
    }
}

impl Stackspot {
    /// The agent's answer to `prompt`, from its first byte on.
    pub(super) async fn call(&self, call: &Call<'_>, prompt: &str) -> Result<Body, Failure> {
        let body = call.body(prompt);
        let mut token = self.tokens.token().await?;
        let (mut tries, mut renewed) = (0, false);
        loop {
            self.limiter.turn(call.deadline).await?;
            tries += 1;
            let refusal = match self.send(call, &body, &token).await? {
                Ok(answer) => return Ok(answer),
                Err(refusal) => refusal,
            };
            let mut failure = refusal.failure;
            let wait = match refusal.remedy {
                Remedy::Token if !renewed => {
                    renewed = true;
                    tries -= 1;
                    token = self.tokens.after(&token).await?;
                    continue;
                }
                Remedy::Wait(after) => {
                    let wait = self.limiter.refused(after);
                    failure = failure.after(wait);
                    wait
                }
                Remedy::Again => pause(tries),
                Remedy::Token | Remedy::Nothing => return Err(failure),
            };
            if tries >= TRIES || Instant::now() + wait > call.deadline {
                return Err(failure);
            }
            tracing::debug!(%failure, ?wait, "Stackspot is asked once more");
            tokio::time::sleep(wait).await;
        }
    }

    async fn send(
        &self,
        call: &Call<'_>,
        body: &Bytes,
        token: &Token,
    ) -> Result<Result<Body, Refusal>, Failure> {
        let id = &call.agent.agent_id;
        let (host, path) = match call.agent.quick {
            true => (&self.commands, quick::path(id)),
            false => (&self.api, format!("/v1/agent/{id}/chat")),
        };
        let mut request = host.post(&path, "application/json", body.clone())?;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(AUTHORIZATION, token.bearer()?);
        let sent = tokio::time::timeout(self.idle_timeout, host.send(request)).await;
        match sent.map_err(|_| self.silent())? {
            Ok(response) if response.status().is_success() => {
                let body = response.into_body();
                Ok(Ok(if call.agent.quick { self.outcome(body, token, call.model).await? } else { body }))
            }
            Ok(response) => Ok(Err(refused(response, call.model).await)),
            Err(error) => Ok(Err(Refusal { failure: unreachable(&error), remedy: Remedy::Again })),
        }
    }

    /// It has said nothing for too long.
    pub(super) fn silent(&self) -> Failure {
        let seconds = self.idle_timeout.as_secs_f32();
        Failure::new(Kind::UpstreamTimeout, format!("the agent has said nothing for {seconds} s"))
    }
}

async fn refused(response: Response<Body>, model: &str) -> Refusal {
    let (head, body) = response.into_parts();
    // The status alone says enough where the words do not come.
    let words = tokio::time::timeout(REFUSAL, whole(body)).await;
    let words = words.ok().and_then(Result::ok).unwrap_or_default();
    refusal::of_response(head.status, &head.headers, &words, model)
}

fn pause(tries: u32) -> Duration {
    Duration::from_millis(250) * 2_u32.pow(tries.min(8))
}
