//! What came of a tool, in few words. All of it stands in the body.

use std::borrow::Cow;

use serde::de::{MapAccess, SeqAccess};
use serde_json::value::RawValue;

use crate::dialect::json::{self, Str, Take};

/// What a search found, in a line each: the name or address, and the text where there is one.
pub(super) fn found(results: &RawValue) -> String {
    let mut lines = String::new();
    json::read(results.get().as_bytes(), Found(&mut lines));
    lines
}

/// The message of an error: it is a text, or an object that holds one.
pub(super) fn error(written: &str) -> Cow<'_, str> {
    let mut error = Entry::default();
    json::read(written.as_bytes(), &mut error);
    error.text.unwrap_or(Cow::Borrowed(written))
}

struct Found<'s>(&'s mut String);

impl<'de> Take<'de> for Found<'_> {
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        loop {
            let mut entry = Entry::default();
            let Some(_) = json::element(&mut list, &mut entry)? else { return Ok(true) };
            let Some(line) = entry.line() else { continue };
            if !self.0.is_empty() {
                self.0.push('\n');
            }
            self.0.push_str(&line);
        }
    }
}

#[derive(Default)]
struct Entry<'de> {
    name: Option<Cow<'de, str>>,
    text: Option<Cow<'de, str>>,
}

impl<'de> Entry<'de> {
    fn line(self) -> Option<Cow<'de, str>> {
        match (self.name, self.text) {
            (Some(name), Some(text)) => Some(format!("{name}: {text}").into()),
            (name, text) => name.or(text),
        }
    }
}

impl<'de> Take<'de> for &mut Entry<'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "filename" | "url" | "name" => json::value(&mut object, Str(&mut self.name))?,
                "text" | "message" => json::value(&mut object, Str(&mut self.text))?,
                // An error of a tool's has a list of texts.
                "content" => json::value(&mut object, &mut *self)?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let mut lines = String::new();
        while let Some(_read) = json::element(&mut list, &mut *self)? {
            if let Some(text) = self.text.take() {
                lines.push_str(if lines.is_empty() { "" } else { "\n" });
                lines.push_str(&text);
            }
        }
        self.text = Some(lines.into()).filter(|text: &Cow<'_, str>| !text.is_empty());
        Ok(true)
    }
}
