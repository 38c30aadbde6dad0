//! What is said to an agent: the turns that are new to it, as the CLI reads them, and the history of one that has
//! lost it.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use serde_json::{Value, json};

use super::store::sessions::Speaker;
use super::store::{now, stamp};
use crate::upstream::bridge::Failure;
use crate::upstream::bridge::ask::{Ask, Block, Role, Source, Turn};

/// What a request says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Said {
    /// What was said before, in words: of use only where the agent does not know it.
    pub before: Vec<(Speaker, String)>,
    /// The blocks of what is new.
    pub blocks: Vec<Value>,
    /// The same in words, for the store.
    pub words: String,
    /// Instructions: the system prompt, and what stands for it in the midst of what is new.
    pub system: String,
    /// Whether something of what was said before is no text, and so left out.
    pub incomplete: bool,
}

impl Said {
    /// Reads `ask`: what comes after the model's last words is new.
    ///
    /// # Errors
    /// Where nothing is new, or it is something that agents cannot be told.
    pub(super) fn read(ask: &Ask) -> Result<Self, Failure> {
        let prompts: Vec<_> = ask.system.iter().map(|prompt| prompt.text.as_str()).collect();
        let mut said = Self { system: prompts.join("\n\n"), ..Self::default() };
        let last = ask.turns.iter().rposition(|turn| turn.role == Role::Assistant);
        let (before, new) = ask.turns.split_at(last.map_or(0, |last| last + 1));
        for turn in before {
            said.precede(turn);
        }
        for turn in new {
            said.add(turn)?;
        }
        if said.blocks.is_empty() {
            return Err(Failure::invalid(
                "messages",
                "there is no message of the user after the model's last one",
            ));
        }
        Ok(said)
    }

    fn precede(&mut self, turn: &Turn) {
        let speaker = if turn.role == Role::Assistant { Speaker::Assistant } else { Speaker::User };
        let words = words(turn.parts.iter().map(|part| &part.block));
        self.incomplete |= turn.parts.iter().any(|part| !matches!(part.block, Block::Text(_)));
        if !words.is_empty() {
            self.before.push((speaker, words));
        }
    }

    fn add(&mut self, turn: &Turn) -> Result<(), Failure> {
        if turn.role == Role::System {
            let words = words(turn.parts.iter().map(|part| &part.block));
            add(&mut self.system, &words);
            return Ok(());
        }
        for part in &turn.parts {
            block(&part.block, &mut self.blocks)?;
        }
        let words = words(turn.parts.iter().map(|part| &part.block));
        add(&mut self.words, &words);
        Ok(())
    }
}

fn add(to: &mut String, words: &str) {
    if !to.is_empty() && !words.is_empty() {
        to.push_str("\n\n");
    }
    to.push_str(words);
}

/// The text of blocks; what is none is named.
fn words<'a>(blocks: impl Iterator<Item = &'a Block>) -> String {
    let mut words = String::new();
    for block in blocks {
        match block {
            Block::Text(text) => add(&mut words, text),
            Block::Image(_) => add(&mut words, "[image]"),
            Block::Document { .. } => add(&mut words, "[document]"),
            _ => {}
        }
    }
    words
}

/// A block as the Messages API has it (<https://docs.claude.com/en/api/messages>).
fn block(block: &Block, to: &mut Vec<Value>) -> Result<(), Failure> {
    match block {
        // The CLI takes a last text that begins with a slash for a command. One that stands after another is not.
        Block::Text(text) => {
            let rest = text.trim_start_matches('/');
            let (slashes, rest) = text.split_at(text.len() - rest.len());
            let pieces = match (slashes, rest.trim()) {
                ("", "") => vec![],
                ("", _) => vec![text.clone()],
                (_, "") => vec![format!(" {text}")],
                _ => vec![slashes.to_owned(), rest.to_owned()],
            };
            to.extend(pieces.into_iter().map(|text| json!({"type": "text", "text": text})));
        }
        Block::Image(file) => to.push(json!({"type": "image", "source": source(file)?})),
        Block::Document { source: file, title } => {
            to.push(json!({"type": "document", "source": source(file)?, "title": title}));
        }
        Block::ToolUse { .. } | Block::ToolResult { .. } => {
            let message =
                "an agent uses tools of its own: there is no result of a client's that it waits for";
            return Err(Failure::unsupported("messages", message));
        }
        Block::Thinking { .. } | Block::Redacted(_) => {}
    }
    Ok(())
}

fn source(source: &Source) -> Result<Value, Failure> {
    match source {
        Source::Base64 { media_type, data } => {
            Ok(json!({"type": "base64", "media_type": media_type, "data": data}))
        }
        Source::Text(text) => Ok(json!({"type": "text", "media_type": "text/plain", "data": text})),
        Source::Url(_) => {
            let message = "files by URL are not fetched: send their bytes";
            Err(Failure {
                kind: crate::upstream::bridge::Kind::UnsupportedContent,
                ..Failure::unsupported("messages", message)
            })
        }
    }
}

/// Writes what was said as a transcript of the CLI's own, which it goes on from with `--resume` and adds to.
///
/// # Errors
/// Those of the file system.
pub(super) fn transcribe(
    path: &Path,
    cli_session: &str,
    project: &Path,
    history: &[(Speaker, String)],
) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut text = Vec::new();
    let mut parent = Value::Null;
    for (number, (speaker, words)) in history.iter().enumerate() {
        // Ids within the file: the session's own, with a number at its end.
        let uuid = format!("{}{:012x}", cli_session.get(..24).unwrap_or_default(), number + 1);
        let line = line(cli_session, project, &parent, &uuid, *speaker, words);
        serde_json::to_writer(&mut text, &line)?;
        text.push(b'\n');
        parent = uuid.into();
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(&text)
}

fn line(
    cli_session: &str,
    project: &Path,
    parent: &Value,
    uuid: &str,
    speaker: Speaker,
    words: &str,
) -> Value {
    let content = [json!({"type": "text", "text": words})];
    let (kind, message) = match speaker {
        Speaker::User => ("user", json!({"role": "user", "content": content})),
        Speaker::Assistant => (
            "assistant",
            json!({
                "id": format!("msg_{uuid}"), "type": "message", "role": "assistant", "model": "claude",
                "content": content, "stop_reason": "end_turn", "stop_sequence": null,
                "usage": {"input_tokens": 0, "output_tokens": 0},
            }),
        ),
    };
    json!({
        "type": kind, "isSidechain": false, "userType": "external", "cwd": project, "sessionId": cli_session,
        "version": super::super::probe::OLDEST, "parentUuid": parent, "uuid": uuid, "timestamp": stamp(now()),
        "message": message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::bridge::ask::Prompt;

    fn turn(role: Role, texts: &[&str]) -> Turn {
        let parts = texts.iter().map(|text| Block::Text((*text).to_owned()).into()).collect();
        Turn { role, parts }
    }

    #[test]
    fn only_what_comes_after_the_models_last_words_is_new() {
        let turns = vec![
            turn(Role::User, &["one"]),
            turn(Role::Assistant, &["two"]),
            turn(Role::System, &["Be kind."]),
            turn(Role::User, &["three", "four"]),
            turn(Role::User, &["five"]),
        ];
        let system = vec![Prompt { text: "Be brief.".to_owned(), cache: None }];
        let said = Said::read(&Ask { turns, system, ..super::super::tests::ask() }).unwrap();
        let before = [(Speaker::User, "one".to_owned()), (Speaker::Assistant, "two".to_owned())];
        assert_eq!(said.before, before);
        assert_eq!(said.words, "three\n\nfour\n\nfive");
        assert_eq!(said.system, "Be brief.\n\nBe kind.");
        assert_eq!(said.blocks.len(), 3);
        assert!(!said.incomplete);
    }

    #[test]
    fn no_text_is_left_that_begins_with_a_slash_where_the_cli_would_look_for_a_command() {
        for text in ["/cost", "/", "/init me", "//", "/\n/cost"] {
            let mut blocks = Vec::new();
            block(&Block::Text(text.to_owned()), &mut blocks).unwrap();
            let texts: Vec<_> = blocks.iter().map(|block| block["text"].as_str().unwrap()).collect();
            let last = texts.last().unwrap();
            assert!(!last.is_empty() && !last.starts_with('/'), "{texts:?}");
            assert_eq!(texts.concat().trim(), text.trim());
        }
    }

    #[test]
    fn results_of_a_clients_tools_are_refused() {
        let result = Block::ToolResult { id: "1".to_owned(), content: Vec::new(), is_error: false };
        let turns = vec![Turn { role: Role::User, parts: vec![result.into()] }];
        let failure = Said::read(&Ask { turns, ..super::super::tests::ask() }).unwrap_err();
        assert_eq!(failure.param.as_deref(), Some("messages"));
    }
}
