//! What a configuration may say, and the environment.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use perimeter_settings::{duration, size};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use ureq::http::Uri;

/// Where the access key is, unless the configuration says it.
const KEY: &str = "CYLESTIO_ACCESS_KEY";
/// Where the address of the issuer of tokens is, unless the configuration says it.
const ISSUER: &str = "DESCOPE_BASE_URI";
const DESCOPE: &str = "https://api.descope.com";

/// The settings of a [`CylestioTrace`](crate::CylestioTrace).
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// The platform, without `/` at its end.
    #[serde(deserialize_with = "url")]
    pub api_url: String,
    /// The key that a token is given for; else `CYLESTIO_ACCESS_KEY` of the environment.
    pub access_key: Option<Secret>,
    /// Who gives the token, without `/` at its end; else `DESCOPE_BASE_URI` of the environment; else Descope.
    #[serde(deserialize_with = "some_url")]
    pub descope_base_url: Option<String>,
    /// How long a request may take, from the name's look-up to the last byte of the answer.
    #[serde(deserialize_with = "duration::positive")]
    pub timeout: Duration,
    /// How many bytes may wait to be sent. Events that there is no room for are lost, and counted.
    #[serde(deserialize_with = "room")]
    pub queue: u64,
    /// Whether secrets in events are replaced by `[REDACTED]`.
    pub redact_credentials: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            api_url: "https://api.cylestio.com".to_owned(),
            access_key: None,
            descope_base_url: None,
            timeout: Duration::from_secs(10),
            queue: 32 << 20,
            redact_credentials: true,
        }
    }
}

/// Why there is no beginning.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// Nobody said the access key.
    #[error(
        "there is no access key: set access_key in its config, or CYLESTIO_ACCESS_KEY in the environment"
    )]
    NoKey,
    /// The environment says one that cannot be.
    #[error("CYLESTIO_ACCESS_KEY in the environment is none: {UNFIT}")]
    Key,
    /// The environment says an address that cannot be.
    #[error("DESCOPE_BASE_URI in the environment is none: expected {URL}")]
    Issuer,
}

impl Settings {
    /// The same with what the environment says where the configuration says nothing.
    pub(crate) fn with(mut self, env: impl Fn(&str) -> Option<String>) -> Result<Self, StartError> {
        let env = |name| env(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        if self.access_key.is_none() {
            let key = env(KEY).ok_or(StartError::NoKey)?;
            self.access_key = Some(Secret::new(key).ok_or(StartError::Key)?);
        }
        if self.descope_base_url.is_none() {
            let issuer = env(ISSUER).unwrap_or_else(|| DESCOPE.to_owned());
            self.descope_base_url = Some(base(&issuer).ok_or(StartError::Issuer)?);
        }
        Ok(self)
    }
}

impl Settings {
    /// Says where the key or the events go through a network that can read them.
    pub(crate) fn warn_of_plain_text(&self) {
        for (setting, url) in
            [("api_url", Some(&self.api_url)), ("descope_base_url", self.descope_base_url.as_ref())]
        {
            if let Some(url) = url.filter(|url| is_plain_text(url)) {
                tracing::warn!(url, "{setting} is not https: whoever is in between reads keys and events");
            }
        }
    }
}

/// Whether what is sent to this address can be read on its way.
fn is_plain_text(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    uri.scheme_str() == Some("http") && !is_here
}

const UNFIT: &str =
    "an access key holds visible ASCII characters only: no blanks, no line ends, and not nothing";

/// A key or a token. `Debug` does not tell it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// One that can stand in a header.
    pub(crate) fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let is_fit = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_fit.then_some(Self(text))
    }

    /// For the header that it stands in.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(text.trim()).ok_or_else(|| D::Error::custom(UNFIT))
    }
}

const URL: &str =
    "an address such as https://api.cylestio.com: http or https, a host, no user, no query and no fragment";

/// The address without `/` at its end; none where it is no such address.
fn base(text: &str) -> Option<String> {
    let text = text.trim();
    let uri: Uri = text.parse().ok()?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let is_plain = !text.contains(['@', '?', '#']);
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    (is_http && is_plain && has_host).then(|| text.trim_end_matches('/').to_owned())
}

fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    base(&String::deserialize(deserializer)?).ok_or_else(|| D::Error::custom(format_args!("expected {URL}")))
}

fn some_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    base(&text).map(Some).ok_or_else(|| D::Error::custom(format_args!("expected {URL}")))
}

fn room<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match size::deserialize(deserializer)? {
        0 => Err(D::Error::custom("expected a size that an event has room in, such as 32MiB")),
        bytes => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(json: Value) -> Result<Settings, String> {
        serde_json::from_value(json).map_err(|error| error.to_string())
    }

    fn nothing(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn nothing_but_the_key_has_to_be_said() {
        let settings = read(json!({"access_key": "K"})).unwrap().with(nothing).unwrap();
        assert_eq!(settings.api_url, "https://api.cylestio.com");
        assert_eq!(settings.descope_base_url.as_deref(), Some("https://api.descope.com"));
        assert_eq!((settings.timeout.as_secs(), settings.redact_credentials), (10, true));
    }

    #[test]
    fn the_environment_says_what_the_configuration_does_not() {
        let env = |name: &str| Some(format!(" https://{}/\n", name.to_lowercase()));
        let bare = read(json!({"access_key": null})).unwrap().with(env).unwrap();
        assert_eq!(bare.access_key.unwrap().reveal(), "https://cylestio_access_key/");
        assert_eq!(bare.descope_base_url.as_deref(), Some("https://descope_base_uri"));
        let said = json!({"access_key": "K", "descope_base_url": "http://localhost:1/x//"});
        let said = read(said).unwrap().with(env).unwrap();
        assert_eq!(said.access_key.unwrap().reveal(), "K");
        assert_eq!(said.descope_base_url.as_deref(), Some("http://localhost:1/x"));
    }

    #[test]
    fn without_a_key_there_is_no_beginning_and_it_says_what_to_do() {
        let error = read(json!({})).unwrap().with(nothing).unwrap_err();
        assert_eq!(error, StartError::NoKey);
        assert!(error.to_string().contains("access_key") && error.to_string().contains(KEY));
        let empty = |_: &str| Some(" ".to_owned());
        assert_eq!(read(json!({})).unwrap().with(empty).unwrap_err(), StartError::NoKey);
        let unfit = |_: &str| Some("two words".to_owned());
        assert_eq!(read(json!({})).unwrap().with(unfit).unwrap_err(), StartError::Key);
        let lost = |_: &str| Some("nowhere".to_owned());
        assert_eq!(read(json!({"access_key": "K"})).unwrap().with(lost).unwrap_err(), StartError::Issuer);
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_can() {
        for url in
            ["api.cylestio.com", "ftp://x", "https://u:p@x", "https://x?a=b", "https://", "https://x#y"]
        {
            let error = read(json!({"api_url": url})).unwrap_err();
            assert!(error.contains("https://api.cylestio.com"), "{error}");
            assert!(read(json!({"descope_base_url": url})).unwrap_err().contains("http or https"), "{url}");
        }
        for timeout in [json!(0), json!("soon")] {
            assert!(read(json!({"timeout": timeout})).unwrap_err().contains("expected a duration"));
        }
        assert!(read(json!({"queue": 0})).unwrap_err().contains("32MiB"));
        for key in ["", "two words", "line\nend"] {
            let error = read(json!({"access_key": key})).unwrap_err();
            assert!(error.contains("visible ASCII") && (key.is_empty() || !error.contains(key)), "{error}");
        }
        assert!(read(json!({"acces_key": "K"})).unwrap_err().contains("acces_key"));
    }

    #[test]
    fn what_leaves_this_machine_in_plain_text_is_known() {
        for read in [
            "http://api.cylestio.com",
            "HTTP://10.0.0.1:80/x",
            "http://[2001:db8::1]",
            "http://localhost.example",
        ] {
            assert!(is_plain_text(read), "{read}");
        }
        for safe in ["https://api.cylestio.com", "http://localhost:1", "http://127.0.0.2", "http://[::1]:8"] {
            assert!(!is_plain_text(safe), "{safe}");
        }
    }

    #[test]
    fn a_secret_is_not_told() {
        let settings = read(json!({"access_key": "SECRET"})).unwrap();
        assert!(!format!("{settings:?}").contains("SECRET"));
    }
}
