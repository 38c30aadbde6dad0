//! Keys that do not come from the structs: those of the predecessor, and where a misplaced key belongs.

use super::tree::Node;

/// What the predecessor read or documented and this version does not act on. Accepted with a warning, so that an
/// old file still runs.
const PREDECESSOR: [&str; 7] =
    ["llm.max_retries", "live_trace", "cylestio", "rate_limit", "auth", "custom_logging", "middlewares"];

/// Takes the predecessor's keys out of the tree and says which were there.
pub(super) fn take_predecessors(root: &mut Node) -> Vec<String> {
    PREDECESSOR.iter().filter(|path| root.remove(path)).map(|path| (*path).to_owned()).collect()
}

/// Every key that can be misplaced, by its section.
const SECTIONS: [(&str, &[&str]); 17] = [
    (
        "server",
        &[
            "host",
            "port",
            "workers",
            "drain",
            "flush",
            "admin",
            "header_timeout",
            "max_connections",
            "client_keys",
            "allow_open",
            "admin_on_proxy_port",
        ],
    ),
    ("server.admin", &["token"]),
    ("llm", &["type", "base_url", "api_key", "timeout", "traceparent", "bridge", "stackspot", "claude_code"]),
    ("llm.bridge", &["concurrency", "queue", "queue_timeout", "head_wait", "heartbeat", "lenient"]),
    (
        "llm.stackspot",
        &[
            "realm",
            "client_id",
            "client_secret",
            "client_secret_file",
            "idm_url",
            "files_url",
            "agents",
            "quick_commands",
            "quick_commands_url",
            "conversation",
            "requests_per_minute",
            "cooldown",
            "idle_timeout",
            "repair",
            "sources_footer",
        ],
    ),
    (
        "llm.stackspot.agents.<name>",
        &[
            "agent_id",
            "aliases",
            "version",
            "context_tokens",
            "tool_style",
            "use_knowledge",
            "return_knowledge",
            "knowledge_sources",
            "deep_search",
            "extra_body",
        ],
    ),
    (
        "llm.claude_code",
        &[
            "command",
            "auth",
            "models",
            "agent",
            "start_timeout",
            "idle_timeout",
            "timeout",
            "park",
            "max_parked",
            "retries",
        ],
    ),
    ("llm.claude_code.auth", &["auth_token", "oauth_token", "login"]),
    ("llm.claude_code.models.<name>", &["model", "aliases", "mode", "context", "max_output"]),
    (
        "llm.claude_code.agent",
        &[
            "workspace",
            "tools",
            "permission",
            "mcp_config",
            "system_prompt",
            "max_turns",
            "max_cost",
            "session_ttl",
            "project_size",
        ],
    ),
    ("observe", &["memory", "journal", "mailbox", "body_limit", "share_pages", "stall_threshold", "mask"]),
    ("observe.mask", &["headers", "query"]),
    ("logging", &["level", "format", "file", "max_file_size", "backup_count"]),
    ("pricing", &["file"]),
    ("metrics", &["calls", "semconv", "labels"]),
    ("metrics.labels", &["model", "response_model", "agent", "dialect", "error_type"]),
    ("session", &["max_sessions", "session_ttl_seconds", "completion_timeout", "legacy_headers", "headers"]),
];

/// The sections that `key` belongs to.
pub(super) fn sections_of(key: &str) -> Vec<&'static str> {
    SECTIONS.iter().filter(|(_, keys)| keys.contains(&key)).map(|(section, _)| *section).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::config::{Config, Overrides, Source};
    use crate::registry::Registry;

    #[test]
    fn every_section_holds_the_keys_that_are_sent_to_it() {
        let bytes = b"llm: {type: openai, base_url: http://x, stackspot: {agents: {<name>: {agent_id: a}}}, \
            claude_code: {models: {<name>: {}}}}";
        let source = Source { name: "x", bytes };
        let unset = |_: &str| Err(std::env::VarError::NotPresent);
        let loaded = Config::read(Some(source), Overrides::default(), &Registry::built_in(), &unset).unwrap();
        let config = serde_json::to_value(&loaded.config).unwrap();
        for (section, keys) in SECTIONS {
            let map = section.split('.').fold(&config, |value, key| &value[key]);
            for key in keys {
                assert!(map.as_object().is_some_and(|map| map.contains_key(*key)), "{section}.{key}");
            }
        }
        let sections =
            config.as_object().unwrap().iter().filter(|(_, value)| matches!(value, Value::Object(_)));
        for (section, _) in sections {
            assert!(SECTIONS.iter().any(|(known, _)| known == section), "{section}");
        }
    }
}
