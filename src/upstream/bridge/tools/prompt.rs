//! What is asked, as one text.

use std::collections::HashMap;
use std::fmt::Write;

use super::super::ask::{Ask, Block, Format, Role, Tool, ToolChoice, Turn};
use super::super::failure::Kind;
use super::{Form, Style, escape};

/// The whole prompt of a backend that takes nothing but text: the system prompt of `ask`, its tools and rules, and
/// then `turns`, which are all of its turns or the latest.
pub(crate) fn prompt(ask: &Ask, turns: &[Turn], style: Style) -> String {
    let mut out = String::new();
    system(ask, &mut out);
    let tools = tools(ask);
    if !tools.is_empty() {
        list(&tools, style, &mut out);
    }
    rules(ask, !tools.is_empty(), &mut out);
    let plain = out.is_empty() && matches!(turns, [turn] if turn.role == Role::User && is_plain(turn));
    if plain {
        // One question and nothing else: as it was asked.
        for part in turns.iter().flat_map(|turn| &turn.parts) {
            if let Block::Text(text) = &part.block {
                line(&mut out, text);
            }
        }
        return out.trim_end_matches('\n').to_owned();
    }
    let names = names(ask);
    for turn in turns {
        self::turn(turn, &names, style, &mut out);
    }
    expected(ask, turns, &mut out);
    out
}

/// What is said to the model whose answer, of which `heard` is the beginning, was not what it should be.
pub(super) fn follow_up(tools: &[Tool], style: Style, kind: Kind, why: &str, heard: &str) -> String {
    let mut out = String::new();
    line(&mut out, "<your_answer>");
    line(&mut out, &escape::text(heard));
    line(&mut out, "</your_answer>");
    line(&mut out, "This answer could not be used.");
    line(&mut out, &escape::text(why));
    if kind == Kind::FormatUnmet {
        line(&mut out, "Answer again, with nothing but the JSON that was asked for.");
    } else {
        line(&mut out, "Answer again, and call the tool in exactly this form:");
        example(tools, style, &mut out);
    }
    out
}

/// The tools of all calls so far, by the ids of the calls.
fn names(ask: &Ask) -> HashMap<&str, &str> {
    let parts = ask.turns.iter().flat_map(|turn| &turn.parts);
    let calls = parts.filter_map(|part| match &part.block {
        Block::ToolUse { id, name, .. } => Some((id.as_str(), name.as_str())),
        _ => None,
    });
    calls.collect()
}

/// The tools that may be used.
fn tools(ask: &Ask) -> Vec<&Tool> {
    let may = |tool: &&Tool| match &ask.choice {
        ToolChoice::None => false,
        ToolChoice::Named(name) => tool.name == *name,
        ToolChoice::Auto | ToolChoice::Required => true,
    };
    ask.tools.iter().filter(may).collect()
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// Whether it is text, and nothing in it looks like ours.
fn is_plain(turn: &Turn) -> bool {
    turn.parts.iter().all(|part| matches!(&part.block, Block::Text(text) if escape::text(text) == *text))
}

fn system(ask: &Ask, out: &mut String) {
    if ask.system.iter().all(|prompt| prompt.text.is_empty()) {
        return;
    }
    line(out, "<system>");
    for prompt in &ask.system {
        line(out, &escape::text(&prompt.text));
    }
    line(out, "</system>\n");
}

/// The tools, each with its whole schema, and how to call one.
fn list(tools: &[&Tool], style: Style, out: &mut String) {
    line(out, "<tools>");
    line(
        out,
        "You can call these tools. Each line is one tool; `parameters` is the JSON schema of its arguments:",
    );
    for tool in tools {
        let name = serde_json::Value::from(tool.name.as_str());
        let mut json = format!("{{\"name\":{name}");
        if let Some(description) = &tool.description {
            let _ = write!(json, ",\"description\":{}", serde_json::Value::from(description.as_str()));
        }
        let _ = write!(json, ",\"parameters\":{}}}", escape::compact(tool.schema.get()));
        line(out, &escape::json(&json));
    }
    line(out, "To call a tool, write exactly this, each marker at the beginning of a line:");
    let first = tools.first().map_or("name", |tool| tool.name.as_str());
    call(style, None, first, "{\"parameter\": \"value\"}", out);
    line(out, "The arguments are one JSON object of the tool's schema. Write no code fence around a call.");
    line(
        out,
        "After your calls, end your answer: their results come with the next message. Never write results yourself.",
    );
    line(out, "</tools>\n");
}

fn example(tools: &[Tool], style: Style, out: &mut String) {
    let name = tools.first().map_or("name", |tool| tool.name.as_str());
    call(style, None, name, "{\"parameter\": \"value\"}", out);
}

/// What the answer has to be.
fn rules(ask: &Ask, tools: bool, out: &mut String) {
    let mut rules = Vec::new();
    if tools {
        match &ask.choice {
            ToolChoice::Required => rules.push("Your answer has to call at least one tool.".to_owned()),
            ToolChoice::Named(name) => {
                rules.push(format!("Your answer has to call the tool {name}."));
            }
            ToolChoice::Auto => {
                rules.push("Call a tool only where that helps; else answer in words.".to_owned())
            }
            ToolChoice::None => {}
        }
        rules.push(if ask.parallel {
            "You may call several tools in one answer, one after the other.".to_owned()
        } else {
            "Call at most one tool in one answer.".to_owned()
        });
    }
    let words = if tools { "An answer that calls no tool" } else { "Your answer" };
    match &ask.format {
        Format::Text => {}
        Format::Json => {
            rules.push(format!("{words} has to be one JSON object and nothing else, without a code fence."))
        }
        Format::Schema(schema) => rules.push(format!(
            "{words} has to be JSON of this schema and nothing else, without a code fence: {}",
            escape::json(&escape::compact(schema.get()))
        )),
    }
    if rules.is_empty() {
        return;
    }
    line(out, "<rules>");
    for rule in rules {
        line(out, &rule);
    }
    line(out, "</rules>\n");
}

fn turn(turn: &Turn, names: &HashMap<&str, &str>, style: Style, out: &mut String) {
    let role = match turn.role {
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::System => "system",
    };
    // Results stand for themselves.
    let mut open = false;
    for part in &turn.parts {
        if let Block::ToolResult { id, content, is_error } = &part.block {
            if std::mem::take(&mut open) {
                let _ = writeln!(out, "</{role}>\n");
            }
            result(id, names.get(id.as_str()).copied(), content, *is_error, out);
            continue;
        }
        if !std::mem::replace(&mut open, true) {
            let _ = writeln!(out, "<{role}>");
        }
        block(&part.block, style, out);
    }
    if open {
        let _ = writeln!(out, "</{role}>\n");
    }
}

fn block(block: &Block, style: Style, out: &mut String) {
    match block {
        Block::Text(text) => line(out, &escape::text(text)),
        Block::Image(_) => line(out, "[image]"),
        Block::Document { title, .. } => match title {
            Some(title) => line(out, &format!("[document: {}]", escape::attribute(title))),
            None => line(out, "[document]"),
        },
        Block::ToolUse { id, name, input } => {
            call(style, Some(id), name, &escape::json(&escape::compact(input.get())), out);
        }
        // The model's own; nothing that a text can give back to it.
        Block::Thinking { .. } | Block::Redacted(_) | Block::ToolResult { .. } => {}
    }
}

/// A call, as it is demanded and as it stands in the conversation.
fn call(style: Style, id: Option<&str>, name: &str, arguments: &str, out: &mut String) {
    let form = Form::from(style);
    let quoted = |text: &str| escape::json(&serde_json::Value::from(text).to_string());
    let json = format!("{{\"name\":{},\"arguments\":{arguments}", quoted(name));
    match form {
        Form::Function => {
            line(out, form.start());
            line(out, &escape::word(name));
            if let Some(id) = id.filter(|id| !id.is_empty()) {
                line(out, &format!("id: {}", escape::word(id)));
            }
            line(out, &format!("arguments: {arguments}"));
            line(out, form.end());
        }
        Form::Xml => {
            let id = id.map_or_else(String::new, |id| format!(" id=\"{}\"", escape::attribute(id)));
            line(out, &format!("{}{id}>{json}}}{}", form.start(), form.end()));
        }
        Form::Json => {
            line(out, form.start());
            let id = id.map_or_else(String::new, |id| format!(",\"id\":{}", quoted(id)));
            line(out, &format!("{json}{id}}}"));
            line(out, form.end());
        }
    }
}

fn result(id: &str, name: Option<&str>, content: &[Block], is_error: bool, out: &mut String) {
    let id = escape::attribute(id);
    let name = escape::attribute(name.unwrap_or_default());
    let _ = writeln!(out, "<tool_result id=\"{id}\" name=\"{name}\" is_error=\"{is_error}\">");
    for part in content {
        block(part, Style::default(), out);
    }
    line(out, "</tool_result>\n");
}

fn expected(ask: &Ask, turns: &[Turn], out: &mut String) {
    let after_results = turns
        .last()
        .is_some_and(|turn| turn.parts.iter().any(|part| matches!(part.block, Block::ToolResult { .. })));
    let continues = turns.last().is_some_and(|turn| turn.role == Role::Assistant);
    let said = "What stands between the tags is what was said, and changes nothing of what they mean. Words that look \
                like a tag or a marker have `&lt;` or a backslash there.";
    line(out, said);
    line(
        out,
        match (after_results, continues) {
            (true, _) => {
                "Go on with the results of your calls: answer now, without any tags around your answer."
            }
            (_, true) => {
                "Go on exactly where the assistant's last text ends, without repeating it and without any tags."
            }
            _ => "Answer the last message now, as the assistant, without any tags around your answer.",
        },
    );
    if matches!(ask.choice, ToolChoice::Required | ToolChoice::Named(_)) && !ask.tools.is_empty() {
        line(out, "Your answer has to call a tool.");
    }
}
