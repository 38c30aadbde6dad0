//! `server.host`: where the proxy listens.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where the proxy listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// 127.0.0.1, and `[::1]` as well where there is one (`localhost` in the file).
    Localhost,
    /// That one address.
    Address(IpAddr),
}

impl Host {
    /// Whether only this machine can reach it.
    pub fn is_loopback(self) -> bool {
        match self {
            Self::Localhost => true,
            Self::Address(address) => address.is_loopback(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("localhost") {
            return Some(Self::Localhost);
        }
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        bare.parse().ok().map(Self::Address)
    }
}

impl<'de> Deserialize<'de> for Host {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).ok_or_else(|| {
            serde::de::Error::custom("expected localhost or an IP address, such as 127.0.0.1, 0.0.0.0 or ::1")
        })
    }
}

impl Serialize for Host {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Localhost => serializer.serialize_str("localhost"),
            Self::Address(address) => serializer.collect_str(address),
        }
    }
}

/// One address, where `localhost` is 127.0.0.1. For `#[serde(deserialize_with)]`.
pub(super) fn deserialize_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpAddr, D::Error> {
    Ok(match Host::deserialize(deserializer)? {
        Host::Localhost => Ipv4Addr::LOCALHOST.into(),
        Host::Address(address) => address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses() {
        assert_eq!(Host::parse("localhost"), Some(Host::Localhost));
        assert_eq!(Host::parse(" LocalHost "), Some(Host::Localhost));
        for text in ["127.0.0.1", "0.0.0.0", "::1", "::", "192.168.1.7"] {
            assert_eq!(Host::parse(text), Some(Host::Address(text.parse().unwrap())), "{text}");
        }
        assert_eq!(Host::parse("[::1]"), Host::parse("::1"));
        for text in ["", "example.com", "127.0.0.1:4000", "[::1]:4000", "1.2.3", "[127.0.0.1", "*"] {
            assert_eq!(Host::parse(text), None, "{text}");
        }
    }
}
