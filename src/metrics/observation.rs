//! How those who watch are doing, and what they saw.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use perimeter_interceptor::Counter;

use super::genai::GenAi;
use super::streams;
use super::text::{Text, told};
use crate::config::Semconv;
use crate::crew::Gauge;
use crate::journal::Losses;
use crate::memory::Memory;
use crate::scribe::census::{KNOWN, RELATIONS};
use crate::scribe::takings::KINDS;
use crate::scribe::tally::Tally;

/// Where the numbers about watching are.
#[derive(Debug)]
pub(crate) struct Observation {
    /// All that is held.
    pub memory: Arc<Memory>,
    /// What the journal lost.
    pub journal: Arc<Losses>,
    /// What the journal holds, bytes.
    pub journal_bytes: Arc<AtomicUsize>,
    /// What the scribe counted.
    pub tally: Arc<Tally>,
    /// The interceptors.
    pub crew: Vec<Arc<Gauge>>,
    /// By which names the metrics of OpenTelemetry's conventions are shown.
    pub semconv: Vec<Semconv>,
    /// The upstream's host and port.
    pub server: (String, u16),
}

type PerInterceptor = (&'static str, &'static str, fn(&Gauge) -> u64);

const PER_INTERCEPTOR: [PerInterceptor; 3] = [
    ("perimeter_interceptor_errors_total", "Callbacks that returned an error.", |gauge| {
        gauge.errors.load(Relaxed)
    }),
    ("perimeter_interceptor_panics_total", "Callbacks that panicked.", |gauge| gauge.panics.load(Relaxed)),
    ("perimeter_interceptor_retired", "Whether it was retired after too many panics.", |gauge| {
        u64::from(gauge.retired.load(Relaxed))
    }),
];

impl Observation {
    /// The interceptors that were retired.
    pub(crate) fn retired(&self) -> Vec<String> {
        let retired = self.crew.iter().filter(|gauge| gauge.retired.load(Relaxed));
        retired.map(|gauge| gauge.name.to_string()).collect()
    }

    pub(super) fn render(&self, text: &mut Text) {
        self.calls(text);
        self.takings(text);
        self.genai(text);
        streams::render(&self.tally, text);
        self.sessions(text);
        self.queues(text);
        self.reading(text);
        for (name, help, value) in PER_INTERCEPTOR {
            text.family(name, kind_of(name), help);
            for gauge in &self.crew {
                text.sample(name, &told(&[("interceptor", Some(&gauge.name))]), value(gauge));
            }
        }
        self.own(text);
    }

    /// How the scribe is doing.
    fn reading(&self, text: &mut Text) {
        text.single(
            "perimeter_observe_memory_bytes",
            "gauge",
            "Memory held for those who watch, bytes; its bound is observe.memory.",
            self.memory.used(),
        );
        text.single(
            "perimeter_observe_memory_limit_bytes",
            "gauge",
            "observe.memory, bytes.",
            self.memory.limit(),
        );
        text.single(
            "perimeter_scribe_lag_seconds",
            "gauge",
            "How long the oldest record of the last batch had waited to be read.",
            self.tally.lag().as_secs_f64(),
        );
        text.single("perimeter_scribe_records_total", "counter", "Records read.", self.tally.records());
        text.single(
            "perimeter_scribe_panics_total",
            "counter",
            "Records that could not be read for a fault of perimeter's own.",
            self.tally.panics(),
        );
        text.single(
            "perimeter_opaque_bodies_total",
            "counter",
            "Bodies of calls that were not read, for a content encoding that is not known.",
            self.tally.opaques(),
        );
    }

    fn calls(&self, text: &mut Text) {
        const NAME: &str = "perimeter_calls_total";
        text.family(
            NAME,
            "counter",
            "Exchanges that are over, and each call of a socket, by what was asked, by whom, and how it ended.",
        );
        for line in self.tally.lines() {
            let labels = told(&[
                ("dialect", line.dialect),
                ("model", line.model.as_deref()),
                ("agent", line.agent.as_deref()),
                ("outcome", Some(line.outcome)),
            ]);
            text.sample(NAME, &labels, line.count);
        }
    }

    /// The client metrics of OpenTelemetry's conventions.
    fn genai(&self, text: &mut Text) {
        let calls = self.tally.genai();
        let genai = GenAi::new(&calls, &self.server.0, self.server.1);
        for semconv in &self.semconv {
            genai.render(text, *semconv);
        }
    }

    /// What interceptors count of themselves: each family of all of them together. A name that the page has already, or
    /// that is none, is left out: a page that breaks a rule of the format is not read at all.
    fn own(&self, text: &mut Text) {
        let mut families = BTreeMap::<&str, Vec<(&Gauge, &Counter)>>::new();
        for gauge in &self.crew {
            for counter in &gauge.counters {
                let family = families.entry(counter.name).or_default();
                if !family.iter().any(|(other, _)| other.name == gauge.name) {
                    family.push((gauge, counter));
                }
            }
        }
        for (name, counters) in families {
            let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            let full = format!("perimeter_{name}");
            let Some((_, first)) = counters.first() else { continue };
            if name.is_empty() || !name.chars().all(is_name) || text.has(&full) {
                continue;
            }
            text.family(&full, kind_of(name), first.help);
            for (gauge, counter) in counters {
                let labels = told(&[("interceptor", Some(&gauge.name))]);
                text.sample(&full, &labels, counter.value.load(Relaxed));
            }
        }
    }

    /// What calls used and cost.
    fn takings(&self, text: &mut Text) {
        const COST: &str = "perimeter_cost_usd_total";
        const UNPRICED: &str = "perimeter_calls_unpriced_total";
        const TOKENS: &str = "perimeter_tokens_total";
        let models = self.tally.takings.by_model();
        let shows = self.tally.labels.model > 0;
        let of = |model| ("model", Some(model).filter(|_: &&str| shows));
        text.family(COST, "counter", "What calls cost, USD, as far as it is known.");
        for (model, taken) in models.iter().filter(|(_, taken)| taken.priced > 0) {
            text.sample(COST, &told(&[of(&**model)]), taken.cost);
        }
        text.family(UNPRICED, "counter", "Calls that were answered and whose cost is unknown.");
        for (model, taken) in models.iter().filter(|(_, taken)| taken.unpriced > 0) {
            text.sample(UNPRICED, &told(&[of(&**model)]), taken.unpriced);
        }
        text.family(
            TOKENS,
            "counter",
            "Tokens that calls used; those of a cache are among the input, reasoning among the output.",
        );
        for (model, taken) in &models {
            for (kind, tokens) in KINDS.iter().zip(taken.tokens).filter(|(_, tokens)| *tokens > 0) {
                text.sample(TOKENS, &told(&[of(&**model), ("kind", Some(kind))]), tokens);
            }
        }
    }

    fn sessions(&self, text: &mut Text) {
        const HELD: &str = "perimeter_sessions";
        const BEGUN: &str = "perimeter_sessions_total";
        const CALLS: &str = "perimeter_session_calls_total";
        let census = &self.tally.census;
        text.family(HELD, "gauge", "Sessions that are held, by whether they are over and only remembered.");
        for (state, count) in ["open", "over"].into_iter().zip(census.held()) {
            text.sample(HELD, &format!("{{state=\"{state}\"}}"), count);
        }
        text.family(BEGUN, "counter", "Sessions that began, by how they are known.");
        for (known, count) in KNOWN.into_iter().zip(census.begun()) {
            text.sample(BEGUN, &format!("{{known=\"{known}\"}}"), count);
        }
        text.family(CALLS, "counter", "Calls, by how they belong to their sessions.");
        for (relation, count) in RELATIONS.into_iter().zip(census.calls()) {
            text.sample(CALLS, &format!("{{relation=\"{}\"}}", relation.as_str()), count);
        }
    }

    /// The journal and each mailbox.
    fn queues(&self, text: &mut Text) {
        let journal = [
            self.journal_bytes.load(Relaxed) as u64,
            self.journal.refused.load(Relaxed),
            self.journal.unseen.load(Relaxed),
        ];
        let counted = |counter: &AtomicU64| counter.load(Relaxed);
        let mailboxes = self.crew.iter().map(|gauge| {
            let held = gauge.held.load(Relaxed) + gauge.oversize.load(Relaxed);
            let values = [held as u64, counted(&gauge.refused), counted(&gauge.unseen)];
            (gauge.name.to_string(), values)
        });
        // The scribe has no queue, but what it reads takes memory.
        let scribe = [0, 0, self.tally.unseen()];
        let ours = [("journal".to_owned(), journal), ("scribe".to_owned(), scribe)];
        let queues: Vec<_> = ours.into_iter().chain(mailboxes).collect();
        let families = [
            (
                "perimeter_queue_bytes",
                "gauge",
                "What waits in the journal or in an interceptor's mailbox, bytes.",
            ),
            (
                "perimeter_refused_exchanges_total",
                "counter",
                "Exchanges that were not told, for want of room.",
            ),
            (
                "perimeter_unseen_bytes_total",
                "counter",
                "Bytes of told exchanges that were not, for want of room.",
            ),
        ];
        for (index, (name, kind, help)) in families.into_iter().enumerate() {
            text.family(name, kind, help);
            for (queue, values) in &queues {
                let value = values.get(index).copied().unwrap_or_default();
                text.sample(name, &told(&[("queue", Some(queue))]), value);
            }
        }
    }
}

fn kind_of(name: &str) -> &'static str {
    if name.ends_with("_total") { "counter" } else { "gauge" }
}
