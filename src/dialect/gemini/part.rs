//! A part of what is said.

use std::borrow::Cow;
use std::sync::Arc;

use perimeter_interceptor::{CallId, Media, Part, ToolResult, ToolUse};
use serde::de::{MapAccess, SeqAccess};
use serde_json::value::RawValue;

use crate::dialect::content_hash;
use crate::dialect::fields::Fields;
use crate::dialect::json::{self, Flag, Room, Str, Take};

/// What the tool is called that runs what is in `executableCode`.
const CODE_EXECUTION: &str = "code_execution";

/// A part, as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Piece<'de> {
    text: Option<Cow<'de, str>>,
    pub(super) thought: bool,
    pub(super) signature: Option<&'de RawValue>,
    /// What it is where it is no text, in the provider's word.
    kind: Option<Cow<'de, str>>,
    details: Details<'de>,
    /// Whether it has a field that goes with any kind of part.
    has_more: bool,
}

/// What is in the object of a part's kind, whichever that is.
#[derive(Debug, Default)]
struct Details<'de> {
    id: Option<Cow<'de, str>>,
    name: Option<Cow<'de, str>>,
    /// A function's arguments; the code that is run.
    input: Option<&'de RawValue>,
    /// Whether the arguments come in pieces.
    in_pieces: bool,
    response: Option<&'de RawValue>,
    outcome: Option<Cow<'de, str>>,
    output: Option<Cow<'de, str>>,
    media_type: Option<Cow<'de, str>>,
    /// The size of the data, base64.
    size: u64,
    hash: u64,
    /// What comes with a function's response.
    media: Vec<Details<'de>>,
}

impl<'de> Piece<'de> {
    /// Its text, where it is one, and whether that is all of it (but for `thought` and the signature).
    pub(super) fn text(&self) -> Option<(&str, bool)> {
        let is_text = self.kind.is_none();
        self.text.as_deref().filter(|_| is_text).map(|text| (text, !self.has_more))
    }

    /// Adds what it is to `parts`. Where the body broke off in it, it is not `whole`, and no tool is asked for.
    pub(super) fn push(self, call: CallId, whole: bool, parts: &mut Vec<Part>) {
        let Self { text, thought, kind, details, .. } = self;
        match kind.as_deref() {
            None => {
                let text = text.filter(|text| !text.is_empty()).map(Arc::<str>::from);
                parts.extend(text.map(if thought { Part::Thinking } else { Part::Text }));
            }
            Some("functionCall" | "function_call") if details.name.is_some() && !details.in_pieces => {
                parts.extend(whole.then(|| details.tool_use(call, false)));
            }
            Some("toolCall" | "tool_call") => parts.extend(whole.then(|| details.tool_use(call, true))),
            Some("executableCode" | "executable_code") => {
                let details = Details { name: Some(Cow::Borrowed(CODE_EXECUTION)), ..details };
                parts.extend(whole.then(|| details.tool_use(call, true)));
            }
            Some("functionResponse" | "function_response" | "toolResponse" | "tool_response") => {
                details.push_response(parts);
            }
            Some("codeExecutionResult" | "code_execution_result") => {
                parts.push(Part::ToolResult(details.code_result()));
            }
            Some("inlineData" | "inline_data" | "fileData" | "file_data") => {
                parts.push(Part::Media(details.as_media()));
            }
            Some(other) => parts.push(Part::Other(other.into())),
        }
    }
}

impl Details<'_> {
    fn tool_use(self, call: CallId, hosted: bool) -> Part {
        let input = self.input.map_or_else(|| "{}".to_owned(), compact);
        let mut tool = ToolUse::new(call, self.name.unwrap_or_default(), input);
        tool.id = self.id.map(Into::into);
        tool.hosted = hosted;
        Part::ToolUse(tool.into())
    }

    /// Where there is no id, the function's name says which call is answered.
    fn push_response(self, parts: &mut Vec<Part>) {
        let mut text = Cow::Borrowed("");
        let mut is_error = false;
        if let Some(response) = self.response {
            (text, is_error) = response_text(response);
        }
        let mut result = ToolResult::new(self.id.or(self.name).map(Into::into), text);
        result.is_error = is_error;
        parts.push(Part::ToolResult(result));
        parts.extend(self.media.into_iter().map(|media| Part::Media(media.as_media())));
    }

    fn code_result(self) -> ToolResult {
        let mut result = ToolResult::new(self.id.map(Into::into), self.output.unwrap_or_default());
        result.is_error = self.outcome.is_some_and(|outcome| outcome != "OUTCOME_OK");
        result
    }

    fn as_media(&self) -> Media {
        let class = self.media_type.as_deref().and_then(|media_type| media_type.split('/').next());
        let class = class.filter(|class| matches!(*class, "image" | "audio" | "video"));
        let mut media = Media::new(class.unwrap_or("document"));
        media.media_type = self.media_type.as_deref().map(Into::into);
        (media.size, media.hash) = (self.size, self.hash);
        media
    }
}

/// What a function answered, and whether that is an error. The answer is any object; by convention it stands in one
/// field of it.
fn response_text(response: &RawValue) -> (Cow<'_, str>, bool) {
    let mut fields = Fields::default();
    json::read(response.get().as_bytes(), &mut fields);
    let is_error = fields.raw("error").is_some_and(|error| error.get() != "null");
    let value = match &*fields.0 {
        [(name, value)] if matches!(&**name, "output" | "result" | "error") => value,
        _ => response,
    };
    let mut text = None;
    json::read(value.get().as_bytes(), Str(&mut text));
    (text.unwrap_or_else(|| Cow::Owned(compact(value))), is_error)
}

/// JSON without the white space between its marks: Google indents what it sends, and clients send it back as they
/// like.
fn compact(json: &RawValue) -> String {
    let json = json.get();
    let mut compact = String::with_capacity(json.len());
    let mut in_string = false;
    let mut is_escaped = false;
    for character in json.chars() {
        let is_space = !in_string && character.is_ascii_whitespace();
        in_string ^= character == '"' && !is_escaped;
        is_escaped = in_string && character == '\\' && !is_escaped;
        if !is_space {
            compact.push(character);
        }
    }
    compact
}

impl<'de> Take<'de> for &mut Piece<'de> {
    /// Just a text.
    fn text(self, text: Cow<'de, str>) -> bool {
        self.text = Some(text);
        true
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "text" => json::value(&mut object, Str(&mut self.text))?,
                "thought" => json::value(&mut object, Flag(&mut self.thought))?,
                "thoughtSignature" | "thought_signature" => {
                    self.signature = json::raw(&mut object)?;
                    true
                }
                "executableCode" | "executable_code" => {
                    let code = json::raw(&mut object)?;
                    if let Some(code) = code {
                        json::read(code.get().as_bytes(), &mut self.details);
                        self.details.input = Some(code);
                        self.kind = Some(key);
                    }
                    true
                }
                _ if goes_with_any(&key) => {
                    self.has_more = true;
                    json::skip(&mut object)?
                }
                _ => {
                    self.kind = Some(key);
                    // What is not known may be anything.
                    json::value(&mut object, &mut self.details)?;
                    true
                }
            };
        }
        Ok(fine)
    }
}

/// Whether a field says something of a part that is something else.
fn goes_with_any(field: &str) -> bool {
    field.ends_with("etadata")
        || matches!(field, "mediaResolution" | "media_resolution" | "mediaProcessing" | "audioTranscription")
}

impl<'de> Take<'de> for &mut Details<'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "id" => json::value(&mut object, Str(&mut self.id))?,
                "name" | "toolType" | "tool_type" => json::value(&mut object, Str(&mut self.name))?,
                "args" => {
                    self.input = json::raw(&mut object)?;
                    true
                }
                "willContinue" | "will_continue" => json::value(&mut object, Flag(&mut self.in_pieces))?,
                "response" => {
                    self.response = json::raw(&mut object)?;
                    true
                }
                "outcome" => json::value(&mut object, Str(&mut self.outcome))?,
                "output" => json::value(&mut object, Str(&mut self.output))?,
                "mimeType" | "mime_type" => json::value(&mut object, Str(&mut self.media_type))?,
                "data" => {
                    let mut data = None;
                    let read = json::value(&mut object, Str(&mut data))?;
                    let data = data.unwrap_or_default();
                    (self.size, self.hash) = (data.len() as u64, content_hash(&data));
                    read
                }
                "parts" => json::value(&mut object, ResponseParts(&mut self.media))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}

/// How many parts a function's response is read to have.
const MOST_RESPONSE_PARTS: usize = 100;

/// Takes what comes with a function's response.
struct ResponseParts<'s, 'de>(&'s mut Vec<Details<'de>>);

impl<'de> Take<'de> for ResponseParts<'_, 'de> {
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let mut fine = true;
        loop {
            let mut part = Details::default();
            let Some(read) = json::element(&mut list, ResponsePart(&mut part))? else { return Ok(fine) };
            fine &= read && self.0.len() < MOST_RESPONSE_PARTS;
            if self.0.len() < MOST_RESPONSE_PARTS && part.media_type.is_some() {
                self.0.push(part);
            }
        }
    }
}

struct ResponsePart<'s, 'de>(&'s mut Details<'de>);

impl<'de> Take<'de> for ResponsePart<'_, 'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "inlineData" | "inline_data" | "fileData" | "file_data" => {
                    json::value(&mut object, &mut *self.0)?
                }
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

/// Takes parts: a list of them, or just one.
pub(super) struct Parts<'s, 'r> {
    pub(super) call: CallId,
    pub(super) room: &'r Room,
    pub(super) parts: &'s mut Vec<Part>,
}

impl Parts<'_, '_> {
    /// Says whether there was room for it.
    fn push(&mut self, piece: Piece<'_>, whole: bool) -> bool {
        let fits = self.room.take();
        if fits {
            piece.push(self.call, whole, self.parts);
        }
        fits
    }
}

impl<'de> Take<'de> for Parts<'_, '_> {
    fn text(mut self, text: Cow<'de, str>) -> bool {
        self.push(Piece { text: Some(text), ..Piece::default() }, true)
    }

    fn object<A: MapAccess<'de>>(mut self, object: A) -> Result<bool, A::Error> {
        let mut piece = Piece::default();
        let read = (&mut piece).object(object);
        let fits = self.push(piece, read.is_ok());
        Ok(read? && fits)
    }

    fn list<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<bool, A::Error> {
        let mut fine = true;
        loop {
            let mut piece = Piece::default();
            let read = json::element(&mut list, &mut piece);
            // A part counts even where the body breaks off in it.
            if !matches!(read, Ok(None)) {
                fine &= self.push(piece, read.is_ok());
            }
            match read? {
                Some(read) => fine &= read,
                None => return Ok(fine),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_dropped_between_marks_and_kept_in_strings() {
        let raw: Box<RawValue> =
            serde_json::from_str("{\n \"a b\" : [ 1 , \" \\\" \\\\\" ],\r\n\t\"c\": \"\u{e9} \" }").unwrap();
        assert_eq!(compact(&raw), "{\"a b\":[1,\" \\\" \\\\\"],\"c\":\"\u{e9} \"}");
    }
}
