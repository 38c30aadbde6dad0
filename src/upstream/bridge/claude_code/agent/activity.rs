//! What an agent does, in a line of words: clients are told, and asked for nothing.

use std::path::Path;

use serde_json::Value;

/// The longest that is said of what a tool was given. Characters.
const LONGEST: usize = 120;

/// Fields of an input that say best what it is about, the best first.
const TELLING: [&str; 9] =
    ["file_path", "notebook_path", "command", "pattern", "url", "query", "path", "description", "prompt"];

/// A line for the use of `tool` with `input` in `project`: "Read src/main.rs".
pub(super) fn line(tool: &str, input: &Value, project: &Path) -> String {
    let about = TELLING.iter().find_map(|name| input.get(name)?.as_str());
    let Some(about) = about else { return format!("{tool}\n") };
    let about = Path::new(about).strip_prefix(project).ok().and_then(Path::to_str).unwrap_or(about);
    let mut words: String = about.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(LONGEST) {
        words.truncate(end);
        words.push('…');
    }
    format!("{tool} {words}\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_says_the_tool_and_what_it_is_about() {
        let line = |tool, input| line(tool, &input, Path::new("/work/project"));
        assert_eq!(line("Read", json!({"file_path": "/work/project/src/main.rs"})), "Read src/main.rs\n");
        assert_eq!(line("Read", json!({"file_path": "/etc/hosts", "limit": 3})), "Read /etc/hosts\n");
        assert_eq!(line("Bash", json!({"command": "ls\n -l", "description": "d"})), "Bash ls -l\n");
        assert_eq!(line("Grep", json!({"pattern": "ü".repeat(200)})), format!("Grep {}…\n", "ü".repeat(120)));
        assert_eq!(line("TodoWrite", json!([1])), "TodoWrite\n");
    }
}
