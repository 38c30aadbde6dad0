//! The way to a provider through an HTTP proxy: `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`, as curl reads them.

use std::io;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::config::BaseUrl;

use super::host_port;

/// More than any answer to CONNECT needs.
const MAX_ANSWER: usize = 16 * 1024;

/// A way through a proxy to one provider.
#[derive(Debug)]
pub(super) struct Tunnel {
    host: String,
    port: u16,
    /// `host:port` of the provider.
    to: String,
    authorization: Option<HeaderValue>,
}

/// The environment names a proxy that is not understood.
#[derive(Debug, thiserror::Error)]
#[error("HTTPS_PROXY names {0}, and only http:// proxies are understood")]
pub struct BadProxy(String);

impl Tunnel {
    /// The way that the environment prescribes to `host`, if any.
    pub(super) fn from_env(host: &str, port: u16) -> Result<Option<Self>, BadProxy> {
        let to = host_port(host, port);
        let Ok(target) = format!("https://{to}/").parse::<Uri>() else { return Ok(None) };
        // The matcher passes over what it does not understand, and the traffic would go where it must not.
        for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            let value = std::env::var(variable).unwrap_or_default();
            let with_scheme = if value.contains("://") { value.clone() } else { format!("http://{value}") };
            if with_scheme.starts_with("http://")
                && !value.is_empty()
                && BaseUrl::parse(&with_scheme).is_err()
            {
                return Err(BadProxy("something that is no URL".to_owned()));
            }
        }
        let Some(proxy) = Matcher::from_env().intercept(&target) else { return Ok(None) };
        let uri = proxy.uri();
        let Some(proxy_host) = uri.host().filter(|_| uri.scheme_str() == Some("http")) else {
            let scheme = uri.scheme_str().unwrap_or("no");
            return Err(BadProxy(format!("a proxy of the kind {scheme}://")));
        };
        Ok(Some(Self {
            host: proxy_host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: uri.port_u16().unwrap_or(80),
            to,
            authorization: proxy.basic_auth().cloned(),
        }))
    }

    pub(super) fn proxy_host(&self) -> &str {
        &self.host
    }

    pub(super) fn proxy_port(&self) -> u16 {
        self.port
    }

    pub(super) fn proxy(&self) -> String {
        host_port(&self.host, self.port)
    }

    /// Asks the proxy at the other end of `tcp` to go on to the provider (RFC 9110 section 9.3.6).
    pub(super) async fn open(&self, tcp: &mut TcpStream) -> io::Result<()> {
        let mut request = format!("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n", self.to).into_bytes();
        if let Some(authorization) = &self.authorization {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(authorization.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        tcp.write_all(&request).await?;
        let answer = read_head(tcp).await?;
        let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        match line.split(' ').nth(1) {
            Some(status) if line.starts_with("HTTP/1.") && status.starts_with('2') => Ok(()),
            _ => Err(io::Error::other(format!("it answered: {line}"))),
        }
    }
}

/// Reads byte by byte, so that nothing of what follows is taken: the other end speaks TLS from there on.
async fn read_head(tcp: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_ANSWER {
            return Err(io::Error::other("its answer has no end"));
        }
        head.push(tcp.read_u8().await?);
    }
    Ok(head)
}
