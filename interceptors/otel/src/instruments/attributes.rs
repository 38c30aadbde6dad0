//! By what calls are told apart.

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::KeyValue;

use crate::content::value::{flag, int, member, text};
use crate::finished::Finished;

/// A set of attributes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Attributes(Vec<(&'static str, Is)>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Is {
    Text(Arc<str>),
    Word(&'static str),
    Number(u16),
    True,
}

pub(super) const REQUEST_MODEL: &str = "gen_ai.request.model";

/// Longer names are cut: what a provider writes is not to fill the memory.
const LONGEST: usize = 128;

impl Attributes {
    /// Those that all metrics of a call have. `model` is what the model that was asked for is told as.
    pub(super) fn of(finished: &Finished, model: Option<Arc<str>>) -> Self {
        let answered = finished.answer.as_ref().and_then(|answer| answer.model.as_ref());
        // Of a model that is not told by name, neither is what answered in its place.
        let answered = answered.filter(|_| model.as_deref() != Some(super::models::OTHER));
        let set = [
            Some(("gen_ai.operation.name", Is::Word(finished.operation))),
            Some(("gen_ai.provider.name", Is::Word(finished.provider))),
            model.map(|model| (REQUEST_MODEL, Is::Text(short(&model)))),
            answered.map(|model| ("gen_ai.response.model", Is::Text(short(model)))),
            Some(("server.address", Is::Text(finished.server.address.clone()))),
            finished.server.port.map(|port| ("server.port", Is::Number(port))),
        ];
        Self(set.into_iter().flatten().collect())
    }

    /// Those of whatever there are too many sets for, as OpenTelemetry names it.
    pub(super) fn overflow() -> Self {
        Self(vec![("otel.metric.overflow", Is::True)])
    }

    /// These and one more.
    pub(super) fn with(&self, key: &'static str, word: &'static str) -> Self {
        let mut set = self.clone();
        set.0.push((key, Is::Word(word)));
        set
    }

    /// These, and what went wrong.
    pub(super) fn with_error(&self, kind: Option<&Arc<str>>) -> Self {
        let mut set = self.clone();
        set.0.extend(kind.map(|kind| ("error.type", Is::Text(short(kind)))));
        set
    }

    /// Whether they are of calls for this model.
    pub(super) fn are_of(&self, model: &Arc<str>) -> bool {
        let name = Is::Text(short(model));
        self.0.iter().any(|(key, is)| *key == REQUEST_MODEL && *is == name)
    }

    pub(super) fn told(&self) -> Vec<KeyValue> {
        let told = |is: &Is| match is {
            Is::Text(said) => text(&**said),
            Is::Word(word) => text(*word),
            Is::Number(number) => int(i64::from(*number)),
            Is::True => flag(true),
        };
        self.0.iter().map(|(key, is)| member(*key, told(is))).collect()
    }
}

fn short(name: &Arc<str>) -> Arc<str> {
    match name.split_at(name.floor_char_boundary(LONGEST)) {
        (_, "") => name.clone(),
        (start, _) => start.into(),
    }
}
