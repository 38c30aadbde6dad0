//! The names of files: another for each session, whatever a session is called, on any file system.

/// So many characters of a session's name stand in that of its file.
const LONGEST: usize = 100;

/// The name of the file of a session whose name holds a secret.
pub(super) fn of_secret(session: &str, extension: &str) -> String {
    format!("session_.{:x}.{extension}", md5::compute(session))
}

/// The name of this session's file. A name of small letters, digits, `-` and `_` stands in it as it is; any other has
/// what cannot stand there left out, and its MD5 behind a dot, which no name of the first kind has.
pub(super) fn of(session: &str, extension: &str) -> String {
    // There are file systems to which large and small letters are the same.
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    if (1..=LONGEST).contains(&session.len()) && session.bytes().all(is_plain) {
        return ["session_", session, ".", extension].concat();
    }
    let kept = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let plain: String = session.chars().filter(kept).take(LONGEST).collect();
    format!("session_{plain}.{:x}.{extension}", md5::compute(session))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn plain_names_stay_and_no_two_sessions_share_a_file() {
        assert_eq!(of("user1", "jsonl"), "session_user1.jsonl");
        assert_eq!(of("a1fc86b8-2cfa_4958", "json"), "session_a1fc86b8-2cfa_4958.json");
        let long = "x".repeat(5_000);
        let ids = [
            "user1",
            "user@1",
            "User1",
            "USER1",
            "",
            "/",
            "..",
            "../../etc/passwd",
            "ü",
            "\0",
            "user1.jsonl",
            "con",
            &long,
            &long[1..],
            &of("user@1", "jsonl"),
            &of("user@1", "jsonl")["session_".len()..of("user@1", "jsonl").len() - ".jsonl".len()],
        ];
        let names: BTreeSet<_> = ids.iter().map(|id| of(id, "jsonl").to_ascii_lowercase()).collect();
        assert_eq!(names.len(), ids.len(), "{names:#?}");
        for name in &names {
            assert!(name.len() <= 160 && name.starts_with("session_"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)), "{name}");
        }
    }
}
