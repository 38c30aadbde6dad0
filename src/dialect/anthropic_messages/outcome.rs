//! What came of a tool that the provider ran, in few words.

use std::borrow::Cow;

use serde::de::MapAccess;

use crate::dialect::json::{self, Number, Str};

/// What an outcome says of itself, as far as it was read: pages found, what a program wrote, an error.
#[derive(Default)]
pub(super) struct Outcome<'de> {
    title: Option<Cow<'de, str>>,
    url: Option<Cow<'de, str>>,
    stdout: Option<Cow<'de, str>>,
    stderr: Option<Cow<'de, str>>,
    return_code: Option<u64>,
    error_code: Option<Cow<'de, str>>,
    error_message: Option<Cow<'de, str>>,
    tool_name: Option<Cow<'de, str>>,
    /// Whether it refers to a file.
    pub(super) has_file: bool,
}

impl<'de> Outcome<'de> {
    /// Reads the value of `key`, which was just read.
    pub(super) fn field<A: MapAccess<'de>>(&mut self, key: &str, object: &mut A) -> Result<bool, A::Error> {
        match key {
            "title" => json::value(object, Str(&mut self.title))?,
            "url" => json::value(object, Str(&mut self.url))?,
            "stdout" => json::value(object, Str(&mut self.stdout))?,
            "stderr" => json::value(object, Str(&mut self.stderr))?,
            "return_code" => json::value(object, Number(&mut self.return_code))?,
            "error_code" => json::value(object, Str(&mut self.error_code))?,
            "error_message" => json::value(object, Str(&mut self.error_message))?,
            "tool_name" => json::value(object, Str(&mut self.tool_name))?,
            "file_id" => {
                self.has_file = true;
                json::skip(object)?
            }
            _ => json::skip(object)?,
        };
        Ok(true)
    }

    /// What it says, a line each.
    pub(super) fn text(self) -> String {
        let page = match (self.title, self.url) {
            (Some(title), Some(url)) => Some(format!("{title} <{url}>").into()),
            (title, url) => title.or(url),
        };
        let code =
            self.return_code.filter(|code| *code != 0).map(|code| format!("return code {code}").into());
        let error = match (self.error_code, self.error_message) {
            (Some(code), Some(message)) => Some(format!("{code}: {message}").into()),
            (code, message) => code.or(message),
        };
        let lines = [page, self.stdout, self.stderr, code, error, self.tool_name];
        let lines: Vec<Cow<'_, str>> = lines.into_iter().flatten().collect();
        let lines: Vec<&str> =
            lines.iter().map(|line| line.trim_end()).filter(|line| !line.is_empty()).collect();
        lines.join("\n")
    }
}
