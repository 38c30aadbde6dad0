use std::collections::BTreeMap;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// Headers that are added to requests. `Debug` shows no value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Headers(HeaderMap);

/// Why there is no such header. It repeats no value, nor what may be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoHeader {
    #[error("header {0}: expected a name such as authorization")]
    Name(usize),
    #[error("header {0}: expected a value of one line")]
    Value(HeaderName),
    #[error("header {0} is OTLP's own")]
    Reserved(HeaderName),
    #[error("header {0}: expected name=value, separated by commas, values percent-encoded")]
    Pair(usize),
}

impl Headers {
    /// All of them; their values are marked as sensitive.
    pub(crate) fn map(&self) -> &HeaderMap {
        &self.0
    }

    /// Reads them as the environment writes them: `name=value,name=value`, percent-encoded.
    pub(super) fn parse(text: &str) -> Result<Self, NoHeader> {
        let mut headers = Self::default();
        for (number, pair) in text.split(',').enumerate().filter(|(_, pair)| !pair.trim().is_empty()) {
            let number = number + 1;
            let (name, value) = pair.split_once('=').ok_or(NoHeader::Pair(number))?;
            let value = percent_encoding::percent_decode_str(value.trim()).collect::<Vec<u8>>();
            headers.add(number, name.trim(), &value)?;
        }
        Ok(headers)
    }

    fn add(&mut self, number: usize, name: &str, value: &[u8]) -> Result<(), NoHeader> {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| NoHeader::Name(number))?;
        if [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING, HOST].contains(&name) {
            return Err(NoHeader::Reserved(name));
        }
        let mut value = HeaderValue::from_bytes(value).map_err(|_| NoHeader::Value(name.clone()))?;
        value.set_sensitive(true);
        self.0.insert(name, value);
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = BTreeMap::<String, String>::deserialize(deserializer)?;
        let mut headers = Self::default();
        for (number, (name, value)) in pairs.iter().enumerate() {
            headers.add(number + 1, name, value.as_bytes()).map_err(Error::custom)?;
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headers_of_the_environment_are_percent_decoded() {
        let headers = Headers::parse("Authorization=Basic%20cGs6c2s=, x-a = b ,,").unwrap();
        assert_eq!(headers.map()["authorization"], "Basic cGs6c2s=");
        assert_eq!(headers.map()["x-a"], "b");
        assert_eq!(headers.map().len(), 2);
    }

    #[test]
    fn what_is_no_header_is_refused_without_its_value() {
        for (text, why) in [
            ("hunter2", "header 1: expected name=value"),
            ("a=b,hunter2", "header 2: expected name=value"),
            ("hunter2 =x,hun ter2=x", "header 2: expected a name"),
            ("x-a=hunter2%0d%0ax", "header x-a: expected a value of one line"),
            ("content-type=hunter2", "header content-type is OTLP's own"),
        ] {
            let said = Headers::parse(text).unwrap_err().to_string();
            assert!(said.contains(why) && !said.contains("ter2"), "{said}");
        }
    }

    #[test]
    fn no_value_is_seen_in_debug() {
        let headers = Headers::parse("authorization=hunter2").unwrap();
        assert!(!format!("{headers:?}").contains("hunter2"));
    }

    proptest! {
        #[test]
        fn no_environment_is_too_strange(text in ".*") {
            let _ = Headers::parse(&text);
        }
    }
}
