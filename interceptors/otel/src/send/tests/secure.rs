//! TLS: whom it trusts, and who it says it is.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::*;

/// An authority of this test only.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, folder: tempfile::tempdir().unwrap() }
    }

    fn write(&self, name: &str, pem: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, pem).unwrap();
        path
    }

    fn file(&self) -> PathBuf {
        self.write("ca.pem", &self.issuer.pem())
    }

    /// A certificate for `localhost`, and its key.
    fn certificate(&self) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A server, that takes clients with certificates of this authority only if `mutual`.
    fn server(&self, mutual: bool) -> Arc<ServerConfig> {
        let (certificate, key) = self.certificate();
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = if mutual {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            config.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            config.with_no_client_auth()
        };
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let mut config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

#[test]
fn a_backend_with_a_certificate_of_ones_own_is_trusted_by_file() {
    let authority = Authority::new();
    for protocol in ["http/protobuf", "http/json", "grpc"] {
        let collector = Collector::with_tls(authority.server(false));
        let settings = json!({"protocol": protocol, "tls": {"ca_file": authority.file()}});
        let mut outbox = Outbox::new(&single(&collector.url(), None, settings)).unwrap();
        outbox.put(span(0));
        collector.wait_for_spans(1);
        outbox.finish();
    }
}

#[test]
fn a_backend_that_asks_who_we_are_is_shown_our_certificate() {
    let authority = Authority::new();
    let (certificate, key) = authority.certificate();
    let (certificate, key) =
        (authority.write("me.pem", &certificate.pem()), authority.write("me.key", &key.serialize_pem()));
    for protocol in ["http/protobuf", "grpc"] {
        let collector = Collector::with_tls(authority.server(true));
        let tls = json!({"ca_file": authority.file(), "client_certificate": certificate, "client_key": key});
        let settings = json!({"protocol": protocol, "tls": tls});
        let mut outbox = Outbox::new(&single(&collector.url(), None, settings)).unwrap();
        outbox.put(span(0));
        collector.wait_for_spans(1);
        outbox.finish();
    }
}

#[test]
fn a_backend_that_nobody_vouches_for_gets_nothing() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for protocol in ["http/protobuf", "grpc"] {
        let collector = Collector::with_tls(stranger.server(false));
        let settings = json!({"protocol": protocol, "tls": {"ca_file": authority.file()}});
        let mut outbox = Outbox::new(&single(&collector.url(), None, settings)).unwrap();
        let counters = outbox.counters();
        outbox.put(span(0));
        wait_for_count(&counters, "otlp_retries_total", 2);
        assert!(collector.asked().is_empty(), "{protocol}");
    }
}

#[test]
fn files_that_are_not_there_or_not_what_they_should_be_stop_the_start() {
    let authority = Authority::new();
    let nothing = authority.write("empty.pem", "");
    let key = authority.write("no.key", "-----BEGIN");
    for (tls, said) in [
        (json!({"ca_file": "/nowhere/ca.pem"}), "/nowhere/ca.pem: cannot be read".to_owned()),
        (json!({"ca_file": nothing}), format!("{}: expected certificates in PEM", nothing.display())),
        (
            json!({"client_certificate": authority.file(), "client_key": key}),
            format!("{}: expected a private key", key.display()),
        ),
    ] {
        for protocol in ["http/protobuf", "grpc"] {
            let settings = json!({"protocol": protocol, "tls": tls});
            let error = Outbox::new(&single("https://localhost:1", None, settings)).unwrap_err();
            assert!(error.to_string().starts_with(&said), "{error}");
        }
    }
}
