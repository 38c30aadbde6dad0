//! What is said, whichever dialect carries it.

use serde_json::Value;

/// A message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// `system`, `developer`, `user`, `assistant`.
    pub(crate) role: String,
    pub(crate) parts: Vec<Part>,
}

/// A part of it.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Text(String),
    Thinking(String),
    Tool {
        id: String,
        name: String,
        input: Value,
    },
    Result {
        id: String,
        text: String,
    },
    /// A picture, in base64.
    Image(String),
    /// As it stands on the wire.
    Raw(Value),
}

impl Message {
    /// As a scenario writes it: a text is the user's.
    pub(crate) fn read(value: &Value) -> Self {
        if value.is_string() {
            return Self { role: "user".into(), parts: parts(value) };
        }
        let members = value.as_object().unwrap_or_else(|| panic!("no message: {value}"));
        let (role, said) = members.iter().next().unwrap_or_else(|| panic!("no message: {value}"));
        let known = ["system", "developer", "user", "assistant", "raw"];
        assert!(members.len() == 1 && known.contains(&role.as_str()), "no message: {value}");
        let parts = if role == "raw" { vec![Part::Raw(said.clone())] } else { parts(said) };
        Self { role: role.clone(), parts }
    }

    /// What its user, or a tool, says in it, each part by itself.
    pub(crate) fn news(&self) -> Vec<String> {
        let speaks = self.role == "user" || self.role == "raw";
        let said = |part: &Part| match part {
            Part::Text(text) | Part::Result { text, .. } => Some(text.clone()),
            Part::Image(_) => Some("(image)".into()),
            _ => None,
        };
        self.parts.iter().filter(|_| speaks).filter_map(said).collect()
    }
}

/// Parts as a scenario writes them: a text, or a list.
pub(crate) fn parts(value: &Value) -> Vec<Part> {
    match value {
        Value::Array(parts) => parts.iter().map(Part::read).collect(),
        value => vec![Part::read(value)],
    }
}

impl Part {
    fn read(value: &Value) -> Self {
        if let Some(text) = value.as_str() {
            return Self::Text(text.into());
        }
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        if let Some(thinking) = text("thinking") {
            return Self::Thinking(thinking);
        }
        if let Some(name) = text("tool") {
            let id = text("id").unwrap_or_else(|| panic!("a tool without an id: {value}"));
            let input = match &value["input"] {
                Value::Null => Value::Object(serde_json::Map::new()),
                input => input.clone(),
            };
            return Self::Tool { id, name, input };
        }
        if let Some(id) = text("result") {
            return Self::Result { id, text: text("text").unwrap_or_default() };
        }
        if let Some(data) = text("image") {
            return Self::Image(data);
        }
        match value.get("raw") {
            Some(raw) => Self::Raw(raw.clone()),
            None => panic!("no part of a message: {value}"),
        }
    }
}
