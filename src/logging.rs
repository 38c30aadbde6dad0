//! What the proxy says about itself: one line an event, to stderr or to a file.
//!
//! The traffic never waits for a log: lines go into a bounded buffer that a thread of its own empties. When nobody
//! reads the log, lines are lost and counted ([`dropped_lines`]), and the log says so once it moves again.
//!
//! `PERIMETER_LOG` stands above `logging.level` and is finer, in the syntax of
//! [`tracing_subscriber::EnvFilter`]: `warn,access=info`.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use tracing_subscriber::filter::{EnvFilter, LevelFilter, ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::config::{Level, LogFormat, Logging};

mod line;
mod rotating;
mod writer;

pub(crate) use writer::{Guard, dropped_lines};

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum LoggingError {
    /// `logging.file` cannot be opened.
    #[error("logging.file: {}: cannot be opened", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// `PERIMETER_LOG` is no filter.
    #[error("PERIMETER_LOG: expected a filter such as `debug` or `warn,access=info`")]
    Filter {
        /// What is wrong with it.
        source: ParseError,
    },
    /// The thread that writes cannot be started.
    #[error("the log's thread cannot be started")]
    Thread {
        /// What the system says.
        source: io::Error,
    },
    /// There is a log already.
    #[error("logging is set up already")]
    Twice,
}

impl LoggingError {
    /// Whether what the user wrote is wrong, rather than the world.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::Filter { .. })
    }
}

/// Sets up logging for the whole process; `access` says whether each exchange has a line. Keep the [`Guard`]: dropping it writes out what is still held.
///
/// # Errors
/// [`LoggingError`] where the file cannot be opened or `PERIMETER_LOG` is no filter.
pub(crate) fn init(logging: &Logging, access: bool) -> Result<Guard, LoggingError> {
    let filter = filter(logging.level, access)?;
    let (out, colours): (Box<dyn Write + Send>, bool) = match &logging.file {
        Some(path) => {
            let file = rotating::RotatingFile::open(path, logging.max_file_size, logging.backup_count)
                .map_err(|source| LoggingError::File { path: path.clone(), source })?;
            (Box::new(file), false)
        }
        None => (Box::new(io::stderr()), wants_colours()),
    };
    let (lines, guard) = writer::spawn(out).map_err(|source| LoggingError::Thread { source })?;
    let layer = fmt::layer().with_ansi(colours).with_writer(lines);
    let layer = match logging.format {
        LogFormat::Text => layer.event_format(line::Text).boxed(),
        LogFormat::Json => layer.event_format(line::Json).boxed(),
    };
    Registry::default().with(filter).with(layer).try_init().map_err(|_| LoggingError::Twice)?;
    Ok(guard)
}

fn filter(level: Level, access: bool) -> Result<Box<dyn Layer<Registry> + Send + Sync>, LoggingError> {
    match std::env::var("PERIMETER_LOG") {
        Ok(directives) if !directives.is_empty() => EnvFilter::builder()
            .parse(directives)
            .map(|filter| Box::new(filter) as _)
            .map_err(|source| LoggingError::Filter { source }),
        _ if access => Ok(Box::new(LevelFilter::from(level))),
        _ => {
            let targets = Targets::new().with_default(LevelFilter::from(level));
            Ok(Box::new(targets.with_target("access", LevelFilter::OFF)))
        }
    }
}

fn wants_colours() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::TRACE,
            Level::Debug => Self::DEBUG,
            Level::Info => Self::INFO,
            Level::Warn => Self::WARN,
            Level::Error => Self::ERROR,
        }
    }
}
