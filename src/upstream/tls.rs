//! TLS towards a provider: whom to trust.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// `SSL_CERT_FILE` or `SSL_CERT_DIR` names something that holds no usable certificate.
    #[error("cannot read certificates from {}, which {variable} names", .path.display())]
    Roots {
        /// The environment variable.
        variable: &'static str,
        /// What it names.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// rustls refuses its own defaults.
    #[error("cannot set TLS up")]
    Setup(#[from] rustls::Error),
}

/// A client that trusts the system's roots (`SSL_CERT_FILE` and `SSL_CERT_DIR` where they are set), and Mozilla's
/// list on a system that has none, and speaks HTTP/1.1.
///
/// # Errors
/// [`TlsError::Roots`] where the user names a file that gives no certificate.
pub(crate) fn client_config() -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots()?)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn roots() -> Result<RootCertStore, TlsError> {
    if let Some((variable, path)) = named_by_user()
        && variable == "SSL_CERT_FILE"
        && let Err(source) = certificates_in(&path)
    {
        return Err(TlsError::Roots { variable, path, source });
    }
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (good, _) = roots.add_parsable_certificates(found.certs);
    if let Some((variable, path)) = named_by_user()
        && good == 0
    {
        let reason = match found.errors.into_iter().next() {
            Some(error) => io::Error::other(error),
            None => io::Error::other("it holds no certificate"),
        };
        return Err(TlsError::Roots { variable, path, source: reason });
    }
    if good == 0 {
        tracing::warn!("this system has no list of certificate authorities; Mozilla's built-in one is used");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok(roots)
}

/// Reads what the user names by himself, since what `SSL_CERT_DIR` holds would hide what is wrong with it.
fn certificates_in(file: &Path) -> io::Result<()> {
    let mut count = 0;
    for certificate in CertificateDer::pem_file_iter(file).map_err(io::Error::other)? {
        certificate.map_err(io::Error::other)?;
        count += 1;
    }
    if count == 0 { Err(io::Error::other("it holds no certificate")) } else { Ok(()) }
}

fn named_by_user() -> Option<(&'static str, PathBuf)> {
    ["SSL_CERT_FILE", "SSL_CERT_DIR"]
        .into_iter()
        .find_map(|name| Some((name, std::env::var_os(name).filter(|value| !value.is_empty())?.into())))
}
