//! Scenarios: read, and written out as what goes over the wire.

mod steps;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use self::steps::steps;
use super::json::{Hand, Json};
use super::said::{self, Message, Part};
use super::wire::{self, Ask, Dialect, Reply, Style};

/// People and their apps, and what passes.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// What of it matters.
    pub(crate) about: String,
    /// Whether so much time passes in it that it cannot be played beside others.
    pub(crate) alone: bool,
    /// Whether nobody could tell it from the same said by others at other addresses.
    pub(crate) single: bool,
    pub(crate) exchanges: Vec<Exchange>,
    /// In which order they begin and end.
    pub(crate) steps: Vec<Step>,
}

/// What happens next to an exchange, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Begins(usize),
    Ends(usize),
}

/// A request and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) id: String,
    pub(crate) client: Client,
    pub(crate) method: String,
    pub(crate) path: String,
    /// Those that its client always sends among them, but not its key.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) answer: Vec<u8>,
    pub(crate) ending: Ending,
    /// The text of each answer.
    pub(crate) says: Vec<String>,
    /// Before it begins, seconds.
    pub(crate) pause: u64,
    pub(crate) label: Label,
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ending {
    #[default]
    Whole,
    /// The client hangs up in the middle.
    Cut,
    /// The provider breaks off in the middle.
    Broken,
    /// The client hangs up before anything comes.
    None,
}

/// What is true of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Label {
    /// A letter.
    pub(crate) session: String,
    /// The word for it.
    pub(crate) relation: String,
    /// The place of the exchange that it follows; `Some(None)` where it follows none.
    pub(crate) parent: Option<Option<usize>>,
    pub(crate) thread: Option<u32>,
    /// Calls with the same have the same agent.
    pub(crate) agent: Option<String>,
    pub(crate) told: bool,
    /// What users and tools newly say in it.
    pub(crate) news: Option<Vec<String>>,
    /// Why it is not found, where that is known.
    pub(crate) known: Option<String>,
}

/// Who calls.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Client {
    /// The last number of its address.
    pub(super) ip: Option<u8>,
    key: Option<String>,
    /// Its `User-Agent`.
    program: Option<String>,
    headers: BTreeMap<String, String>,
    style: Style,
}

#[derive(Debug, Deserialize)]
struct Written {
    about: String,
    #[serde(default)]
    told: bool,
    #[serde(default)]
    alone: bool,
    #[serde(default)]
    single: bool,
    #[serde(default)]
    clients: BTreeMap<String, Client>,
    #[serde(flatten)]
    usual: Usual,
    calls: Vec<WrittenCall>,
}

/// What a call has, and a scenario may say for all of its calls.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Usual {
    by: Option<String>,
    dialect: Option<Dialect>,
    model: Option<String>,
    system: Option<Value>,
    tools: Option<Vec<String>>,
    stream: Option<bool>,
    agent: Option<Value>,
    style: Style,
    set: BTreeMap<String, Value>,
    headers: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WrittenCall {
    id: Option<Value>,
    is: String,
    thread: Option<u32>,
    told: Option<bool>,
    news: Option<Value>,
    known: Option<String>,
    #[serde(flatten)]
    usual: Usual,
    after: Option<Value>,
    again: Option<Value>,
    previous: Option<Value>,
    choice: usize,
    messages: Option<Vec<Value>>,
    say: Vec<Value>,
    answer: Option<Value>,
    choices: Vec<Value>,
    status: Option<u16>,
    ends: Ending,
    method: Option<String>,
    path: Option<String>,
    body: Option<Value>,
    reply: Option<Value>,
    until: Option<Value>,
    pause: u64,
}

/// What of a call later ones refer to.
struct Earlier {
    id: String,
    response: String,
    messages: Vec<Message>,
    choices: Vec<Vec<Part>>,
}

pub(crate) fn read(name: &str, yaml: &str) -> Scenario {
    let wrong = |error: &dyn std::fmt::Display| -> ! { panic!("{name}.yaml cannot be read: {error}") };
    let value: Value = serde_yaml::from_str(yaml).unwrap_or_else(|error| wrong(&error));
    check_names(&value, name);
    let written: Written = serde_json::from_value(value).unwrap_or_else(|error| wrong(&error));
    let mut exchanges: Vec<Exchange> = Vec::new();
    let mut earlier: Vec<Earlier> = Vec::new();
    for call in &written.calls {
        let at = exchanges.len();
        let place = format!("{name}.yaml, call {}", at + 1);
        let usual = call.usual.over(&written.usual);
        let client = written.client(&usual, &place);
        let ids: Vec<String> = earlier.iter().map(|call| call.id.clone()).collect();
        let talk = talk(call, &earlier, &place);
        let mut exchange = call.exchange(name, at, &usual, client, &talk, &earlier);
        exchange.label = call.label(&written, &usual, &talk, &ids, &place);
        earlier.push(Earlier {
            id: exchange.id.clone(),
            response: response_id(name, at),
            messages: talk.messages,
            choices: call.answers(),
        });
        exchanges.push(exchange);
    }
    let steps = steps(&written.calls, &exchanges, name);
    Scenario {
        name: name.into(),
        about: written.about,
        alone: written.alone,
        single: written.single,
        exchanges,
        steps,
    }
}

const USUAL: [&str; 10] =
    ["by", "dialect", "model", "system", "tools", "stream", "agent", "style", "set", "headers"];

const SCENARIO: [&str; 6] = ["about", "told", "alone", "single", "clients", "calls"];

const CALL: [&str; 20] = [
    "id", "is", "thread", "told", "news", "known", "after", "again", "previous", "choice", "messages", "say",
    "answer", "choices", "status", "ends", "path", "body", "reply", "until",
];

const ODD: [&str; 2] = ["method", "pause"];

/// A word that nobody knows is an error.
fn check_names(value: &Value, name: &str) {
    let check = |value: &Value, known: &[&[&str]]| {
        for word in value.as_object().unwrap_or_else(|| panic!("{name}.yaml: no mapping: {value}")).keys() {
            assert!(known.iter().any(|known| known.contains(&&**word)), "{name}.yaml: what is {word}?");
        }
    };
    check(value, &[&USUAL, &SCENARIO]);
    for call in value["calls"].as_array().into_iter().flatten() {
        check(call, &[&USUAL, &CALL, &ODD]);
    }
}

/// The messages of a request.
struct Talk {
    messages: Vec<Message>,
    /// Whether any were in an earlier one.
    goes_on: bool,
    /// What users and tools say in those that were in no earlier one.
    news: Vec<String>,
}

fn talk(call: &WrittenCall, earlier: &[Earlier], place: &str) -> Talk {
    let mut talk = Talk { messages: Vec::new(), goes_on: call.previous.is_some(), news: Vec::new() };
    let mut items: Vec<Value> = Vec::new();
    match (&call.after, &call.again, &call.messages) {
        (Some(id), None, None) => items.push(serde_json::json!({"from": id, "choice": call.choice})),
        (None, Some(id), None) => items.push(serde_json::json!({"from": id, "take": [0, -1]})),
        (None, None, Some(messages)) => items.extend(messages.iter().cloned()),
        (None, None, None) => {}
        _ => panic!("{place}: one of after, again and messages"),
    }
    items.extend(call.say.iter().cloned());
    for item in &items {
        let Some(from) = item.get("from") else {
            let message = Message::read(item);
            talk.news.extend(message.news());
            talk.messages.push(message);
            continue;
        };
        let source = &earlier[found(from, earlier.iter().map(|call| &*call.id), place)];
        let mut all = source.messages.clone();
        let choice = item["choice"].as_u64().unwrap_or(0) as usize;
        let answer = source.choices.get(choice).cloned().unwrap_or_default();
        all.push(Message { role: "assistant".into(), parts: answer });
        let end = |value: &Value, otherwise: usize| match value.as_i64() {
            Some(at) if at < 0 => all.len() - at.unsigned_abs() as usize,
            Some(at) => at as usize,
            None => otherwise,
        };
        let range = end(&item["take"][0], 0)..end(&item["take"][1], all.len());
        talk.messages.extend(all[range].iter().filter(|message| !message.parts.is_empty()).cloned());
        talk.goes_on = true;
    }
    talk
}

fn found<'a>(id: &Value, mut ids: impl Iterator<Item = &'a str>, place: &str) -> usize {
    let id = word(id);
    ids.position(|other| other == id).unwrap_or_else(|| panic!("{place}: there is no call {id} before it"))
}

/// A text, or a number as one.
fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn response_id(scenario: &str, at: usize) -> String {
    format!("{scenario}_{}", at + 1)
}

impl Client {
    /// The last number of its address.
    pub(crate) fn ip(&self) -> u8 {
        self.ip.unwrap_or(2)
    }
}

impl Exchange {
    /// A header's value, with a key that no other scenario has. A token that names its owner stays as it is.
    pub(crate) fn with_key_of(&self, scenario: &Scenario, value: &str) -> String {
        match &self.client.key {
            Some(key) if !key.starts_with("eyJ") => {
                value.replace(&**key, &format!("{key}-{}", scenario.name))
            }
            _ => value.to_owned(),
        }
    }
}

impl Written {
    fn client(&self, usual: &Usual, place: &str) -> Client {
        let name = usual.by.as_deref().unwrap_or("app");
        match self.clients.get(name) {
            Some(client) => client.clone(),
            None if name == "app" => Client::default(),
            None => panic!("{place}: there is no client {name}"),
        }
    }
}

impl Usual {
    fn over(&self, below: &Self) -> Self {
        let mut set = below.set.clone();
        set.extend(self.set.clone());
        let mut headers = below.headers.clone();
        headers.extend(self.headers.clone());
        Self {
            by: self.by.clone().or_else(|| below.by.clone()),
            dialect: self.dialect.or(below.dialect),
            model: self.model.clone().or_else(|| below.model.clone()),
            system: self.system.clone().or_else(|| below.system.clone()),
            tools: self.tools.clone().or_else(|| below.tools.clone()),
            stream: self.stream.or(below.stream),
            agent: self.agent.clone().or_else(|| below.agent.clone()),
            style: self.style.over(below.style),
            set,
            headers,
        }
    }
}

impl WrittenCall {
    fn answers(&self) -> Vec<Vec<Part>> {
        match &self.answer {
            Some(answer) => vec![said::parts(answer)],
            None => self.choices.iter().map(said::parts).collect(),
        }
    }

    fn exchange(
        &self,
        scenario: &str,
        at: usize,
        usual: &Usual,
        client: Client,
        talk: &Talk,
        earlier: &[Earlier],
    ) -> Exchange {
        let place = format!("{scenario}.yaml, call {}", at + 1);
        let dialect = usual.dialect.unwrap_or(Dialect::Chat);
        let style = usual.style.over(client.style);
        let model = usual.model.clone().unwrap_or_else(|| dialect.model().into());
        let stream = usual.stream.unwrap_or(false);
        let previous = self.previous.as_ref().map(|id| {
            let source = found(id, earlier.iter().map(|call| &*call.id), &place);
            wire::id_of(dialect, &earlier[source].response)
        });
        let body = match &self.body {
            Some(Value::String(text)) => text.clone().into_bytes(),
            Some(body) => Json::from(body.clone()).written(style.json()).into_bytes(),
            None if dialect == Dialect::Raw => Vec::new(),
            None => {
                let ask = Ask {
                    model: &model,
                    system: usual.system.as_ref().and_then(Value::as_str),
                    tools: usual.tools.as_deref().unwrap_or_default(),
                    messages: &talk.messages,
                    stream,
                    previous,
                    style,
                };
                let mut body = wire::request(dialect, &ask);
                for (name, value) in &usual.set {
                    body.set(name, value.clone());
                }
                body.written(style.json()).into_bytes()
            }
        };
        let status = self.status.unwrap_or(200);
        let streams = stream && status < 400 && self.reply.is_none();
        let reply = Reply { id: response_id(scenario, at), model, choices: self.answers() };
        let says = reply.choices.iter().map(|parts| wire::said(parts)).collect();
        let answer = match &self.reply {
            Some(Value::String(text)) => text.clone(),
            Some(reply) => Json::from(reply.clone()).written(Hand::Js),
            None if status >= 400 => wire::refusal(dialect, status),
            None if dialect == Dialect::Raw => "{}".into(),
            None if streams => wire::events(dialect, &reply, self.ends == Ending::Whole).concat(),
            None => wire::answer(dialect, &reply),
        };
        let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        headers.extend(client.program.iter().map(|program| ("user-agent".to_owned(), program.clone())));
        headers.extend(dialect.headers().iter().map(|(name, value)| ((*name).into(), (*value).into())));
        headers.extend(client.headers.clone());
        headers.extend(usual.headers.clone());
        let key = client.key.clone().unwrap_or_else(|| "sk-app".into());
        headers.push(dialect.key(&key));
        // What is said last holds.
        let mut seen = Vec::new();
        headers.reverse();
        headers.retain(|(name, _)| {
            !seen.contains(name) && {
                seen.push(name.clone());
                true
            }
        });
        headers.reverse();
        Exchange {
            id: self.id.as_ref().map_or_else(|| (at + 1).to_string(), word),
            client: Client { key: Some(key), ..client },
            method: self.method.clone().unwrap_or_else(|| "POST".into()),
            path: self.path.clone().unwrap_or_else(|| dialect.path(&reply.model, stream)),
            headers,
            body,
            status,
            content_type: if streams { "text/event-stream" } else { "application/json" },
            answer: answer.into_bytes(),
            ending: self.ends,
            says,
            pause: self.pause,
            label: Label::default(),
        }
    }

    fn label(&self, written: &Written, usual: &Usual, talk: &Talk, ids: &[String], place: &str) -> Label {
        let mut words = self.is.split_whitespace();
        let session = words.next().unwrap_or_else(|| panic!("{place}: what is it?")).to_owned();
        let relation = words.next().unwrap_or("opening").to_owned();
        let relations = [
            "opening",
            "turn",
            "retry",
            "regenerate",
            "edit",
            "fork",
            "compaction",
            "truncation",
            "sub_agent",
            "side",
            "?",
        ];
        assert!(relations.contains(&&*relation), "{place}: there is no relation {relation}");
        let parent = match words.next() {
            Some(id) => Some(Some(found(&id.into(), ids.iter().map(|id| &**id), place))),
            None if relation == "opening" => Some(None),
            None => None,
        };
        let agent = match &usual.agent {
            Some(Value::Bool(false)) => None,
            Some(agent) => Some(word(agent)),
            None if relation == "side" || self.body.is_some() => None,
            None => Some("main".into()),
        };
        // A side call may have shown messages before the turn that they belong to did.
        let news = match &self.news {
            Some(Value::Bool(false)) => None,
            Some(Value::Array(texts)) => Some(texts.iter().map(word).collect()),
            Some(other) => panic!("{place}: no news: {other}"),
            None if relation == "side" || self.body.is_some() => None,
            None => Some(talk.news.clone()),
        };
        Label {
            session,
            relation,
            parent,
            thread: self.thread,
            agent,
            told: self.told.unwrap_or(written.told),
            news,
            known: self.known.clone(),
        }
    }
}
