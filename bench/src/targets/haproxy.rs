//! haproxy as a peer: one thread, keep-alive to the upstream, its own buffers, no log.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::process::{Program, free_port, server};
use super::upstream::Side;
use crate::descriptors;

/// What `haproxy -v` says, where there is one.
pub(super) fn version() -> Option<String> {
    let output = Command::new(server("haproxy")).arg("-v").output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    Some(said.lines().next()?.split(' ').take(3).collect::<Vec<_>>().join(" "))
}

/// Writes a configuration, and keeps haproxy in the foreground.
pub(super) fn program(dir: &Path, upstream: Side<'_>) -> io::Result<Program> {
    let listen = free_port()?;
    let file = dir.join("haproxy.cfg");
    fs::write(&file, configuration(listen, upstream))?;
    let haproxy = server("haproxy");
    Ok(Program::new([haproxy.as_os_str(), "-db".as_ref(), "-f".as_ref(), file.as_os_str()]).at(listen))
}

fn configuration(listen: SocketAddr, upstream: Side<'_>) -> String {
    let tls = if upstream.authority.is_some() { " ssl verify none" } else { "" };
    let (address, connections) = (upstream.address, descriptors::most().saturating_sub(256) / 2);
    // Without http-no-delay it holds events back; http-reuse is what makes it share connections.
    format!(
        "global
    nbthread 1
    maxconn {connections}
defaults
    mode http
    option http-keep-alive
    option http-no-delay
    timeout connect 10s
    timeout client 300s
    timeout server 300s
frontend clients
    bind {listen}
    maxconn {connections}
    default_backend scripted
backend scripted
    http-reuse always
    server one {address}{tls}
"
    )
}
