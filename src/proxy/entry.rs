//! Who may use an upstream that spends its owner's money on every request, whatever credential the request brings.

use std::net::SocketAddr;
use std::sync::Arc;

use http::request::Parts;

use super::check::Refused;
use super::client_keys::ClientKeys;
use crate::caller::{calls_us, is_from_foreign_page};
use crate::config::Config;
use crate::metrics::Refusal;
use crate::upstream::Caller;

/// Lets in who shows one of `server.client_keys`; without any, whoever is on this machine and no web page.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    keys: ClientKeys,
    /// What callers are told apart with: the same in every run.
    secret: Arc<[u8]>,
}

impl Entry {
    /// As `config` says. (That there are keys beyond loopback has been checked.) Keys are told apart with `secret`.
    pub(crate) fn of(config: &Config, secret: &[u8]) -> Self {
        Self { keys: ClientKeys::of(config), secret: secret.into() }
    }

    /// Who sends a request with this head; `local` is our end of its connection.
    pub(super) fn caller(&self, head: &Parts, local: SocketAddr) -> Result<Caller, Refused> {
        // A key does not make up for a page's doing: a browser may have been given it.
        if is_from_foreign_page(&head.headers, local) {
            return Err((Refusal::Foreign, "the request comes from a web page that is not ours"));
        }
        if let Some(key) = self.keys.shown_anywhere(&head.headers) {
            return Ok(Caller::with_key(key.reveal(), &self.secret));
        }
        if !self.keys.is_empty() {
            let why =
                "show one of server.client_keys, as `Authorization: Bearer`, x-api-key or x-perimeter-key";
            return Err((Refusal::ClientKey, why));
        }
        if !calls_us(head, local) {
            return Err((Refusal::Foreign, "the Host header is not one of ours"));
        }
        Ok(Caller::local())
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::config::Secret;

    #[track_caller]
    fn check(keys: &[&str], fields: &[(&str, &str)], expected: Result<Caller, Refusal>) {
        let keys_known = keys.iter().map(|key| Secret::new(*key)).collect();
        let entry = Entry { keys: ClientKeys::new(keys_known), secret: b"secret".as_slice().into() };
        let mut request = Request::builder().uri("/v1/models");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let head = request.body(()).unwrap().into_parts().0;
        let local = "127.0.0.1:4000".parse().unwrap();
        let found = entry.caller(&head, local).map_err(|(refusal, _)| refusal);
        assert_eq!(found, expected, "{keys:?} {fields:?}");
    }

    #[test]
    fn without_keys_whoever_is_on_this_machine_may_come_in_with_any_credential() {
        let here = ("host", "localhost:4000");
        check(&[], &[here], Ok(Caller::local()));
        check(&[], &[here, ("authorization", "Bearer fake-key")], Ok(Caller::local()));
        check(&[], &[("host", "evil.example:4000")], Err(Refusal::Foreign));
        check(&[], &[here, ("origin", "http://evil.example")], Err(Refusal::Foreign));
        check(&[], &[here, ("sec-fetch-site", "cross-site")], Err(Refusal::Foreign));
        check(&[], &[here, ("origin", "http://localhost:4000")], Ok(Caller::local()));
    }

    #[test]
    fn where_there_are_keys_one_of_them_has_to_be_shown() {
        let here = ("host", "localhost:4000");
        let one = || Ok(Caller::with_key("one", b"secret"));
        check(&["one", "two"], &[here], Err(Refusal::ClientKey));
        check(&["one", "two"], &[here, ("authorization", "Bearer on")], Err(Refusal::ClientKey));
        check(&["one", "two"], &[here, ("authorization", "Bearer one")], one());
        check(&["one", "two"], &[("host", "proxy.lan"), ("x-api-key", "one")], one());
        check(&["one", "two"], &[here, ("x-perimeter-key", "one"), ("authorization", "Bearer x")], one());
        check(
            &["one"],
            &[here, ("x-api-key", "one"), ("origin", "http://evil.example")],
            Err(Refusal::Foreign),
        );
    }
}
