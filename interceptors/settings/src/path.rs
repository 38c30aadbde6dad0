//! Paths: `~/` is the home directory. For `#[serde(with)]`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serializer};

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "" => Err(serde::de::Error::custom("expected a path")),
        text => expand(text, std::env::home_dir())
            .ok_or_else(|| serde::de::Error::custom("there is no home directory to begin this path with")),
    }
}

pub(super) fn deserialize_option<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PathBuf>, D::Error> {
    Ok(Option::<Read>::deserialize(deserializer)?.map(|Read(path)| path))
}

struct Read(PathBuf);

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer).map(Self)
    }
}

/// A path may be no UTF-8, and is shown all the same.
pub(super) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

fn expand(text: &str, home: Option<PathBuf>) -> Option<PathBuf> {
    match text.strip_prefix("~/") {
        Some(rest) => Some(home?.join(rest)),
        None => Some(PathBuf::from(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilde_is_the_home_directory_and_only_at_the_start() {
        let home = || Some(PathBuf::from("/home/me"));
        for (text, path) in [("~/x", "/home/me/x"), ("/x", "/x"), ("x/~/y", "x/~/y"), ("~you/x", "~you/x")] {
            assert_eq!(expand(text, home()), Some(PathBuf::from(path)), "{text}");
        }
        assert_eq!(expand("~/x", None), None);
    }
}
