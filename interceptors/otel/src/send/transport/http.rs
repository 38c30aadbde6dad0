//! OTLP over HTTP/1.1, in Protobuf or JSON.

use std::io::{Read, Write};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use ureq::Agent;
use ureq::tls::{ClientCert, RootCerts, TlsConfig};

use super::words::Words;
use super::{Answer, EncodeError, Retry, TlsError, tls};
use crate::send::{Batch, Signal};
use crate::settings::{Compression, Destination, Protocol};

/// How much of an answer is read.
const MOST_ANSWER: u64 = 64 << 10;

#[derive(Debug)]
pub(crate) struct Http {
    agent: Agent,
    uri: Uri,
    backend: String,
    headers: HeaderMap,
    json: bool,
    gzip: bool,
    words: Words,
}

impl Http {
    pub(super) fn new(_: Signal, destination: &Destination) -> Result<Self, TlsError> {
        let json = destination.protocol == Protocol::HttpJson;
        let gzip = destination.compression == Compression::Gzip;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(destination.timeout))
            .max_idle_connections(1);
        // The proxy of the environment is for what is beyond this machine, whatever NO_PROXY says.
        let config = if destination.endpoint.is_local() { config.proxy(None) } else { config };
        let config = match destination.endpoint.is_secure() {
            true => config.tls_config(tls_config(destination)?),
            false => config,
        };
        Ok(Self {
            agent: config.build().new_agent(),
            uri: destination.endpoint.uri().clone(),
            backend: destination.endpoint.to_string(),
            headers: headers(destination.headers.map(), json, gzip),
            json,
            gzip,
            words: Words::new(destination.headers.map()),
        })
    }

    pub(super) fn encode(&self, batch: &Batch) -> Result<Bytes, EncodeError> {
        let body = if self.json { Bytes::from(batch.json()?) } else { batch.body.clone() };
        if !self.gzip {
            return Ok(body);
        }
        let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&body)?;
        Ok(gzip.finish()?.into())
    }

    pub(super) fn send(&self, body: &Bytes) -> Answer {
        let mut request = self.agent.post(self.uri.clone());
        if let Some(headers) = request.headers_mut() {
            headers.extend(self.headers.clone());
        }
        match request.send(&body[..]) {
            Ok(mut response) => {
                let (status, headers) = (response.status(), response.headers().clone());
                let mut said = Vec::new();
                // What was taken was taken, also where the answer breaks off.
                let _ = response.body_mut().as_reader().take(MOST_ANSWER).read_to_end(&mut said);
                self.answer(status, &headers, &said)
            }
            Err(error) => Answer::away(self.words.clean(&error.to_string())),
        }
    }

    pub(super) fn backend(&self) -> &str {
        &self.backend
    }

    /// As OTLP has it: these four statuses may be tried again, no others.
    fn answer(&self, status: StatusCode, headers: &HeaderMap, said: &[u8]) -> Answer {
        if status.is_success() && is_page(headers) {
            let message = "it answered with a web page: is this where it takes OTLP?".to_owned();
            return Answer::Taken { rejected: 0, message: Some(message) };
        }
        if status.is_success() {
            return if self.json { self.words.taken_json(said) } else { self.words.taken_protobuf(said) };
        }
        let why = match self.words.error(said) {
            empty if empty.is_empty() => format!("status {}", status.as_u16()),
            said => format!("status {}: {said}", status.as_u16()),
        };
        match status.as_u16() {
            429 | 502 | 503 | 504 => Answer::Retry(Retry {
                why,
                after: headers.get(RETRY_AFTER).and_then(retry_after),
                away: false,
            }),
            413 => Answer::TooLarge(why),
            _ => Answer::Refused(why),
        }
    }
}

fn headers(own: &HeaderMap, json: bool, gzip: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let user_agent = concat!("perimeter/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(user_agent));
    headers.extend(own.clone());
    let content_type = if json { "application/json" } else { "application/x-protobuf" };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers
}

/// Whether what came is for people, as a login is, or whatever else is at a wrong address.
fn is_page(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// Seconds, or a date.
fn retry_after(value: &HeaderValue) -> Option<Duration> {
    let value = value.to_str().ok()?.trim();
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(SystemTime::now()).ok(),
    }
}

fn tls_config(destination: &Destination) -> Result<TlsConfig, TlsError> {
    let tls = tls::Tls::load(&destination.files)?;
    let roots = match tls.roots.is_empty() {
        true => RootCerts::WebPki,
        false => tls
            .roots
            .iter()
            .map(|der| ureq::tls::Certificate::from_der(der).to_owned())
            .collect::<Vec<_>>()
            .into(),
    };
    let client = tls.identity.as_ref().map(|identity| identity.for_ureq()).transpose()?;
    let config = TlsConfig::builder().root_certs(roots);
    Ok(config.client_cert(client.map(|(chain, key)| ClientCert::new_with_certs(&chain, key))).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_asked_for_in_seconds_or_until_a_date() {
        let after = |text: &str| retry_after(&HeaderValue::from_str(text).unwrap());
        assert_eq!(after("120"), Some(Duration::from_secs(120)));
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(1000));
        assert!(after(&date).is_some_and(|after| after > Duration::from_secs(900)));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), None);
        assert_eq!(after("soon"), None);
    }
}
