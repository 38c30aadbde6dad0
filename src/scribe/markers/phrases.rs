//! The phrases, each with the client that writes it, and where that is to be read.
//!
//! Only what is distinctive of a client's own wording, as far as needed to tell it. White space is as in
//! [`super::begins`].

use super::SideCall;

/// Where a phrase stands, and what else must be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At the beginning of the system prompt of a call without tools.
    System,
    /// At the beginning of the only message, of a call without tools.
    Alone,
    /// The same, where a tool may be the form of the answer.
    AloneForSchema,
    /// At the beginning of what the user's last message says, after any history.
    Last,
    /// At the beginning of any text of that message.
    BesideLast,
    /// It is all of the only message, and there is no system prompt.
    WholeWithoutSystem,
    /// It is all of the only message, after Claude Code's system prompt.
    WholeOfClaudeCode,
}

/// A side call of a known client.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) place: Place,
    pub(super) kind: SideCall,
    pub(super) phrase: &'static str,
}

const fn row(place: Place, kind: SideCall, phrase: &'static str) -> Row {
    Row { place, kind, phrase }
}

use Place::{Alone, AloneForSchema, BesideLast, Last, System, WholeOfClaudeCode, WholeWithoutSystem};

/// What Claude Code and its SDK write before each of their system prompts (captured requests).
pub(super) const CLAUDE_CODE: [&str; 3] = [
    "You are Claude Code, Anthropic's official CLI for Claude, running within the Claude Agent SDK.",
    "You are Claude Code, Anthropic's official CLI for Claude.",
    "You are a Claude agent, built on Anthropic's Claude Agent SDK.",
];

#[rustfmt::skip]
pub(super) const SIDE_CALLS: &[Row] = &[
    // Claude Code. Its package holds the wording (npm @anthropic-ai/claude-code, 0.2 to 2.1); proxies that know these
    // calls quote it: decolua/9router runtimeConfig.js SKIP_PATTERNS, Wei-Shaw/sub2api detectInterceptType.
    row(WholeWithoutSystem, SideCall::Quota, "quota"),
    row(WholeWithoutSystem, SideCall::TokenCount, "count"),
    row(WholeOfClaudeCode, SideCall::Warmup, "Warmup"),
    row(System, SideCall::Topic, "Analyze if this message indicates a new conversation topic."),
    row(System, SideCall::Title, "Summarize this coding conversation in under 50 characters."),
    row(System, SideCall::Title, "Generate a concise, sentence-case title (3-7 words)"),
    row(System, SideCall::Title, "You are coming up with a succinct title"),
    row(Alone, SideCall::Title, "You are coming up with a succinct title"),
    row(Alone, SideCall::Title, "Please write a 5-10 word title for the following conversation:"),
    row(System, SideCall::Command, "Extract any file paths that this command reads or modifies."),
    row(System, SideCall::Command, "Your task is to process Bash commands that an AI coding agent wants to run."),
    row(Last, SideCall::Suggestion, "[SUGGESTION MODE:"),
    row(Last, SideCall::Recap, "The user stepped away and is coming back."),
    row(BesideLast, SideCall::Question, "<system-reminder>This is a side question from the user."),
    row(Last, SideCall::Memory, "You are now acting as the memory extraction subagent"),
    row(Last, SideCall::Memory, "IMPORTANT: This message and these instructions are NOT part of the actual user conversation."),

    // OpenCode: sst/opencode packages/opencode/src/agent/prompt/{title,summary}.txt.
    row(System, SideCall::Title, "You are a title generator. You output ONLY a thread title."),
    row(System, SideCall::Summary, "Summarize what was done in this conversation. Write like a pull request description."),

    // Codex: the title of a task (its app), openai/codex codex-rs/core/templates/memories/stage_one_system.md.
    row(Alone, SideCall::Title, "You are a helpful assistant. You will be presented with a user prompt, and your job is to provide a short title for a task"),
    row(System, SideCall::Title, "You are a helpful assistant. You will be presented with a user prompt, and your job is to provide a short title for a task"),
    row(System, SideCall::Memory, "## Memory Writing Agent: Phase 1"),

    // Gemini CLI, and those made from it: google-gemini/gemini-cli packages/core/src/utils/nextSpeakerChecker.ts,
    // services/{sessionSummaryService,loopDetectionService,chatCompressionService}.ts, routing/strategies.
    row(Last, SideCall::Steering, "Analyze *only* the content and structure of your immediately preceding response"),
    row(System, SideCall::Steering, "You are a specialized Task Routing AI."),
    row(System, SideCall::Steering, "You are a sophisticated AI diagnostic agent specializing in identifying when a conversational AI is stuck"),
    row(Alone, SideCall::Summary, "Summarize the user's primary intent or goal in this conversation in ONE sentence"),

    // Crush: charmbracelet/crush internal/agent/templates/title.md.
    row(System, SideCall::Title, "You will generate a short title based on the first message a user begins a conversation with."),
    // Vercel's chat template: vercel/ai-chatbot lib/ai/prompts.ts, of several years.
    row(System, SideCall::Title, "- you will generate a short title based on the first message a user begins a conversation with"),
    row(System, SideCall::Title, "Generate a short chat title (2-5 words) summarizing the user's message."),

    // Copilot Chat: microsoft/vscode-copilot-chat prompts/node/{panel/title,git/gitCommitMessagePrompt}.tsx.
    row(System, SideCall::Title, "You are an expert in crafting pithy titles for chatbot conversations."),
    row(System, SideCall::Title, "You are an expert in crafting pithy branch names"),
    row(System, SideCall::CommitMessage, "You are an AI programming assistant, helping a software developer to come with the best git commit message"),

    // Zed: zed-industries/zed crates/agent (thread.rs), crates/git_ui/src/commit_message_prompt.txt.
    row(Last, SideCall::Title, "Generate a concise 3-7 word title for this conversation, omitting punctuation."),
    row(Alone, SideCall::CommitMessage, "You are an expert at writing Git commits. Your job is to write a short clear commit message"),

    // Goose: block/goose crates/goose/src/prompts/session_name.md.
    row(System, SideCall::Title, "Generate a short title (four words or less) for this conversation."),
    // Continue: continuedev/continue core/util/chatDescriber.ts.
    row(Alone, SideCall::Title, "Given the following... please reply with a title for the chat"),

    // Cline: cline/cline apps/vscode/src/hosts/vscode/commit-message-generator.ts, sdk .../agentic-compaction.ts.
    row(System, SideCall::CommitMessage, "You are a helpful assistant that generates informative git commit messages based on git diffs output."),
    row(System, SideCall::Summary, "Summarize the provided coding session into a concise continuation note"),
    // Roo Code: RooCodeInc/Roo-Code src/shared/support-prompt.ts (ENHANCE).
    row(Alone, SideCall::Rewording, "Generate an enhanced version of this prompt (reply with only the enhanced prompt"),

    // Aider: Aider-AI/aider aider/prompts.py, now and earlier.
    row(System, SideCall::CommitMessage, "You are an expert software engineer. Review the provided context and diffs which are about to be committed to a git repo."),
    row(System, SideCall::CommitMessage, "You are an expert software engineer that generates concise, one-line Git commit messages"),
    row(System, SideCall::Summary, "*Briefly* summarize this partial conversation about programming."),

    // Open WebUI: open-webui/open-webui backend/open_webui/config.py, DEFAULT_*_PROMPT_TEMPLATE, now and earlier.
    row(Alone, SideCall::Title, "### Task: Generate a concise title summarizing the chat history."),
    row(Alone, SideCall::Title, "### Task: Generate a concise, 3-5 word title"),
    row(Alone, SideCall::Tags, "### Task: Generate 1-3 broad tags categorizing the main themes of the chat history"),
    row(Alone, SideCall::FollowUps, "### Task: Suggest 3-5 relevant follow-up questions or prompts that the user might naturally ask next"),
    row(Alone, SideCall::Query, "### Task: Analyze the chat history to determine the necessity of generating search queries"),
    row(Alone, SideCall::Autocomplete, "### Task: You are an autocompletion system."),
    row(Alone, SideCall::ImagePrompt, "### Task: Generate a detailed prompt for am image generation task"),

    // LibreChat: danny-avila/agents src/utils/title.ts.
    row(Alone, SideCall::Title, "Provide a concise, 5-word-or-less title for the conversation, using title case conventions."),
    row(AloneForSchema, SideCall::Title, "Analyze this conversation and provide: 1. The detected language of the conversation"),
    // LobeChat: lobehub/lobe-chat packages/prompts/src/chains/summaryTitle.ts, now and earlier.
    row(System, SideCall::Title, "You are a professional conversation summarizer. Generate a concise title"),
    row(System, SideCall::Title, "你是一名擅长会话的助理，你需要将用户的会话总结为"),

    // Mem0: mem0ai/mem0 mem0/configs/prompts.py.
    row(System, SideCall::Memory, "You are a Personal Information Organizer, specialized in accurately storing facts"),
    // LangChain: langchain-ai/langchain libs/langchain_v1 agents/middleware/summarization.py: what is summarised stands
    // in the message.
    row(Alone, SideCall::Summary, "<role> Context Extraction Assistant </role>"),
    // Goose: block/goose crates/goose/src/context_mgmt/mod.rs: what is summarised stands in the system prompt.
    row(Alone, SideCall::Summary, "Please summarize the conversation history provided in the system prompt."),
];

/// How the client's instruction to summarise the conversation begins.
#[rustfmt::skip]
pub(super) const SUMMARY_REQUESTS: &[&str] = &[
    // Claude Code (captured requests; its package); Zed's and Roo Code's were made after it.
    "Your task is to create a detailed summary of the conversation so far",
    "Your task is to create a detailed summary of the RECENT portion of the conversation",
    "CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.",
    // Codex: openai/codex codex-rs/core/templates/compact/prompt.md.
    "You are performing a CONTEXT CHECKPOINT COMPACTION.",
    // OpenCode: sst/opencode session/compaction.ts, now and earlier.
    "Create a new anchored summary from the conversation history",
    "Update the anchored summary below using the conversation history",
    "Provide a detailed prompt for continuing our conversation above.",
    "Provide a detailed but concise summary of our conversation above.",
    // Crush: charmbracelet/crush internal/agent/agent.go.
    "Provide a detailed summary of our conversation above.",
    // Gemini CLI: google-gemini/gemini-cli services/chatCompressionService.ts, now and earlier.
    "Generate a new <state_snapshot> based on the provided history.",
    "A previous <state_snapshot> exists in the history.",
    "Critically evaluate the <state_snapshot> you just generated.",
    "First, reason in your scratchpad. Then, generate the <state_snapshot>.",
    // Cline: cline/cline src/core/prompts/contextManagement.ts (until 2026); sdk .../compaction-shared.ts.
    "<explicit_instructions type=\"summarize_task\">",
    "The current conversation is rapidly running out of context. Now, your urgent task is to create a comprehensive detailed summary",
    "Summarize this session for continuation. Be concise and factual.",
    // Roo Code: RooCodeInc/Roo-Code src/shared/support-prompt.ts (CONDENSE).
    "CRITICAL: This summarization request is a SYSTEM OPERATION, not a user message.",
    // Copilot Chat: microsoft/vscode-copilot-chat prompts/node/agent/summarizedConversationHistory.tsx.
    "Summarize the conversation history so far, paying special attention to the most recent agent commands",
    "Your task is to create a comprehensive, detailed summary of the entire conversation",
    // Zed: zed-industries/zed crates/agent_settings/src/prompts/compaction_prompt.txt.
    "You are compacting this conversation into a handoff for another agent",
    // Goose: block/goose crates/goose/src/context_mgmt/mod.rs, prompts/{compaction,summarize_oneshot}.md.
    "Please summarize the conversation history provided in the system prompt.",
    "The messages above are a conversation to summarize. Create a structured context checkpoint summary",
    // LangChain: agents/middleware/summarization.py.
    "<role> Context Extraction Assistant </role>",
];

/// What stands near its end, where something of the user's may stand before it in the same text.
pub(super) const SUMMARY_REQUEST_ENDS: &[&str] = &[
    // Claude Code.
    "Respond with plain text only — an <analysis> block followed by a <summary> block.",
];

/// How the summary begins that took the place of a history.
#[rustfmt::skip]
pub(super) const SUMMARIES: &[&str] = &[
    // Claude Code (its package).
    "This session is being continued from a previous conversation that ran out of context.",
    // Codex: openai/codex codex-rs/core/templates/compact/summary_prefix.md.
    "Another language model started to solve this problem and produced a summary of its thinking process.",
    // Gemini CLI, and those made from it.
    "<state_snapshot>",
    // LangChain, its deep agents: langchain-ai/deepagents middleware/summarization.py.
    "Here is a summary of the conversation to date:",
    "You are in the middle of a conversation that has been summarized.",
    // OpenAI's Agents SDK, where one agent hands over to another: openai/openai-agents-python handoffs/history.py.
    "For context, here is the conversation so far between the user and the previous agent:",
    // Copilot Chat.
    "<conversation-summary>",
    // Cline: sdk .../compaction-shared.ts; Roo Code: src/core/condense/index.ts.
    "Context summary:\n\n",
    "## Conversation Summary\n",
    // Pi: badlogic/pi-mono packages/coding-agent.
    "The conversation history before this point was compacted into the following summary:",
    // Kimi CLI: MoonshotAI/kimi-cli src/kimi_cli/soul/compaction.py.
    "<system>Previous context has been compacted. Here is the compaction output:",
    // Letta: letta-ai/letta letta/system.py (package_summarize_message).
    "{\"type\": \"system_alert\", \"message\": \"Note: prior messages",
    "Note: prior messages have been hidden from view due to conversation memory constraints.",
    // Goose: it follows the summary.
    "Your context was compacted. The previous message contains a summary",
    // Aider: aider/prompts.py.
    "I spoke to you previously about a number of things.",
];

/// OpenCode writes this and nothing else, and the summary as the model's answer: sst/opencode session/message-v2.ts.
pub(super) const OPENCODE_SUMMARY: &str = "What did we do so far?";

/// What stands in the place of a tool's result that the client has taken out of its history.
pub(super) const CLEARED: &[&str] = &[
    // Claude Code (its package); OpenCode: sst/opencode session/message-v2.ts.
    "[Old tool result content cleared]",
    // LangChain: agents/middleware/context_editing.py, ClearToolUsesEdit.
    "[cleared]",
];
