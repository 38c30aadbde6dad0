//! The resource: who tells all this.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a text, a number, true or false")]
pub(crate) enum Attribute {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
    /// A text.
    Text(String),
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

pub(super) fn attributes<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Attribute>, D::Error> {
    let attributes = BTreeMap::<String, Attribute>::deserialize(deserializer)?;
    if attributes.keys().any(|key| key.trim().is_empty()) {
        return Err(Error::custom("expected attributes with names, such as deployment.environment.name"));
    }
    Ok(attributes)
}

/// Reads `OTEL_RESOURCE_ATTRIBUTES`: `key=value,key=value`, percent-encoded. Else the number of the pair that is none.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, Attribute>, usize> {
    let decode = |part: &str| {
        let bytes = percent_encoding::percent_decode_str(part.trim());
        bytes.decode_utf8().ok().map(std::borrow::Cow::into_owned)
    };
    let mut attributes = BTreeMap::new();
    for (number, pair) in text.split(',').enumerate().filter(|(_, pair)| !pair.trim().is_empty()) {
        let read = pair.split_once('=').and_then(|(key, value)| Some((decode(key)?, decode(value)?)));
        match read {
            Some((key, value)) if !key.is_empty() => attributes.insert(key, Attribute::Text(value)),
            _ => return Err(number + 1),
        };
    }
    Ok(attributes)
}

/// What is known without being told.
pub(super) fn known() -> BTreeMap<String, Attribute> {
    let os = if cfg!(target_os = "macos") { "darwin" } else { std::env::consts::OS };
    let mut known: BTreeMap<String, Attribute> = [
        ("service.name", "perimeter"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.instance.id", &instance()),
        // The conventions keep `opentelemetry` to the SDKs of that project.
        ("telemetry.sdk.name", "perimeter"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
        ("os.type", os),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.into()))
    .collect();
    known.insert("process.pid".to_owned(), Attribute::Int(i64::from(std::process::id())));
    if let Ok(host) = rustix::system::uname().nodename().to_str()
        && !host.is_empty()
    {
        known.insert("host.name".to_owned(), host.into());
    }
    known
}

/// A random UUID of version 4.
fn instance() -> String {
    let random = || u128::from(RandomState::new().hash_one(std::process::id()));
    let bits = random() << 64 | random();
    let bits = bits & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    perimeter_interceptor::ExchangeId::new(bits).to_string()
}

/// The resource of these attributes.
pub(super) fn resource(attributes: BTreeMap<String, Attribute>) -> Resource {
    let attributes = attributes.into_iter().map(|(key, value)| {
        let value = match value {
            Attribute::Bool(value) => Value::BoolValue(value),
            Attribute::Int(value) => Value::IntValue(value),
            Attribute::Double(value) => Value::DoubleValue(value),
            Attribute::Text(value) => Value::StringValue(value),
        };
        KeyValue { key, value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
    });
    Resource { attributes: attributes.collect(), ..Resource::default() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn attributes_of_the_environment_are_percent_decoded() {
        let attributes = parse("deployment.environment.name=production, a%2Cb = c%3Dd%20e ,").unwrap();
        assert_eq!(attributes["deployment.environment.name"], "production".into());
        assert_eq!(attributes["a,b"], "c=d e".into());
        assert_eq!(attributes.len(), 2);
        for (text, number) in [("a", 1), ("a=b,c", 2), ("=b", 1), ("a=%ff", 1)] {
            assert_eq!(parse(text), Err(number), "{text}");
        }
    }

    #[test]
    fn each_run_is_an_instance_of_its_own() {
        let (one, other) = (instance(), instance());
        assert_ne!(one, other);
        assert_eq!((one.len(), &one[14..15]), (36, "4"));
        assert!("89ab".contains(&one[19..20]));
    }

    proptest! {
        #[test]
        fn no_environment_is_too_strange(text in ".*") {
            let _ = parse(&text);
        }
    }
}
