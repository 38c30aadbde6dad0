//! Who makes a request: what its head shows of the person and the program behind it.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, USER_AGENT};
use perimeter_interceptor::{Client, RequestHead};
use serde::Deserialize;

use super::clients::client_of;
use super::names::Names;
use crate::dialect::Seed;

/// Who makes a request.
#[derive(Debug)]
pub(super) struct Caller {
    /// Of the credential, a hash.
    pub(super) credential: Option<u64>,
    pub(super) address: IpAddr,
    /// Of the program's name, a hash.
    pub(super) program: u64,
    pub(super) client: Option<Arc<Client>>,
    /// What it says of the session, in headers that are masked: unlike a hash, a name comes to rest.
    pub(super) names: Names,
}

/// Headers that hold a credential, as providers' clients write them.
const KEYS: [&str; 3] = ["x-api-key", "api-key", "x-goog-api-key"];

impl Caller {
    /// Who makes the request of this head, in which nothing is masked yet.
    pub(super) fn of(head: &RequestHead, address: IpAddr, seed: &Seed) -> Self {
        let headers = &head.headers;
        let bearer = headers.get(AUTHORIZATION).map(|value| of_authorization(value.as_bytes(), seed));
        let key = || KEYS.iter().find_map(|name| headers.get(*name)).map(|key| seed.of_bytes(key.as_bytes()));
        let in_query = || key_of_query(head.uri.query()?).map(|key| seed.of_bytes(key.as_bytes()));
        let program = headers.get(USER_AGENT).map_or(0, |program| seed.of_bytes(program.as_bytes()));
        Self {
            credential: bearer.or_else(key).or_else(in_query),
            address,
            program,
            client: client_of(headers).map(Arc::new),
            names: Names::default(),
        }
    }

    /// Whoever has the same credential, or, without one, the same address.
    pub(super) fn person(&self, seed: &Seed) -> u64 {
        match self.credential {
            Some(credential) => credential,
            None => seed.of_address(self.address),
        }
    }

    pub(super) fn near(&self) -> (IpAddr, u64) {
        (self.address, self.program)
    }
}

fn key_of_query(query: &str) -> Option<&str> {
    query.split('&').find_map(|field| field.strip_prefix("key="))
}

/// A token that is renewed from time to time says who it was made for (RFC 7519 section 4.1).
#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: String,
}

/// The subject of a JSON web token; or else all of it.
fn of_authorization(value: &[u8], seed: &Seed) -> u64 {
    let claims = || {
        let token = std::str::from_utf8(value).ok()?.split_once(' ')?.1;
        let mut parts = token.trim().split('.');
        let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
        let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?;
        serde_json::from_slice::<Claims>(&claims).ok()
    };
    match claims() {
        Some(Claims { iss, sub }) => {
            seed.then(seed.of_bytes(iss.unwrap_or_default().as_bytes()), seed.of_bytes(sub.as_bytes()))
        }
        None => seed.of_bytes(value),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

    use super::*;

    /// Who calls with these headers, by the person.
    fn person(seed: &Seed, uri: &str, fields: &[(&str, &str)]) -> u64 {
        let field = |(name, value): &(&str, &str)| {
            (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap())
        };
        let headers = HeaderMap::from_iter(fields.iter().map(field));
        let head = RequestHead::new(Method::POST, uri.parse().unwrap(), Version::HTTP_11, headers);
        Caller::of(&head, IpAddr::V4(Ipv4Addr::LOCALHOST), seed).person(seed)
    }

    fn token(claims: &str, signature: &str) -> String {
        format!("Bearer e30.{}.{signature}", BASE64_URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn whoever_has_a_credential_is_known_by_it_wherever_it_stands() {
        let seed = Seed::default();
        let of = |uri, fields: &[(&str, &str)]| person(&seed, uri, fields);
        let mut people = vec![
            of("/", &[]),
            of("/", &[("authorization", "Bearer a")]),
            of("/", &[("authorization", "Bearer b")]),
            of("/", &[("x-api-key", "a")]),
            of("/?key=b", &[]),
        ];
        assert_eq!(people[3], of("/?x=y&key=a", &[]), "a key is the same in a query");
        assert_eq!(people[3], of("/", &[("x-goog-api-key", "a")]));
        assert_eq!(people[0], of("/?keys=a", &[("user-agent", "p"), ("cookie", "a")]));
        people.sort_unstable();
        people.dedup();
        assert_eq!(people.len(), 5);
    }

    #[test]
    fn a_token_that_is_renewed_is_still_of_the_same_person() {
        let seed = Seed::default();
        let of = |value: &str| person(&seed, "/", &[("authorization", value)]);
        let ann = of(&token(r#"{"iss":"i","sub":"ann","exp":1}"#, "x"));
        assert_eq!(ann, of(&token(r#"{"exp":2,"sub":"ann","iss":"i"}"#, "y")));
        for other in [
            token(r#"{"iss":"i","sub":"bob","exp":1}"#, "x"),
            token(r#"{"iss":"j","sub":"ann","exp":1}"#, "x"),
            token(r#"{"sub":"ann"}"#, "x"),
            token(r#"{"iss":"i"}"#, "x"),
            token(r#"{"sub":7}"#, "x"),
            token("no json", "x"),
            "Bearer e30.!!.x".into(),
            "Bearer a.b".into(),
            String::new(),
        ] {
            assert_ne!(of(&other), ann, "{other}");
            assert_eq!(of(&other), of(&other));
        }
        let nobody = |exp| token(&format!(r#"{{"iss":"i","exp":{exp}}}"#), "x");
        assert_ne!(of(&nobody(1)), of(&nobody(2)), "without a subject it is the whole token that counts");
    }
}
