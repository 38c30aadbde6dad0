//! The file of one session.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;

use super::document::Document;
use super::{FileFormat, Settings};
use crate::file::LineFile;
use crate::{line, time};

/// Events of a session on their way to its file.
pub(super) struct Batch<'a> {
    pub(super) session: &'a str,
    /// Each a line.
    pub(super) lines: &'a [u8],
    /// How many they are: one at least.
    pub(super) count: usize,
    /// When the first of them happened, and the last.
    pub(super) times: (SystemTime, SystemTime),
}

impl Batch<'_> {
    pub(super) fn events(&self) -> impl Iterator<Item = &str> {
        // It is JSON, and so it is text.
        str::from_utf8(self.lines).unwrap_or_default().lines()
    }
}

/// A file in one of the formats.
#[derive(Debug)]
pub(super) enum SessionFile {
    Lines { file: LineFile, metadata: bool },
    Document(Document),
}

/// What the first line of a file says of it.
#[derive(Serialize)]
struct FirstLine<'a> {
    _metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    format: &'static str,
    session_id: &'a str,
    created_at: String,
    interceptor: &'static str,
}

impl SessionFile {
    /// Opens it, and makes it first where the session only `begins`.
    pub(super) fn open(path: &Path, begins: bool, settings: &Settings) -> io::Result<Self> {
        Ok(match settings.file_format {
            FileFormat::Jsonl => {
                let made = begins.then(|| LineFile::create(path)).flatten();
                let file = made.map_or_else(|| LineFile::open_file(path), Ok)?;
                Self::Lines { file, metadata: settings.include_metadata }
            }
            FileFormat::Json => Self::Document(Document::open(path, settings)?),
        })
    }

    /// Appends events. How many of them are in the file now.
    pub(super) fn append(&mut self, batch: &Batch<'_>) -> (usize, io::Result<()>) {
        match self {
            Self::Lines { file, metadata } => append_lines(file, *metadata, batch),
            Self::Document(document) => match document.append(batch) {
                Ok(()) => (batch.count, Ok(())),
                Err(error) => (0, Err(error)),
            },
        }
    }
}

fn append_lines(file: &mut LineFile, metadata: bool, batch: &Batch<'_>) -> (usize, io::Result<()>) {
    let is_empty = match file.is_empty() {
        Ok(is_empty) => is_empty,
        Err(error) => return (0, Err(error)),
    };
    if !(is_empty && metadata) {
        return match file.append(batch.lines) {
            (_, Ok(())) => (batch.count, Ok(())),
            (written, error) => (lines_in(batch.lines, 0..written), error),
        };
    }
    let (format, interceptor) = ("jsonl", "event_recorder");
    let created_at = time::timestamp(batch.times.0);
    let metadata = Metadata { format, session_id: batch.session, created_at, interceptor };
    let first = line::of(&FirstLine { _metadata: metadata });
    let text = [first.as_bytes(), b"\n", batch.lines].concat();
    let (written, result) = file.append(&text);
    (lines_in(&text, first.len() + 1..written), result)
}

/// How many whole lines there are.
fn lines_in(text: &[u8], range: Range<usize>) -> usize {
    memchr::memchr_iter(b'\n', text.get(range).unwrap_or_default()).count()
}
