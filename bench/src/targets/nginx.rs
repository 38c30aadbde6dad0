//! nginx as a peer: as anyone would set it up for streaming answers, in a directory of its own.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::process::{Program, free_port, server};
use super::upstream::Side;
use crate::descriptors;

/// What `nginx -v` says, where there is one.
pub(super) fn version() -> Option<String> {
    let output = Command::new(server("nginx")).arg("-v").output().ok()?;
    let said = String::from_utf8(output.stderr).ok()?;
    Some(said.trim().trim_start_matches("nginx version: ").to_owned())
}

/// Who holds a request's body before it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bodies {
    /// A buffer that has room for the largest of them.
    Buffered,
    /// nginx's own 16 KiB, and behind them a file.
    Default,
}

/// Writes a configuration that keeps nginx to one process, which is therefore the one to measure and to stop.
pub(super) fn program(dir: &Path, upstream: Side<'_>, bodies: Bodies) -> io::Result<Program> {
    let listen = free_port()?;
    let file = dir.join("nginx.conf");
    fs::write(&file, configuration(dir, listen, upstream, bodies))?;
    let nginx = server("nginx");
    let command = [nginx.as_os_str(), "-c".as_ref(), file.as_os_str(), "-e".as_ref(), "stderr".as_ref()];
    Ok(Program::new(command).at(listen))
}

fn configuration(dir: &Path, listen: SocketAddr, upstream: Side<'_>, bodies: Bodies) -> String {
    let dir = dir.display();
    // As root, nginx would give its work to a user who may not write here.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let buffer = if bodies == Bodies::Buffered { "client_body_buffer_size 2m;" } else { "" };
    let (scheme, address, connections) = (upstream.scheme(), upstream.address, descriptors::most());
    format!(
        "{user}
daemon off;
master_process off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log stderr;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    client_max_body_size 0;
    {buffer}
    client_body_temp_path {dir}/client-body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    keepalive_requests 1000000000;
    upstream scripted {{
        server {address};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {listen};
        location / {{
            proxy_pass {scheme}://scripted;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffering off;
        }}
    }}
}}
"
    )
}
