use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::value::RawValue;

use super::*;
use crate::dialect::golden::{self, request_head};

const DIALECTS: [Dialect; 4] =
    [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::AnthropicMessages, Dialect::Gemini];

fn asked(dialect: Dialect) -> Asked {
    let (_, target) = golden::DIALECTS.into_iter().find(|(other, _)| *other == dialect).unwrap();
    Asked::of(&request_head(&format!("POST {target}"))).unwrap()
}

/// A message of a conversation.
#[derive(Clone, Debug)]
struct Message {
    text: String,
    kind: u8,
    /// Whether a `cache_control` stands in it: it means nothing.
    marked: bool,
}

impl Message {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), kind: 0, marked: false }
    }

    fn write(&self, dialect: Dialect) -> String {
        let Self { text, kind, marked } = self;
        let mark = if *marked { r#","cache_control":{"type":"ephemeral"}"# } else { "" };
        let said = serde_json::to_string(text).unwrap();
        match (dialect, kind % 4) {
            (Dialect::OpenAiChat, 1) => format!(
                r#"{{"role":"assistant","content":null,"tool_calls":[{{"id":"c","type":"function","function":{{"name":"f","arguments":{said}}}}}]}}"#
            ),
            (Dialect::OpenAiChat, 2) => {
                format!(r#"{{"role":"tool","tool_call_id":"c","content":[{{"type":"text","text":{said}}}]}}"#)
            }
            (Dialect::OpenAiChat, 3) => format!(r#"{{"role":"system","content":{said}}}"#),
            (Dialect::OpenAiChat, _) => {
                format!(r#"{{"role":"user","content":[{{"type":"text","text":{said}{mark}}}]}}"#)
            }
            (Dialect::OpenAiResponses, 1) => {
                format!(r#"{{"type":"function_call","call_id":"c","name":"f","arguments":{said}}}"#)
            }
            (Dialect::OpenAiResponses, 3) => format!(r#"{{"role":"developer","content":{said}}}"#),
            (Dialect::OpenAiResponses, 2) => {
                format!(r#"{{"type":"function_call_output","call_id":"c","output":{said}}}"#)
            }
            (Dialect::OpenAiResponses, _) => {
                format!(r#"{{"role":"user","content":[{{"type":"input_text","text":{said}}}]}}"#)
            }
            (Dialect::Gemini, 1) => {
                format!(
                    r#"{{"role":"model","parts":[{{"functionCall":{{"name":"f","args":{{"a":{said}}}}}}}]}}"#
                )
            }
            (Dialect::Gemini, 2) => format!(
                r#"{{"role":"user","parts":[{{"functionResponse":{{"name":"f","response":{{"output":{said}}}}}}}]}}"#
            ),
            (Dialect::Gemini, _) => format!(r#"{{"role":"user","parts":[{{"text":{said}}}]}}"#),
            (_, 1) => format!(
                r#"{{"role":"assistant","content":[{{"type":"tool_use","id":"t","name":"f","input":{{"a":{said}}}}}]}}"#
            ),
            (_, 2) => format!(
                r#"{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t","content":{said}{mark}}}]}}"#
            ),
            (_, 3) => format!(r#"{{"role":"system","content":{said}}}"#),
            _ => format!(r#"{{"role":"user","content":[{{"type":"text","text":{said}{mark}}}]}}"#),
        }
    }
}

/// A request to be written.
#[derive(Clone, Debug)]
struct Conversation {
    messages: Vec<Message>,
    system: Option<String>,
    /// Whether something is told with it: a template, a cache.
    beside: bool,
    tools: u8,
}

impl Conversation {
    fn new(messages: &[&str]) -> Self {
        let messages = messages.iter().map(|text| Message::new(*text)).collect();
        Self { messages, system: Some("Be kind.".into()), beside: false, tools: 2 }
    }

    fn members(&self, dialect: Dialect) -> Vec<(&'static str, String)> {
        let messages: Vec<_> = self.messages.iter().map(|message| message.write(dialect)).collect();
        let list = format!("[{}]", messages.join(","));
        let said = self.system.as_ref().map(|text| serde_json::to_string(text).unwrap());
        let tools: Vec<_> = (0..self.tools)
            .map(|tool| match dialect {
                Dialect::Gemini => {
                    format!(r#"{{"functionDeclarations":[{{"name":"f{tool}","description":"d"}}]}}"#)
                }
                Dialect::OpenAiChat => {
                    format!(r#"{{"type":"function","function":{{"name":"f{tool}","description":"d"}}}}"#)
                }
                _ => format!(r#"{{"type":"function","name":"f{tool}","description":"d"}}"#),
            })
            .collect();
        let names = match dialect {
            Dialect::OpenAiResponses => ("input", "instructions"),
            Dialect::Gemini => ("contents", "systemInstruction"),
            _ => ("messages", "system"),
        };
        let mut members = vec![("model", r#""m""#.to_owned()), (names.0, list)];
        if let Some(said) = said.filter(|_| dialect != Dialect::OpenAiChat) {
            let gemini = dialect == Dialect::Gemini;
            members
                .push((names.1, if gemini { format!(r#"{{"parts":[{{"text":{said}}}]}}"#) } else { said }));
        }
        match dialect {
            Dialect::OpenAiResponses if self.beside => members.push(("prompt", r#"{"id":"p"}"#.to_owned())),
            Dialect::Gemini if self.beside => members.push(("cachedContent", r#""c""#.to_owned())),
            _ => {}
        }
        if self.tools > 0 {
            members.push(("tools", format!("[{}]", tools.join(","))));
        }
        members.push(("stream", "true".to_owned()));
        members
    }

    fn write(&self, dialect: Dialect) -> String {
        join(&self.members(dialect), "")
    }
}

fn join(members: &[(&str, String)], space: &str) -> String {
    let members: Vec<_> = members
        .iter()
        .map(|(name, value)| format!("{space}\"{name}\"{space}:{space}{value}{space}"))
        .collect();
    format!("{space}{{{}}}{space}", members.join(","))
}

fn read(histories: &mut Histories, dialect: Dialect, body: &str) -> News {
    histories.read(&asked(dialect), CallId(0), None, body.as_bytes(), true)
}

fn texts(news: &News) -> Vec<String> {
    news.system.iter().chain(&news.prompt.turns).map(Turn::text).collect()
}

/// What is skipped of a request: how many messages, and how many bytes are left.
fn skipped(histories: &Histories, dialect: Dialect, body: &str) -> (usize, usize) {
    let shape = Shape::of(&asked(dialect)).unwrap();
    let layout = Layout::of(body.as_bytes(), &shape, &histories.latest, true, &histories.seed).unwrap();
    let short = layout.shortened(body.as_bytes());
    (layout.known.len() - layout.again.len(), short.map_or(body.len(), |short| short.len()))
}

#[test]
fn a_request_that_goes_on_is_read_where_it_is_new() {
    let mut histories = Histories::default();
    let mut conversation = Conversation::new(&["first"]);
    let dialect = Dialect::AnthropicMessages;
    let first = read(&mut histories, dialect, &conversation.write(dialect));
    assert_eq!((first.passed, &*texts(&first)), (0, &["Be kind.".to_owned(), "first".to_owned()][..]));
    for turn in 1..20 {
        conversation.messages.push(Message::new(format!("turn {turn}")));
        let body = conversation.write(dialect);
        assert_eq!(skipped(&histories, dialect, &body).0, turn);
        assert!(skipped(&histories, dialect, &body).1 < 160);
        let news = read(&mut histories, dialect, &body);
        assert_eq!((news.passed, &*texts(&news)), (turn, &[format!("turn {turn}")][..]));
        assert_eq!((news.tools.len(), news.prompt.model.as_deref()), (2, Some("m")));
        assert!(news.prompt.streaming && !news.prompt.partial);
    }
    assert_eq!(histories.latest.len(), 1);
}

#[test]
fn a_message_whose_mark_moved_is_read_again() {
    let mut histories = Histories::default();
    let mut conversation = Conversation::new(&["a", "b", "c"]);
    conversation.messages[2].marked = true;
    let dialect = Dialect::AnthropicMessages;
    read(&mut histories, dialect, &conversation.write(dialect));
    conversation.messages[2].marked = false;
    conversation.messages.push(Message { marked: true, ..Message::new("d") });
    let body = conversation.write(dialect);
    assert_eq!(skipped(&histories, dialect, &body).0, 2);
    let news = read(&mut histories, dialect, &body);
    assert_eq!((news.passed, &*texts(&news)), (2, &["c".to_owned(), "d".to_owned()][..]));
    assert_eq!(histories.latest.len(), 1);
}

#[test]
fn what_is_known_behind_a_mark_that_moved_is_passed_over_too() {
    let mut histories = Histories::default();
    let dialect = Dialect::AnthropicMessages;
    let mut conversation = Conversation::new(&["a", "b", "c", "d", "e"]);
    (conversation.messages[2].marked, conversation.messages[4].marked) = (true, true);
    read(&mut histories, dialect, &conversation.write(dialect));
    conversation.messages[2].marked = false;
    conversation.messages.extend(["f", "g"].map(Message::new));
    conversation.messages[6].marked = true;
    let body = conversation.write(dialect);
    assert_eq!(skipped(&histories, dialect, &body).0, 4);
    let news = read(&mut histories, dialect, &body);
    assert_eq!((news.passed, texts(&news).concat().as_str()), (5, "fg"));
    // And what was another is known by its new bytes from then on.
    assert_eq!(skipped(&histories, dialect, &body).0, 7);
    assert_eq!(read(&mut histories, dialect, &body).passed, 7);
}

#[test]
fn what_looks_the_same_behind_an_edit_is_new() {
    let mut histories = Histories::default();
    let dialect = Dialect::OpenAiChat;
    read(&mut histories, dialect, &Conversation::new(&["a", "b", "c", "d"]).write(dialect));
    for edited in [["a", "x", "c", "d"], ["y", "b", "c", "d"], ["a", "b", "z", "d"]] {
        let conversation = Conversation::new(&edited);
        let known = edited.iter().zip(["a", "b", "c", "d"]).take_while(|(one, other)| *one == other).count();
        let news = read(&mut histories, dialect, &conversation.write(dialect));
        assert_eq!((news.passed, texts(&news).concat()), (known, edited[known..].concat()));
    }
}

#[test]
fn what_is_told_with_a_system_prompt_is_told_though_the_prompt_is_known() {
    for (dialect, beside, part) in [
        (Dialect::OpenAiResponses, r#""prompt":{"id":"pmpt_1"}"#, "prompt"),
        (Dialect::Gemini, r#""cachedContent":"cachedContents/1""#, "cachedContent"),
    ] {
        let mut histories = Histories::default();
        let mut conversation = Conversation::new(&["a", "b"]);
        let write = |conversation: &Conversation, beside: &str| {
            conversation.write(dialect).replacen('{', &format!("{{{beside},"), 1)
        };
        let first = read(&mut histories, dialect, &conversation.write(dialect)).lead;
        let news = read(&mut histories, dialect, &write(&conversation, beside));
        let system = news.system.unwrap();
        assert_eq!(system.role, Role::System);
        assert!(system.parts.contains(&perimeter_interceptor::Part::Other(part.into())), "{system:?}");
        assert_ne!(news.lead.hash, first.hash);
        conversation.messages.push(Message::new("c"));
        let body = write(&conversation, beside);
        assert_eq!(skipped(&histories, dialect, &body).0, 2);
        let news = read(&mut histories, dialect, &body);
        assert_eq!((news.passed, texts(&news).last().unwrap().as_str()), (2, "c"));
        // Alone it is a system prompt too, and no reason to read everything again.
        conversation.system = None;
        assert_eq!(read(&mut histories, dialect, &write(&conversation, beside)).passed, 3);
        // Without it, the same words are another system prompt.
        conversation.system = Some("Be brief.".into());
        let together = read(&mut histories, dialect, &write(&conversation, beside));
        let news = read(&mut histories, dialect, &conversation.write(dialect));
        assert_ne!(news.lead.hash, together.lead.hash);
    }
}

#[test]
fn a_message_of_the_system_at_the_head_of_the_list_is_no_system_prompt() {
    for system in ["", r#","system":"Be kind.""#, r#","system":"""#] {
        let mut histories = Histories::default();
        let dialect = Dialect::AnthropicMessages;
        let mut items = vec![r#"{"role":"system","content":"Today is Monday."}"#.to_owned()];
        for turn in 0..4 {
            let body = format!(r#"{{"messages":[{}]{system}}}"#, items.join(","));
            let news = read(&mut histories, dialect, &body);
            assert_eq!(news.passed, turn, "{system}");
            assert_eq!((news.prompt.turns.len(), news.lead.messages), (1, 1), "{system}");
            let told = turn == 0 && system.contains("kind");
            assert_eq!(news.system.is_some(), told, "{system}");
            items.push(format!(r#"{{"role":"user","content":"{turn}"}}"#));
        }
    }
}

#[test]
fn what_follows_an_edit_is_new() {
    let mut histories = Histories::default();
    let dialect = Dialect::OpenAiChat;
    read(&mut histories, dialect, &Conversation::new(&["a", "b", "c", "d"]).write(dialect));
    let news = read(&mut histories, dialect, &Conversation::new(&["a", "x", "c", "d"]).write(dialect));
    assert_eq!((news.passed, texts(&news).concat().as_str()), (1, "xcd"));
    // Both branches are remembered.
    let news = read(&mut histories, dialect, &Conversation::new(&["a", "b", "c", "d", "e"]).write(dialect));
    assert_eq!((news.passed, texts(&news).concat().as_str()), (4, "e"));
    let news = read(&mut histories, dialect, &Conversation::new(&["a", "x", "c", "d", "f"]).write(dialect));
    assert_eq!((news.passed, texts(&news).concat().as_str()), (4, "f"));
}

#[test]
fn a_system_prompt_is_read_when_it_is_another() {
    let mut histories = Histories::default();
    let dialect = Dialect::AnthropicMessages;
    let mut conversation = Conversation::new(&["a"]);
    let told = |histories: &mut Histories, conversation: &Conversation| {
        let news = read(histories, dialect, &conversation.write(dialect));
        (news.passed, texts(&news).concat())
    };
    assert_eq!(told(&mut histories, &conversation), (0, "Be kind.a".into()));
    conversation.system = Some("Be brief.".into());
    assert_eq!(told(&mut histories, &conversation), (1, "Be brief.".into()));
    assert_eq!(told(&mut histories, &conversation), (1, String::new()));
    conversation.messages = vec![Message::new("other")];
    assert_eq!(told(&mut histories, &conversation), (0, "other".into()));
}

#[test]
fn tools_are_told_each_time_and_read_once() {
    let mut histories = Histories::default();
    let dialect = Dialect::OpenAiChat;
    let mut conversation = Conversation::new(&["a"]);
    let first = read(&mut histories, dialect, &conversation.write(dialect)).tools;
    let second = read(&mut histories, dialect, &conversation.write(dialect)).tools;
    assert!(Arc::ptr_eq(&first, &second) && first.len() == 2);
    conversation.tools = 3;
    assert_eq!(read(&mut histories, dialect, &conversation.write(dialect)).tools.len(), 3);
    conversation.tools = 0;
    assert_eq!(read(&mut histories, dialect, &conversation.write(dialect)).tools.len(), 0);
}

#[test]
fn what_goes_on_from_an_answer_is_news_though_it_looks_the_same() {
    let shape = Shape::of(&asked(Dialect::OpenAiResponses)).unwrap();
    let body = br#"{"input":[{"role":"user","content":"go on"}],"previous_response_id":"r"}"#;
    let seed = Seed::default();
    assert!(Layout::of(body, &shape, &[], false, &seed).unwrap().goes_on);
    let body = br#"{"input":"go on","previous_response_id":null}"#;
    let layout = Layout::of(body, &shape, &[], false, &seed).unwrap();
    assert!(!layout.goes_on && layout.fresh.len() == 1);
}

#[test]
fn a_session_remembers_so_many_conversations_and_no_more() {
    let mut histories = Histories::default();
    let dialect = Dialect::OpenAiChat;
    for number in 0..100 {
        let text = format!("conversation {number}");
        read(&mut histories, dialect, &Conversation::new(&[&text, "b"]).write(dialect));
    }
    assert_eq!(histories.latest.len(), MOST);
    assert!(histories.weight() < 10_000);
}

#[test]
fn what_was_cut_is_not_remembered_and_not_compared() {
    let mut histories = Histories::default();
    let dialect = Dialect::OpenAiChat;
    let body = Conversation::new(&["a", "b"]).write(dialect);
    let cut = &body.as_bytes()[..body.len() - 30];
    histories.read(&asked(dialect), CallId(0), None, cut, false);
    histories.read(&asked(dialect), CallId(0), None, cut, true);
    assert!(histories.latest.is_empty());
    read(&mut histories, dialect, &body);
    let news = histories.read(&asked(dialect), CallId(0), None, cut, false);
    assert_eq!((news.passed, news.prompt.partial), (0, true));
}

#[test]
fn what_begins_with_other_bytes_has_other_prefixes() {
    let mut histories = Histories::default();
    let message = |text: &str| format!(r#"{{"role":"user","content":"{text}"}}"#);
    let (a, b, c) = (message("a"), message("b"), message("c"));
    let mut prefixes = |body: &str| read(&mut histories, Dialect::OpenAiChat, body).prefixes;
    let first = prefixes(&format!(r#"{{"model":"m","messages":[{a}, {b}]}}"#));
    let lens: Vec<_> = first.iter().map(|prefix| prefix.len).collect();
    assert_eq!(lens, [25 + a.len(), 25 + a.len() + 2 + b.len()]);
    let longer = prefixes(&format!(r#"{{"model":"m","messages":[{a}, {b}, {c}],"stream":true}}"#));
    assert_eq!((&longer[..2], longer.len()), (&*first, 3));
    for (other, same) in [
        (format!(r#"{{"model":"n","messages":[{a}, {b}]}}"#), 0),
        (format!(r#"{{"model":"m","messages":[{c}, {b}]}}"#), 0),
        (format!(r#"{{"model":"m","messages":[{a} ,{b}]}}"#), 1),
        (format!(r#"{{"model":"m","messages":[{a}, {c}]}}"#), 1),
        (format!(r#"{{"model":"m","messages":[{a}, {b}],"n":1}}"#), 2),
    ] {
        let prefixes = prefixes(&other);
        assert_eq!(prefixes.len(), 2, "{other}");
        let known = prefixes.iter().zip(&*first).take_while(|(one, other)| one == other);
        assert_eq!(known.count(), same, "{other}");
        assert!(
            prefixes.iter().zip(&*first).skip(same).all(|(one, other)| one.hash != other.hash),
            "{other}"
        );
    }
}

/// Where the messages of this request end, as serde_json finds them.
fn ends(dialect: Dialect, body: &str) -> Vec<usize> {
    let name = match dialect {
        Dialect::OpenAiResponses => "input",
        Dialect::Gemini => "contents",
        _ => "messages",
    };
    let members: std::collections::HashMap<&str, &RawValue> = serde_json::from_str(body).unwrap();
    let messages: Vec<&RawValue> = serde_json::from_str(members[name].get()).unwrap();
    let end =
        |message: &&RawValue| message.get().as_ptr().addr() - body.as_ptr().addr() + message.get().len();
    messages.iter().map(end).collect()
}

#[test]
fn a_prefix_ends_where_its_message_does() {
    for dialect in DIALECTS {
        for space in ["", " ", "\n\t"] {
            let mut histories = Histories::default();
            let mut conversation = Conversation::new(&["a", "b"]);
            for turn in 0..5 {
                let body = join(&conversation.members(dialect), space)
                    .replace("},{", &format!("}}{space},{space}{{"));
                let news = read(&mut histories, dialect, &body);
                let lens: Vec<_> = news.prefixes.iter().map(|prefix| prefix.len).collect();
                assert_eq!(lens, ends(dialect, &body), "{body}");
                conversation.messages.push(Message::new(format!("turn {turn}")));
            }
        }
    }
}

#[test]
fn a_message_that_is_not_understood_has_a_prefix_too() {
    let mut histories = Histories::default();
    let dialect = Dialect::OpenAiChat;
    let odd = r#"{"role":"user","content":5}"#;
    let mut items = vec![odd.to_owned()];
    let mut before: Arc<[Prefix]> = Arc::default();
    for turn in 0..4 {
        let body = format!(r#"{{"messages":[{}]}}"#, items.join(","));
        let prefixes = read(&mut histories, dialect, &body).prefixes;
        assert_eq!((prefixes.len(), &prefixes[..turn]), (turn + 1, &*before));
        before = prefixes;
        items.push(format!(r#"{{"role":"user","content":"{turn}"}}"#));
    }
    let alone = Histories::prefixes_of(
        &asked(dialect),
        format!(r#"{{"messages":[{odd}]}}"#).as_bytes(),
        &histories.seed,
    );
    assert_eq!(*alone, before[..1]);
}

/// What a client does between two requests.
#[derive(Clone, Debug)]
enum Step {
    Say(Vec<Message>),
    Edit(Index, String),
    Truncate(Index),
    Compact(String),
    Remove(Index),
    Mark(Index),
    MoveMark(Index, Index),
    System(Option<String>),
    Beside,
    Tools(u8),
    /// Goes on with the other conversation.
    Switch,
    Dialect(Dialect),
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just("go on".to_owned()), "[a-z\"\\\\\n{}\\[\\],:é😀]{0,12}"]
}

fn message() -> impl Strategy<Value = Message> {
    (text(), 0..4_u8, any::<bool>()).prop_map(|(text, kind, marked)| Message { text, kind, marked })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(message(), 1..4).prop_map(Step::Say),
        1 => (any::<Index>(), text()).prop_map(|(at, text)| Step::Edit(at, text)),
        1 => any::<Index>().prop_map(Step::Truncate),
        1 => text().prop_map(Step::Compact),
        1 => any::<Index>().prop_map(Step::Remove),
        3 => any::<Index>().prop_map(Step::Mark),
        1 => prop::option::of(text()).prop_map(Step::System),
        1 => Just(Step::Beside),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Step::MoveMark(from, to)),
        1 => (0..4_u8).prop_map(Step::Tools),
        2 => Just(Step::Switch),
        1 => prop::sample::select(DIALECTS.to_vec()).prop_map(Step::Dialect),
    ]
}

/// How a request is written, and what becomes of it on its way.
#[derive(Clone, Debug)]
struct Way {
    order: Vec<Index>,
    space: &'static str,
    repeat: Option<Index>,
    within: bool,
    /// Bytes that are overwritten or taken out.
    tamper: Vec<(Index, Option<u8>)>,
    cut: Option<Index>,
}

fn way() -> impl Strategy<Value = Way> {
    let rarely = |chance: f64| prop::option::weighted(chance, any::<Index>());
    let byte = prop::option::of(prop_oneof![prop::sample::select(br#"{}[],:"\ nt1"#.to_vec()), any::<u8>()]);
    let tamper = prop_oneof![
        6 => Just(Vec::new()),
        1 => prop::collection::vec((any::<Index>(), byte), 1..4),
    ];
    let order = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(any::<Index>(), 3)];
    let space = prop::sample::select(vec!["", "", "", " ", "\n\t"]);
    (order, space, rarely(0.1), prop::bool::weighted(0.2), tamper, rarely(0.1)).prop_map(
        |(order, space, repeat, within, tamper, cut)| Way { order, space, repeat, within, tamper, cut },
    )
}

impl Way {
    fn write(&self, conversation: &Conversation, dialect: Dialect) -> (Vec<u8>, bool) {
        let mut members = conversation.members(dialect);
        for at in &self.order {
            let at = at.index(members.len());
            let member = members.remove(at);
            members.push(member);
        }
        if let Some(at) = self.repeat {
            members.push(members[at.index(members.len())].clone());
        }
        let mut text = join(&members, self.space);
        if self.within && dialect == Dialect::Gemini {
            text = format!(r#"{{"model":"n","request":{text}}}"#);
        }
        let mut body = text.into_bytes();
        for (at, byte) in &self.tamper {
            let at = at.index(body.len());
            match byte {
                Some(byte) => body[at] = *byte,
                None => drop(body.remove(at)),
            }
        }
        if let Some(at) = self.cut {
            body.truncate(at.index(body.len()));
        }
        (body, self.cut.is_none())
    }
}

#[derive(Clone, Debug)]
struct Client {
    dialect: Dialect,
    now: Conversation,
    other: Conversation,
}

impl Client {
    fn go(&mut self, step: &Step) {
        let messages = &mut self.now.messages;
        let length = messages.len();
        match step {
            Step::Say(more) => messages.extend(more.iter().cloned()),
            Step::Edit(at, text) if length > 0 => messages[at.index(length)].text.clone_from(text),
            Step::Truncate(at) => messages.truncate(at.index(length + 1)),
            Step::Compact(text) => *messages = vec![Message::new(text.clone())],
            Step::Remove(at) if length > 0 => drop(messages.remove(at.index(length))),
            Step::Mark(at) if length > 0 => {
                let at = at.index(length);
                messages[at].marked = !messages[at].marked;
            }
            Step::MoveMark(from, to) if length > 0 => {
                messages[from.index(length)].marked = false;
                messages[to.index(length)].marked = true;
            }
            Step::System(text) => self.now.system.clone_from(text),
            Step::Beside => self.now.beside = !self.now.beside,
            Step::Tools(count) => self.now.tools = *count,
            Step::Switch => std::mem::swap(&mut self.now, &mut self.other),
            Step::Dialect(dialect) => self.dialect = *dialect,
            Step::Edit(..) | Step::Remove(_) | Step::Mark(_) | Step::MoveMark(..) => {}
        }
    }
}

/// What was passed over and what was read make up what the request says.
fn check(news: &News, all: &News) {
    assert_eq!(news.prompt.model, all.prompt.model);
    assert_eq!((news.prompt.streaming, news.prompt.partial), (all.prompt.streaming, all.prompt.partial));
    assert_eq!((&news.prompt.names, &news.prompt.previous), (&all.prompt.names, &all.prompt.previous));
    assert_eq!(*news.tools, *all.tools);
    let mut units = news.units.clone();
    units.begun.clone_from(&all.units.begun);
    assert_eq!(units, all.units);
    assert!(news.units.begun.is_empty() || news.units.begun == all.units.begun);
    assert_eq!(news.lead, all.lead);
    assert_eq!(news.prompt.turns, all.prompt.turns[news.passed..]);
    assert!(news.system == all.system || news.system.is_none() && news.passed_system);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_known_and_what_is_news_are_what_a_full_read_tells(
        dialect in prop::sample::select(DIALECTS.to_vec()),
        steps in prop::collection::vec((step(), way()), 1..24),
    ) {
        let mut client =
            Client { dialect, now: Conversation::new(&["a", "b"]), other: Conversation::new(&["a", "c"]) };
        let mut histories = Histories::default();
        for (step, way) in steps {
            client.go(&step);
            let (body, whole) = way.write(&client.now, client.dialect);
            let asked = asked(client.dialect);
            let all = Histories::new(&histories.seed).read(&asked, CallId(0), None, &body, whole);
            let once = Histories::forgetting(&histories.seed).read(&asked, CallId(0), None, &body, whole);
            check(&once, &all);
            let news = histories.read(&asked, CallId(0), None, &body, whole);
            check(&news, &all);
            prop_assert_eq!(&news.prefixes, &all.prefixes);
            let full = asked.read_request(CallId(0), None, &body, whole);
            let turns: Vec<_> = all.system.iter().chain(&all.prompt.turns).collect();
            prop_assert_eq!(turns, full.turns.iter().collect::<Vec<_>>());
            prop_assert!(histories.latest.len() <= MOST);
        }
    }

    #[test]
    fn a_request_that_only_grows_is_news_in_its_last_turns(
        dialect in prop::sample::select(vec![Dialect::OpenAiChat, Dialect::AnthropicMessages]),
        turns in prop::collection::vec(prop::collection::vec(message(), 1..4), 1..12),
    ) {
        let mut histories = Histories::default();
        let mut conversation = Conversation::new(&[]);
        let mut before = 0;
        for messages in turns {
            conversation.messages.extend(messages);
            let body = conversation.write(dialect);
            prop_assert_eq!(skipped(&histories, dialect, &body).0, before);
            // What the model says on and on is read as one.
            let passed = read(&mut histories, dialect, &body).passed;
            prop_assert!(passed == before || passed == 0);
            before = conversation.messages.len();
        }
    }
}
