//! Binding the listeners.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::{BaseUrl, Host, Server};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// How often another free port is tried where a first one is free on one address and taken on the other.
const TRIES: usize = 16;

/// Why a listener cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}{}", hint(.source, .chosen_by))]
pub struct ListenError {
    address: SocketAddr,
    /// What says which port it is.
    chosen_by: &'static str,
    source: io::Error,
}

fn hint(error: &io::Error, chosen_by: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(": another program listens there; choose another with {chosen_by}")
        }
        io::ErrorKind::PermissionDenied => {
            format!(": ports below 1024 need privileges; choose another with {chosen_by}")
        }
        io::ErrorKind::AddrNotAvailable => ": this machine does not have that address".to_owned(),
        _ => String::new(),
    }
}

const PORT: &str = "--port";
const ADMIN_PORT: &str = "server.admin.port";

/// All listeners of a run, bound.
#[derive(Debug)]
pub(super) struct Listeners {
    /// For each forwarding thread its own sockets.
    pub(super) traffic: Vec<Vec<TcpListener>>,
    /// Where clients connect.
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) admin: tokio::net::TcpListener,
    pub(super) admin_address: SocketAddr,
}

impl Listeners {
    /// Binds what `server` says. To be called inside a runtime.
    pub(super) fn bind(server: &Server) -> Result<Self, ListenError> {
        let groups = bind_traffic(server)?;
        let addresses: Vec<_> = groups.iter().map(|group| group.address).collect();
        let admin = bind_admin(server, addresses[0].port())?;
        let admin_address = local(&admin)?;
        let admin = tokio::net::TcpListener::from_std(admin).map_err(|source| ListenError {
            address: admin_address,
            chosen_by: ADMIN_PORT,
            source,
        })?;
        let mut traffic: Vec<Vec<_>> = (0..server.workers).map(|_| Vec::new()).collect();
        for group in groups {
            for (thread, socket) in traffic.iter_mut().zip(group.sockets) {
                thread.push(socket);
            }
        }
        Ok(Self { traffic, addresses, admin, admin_address })
    }

    /// Whether a request to `base_url` would come back to one of these.
    pub(super) fn include(&self, base_url: &BaseUrl) -> bool {
        let ours: Vec<_> = self.addresses.iter().chain([&self.admin_address]).collect();
        if !ours.iter().any(|address| address.port() == base_url.port()) {
            return false;
        }
        let Ok(targets) = (base_url.host(), base_url.port()).to_socket_addrs() else { return false };
        targets.into_iter().any(|target| ours.iter().any(|address| reaches(target, **address)))
    }

    /// `http://host:port` as an app on this machine should be told it.
    pub(super) fn to_set(&self) -> String {
        let mut address = self.addresses[0];
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        format!("http://{address}")
    }
}

/// Whether a connection to `target` arrives at a listener on `address`.
fn reaches(target: SocketAddr, address: SocketAddr) -> bool {
    if target.port() != address.port() {
        return false;
    }
    let (target, address) = (target.ip().to_canonical(), address.ip().to_canonical());
    let is_local = || target.is_unspecified() || UdpSocket::bind((target, 0)).is_ok();
    target == address
        || (address.is_unspecified() && is_local())
        || (target.is_unspecified() && address.is_loopback())
}

/// The sockets of all threads on one address.
struct Group {
    address: SocketAddr,
    sockets: Vec<TcpListener>,
}

fn bind_traffic(server: &Server) -> Result<Vec<Group>, ListenError> {
    let host = match server.host {
        Host::Address(address) => return Ok(vec![group((address, server.port).into(), server.workers)?]),
        Host::Localhost => Ipv4Addr::LOCALHOST,
    };
    let mut tries = if server.port == 0 { TRIES } else { 1 };
    loop {
        tries -= 1;
        let v4 = group((host, server.port).into(), server.workers)?;
        match group((Ipv6Addr::LOCALHOST, v4.address.port()).into(), server.workers) {
            Ok(v6) => return Ok(vec![v4, v6]),
            Err(error) if error.source.kind() != io::ErrorKind::AddrInUse => {
                tracing::debug!(error = %error.source, "no listener on the IPv6 loopback");
                return Ok(vec![v4]);
            }
            Err(error) if tries == 0 => return Err(error),
            Err(_) => {}
        }
    }
}

/// As many listening sockets on `address` as there are threads; the kernel shares connections out among them.
fn group(address: SocketAddr, workers: usize) -> Result<Group, ListenError> {
    let first = bind(address)?;
    let address = local(&first)?;
    let mut sockets = vec![first];
    while sockets.len() < workers {
        sockets.push(listening(address, true).map_err(|source| ListenError {
            address,
            chosen_by: PORT,
            source,
        })?);
    }
    Ok(Group { address, sockets })
}

/// Binds without `SO_REUSEPORT`, and allows it only then: a second perimeter on the same port must fail, not take
/// half of the connections.
fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    listening(address, false).map_err(|source| ListenError { address, chosen_by: PORT, source })
}

fn listening(address: SocketAddr, shares: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if shares {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    if !shares {
        socket.set_reuse_port(true)?;
    }
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bind_admin(server: &Server, proxy_port: u16) -> Result<TcpListener, ListenError> {
    let at = |port| SocketAddr::from((server.admin.host, port));
    if let Some(port) = server.admin.port {
        return bind(at(port)).map_err(|error| ListenError { chosen_by: ADMIN_PORT, ..error });
    }
    let neighbour = match server.port {
        0 => None,
        _ => proxy_port.checked_add(1),
    };
    match neighbour.map(|port| bind(at(port))) {
        Some(Ok(listener)) => Ok(listener),
        _ => bind(at(0)),
    }
}

fn local(listener: &TcpListener) -> Result<SocketAddr, ListenError> {
    let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    listener.local_addr().map_err(|source| ListenError { address: unknown, chosen_by: PORT, source })
}
