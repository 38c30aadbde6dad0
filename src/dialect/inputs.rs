//! What is given to a model that does not converse: a text, tokens, or a list of either.

use std::borrow::Cow;
use std::sync::Arc;

use perimeter_interceptor::Part;
use serde::de::{MapAccess, SeqAccess};

use super::json::{self, Room, Str, Take};
use super::media;

/// Takes texts, tokens, and parts of a message.
pub(super) struct Inputs<'p, 'r> {
    room: &'r Room,
    parts: &'p mut Vec<Part>,
    /// How many tokens stand in a list.
    tokens: Option<&'p mut u64>,
}

impl<'p, 'r> Inputs<'p, 'r> {
    /// Puts what is found behind these `parts`, as long as there is room.
    pub(super) fn new(room: &'r Room, parts: &'p mut Vec<Part>) -> Self {
        Self { room, parts, tokens: None }
    }

    fn push(&mut self, part: Part) -> bool {
        let fits = self.room.take();
        if fits {
            self.parts.push(part);
        }
        fits
    }
}

impl<'de> Take<'de> for Inputs<'_, '_> {
    fn text(mut self, text: Cow<'de, str>) -> bool {
        self.push(Part::Text(text.into()))
    }

    fn number(self, _: u64) -> bool {
        self.tokens.map(|tokens| *tokens += 1).is_some()
    }

    fn list<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<bool, A::Error> {
        let mut fine = true;
        let mut tokens = 0;
        loop {
            let Self { room, parts, .. } = &mut self;
            let element = Inputs { room, parts, tokens: Some(&mut tokens) };
            match json::element(&mut list, element) {
                Ok(Some(read)) => fine &= read,
                ended => {
                    if tokens > 0 {
                        fine &= self.push(counted(tokens, "token"));
                    }
                    return ended.map(|_| fine);
                }
            }
        }
    }

    fn object<A: MapAccess<'de>>(mut self, mut object: A) -> Result<bool, A::Error> {
        let mut piece = Piece::default();
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "type" => json::value(&mut object, Str(&mut piece.kind))?,
                "text" => json::value(&mut object, Str(&mut piece.text))?,
                "image_url" | "image" => json::value(&mut object, Source(&mut piece.image))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(piece.part().is_none_or(|part| self.push(part)))
    }
}

/// So many things, of which only the number is told.
pub(super) fn counted(count: u64, one: &str) -> Part {
    let ending = match count {
        1 => "",
        _ if one.ends_with("ch") => "es",
        _ => "s",
    };
    Part::Other(format!("{count} {one}{ending}").into())
}

/// A part of a message, as moderations take it.
#[derive(Default)]
struct Piece<'de> {
    kind: Option<Cow<'de, str>>,
    text: Option<Cow<'de, str>>,
    image: Option<Cow<'de, str>>,
}

impl Piece<'_> {
    fn part(self) -> Option<Part> {
        let image = self.image.map(|image| Part::Media(media("image", &image)));
        let text = self.text.map(|text| Part::Text(Arc::from(text)));
        image.or(text).or_else(|| Some(Part::Other(Arc::from(self.kind?))))
    }
}

/// Takes a URL, or an object that holds one.
struct Source<'s, 'de>(&'s mut Option<Cow<'de, str>>);

impl<'de> Take<'de> for Source<'_, 'de> {
    fn text(self, text: Cow<'de, str>) -> bool {
        *self.0 = Some(text);
        true
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "url" => json::value(&mut object, Str(&mut *self.0))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}
