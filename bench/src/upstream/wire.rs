//! The bytes of a connection, plain or within TLS, without waiting for either.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection};

/// A socket, and what is spoken on it.
pub(super) struct Wire {
    socket: TcpStream,
    tls: Option<Box<ServerConnection>>,
}

impl Wire {
    /// Within TLS where there is a configuration for it.
    pub(super) fn new(socket: TcpStream, tls: Option<&Arc<ServerConfig>>) -> io::Result<Self> {
        let tls =
            tls.map(|config| ServerConnection::new(config.clone())).transpose().map_err(io::Error::other)?;
        Ok(Self { socket, tls: tls.map(Box::new) })
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Takes what the socket has, as far as TLS has room for it.
    pub(super) fn receive(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        match tls.read_tls(&mut self.socket) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        tls.process_new_packets().map_err(io::Error::other)?;
        Ok(())
    }

    /// Whether what was received holds more than was read: its socket may say nothing of that.
    pub(super) fn holds_more(&self) -> bool {
        self.tls.is_some()
    }

    /// 0 at the end.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.read(into),
            Some(tls) => tls.reader().read(into),
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.write(bytes) };
        let written = tls.writer().write(bytes)?;
        if written == 0 && !self.flush()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(written)
    }

    /// Whether the socket has taken all that was written.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else { return Ok(true) };
        while tls.wants_write() {
            match tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
