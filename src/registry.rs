//! The kinds of interceptors that a configuration may name, and how each is made.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::Arc;

use perimeter_interceptor::{BoxError, Interceptor};
use perimeter_recorder::events::Events;
use serde::de::DeserializeOwned;

use crate::config::{Problem, Reader};
use crate::crew::{Crew, Leaving};

/// What a configuration may write as an interceptor's `type`, and `--interceptors` may name.
#[derive(Clone, Debug)]
pub struct Registry {
    kinds: Vec<Kind>,
}

/// One kind of interceptor.
#[derive(Clone)]
pub(crate) struct Kind {
    /// Its name in a configuration.
    pub(crate) name: &'static str,
    /// Reads its settings. One that this version cannot hire is accepted with a warning.
    pub(crate) read: Option<Read>,
}

/// Reads the settings of an interceptor, so that one can be made.
pub(crate) type Read = Arc<dyn Fn(Reader<'_>) -> Result<Hire, Problem> + Send + Sync>;

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kind").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An interceptor whose settings have been read, about to be made and hired.
pub struct Hire {
    kind: &'static str,
    make: Make,
}

/// Makes an interceptor of its settings, and seats it under this name.
type Make = Box<dyn FnOnce(&mut Crew, &str) -> Result<Leaving, HireError> + Send>;

/// Settings may hold secrets.
impl fmt::Debug for Hire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hire").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Why an interceptor could not be hired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HireError {
    /// It could not be made.
    #[error("interceptor {name} cannot start")]
    Made {
        /// Its name.
        name: String,
        /// Why.
        source: BoxError,
    },
    /// There is no thread for it.
    #[error("the system gave interceptor {name} no thread")]
    Thread {
        /// Its name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Hire {
    /// Its kind's name.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Makes it, under a name of its own, and seats it.
    pub(crate) fn into(self, crew: &mut Crew, name: &str) -> Result<Leaving, HireError> {
        (self.make)(crew, name)
    }
}

/// Kinds that the predecessor had, or that come later.
const NOT_BUILT: [&str; 2] = ["http_recorder", "live_trace"];

impl Registry {
    /// The interceptors that come with the proxy.
    pub fn built_in() -> Self {
        let mut registry = Self { kinds: Vec::new() };
        registry
            .register("printer", perimeter_printer::Printer::new)
            .register("message_logger", perimeter_recorder::MessageLogger::new)
            .register("event_recorder", perimeter_recorder::EventRecorder::new)
            .register("session_detector", perimeter_session_detector::SessionDetector::new)
            .register("trace_exporter", perimeter_otel::TraceExporter::new)
            .register("otel", perimeter_otel::TraceExporter::new)
            .register("cylestio_trace", |settings| {
                perimeter_cylestio_trace::CylestioTrace::new(settings).map(Events::to)
            })
            .register("test_recorder", |settings| {
                Ok::<_, Infallible>(perimeter_recorder::TestRecorder::new(&settings).interceptor())
            });
        for name in NOT_BUILT {
            registry.kinds.push(Kind { name, read: None });
        }
        registry
    }

    /// Lets a configuration name `kind`.
    ///
    /// Its settings (`config`) are read as `C`: what `C` does not take is refused with its line, before anything starts
    /// and by `validate-config` too. Where there is no `config`, as with `--interceptors`, `C` is read from an empty
    /// map, so every field needs a default there. `make` makes the interceptor when the proxy starts; what it fails
    /// with stops the start. A name that is there already means the new kind from now on.
    pub fn register<C, I, E>(
        &mut self,
        kind: &'static str,
        make: impl Fn(C) -> Result<I, E> + Clone + Send + Sync + 'static,
    ) -> &mut Self
    where
        C: DeserializeOwned + Send + 'static,
        I: Interceptor,
        E: Into<BoxError>,
    {
        let read: Read = Arc::new(move |reader| {
            let settings = C::deserialize(reader).map_err(|problem| reader.place(problem))?;
            let make = make.clone();
            let hire = move |crew: &mut Crew, name: &str| {
                let name = name.to_owned();
                let interceptor = make(settings)
                    .map_err(|error| HireError::Made { name: name.clone(), source: error.into() })?;
                crew.hire(&name, interceptor).map_err(|source| HireError::Thread { name, source })
            };
            Ok(Hire { kind, make: Box::new(hire) })
        });
        self.kinds.retain(|known| known.name != kind);
        self.kinds.push(Kind { name: kind, read: Some(read) });
        self
    }

    /// The kind of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&Kind> {
        self.kinds.iter().find(|kind| kind.name == name)
    }

    /// All names, in the order of the documentation.
    pub fn names(&self) -> Vec<&'static str> {
        self.kinds.iter().map(|kind| kind.name).collect()
    }
}
