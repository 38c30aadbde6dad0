//! Paths: `~/` at the start is the home directory.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serializer};

/// Reads a path.
///
/// # Errors
/// Where it is empty, or begins with `~/` and there is no home directory.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "" => Err(serde::de::Error::custom("expected a path")),
        text => expand(text, std::env::home_dir())
            .ok_or_else(|| serde::de::Error::custom("there is no home directory to begin this path with")),
    }
}

/// Reads a path, unless the key is left empty.
///
/// # Errors
/// As [`deserialize`].
pub fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    #[derive(Deserialize)]
    struct Said(#[serde(deserialize_with = "deserialize")] PathBuf);

    Ok(Option::<Said>::deserialize(deserializer)?.map(|Said(path)| path))
}

/// Writes it, also where it is no UTF-8.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
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
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_tilde_is_the_home_directory_and_only_at_the_start() {
        let home = || Some(PathBuf::from("/home/me"));
        for (text, path) in [("~/x", "/home/me/x"), ("/x", "/x"), ("x/~/y", "x/~/y"), ("~you/x", "~you/x")] {
            assert_eq!(expand(text, home()), Some(PathBuf::from(path)), "{text}");
        }
        assert_eq!(expand("~/x", None), None);
    }

    #[test]
    fn a_path_is_some_text_and_may_be_left_out_where_that_is_said() {
        assert_eq!(some(json!("/x")).unwrap(), Some(PathBuf::from("/x")));
        assert_eq!(some(Value::Null).unwrap(), None);
        assert!(some(json!("")).unwrap_err().to_string().contains("expected a path"));
    }
}
