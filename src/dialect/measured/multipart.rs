//! `multipart/form-data`, read as it comes: its small fields are kept, its files only counted.

use std::sync::Arc;

use memchr::memmem::{self, Finder};
use perimeter_interceptor::{Media, Operation, Part, Role, Turn};

use crate::dialect::Prompt;

/// How long a boundary may be. The standard says 70.
const LONGEST_BOUNDARY: usize = 256;

/// How long the head of a part may be.
const LONGEST_HEAD: usize = 8 * 1024;

/// How much of all fields is kept. A prompt for a picture has up to 32,000 characters.
const MOST_TEXT: usize = 128 * 1024;

/// How many parts are told.
const MOST_PARTS: usize = 256;

/// How long a name may be, in bytes.
const LONGEST_NAME: usize = 256;

/// How much is looked at, at once.
const PIECE: usize = 16 * 1024;

/// A form being read.
#[derive(Debug)]
pub(crate) struct Form {
    /// What stands before each part, and after the last.
    delimiter: Finder<'static>,
    pending: Vec<u8>,
    state: State,
    fields: Vec<Field>,
    files: Vec<File>,
    /// What all fields hold.
    text: usize,
    /// Whether something was passed over.
    lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first part, or in one that is passed over.
    Beside,
    /// Behind a delimiter.
    Delimited,
    Head,
    /// In the last of the fields.
    Field,
    /// In the last of the files.
    File,
    Over,
}

#[derive(Debug)]
struct Field {
    name: String,
    value: Vec<u8>,
}

#[derive(Debug)]
struct File {
    name: Option<String>,
    media_type: Option<String>,
    size: u64,
}

impl Form {
    /// A reader of a body of this content type, where that is a form's.
    pub(crate) fn of(content_type: Option<&[u8]>) -> Option<Self> {
        let content_type = content_type?;
        let essence = content_type.split(|byte| *byte == b';').next()?.trim_ascii();
        if !essence.eq_ignore_ascii_case(b"multipart/form-data") {
            return None;
        }
        let boundary = parameter(content_type, "boundary")?;
        if boundary.is_empty() || boundary.len() > LONGEST_BOUNDARY {
            return None;
        }
        let delimiter = Finder::new(&format!("\r\n--{boundary}")).into_owned();
        // The first delimiter may be where the body begins.
        let pending = b"\r\n".to_vec();
        let (fields, files) = (Vec::new(), Vec::new());
        Some(Self { delimiter, pending, state: State::Beside, fields, files, text: 0, lost: false })
    }

    /// Reads what came next.
    pub(crate) fn feed(&mut self, chunk: &[u8]) {
        for piece in chunk.chunks(PIECE) {
            if self.state == State::Over {
                return;
            }
            self.pending.extend_from_slice(piece);
            while self.step() {}
        }
    }

    /// How many bytes of memory it holds.
    pub(crate) fn held(&self) -> usize {
        let parts = self.fields.len() * size_of::<Field>() + self.files.len() * size_of::<File>();
        self.pending.capacity() + 2 * self.text + 2 * parts + 3 * LONGEST_NAME * self.files.len()
    }

    /// Tells what was in it; whether that was all.
    pub(crate) fn fill(self, operation: Operation, prompt: &mut Prompt) -> bool {
        let mut parts = Vec::new();
        for Field { name, value } in self.fields {
            let text = text(&value);
            match &*name {
                "model" => prompt.model = Some(text.into()),
                "stream" => prompt.streaming |= text == "true",
                "stream_format" => prompt.streaming |= text == "sse",
                "prompt" => parts.push(Part::Text(text.into())),
                "purpose" => parts.push(Part::Other(format!("purpose: {text}").into())),
                _ => {}
            }
        }
        parts.extend(self.files.into_iter().map(|file| Part::Media(file.media(operation))));
        if !parts.is_empty() {
            prompt.turns.push(Turn::new(Role::User, parts));
        }
        self.state == State::Over && !self.lost
    }

    /// Goes on as far as one thing; whether there may be more.
    fn step(&mut self) -> bool {
        match self.state {
            State::Beside | State::Field | State::File => self.content(),
            State::Delimited => self.delimited(),
            State::Head => self.head(),
            State::Over => false,
        }
    }

    fn content(&mut self) -> bool {
        let found = self.delimiter.find(&self.pending);
        let length = found.unwrap_or_else(|| {
            let may_begin = self.delimiter.needle().len() - 1;
            self.pending.len().saturating_sub(may_begin)
        });
        self.keep(length);
        let behind = if found.is_some() { length + self.delimiter.needle().len() } else { length };
        self.pending.drain(..behind);
        if found.is_some() {
            self.state = State::Delimited;
        }
        found.is_some()
    }

    /// Keeps or counts the first bytes that are pending.
    fn keep(&mut self, length: usize) {
        let bytes = self.pending.get(..length).unwrap_or_default();
        match self.state {
            State::File => {
                if let Some(file) = self.files.last_mut() {
                    file.size += bytes.len() as u64;
                }
            }
            State::Field => {
                let fits = bytes.len().min(MOST_TEXT.saturating_sub(self.text));
                if let Some(field) = self.fields.last_mut() {
                    field.value.extend_from_slice(bytes.get(..fits).unwrap_or_default());
                }
                self.text += fits;
                self.lost |= fits < bytes.len();
            }
            _ => {}
        }
    }

    fn delimited(&mut self) -> bool {
        if self.pending.len() < 2 {
            return false;
        }
        self.state = if self.pending.starts_with(b"--") { State::Over } else { State::Head };
        if self.state == State::Over {
            self.pending = Vec::new();
        }
        true
    }

    /// A head begins with the end of the delimiter's line, so that one of no lines ends like any other.
    fn head(&mut self) -> bool {
        let Some(end) = memmem::find(&self.pending, b"\r\n\r\n") else {
            if self.pending.len() > LONGEST_HEAD {
                self.lost = true;
                self.state = State::Beside;
                return true;
            }
            return false;
        };
        let head: Vec<u8> = self.pending.drain(..end + 4).collect();
        self.begin(&head);
        true
    }

    fn begin(&mut self, head: &[u8]) {
        let disposition = header(head, b"content-disposition").unwrap_or_default();
        let file_name = parameter(disposition, "filename");
        self.state = State::Beside;
        if self.fields.len() + self.files.len() >= MOST_PARTS {
            self.lost = true;
        } else if file_name.is_some() {
            let media_type = header(head, b"content-type").map(|value| short(text(value)));
            self.files.push(File { name: file_name.map(short), media_type, size: 0 });
            self.state = State::File;
        } else if let Some(name) = parameter(disposition, "name") {
            self.fields.push(Field { name: short(name), value: Vec::new() });
            self.state = State::Field;
        }
    }
}

impl File {
    fn media(self, operation: Operation) -> Media {
        let kind = match (self.media_type.as_deref().and_then(|kind| kind.split('/').next()), operation) {
            (Some("image"), _) | (_, Operation::Image) => "image",
            (Some("audio" | "video"), _) | (_, Operation::Transcription) => "audio",
            _ => "document",
        };
        let mut media = Media::new(kind);
        media.media_type = self.media_type.map(Arc::from);
        media.name = self.name.filter(|name| !name.is_empty()).map(Arc::from);
        media.size = self.size;
        media
    }
}

fn short(mut name: String) -> String {
    name.truncate(name.floor_char_boundary(LONGEST_NAME));
    name
}

/// Bytes as text, as long as they are: what is no UTF-8 becomes `?`.
fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    text
}

/// The value of a line of a part's head.
fn header<'h>(head: &'h [u8], name: &[u8]) -> Option<&'h [u8]> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        let (key, value) = line.split_at_checked(colon)?;
        key.trim_ascii().eq_ignore_ascii_case(name).then(|| value.get(1..).unwrap_or_default().trim_ascii())
    })
}

/// The parameter `name` behind a value such as `form-data; name="file"`.
fn parameter(value: &[u8], name: &str) -> Option<String> {
    let mut rest = value.get(memchr::memchr(b';', value)? + 1..)?;
    while !rest.is_empty() {
        let end = memchr::memchr2(b'=', b';', rest).unwrap_or(rest.len());
        let (key, behind) = rest.split_at_checked(end)?;
        let Some(behind) = behind.strip_prefix(b"=") else {
            rest = behind.get(1..).unwrap_or_default();
            continue;
        };
        let (value, behind) = parameter_value(behind);
        if key.trim_ascii().eq_ignore_ascii_case(name.as_bytes()) {
            return Some(text(&value));
        }
        rest = behind;
    }
    None
}

/// A value, in quotes or bare, and what stands behind it.
fn parameter_value(written: &[u8]) -> (Vec<u8>, &[u8]) {
    let Some(quoted) = written.trim_ascii_start().strip_prefix(b"\"") else {
        let end = memchr::memchr(b';', written).unwrap_or(written.len());
        let (value, behind) = written.split_at_checked(end).unwrap_or_default();
        return (value.trim_ascii().to_vec(), behind.get(1..).unwrap_or_default());
    };
    let mut value = Vec::new();
    let mut bytes = quoted.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => {
                let behind = quoted.get(at + 1..).unwrap_or_default();
                let next = memchr::memchr(b';', behind).map_or(behind.len(), |at| at + 1);
                return (value, behind.get(next..).unwrap_or_default());
            }
            b'\\' => value.extend(bytes.next().map(|(_, byte)| *byte)),
            byte => value.push(*byte),
        }
    }
    (value, &[])
}

#[cfg(test)]
mod tests;
