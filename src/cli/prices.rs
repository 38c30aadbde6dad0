//! `perimeter prices`: what models cost, and what led from a name to its prices.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;
use serde_json::{Map, Value, json};

use super::{FAILED, REFUSED, fail, output};
use crate::config::{Config, Overrides};
use crate::prices::{self, Day, Entry, Part, Sheet, Tariff, Tier, Way};
use crate::registry::Registry;

/// Show what models cost: all of them, or what applies to one and why.
///
/// Exit code: 0, or 1 if nothing is known of the model, or 2 if a file was refused.
#[derive(Args)]
pub(super) struct Prices {
    /// The model, by any name that a client or a provider uses for it.
    model: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// The configuration file, for its `pricing.file`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Prices {
    pub(super) fn execute(self, registry: &Registry) -> ExitCode {
        let file = match &self.config {
            Some(path) => match Config::load(Some(path), Overrides::default().file_first(), registry) {
                Ok(loaded) => loaded.config.pricing.file,
                Err(error) => return fail(&error, REFUSED),
            },
            None => None,
        };
        let prices = match prices::Prices::load(file.as_deref()) {
            Ok(prices) => prices,
            Err(error) => return fail(&error, REFUSED),
        };
        let Some(model) = &self.model else {
            let entries = prices.entries();
            output::stdout(&if self.json { pretty(&entries_json(entries)) } else { table(entries, today()) });
            return ExitCode::SUCCESS;
        };
        match prices.find(model) {
            Some((entry, way)) => {
                let told = if self.json {
                    pretty(&found_json(model, entry, &way))
                } else {
                    found(model, entry, &way)
                };
                output::stdout(&told);
                ExitCode::SUCCESS
            }
            None => {
                let near = prices.nearest(model);
                if self.json {
                    output::stdout(&pretty(&json!({"name": model, "model": null, "nearest": near})));
                } else {
                    output::stderr(&unknown(model, &near));
                }
                ExitCode::from(FAILED)
            }
        }
    }
}

fn unknown(model: &str, near: &[&str]) -> String {
    let shown = model.escape_debug();
    let hint = match near {
        [] => "no model is called anything like that".to_owned(),
        [near] => format!("the name nearest to it is {near}"),
        near => format!("the names nearest to it are {}", near.join(", ")),
    };
    format!("perimeter: {shown}: no price is known, so its calls cost «unknown»; {hint}")
}

fn today() -> Day {
    Day::of(SystemTime::now())
}

/// One line a model, as of this day.
fn table(entries: &[Entry], today: Day) -> String {
    const PARTS: [Part; 4] = [Part::Input, Part::CacheRead, Part::CacheWrite, Part::Output];
    let mut rows =
        vec![["MODEL", "INPUT", "CACHED", "WRITTEN", "OUTPUT", "ALSO", "AS OF"].map(str::to_owned)];
    rows.extend(entries.iter().filter_map(|entry| {
        let standard = &entry.tier(Tier::Standard, today)?.1.usual;
        let [input, cached, written, output] =
            PARTS.map(|part| standard.get(part).map_or("-".to_owned(), |price| price.to_string()));
        Some([
            entry.model.to_string(),
            input,
            cached,
            written,
            output,
            also(entry, today),
            entry.as_of.to_string(),
        ])
    }));
    let widths: Vec<usize> = (0..7)
        .map(|column| rows.iter().filter_map(|row| Some(row.get(column)?.len())).max().unwrap_or(0))
        .collect();
    let mut text =
        "USD for a million tokens. `perimeter prices MODEL` shows all that applies to one.\n".to_owned();
    for row in &rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            1..=4 => format!("{cell:>width$}"),
            _ => format!("{cell:<width$}"),
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = write!(text, "\n{}", line.trim_end());
    }
    text
}

/// What else there is to know of a model, in words.
fn also(entry: &Entry, today: Day) -> String {
    let tiers = entry.tiers(today).iter().filter(|(tier, _)| *tier != Tier::Standard);
    let mut also: Vec<&str> = tiers.map(|(tier, _)| tier.as_str()).collect();
    if entry.tier(Tier::Standard, today).is_some_and(|(_, tariff)| !tariff.long.is_empty()) {
        also.push("long");
    }
    also.join(" ")
}

/// What applies to one name, and why.
fn found(name: &str, entry: &Entry, way: &Way) -> String {
    let mut text = format!("{}\n", entry.model);
    match way.rules.as_slice() {
        [] => text.push_str("  by its own name\n"),
        rules => {
            let _ = writeln!(text, "  from {}", name.escape_debug());
            for rule in rules {
                let _ = writeln!(text, "    {}", rule.describe());
            }
        }
    }
    text.push_str("  USD for a million tokens; searches: for a thousand\n");
    for (tier, tariff) in &entry.tiers {
        tariff_lines(&mut text, *tier, tariff);
    }
    for (_, day, tiers) in &entry.later {
        let _ = writeln!(text, "  from {day} (UTC) on");
        for (tier, tariff) in tiers {
            tariff_lines(&mut text, *tier, tariff);
        }
    }
    if let Some(factor) = entry.regional {
        let applies = if way.regional { "applies to this name" } else { "does not apply to this name" };
        let _ = writeln!(text, "  in a region of Bedrock, tokens times {factor}: {applies}");
    }
    if !entry.aliases.is_empty() {
        let _ = writeln!(text, "  also called {}", entry.aliases.join(", "));
    }
    if let Some(note) = &entry.note {
        let _ = writeln!(text, "  {note}");
    }
    let _ = write!(text, "  {} as of {}", entry.source, entry.as_of);
    text
}

fn tariff_lines(text: &mut String, tier: Tier, tariff: &Tariff) {
    let sheet = |sheet: &Sheet| {
        let parts: Vec<String> =
            sheet.listed().map(|(part, price)| format!("{} {price}", part.key())).collect();
        if parts.iter().all(|part| part.starts_with("searches")) {
            "not sold".to_owned()
        } else {
            parts.join(", ")
        }
    };
    let _ = writeln!(text, "  {:<9} {}", tier.as_str(), sheet(&tariff.usual));
    for (above, long) in &tariff.long {
        let _ = writeln!(text, "  {:<9} above {above} tokens of input: {}", "", sheet(long));
    }
}

fn entries_json(entries: &[Entry]) -> Value {
    let models = entries.iter().map(|entry| (entry.model.to_string(), entry_json(entry)));
    json!({ "models": models.collect::<Map<_, _>>() })
}

fn found_json(name: &str, entry: &Entry, way: &Way) -> Value {
    let rules: Vec<&str> = way.rules.iter().map(|rule| rule.describe()).collect();
    json!({
        "name": name,
        "model": &*entry.model,
        "rules": rules,
        "regional": way.regional && entry.regional.is_some(),
        "prices": entry_json(entry),
    })
}

/// Prices as text: JSON has no exact numbers.
fn entry_json(entry: &Entry) -> Value {
    let sheet = |sheet: &Sheet| -> Map<String, Value> {
        sheet.listed().map(|(part, price)| (part.key().to_owned(), price.to_string().into())).collect()
    };
    let tariff = |tariff: &Tariff| {
        let mut prices = sheet(&tariff.usual);
        let long = tariff.long.iter().map(|(above, long)| (above.to_string(), sheet(long).into()));
        let long: Map<String, Value> = long.collect();
        if !long.is_empty() {
            prices.insert("long_context".to_owned(), long.into());
        }
        Value::Object(prices)
    };
    let tiers = |tiers: &[(Tier, Tariff)]| -> Map<String, Value> {
        tiers.iter().map(|(tier, prices)| (tier.as_str().to_owned(), tariff(prices))).collect()
    };
    let later = entry.later.iter().map(|(_, day, later)| (day.clone(), tiers(later).into()));
    json!({
        "tiers": tiers(&entry.tiers),
        "from": later.collect::<Map<_, _>>(),
        "regional": entry.regional.map(|factor| factor.to_string()),
        "aliases": entry.aliases,
        "source": entry.source,
        "as_of": &*entry.as_of,
        "note": entry.note,
    })
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
