//! `tools` and `tool_choice`.

use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::upstream::bridge::Failure;
use crate::upstream::bridge::ask::{Tool, ToolChoice};
use crate::upstream::bridge::door::fields::{Field, Object, Shape};
use crate::upstream::bridge::door::parameters::{self, MOST_TOOLS, Rule};

/// Reads what the client can do for the model, and whether the model has to use it.
pub(super) fn read(body: &mut Object<'_>, rule: &mut Rule) -> Result<(Vec<Tool>, ToolChoice), Failure> {
    let (mut tools, mut names) = (Vec::new(), HashSet::new());
    let list = body.take("tools").map(|list| list.list(MOST_TOOLS)).transpose()?;
    for field in list.unwrap_or_default() {
        let Some((tool, name)) = tool(field, rule)? else { continue };
        if !names.insert(tool.name.clone()) {
            return Err(name.unknown(&tool.name, "a name that no other tool has"));
        }
        tools.push(tool);
    }
    let choice = match body.take("tool_choice") {
        None => ToolChoice::Auto,
        Some(field) if field.shape() == Shape::Text => word(&field, &tools)?,
        Some(field) => chosen(field, &mut tools, rule)?,
    };
    Ok((tools, choice))
}

/// A tool, and where its name stands. None where it was refused and the client does not mind.
fn tool<'a>(field: Field<'a>, rule: &mut Rule) -> Result<Option<(Tool, Field<'a>)>, Failure> {
    let mut tool = field.object()?;
    let kind = tool.need("type", "\"function\"")?;
    let what = kind.text()?;
    if what != "function" {
        rule.refuse(&kind, &format!("{what:?}: only functions can be used here"))?;
        return Ok(None);
    }
    let name = tool.need("name", "the name of the function")?;
    let schema = match tool.take("parameters") {
        Some(schema) => schema.raw_object()?,
        None => nothing(&name)?,
    };
    let read = Tool {
        name: parameters::tool_name(&name)?,
        description: tool.text("description")?,
        schema,
        strict: tool.flag("strict")?.unwrap_or_default(),
    };
    rule.ignore(
        &mut tool,
        &[("defer_loading", "false"), ("async", "false"), ("allowed_callers", "[\"direct\"]")],
    );
    tool.finish(&mut rule.warnings);
    Ok(Some((read, name)))
}

/// The schema of a function that takes nothing.
fn nothing(name: &Field<'_>) -> Result<Box<RawValue>, Failure> {
    let schema = r#"{"type":"object","properties":{}}"#.to_owned();
    RawValue::from_string(schema).map_err(|_| name.wrong("the name of a function with parameters"))
}

const CHOICES: &str = "one of none, auto, required, or an object";

fn word(field: &Field<'_>, tools: &[Tool]) -> Result<ToolChoice, Failure> {
    match field.text()?.as_str() {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        "required" if tools.is_empty() => {
            Err(field.unknown("required", "one of none, auto: there are no tools,"))
        }
        "required" => Ok(ToolChoice::Required),
        other => Err(field.unknown(other, CHOICES)),
    }
}

/// A choice of one tool, or of some. Those that are not allowed are as good as not there.
fn chosen(field: Field<'_>, tools: &mut Vec<Tool>, rule: &mut Rule) -> Result<ToolChoice, Failure> {
    if field.shape() != Shape::Object {
        return Err(field.wrong(CHOICES));
    }
    let mut choice = field.object()?;
    let kind = choice.need("type", "\"function\" or \"allowed_tools\"")?;
    let read = match kind.text()?.as_str() {
        "function" => ToolChoice::Named(named(&mut choice, &parameters::names(tools))?),
        "allowed_tools" => {
            let (mut names, all) = (HashSet::new(), parameters::names(tools));
            for allowed in choice.need("tools", "a list of tools")?.list(MOST_TOOLS)? {
                let mut allowed = allowed.object()?;
                let kind = allowed.need("type", "\"function\"")?;
                if kind.text()? != "function" {
                    rule.refuse(&kind, "only functions can be used here")?;
                    continue;
                }
                names.insert(named(&mut allowed, &all)?);
                allowed.finish(&mut rule.warnings);
            }
            tools.retain(|tool| names.contains(&tool.name));
            word(&choice.need("mode", "\"auto\" or \"required\"")?, tools)?
        }
        other => {
            rule.refuse(&kind, &format!("{other:?}: only functions can be used here"))?;
            return Ok(ToolChoice::Auto);
        }
    };
    choice.finish(&mut rule.warnings);
    Ok(read)
}

fn named(choice: &mut Object<'_>, tools: &HashSet<String>) -> Result<String, Failure> {
    parameters::known_tool(&choice.need("name", "the name of a tool")?, tools)
}
