//! Whether an agent may do what the CLI asks leave for.

use std::path::Path;

use serde_json::Value;

use super::settings::{Permission, Settings};
use super::workspace;

/// Fields of the built-in tools' inputs that name a file or a directory.
const FILES: [&str; 3] = ["file_path", "notebook_path", "path"];

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
            let mut outside = named.filter(|file| !workspace::is_within(project, Path::new(file)));
            outside.next().map(|file| format!("{file} is outside of the project, and may not be used."))
        }
    }
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
