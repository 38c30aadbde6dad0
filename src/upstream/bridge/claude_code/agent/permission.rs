//! Whether an agent may do what the CLI asks leave for.

use std::path::Path;

use serde_json::Value;

use super::settings::{Permission, Settings};
use super::workspace;

/// Fields of the built-in tools' inputs that name a file or a directory.
const FILES: [&str; 4] = ["file_path", "filePath", "notebook_path", "path"];

/// Why an agent in `project` may not use `tool` with `input`, in words for the model; `None`: it may.
pub(super) fn refusal(settings: &Settings, project: &Path, tool: &str, input: &Value) -> Option<String> {
    if !settings.tools.iter().any(|named| covers(named, tool)) {
        return Some(format!("{tool} is not among the tools that may be used here."));
    }
    match settings.permission {
        Permission::Nothing => Some(format!("Nobody is here to allow {tool} this.")),
        Permission::Everything => None,
        Permission::Project => {
            let named = FILES.iter().filter_map(|name| input.get(name)?.as_str());
            let outside = named.filter(|file| !is_within(project, file)).chain(far(project, tool, input));
            let outside = outside.into_iter().next();
            outside.map(|file| format!("{file} is outside of the project, and may not be used."))
        }
    }
}

/// Whether what the CLI takes `file` for is in the project: it leaves out spaces around it, and `~` is its home, which
/// holds what others have said.
fn is_within(project: &Path, file: &str) -> bool {
    let file = file.trim();
    !file.starts_with('~') && !file.contains('\0') && workspace::is_within(project, Path::new(file))
}

/// The pattern of `Glob`, if it could mean files elsewhere: it may begin with a directory of its own.
fn far<'a>(project: &Path, tool: &str, input: &'a Value) -> Option<&'a str> {
    let pattern = input.get("pattern")?.as_str().filter(|_| tool == "Glob")?;
    let plain = pattern.trim().split(['*', '?', '[', '{', '\\']).next().unwrap_or_default();
    let climbs = pattern.contains("..") || ["{/", ",/", "{~", ",~"].iter().any(|way| pattern.contains(way));
    (climbs || !is_within(project, plain)).then_some(pattern)
}

/// Whether `named` of the settings means `tool`: itself, or the MCP server that it is of.
fn covers(named: &str, tool: &str) -> bool {
    named == tool
        || named.starts_with("mcp__") && tool.strip_prefix(named).is_some_and(|rest| rest.starts_with("__"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_way_of_naming_a_file_leads_out_of_the_project() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().canonicalize().unwrap();
        std::fs::create_dir(project.join("src")).unwrap();
        std::os::unix::fs::symlink("/etc", project.join("link")).unwrap();
        let tools = ["Read", "Glob", "Grep", "LSP"].map(str::to_owned).to_vec();
        let settings = Settings { tools, ..Settings::default() };
        let within = project.join("src").to_str().unwrap().to_owned();
        for (tool, input, allowed) in [
            ("Read", json!({"file_path": "src/~x"}), true),
            ("Read", json!({"file_path": "~/.claude/projects/x.jsonl"}), false),
            ("Read", json!({"file_path": "~"}), false),
            ("Read", json!({"file_path": " /etc/passwd"}), false),
            ("Read", json!({"file_path": "\t~/x "}), false),
            ("Read", json!({"file_path": "src/\0/../../x"}), false),
            ("Read", json!({"file_path": "link/passwd"}), false),
            ("Read", json!({"file_path": "src/../../x"}), false),
            ("LSP", json!({"filePath": "/etc/passwd"}), false),
            ("Glob", json!({"pattern": "**/*.rs"}), true),
            ("Glob", json!({"pattern": "src/*.{rs,toml}"}), true),
            ("Glob", json!({"pattern": format!("{within}/**")}), true),
            ("Glob", json!({"pattern": "/etc/*"}), false),
            ("Glob", json!({"pattern": "../**"}), false),
            ("Glob", json!({"pattern": "{..,src}/*"}), false),
            ("Glob", json!({"pattern": "{src,/etc}/*"}), false),
            ("Glob", json!({"pattern": "~/*"}), false),
            ("Glob", json!({"pattern": "link/*"}), false),
            ("Glob", json!({"pattern": "*", "path": "/etc"}), false),
            ("Grep", json!({"pattern": "/api/v1 ..", "path": "src"}), true),
        ] {
            let refusal = refusal(&settings, &project, tool, &input);
            assert_eq!(refusal.is_none(), allowed, "{tool} {input}: {refusal:?}");
        }
    }

    #[test]
    fn a_tool_is_allowed_if_it_is_named_and_its_files_are_of_the_project() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().canonicalize().unwrap();
        let settings = |permission| Settings {
            tools: ["Write", "Bash", "mcp__db"].map(str::to_owned).to_vec(),
            permission,
            ..Settings::default()
        };
        let inside = json!({"file_path": project.join("new/file")});
        let outside = json!({"file_path": "/etc/passwd"});
        let climbing = json!({"path": "../x"});
        let (nothing, within, everything) =
            (Permission::Nothing, Permission::Project, Permission::Everything);
        for (permission, tool, input, allowed) in [
            (within, "Write", &inside, true),
            (within, "Write", &outside, false),
            (within, "Write", &climbing, false),
            (within, "Bash", &json!({"command": "ls"}), true),
            (within, "mcp__db__query", &json!({}), true),
            (within, "mcp__dbx__query", &json!({}), false),
            (within, "Edit", &inside, false),
            (everything, "Write", &outside, true),
            (everything, "Edit", &inside, false),
            (nothing, "Write", &inside, false),
        ] {
            let refusal = refusal(&settings(permission), &project, tool, input);
            assert_eq!(refusal.is_none(), allowed, "{permission:?} {tool} {input}: {refusal:?}");
        }
    }
}
