//! What was found, held against what is true.

use std::collections::BTreeMap;
use std::fmt;

use perimeter_interceptor::{Call, Part, Role};
use serde::{Deserialize, Serialize};

use super::scenario::{Exchange, Scenario};

/// What was found of a call.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Found {
    session: String,
    told: bool,
    number: u32,
    relation: String,
    parent: Option<u32>,
    thread: u32,
    /// Its stable id.
    agent: String,
    /// What users and tools newly say.
    news: Vec<String>,
}

impl Found {
    pub(crate) fn of(call: &Call) -> Self {
        let session = &call.session;
        let mut news = Vec::new();
        for turn in call.news.iter().filter(|turn| matches!(turn.role, Role::User | Role::Tool)) {
            news.extend(turn.parts.iter().filter_map(|part| match part {
                Part::Text(text) => Some(text.to_string()),
                Part::ToolResult(result) => Some(result.text.to_string()),
                Part::Media(media) => Some(format!("({})", media.kind)),
                _ => None,
            }));
        }
        Self {
            session: session.id.to_string(),
            told: session.told,
            number: session.call,
            relation: session.relation.as_str().into(),
            parent: session.parent,
            thread: session.thread,
            agent: session.agent.stable.to_string(),
            news,
        }
    }
}

/// Pairs of calls: whether they belong together, and were found to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pairs {
    right: usize,
    /// Found, but not true.
    joined: usize,
    /// True, but not found.
    split: usize,
}

impl Pairs {
    pub(crate) fn precision(self) -> f64 {
        share(self.right, self.right + self.joined)
    }

    fn and(self, other: Self) -> Self {
        Self {
            right: self.right + other.right,
            joined: self.joined + other.joined,
            split: self.split + other.split,
        }
    }

    pub(crate) fn recall(self) -> f64 {
        share(self.right, self.right + self.split)
    }
}

fn share(of: usize, all: usize) -> f64 {
    if all == 0 { 1.0 } else { of as f64 / all as f64 }
}

/// How well it went.
#[derive(Debug, Default)]
pub(crate) struct Score {
    scenarios: usize,
    calls: usize,
    pub(crate) told: Pairs,
    pub(crate) untold: Pairs,
    /// What is wrong, by scenario; sorted by kind.
    pub(crate) wrong: Vec<Wrong>,
    /// What is wrong and was expected to be.
    known: Vec<Wrong>,
    /// Those of which only this was expected, and which are right.
    pub(crate) outgrown: Vec<String>,
}

/// Something that is wrong.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) place: String,
    pub(crate) kind: &'static str,
    pub(crate) what: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:40} {:9} {}", self.place, self.kind, self.what)
    }
}

/// A call, and what was found of it.
struct Judged<'a> {
    scenario: &'a Scenario,
    exchange: &'a Exchange,
    found: Option<&'a Found>,
}

impl Judged<'_> {
    fn place(&self) -> String {
        format!("{}:{}", self.scenario.name, self.exchange.id)
    }
}

/// Judges what was found of each call of each scenario.
pub(crate) fn judge(scenarios: &[&Scenario], found: &[Vec<Option<Found>>]) -> Score {
    let mut score = Score { scenarios: scenarios.len(), ..Score::default() };
    let mut all: Vec<Judged<'_>> = Vec::new();
    for (scenario, found) in scenarios.iter().zip(found) {
        assert_eq!(scenario.exchanges.len(), found.len(), "{}", scenario.name);
        let judged = scenario.exchanges.iter().zip(found);
        all.extend(judged.map(|(exchange, found)| Judged { scenario, exchange, found: found.as_ref() }));
        score.facts(scenario, found);
    }
    score.calls = all.len();
    for (at, one) in all.iter().enumerate() {
        for other in &all[..at] {
            score.pair(other, one);
        }
    }
    score
}

impl Score {
    /// With what others come to.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.scenarios += other.scenarios;
        self.calls += other.calls;
        self.told = self.told.and(other.told);
        self.untold = self.untold.and(other.untold);
        self.wrong.extend(other.wrong);
        self.known.extend(other.known);
        self.outgrown.extend(other.outgrown);
        self
    }

    fn pair(&mut self, one: &Judged<'_>, other: &Judged<'_>) {
        let (mine, theirs) = (&one.exchange.label, &other.exchange.label);
        if one.scenario.name == other.scenario.name && [mine, theirs].iter().any(|label| label.session == "-")
        {
            return;
        }
        let belong = one.scenario.name == other.scenario.name && mine.session == theirs.session;
        let joined = match (one.found, other.found) {
            (Some(one), Some(other)) => one.session == other.session,
            _ => false,
        };
        let pairs = if mine.told && theirs.told { &mut self.told } else { &mut self.untold };
        let kind = match (belong, joined) {
            (true, true) => {
                pairs.right += 1;
                return;
            }
            (true, false) => {
                pairs.split += 1;
                "split"
            }
            (false, true) => {
                pairs.joined += 1;
                "joined"
            }
            (false, false) => return,
        };
        let (one, other) = (one.place(), other.place());
        let known = mine.known.as_ref().or(theirs.known.as_ref()).filter(|_| belong);
        self.note(one, kind, format!("and {other}"), known);
    }

    fn note(&mut self, place: String, kind: &'static str, what: String, known: Option<&String>) {
        match known {
            Some(why) => self.known.push(Wrong { place, kind, what: format!("{what} ({why})") }),
            None => self.wrong.push(Wrong { place, kind, what }),
        }
    }

    /// What is found of each call by itself, and of its agent.
    fn facts(&mut self, scenario: &Scenario, found: &[Option<Found>]) {
        let mut agents: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
        for (exchange, call) in scenario.exchanges.iter().zip(found) {
            let (label, before) = (&exchange.label, self.known.len() + self.wrong.len());
            let known = label.known.as_ref();
            let place = format!("{}:{}", scenario.name, exchange.id);
            let Some(call) = call else {
                self.note(place, "call", "was not told".into(), known);
                continue;
            };
            let mut check = |kind: &'static str, is: String, must: String| {
                if is != must {
                    self.note(place.clone(), kind, format!("{is}, not {must}"), known);
                }
            };
            check("told", call.told.to_string(), label.told.to_string());
            if label.relation != "?" {
                check("relation", call.relation.clone(), label.relation.clone());
            }
            if let Some(parent) = label.parent {
                let number = parent.and_then(|parent| found[parent].as_ref()).map(|parent| parent.number);
                check("parent", format!("{:?}", call.parent), format!("{number:?}"));
            }
            if let Some(thread) = label.thread {
                check("thread", call.thread.to_string(), thread.to_string());
            }
            if let Some(news) = &label.news {
                check("news", format!("{:?}", call.news), format!("{news:?}"));
            }
            if let Some(agent) = &label.agent {
                let (first, place) = *agents.entry(agent).or_insert((&call.agent, &exchange.id));
                if call.agent != first {
                    check("agent", call.agent.clone(), format!("{first} as at {place}"));
                }
            }
            if known.is_some() && self.known.len() + self.wrong.len() == before {
                self.outgrown.push(format!("{}:{}", scenario.name, exchange.id));
            }
        }
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        for (label, (stable, place)) in agents {
            if let Some(other) = seen.insert(stable, label) {
                let what = format!("{label} and {other} are both {stable}");
                self.note(format!("{}:{place}", scenario.name), "agent", what, None);
            }
        }
    }

    /// The calls of which nothing was told.
    pub(crate) fn missing(&self) -> Vec<String> {
        self.wrong.iter().filter(|wrong| wrong.kind == "call").map(|wrong| wrong.place.clone()).collect()
    }

    /// Says what must be perfect and is not.
    #[track_caller]
    pub(crate) fn assert_good(&self, played: &str) {
        assert!(self.told.precision() >= 1.0 && self.told.recall() >= 1.0, "{played}: {self}");
        assert!(self.untold.precision() >= 1.0 && self.untold.recall() >= 0.98, "{played}: {self}");
        assert!(self.wrong.is_empty(), "{played}: {self}");
        // Who is split from others only is wrong all the same.
        let is_split = |place: &str| {
            let of =
                |wrong: &&Wrong| wrong.place == place || wrong.what.starts_with(&format!("and {place} "));
            self.known.iter().any(|wrong| of(&wrong))
        };
        let outgrown: Vec<_> = self.outgrown.iter().filter(|place| !is_split(place)).collect();
        assert!(outgrown.is_empty(), "{played}: right by now, though said to be wrong: {:?}", outgrown);
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} scenarios, {} calls", self.scenarios, self.calls)?;
        writeln!(
            f,
            "{:8} {:>9} {:>7} {:>6} {:>7} {:>6}",
            "", "precision", "recall", "right", "joined", "split"
        )?;
        for (name, pairs) in [("told", self.told), ("untold", self.untold)] {
            let Pairs { right, joined, split } = pairs;
            let (precision, recall) = (pairs.precision(), pairs.recall());
            writeln!(f, "{name:8} {precision:9.4} {recall:7.4} {right:6} {joined:7} {split:6}")?;
        }
        let kinds = ["joined", "split", "call", "told", "relation", "parent", "thread", "agent", "news"];
        let count = |kind: &&str| self.wrong.iter().filter(|wrong| wrong.kind == *kind).count();
        let counts: Vec<String> = kinds.iter().map(|kind| format!("{kind} {}", count(kind))).collect();
        writeln!(f, "wrong: {}", counts.join(", "))?;
        for wrong in &self.wrong {
            writeln!(f, "  {wrong}")?;
        }
        if !self.known.is_empty() {
            writeln!(f, "known to be wrong:")?;
        }
        for known in &self.known {
            writeln!(f, "  {known}")?;
        }
        Ok(())
    }
}
