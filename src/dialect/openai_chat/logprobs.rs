//! How likely the tokens of a streamed answer were: kept as they came, for its body.

use serde::Serialize;
use serde::de::{MapAccess, SeqAccess};
use serde_json::value::RawValue;

use crate::dialect::budget::Budget;
use crate::dialect::json::{self, Take};

/// What has come of `logprobs`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Logprobs {
    content: Option<Vec<Box<RawValue>>>,
    refusal: Option<Vec<Box<RawValue>>>,
}

impl Logprobs {
    /// Adds those that an event brings.
    pub(super) fn add(&mut self, written: &RawValue, budget: &mut Budget) {
        json::read(written.get().as_bytes(), Lists { all: self, budget });
    }
}

struct Lists<'s> {
    all: &'s mut Logprobs,
    budget: &'s mut Budget,
}

impl<'de> Take<'de> for Lists<'_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let Self { all, budget } = self;
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "content" => json::value(&mut object, List { list: &mut all.content, budget: &mut *budget })?,
                "refusal" => json::value(&mut object, List { list: &mut all.refusal, budget: &mut *budget })?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

struct List<'s> {
    list: &'s mut Option<Vec<Box<RawValue>>>,
    budget: &'s mut Budget,
}

impl<'de> Take<'de> for List<'_> {
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let held = self.list.get_or_insert_default();
        while let Some(element) = list.next_element::<&'de RawValue>()? {
            // A vector that grows holds up to twice what is in it.
            if self.budget.take(2 * size_of::<Box<RawValue>>() + element.get().len()) {
                held.push(element.to_owned());
            }
        }
        Ok(true)
    }
}
