//! The peers in Python. They are measured where they are installed, with fewer requests.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::process::{Program, free_port};
use super::upstream::Side;

/// The predecessor's command, where PERIMETER_BENCH_PYTHON names one.
pub(super) fn cylestio() -> Option<PathBuf> {
    std::env::var_os("PERIMETER_BENCH_PYTHON").map(PathBuf::from).filter(|command| command.is_file())
}

/// mitmproxy's command: what PERIMETER_BENCH_MITMDUMP names, or `mitmdump` in PATH.
pub(super) fn mitmdump() -> Option<PathBuf> {
    let named = std::env::var_os("PERIMETER_BENCH_MITMDUMP").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = named.into_iter().chain(std::env::split_paths(&path).map(|dir| dir.join("mitmdump")));
    found.find(|command| command.is_file())
}

/// The predecessor without interceptors.
pub(super) fn run_cylestio(command: &Path, dir: &Path, upstream: Side<'_>) -> io::Result<Program> {
    let listen = free_port()?;
    let file = dir.join("cylestio.yaml");
    let config = json!({
        "server": {"host": "127.0.0.1", "port": listen.port()},
        "llm": {"base_url": upstream.url(), "type": "openai"},
        "interceptors": [],
        "logging": {"level": "WARNING"},
    });
    fs::write(&file, config.to_string())?;
    let command = [command.as_os_str(), "run".as_ref(), "--config".as_ref(), file.as_os_str()];
    let trusts = upstream.authority.map(OsString::from);
    Ok(Program { trusts, ..Program::new(command).at(listen) })
}

/// What makes mitmproxy pass an answer on as it comes. Its option for large bodies does not: it waits for the end of
/// one that does not say how long it will be.
const STREAMING: &str = "def responseheaders(flow):\n    flow.response.stream = True\n";

/// mitmproxy as a reverse proxy that streams answers.
pub(super) fn run_mitmdump(command: &Path, dir: &Path, upstream: Side<'_>) -> io::Result<Program> {
    let listen = free_port()?;
    let script = dir.join("streaming.py");
    fs::write(&script, STREAMING)?;
    let words = [
        "--quiet".to_owned(),
        "--mode".to_owned(),
        format!("reverse:{}", upstream.url()),
        "--listen-host".to_owned(),
        listen.ip().to_string(),
        "--listen-port".to_owned(),
        listen.port().to_string(),
        "--scripts".to_owned(),
        script.display().to_string(),
        "--set".to_owned(),
        format!("confdir={}", dir.display()),
        "--set".to_owned(),
        "ssl_insecure=true".to_owned(),
    ];
    let command = [command.as_os_str().to_owned()].into_iter().chain(words.map(OsString::from));
    Ok(Program::new(command).at(listen))
}
