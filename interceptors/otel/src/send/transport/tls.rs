//! What TLS needs: whom to trust, and who we are.

use std::fs;
use std::path::{Path, PathBuf};

use ureq::tls::{Certificate, PemItem, PrivateKey, parse_pem};

use crate::settings::Files;

/// Whom to trust, and who we are.
#[derive(Debug)]
pub(super) struct Tls {
    /// Certificates of authorities in DER: the system's, and the configured ones. None: those of Mozilla.
    pub(super) roots: Vec<Vec<u8>>,
    /// Whether the system has some.
    pub(super) has_system_roots: bool,
    /// The configured ones in PEM.
    pub(super) trusted: Option<Vec<u8>>,
    pub(super) identity: Option<Identity>,
}

/// A certificate and its key, in PEM.
pub(super) struct Identity {
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
    files: (PathBuf, PathBuf),
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file has no certificate in it.
    #[error("{}: expected certificates in PEM (-----BEGIN CERTIFICATE-----)", .0.display())]
    NoCertificate(PathBuf),
    /// A file has no key in it.
    #[error("{}: expected a private key in PEM (-----BEGIN PRIVATE KEY-----)", .0.display())]
    NoKey(PathBuf),
}

impl Tls {
    pub(super) fn load(files: &Files) -> Result<Self, TlsError> {
        let native = rustls_native_certs::load_native_certs();
        let mut roots: Vec<Vec<u8>> = native.certs.iter().map(|certificate| certificate.to_vec()).collect();
        let has_system_roots = !roots.is_empty();
        let trusted = match &files.trusted {
            Some(path) => {
                let pem = read(path)?;
                roots.extend(certificates(path, &pem)?.iter().map(|certificate| certificate.der().to_vec()));
                Some(pem)
            }
            None => None,
        };
        let identity = match &files.identity {
            Some((certificate, key)) => Some(Identity {
                certificate: read(certificate)?,
                key: read(key)?,
                files: (certificate.clone(), key.clone()),
            }),
            None => None,
        };
        let tls = Self { roots, has_system_roots, trusted, identity };
        tls.identity.as_ref().map(Identity::for_ureq).transpose()?;
        Ok(tls)
    }
}

impl Identity {
    pub(super) fn for_ureq(&self) -> Result<(Vec<Certificate<'static>>, PrivateKey<'static>), TlsError> {
        let chain = certificates(&self.files.0, &self.certificate)?;
        let key = PrivateKey::from_pem(&self.key).map_err(|_| TlsError::NoKey(self.files.1.clone()))?;
        Ok((chain, key))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<Certificate<'static>>, TlsError> {
    let items: Result<Vec<PemItem<'static>>, _> = parse_pem(pem).collect();
    let certificates = items.unwrap_or_default().into_iter().filter_map(|item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<_> = certificates.collect();
    match certificates.is_empty() {
        true => Err(TlsError::NoCertificate(path.to_owned())),
        false => Ok(certificates),
    }
}
