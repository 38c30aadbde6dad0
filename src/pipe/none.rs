//! No pipes: a system that cannot join them to sockets.

use std::io;

/// A pipe, of which there are none.
#[derive(Debug)]
pub(crate) enum Pipe {}

impl Pipe {
    /// None.
    pub(crate) fn new() -> Option<Self> {
        None
    }

    /// How many bytes it holds.
    pub(crate) fn holds(&self) -> usize {
        match *self {}
    }

    /// Takes what has come on `socket`.
    pub(crate) fn fill<S>(&mut self, _socket: S, _most: usize) -> io::Result<usize> {
        match *self {}
    }

    /// Gives what it holds to `socket`.
    pub(crate) fn drain<S>(&mut self, _socket: S) -> io::Result<usize> {
        match *self {}
    }

    /// Another pipe that holds the same.
    pub(crate) fn copy(&self) -> Option<Self> {
        match *self {}
    }

    /// Adds what it holds to `bytes`.
    pub(crate) fn append_to(self, _bytes: &mut Vec<u8>) -> io::Result<()> {
        match self {}
    }

    /// What it holds, in memory.
    pub(crate) fn into_bytes(self) -> io::Result<Vec<u8>> {
        match self {}
    }
}

/// Whether the system would not join a socket and a pipe: it is not asked.
pub(crate) fn is_refused(_error: &io::Error) -> bool {
    false
}
