//! The scripted upstream as a process: where it listens, and what it tells.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process::{NO_ADDRESS, Process, Program, Starter, address_after};
use crate::error::{Doing as _, Error};
use crate::upstream::OPENED;

/// The upstream of every target.
pub(crate) struct Upstream {
    process: Process,
    plain: SocketAddr,
    tls: SocketAddr,
    /// The certificate to trust, PEM.
    authority: PathBuf,
}

impl Upstream {
    /// Starts it, with its files in `dir`.
    pub(super) fn start(bench: &Path, dir: &Path, log: &Path, cores: Vec<usize>) -> Result<Self, Error> {
        let authority = dir.join("authority.pem");
        let program =
            Program::new([bench.as_os_str(), "upstream".as_ref(), "--tls".as_ref(), authority.as_os_str()]);
        let (process, plain) =
            Starter { bench, name: "upstream", log, cores, cold: false }.start(&program)?;
        let said = std::fs::read_to_string(log).doing("reading a log file")?;
        let tls = address_after("https://", &said).ok_or_else(|| Error::NotStarted {
            name: "upstream".to_owned(),
            why: NO_ADDRESS.to_owned(),
            said,
        })?;
        Ok(Self { process, plain, tls, authority })
    }

    /// Where it speaks plain HTTP.
    pub(crate) fn address(&self) -> SocketAddr {
        self.plain
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Where a target has to connect, with or without TLS.
    pub(super) fn side(&self, tls: bool) -> Side<'_> {
        if tls {
            Side { address: self.tls, authority: Some(&self.authority) }
        } else {
            Side { address: self.plain, authority: None }
        }
    }

    /// How many connections were opened to it so far, that of the question among them.
    pub(crate) fn opened(&self) -> io::Result<u64> {
        let mut question = TcpStream::connect(self.plain)?;
        question.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(question, "GET {OPENED} HTTP/1.1\r\n\r\n")?;
        let mut answer = Vec::new();
        let mut part = [0; 256];
        // A count has no more than a line, and comes in one piece.
        while !answer.windows(4).any(|four| four == b"\r\n\r\n") {
            match question.read(&mut part)? {
                0 => break,
                read => answer.extend_from_slice(part.get(..read).unwrap_or_default()),
            }
        }
        let answer = String::from_utf8_lossy(&answer);
        let count = answer.split_once("\r\n\r\n").and_then(|(_, count)| count.parse().ok());
        count.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("upstream says {answer:?}")))
    }
}

/// One of its two doors.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) address: SocketAddr,
    /// The certificate to trust, where it speaks TLS.
    pub(super) authority: Option<&'a Path>,
}

impl Side<'_> {
    pub(super) fn scheme(&self) -> &'static str {
        if self.authority.is_some() { "https" } else { "http" }
    }

    pub(super) fn url(&self) -> String {
        format!("{}://{}", self.scheme(), self.address)
    }
}
