//! The variables that OpenTelemetry's specification names.

use std::time::Duration;

use super::endpoint::NoEndpoint;
use super::headers::NoHeader;

/// Why there is nothing to be made of the settings and the environment. No secret is in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A variable says what nobody can take.
    #[error("environment variable {name}: {found:?}: expected {expected}")]
    Variable {
        /// Which.
        name: String,
        /// What it says.
        found: String,
        /// What it might have said.
        expected: &'static str,
    },
    /// A variable holds no endpoint.
    #[error("environment variable {name}: {why}")]
    Endpoint {
        /// Which.
        name: String,
        /// Why not.
        why: String,
    },
    /// A variable holds no pairs.
    #[error("environment variable {name}: {why}")]
    Pairs {
        /// Which.
        name: String,
        /// Why not.
        why: String,
    },
    /// One of a certificate and its key is missing.
    #[error("tls: client_certificate and client_key belong together; set both or neither")]
    HalfIdentity,
}

/// The environment, by a function that looks a variable up. An empty variable is as good as none.
#[derive(Clone, Copy)]
pub(super) struct Environment<'a>(pub(super) &'a dyn Fn(&str) -> Option<String>);

/// A variable that is set.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) text: String,
}

impl Found {
    fn refused(self, expected: &'static str) -> SettingsError {
        SettingsError::Variable { name: self.name, found: self.text, expected }
    }

    pub(super) fn no_endpoint(self, why: NoEndpoint) -> SettingsError {
        SettingsError::Endpoint { name: self.name, why: why.to_string() }
    }

    pub(super) fn no_header(self, why: NoHeader) -> SettingsError {
        SettingsError::Pairs { name: self.name, why: why.to_string() }
    }

    pub(super) fn no_pair(self, number: usize) -> SettingsError {
        let why = format!("pair {number}: expected key=value, separated by commas, percent-encoded");
        SettingsError::Pairs { name: self.name, why }
    }

    /// One of these words.
    pub(super) fn one_of<T: Copy>(
        self,
        words: &[(&str, T)],
        expected: &'static str,
    ) -> Result<T, SettingsError> {
        let text = self.text.to_ascii_lowercase();
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, meant)) => Ok(*meant),
            None => Err(self.refused(expected)),
        }
    }

    /// Milliseconds.
    pub(super) fn duration(self) -> Result<Duration, SettingsError> {
        // As in a configuration, nobody waits a year.
        match self.text.parse() {
            Ok(millis) if (1..=31_536_000_000).contains(&millis) => Ok(Duration::from_millis(millis)),
            _ => Err(self.refused("a number of milliseconds, such as 10000")),
        }
    }

    pub(super) fn count(self) -> Result<usize, SettingsError> {
        match self.text.parse() {
            Ok(count) if count > 0 => Ok(count),
            _ => Err(self.refused("a number from 1 on")),
        }
    }

    pub(super) fn ratio(self) -> Result<f64, SettingsError> {
        match self.text.parse() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
            _ => Err(self.refused("a share from 0 to 1, such as 0.25")),
        }
    }
}

impl Environment<'_> {
    /// The variable of this name.
    pub(super) fn get(self, name: &str) -> Option<Found> {
        let text = (self.0)(name)?.trim().to_owned();
        (!text.is_empty()).then(|| Found { name: name.to_owned(), text })
    }

    /// `OTEL_EXPORTER_OTLP_<signal>_<what>`.
    pub(super) fn of_signal(self, signal: &str, what: &str) -> Option<Found> {
        self.get(&format!("OTEL_EXPORTER_OTLP_{signal}_{what}"))
    }

    /// `OTEL_EXPORTER_OTLP_<what>`.
    pub(super) fn of_all(self, what: &str) -> Option<Found> {
        self.get(&format!("OTEL_EXPORTER_OTLP_{what}"))
    }

    /// That of the signal, else that of all.
    pub(super) fn of(self, signal: &str, what: &str) -> Option<Found> {
        self.of_signal(signal, what).or_else(|| self.of_all(what))
    }
}
