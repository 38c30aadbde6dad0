//! What an answer used.

use std::borrow::Cow;
use std::sync::Arc;

use perimeter_interceptor::Usage;
use serde::de::{IgnoredAny, MapAccess, SeqAccess};
use serde_json::value::RawValue;

use crate::dialect::json::{self, Number, Str, Take};

/// The usage that the field of `usageMetadata` with a given name tells. Gemini counts what its own tools put into the
/// prompt beside the prompt, and thoughts beside the answer.
pub(super) fn usage<'a>(field: impl Fn(&str) -> Option<&'a RawValue>, searches: u64) -> Option<Usage> {
    let number = |name: &str| field(name)?.get().parse::<u64>().ok();
    let (prompt, answer) = (number("promptTokenCount"), number("candidatesTokenCount"));
    let thoughts = number("thoughtsTokenCount");
    if prompt.is_none() && answer.is_none() && thoughts.is_none() {
        return None;
    }
    let sum = |one: Option<u64>, other: Option<u64>| one.unwrap_or(0).saturating_add(other.unwrap_or(0));
    let mut usage = Usage::new(sum(prompt, number("toolUsePromptTokenCount")), sum(answer, thoughts));
    usage.cache_read = number("cachedContentTokenCount");
    usage.reasoning = thoughts;
    let mut input = Modalities::default();
    for name in ["promptTokensDetails", "toolUsePromptTokensDetails"] {
        input.read(field(name));
    }
    let mut output = Modalities::default();
    output.read(field("candidatesTokensDetails"));
    let mut cached = Modalities::default();
    cached.read(field("cacheTokensDetails"));
    (usage.audio_input, usage.image_input) = (input.audio, input.image);
    // A list of all that was cached in which sound is not says that there was none.
    let no_sound = field("cacheTokensDetails").filter(|_| input.audio.is_some()).map(|_| 0);
    usage.audio_cache_read = cached.audio.or(no_sound);
    (usage.audio_output, usage.image_output) = (output.audio, output.image);
    // Details that do not tell of sound tell that there was none.
    let cached = field("cacheTokensDetails").filter(|_| usage.audio_input.is_some());
    usage.audio_cache_read = cached.map(|details| {
        let mut cached = Modalities::default();
        cached.read(Some(details));
        cached.audio.unwrap_or(0)
    });
    usage.searches = Some(searches).filter(|searches| *searches > 0);
    Some(usage)
}

/// The tier that the field of `usageMetadata` with a given name tells.
pub(super) fn tier<'a>(field: impl Fn(&str) -> Option<&'a RawValue>) -> Option<Arc<str>> {
    let mut tier = None;
    for name in ["serviceTier", "trafficType"] {
        if let Some(value) = field(name).filter(|_| tier.is_none()) {
            json::read(value.get().as_bytes(), json::Name(&mut tier));
        }
    }
    tier
}

/// Tokens by what they are of, as far as they are priced apart.
#[derive(Default)]
struct Modalities {
    audio: Option<u64>,
    image: Option<u64>,
}

impl Modalities {
    fn read(&mut self, details: Option<&RawValue>) {
        if let Some(details) = details {
            json::read(details.get().as_bytes(), self);
        }
    }
}

impl<'de> Take<'de> for &mut Modalities {
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        loop {
            let mut count = Count::default();
            if json::element(&mut list, &mut count)?.is_none() {
                return Ok(true);
            }
            let of = match count.modality.as_deref() {
                Some("AUDIO") => &mut self.audio,
                Some("IMAGE") => &mut self.image,
                _ => continue,
            };
            *of = Some(of.unwrap_or(0).saturating_add(count.tokens.unwrap_or(0)));
        }
    }
}

#[derive(Default)]
struct Count<'de> {
    modality: Option<Cow<'de, str>>,
    tokens: Option<u64>,
}

impl<'de> Take<'de> for &mut Count<'de> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "modality" => json::value(&mut object, Str(&mut self.modality))?,
                "tokenCount" => json::value(&mut object, Number(&mut self.tokens))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

/// Takes `groundingMetadata`, and counts the searches of the web in it.
pub(super) struct Searches<'s>(pub(super) &'s mut u64);

impl<'de> Take<'de> for Searches<'_> {
    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        while let Some(key) = json::key(&mut object)? {
            match &*key {
                "webSearchQueries" => json::value(&mut object, Queries(&mut *self.0))?,
                _ => json::skip(&mut object)?,
            };
        }
        Ok(true)
    }
}

struct Queries<'s>(&'s mut u64);

impl<'de> Take<'de> for Queries<'_> {
    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {
            *self.0 += 1;
        }
        Ok(true)
    }
}
