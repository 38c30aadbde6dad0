//! Requests to the platform, and what their answers mean.

use std::time::{Duration, SystemTime};

use ureq::http::{HeaderMap, Response, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::settings::Settings;
use crate::token::Token;

/// As the predecessor named itself.
const USER_AGENT: &str = "cylestio-perimeter/1.0";
/// So many posts go on at once.
pub(crate) const AT_ONCE: usize = 10;
/// As much of an answer is read, bytes. Beyond it a connection is not used again.
const ANSWER: u64 = 64 << 10;
/// Longer than this nobody waits, whatever `Retry-After` says.
const LONGEST: Duration = Duration::from_secs(300);

/// What came of a request.
pub(crate) enum Answer {
    /// 2xx, and what it said.
    Taken(String),
    /// 401 or 403.
    Unauthorized(u16),
    /// 429, 502, 503 or 504: it may be taken after a while, as told where it was told.
    Busy(u16, Option<Duration>),
    /// It never will be.
    Refused(u16),
    /// None came, or not in time.
    Away(String),
}

/// What the answer to a request means.
pub(crate) fn answer(got: Result<Response<Body>, ureq::Error>) -> Answer {
    let mut response = match got {
        Ok(response) => response,
        Err(error) => return Answer::Away(error.to_string()),
    };
    let after = retry_after(response.headers(), SystemTime::now());
    let status = response.status().as_u16();
    // Read whatever it is: then the connection can be used again.
    let body = response.body_mut().with_config().limit(ANSWER).read_to_string();
    match status {
        200..=299 => Answer::Taken(body.unwrap_or_default()),
        401 | 403 => Answer::Unauthorized(status),
        429 | 502 | 503 | 504 => Answer::Busy(status, after),
        _ => Answer::Refused(status),
    }
}

/// `Retry-After` is a number of seconds or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = text.parse().ok().map(Duration::from_secs);
    let until = || httpdate::parse_http_date(text).ok()?.duration_since(now).ok();
    Some(seconds.or_else(until)?.min(LONGEST))
}

/// The way to the platform and to the issuer of tokens.
pub(crate) fn agent(settings: &Settings) -> Agent {
    let is_tls = |url: &str| url.starts_with("https:");
    let any_tls = is_tls(&settings.api_url) || settings.descope_base_url.as_deref().is_some_and(is_tls);
    let config = Agent::config_builder()
        .http_status_as_error(false)
        // Neither key nor token goes elsewhere.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(settings.timeout))
        .max_idle_connections_per_host(AT_ONCE)
        .user_agent(USER_AGENT);
    // The machine's own are read from files: not where nobody asks for them.
    let roots = if any_tls { roots() } else { RootCerts::WebPki };
    config.tls_config(TlsConfig::builder().root_certs(roots).build()).build().into()
}

/// Whom this machine trusts; where it has no list, as in a small container, Mozilla's.
fn roots() -> RootCerts {
    let found = rustls_native_certs::load_native_certs();
    if let Some(error) = found.errors.first() {
        tracing::warn!(%error, "certificates of this machine cannot be read");
    }
    if found.certs.is_empty() {
        return RootCerts::WebPki;
    }
    found.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect::<Vec<_>>().into()
}

/// Takes events.
pub(crate) struct Platform {
    agent: Agent,
    url: String,
}

impl Platform {
    pub(crate) fn new(agent: Agent, base: &str) -> Self {
        Self { agent, url: format!("{base}/v1/telemetry") }
    }

    /// Sends an event.
    pub(crate) fn post(&self, token: &Token, event: &str) -> Answer {
        let request = self
            .agent
            .post(&self.url)
            .header("Authorization", format!("Bearer {}", token.jwt.reveal()))
            .header("Content-Type", "application/json");
        answer(request.send(event))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(text: &str) -> Option<Duration> {
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, text.parse().ok()?)]);
        retry_after(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770))
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(told("7"), Some(Duration::from_secs(7)));
        assert_eq!(told("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(7)));
        assert_eq!(told("Sun, 06 Nov 1994 08:00:00 GMT"), None);
        assert_eq!(told("100000"), Some(LONGEST));
        assert_eq!(told("soon"), None);
    }

    proptest! {
        #[test]
        fn any_retry_after_is_read_without_harm(text in "[ -~]{0,60}") {
            prop_assert!(told(&text).is_none_or(|wait| wait <= LONGEST));
        }
    }
}
