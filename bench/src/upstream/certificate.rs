//! The certificate of a made-up authority: who trusts it trusts the upstream.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

/// Makes a new authority and a certificate for 127.0.0.1, and writes the former into `file` (PEM), for the targets to
/// trust.
pub(super) fn make(file: &Path) -> io::Result<Arc<ServerConfig>> {
    let mut authority = CertificateParams::new(Vec::new()).map_err(io::Error::other)?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().map_err(io::Error::other)?;
    fs::write(file, authority.self_signed(&authority_key).map_err(io::Error::other)?.pem())?;
    let issuer = Issuer::new(authority, authority_key);

    let key = KeyPair::generate().map_err(io::Error::other)?;
    let ours = CertificateParams::new(["127.0.0.1".to_owned()]).map_err(io::Error::other)?;
    let ours = ours.signed_by(&key, &issuer).map_err(io::Error::other)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(io::Error::other)?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![ours.der().clone()], key)
        .map_err(io::Error::other)?;
    Ok(Arc::new(config))
}
