//! Pipes, through which bytes go from one socket to another and through no memory of ours (splice(2), tee(2)).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::buffer::spare_capacity;
use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice, tee};
use rustix::process::{Resource, getrlimit};

/// A pipe. What it holds is in the kernel's pages, where its sender's system put it.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// None once it goes where pipes are kept.
    ends: Option<Ends>,
    holds: usize,
}

#[derive(Debug)]
struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

/// What one filling brings at most, bytes.
const FILLING: usize = 384 * 1024;

/// The size that the kernel is asked for, bytes: a place for each 4 KiB of it, whatever is put there. A packet of a
/// network takes a place; a loopback's parts are of 32 KiB. Of an unprivileged user's pipes the kernel makes 64 MiB of
/// such sizes (pipe(7)).
const SIZE: usize = 256 * 1024;

/// How many are in use at most, in the process: two descriptors each, and no more than every thirty-second of all that
/// there may be.
const MOST: usize = 96;

/// How many are kept that are not in use.
const KEPT: usize = 16;

static REFUSED: AtomicBool = AtomicBool::new(false);
static IN_USE: AtomicUsize = AtomicUsize::new(0);
static IDLE: Mutex<Vec<Ends>> = Mutex::new(Vec::new());

fn most() -> usize {
    static FOUND: OnceLock<usize> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        usize::try_from(descriptors / 64).map_or(MOST, |most| most.min(MOST))
    })
}

fn idle() -> MutexGuard<'static, Vec<Ends>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pipe {
    /// An empty one, where there may be another, and the system has one.
    pub(crate) fn new() -> Option<Self> {
        if REFUSED.load(Relaxed) { None } else { Self::among(most()) }
    }

    fn among(most: usize) -> Option<Self> {
        IN_USE.fetch_update(Relaxed, Relaxed, |used| (used < most).then_some(used + 1)).ok()?;
        let mut pipe = Self { ends: None, holds: 0 };
        pipe.ends = Some(idle().pop().or_else(Ends::new)?);
        Some(pipe)
    }

    /// How many bytes it holds.
    pub(crate) fn holds(&self) -> usize {
        self.holds
    }

    /// Takes up to `most` bytes of what has come on `socket`, in which they are no more then. Returns how many; none is
    /// the end. To be called while it is empty.
    ///
    /// # Errors
    /// As reading from the socket, and see [`is_refused`].
    pub(crate) fn fill(&mut self, socket: impl AsFd, most: usize) -> io::Result<usize> {
        let ends = self.ends()?;
        let most = most.min(FILLING);
        let len = retry_on_intr(|| splice(&socket, None, &ends.write, None, most, SpliceFlags::NONBLOCK))?;
        self.holds += len;
        Ok(len)
    }

    /// Gives what it holds to `socket`, as much as that takes. Returns how much.
    ///
    /// # Errors
    /// As writing to the socket, and see [`is_refused`].
    pub(crate) fn drain(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let (ends, holds) = (self.ends()?, self.holds);
        let len = retry_on_intr(|| splice(&ends.read, None, &socket, None, holds, SpliceFlags::NONBLOCK))?;
        self.holds -= len.min(holds);
        Ok(len)
    }

    /// Another pipe that holds the same, in the same pages. None where there are too many, or the system would not.
    pub(crate) fn copy(&self) -> Option<Self> {
        // Those who watch leave some to the traffic.
        let mut copy = Self::among(most() / 3 * 2)?;
        let (from, to) = (self.ends().ok()?, copy.ends().ok()?);
        copy.holds = tee(&from.read, &to.write, self.holds, SpliceFlags::NONBLOCK).ok()?;
        (copy.holds == self.holds).then_some(copy)
    }

    /// Adds what it holds to `bytes`.
    ///
    /// # Errors
    /// As reading from a pipe.
    pub(crate) fn append_to(mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        bytes.reserve(self.holds);
        while self.holds > 0 {
            let ends = self.ends()?;
            let len = retry_on_intr(|| rustix::io::read(&ends.read, spare_capacity(bytes)))?;
            if len == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.holds -= len.min(self.holds);
        }
        Ok(())
    }

    /// What it holds, in memory.
    ///
    /// # Errors
    /// As reading from a pipe.
    pub(crate) fn into_bytes(self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.append_to(&mut bytes)?;
        Ok(bytes)
    }

    fn ends(&self) -> io::Result<&Ends> {
        self.ends.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        IN_USE.fetch_sub(1, Relaxed);
        // One that holds something is of no use to anybody else.
        if let Some(ends) = self.ends.take().filter(|_| self.holds == 0) {
            let mut idle = idle();
            if idle.len() < KEPT {
                idle.push(ends);
            }
        }
    }
}

impl Ends {
    fn new() -> Option<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        // A smaller one will do.
        let _ = fcntl_setpipe_size(&write, SIZE);
        Some(Self { read, write })
    }
}

/// Whether `error` is not about the socket: the system would not join it and a pipe. If it never will, there are no
/// pipes from then on.
pub(crate) fn is_refused(error: &io::Error) -> bool {
    let is_one_of =
        |errors: &[Errno]| errors.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
    let is_for_good = is_one_of(&[Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP]);
    if is_for_good && !REFUSED.swap(true, Relaxed) {
        tracing::debug!(%error, "large bodies go through memory");
    }
    is_for_good || is_one_of(&[Errno::PERM, Errno::ACCESS, Errno::NOMEM])
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// One test at a time: there are only so many pipes.
    pub(crate) fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Both ends of a connection; the second does not wait.
    fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let here = listener.accept().unwrap().0;
        here.set_nonblocking(true).unwrap();
        (there, here)
    }

    /// A pipe with this in it.
    pub(crate) fn filled(with: &[u8]) -> Pipe {
        let (mut client, socket) = connected();
        client.write_all(with).unwrap();
        drop(client);
        let mut pipe = Pipe::new().unwrap();
        while pipe.holds() < with.len() {
            match pipe.fill(&socket, with.len() - pipe.holds()) {
                Ok(len) => assert!(len > 0),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        pipe
    }

    #[test]
    fn what_comes_out_of_a_socket_goes_into_another_and_is_seen_beside() {
        let _alone = alone();
        let text: Vec<u8> = (0..100_000_u32).flat_map(u32::to_be_bytes).take(200_000).collect();
        let (mut provider, socket) = connected();
        let mut pipe = filled(&text);
        let copy = pipe.copy().unwrap();
        assert_eq!((pipe.holds(), copy.holds()), (text.len(), text.len()));

        let reads = std::thread::spawn(move || {
            let mut came = vec![0; 200_000];
            provider.read_exact(&mut came).unwrap();
            came
        });
        while pipe.holds() > 0 {
            if let Err(error) = pipe.drain(&socket) {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            }
        }
        assert_eq!(reads.join().unwrap(), text);
        assert_eq!(copy.into_bytes().unwrap(), text);
        assert_eq!(pipe.into_bytes().unwrap(), b"");
    }

    #[test]
    fn nobody_gets_what_was_left_in_a_pipe() {
        let _alone = alone();
        for _ in 0..2 * KEPT {
            drop(filled(b"left"));
            assert_eq!(filled(b"mine").into_bytes().unwrap(), b"mine");
        }
    }

    #[test]
    fn the_end_of_a_connection_is_no_bytes_and_a_socket_that_is_gone_takes_none() {
        let _alone = alone();
        let (client, socket) = connected();
        let mut pipe = Pipe::new().unwrap();
        assert_eq!(pipe.fill(&socket, 10).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(client);
        let ends = loop {
            match pipe.fill(&socket, 10) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                ends => break ends,
            }
        };
        assert_eq!(ends.unwrap(), 0);

        let (_client, socket) = connected();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let error = filled(b"late").drain(&socket).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(!is_refused(&error));
    }

    #[test]
    fn those_who_watch_leave_some_to_the_traffic() {
        let _alone = alone();
        let pipe = filled(b"watched");
        let copies: Vec<_> = std::iter::from_fn(|| pipe.copy()).take(2 * MOST).collect();
        assert!(copies.len() < MOST, "{}", copies.len());
        assert!(Pipe::new().is_some());
        drop(pipe);
        assert!(copies.into_iter().all(|copy| copy.into_bytes().unwrap() == b"watched"));
    }
}
