//! Reads a price file: JSON, each error with its line, its model and its key.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::day::Day;
use super::decimal::Decimal;
use super::entry::{Entry, Tiers};
use super::sheet::{Part, Sheet, Tariff, Tier};

/// What is wrong in a price file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// Where it stands, counted from 1.
    pub(super) line: usize,
    /// The keys that lead to it, from the outermost.
    pub(super) path: Vec<String>,
    pub(super) message: String,
}

type Read<T> = Result<T, Problem>;

/// The models of a price file, in its order.
pub(super) fn read(text: &str) -> Read<Vec<Entry>> {
    let root: &RawValue = serde_json::from_str(text).map_err(|error| {
        let message = format!("not JSON: {error}");
        Problem { line: error.line().max(1), path: Vec::new(), message }
    })?;
    let file = File { text };
    let mut entries: Option<Vec<Entry>> = None;
    for (key, value) in file.object(root, "an object with the key `models`")? {
        match key.as_str() {
            "about" => {
                file.string(value).map_err(|problem| problem.within(&key))?;
            }
            "models" => entries = Some(file.models(value).map_err(|problem| problem.within(&key))?),
            _ => return Err(file.unknown(value, &key, &["models", "about"])),
        }
    }
    entries.ok_or_else(|| file.problem(root, "`models` is missing".to_owned()))
}

impl Problem {
    fn within(mut self, key: &str) -> Self {
        self.path.insert(0, key.to_owned());
        self
    }
}

/// The text of the file: every value is a piece of it, which tells its line.
struct File<'a> {
    text: &'a str,
}

const KEYS: [&str; 8] = ["aliases", "tiers", "long_context", "from", "regional", "source", "as_of", "note"];

impl<'a> File<'a> {
    fn problem(&self, value: &RawValue, message: String) -> Problem {
        let at = (value.get().as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Problem { line, path: Vec::new(), message }
    }

    fn expected(&self, value: &RawValue, expected: &str) -> Problem {
        self.problem(value, format!("found {}; expected {expected}", found(value.get())))
    }

    fn unknown(&self, value: &RawValue, key: &str, known: &[&str]) -> Problem {
        let near = known.iter().filter(|known| strsim::damerau_levenshtein(known, key) <= 2).min();
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", known.join(", ")),
        };
        self.problem(value, format!("there is no such key; {hint}")).within(key)
    }

    fn object(&self, value: &'a RawValue, expected: &str) -> Read<Vec<(String, &'a RawValue)>> {
        let Ok(Object(entries)) = serde_json::from_str(value.get()) else {
            return Err(self.expected(value, expected));
        };
        for (index, (key, value)) in entries.iter().enumerate() {
            if entries.iter().take(index).any(|(before, _)| before == key) {
                return Err(self.problem(value, "this key stands here a second time".to_owned()).within(key));
            }
        }
        Ok(entries)
    }

    fn string(&self, value: &RawValue) -> Read<String> {
        let text: Option<String> = serde_json::from_str(value.get()).ok();
        text.filter(|text| !text.is_empty()).ok_or_else(|| self.expected(value, "a text"))
    }

    fn decimal(&self, value: &RawValue, expected: &str) -> Read<Decimal> {
        let text: Option<String> = serde_json::from_str(value.get()).ok();
        let text = text.as_deref().unwrap_or(value.get());
        Decimal::parse(text).map_err(|_| self.expected(value, expected))
    }

    fn price(&self, value: &RawValue) -> Read<Decimal> {
        self.decimal(value, "a price in USD, such as 1.25 or \"0.075\"")
    }

    fn models(&self, value: &'a RawValue) -> Read<Vec<Entry>> {
        let models = self.object(value, "an object from models to their prices")?;
        let entries = models
            .into_iter()
            .map(|(model, value)| self.entry(&model, value).map_err(|problem| problem.within(&model)));
        entries.collect()
    }

    fn entry(&self, model: &str, value: &'a RawValue) -> Read<Entry> {
        if !is_name(model) {
            return Err(self.problem(value, "a model's name is lower case, without blanks".to_owned()));
        }
        let fields = self.object(value, "an object of prices")?;
        let find = |key: &str| fields.iter().find(|(known, _)| known == key).map(|(_, value)| *value);
        let within = |key: &'static str| move |problem: Problem| problem.within(key);
        self.check_keys(&fields, &KEYS)?;
        let required =
            |key: &'static str| find(key).ok_or_else(|| self.problem(value, format!("`{key}` is missing")));
        let source = self.string(required("source")?).map_err(within("source"))?;
        let as_of = self.date(required("as_of")?).map_err(within("as_of"))?;
        let tiers = self.sold(value, &fields)?;
        let later = find("from").map(|from| self.later(from, &tiers)).transpose();
        let regional = find("regional").map(|factor| self.regional(factor, &tiers)).transpose();
        let aliases = find("aliases").map(|aliases| self.aliases(aliases)).transpose();
        let note = find("note").map(|note| self.string(note)).transpose();
        Ok(Entry {
            model: model.into(),
            aliases: aliases.map_err(within("aliases"))?.unwrap_or_default(),
            tiers,
            later: later.map_err(within("from"))?.unwrap_or_default(),
            regional: regional.map_err(within("regional"))?,
            source,
            as_of: as_of.into(),
            note: note.map_err(within("note"))?,
        })
    }

    /// The tiers among these fields, the standard one first.
    fn sold(&self, value: &RawValue, fields: &[(String, &'a RawValue)]) -> Read<Tiers> {
        let standard = self.prices(fields, None)?;
        if standard.usual.get(Part::Input).is_none() {
            return Err(self.problem(value, "no price; expected at least `input`".to_owned()));
        }
        let mut tiers = Vec::new();
        for (key, value) in fields.iter().filter(|(key, _)| key == "tiers") {
            tiers = self.tiers(value, &standard).map_err(|problem| problem.within(key))?;
        }
        tiers.insert(0, (Tier::Standard, standard));
        Ok(tiers)
    }

    /// `"from": {"2027-01-01": {…}}`: all prices anew, or a factor for all of those before.
    fn later(&self, value: &'a RawValue, before: &Tiers) -> Read<Vec<(Day, String, Tiers)>> {
        let mut later: Vec<(Day, String, Tiers)> = Vec::new();
        for (day, value) in self.object(value, "an object from days to prices")? {
            let tiers = self.later_tiers(value, before).map_err(|problem| problem.within(&day))?;
            let Some(from) = Day::parse(&day).filter(|_| day.len() == 10) else {
                let message = "expected a day, such as 2027-01-01".to_owned();
                return Err(self.problem(value, message).within(&day));
            };
            later.push((from, day, tiers));
        }
        later.sort_by_key(|(from, ..)| *from);
        Ok(later)
    }

    fn later_tiers(&self, value: &'a RawValue, before: &Tiers) -> Read<Tiers> {
        if !value.get().starts_with('{') {
            let times = |(tier, prices): &(Tier, Tariff)| Ok((*tier, self.factor(value, prices)?.1));
            return before.iter().map(times).collect();
        }
        let fields = self.object(value, "an object of prices")?;
        self.check_keys(&fields, &["tiers", "long_context"])?;
        self.sold(value, &fields)
    }

    /// A factor that makes no price longer than can be written.
    fn regional(&self, value: &RawValue, tiers: &Tiers) -> Read<Decimal> {
        let mut regional = Decimal::ONE;
        for (_, prices) in tiers.iter().take(1) {
            regional = self.factor(value, prices)?.0;
        }
        Ok(regional)
    }

    /// None of these fields is anything but a price or one of `others`.
    fn check_keys(&self, fields: &[(String, &RawValue)], others: &[&str]) -> Read<()> {
        let is_known = |key: &str| Part::named(key).is_some() || others.contains(&key);
        let Some((key, value)) = fields.iter().find(|(key, _)| !is_known(key)) else { return Ok(()) };
        let known: Vec<&str> =
            Part::ALL.iter().map(|part| part.key()).chain(others.iter().copied()).collect();
        Err(self.unknown(value, key, &known))
    }

    /// The prices and long-context prices among these fields. Others are the caller's to know.
    fn prices(&self, fields: &[(String, &'a RawValue)], standard: Option<&Sheet>) -> Read<Tariff> {
        let mut prices = Tariff { usual: Sheet::default(), long: Vec::new() };
        for (key, value) in fields {
            if let Some(part) = Part::named(key) {
                prices.usual.set(part, self.price(value).map_err(|problem| problem.within(key))?);
            }
        }
        if let Some(standard) = standard {
            prices.usual.searches_as_in(standard);
        }
        for (key, value) in fields.iter().filter(|(key, _)| key == "long_context") {
            prices.long = self.long(value, &prices.usual).map_err(|problem| problem.within(key))?;
        }
        Ok(prices)
    }

    /// `"long_context": {"200000": {…}}`.
    fn long(&self, value: &'a RawValue, usual: &Sheet) -> Read<Vec<(u64, Sheet)>> {
        let mut long: Vec<(u64, Sheet)> = Vec::new();
        for (above, value) in self.object(value, "an object from numbers of tokens to prices")? {
            let sheet = self.long_sheet(&above, value, usual).map_err(|problem| problem.within(&above))?;
            long.push(sheet);
        }
        long.sort_by_key(|(above, _)| *above);
        Ok(long)
    }

    fn long_sheet(&self, above: &str, value: &'a RawValue, usual: &Sheet) -> Read<(u64, Sheet)> {
        let tokens = above.parse();
        let Ok(tokens) = tokens else {
            return Err(self.problem(value, "expected a number of tokens, such as 200000".to_owned()));
        };
        let mut sheet = Sheet::default();
        for (key, price) in self.object(value, "an object of prices")? {
            let known = Part::ALL.map(Part::key);
            let part = Part::named(&key).ok_or_else(|| self.unknown(price, &key, &known))?;
            sheet.set(part, self.price(price).map_err(|problem| problem.within(&key))?);
        }
        sheet.searches_as_in(usual);
        Ok((tokens, sheet))
    }

    fn tiers(&self, value: &'a RawValue, standard: &Tariff) -> Read<Vec<(Tier, Tariff)>> {
        let mut tiers = Vec::new();
        let known = [Tier::Batch, Tier::Flex, Tier::Priority, Tier::Fast];
        for (key, value) in self.object(value, "an object from tiers to their prices")? {
            let Some(tier) = known.into_iter().find(|tier| tier.as_str() == key) else {
                return Err(self.unknown(value, &key, &known.map(Tier::as_str)));
            };
            let prices = self.tier(value, standard).map_err(|problem| problem.within(&key))?;
            tiers.push((tier, prices));
        }
        tiers.sort_by_key(|(tier, _)| *tier);
        Ok(tiers)
    }

    /// A factor, or prices of its own: then nothing else is sold in this tier.
    fn tier(&self, value: &'a RawValue, standard: &Tariff) -> Read<Tariff> {
        if !value.get().starts_with('{') {
            return Ok(self.factor(value, standard)?.1);
        }
        let fields = self.object(value, "an object of prices")?;
        self.check_keys(&fields, &["long_context"])?;
        let mut prices = self.prices(&fields, Some(&standard.usual))?;
        if prices.long.is_empty() {
            // Long prompts are not sold in it: no prices, rather than those of short ones.
            prices.long = standard.long.iter().map(|(above, _)| (*above, Sheet::default())).collect();
        }
        Ok(prices)
    }

    fn factor(&self, value: &RawValue, prices: &Tariff) -> Read<(Decimal, Tariff)> {
        let factor = self.decimal(value, "a factor such as 0.5, or an object of prices")?;
        let Some(product) = prices.times(factor) else {
            let message = format!("times {factor}, a price has more than 12 digits after the point");
            return Err(self.problem(value, message));
        };
        Ok((factor, product))
    }

    fn aliases(&self, value: &'a RawValue) -> Read<Vec<String>> {
        const EXPECTED: &str = "a list of names in lower case, without blanks";
        let names: Option<Vec<String>> = serde_json::from_str(value.get()).ok();
        let names = names.filter(|names| names.iter().all(|name| is_name(name)));
        names.ok_or_else(|| self.expected(value, EXPECTED))
    }

    fn date(&self, value: &RawValue) -> Read<String> {
        const EXPECTED: &str = "a day, such as \"2026-11-01\"";
        let text = self.string(value).map_err(|_| self.expected(value, EXPECTED))?;
        if text.len() == 10 && Day::parse(&text).is_some() {
            return Ok(text);
        }
        Err(self.expected(value, EXPECTED))
    }
}

/// The line on which the entry of this model begins.
pub(super) fn line_of(text: &str, model: &str) -> usize {
    let key = format!("\"{model}\"");
    text.lines().position(|line| line.trim_start().starts_with(&key)).map_or(1, |line| line + 1)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase())
}

/// A value as an error tells it.
fn found(json: &str) -> String {
    const LONG: usize = 60;
    match json.as_bytes() {
        [b'{', ..] => "an object".to_owned(),
        [b'[', ..] if json.len() > LONG => "a list".to_owned(),
        _ if json.chars().count() > LONG => json.chars().take(LONG).chain(['…']).collect(),
        _ => json.to_owned(),
    }
}

/// An object as it stands, also with a key twice.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Object(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
