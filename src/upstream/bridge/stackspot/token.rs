//! The token that requests carry: got once for all who wait, renewed before it ends, and once where it is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_util::task::TaskTracker;

use super::super::{Failure, Kind};
use super::account::Credential;
use super::network::Host;
use crate::config::Secret;

/// How long before its end a token is renewed.
const EARLY: Duration = Duration::from_secs(60);

/// How long a token lives that does not say it.
const LIFETIME: f64 = 1199.0;

/// How long a failed renewal is the answer to all who ask.
const FAILED_FOR: Duration = Duration::from_secs(5);

/// How long a renewal may take.
const BOUND: Duration = Duration::from_secs(30);

/// A token, and which one it is.
#[derive(Clone, Debug)]
pub(super) struct Token {
    value: Arc<Secret>,
    number: u64,
}

impl Token {
    /// As `authorization` says it.
    pub(super) fn bearer(&self) -> Result<HeaderValue, Failure> {
        let value = HeaderValue::from_str(&format!("Bearer {}", self.value.reveal()));
        let mut value =
            value.map_err(|_| Failure::new(Kind::UpstreamAuth, "the token cannot stand in a header"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// Gets tokens.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    host: Host,
    credential: Arc<Credential>,
    tasks: TaskTracker,
    /// Locked for as long as a renewal takes: all others wait for it here.
    held: Arc<Mutex<Held>>,
    /// How many were got so far.
    got: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Held {
    token: Option<Token>,
    renew: Option<Instant>,
    ends: Option<Instant>,
    failed: Option<(Instant, Failure)>,
    renewals: u64,
}

impl Tokens {
    /// Tokens of `credential`, from the service at `host`.
    pub(super) fn new(host: Host, credential: Credential, tasks: TaskTracker) -> Self {
        let mut held = Held::default();
        if let Credential::Token(secret) = &credential {
            held.token = Some(Token { value: Arc::new(secret.clone()), number: 0 });
        }
        Self {
            host,
            credential: Arc::new(credential),
            tasks,
            held: Arc::new(Mutex::new(held)),
            got: Arc::default(),
        }
    }

    /// A token that should be taken.
    pub(super) async fn token(&self) -> Result<Token, Failure> {
        self.other_than(None).await
    }

    /// Another token than `refused`.
    pub(super) async fn after(&self, refused: &Token) -> Result<Token, Failure> {
        self.other_than(Some(refused.number)).await
    }

    async fn other_than(&self, refused: Option<u64>) -> Result<Token, Failure> {
        if let (Credential::Token(_), Some(_)) = (&*self.credential, refused) {
            return Err(Failure::new(
                Kind::UpstreamAuth,
                "Stackspot does not take the personal access token of llm.api_key: it may have expired",
            ));
        }
        let before = self.got.load(Ordering::Acquire);
        let held = self.held.clone().lock_owned().await;
        if let Some(known) = held.known(Instant::now(), refused) {
            return known;
        }
        // One that came while this waited is as new as one can be, however short its life.
        let newest =
            held.token.as_ref().filter(|token| token.number > before && refused != Some(token.number));
        if let Some(token) = newest {
            return Ok(token.clone());
        }
        // A task of its own: others wait for it, and whoever began it may leave.
        let renewal = self.tasks.spawn(self.clone().renew(held, refused));
        renewal.await.unwrap_or_else(|_| Err(Failure::new(Kind::Unavailable, "the proxy stops")))
    }

    async fn renew(self, mut held: OwnedMutexGuard<Held>, refused: Option<u64>) -> Result<Token, Failure> {
        let asked = Instant::now();
        match self.fetch().await {
            Ok(fetched) => {
                let token = held.take(fetched, asked);
                self.got.store(token.number, Ordering::Release);
                Ok(token)
            }
            Err(failure) => {
                tracing::warn!(%failure, "no token from Stackspot");
                held.failed = Some((Instant::now(), failure.clone()));
                held.known(Instant::now(), refused).unwrap_or(Err(failure))
            }
        }
    }

    async fn fetch(&self) -> Result<Fetched, Failure> {
        let Credential::Client { realm, id, secret } = &*self.credential else {
            return Err(Failure::new(Kind::UpstreamAuth, "there is no credential to get a token with"));
        };
        let quoted = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let (id, secret) = (quoted(id), quoted(secret.reveal()));
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let path = format!("/{realm}/oidc/oauth/token");
        let request = self.host.post(&path, "application/x-www-form-urlencoded", Bytes::from(form))?;
        let response = self.host.ask(request, BOUND).await?;
        match response.status() {
            StatusCode::OK => serde_json::from_slice(response.body()).map_err(|_| {
                Failure::new(Kind::Upstream, "Stackspot's token endpoint answered without an access_token")
            }),
            status => Err(refusal(status)),
        }
    }
}

/// The credential goes nowhere but to the token endpoint, and its answer nowhere: it may quote what was sent.
fn refusal(status: StatusCode) -> Failure {
    match status.as_u16() {
        400 | 401 | 403 => Failure::new(
            Kind::UpstreamAuth,
            format!("Stackspot does not take llm.stackspot.client_id and client_secret ({status})"),
        ),
        404 => Failure::new(
            Kind::UpstreamAuth,
            "Stackspot knows no realm by the name in llm.stackspot.realm (404)",
        ),
        429 | 503 => Failure::new(Kind::Overloaded, format!("Stackspot gives no token now ({status})")),
        _ => Failure::new(Kind::Upstream, format!("Stackspot gave no token ({status})")),
    }
}

/// What the token endpoint answers (RFC 6749 section 5.1).
#[derive(Deserialize)]
struct Fetched {
    access_token: Secret,
    expires_in: Option<Value>,
}

impl Fetched {
    /// How long the token lives, which some say as text, and some not at all.
    fn lifetime(&self) -> Duration {
        let seconds = match &self.expires_in {
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(value) => value.as_f64(),
            None => None,
        };
        let is_sane = |seconds: &f64| *seconds > 0.0 && *seconds <= 1e9;
        Duration::from_secs_f64(seconds.filter(is_sane).unwrap_or(LIFETIME))
    }
}

impl Held {
    /// What can be said without asking: a token, or that there is none now.
    fn known(&self, now: Instant, refused: Option<u64>) -> Option<Result<Token, Failure>> {
        let token = self.token.as_ref().filter(|token| refused != Some(token.number));
        let before = |end: Option<Instant>| end.is_none_or(|end| now < end);
        let failed = self.failed.as_ref().filter(|(at, _)| now.duration_since(*at) < FAILED_FOR);
        match (token, failed) {
            (Some(token), _) if before(self.renew) => Some(Ok(token.clone())),
            // Renewing failed just now: what is left of the old one is better than nothing.
            (Some(token), Some(_)) if before(self.ends) => Some(Ok(token.clone())),
            (_, Some((_, failure))) => Some(Err(failure.clone())),
            _ => None,
        }
    }

    fn take(&mut self, fetched: Fetched, asked: Instant) -> Token {
        let lifetime = fetched.lifetime();
        self.renewals += 1;
        self.renew = Some(asked + (lifetime - EARLY.min(lifetime / 2)));
        self.ends = Some(asked + lifetime);
        self.failed = None;
        let token = Token { value: Arc::new(fetched.access_token), number: self.renewals };
        self.token = Some(token.clone());
        token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched(token: &str, expires_in: Option<f64>) -> Fetched {
        Fetched { access_token: Secret::new(token), expires_in: expires_in.map(Value::from) }
    }

    #[test]
    fn a_life_is_read_however_it_is_said() {
        for (said, seconds) in [
            (r#""expires_in": 300"#, 300.0),
            (r#""expires_in": "300""#, 300.0),
            (r#""expires_in": 0.5"#, 0.5),
            (r#""expires_in": 0"#, LIFETIME),
            (r#""expires_in": -5"#, LIFETIME),
            (r#""expires_in": "soon""#, LIFETIME),
            (r#""expires_in": true"#, LIFETIME),
            (r#""expires_in": null"#, LIFETIME),
            (r#""expires_in": 1e300"#, LIFETIME),
            (r#""token_type": "bearer""#, LIFETIME),
        ] {
            let fetched: Fetched =
                serde_json::from_str(&format!(r#"{{"access_token": "t", {said}}}"#)).unwrap();
            assert_eq!(fetched.lifetime(), Duration::from_secs_f64(seconds), "{said}");
        }
    }

    fn shown(known: Option<Result<Token, Failure>>) -> Option<String> {
        known.map(|known| {
            known.map_or_else(|failure| failure.message, |token| token.value.reveal().to_owned())
        })
    }

    #[test]
    fn a_token_is_renewed_a_minute_early_and_used_until_then() {
        for (told, kept) in [(Some(1199.0), 1139), (None, 1139), (Some(-1.0), 1139), (Some(100.0), 50)] {
            let (mut held, start) = (Held::default(), Instant::now());
            assert_eq!(shown(held.known(start, None)), None);
            held.take(fetched("a", told), start);
            let at = |seconds| start + Duration::from_secs(seconds);
            assert_eq!(shown(held.known(at(kept - 1), None)).as_deref(), Some("a"), "{told:?}");
            assert_eq!(shown(held.known(at(kept), None)), None, "{told:?}");
        }
    }

    #[test]
    fn a_failed_renewal_is_remembered_and_what_is_left_of_the_old_token_is_used() {
        let (mut held, start) = (Held::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        held.take(fetched("a", Some(1199.0)), start);
        held.failed = Some((at(1140), Failure::new(Kind::Upstream, "no")));
        assert_eq!(shown(held.known(at(1141), None)).as_deref(), Some("a"), "it has not ended yet");
        assert_eq!(shown(held.known(at(1141), Some(1))).as_deref(), Some("no"), "it was refused");
        assert_eq!(shown(held.known(at(1145), None)), None, "five seconds later it is tried again");
    }

    #[test]
    fn whoever_was_refused_with_an_old_token_gets_the_new_one() {
        let (mut held, start) = (Held::default(), Instant::now());
        let old = held.take(fetched("a", None), start);
        held.take(fetched("b", None), start);
        assert_eq!(shown(held.known(start, Some(old.number))).as_deref(), Some("b"));
        assert!(!format!("{held:?}").contains("\"b\""), "a token is never shown");
    }
}
