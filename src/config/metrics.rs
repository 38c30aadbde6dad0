//! `metrics`: what the page `/metrics` shows.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// `metrics`: what the page `/metrics` shows.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Whether calls are read for the page alone, where no interceptor wants them read.
    pub calls: bool,
    /// By which names the metrics of OpenTelemetry's GenAI conventions are shown; by none, where it is empty.
    #[serde(deserialize_with = "each_once")]
    pub semconv: Vec<Semconv>,
    /// How many values each label may have.
    pub labels: Labels,
}

/// One of `metrics.semconv`: a state of the conventions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Semconv {
    /// Their repository of its own (`semantic-conventions-genai`).
    Latest,
    /// Version 1.41 of the conventions, which most backends read.
    V1_41,
}

/// `metrics.labels`: how many values of a label have lines of their own. Those beyond are told as `other`; a label with
/// none is left out.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Labels {
    /// The model that was asked for, besides those of the price table.
    #[serde(deserialize_with = "values")]
    pub model: usize,
    /// The model that answered, besides those of the price table.
    #[serde(deserialize_with = "values")]
    pub response_model: usize,
    /// The agent.
    #[serde(deserialize_with = "values")]
    pub agent: usize,
    /// The dialect.
    #[serde(deserialize_with = "values")]
    pub dialect: usize,
    /// The provider's word for an error.
    #[serde(deserialize_with = "values")]
    pub error_type: usize,
}

/// More values than these would make a page that nobody wants to scrape.
const MOST: usize = 1000;

impl Default for Metrics {
    fn default() -> Self {
        Self { calls: false, semconv: vec![Semconv::Latest, Semconv::V1_41], labels: Labels::default() }
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self { model: 100, response_model: 100, agent: 50, dialect: 20, error_type: 50 }
    }
}

fn each_once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Semconv>, D::Error> {
    let mut told = Vec::<Semconv>::deserialize(deserializer)?;
    let mut seen = Vec::new();
    told.retain(|profile| {
        let is_new = !seen.contains(profile);
        seen.push(*profile);
        is_new
    });
    Ok(told)
}

fn values<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.trim() {
        "false" => Ok(0),
        text => text.parse().ok().filter(|values| *values <= MOST).ok_or_else(|| {
            let expected =
                format!("expected how many values are shown, 0 to {MOST}, or false for no such label");
            D::Error::custom(expected)
        }),
    }
}
