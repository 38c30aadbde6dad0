//! What a running perimeter tells about what its interceptors saw, and the files that they fill.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What can be asked of a running perimeter about its interceptors.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(super) admin: SocketAddr,
    pub(super) files: Files,
}

/// Where interceptors write.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// The message logger.
    pub(super) messages: Option<PathBuf>,
    /// The event recorder: a file a session.
    pub(super) events: Option<PathBuf>,
    /// The session detector.
    pub(super) sessions: Option<PathBuf>,
}

impl Watch {
    /// Bytes that passed unseen so far, over all queues; none where its metrics do not say.
    pub(crate) fn unseen(&self) -> io::Result<Option<f64>> {
        Ok(unseen(&self.metrics()?))
    }

    fn metrics(&self) -> io::Result<String> {
        let mut admin = TcpStream::connect(self.admin)?;
        admin.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(admin, "GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin)?;
        let mut page = String::new();
        admin.read_to_string(&mut page)?;
        Ok(page)
    }

    /// What the message logger wrote since the last time. All that was written is thrown away: a long run would fill
    /// the disk.
    pub(crate) fn take_logged(&self) -> io::Result<Option<Logged>> {
        let Files { messages, events, sessions } = &self.files;
        events.as_deref().map(set_aside).transpose()?;
        sessions.as_deref().map(emptied).transpose()?;
        messages.as_deref().map(emptied).transpose()
    }
}

/// What the message logger wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
}

/// Empties every file of the folder without removing one, since its writer goes on appending.
fn emptied(dir: &Path) -> io::Result<Logged> {
    let mut logged = Logged::default();
    for entry in fs::read_dir(dir)? {
        match File::options().read(true).write(true).open(entry?.path()) {
            Ok(file) => {
                count(&file, &mut logged)?;
                file.set_len(0)?;
            }
            // Turned over since the folder was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(logged)
}

/// Puts the folder aside, with all of its files, and empties them. They are removed when the run is over: a file system
/// may take ten times as long to make a file for minutes after many were removed (ext4 without a journal passes over
/// each of those).
fn set_aside(dir: &Path) -> io::Result<()> {
    let aside =
        (0..).map(|number| dir.with_extension(format!("aside-{number}"))).find(|aside| !aside.exists());
    let Some(aside) = aside else { return Ok(()) };
    fs::rename(dir, &aside)?;
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        // Who writes there may have made it anew.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for entry in fs::read_dir(&aside)? {
        File::options().write(true).open(entry?.path())?.set_len(0)?;
    }
    Ok(())
}

fn count(mut file: &File, logged: &mut Logged) -> io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
        logged.bytes += bytes.len() as u64;
        logged.lines += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    }
}

/// The sum of the samples of each metric of unseen bytes.
fn unseen(metrics: &str) -> Option<f64> {
    let samples = metrics.lines().filter(|line| line.starts_with("perimeter_")).filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let name = series.split('{').next()?;
        (name.contains("unseen") && name.contains("bytes")).then(|| value.parse::<f64>().ok())?
    });
    samples.reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unseen_bytes_are_summed_over_queues() {
        let page = "HTTP/1.1 200 OK\r\nx-unseen-bytes: 4\r\n\r\n\
                    # TYPE perimeter_unseen_bytes_total counter\n\
                    perimeter_unseen_bytes_total{queue=\"journal\"} 100\n\
                    perimeter_unseen_bytes_total{queue=\"mailbox printer\"} 20\n\
                    perimeter_request_bytes_total 7\n";
        assert_eq!(unseen(page), Some(120.0));
        assert_eq!(unseen("perimeter_request_bytes_total 7\n"), None);
    }

    #[test]
    fn metrics_are_asked_for_at_the_admin_listener() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let watch = Watch { admin: listener.local_addr().unwrap(), files: Files::default() };
        let admin = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                client.read_exact(&mut byte).unwrap();
                asked.extend(byte);
            }
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\nperimeter_unseen_bytes_total 3\n").unwrap();
            asked
        });
        assert_eq!(watch.unseen().unwrap(), Some(3.0));
        assert!(admin.join().unwrap().starts_with(b"GET /metrics HTTP/1.1\r\n"));
        assert_eq!(watch.take_logged().unwrap(), None);
    }

    #[test]
    fn a_log_is_emptied_under_its_writer() {
        let dir = tempfile::tempdir().unwrap();
        let mut log =
            File::options().create(true).append(true).open(dir.path().join("message_log.jsonl")).unwrap();
        log.write_all(b"one\n").unwrap();
        assert_eq!(emptied(dir.path()).unwrap(), Logged { bytes: 4, lines: 1 });
        log.write_all(b"two\nthree\n").unwrap();
        assert_eq!(emptied(dir.path()).unwrap(), Logged { bytes: 10, lines: 2 });
        assert_eq!(emptied(dir.path()).unwrap(), Logged::default());
    }

    #[test]
    fn files_of_sessions_are_put_aside_and_hold_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let events = dir.path().join("events");
        fs::create_dir(&events).unwrap();
        for _ in 0..2 {
            fs::write(events.join("session"), "[]").unwrap();
            set_aside(&events).unwrap();
            assert_eq!(fs::read_dir(&events).unwrap().count(), 0);
        }
        for aside in ["events.aside-0", "events.aside-1"] {
            assert_eq!(fs::read(dir.path().join(aside).join("session")).unwrap(), b"");
        }
    }
}
