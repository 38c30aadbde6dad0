//! The [`events`](crate::events) of each session in a file of its own.
//!
//! Files are appended to, never written anew, also by a later run of the program. Events are held for a moment and
//! written when there is time, when many are held, when a session ends and at the stop.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use lru::LruCache;
use perimeter_interceptor::Result;
use perimeter_redact::redact_start;

use crate::events::{Event, Events, Name, Sink};
use crate::file::{OpenError, expand_home, make_directory};
use crate::lines::{Lost, WriteError};

mod document;
mod name;
mod pretty;
mod session_file;
mod settings;

pub use settings::{FileFormat, Settings};

use session_file::{Batch, SessionFile};

/// So many files are open at once; the one that was not written to for the longest time is closed first.
const OPEN: usize = 64;
/// From here on events are written, however few they are, bytes.
const WRITE_FROM: usize = 1 << 20;
/// What is held of events that cannot be written, bytes. What goes beyond it is lost, and counted.
const HOLD: usize = 4 << 20;

/// Writes events to files.
pub type EventRecorder = Events<EventFiles>;

impl EventRecorder {
    /// Makes the directory, where it is not there yet.
    ///
    /// # Errors
    /// [`OpenError`], where that cannot be.
    pub fn new(settings: Settings) -> std::result::Result<Self, OpenError> {
        EventFiles::new(settings).map(Self::to)
    }
}

/// The files of all sessions.
pub struct EventFiles {
    settings: Settings,
    directory: PathBuf,
    held: HashMap<Arc<str>, Held>,
    /// Bytes of all that is held.
    bytes: usize,
    open: LruCache<Arc<str>, SessionFile>,
    /// Why the last try failed, if it did. It was said.
    stuck: Option<io::ErrorKind>,
    /// Events that there was no room to hold.
    lost: usize,
}

impl std::fmt::Debug for EventFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventFiles").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Events of a session that are not in its file yet.
struct Held {
    /// Each a line.
    lines: Vec<u8>,
    /// How many they are.
    count: usize,
    /// Whether the session begins with them.
    begins: bool,
    /// When the first of them happened, and the last.
    times: (SystemTime, SystemTime),
}

impl Held {
    /// The first of them are in the file. How many bytes those were.
    fn let_go(&mut self, written: usize) -> usize {
        self.count -= written;
        if self.count == 0 {
            return std::mem::take(&mut self.lines).len();
        }
        let Some(last) = written.checked_sub(1) else { return 0 };
        let end = memchr::memchr_iter(b'\n', &self.lines).nth(last).map_or(0, |end| end + 1);
        self.lines.drain(..end).len()
    }

    /// Lets go of the last, and says how many bytes it was.
    fn drop_last(&mut self) -> usize {
        let before = self.lines.get(..self.lines.len().saturating_sub(1)).unwrap_or_default();
        let end = memchr::memrchr(b'\n', before).map_or(0, |end| end + 1);
        self.count -= 1;
        self.lines.drain(end..).len()
    }
}

impl EventFiles {
    /// Makes the directory, where it is not there yet.
    ///
    /// # Errors
    /// [`OpenError`], where that cannot be.
    pub fn new(settings: Settings) -> std::result::Result<Self, OpenError> {
        let directory = expand_home(&settings.output_dir)?;
        make_directory(&directory)
            .map_err(|source| OpenError::Directory { path: directory.clone(), source })?;
        Ok(Self {
            settings,
            directory,
            held: HashMap::new(),
            bytes: 0,
            open: LruCache::unbounded(),
            stuck: None,
            lost: 0,
        })
    }

    fn path_of(&self, session: &str) -> PathBuf {
        self.path(session, &self.shown(session))
    }

    /// Where the session is that is `shown` so.
    fn path(&self, session: &str, shown: &str) -> PathBuf {
        let name = if shown == session { name::of } else { name::of_secret };
        self.directory.join(name(session, self.settings.file_format.extension()))
    }

    /// A session's name as it stands in files.
    fn shown<'a>(&self, session: &'a str) -> Cow<'a, str> {
        if self.settings.redact_credentials { redact_start(session, session.len()) } else { session.into() }
    }

    fn hold(&mut self, event: &Event) {
        let begins = event.name == Name::SessionStart;
        let new = || Held { lines: Vec::new(), count: 0, begins, times: (event.at, event.at) };
        let held = self.held.entry(Arc::clone(&event.session)).or_insert_with(new);
        let before = held.lines.len();
        event.write_line(self.settings.redact_credentials, &mut held.lines);
        self.bytes += held.lines.len() - before;
        held.count += 1;
        held.times.1 = event.at;
    }

    /// Writes what is held of a session.
    fn write(&mut self, session: &Arc<str>) -> io::Result<()> {
        let Some(mut held) = self.held.remove(session) else { return Ok(()) };
        let shown = self.shown(session);
        let (written, result) = match self.open(session, &shown, held.begins) {
            Ok(file) => file.append(&Batch {
                session: &shown,
                lines: &held.lines,
                count: held.count,
                times: held.times,
            }),
            Err(error) => (0, Err(error)),
        };
        self.bytes -= held.let_go(written);
        if held.count > 0 {
            self.held.insert(Arc::clone(session), held);
        }
        if result.is_err() {
            // Whatever it was, it is found out anew.
            self.open.pop(session);
        }
        result
    }

    fn open(&mut self, session: &Arc<str>, shown: &str, begins: bool) -> io::Result<&mut SessionFile> {
        if !self.open.contains(session) {
            while self.open.len() >= OPEN {
                self.open.pop_lru();
            }
            let file = SessionFile::open(&self.path(session, shown), begins, &self.settings)?;
            self.open.put(Arc::clone(session), file);
        }
        self.open.get_mut(session).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Writes all that is held.
    fn write_all(&mut self) -> std::result::Result<(), WriteError> {
        let sessions: Vec<_> = self.held.keys().cloned().collect();
        let mut first = None;
        for session in sessions {
            if let Err(source) = self.write(&session) {
                first.get_or_insert((session, source));
            }
        }
        self.note(first)
    }

    /// Says an error, if it is the first since all went well.
    fn note(&mut self, error: Option<(Arc<str>, io::Error)>) -> std::result::Result<(), WriteError> {
        let Some((session, source)) = error else {
            if self.stuck.is_some() && self.held.is_empty() {
                let (directory, lost) = (self.directory.display(), self.lost);
                tracing::info!(%directory, lost, "events can be written again");
                (self.stuck, self.lost) = (None, 0);
            }
            return Ok(());
        };
        let is_first = self.stuck.replace(source.kind()).is_none();
        if is_first { Err(WriteError { path: self.path_of(&session), source }) } else { Ok(()) }
    }

    /// Lets go of what was held last of a session, where more is held than there is room for.
    fn bound(&mut self, session: &Arc<str>) -> std::result::Result<(), Lost> {
        if self.bytes <= HOLD {
            return Ok(());
        }
        let Some(held) = self.held.get_mut(session) else { return Ok(()) };
        self.bytes -= held.drop_last();
        if held.count == 0 {
            self.held.remove(session);
        }
        self.lost += 1;
        if self.lost > 1 {
            return Ok(());
        }
        let source = self.stuck.unwrap_or(io::ErrorKind::Other).into();
        Err(Lost { path: self.path_of(session), lines: 1, source })
    }
}

impl Sink for EventFiles {
    fn event(&mut self, event: Event) -> Result {
        self.hold(&event);
        let session = &event.session;
        let written = if event.name == Name::SessionEnd {
            let written = self.write(session);
            self.open.pop(session);
            let error = written.err().map(|source| (Arc::clone(session), source));
            self.note(error)
        } else if self.stuck.is_none() && self.bytes >= WRITE_FROM {
            self.write_all()
        } else if self.bytes > HOLD {
            // Of those that wait for room there may be thousands: they are tried again when there is time.
            let error = self.write(session).err().map(|source| (Arc::clone(session), source));
            self.note(error)
        } else {
            Ok(())
        };
        self.bound(session)?;
        Ok(written?)
    }

    fn idle(&mut self) -> Result {
        Ok(self.write_all()?)
    }

    fn finish(mut self) -> Result {
        let sessions: Vec<_> = self.held.keys().cloned().collect();
        let mut last = None;
        for session in sessions {
            last = self.write(&session).err().or(last);
        }
        let lines = self.lost + self.held.values().map(|held| held.count).sum::<usize>();
        match last {
            Some(source) => Err(Lost { path: self.directory, lines, source }.into()),
            None => Ok(()),
        }
    }
}
