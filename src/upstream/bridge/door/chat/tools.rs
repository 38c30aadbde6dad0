//! `tools`, `tool_choice`, and what they were called before: `functions`, `function_call`.

use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::upstream::bridge::Failure;
use crate::upstream::bridge::ask::{Tool, ToolChoice, Warnings};
use crate::upstream::bridge::door::fields::{Field, Object, Shape};
use crate::upstream::bridge::door::parameters::{self, MOST_TOOLS, Rule};

/// What the client can do for the model, and whether the model has to use it.
#[derive(Debug)]
pub(super) struct Tools {
    /// What it can do.
    pub tools: Vec<Tool>,
    /// Whether it has to be used.
    pub choice: ToolChoice,
    /// Whether several may be asked for at once.
    pub parallel: bool,
    /// Whether the client speaks of `functions`, and wants to be answered so.
    pub legacy: bool,
}

/// Reads everything about tools.
pub(super) fn read(body: &mut Object<'_>, rule: &mut Rule) -> Result<Tools, Failure> {
    let current = body.take("tools");
    let former = body.take("functions");
    if let (Some(_), Some(former)) = (&current, &former) {
        return Err(former.wrong("either tools or functions, and not both,"));
    }
    let legacy = former.is_some();
    let (mut tools, mut names) = (Vec::new(), HashSet::new());
    let mut add = |(tool, name): (Tool, Field<'_>)| {
        if !names.insert(tool.name.clone()) {
            return Err(name.unknown(&tool.name, "a name that no other tool has"));
        }
        tools.push(tool);
        Ok(())
    };
    for field in current.map(|field| field.list(MOST_TOOLS)).transpose()?.unwrap_or_default() {
        tool(field, rule)?.map(&mut add).transpose()?;
    }
    for field in former.map(|field| field.list(MOST_TOOLS)).transpose()?.unwrap_or_default() {
        add(function(field, &mut rule.warnings)?)?;
    }
    let parallel = body.flag("parallel_tool_calls")?.unwrap_or(true) && !legacy;
    let choice = match (body.take("tool_choice"), body.take("function_call")) {
        (Some(field), _) => choice(field, &mut tools, rule)?,
        (None, Some(field)) => former_choice(field, &tools, &mut rule.warnings)?,
        (None, None) => ToolChoice::Auto,
    };
    Ok(Tools { tools, choice, parallel, legacy })
}

/// A tool and the field that has its name.
type Placed<'a> = (Tool, Field<'a>);

/// An item of `tools`; none if it is of a kind that nobody can use here.
fn tool<'a>(field: Field<'a>, rule: &mut Rule) -> Result<Option<Placed<'a>>, Failure> {
    let mut tool = field.object()?;
    let kind = tool.need("type", "\"function\"")?;
    let word = kind.text()?;
    if word != "function" {
        rule.refuse(&kind, &format!("{word:?}, but only functions can be used here"))?;
        return Ok(None);
    }
    let read = function(tool.need("function", "an object with name and parameters")?, &mut rule.warnings)?;
    tool.finish(&mut rule.warnings);
    Ok(Some(read))
}

fn function<'a>(field: Field<'a>, warnings: &mut Warnings) -> Result<Placed<'a>, Failure> {
    let mut function = field.object()?;
    let field = function.need("name", "the name of a function")?;
    let name = parameters::tool_name(&field)?;
    let description = function.text("description")?;
    let schema = match function.take("parameters") {
        Some(field) => field.raw_object()?,
        None => no_parameters()?,
    };
    let strict = function.flag("strict")?.unwrap_or_default();
    function.finish(warnings);
    Ok((Tool { name, description, schema, strict }, field))
}

/// The schema of a tool that takes nothing.
fn no_parameters() -> Result<Box<RawValue>, Failure> {
    let schema = r#"{"type":"object","properties":{}}"#;
    RawValue::from_string(schema.to_owned()).map_err(|error| Failure::invalid("tools", error.to_string()))
}

/// `tool_choice`. One that allows only some tools takes the others away.
fn choice(field: Field<'_>, tools: &mut Vec<Tool>, rule: &mut Rule) -> Result<ToolChoice, Failure> {
    const WORDS: &str = "one of none, auto, required, or an object";
    if field.shape() == Shape::Text {
        let word = field.text()?;
        return match word.as_str() {
            "none" => Ok(ToolChoice::None),
            "auto" => Ok(ToolChoice::Auto),
            "required" => required(&field, tools),
            _ => Err(field.unknown(&word, WORDS)),
        };
    }
    if field.shape() != Shape::Object {
        return Err(field.wrong(WORDS));
    }
    let mut choice = field.object()?;
    let kind = choice.need("type", "one of function, allowed_tools")?;
    let word = kind.text()?;
    let read = match word.as_str() {
        "function" => ToolChoice::Named(named(&mut choice, &parameters::names(tools), &mut rule.warnings)?),
        "allowed_tools" => allowed(choice.need("allowed_tools", "an object")?, tools, rule)?,
        _ => {
            rule.refuse(&kind, &format!("{word:?}, but only functions can be used here"))?;
            return Ok(ToolChoice::Auto);
        }
    };
    choice.finish(&mut rule.warnings);
    Ok(read)
}

fn required(field: &Field<'_>, tools: &[Tool]) -> Result<ToolChoice, Failure> {
    if tools.is_empty() {
        let place = field.place().to_owned();
        let message = format!("{place}: a tool has to be used, but tools has none");
        return Err(Failure::invalid(place, message));
    }
    Ok(ToolChoice::Required)
}

/// The name in `{"type": "function", "function": {"name": …}}`.
fn named(
    choice: &mut Object<'_>,
    tools: &HashSet<String>,
    warnings: &mut Warnings,
) -> Result<String, Failure> {
    let mut function = choice.need("function", "an object with a name")?.object()?;
    let name = parameters::known_tool(&function.need("name", "the name of a tool")?, tools)?;
    function.finish(warnings);
    Ok(name)
}

/// `allowed_tools`: `{"mode": "auto", "tools": [{"type": "function", "function": {"name": …}}]}`.
fn allowed(field: Field<'_>, tools: &mut Vec<Tool>, rule: &mut Rule) -> Result<ToolChoice, Failure> {
    let mut allowed = field.object()?;
    let mode = allowed.need("mode", "one of auto, required")?;
    let (mut names, all) = (HashSet::new(), parameters::names(tools));
    for item in allowed.need("tools", "a list of tools")?.list(MOST_TOOLS)? {
        let mut item = item.object()?;
        let kind = item.need("type", "\"function\"")?;
        if kind.text()? != "function" {
            rule.refuse(&kind, "only functions can be used here")?;
            continue;
        }
        names.insert(named(&mut item, &all, &mut rule.warnings)?);
        item.finish(&mut rule.warnings);
    }
    allowed.finish(&mut rule.warnings);
    tools.retain(|tool| names.contains(&tool.name));
    match mode.text()?.as_str() {
        "auto" => Ok(ToolChoice::Auto),
        "required" => required(&mode, tools),
        word => Err(mode.unknown(word, "one of auto, required")),
    }
}

/// `function_call` beside `functions`.
fn former_choice(field: Field<'_>, tools: &[Tool], warnings: &mut Warnings) -> Result<ToolChoice, Failure> {
    const WORDS: &str = "one of none, auto, or an object with a name";
    match field.shape() {
        Shape::Text => match field.text()?.as_str() {
            "none" => Ok(ToolChoice::None),
            "auto" => Ok(ToolChoice::Auto),
            word => Err(field.unknown(word, WORDS)),
        },
        Shape::Object => {
            let mut choice = field.object()?;
            let name = parameters::known_tool(
                &choice.need("name", "the name of a function")?,
                &parameters::names(tools),
            )?;
            choice.finish(warnings);
            Ok(ToolChoice::Named(name))
        }
        _ => Err(field.wrong(WORDS)),
    }
}
