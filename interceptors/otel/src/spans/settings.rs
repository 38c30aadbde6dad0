//! What a configuration may say of spans.

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

/// Which spans there are, under the key `trace`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// What is told of a call. Unset: the call alone where the client has a trace of its own for it (a valid
    /// `traceparent`), else the tree.
    pub(crate) spans: Option<Spans>,
    /// Which traces are told. Unset: as `OTEL_TRACES_SAMPLER` says, else as the client's
    /// where a span is part of it, and all others.
    pub(crate) sampler: Option<Word>,
    /// Of the samplers by ratio: which part of the traces, from 0 to 1. Unset: all.
    pub(crate) sampler_arg: Option<Ratio>,
    /// What becomes of calls that the client has a trace of its own for, and may tell itself.
    pub(crate) when_instrumented: WhenInstrumented,
}

/// What is told of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Spans {
    /// A trace a session: its agents, under them their calls and tools.
    Tree,
    /// The call alone, under the client's span where it has one.
    Calls,
}

/// Which traces are told, in the words of `OTEL_TRACES_SAMPLER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Word {
    /// All.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// A part of them, by their ids.
    #[serde(rename = "traceidratio")]
    TraceIdRatio,
    /// The client's as it says, all others.
    #[serde(rename = "parentbased_always_on")]
    ParentBasedAlwaysOn,
    /// The client's as it says, no others.
    #[serde(rename = "parentbased_always_off")]
    ParentBasedAlwaysOff,
    /// The client's as it says, of the others a part.
    #[serde(rename = "parentbased_traceidratio")]
    ParentBasedTraceIdRatio,
}

/// What becomes of calls that the client has a trace of its own for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WhenInstrumented {
    /// Their spans are told.
    #[default]
    Emit,
    /// They are told in a trace of ours, with a link to the client's.
    Link,
    /// They are not told. Metrics and logs are.
    Skip,
}

/// A part of all, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Ratio(f64);

impl Ratio {
    /// This part; `None` where it is none.
    pub(crate) fn new(part: f64) -> Option<Self> {
        (0.0..=1.0).contains(&part).then_some(Self(part))
    }

    /// From 0 to 1.
    pub(crate) fn get(self) -> f64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let part = f64::deserialize(deserializer)?;
        Self::new(part).ok_or_else(|| {
            D::Error::custom(format_args!("{part} is no ratio: expected a number from 0 to 1, such as 0.1"))
        })
    }
}
