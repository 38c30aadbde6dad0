//! Opening a connection to a provider: name, TCP, TLS, all within `llm.timeout`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::stream::Stream;
use super::tunnel::Tunnel;
use super::{UpstreamError, host_port};
use crate::config::BaseUrl;
use crate::socket;

/// How long an address may keep the next one waiting (RFC 8305 section 5 recommends 250 ms).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// How long sent bytes may stay unacknowledged, and silence unanswered: a machine that slept, or a network that
/// went away, ends here. Long, since a provider that reads slowly looks the same to the kernel.
const DEAD_PEER_AFTER: Duration = Duration::from_secs(300);

/// Opens connections to one provider.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    host: Arc<str>,
    port: u16,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    tunnel: Option<Arc<Tunnel>>,
    timeout: Duration,
}

/// Why there can be no connector.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectorError {
    /// The host is no name that a certificate could carry.
    #[error("llm.base_url: {0} is no name that a certificate could carry")]
    Name(String),
    /// The environment names a proxy that is not understood.
    #[error(transparent)]
    Proxy(#[from] super::tunnel::BadProxy),
}

impl Connector {
    /// Connections to `base_url`, each within `timeout`; over TLS where `tls` is given, and then through the proxy that
    /// `HTTPS_PROXY` names, unless `NO_PROXY` has the host.
    ///
    /// # Errors
    /// [`ConnectorError`] where the host or the proxy cannot be used.
    pub(crate) fn new(
        base_url: &BaseUrl,
        tls: Option<Arc<ClientConfig>>,
        timeout: Duration,
    ) -> Result<Self, ConnectorError> {
        let host = base_url.host();
        let mut tunnel = None;
        let tls = match tls {
            Some(config) => {
                tunnel = Tunnel::from_env(host, base_url.port())?.map(Arc::new);
                let name = ServerName::try_from(host.to_owned());
                Some((config, name.map_err(|_| ConnectorError::Name(host.to_owned()))?))
            }
            None => None,
        };
        Ok(Self { host: host.into(), port: base_url.port(), tls, tunnel, timeout })
    }

    /// Whether it connects without TLS.
    pub(crate) fn is_plain(&self) -> bool {
        self.tls.is_none()
    }

    pub(super) async fn connect(&self) -> Result<Stream, UpstreamError> {
        match tokio::time::timeout(self.timeout, self.connect_unbounded()).await {
            Ok(result) => result,
            Err(_) => Err(UpstreamError::ConnectTimeout {
                address: host_port(&self.host, self.port),
                after: self.timeout,
            }),
        }
    }

    async fn connect_unbounded(&self) -> Result<Stream, UpstreamError> {
        let (host, port) = match &self.tunnel {
            Some(tunnel) => (tunnel.proxy_host(), tunnel.proxy_port()),
            None => (&*self.host, self.port),
        };
        let addresses = lookup_host((host, port))
            .await
            .map_err(|source| UpstreamError::Dns { host: host.to_owned(), source })?;
        let mut tcp = connect_any(addresses)
            .await
            .map_err(|source| UpstreamError::Connect { address: host_port(host, port), source })?;
        if let Some(tunnel) = &self.tunnel {
            tunnel
                .open(&mut tcp)
                .await
                .map_err(|source| UpstreamError::Proxy { proxy: tunnel.proxy(), source })?;
        }
        let Some((config, name)) = &self.tls else {
            return Ok(Stream::Tcp(tcp));
        };
        // Boxed: connecting without TLS, of many at once, is not to hold room for it.
        let tls = Box::pin(TlsConnector::from(config.clone()).connect(name.clone(), tcp))
            .await
            .map_err(|source| UpstreamError::Tls { host: self.host.to_string(), source })?;
        Ok(Stream::Tls(Box::new(tls)))
    }
}

/// The first of `addresses` that takes a connection, each given a short head start over the next.
async fn connect_any(addresses: impl Iterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses;
    let mut attempts = JoinSet::new();
    let mut last_error = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
    let mut next = waiting.next();
    loop {
        if let Some(address) = next.take() {
            attempts.spawn(connect_one(address));
        }
        tokio::select! {
            finished = attempts.join_next() => match finished {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => last_error = error,
                Some(Err(error)) => last_error = io::Error::other(error),
                None => match waiting.next() {
                    Some(address) => next = Some(address),
                    None => return Err(last_error),
                },
            },
            () = tokio::time::sleep(NEXT_ADDRESS_AFTER) => next = waiting.next(),
        }
    }
}

async fn connect_one(address: SocketAddr) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect(address).await?;
    socket::prepare(&tcp)?;
    #[cfg(target_os = "linux")]
    SockRef::from(&tcp).set_tcp_user_timeout(Some(DEAD_PEER_AFTER))?;
    Ok(tcp)
}
