//! What a part of a message holds or refers to, as OpenAI's APIs write it: a picture, sound, a file.

use std::borrow::Cow;

use perimeter_interceptor::Media;
use serde::de::MapAccess;

use super::json::{self, Str, Take};
use super::{content_hash, media};

/// Takes a URL, data, or an object that holds the one or the other.
#[derive(Debug, Default)]
pub(super) struct Source<'de> {
    text: Option<Cow<'de, str>>,
    format: Option<Cow<'de, str>>,
    /// A file's, which may stand beside it.
    pub(super) name: Option<Cow<'de, str>>,
}

impl Source<'_> {
    /// Something of this kind, given as a URL.
    pub(super) fn media(&self, kind: &str) -> Media {
        media(kind, self.text())
    }

    /// A file, whose data is a URL that holds it, or just base64.
    pub(super) fn document(self) -> Media {
        let mut document = self.media("document");
        let is_url = ["data:", "http:", "https:"].iter().any(|scheme| self.text().starts_with(scheme));
        if !is_url {
            document.size = self.text().len() as u64;
        }
        document.name = self.name.filter(|name| !name.is_empty()).map(Into::into);
        document
    }

    /// Sound, in base64.
    pub(super) fn audio(self) -> Media {
        let mut audio = Media::new("audio");
        audio.size = self.text().len() as u64;
        audio.hash = content_hash(self.text());
        audio.media_type = self.format.map(|format| format!("audio/{format}").into());
        audio
    }

    fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }
}

impl<'de> Take<'de> for &mut Source<'de> {
    fn text(self, text: Cow<'de, str>) -> bool {
        self.text = Some(text);
        true
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "url" | "data" | "file_data" => json::value(&mut object, Str(&mut self.text))?,
                "format" => json::value(&mut object, Str(&mut self.format))?,
                "filename" => json::value(&mut object, Str(&mut self.name))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}

#[cfg(test)]
mod tests {
    use perimeter_interceptor::{CallId, Media, Part};

    use crate::dialect::{Prompt, openai_chat, openai_responses};

    /// The one thing that is not text in a request.
    fn media(prompt: &Prompt) -> &Media {
        match &*prompt.turns[0].parts {
            [Part::Media(media)] => media,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_has_its_name_and_size_in_chats_and_in_responses() {
        let (mut chat, mut response) = (Prompt::default(), Prompt::default());
        let file = br#"{"messages":[{"role":"user","content":[{"type":"file","file":{"filename":"a.pdf","file_data":"JVBERi0x"}}]}]}"#;
        openai_chat::read_request(CallId(0), file, &mut chat);
        let file = br#"{"input":[{"role":"user","content":[{"type":"input_file","filename":"a.pdf","file_data":"JVBERi0x"}]}]}"#;
        openai_responses::read_request(CallId(0), file, &mut response);
        assert_eq!(media(&chat), media(&response));
        assert_eq!((media(&chat).name.as_deref(), media(&chat).size), (Some("a.pdf"), 8));
    }
}
