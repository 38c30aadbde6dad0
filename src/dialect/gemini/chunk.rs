//! An event of a stream: a response that holds only what is new.

use serde::de::{MapAccess, SeqAccess};
use serde_json::value::RawValue;

use crate::dialect::failure::Told;
use crate::dialect::fields::Fields;
use crate::dialect::json::{self, Number, Take};

/// How many candidates an event is read to have. Gemini makes 8 at most.
pub(super) const MOST_CANDIDATES: usize = 128;

/// How many parts a candidate is read to have.
pub(super) const MOST_PARTS: usize = 10_000;

/// An event, as far as it was read.
#[derive(Default)]
pub(super) struct Chunk<'de> {
    pub(super) candidates: Vec<Candidate<'de>>,
    pub(super) usage: Fields<'de>,
    /// The other fields of the response.
    pub(super) fields: Fields<'de>,
    /// Whether Code Assist wraps it, and the fields beside it.
    pub(super) wrapped: bool,
    pub(super) beside: Fields<'de>,
    pub(super) error: Told<'de>,
    /// Whether there was more in it than is read.
    pub(super) lost: bool,
}

/// What is new in an answer.
#[derive(Default)]
pub(super) struct Candidate<'de> {
    pub(super) index: Option<u64>,
    pub(super) has_content: bool,
    pub(super) parts: Vec<&'de RawValue>,
    /// The other fields of its content.
    pub(super) content: Fields<'de>,
    /// The other fields.
    pub(super) fields: Fields<'de>,
    lost: bool,
}

impl<'de> Chunk<'de> {
    /// Reads an event; `None` where it is no JSON.
    pub(super) fn read(data: &'de [u8]) -> Option<Self> {
        let mut chunk = Self::default();
        let read = json::read(data, Outer(&mut chunk));
        if !chunk.wrapped {
            chunk.fields = std::mem::take(&mut chunk.beside);
        }
        (read != json::Read::Broken).then_some(chunk)
    }

    /// Takes the value of a field that is read; says whether it is one.
    fn field<A: MapAccess<'de>>(&mut self, name: &str, object: &mut A) -> Result<bool, A::Error> {
        match name {
            "candidates" => json::value(object, Candidates(self))?,
            "usageMetadata" => json::value(object, &mut self.usage)?,
            "error" => json::value(object, &mut self.error)?,
            _ => return Ok(false),
        };
        Ok(true)
    }
}

struct Outer<'s, 'de>(&'s mut Chunk<'de>);

impl<'de> Take<'de> for Outer<'_, 'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            if key == "response" {
                self.0.wrapped = true;
                json::value(&mut object, Inner(&mut *self.0))?;
            } else if !self.0.field(&key, &mut object)? {
                self.0.beside.push(key, object.next_value()?);
            }
        }
        Ok(true)
    }
}

struct Inner<'s, 'de>(&'s mut Chunk<'de>);

impl<'de> Take<'de> for Inner<'_, 'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            if !self.0.field(&key, &mut object)? {
                self.0.fields.push(key, object.next_value()?);
            }
        }
        Ok(true)
    }
}

struct Candidates<'s, 'de>(&'s mut Chunk<'de>);

impl<'de> Take<'de> for Candidates<'_, 'de> {
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        loop {
            let mut candidate = Candidate::default();
            if json::element(&mut list, &mut candidate)?.is_none() {
                return Ok(true);
            }
            self.0.lost |= candidate.lost || self.0.candidates.len() == MOST_CANDIDATES;
            if self.0.candidates.len() < MOST_CANDIDATES {
                self.0.candidates.push(candidate);
            }
        }
    }
}

impl<'de> Take<'de> for &mut Candidate<'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            if key == "content" {
                json::value(&mut object, Content(self))?;
                continue;
            }
            let value = object.next_value::<&'de RawValue>()?;
            if key == "index" {
                json::read(value.get().as_bytes(), Number(&mut self.index));
            }
            self.fields.push(key, value);
        }
        Ok(true)
    }
}

struct Content<'s, 'de>(&'s mut Candidate<'de>);

impl<'de> Take<'de> for Content<'_, 'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let candidate = self.0;
        candidate.has_content = true;
        while let Some(key) = json::key(&mut object)? {
            if key == "parts" {
                json::value(&mut object, Parts(candidate))?;
            } else {
                candidate.content.push(key, object.next_value()?);
            }
        }
        Ok(true)
    }
}

struct Parts<'s, 'de>(&'s mut Candidate<'de>);

impl<'de> Take<'de> for Parts<'_, 'de> {
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        while let Some(part) = list.next_element::<&'de RawValue>()? {
            if self.0.parts.len() < MOST_PARTS {
                self.0.parts.push(part);
            } else {
                self.0.lost = true;
            }
        }
        Ok(true)
    }
}
