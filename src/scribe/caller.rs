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
