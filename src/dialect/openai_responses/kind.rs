//! What the types of items mean.

use perimeter_interceptor::Role;

use crate::dialect::role;

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Reasoning,
    /// The model asks for a tool.
    Call(Tool),
    /// A tool's answer.
    Output,
    /// Anything else.
    Other,
}

/// Which tool is asked for, and where its input stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    /// A tool of the client's, with a name.
    Named,
    /// A tool of the client's that the provider names.
    Client(&'static str),
    /// Whose it is, the item itself says.
    Either(&'static str),
    /// A tool that the provider runs.
    Hosted(&'static str),
    /// A tool of an MCP server, which the provider runs.
    Mcp,
}

impl Kind {
    /// What an item of this type is.
    pub(super) fn of(word: &str) -> Self {
        match word {
            "message" => Self::Message,
            "reasoning" => Self::Reasoning,
            "function_call" | "custom_tool_call" => Self::Call(Tool::Named),
            "local_shell_call" => Self::Call(Tool::Client("local_shell")),
            "apply_patch_call" => Self::Call(Tool::Client("apply_patch")),
            "computer_call" => Self::Call(Tool::Client("computer")),
            "shell_call" => Self::Call(Tool::Either("shell")),
            "tool_search_call" => Self::Call(Tool::Either("tool_search")),
            "web_search_call" => Self::Call(Tool::Hosted("web_search")),
            "file_search_call" => Self::Call(Tool::Hosted("file_search")),
            "code_interpreter_call" => Self::Call(Tool::Hosted("code_interpreter")),
            "image_generation_call" => Self::Call(Tool::Hosted("image_generation")),
            "mcp_call" => Self::Call(Tool::Mcp),
            "function_call_output"
            | "custom_tool_call_output"
            | "local_shell_call_output"
            | "shell_call_output"
            | "apply_patch_call_output"
            | "computer_call_output"
            | "tool_search_output" => Self::Output,
            _ => Self::Other,
        }
    }

    /// Who speaks in it. `role` is what a message says of it.
    pub(super) fn role(self, word: &str, said: Option<&str>) -> Role {
        match self {
            Self::Message => role(said.unwrap_or_default()),
            Self::Reasoning | Self::Call(_) => Role::Assistant,
            Self::Output => Role::Tool,
            Self::Other => match word {
                "mcp_list_tools" | "mcp_approval_request" | "compaction" => Role::Assistant,
                "mcp_approval_response" => Role::User,
                other if other.ends_with("_call") => Role::Assistant,
                other if other.ends_with("_output") => Role::Tool,
                other => Role::Other(other.into()),
            },
        }
    }
}
