//! The provider's end: a listener whose connections the test answers itself.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::head::latin1;
use super::wire::{PATIENCE, Wire};

/// A port of loopback, and the one after it, that nobody uses now. Not among those that the kernel hands out by itself,
/// and never the same twice, so that no other test can take it in between.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = u16::try_from(std::process::id() % 100).unwrap() * 100;
    loop {
        let port = 20_000 + (offset + NEXT.fetch_add(2, Ordering::Relaxed)) % 12_000;
        let is_free = |port| ["127.0.0.1", "::1"].iter().all(|host| is_unused(host, port));
        if is_free(port) && is_free(port + 1) {
            return port;
        }
    }
}

fn is_unused(host: &str, port: u16) -> bool {
    !matches!(TcpListener::bind((host, port)), Err(error) if error.kind() == ErrorKind::AddrInUse)
}

/// An address of loopback where nobody listens, for as long as this is kept.
pub(crate) struct Nobody {
    socket: Socket,
}

impl Nobody {
    pub(crate) fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // Bound and not listening: connections are refused, and the port is taken.
        socket.bind(&SockAddr::from(SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap();
        Self { socket }
    }

    pub(crate) fn host(&self) -> String {
        self.socket.local_addr().unwrap().as_socket().unwrap().to_string()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.host())
    }
}

/// A listener on a free port of loopback.
pub(crate) struct Provider {
    listener: TcpListener,
    address: SocketAddr,
}

impl Provider {
    pub(crate) fn start() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap())
    }

    pub(crate) fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        // Linux lets a receive timeout bound accept() as well.
        SockRef::from(&listener).set_read_timeout(Some(PATIENCE)).unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    /// What its `Host` is: address and port.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next connection.
    #[track_caller]
    pub(crate) fn accept(&self) -> Wire {
        match self.listener.accept() {
            Ok((stream, _)) => Wire::new("the provider", stream),
            Err(error) => panic!("the provider waited {PATIENCE:?} for a connection: {error}"),
        }
    }

    /// The next connection, over TLS; `Err` where the handshake fails.
    pub(crate) fn accept_tls(&self, config: &Arc<rustls::ServerConfig>) -> std::io::Result<Wire> {
        self.accept().into_tls(config)
    }

    /// All bytes that came over connections nobody has accepted yet. Only once the proxy is gone is this final.
    pub(crate) fn rest(&self) -> String {
        self.listener.set_nonblocking(true).unwrap();
        let mut bytes = Vec::new();
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => bytes.extend(Wire::new("the provider", stream).rest().0),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return latin1(bytes),
                Err(error) => panic!("the provider cannot accept: {error}"),
            }
        }
    }
}
