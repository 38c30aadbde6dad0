//! The bill: what models cost, and what a call came to.
//!
//! The table is data: `prices.json`, which a configuration can extend and override with a file of its own. [`names`]
//! leads from a model's name to its entry, [`bill`] from what was used to what it cost. All of it is exact.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::OnceLock;

use foldhash::quality::RandomState;

mod bill;
mod day;
mod decimal;
mod entry;
mod names;
mod read;
mod sheet;
#[cfg(test)]
mod tests;

pub(crate) use bill::Bill;
pub(crate) use day::Day;
pub(crate) use entry::Entry;
pub(crate) use names::Way;
pub(crate) use sheet::{Part, Sheet, Tariff, Tier};

/// The prices that are shipped.
const SHIPPED: &str = include_str!("prices/prices.json");

/// No price file is larger; a path given by mistake may be. Bytes.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Why a price file was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PricesError {
    /// It cannot be read.
    #[error("{file}: cannot be read")]
    Unreadable {
        /// The file as it was named.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// It is no list of prices that could be.
    #[error("{file}: {message}")]
    NotPrices {
        /// The file as it was named.
        file: String,
        /// Why.
        message: &'static str,
    },
    /// Something in it is wrong.
    #[error("{file}:{line}: {place}{message}")]
    Invalid {
        /// The file as it was named.
        file: String,
        /// Where in it.
        line: usize,
        /// The keys that lead there, and `: `, if any.
        place: String,
        /// What was found, and what would be right.
        message: String,
    },
}

/// What models cost.
///
/// The shipped prices are read when somebody asks for the first time: three quarters of what a start of the proxy had
/// to do were these.
#[derive(Debug, Default)]
pub(crate) struct Prices {
    table: OnceLock<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// In the order of their names.
    entries: Vec<Entry>,
    /// The entry of each name, and whether that is an alias.
    names: HashMap<String, (usize, bool), RandomState>,
}

impl Prices {
    /// The shipped prices, with those of the file at `path` over them, if there is one.
    ///
    /// # Errors
    /// [`PricesError`] says what is wrong with the file and where.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, PricesError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let file = path.display().to_string();
        let bytes = match read_bounded(path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(PricesError::Unreadable { file, source }),
        };
        let refused = |message| PricesError::NotPrices { file: file.clone(), message };
        if bytes.len() as u64 > LARGEST {
            return Err(refused("larger than 16 MiB; not a list of prices"));
        }
        let text =
            std::str::from_utf8(&bytes).map_err(|_| refused("not UTF-8; a list of prices is UTF-8 text"))?;
        let own = parse(&file, text.strip_prefix('\u{feff}').unwrap_or(text))?;
        Ok(Self { table: Table::shipped().with(own).into() })
    }

    fn table(&self) -> &Table {
        self.table.get_or_init(Table::shipped)
    }

    /// The entry that `name` leads to, and how.
    pub(crate) fn find(&self, name: &str) -> Option<(&Entry, Way)> {
        let table = self.table();
        let (index, way) = names::resolve(name, |name| table.names.get(name).copied())?;
        Some((table.entries.get(index)?, way))
    }

    /// Whether this is the name of a model, or a listed alias, to the letter. Whoever counts by names may trust that there
    /// are only so many of these: in capitals one name could be written in thousands of ways.
    pub(crate) fn lists(&self, name: &str) -> bool {
        self.table().names.contains_key(name)
    }

    /// All models, in the order of their names.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.table().entries
    }

    /// The names that are most like `name`, the nearest first.
    pub(crate) fn nearest(&self, name: &str) -> Vec<&str> {
        const FEW: usize = 5;
        const ALIKE: f64 = 0.7;
        let name: String = name.to_ascii_lowercase().chars().take(128).collect();
        let name = name.rsplit('/').next().unwrap_or_default();
        let begins = |known: &str| name.len() > known.len() && name.starts_with(known);
        // A name that goes on where a known one ends is alike by how much of it that is.
        let alike = |known: &str| {
            let whole = strsim::normalized_damerau_levenshtein(known, name);
            let part = known.len() as f64 / name.len() as f64;
            if begins(known) { whole.max(ALIKE + part * (1.0 - ALIKE)) } else { whole }
        };
        let mut near: Vec<(f64, &str)> =
            self.table().names.keys().map(|known| (alike(known), &**known)).collect();
        near.retain(|(alike, _)| *alike >= ALIKE);
        near.sort_by(|(one, name), (other, after)| other.total_cmp(one).then(name.cmp(after)));
        near.into_iter().take(FEW).map(|(_, known)| known).collect()
    }
}

impl Table {
    /// The prices that are shipped; a test reads them, so that none are refused here.
    fn shipped() -> Self {
        Self::new(parse("prices.json", SHIPPED).unwrap_or_default())
    }

    fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_by(|one, other| one.model.cmp(&other.model));
        let mut names = HashMap::with_hasher(RandomState::default());
        for (index, entry) in entries.iter().enumerate() {
            for alias in &entry.aliases {
                names.insert(alias.clone(), (index, true));
            }
        }
        // A model's own name is above any alias.
        for (index, entry) in entries.iter().enumerate() {
            names.insert(entry.model.to_string(), (index, false));
        }
        Self { entries, names }
    }

    /// With these in place of what had their names or aliases.
    fn with(self, own: Vec<Entry>) -> Self {
        let named: Vec<String> = own
            .iter()
            .flat_map(|entry| entry.aliases.iter().cloned().chain([entry.model.to_string()]))
            .collect();
        let mut entries = self.entries;
        entries.retain(|entry| !named.iter().any(|name| **name == *entry.model));
        for entry in &mut entries {
            entry.aliases.retain(|alias| !named.contains(alias));
        }
        entries.extend(own);
        Self::new(entries)
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn parse(file: &str, text: &str) -> Result<Vec<Entry>, PricesError> {
    let invalid = |problem: read::Problem| {
        let read::Problem { line, path, message } = problem;
        let place = if path.is_empty() { String::new() } else { format!("{}: ", path.join(" › ")) };
        PricesError::Invalid { file: file.to_owned(), line, place, message }
    };
    let entries = read::read(text).map_err(invalid)?;
    let mut names = HashMap::new();
    for entry in &entries {
        for name in entry.aliases.iter().map(String::as_str).chain([&*entry.model]) {
            if let Some(other) = names.insert(name, &entry.model) {
                let path = vec!["models".to_owned(), entry.model.to_string(), "aliases".to_owned()];
                let message = format!("`{name}` is a name of {other} too; a name has one price");
                return Err(invalid(read::Problem {
                    line: read::line_of(text, &entry.model),
                    path,
                    message,
                }));
            }
        }
    }
    Ok(entries)
}
