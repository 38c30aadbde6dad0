//! What comes of a configuration and the environment.
//!
//! A configuration wins over a variable of one signal, that over a variable of all, and that over the default.

use std::path::PathBuf;
use std::time::Duration;

use opentelemetry_proto::tonic::resource::v1::Resource;

use super::environment::{Environment, SettingsError};
use super::{Compression, Endpoint, Headers, Protocol, Settings, resource};
use crate::content::Capture;
use crate::profile::Profile;
use crate::send::Signal;
use crate::spans::{Ratio, Sampler};

/// What is done, everything considered.
#[derive(Clone, Debug)]
pub(crate) struct Effective {
    /// Where each signal goes that is sent at all.
    pub(crate) destinations: Vec<(Signal, Destination)>,
    /// Who tells all this.
    pub(crate) resource: Resource,
    /// The editions of the conventions that are spoken: at least one.
    pub(crate) profiles: Vec<Profile>,
    /// Which traces are told.
    pub(crate) sampler: Sampler,
    /// Where content goes.
    pub(crate) capture: Capture,
    /// So many spans, or log records, are sent together at most.
    pub(crate) batch: usize,
    /// So long the first of them waits for others at most.
    pub(crate) batch_interval: Duration,
    /// How often metrics are sent.
    pub(crate) metrics_interval: Duration,
    /// Since when metrics count.
    pub(crate) temporality: Temporality,
    /// How many bytes may wait in memory.
    pub(crate) queue: u64,
    /// Where what does not fit there waits.
    pub(crate) spool: Option<Spooling>,
    /// How long it waits to try again.
    pub(crate) schedule: Schedule,
}

/// Where a signal goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// For HTTP the URL itself, for gRPC the server.
    pub(crate) endpoint: Endpoint,
    /// How it is spoken to.
    pub(crate) protocol: Protocol,
    /// What each request carries.
    pub(crate) headers: Headers,
    /// How long a request may take.
    pub(crate) timeout: Duration,
    /// How it is compressed.
    pub(crate) compression: Compression,
    /// Whom to trust, and who we are.
    pub(crate) files: Files,
}

/// Files of PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Files {
    /// Certificates to trust besides the system's.
    pub(crate) trusted: Option<PathBuf>,
    /// Our certificate, and its key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
}

/// Since when metrics count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Temporality {
    /// Since the start.
    #[default]
    Cumulative,
    /// Since they were last sent.
    Delta,
}

/// A directory, and its bounds.
#[derive(Clone, Debug)]
pub(crate) struct Spooling {
    pub(crate) directory: PathBuf,
    pub(crate) max_size: u64,
    pub(crate) max_age: Duration,
}

/// How long to wait before trying again: twice as long each time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(30) }
    }
}

impl Effective {
    /// Where this signal goes, if it is sent.
    pub(crate) fn destination(&self, signal: Signal) -> Option<&Destination> {
        self.destinations.iter().find(|(of, _)| *of == signal).map(|(_, destination)| destination)
    }
}

impl Settings {
    /// What is done by these settings, in the environment that `lookup` looks variables up in.
    ///
    /// # Errors
    /// Where a variable says what nobody can take, or the settings say what cannot be together.
    pub(crate) fn effective(
        &self,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Effective, SettingsError> {
        let env = Environment(lookup);
        Ok(Effective {
            destinations: self.destinations(env)?,
            resource: self.resource(env)?,
            profiles: self.semconv.clone().unwrap_or_else(|| vec![Profile::Latest, Profile::V1_41]),
            sampler: self.sampler(env)?,
            capture: self.capture(env)?,
            batch: or(
                self.batch.max_spans,
                || env.get("OTEL_BSP_MAX_EXPORT_BATCH_SIZE"),
                |v| v.count(),
                512,
            )?,
            batch_interval: or(
                self.batch.interval,
                || env.get("OTEL_BSP_SCHEDULE_DELAY"),
                |v| v.duration(),
                Duration::from_secs(5),
            )?,
            metrics_interval: or(
                self.metrics_interval,
                || env.get("OTEL_METRIC_EXPORT_INTERVAL"),
                |v| v.duration(),
                Duration::from_secs(60),
            )?,
            temporality: temporality(env)?,
            queue: self.queue.unwrap_or(16 << 20),
            spool: self.spooling(env),
            schedule: Schedule::default(),
        })
    }

    fn destinations(&self, env: Environment<'_>) -> Result<Vec<(Signal, Destination)>, SettingsError> {
        let disabled = match env.get("OTEL_SDK_DISABLED") {
            Some(found) => found.one_of(&[("true", true), ("false", false)], "true or false")?,
            None => false,
        };
        let mut destinations = Vec::new();
        for signal in Signal::ALL {
            if self.sends(signal, env)? && !disabled {
                destinations.push((signal, self.destination(signal, env)?));
            }
        }
        Ok(destinations)
    }

    fn sends(&self, signal: Signal, env: Environment<'_>) -> Result<bool, SettingsError> {
        let told = match signal {
            Signal::Traces => self.signals.traces,
            Signal::Logs => self.signals.logs,
            Signal::Metrics => self.signals.metrics,
        };
        let name = format!("OTEL_{}_EXPORTER", signal.variable());
        or(
            told,
            || env.get(&name),
            |found| found.one_of(&[("otlp", true), ("none", false)], "otlp or none"),
            true,
        )
    }

    fn destination(&self, signal: Signal, env: Environment<'_>) -> Result<Destination, SettingsError> {
        let variable = signal.variable();
        let protocol = or(
            self.protocol,
            || env.of(variable, "PROTOCOL"),
            |found| found.one_of(&PROTOCOLS, "http/protobuf, http/json or grpc"),
            Protocol::default(),
        )?;
        let headers = match (&self.headers, env.of(variable, "HEADERS")) {
            (Some(headers), _) => headers.clone(),
            (None, Some(found)) => Headers::parse(&found.text).map_err(|why| found.no_header(why))?,
            (None, None) => Headers::default(),
        };
        Ok(Destination {
            endpoint: self.endpoint(signal, protocol, env)?,
            protocol,
            headers,
            timeout: or(
                self.timeout,
                || env.of(variable, "TIMEOUT"),
                |found| found.duration(),
                Duration::from_secs(10),
            )?,
            compression: or(
                self.compression,
                || env.of(variable, "COMPRESSION"),
                |found| {
                    found.one_of(&[("gzip", Compression::Gzip), ("none", Compression::None)], "gzip or none")
                },
                Compression::default(),
            )?,
            files: self.files(variable, env)?,
        })
    }

    fn endpoint(
        &self,
        signal: Signal,
        protocol: Protocol,
        env: Environment<'_>,
    ) -> Result<Endpoint, SettingsError> {
        let own = match signal {
            Signal::Traces => &self.endpoints.traces,
            Signal::Logs => &self.endpoints.logs,
            Signal::Metrics => &self.endpoints.metrics,
        };
        if let Some(own) = own {
            return Ok(own.clone());
        }
        let insecure = match env.of(signal.variable(), "INSECURE") {
            Some(found) => found.one_of(&[("true", true), ("false", false)], "true or false")?,
            None => false,
        };
        if self.endpoint.is_none()
            && let Some(found) = env.of_signal(signal.variable(), "ENDPOINT")
        {
            return Endpoint::parse_for(&found.text, protocol, insecure)
                .map_err(|why| found.no_endpoint(why));
        }
        let base = match (&self.endpoint, env.of_all("ENDPOINT")) {
            (Some(base), _) => base.clone(),
            (None, Some(found)) => {
                Endpoint::parse_for(&found.text, protocol, insecure).map_err(|why| found.no_endpoint(why))?
            }
            (None, None) => Endpoint::local(protocol),
        };
        Ok(match protocol {
            Protocol::Grpc => base,
            Protocol::HttpProtobuf | Protocol::HttpJson => base.join(signal.path()).unwrap_or(base),
        })
    }

    fn files(&self, signal: &str, env: Environment<'_>) -> Result<Files, SettingsError> {
        let file = |told: &Option<PathBuf>, what| match told {
            Some(path) => Some(path.clone()),
            None => env.of(signal, what).map(|found| PathBuf::from(found.text)),
        };
        let trusted = file(&self.tls.ca_file, "CERTIFICATE");
        let certificate = file(&self.tls.client_certificate, "CLIENT_CERTIFICATE");
        let key = file(&self.tls.client_key, "CLIENT_KEY");
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(SettingsError::HalfIdentity),
        };
        Ok(Files { trusted, identity })
    }

    fn resource(&self, env: Environment<'_>) -> Result<Resource, SettingsError> {
        let mut attributes = resource::known();
        if let Some(found) = env.get("OTEL_RESOURCE_ATTRIBUTES") {
            attributes.extend(resource::parse(&found.text).map_err(|number| found.no_pair(number))?);
        }
        if let Some(found) = env.get("OTEL_SERVICE_NAME") {
            attributes.insert("service.name".to_owned(), found.text.as_str().into());
        }
        attributes.extend(self.resource.clone());
        if let Some(name) = &self.service_name {
            attributes.insert("service.name".to_owned(), name.as_str().into());
        }
        Ok(resource::resource(attributes))
    }

    fn capture(&self, env: Environment<'_>) -> Result<Capture, SettingsError> {
        const EXPECTED: &str = "NO_CONTENT, SPAN_ONLY, EVENT_ONLY or SPAN_AND_EVENT";
        or(
            self.content.capture,
            || env.get(Capture::VARIABLE),
            |found| found.one_of(&Capture::WORDS, EXPECTED),
            Capture::default(),
        )
    }

    fn sampler(&self, env: Environment<'_>) -> Result<Sampler, SettingsError> {
        if self.trace.sampler.is_some() {
            return Ok(Sampler::of(&self.trace, Sampler::default()));
        }
        let ratio = self.trace.sampler_arg.map(Ratio::get);
        sampler(env, ratio)
    }

    fn spooling(&self, env: Environment<'_>) -> Option<Spooling> {
        if !self.spool.enabled {
            return None;
        }
        let directory = match &self.spool.directory {
            Some(directory) => directory.clone(),
            None => {
                let state = env.get("XDG_STATE_HOME").map(|found| PathBuf::from(found.text));
                let state = state.filter(|path| path.is_absolute());
                let state = match (state, env.get("HOME")) {
                    (Some(state), _) => state,
                    (None, Some(home)) => PathBuf::from(home.text).join(".local/state"),
                    (None, None) => return None,
                };
                state.join("perimeter/otlp")
            }
        };
        let (max_size, max_age) = (self.spool.max_size, self.spool.max_age);
        Some(Spooling { directory, max_size, max_age })
    }
}

const PROTOCOLS: [(&str, Protocol); 3] =
    [("http/protobuf", Protocol::HttpProtobuf), ("http/json", Protocol::HttpJson), ("grpc", Protocol::Grpc)];

/// What a configuration told, else what the environment says, else the default.
fn or<T, F>(
    told: Option<T>,
    found: impl FnOnce() -> Option<F>,
    read: impl FnOnce(F) -> Result<T, SettingsError>,
    default: T,
) -> Result<T, SettingsError> {
    match told {
        Some(told) => Ok(told),
        None => found().map_or(Ok(default), read),
    }
}

fn temporality(env: Environment<'_>) -> Result<Temporality, SettingsError> {
    // Counters and histograms, and there is nothing else here, are told since the last time with `lowmemory` too.
    const WORDS: [(&str, Temporality); 3] = [
        ("cumulative", Temporality::Cumulative),
        ("delta", Temporality::Delta),
        ("lowmemory", Temporality::Delta),
    ];
    match env.of_all("METRICS_TEMPORALITY_PREFERENCE") {
        Some(found) => found.one_of(&WORDS, "cumulative, delta or lowmemory"),
        None => Ok(Temporality::default()),
    }
}

fn sampler(env: Environment<'_>, told: Option<f64>) -> Result<Sampler, SettingsError> {
    /// Whether it is parent-based, and its ratio; `None`: the argument.
    const WORDS: [(&str, (bool, Option<f64>)); 6] = [
        ("always_on", (false, Some(1.0))),
        ("always_off", (false, Some(0.0))),
        ("traceidratio", (false, None)),
        ("parentbased_always_on", (true, Some(1.0))),
        ("parentbased_always_off", (true, Some(0.0))),
        ("parentbased_traceidratio", (true, None)),
    ];
    const EXPECTED: &str = "always_on, always_off, traceidratio, or one of these behind parentbased_";
    let Some(found) = env.get("OTEL_TRACES_SAMPLER") else { return Ok(Sampler::default()) };
    let (parent_based, ratio) = found.one_of(&WORDS, EXPECTED)?;
    let ratio = or(ratio.or(told), || env.get("OTEL_TRACES_SAMPLER_ARG"), |found| found.ratio(), 1.0)?;
    Ok(Sampler { parent_based, ratio })
}
