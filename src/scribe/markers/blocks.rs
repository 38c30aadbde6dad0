//! What a client puts into a message in one request, and takes away or writes anew in the next.

use memchr::memmem::find;

/// The blocks, by name: `<name>…</name>`, at the beginning of a line.
const BLOCKS: [Block; 6] = [
    // Claude Code, OpenCode, Roo Code, Qwen Code: reminders in the user's message or in a tool's result, for the last
    // requests only, or with a list of tasks that changes. (captured requests; sst/opencode session/prompt.ts)
    Block::new("<system-reminder>", "</system-reminder>"),
    // Crush: charmbracelet/crush internal/agent/agent.go.
    Block::new("<system_reminder>", "</system_reminder>"),
    // Cline, Roo Code: open files, time, cost, mode, at the end of each message of the user.
    // (RooCodeInc/Roo-Code src/core/environment/getEnvironmentDetails.ts)
    Block::new("<environment_details>", "</environment_details>"),
    // Copilot Chat writes these three around the newest request, and not, or otherwise, around it when it has become
    // history. (microsoft/vscode-copilot-chat prompts/node/agent/agentPrompt.tsx, agentConversationHistory.tsx)
    Block::new("<reminderInstructions>", "</reminderInstructions>"),
    Block::new("<editorContext>", "</editorContext>"),
    // Many apps put documents into a block of this name: it is Copilot's only where its request stands beside it.
    Block { beside: Some("<userRequest>"), ..Block::new("<context>", "</context>") },
];

/// OpenCode wraps what the user says while the model works into a reminder, in the first request that has it; after
/// that it stands there as the user wrote it. (sst/opencode session/prompt.ts)
const QUEUED: (&str, &str) = (
    "\nThe user sent the following message:\n",
    "\n\nPlease address this message and continue with your tasks.\n",
);

/// Whatever else begins like this is the user's as well.
const OF_USER: &str = "The user sent ";

struct Block {
    open: &'static str,
    close: &'static str,
    /// What stands in the same text, where the name alone says too little.
    beside: Option<&'static str>,
}

impl Block {
    const fn new(open: &'static str, close: &'static str) -> Self {
        Self { open, close, beside: None }
    }
}

/// What comes after the block that a text begins with, if it ends within `limit`.
pub(super) fn after_block(text: &str, limit: usize) -> Option<&str> {
    if !text.starts_with('<') {
        return None;
    }
    let block = BLOCKS.iter().find(|block| block.beside.is_none() && text.starts_with(block.open))?;
    let within = text.get(..text.floor_char_boundary(limit))?;
    let at = find(within.as_bytes(), block.close.as_bytes())?;
    text.get(at + block.close.len()..)
}

/// The text without them; `None` where there are none. A block that has no end is left alone.
pub(super) fn without_blocks(text: &str) -> Option<String> {
    memchr::memchr(b'<', text.as_bytes())?;
    let mut short: Option<String> = None;
    // Up to where the text is told, or left out.
    let mut told = 0;
    let mut at = 0;
    // Each is looked for in the whole text no more than once in vain.
    let mut is_hopeless = BLOCKS
        .each_ref()
        .map(|block| block.beside.is_some_and(|beside| find(text.as_bytes(), beside.as_bytes()).is_none()));
    while let Some(next) = memchr::memchr(b'<', text.as_bytes().get(at..)?) {
        let start = at + next;
        at = start + 1;
        let rest = text.get(start..)?;
        let mut known = BLOCKS.iter().zip(&mut is_hopeless);
        let Some((block, hopeless)) = known.find(|(block, _)| rest.starts_with(block.open)) else { continue };
        let before = text.get(told..start)?;
        let line = before.trim_end_matches([' ', '\t']);
        if *hopeless || !(line.is_empty() || line.ends_with('\n')) {
            continue;
        }
        let inner = rest.get(block.open.len()..)?;
        let Some(length) = find(inner.as_bytes(), block.close.as_bytes()) else {
            *hopeless = true;
            continue;
        };
        let inner = inner.get(..length)?;
        let after = rest.get(block.open.len() + length + block.close.len()..)?;
        let queued = inner.strip_prefix(QUEUED.0).and_then(|inner| inner.strip_suffix(QUEUED.1));
        if queued.is_none() && inner.trim_start().starts_with(OF_USER) {
            at = text.len() - after.len();
            continue;
        }
        let short = short.get_or_insert_default();
        short.push_str(before);
        short.push_str(queued.unwrap_or_default());
        let after = if queued.is_some() { after } else { after.trim_start() };
        told = text.len() - after.len();
        at = told;
    }
    let mut short = short?;
    let rest = text.get(told..)?;
    short.push_str(rest);
    if rest.is_empty() {
        short.truncate(short.trim_end().len());
    }
    Some(short)
}
