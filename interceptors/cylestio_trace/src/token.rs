//! The token that the platform wants to see, and who gives it for the access key: Descope.
//!
//! Of the token only its lifetime is read. Nobody here verifies its signature: it came over TLS from who gives it, it is
//! shown to nobody but the platform, which verifies it, and a wrong lifetime costs no more than a token fetched anew.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use ureq::Agent;

use crate::delivery::Loss;
use crate::platform::{self, Answer};
use crate::settings::Secret;

/// Cylestio's project at Descope.
const PROJECT: &str = "P2zF0Fh3eZsfOBM2cqh03EPfa6G4";
/// So long before its end a token is not shown any more.
const EARLY: Duration = Duration::from_secs(30);

/// What is shown to the platform.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) jwt: Secret,
    /// When another one is due; never, where it does not say when it ends.
    renew: Option<Instant>,
}

impl Token {
    /// A token that was asked for at this time.
    fn new(jwt: Secret, asked: Instant, now: SystemTime) -> Self {
        let lifetime = lifetime(jwt.reveal(), now);
        let renew = lifetime.and_then(|lifetime| asked.checked_add(lifetime.saturating_sub(EARLY)));
        Self { jwt, renew }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.renew.is_some_and(|renew| now >= renew)
    }
}

/// How long a JSON Web Token is good for, as it says: counted by the clock of who gave it where it says when that was, so
/// that ours may be wrong.
fn lifetime(jwt: &str, now: SystemTime) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
        iat: Option<f64>,
    }
    let claims = BASE64_URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    let Claims { exp, iat } = serde_json::from_slice(&claims).ok()?;
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    Duration::try_from_secs_f64((exp - iat.unwrap_or(now)).max(0.0)).ok()
}

/// Why there is no token.
#[derive(Clone, Debug)]
pub(crate) enum NoToken {
    /// The issuer cannot be reached, or has no time now.
    Later(Loss, Option<Duration>),
    /// It gives none for this key.
    Never(Loss),
}

/// Gives tokens, one for all.
pub(crate) struct Issuer {
    agent: Agent,
    url: String,
    key: Secret,
    /// How long after a refusal it is not asked again.
    pause: Duration,
    held: Mutex<Held>,
    /// How often it was asked.
    asked: AtomicU64,
}

#[derive(Default)]
struct Held {
    token: Option<Arc<Token>>,
    /// Why there was none the last time, and when that was.
    failed: Option<(Instant, NoToken)>,
}

impl Issuer {
    pub(crate) fn new(agent: Agent, base: &str, key: Secret, pause: Duration) -> Self {
        let url = format!("{base}/v1/auth/accesskey/exchange");
        Self { agent, url, key, pause, held: Mutex::default(), asked: AtomicU64::new(0) }
    }

    /// A token other than the `refused` one.
    ///
    /// Whoever comes while it is being fetched waits for it, and shares what comes of that.
    pub(crate) fn token(&self, refused: Option<&Arc<Token>>) -> Result<Arc<Token>, NoToken> {
        let asked = self.asked.load(SeqCst);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good = |token: &&Arc<Token>| {
            !token.is_due(Instant::now()) && refused.is_none_or(|refused| !Arc::ptr_eq(refused, token))
        };
        if let Some(token) = held.token.as_ref().filter(is_good) {
            return Ok(Arc::clone(token));
        }
        if let Some((at, why)) = &held.failed {
            let is_shared = self.asked.load(SeqCst) != asked;
            if is_shared || matches!(why, NoToken::Never(_)) && at.elapsed() < self.pause {
                return Err(why.clone());
            }
        }
        let exchanged = self.exchange();
        self.asked.fetch_add(1, SeqCst);
        match exchanged {
            Ok(token) => {
                let token = Arc::new(token);
                *held = Held { token: Some(Arc::clone(&token)), failed: None };
                Ok(token)
            }
            Err(why) => {
                *held = Held { token: None, failed: Some((Instant::now(), why.clone())) };
                Err(why)
            }
        }
    }

    fn exchange(&self) -> Result<Token, NoToken> {
        let asked = Instant::now();
        let request = self
            .agent
            .post(&self.url)
            .header("Authorization", format!("Bearer {PROJECT}:{}", self.key.reveal()))
            .header("Content-Type", "application/json")
            .header("x-descope-sdk-name", "perimeter")
            .header("x-descope-sdk-version", env!("CARGO_PKG_VERSION"))
            .header("x-descope-project-id", PROJECT);
        match platform::answer(request.send(r#"{"loginOptions": {}}"#)) {
            Answer::Taken(body) => match session_jwt(&body) {
                Some(jwt) => Ok(Token::new(jwt, asked, SystemTime::now())),
                None => Err(NoToken::Never(Loss::Unreadable)),
            },
            // Not the key's fault.
            Answer::Refused(status @ 500..) => Err(NoToken::Later(Loss::IssuerBusy(status), None)),
            Answer::Unauthorized(status) | Answer::Refused(status) => {
                Err(NoToken::Never(Loss::KeyRefused(status)))
            }
            Answer::Busy(status, after) => Err(NoToken::Later(Loss::IssuerBusy(status), after)),
            Answer::Away(why) => Err(NoToken::Later(Loss::IssuerAway(why), None)),
        }
    }
}

fn session_jwt(body: &str) -> Option<Secret> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Exchanged {
        session_jwt: String,
    }
    Secret::new(serde_json::from_str::<Exchanged>(body).ok()?.session_jwt)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn jwt(claims: &str) -> Secret {
        Secret::new(format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims))).unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_is_due_thirty_seconds_before_its_end() {
        let asked = Instant::now();
        let token = Token::new(jwt(r#"{"exp": 1600, "sub": "K"}"#), asked, at(1000));
        assert!(!token.is_due(asked + Duration::from_millis(569_999)));
        assert!(token.is_due(asked + Duration::from_secs(570)));
    }

    #[test]
    fn a_token_of_less_than_thirty_seconds_is_due_at_once() {
        let asked = Instant::now();
        assert!(Token::new(jwt(r#"{"exp": 1029, "iat": 1000}"#), asked, at(1000)).is_due(asked));
        assert!(Token::new(jwt(r#"{"exp": 900}"#), asked, at(1000)).is_due(asked));
    }

    #[test]
    fn a_wrong_clock_changes_no_lifetime() {
        let told = jwt(r#"{"iat": 1000, "exp": 1600.5}"#);
        for now in [0, 1000, 1_000_000] {
            assert_eq!(lifetime(told.reveal(), at(now)), Some(Duration::from_millis(600_500)));
        }
    }

    #[test]
    fn a_token_that_does_not_say_its_end_is_shown_until_it_is_refused() {
        let late = Instant::now() + Duration::from_secs(1 << 30);
        for text in ["opaque", "a.b", "a.!!.c", "..", "e30.e30.e30"] {
            let token = Token::new(Secret::new(text).unwrap(), Instant::now(), at(0));
            assert!(!token.is_due(late), "{text}");
        }
        assert!(!Token::new(jwt(r#"{"exp": 1e300}"#), Instant::now(), at(0)).is_due(late));
    }

    #[test]
    fn a_token_is_not_told() {
        let token = Token::new(Secret::new("SECRET").unwrap(), Instant::now(), at(0));
        assert!(!format!("{token:?}").contains("SECRET"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_harm(text in ".{0,200}", claims in ".{0,100}", seconds in any::<u64>()) {
            let _ = lifetime(&text, at(seconds >> 8));
            let _ = session_jwt(&text);
            let _ = lifetime(jwt(&claims).reveal(), at(seconds >> 8));
        }
    }
}
