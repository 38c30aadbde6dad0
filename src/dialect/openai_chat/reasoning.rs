//! `reasoning_details`: OpenRouter's list of what a model thought, in one form for all of its providers.

use std::borrow::Cow;

use serde::de::SeqAccess;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::dialect::budget::Budget;
use crate::dialect::fields::{Fields, Kept};
use crate::dialect::json::{self, Room, Take};

/// The fields that hold text.
const TEXTS: [&str; 2] = ["text", "summary"];

/// How many elements an answer is read to have. Each piece is held against all of them.
const MOST_DETAILS: usize = 256;

/// An element of the list, or a piece of one.
#[derive(Debug, Default)]
pub(super) struct Piece<'de>(Fields<'de>);

impl<'de> Piece<'de> {
    /// What can be read of it.
    fn text(&self) -> Option<(&'static str, String)> {
        TEXTS.into_iter().find_map(|name| Some((name, self.0.text(name)?)))
    }

    fn raw(&self, name: &str) -> Option<&'de str> {
        self.0.raw(name).map(RawValue::get)
    }
}

/// The texts of these, one after another.
pub(super) fn text<'a>(pieces: &[Piece<'a>]) -> Option<Cow<'a, str>> {
    let texts: String = pieces.iter().filter_map(|piece| Some(piece.text()?.1)).collect();
    (!texts.is_empty()).then_some(Cow::Owned(texts))
}

/// Takes the list.
pub(super) struct Pieces<'s, 'de, 'r> {
    pub(super) room: &'r Room,
    pub(super) pieces: &'s mut Vec<Piece<'de>>,
}

impl<'de> Take<'de> for Pieces<'_, 'de, '_> {
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let mut fine = true;
        loop {
            let mut piece = Piece::default();
            match json::element(&mut list, &mut piece.0)? {
                Some(read) => fine &= read,
                None => return Ok(fine),
            }
            if self.room.take() {
                self.pieces.push(piece);
            } else {
                fine = false;
            }
        }
    }
}

/// An element that pieces add up to.
#[derive(Debug, Default)]
pub(super) struct Detail {
    text: Option<(&'static str, String)>,
    rest: Kept,
}

impl Detail {
    /// Adds a piece to the element that it continues, or as another one.
    pub(super) fn add(details: &mut Vec<Self>, piece: &Piece<'_>, budget: &mut Budget) {
        if budget.over() {
            return;
        }
        let position = details.iter().rposition(|detail| detail.is_continued_by(piece));
        let position = match position {
            Some(position) => position,
            None if details.len() < MOST_DETAILS && budget.take(2 * size_of::<Self>()) => {
                details.push(Self::default());
                details.len() - 1
            }
            None => return budget.lose(),
        };
        if let Some(detail) = details.get_mut(position) {
            detail.extend(piece, budget);
        }
    }

    /// What can be read of it.
    pub(super) fn text(&self) -> &str {
        self.text.as_ref().map_or("", |(_, text)| text)
    }

    fn is_continued_by(&self, piece: &Piece<'_>) -> bool {
        let same = |name| self.rest.get(name).map(RawValue::get) == piece.raw(name);
        // What is encrypted comes whole.
        piece.raw("data").is_none() && same("type") && same("index")
    }

    fn extend(&mut self, piece: &Piece<'_>, budget: &mut Budget) {
        let text = piece.text();
        for (name, value) in &piece.0.0 {
            let is_text = text.as_ref().is_some_and(|(other, _)| other == name);
            if !is_text && (value.get() != "null" || self.rest.get(name).is_none()) {
                self.rest.set(name, value, budget);
            }
        }
        if let Some((name, text)) = text {
            let (_, held) = self.text.get_or_insert_with(|| (name, String::new()));
            budget.push(held, &text);
        }
    }
}

impl Serialize for Detail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut detail = serializer.serialize_map(None)?;
        for (name, value) in self.rest.iter() {
            detail.serialize_entry(name, value)?;
        }
        if let Some((name, text)) = &self.text {
            detail.serialize_entry(name, text)?;
        }
        detail.end()
    }
}
