//! nginx as a peer: as anyone would set it up for streaming answers, in a directory of its own.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `nginx -v` says, where there is one.
pub(crate) fn version() -> Option<String> {
    let output = Command::new("nginx").arg("-v").output().ok()?;
    let said = String::from_utf8(output.stderr).ok()?;
    Some(said.trim().trim_start_matches("nginx version: ").to_owned())
}

/// Writes a configuration that keeps nginx to one process, which is therefore the one to measure and to stop. Its
/// body buffer holds the largest request: with the default of 16 KiB a large request would measure the disk.
pub(crate) fn configure(dir: &Path, listen: SocketAddr, upstream: SocketAddr) -> io::Result<PathBuf> {
    let file = dir.join("nginx.conf");
    fs::write(&file, configuration(dir, listen, upstream))?;
    Ok(file)
}

fn configuration(dir: &Path, listen: SocketAddr, upstream: SocketAddr) -> String {
    let dir = dir.display();
    // As root, nginx would give its work to a user who may not write here.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "{user}
daemon off;
master_process off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_buffer_size 2m;
    client_body_temp_path {dir}/client-body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    keepalive_requests 1000000000;
    upstream scripted {{
        server {upstream};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {listen};
        location / {{
            proxy_pass http://scripted;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffering off;
        }}
    }}
}}
"
    )
}
