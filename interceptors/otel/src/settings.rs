//! What a configuration may say, and the environment.
//!
//! A configuration says a part of it ([`Settings`]), the standard environment variables another, and the rest has
//! defaults; `Effective` is what comes of them.

use std::path::PathBuf;
use std::time::Duration;

use perimeter_settings::{duration, path, size};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::profile::Profile;

mod effective;
mod endpoint;
mod environment;
mod headers;
mod resource;
#[cfg(test)]
mod tests;

pub(crate) use effective::{Destination, Effective, Files, Schedule, Spooling, Temporality};
pub(crate) use endpoint::Endpoint;
pub use environment::SettingsError;
pub(crate) use headers::Headers;
pub(crate) use resource::Attribute;

/// The settings of a [`TraceExporter`](crate::TraceExporter). What is unset comes from the environment
/// (`OTEL_EXPORTER_OTLP_ENDPOINT` and its like), else has its default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(remote = "Self", default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// Where the backend is; `/v1/traces` and its like are appended. By default `http://localhost:4318`, for `grpc`
    /// `http://localhost:4317`.
    #[serde(deserialize_with = "endpoint::some_base")]
    pub(crate) endpoint: Option<Endpoint>,
    /// Where a signal has another endpoint: used as it is.
    pub(crate) endpoints: Endpoints,
    /// How it is spoken to. By default `http/protobuf`.
    pub(crate) protocol: Option<Protocol>,
    /// Headers of each request, for `grpc` its metadata: access keys mostly.
    pub(crate) headers: Option<Headers>,
    /// How long one request may take. By default 10 s.
    #[serde(deserialize_with = "duration::some_positive")]
    pub(crate) timeout: Option<Duration>,
    /// How requests are compressed. By default `gzip`.
    pub(crate) compression: Option<Compression>,
    /// Whom to trust, and who we are.
    pub(crate) tls: Tls,
    /// What is sent. By default everything.
    pub(crate) signals: Signals,
    /// Which editions of the conventions are spoken. By default both.
    #[serde(deserialize_with = "some_profiles")]
    pub(crate) semconv: Option<Vec<Profile>>,
    /// Attributes of the resource: of this proxy.
    #[serde(deserialize_with = "resource::attributes")]
    pub(crate) resource: std::collections::BTreeMap<String, Attribute>,
    /// `service.name`. By default `perimeter`.
    pub(crate) service_name: Option<String>,
    /// How much is sent together.
    pub(crate) batch: Batching,
    /// How often metrics are sent. By default every 60 s.
    #[serde(deserialize_with = "duration::some_positive")]
    pub(crate) metrics_interval: Option<Duration>,
    /// How many bytes may wait in memory. By default 16 MiB.
    #[serde(deserialize_with = "size::some")]
    pub(crate) queue: Option<u64>,
    /// What does not fit there.
    pub(crate) spool: Spool,
    /// Which spans there are.
    pub(crate) trace: crate::spans::Settings,
    /// What is told of what is said.
    pub(crate) content: crate::content::Settings,
}

/// What can be said of single keys alone is said by `remote`, and here what only some of them together make wrong, so that
/// the place in the file is told.
impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let settings = Self::deserialize(deserializer)?;
        if settings.protocol == Some(Protocol::Grpc) && settings.has_path() {
            let why = "gRPC takes no path: expected an endpoint such as http://localhost:4317, or protocol: http/protobuf";
            return Err(D::Error::custom(why));
        }
        Ok(settings)
    }
}

impl Settings {
    fn has_path(&self) -> bool {
        let Endpoints { traces, logs, metrics } = &self.endpoints;
        [&self.endpoint, traces, logs, metrics].into_iter().flatten().any(Endpoint::has_path)
    }
}

/// Endpoints of single signals.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Endpoints {
    /// Of spans.
    pub(crate) traces: Option<Endpoint>,
    /// Of log records.
    pub(crate) logs: Option<Endpoint>,
    /// Of metrics.
    pub(crate) metrics: Option<Endpoint>,
}

/// What is sent; unset: as the environment says (`OTEL_TRACES_EXPORTER` and its like), else it is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Signals {
    /// Spans.
    pub(crate) traces: Option<bool>,
    /// Log records.
    pub(crate) logs: Option<bool>,
    /// Metrics.
    pub(crate) metrics: Option<bool>,
}

/// How a backend is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum Protocol {
    /// OTLP over HTTP, in Protobuf.
    #[default]
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
    /// OTLP over HTTP, in JSON.
    #[serde(rename = "http/json")]
    HttpJson,
    /// OTLP over gRPC.
    #[serde(rename = "grpc")]
    Grpc,
}

/// How requests are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compression {
    /// By gzip.
    #[default]
    Gzip,
    /// Not at all.
    None,
}

/// Files of PEM. A path may begin with `~/`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tls {
    /// Certificates to trust besides the system's.
    #[serde(deserialize_with = "path::some")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Our certificate, where the backend asks for one, and those it is signed by.
    #[serde(deserialize_with = "path::some")]
    pub(crate) client_certificate: Option<PathBuf>,
    /// Its key.
    #[serde(deserialize_with = "path::some")]
    pub(crate) client_key: Option<PathBuf>,
}

/// How much is sent together.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Batching {
    /// So many spans, or log records, at most. By default 512.
    #[serde(deserialize_with = "some_count")]
    pub(crate) max_spans: Option<usize>,
    /// So long the first one waits for others at most. By default 5 s.
    #[serde(deserialize_with = "duration::some_positive")]
    pub(crate) interval: Option<Duration>,
}

/// What does not fit into memory, or is left over when the proxy stops, waits here.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Spool {
    /// Whether it does; else it is lost, and counted.
    pub(crate) enabled: bool,
    /// The directory; made when it is needed. By default `otlp` in `$XDG_STATE_HOME/perimeter`, else in
    /// `~/.local/state/perimeter`. A path may begin with `~/`.
    #[serde(deserialize_with = "path::some")]
    pub(crate) directory: Option<PathBuf>,
    /// How many bytes it may hold; beyond that the oldest are lost.
    #[serde(deserialize_with = "size::deserialize")]
    pub(crate) max_size: u64,
    /// What is older is not sent any more.
    #[serde(deserialize_with = "duration::positive")]
    pub(crate) max_age: Duration,
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            enabled: true,
            directory: None,
            max_size: 256 << 20,
            max_age: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

/// Editions of the conventions, unless the key is left empty.
fn some_profiles<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Profile>>, D::Error> {
    match Option::<Vec<Profile>>::deserialize(deserializer)? {
        Some(none) if none.is_empty() => Err(D::Error::custom("expected at least one of latest and v1_41")),
        profiles => Ok(profiles),
    }
}

/// A number from 1 on, unless the key is left empty.
fn some_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    match Option::<usize>::deserialize(deserializer)? {
        Some(0) => Err(D::Error::custom("expected a number from 1 on")),
        count => Ok(count),
    }
}
