//! Who says something, and what.

use std::borrow::Cow;

use perimeter_interceptor::{CallId, Role, Turn};
use serde::de::MapAccess;

use super::part::Parts;
use crate::dialect::json::{self, Room, Str, Take};
use crate::dialect::role;

/// Takes a `Content` into a turn.
pub(super) struct Content<'s, 'r> {
    pub(super) call: CallId,
    pub(super) room: &'r Room,
    pub(super) turn: &'s mut Turn,
    /// Whether there was one, even if it broke off.
    pub(super) begun: &'s mut bool,
}

impl<'s, 'r> Content<'s, 'r> {
    fn parts(self) -> Parts<'s, 'r> {
        *self.begun = true;
        Parts { call: self.call, room: self.room, parts: &mut self.turn.parts }
    }
}

impl<'de> Take<'de> for Content<'_, '_> {
    /// Just a text.
    fn text(self, text: Cow<'de, str>) -> bool {
        self.parts().text(text)
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let mut fine = true;
        *self.begun = true;
        while let Some(key) = json::key(&mut object)? {
            fine &= match &*key {
                "role" => {
                    let mut word = None;
                    let read = json::value(&mut object, Str(&mut word))?;
                    if let Some(word) = word {
                        self.turn.role = speaker(&word);
                    }
                    read
                }
                "parts" => {
                    let Self { call, room, .. } = self;
                    json::value(&mut object, Parts { call, room, parts: &mut self.turn.parts })?
                }
                _ => json::skip(&mut object)?,
            };
        }
        Ok(fine)
    }
}

/// Where nobody is named, it is the user who speaks.
fn speaker(word: &str) -> Role {
    match word {
        "" => Role::User,
        "model" => Role::Assistant,
        word => role(word),
    }
}
