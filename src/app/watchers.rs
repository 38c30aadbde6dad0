//! Everyone who watches: the journal, the scribe's thread, the interceptors'.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use perimeter_interceptor::Interest;

use super::RunError;
use crate::config::Config;
use crate::crew::{Crew, Leaving, dismiss};
use crate::dialect::{is_call, is_socket};
use crate::journal::{self, Appetite, Journal};
use crate::memory::Memory;
use crate::metrics::Observation;
use crate::prices::Prices;
use crate::priority;
use crate::registry::Hire;
use crate::scribe::live::{Asker, questions};
use crate::scribe::tally::Tally;
use crate::scribe::{self, Masks, Scribe};
use crate::state;

/// Everyone who watches, at work.
#[derive(Debug)]
pub(super) struct Watchers {
    /// Where the traffic is told.
    pub(super) journal: Journal,
    /// How they are doing.
    pub(super) observation: Arc<Observation>,
    /// Who is asked about sessions; nobody, where nobody wants calls to be read.
    pub(super) asker: Option<Asker>,
    leaving: Vec<Leaving>,
}

impl Watchers {
    /// Hires whom the configuration names; `None` where it names nobody, and the page of metrics wants nothing read
    /// either: then nothing is told at all.
    pub(super) fn start(config: &Config, hires: Vec<Hire>) -> Result<Option<Self>, RunError> {
        if hires.is_empty() && !config.metrics.calls {
            return Ok(None);
        }
        let observe = &config.observe;
        let memory = Arc::new(Memory::new(size(observe.memory)));
        let mut crew = Crew::new(size(observe.mailbox), memory.clone());
        let mut leaving = Vec::new();
        let mut names: Vec<String> = Vec::new();
        for hire in hires {
            let name = name(hire.kind(), &names);
            leaving.push(hire.into(&mut crew, &name)?);
            names.push(name);
        }
        let of_page = if config.metrics.calls { Interest::LLM } else { Interest::NONE };
        let interest = crew.interest() | of_page;
        let appetite = Appetite { interest, is_call, is_socket };
        let (journal, reader) = journal::journal(size(observe.journal), memory.clone(), appetite);
        let prices = Arc::new(Prices::load(config.pricing.file.as_deref())?);
        let tally = Arc::new(Tally::new(config.metrics.labels, prices.clone(), config.llm.base_url.host()));
        let observation = Arc::new(Observation {
            memory: memory.clone(),
            journal: journal.losses().clone(),
            journal_bytes: journal.weight().clone(),
            tally: tally.clone(),
            crew: crew.gauges(),
            semconv: config.metrics.semconv.clone(),
            server: (config.llm.base_url.host().to_owned(), config.llm.base_url.port()),
        });
        let random = |what| move |source| RunError::System { what, source };
        let settings = scribe::Settings {
            masks: Masks::new(&mask_key(config).map_err(random("random bytes"))?, &observe.mask),
            upstream: config.llm.base_url.to_string().into(),
            session: config.session.clone(),
            body_limit: size(observe.body_limit),
            stall_threshold: observe.stall_threshold,
            run: u64::from_ne_bytes(state::random().map_err(random("random bytes"))?),
            interest,
            prices,
        };
        let scribe = Scribe::new(settings, memory, tally.clone(), (Instant::now(), SystemTime::now()));
        let (asker, questions) = questions(reader.nudge());
        let asker = interest.includes(Interest::LLM).then_some(asker);
        let (ends, scribe_leaves) = Leaving::new("scribe");
        thread::Builder::new()
            .name("perimeter-scribe".to_owned())
            .spawn(move || {
                priority::behind_the_traffic();
                scribe::task::run(reader, scribe, crew, &questions, &tally);
                // Who asks from now on hears so at once.
                drop(questions);
                drop(ends);
            })
            .map_err(|source| RunError::System { what: "thread", source })?;
        leaving.insert(0, scribe_leaves);
        Ok(Some(Self { journal, observation, asker, leaving }))
    }

    /// Lets everyone finish: the journal ends when the last exchange has let go of it, and the interceptors with it.
    /// Who has not finished `within` that time is left behind.
    pub(super) async fn dismiss(self, within: Duration) {
        let Self { journal, leaving, .. } = self;
        drop(journal);
        for name in dismiss(leaving, within).await {
            tracing::warn!(interceptor = &*name, "had not finished at the end of server.flush: left behind");
        }
    }
}

/// A kind that is hired twice has a name of its own each time.
fn name(kind: &str, taken: &[String]) -> String {
    let later = (2..).map(|number| format!("{kind}-{number}"));
    let mut names = std::iter::once(kind.to_owned()).chain(later);
    names.find(|name| !taken.contains(name)).unwrap_or_default()
}

pub(super) fn mask_key(config: &Config) -> std::io::Result<[u8; 32]> {
    match state::mask_key(&config.state_dir) {
        Ok(key) => Ok(key),
        Err(error) => {
            let place = config.state_dir.display();
            tracing::warn!(
                %error,
                "no key in {place}: the fingerprints of credentials are those of this run only"
            );
            state::random()
        }
    }
}

/// A size of the configuration; more than there can be is all there is.
fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
