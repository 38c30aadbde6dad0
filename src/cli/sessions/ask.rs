//! Asks the admin listener of a running proxy.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, HOST, HeaderValue};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use perimeter_printer::text;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::config::Server;

/// The page itself is patient for five seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// No page is larger: ten thousand sessions are some ten megabytes.
const MOST: usize = 256 << 20;

/// So much is shown of an error that somebody else wrote, in cells.
const SHOWN: usize = 200;

/// Where an admin listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    host: String,
    port: u16,
    /// What stands before the page's own path, where another proxy is between.
    base: String,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("--url {0}: expected http://HOST:PORT, such as http://127.0.0.1:4001")]
    Url(String),
    #[error(
        "the file lets the admin listener take any free port: say with --url where it is; perimeter's start line has it (`admin on http://…`)"
    )]
    AnyPort,
    #[error("the token holds a character that no header may carry")]
    Token,
    #[error(
        "nobody answers at {0} ({1}). Is perimeter running? Its start line says where its admin listener is (`admin on http://…`): say so with --url, or with --config"
    )]
    Nobody(Address, io::Error),
    #[error("{0} did not answer within {seconds} s", seconds = PATIENCE.as_secs())]
    Late(Address),
    #[error(
        "{0} asks for a token: set PERIMETER_ADMIN_TOKEN to its server.admin.token, or give the file it runs with (--config)"
    )]
    TokenWanted(Address),
    #[error(
        "{0} does not take this token: its server.admin.token is another (PERIMETER_ADMIN_TOKEN, --token, --config)"
    )]
    TokenRefused(Address),
    #[error("{0} says: {1}")]
    Refused(Address, String),
    #[error(
        "what answers at {0} is not the admin listener of a perimeter that knows sessions ({1}); perimeter's start line says where that is (`admin on http://…`)"
    )]
    Other(Address, String),
    #[error("the system gave no runtime")]
    System(#[source] io::Error),
}

impl AskError {
    /// Whether it is the question that is wrong.
    pub(super) fn is_usage(&self) -> bool {
        matches!(self, Self::Url(_) | Self::AnyPort | Self::Token)
    }
}

impl Default for Address {
    fn default() -> Self {
        Self { host: "127.0.0.1".to_owned(), port: 4001, base: String::new() }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}{}", self.authority(), self.base)
    }
}

impl Address {
    /// As somebody wrote it.
    pub(super) fn parse(url: &str) -> Result<Self, AskError> {
        // A password in it is not repeated.
        let shown = url.rsplit('@').next().unwrap_or_default();
        let wrong = || AskError::Url(text::line(shown, Some(SHOWN)));
        let rest = url.strip_prefix("http://").unwrap_or(url);
        if rest.contains("://") {
            return Err(wrong());
        }
        let uri: Uri = format!("http://{rest}").parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        // A port of more than 16 bits is none to the parser.
        let port = match authority.as_str().rsplit_once(':') {
            Some((_, port)) if !port.ends_with(']') => port.parse().map_err(|_| wrong())?,
            _ => 80,
        };
        if host.is_empty() || authority.as_str().contains('@') || uri.query().is_some() {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), port, base: uri.path().trim_end_matches('/').to_owned() })
    }

    /// Where a proxy that runs with this configuration has it.
    pub(super) fn of(server: &Server) -> Result<Self, AskError> {
        let port = match server.admin.port {
            Some(port) => port,
            None if server.port == 0 => 0,
            None => server.port.checked_add(1).unwrap_or_default(),
        };
        let host = match server.admin.host {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            host => host,
        };
        match port {
            0 => Err(AskError::AnyPort),
            port => Ok(Self { host: host.to_string(), port, base: String::new() }),
        }
    }

    fn authority(&self) -> String {
        match self.host.parse() {
            Ok(ip) => SocketAddr::new(ip, self.port).to_string(),
            Err(_) => format!("{}:{}", self.host, self.port),
        }
    }
}

/// The page of sessions, no more than `limit` of them. Blocks.
pub(super) fn page(address: &Address, token: Option<&str>, limit: u32) -> Result<String, AskError> {
    let token = token.map(|token| format!("Bearer {token}").parse().map_err(|_| AskError::Token));
    let token: Option<HeaderValue> = token.transpose()?;
    let shows_token = token.is_some();
    let runtime = Builder::new_current_thread().enable_all().build().map_err(AskError::System)?;
    let (status, body) = runtime.block_on(async {
        let asked = timeout(PATIENCE, ask(address, token, limit)).await;
        asked.unwrap_or_else(|_| Err(AskError::Late(address.clone())))
    })?;
    judge(address, status, body, shows_token)
}

async fn ask(
    address: &Address,
    token: Option<HeaderValue>,
    limit: u32,
) -> Result<(StatusCode, Bytes), AskError> {
    let no_http = |error: &dyn std::error::Error| AskError::Other(address.clone(), error.to_string());
    let mut request = Request::get(format!("{}/sessions?limit={limit}", address.base))
        .header(HOST, address.authority())
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| AskError::Url(address.to_string()))?;
    if let Some(mut token) = token {
        token.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, token);
    }
    let stream = TcpStream::connect((address.host.as_str(), address.port))
        .await
        .map_err(|error| AskError::Nobody(address.clone(), error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| no_http(&error))?;
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(|error| no_http(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MOST).collect().await;
        Ok((status, body.map_err(|error| no_http(&*error))?.to_bytes()))
    };
    // What breaks the connection, the exchange says too.
    let (_, answer) = tokio::join!(connection, exchange);
    answer
}

/// What an answer means.
fn judge(address: &Address, status: StatusCode, body: Bytes, shows_token: bool) -> Result<String, AskError> {
    let address = || address.clone();
    let page = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    match (status, page.get("error").and_then(Value::as_str)) {
        (StatusCode::UNAUTHORIZED, Some(_)) if shows_token => Err(AskError::TokenRefused(address())),
        (StatusCode::UNAUTHORIZED, Some(_)) => Err(AskError::TokenWanted(address())),
        (StatusCode::FORBIDDEN | StatusCode::SERVICE_UNAVAILABLE, Some(error)) => {
            Err(AskError::Refused(address(), text::line(error, Some(SHOWN))))
        }
        (StatusCode::OK, None) if page.get("sessions").is_some_and(Value::is_array) => {
            // JSON that was read is UTF-8.
            Ok(String::from_utf8_lossy(&body).into_owned())
        }
        _ => Err(AskError::Other(address(), format!("HTTP {}", status.as_u16()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Option<String> {
        Address::parse(url).ok().map(|address| address.to_string())
    }

    #[test]
    fn an_address_is_a_url_with_or_without_its_scheme() {
        for (url, expected) in [
            ("http://127.0.0.1:4001", "http://127.0.0.1:4001"),
            ("http://127.0.0.1:4001/", "http://127.0.0.1:4001"),
            ("localhost:4001", "http://localhost:4001"),
            ("http://[::1]:4001", "http://[::1]:4001"),
            ("http://[::1]", "http://[::1]:80"),
            ("http://gateway/admin/", "http://gateway:80/admin"),
        ] {
            assert_eq!(parsed(url).as_deref(), Some(expected), "{url}");
        }
        for url in [
            "",
            "https://127.0.0.1:4001",
            "http://",
            "ftp://a",
            "http://a:port",
            "http://a:70000",
            "http://user:secret@a:1",
            "http://a:1/?x",
            "a b",
            "\x1b[2J",
        ] {
            assert_eq!(parsed(url), None, "{url}");
        }
    }

    #[test]
    fn an_address_of_a_file_is_where_it_can_be_reached() {
        let of = |port, admin_port, host: &str| {
            let mut server = Server { port, ..Server::default() };
            (server.admin.port, server.admin.host) = (admin_port, host.parse().unwrap());
            Address::of(&server).ok().map(|address| address.to_string())
        };
        assert_eq!(of(4000, None, "127.0.0.1").unwrap(), "http://127.0.0.1:4001");
        assert_eq!(of(4000, Some(9000), "0.0.0.0").unwrap(), "http://127.0.0.1:9000");
        assert_eq!(of(4000, None, "::").unwrap(), "http://[::1]:4001");
        assert_eq!(of(4000, Some(0), "127.0.0.1"), None);
        assert_eq!(of(0, None, "127.0.0.1"), None);
        assert_eq!(of(65_535, None, "127.0.0.1"), None);
    }
}
