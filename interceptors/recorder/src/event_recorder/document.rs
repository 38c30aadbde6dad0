//! A JSON document that grows: `{"events":[…],"metadata":{…}}`. Only what closes it is written over, in the one write
//! that brings new events too, under a lock: whoever takes a shared one (`flock`) finds it whole. Who takes none does, too,
//! but for the moment of a write, which the system makes visible page by page.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::Settings;
use super::pretty::indented;
use super::session_file::Batch;
use crate::file::{Place, identity, make_directory_of, open_with};
use crate::time;

/// How much of the end of a file is read to find what closes it, bytes.
const END: u64 = 16 << 10;

/// The document of one session.
#[derive(Debug)]
pub(super) struct Document {
    path: PathBuf,
    metadata: bool,
    pretty: bool,
    file: File,
    identity: Option<(u64, u64)>,
    size: u64,
    found: Found,
}

/// What is in a file.
#[derive(Debug, Default)]
struct Found {
    /// Where the last event ends, and what closes the document begins. 0: the file is empty.
    end: u64,
    /// How many events there are.
    count: u64,
    created_at: Option<String>,
}

/// What closes a document.
#[derive(Deserialize)]
struct Closing {
    #[serde(rename = "events")]
    _events: [IgnoredAny; 0],
    metadata: Option<Known>,
}

#[derive(Deserialize)]
struct Known {
    created_at: Option<String>,
    events_count: Option<u64>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    format: &'static str,
    session_id: &'a str,
    created_at: &'a str,
    last_updated: String,
    events_count: u64,
    interceptor: &'static str,
}

impl Document {
    /// Opens it, and keeps others from writing to it until events were appended.
    pub(super) fn open(path: &Path, settings: &Settings) -> io::Result<Self> {
        Self::open_as(path, settings.include_metadata, settings.pretty_print)
    }

    fn open_as(path: &Path, metadata: bool, pretty: bool) -> io::Result<Self> {
        make_directory_of(path).map_err(|(_, error)| error)?;
        let (file, _) =
            open_with(OpenOptions::new().read(true).write(true).truncate(false), path, Place::File)?;
        lock(&file)?;
        let about = file.metadata()?;
        let size = about.len();
        let found = match size {
            0 => Found::default(),
            _ => match find_closing(&file, size)? {
                Some(found) if !metadata || found.created_at.is_some() => found,
                _ => find_events(&file)?,
            },
        };
        let (path, identity) = (path.to_owned(), identity(&about));
        Ok(Self { path, metadata, pretty, file, identity, size, found })
    }

    /// Appends events: all of them or, with an error, none.
    pub(super) fn append(&mut self, batch: &Batch<'_>) -> io::Result<()> {
        lock(&self.file)?;
        let appended = self.find_again().and_then(|()| self.append_locked(batch));
        // Where that fails, nobody has it, or it ends with the file.
        let _ = self.file.unlock();
        appended
    }

    fn append_locked(&mut self, batch: &Batch<'_>) -> io::Result<()> {
        let created_at = self.found.created_at.clone().unwrap_or_else(|| time::timestamp(batch.times.0));
        let count = self.found.count + batch.count as u64;
        let mut text = self.opening();
        for (number, event) in batch.events().enumerate() {
            let is_first = self.found.count == 0 && number == 0;
            text.push_str(if is_first { "\n" } else { ",\n" });
            text.push_str(&if self.pretty { indented(event, 2).into() } else { Cow::Borrowed(event) });
        }
        let end = self.found.end + text.len() as u64;
        text.push_str(&self.closing(batch, &created_at, count));
        self.write(&text)?;
        self.found = Found { end, count, created_at: Some(created_at) };
        Ok(())
    }

    fn opening(&self) -> String {
        match (self.found.end, self.pretty) {
            (0, true) => "{\n  \"events\": [".to_owned(),
            (0, false) => "{\"events\":[".to_owned(),
            _ => String::new(),
        }
    }

    /// No event has a line that begins like this.
    fn closing(&self, batch: &Batch<'_>, created_at: &str, events_count: u64) -> String {
        let mut text = if self.pretty { "\n  ]" } else { "\n]" }.to_owned();
        if self.metadata {
            let metadata = Metadata {
                format: "json",
                session_id: batch.session,
                created_at,
                last_updated: time::timestamp(batch.times.1),
                events_count,
                interceptor: "event_recorder",
            };
            let metadata = serde_json::to_string(&metadata).unwrap_or_default();
            text.push_str(if self.pretty { ",\n  \"metadata\": " } else { ",\"metadata\":" });
            text.push_str(&metadata);
        }
        text.push_str(if self.pretty { "\n}\n" } else { "}\n" });
        text
    }

    /// Writes this in place of what closes the document. Where that cannot be, it is closed as before.
    fn write(&mut self, text: &str) -> io::Result<()> {
        let mut closing = vec![0; usize::try_from(self.size - self.found.end).unwrap_or_default()];
        self.file.read_exact_at(&mut closing, self.found.end)?;
        let written = self.file.write_all_at(text.as_bytes(), self.found.end);
        if written.is_err() {
            self.file.write_all_at(&closing, self.found.end)?;
            self.file.set_len(self.size)?;
            return written;
        }
        let size = self.found.end + text.len() as u64;
        if size < self.size {
            self.file.set_len(size)?;
        }
        self.size = size;
        Ok(())
    }

    /// Opens the path once more where it does not lead to this file any longer, or somebody else wrote to it.
    fn find_again(&mut self) -> io::Result<()> {
        let is_same = match fs::symlink_metadata(&self.path) {
            Ok(about) => identity(&about) == self.identity && about.len() == self.size,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if !is_same {
            // It may be the very file that is opened once more, and locked.
            let _ = self.file.unlock();
            *self = Self::open_as(&self.path, self.metadata, self.pretty)?;
        }
        Ok(())
    }
}

/// Waits until no other process writes to it. There are file systems without locks: there, nobody waits.
fn lock(file: &File) -> io::Result<()> {
    match file.lock() {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        result => result,
    }
}

/// Looks for what closes the document where it should be.
fn find_closing(file: &File, size: u64) -> io::Result<Option<Found>> {
    let start = size.saturating_sub(END);
    let mut tail = vec![0; usize::try_from(size - start).unwrap_or_default()];
    file.read_exact_at(&mut tail, start)?;
    let at = ["\n]", "\n  ]"].iter().filter_map(|mark| memchr::memmem::rfind(&tail, mark.as_bytes())).max();
    let Some((events, closing)) = at.and_then(|at| tail.split_at_checked(at)) else { return Ok(None) };
    let document = [b"{\"events\":[", closing].concat();
    let Ok(Closing { metadata, .. }) = serde_json::from_slice(&document) else { return Ok(None) };
    if events.last() != Some(&b'}') {
        return Ok(None);
    }
    let end = start + events.len() as u64;
    Ok(match metadata {
        Some(Known { created_at, events_count: Some(count) }) => Some(Found { end, count, created_at }),
        // How many there are does not matter: there are some.
        _ => Some(Found { end, count: 1, created_at: None }),
    })
}

/// Reads the whole of a file that is not closed, as after a crash: up to where its last whole event ends.
fn find_events(file: &File) -> io::Result<Found> {
    let mut scan = Scan::default();
    let mut offset = 0;
    let mut reader = BufReader::new(At { file, offset: 0 });
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            break;
        }
        let length = chunk.len();
        for byte in chunk {
            offset += 1;
            scan.read(*byte, offset)?;
        }
        reader.consume(length);
    }
    // Without one, not even the beginning was written.
    Ok(scan.found.unwrap_or_default())
}

fn foreign() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is there already and is no file of events")
}

/// How every document begins, but for white space.
const BEGINNING: &[u8] = b"{\"events\":[";

/// Finds the ends of events, byte by byte.
#[derive(Default)]
struct Scan {
    /// How much of the beginning was there.
    began: usize,
    /// How deep it is within the list of events.
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Whether the list has ended.
    over: bool,
    found: Option<Found>,
}

impl Scan {
    fn read(&mut self, byte: u8, offset: u64) -> io::Result<()> {
        if self.over {
            return Ok(());
        }
        if let Some(expected) = BEGINNING.get(self.began) {
            if byte == *expected {
                self.began += 1;
            } else if !byte.is_ascii_whitespace() {
                return Err(foreign());
            }
            if self.began == BEGINNING.len() {
                self.found = Some(Found { end: offset, ..Found::default() });
            }
            return Ok(());
        }
        if self.in_string {
            self.in_string = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
            return Ok(());
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth == 0 => self.over = true,
            b'}' | b']' => {
                self.depth -= 1;
                if self.depth == 0
                    && let Some(found) = &mut self.found
                {
                    found.end = offset;
                    found.count += 1;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Reads a file from a place of its own.
struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl io::Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}
