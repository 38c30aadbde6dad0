//! A call that is being read.

use super::arguments::Arguments;
use super::envelope::Envelope;

/// What a call consists of, whichever way it is written.
#[derive(Debug)]
pub(super) enum Calling {
    /// The name is known, this is what follows `arguments:`.
    Plain(String, Box<Arguments>),
    /// Name and arguments are in one object. None until it begins.
    Wrapped(Option<Box<Envelope>>),
}

impl Calling {
    /// The tool, once it is known.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Plain(name, _) => Some(name),
            Self::Wrapped(envelope) => envelope.as_ref()?.name.as_deref(),
        }
    }

    /// What it is given, once that begins.
    pub(super) fn arguments(&self) -> Option<&Arguments> {
        match self {
            Self::Plain(_, arguments) => Some(arguments),
            Self::Wrapped(envelope) => envelope.as_ref()?.arguments.as_ref(),
        }
    }

    /// The JSON of the arguments since the last time.
    pub(super) fn take(&mut self) -> String {
        let arguments = match self {
            Self::Plain(_, arguments) => Some(arguments.as_mut()),
            Self::Wrapped(envelope) => envelope.as_mut().and_then(|envelope| envelope.arguments.as_mut()),
        };
        arguments.map(Arguments::take).unwrap_or_default()
    }

    /// There is no more of it: closes what is open.
    pub(super) fn finish(&mut self) {
        match self {
            Self::Plain(_, arguments) => arguments.finish(),
            Self::Wrapped(Some(envelope)) => envelope.finish(),
            Self::Wrapped(None) => {}
        }
    }

    /// Whether something had to be mended.
    pub(super) fn mended(&self) -> bool {
        match self {
            Self::Plain(_, arguments) => arguments.mended(),
            Self::Wrapped(envelope) => envelope.as_ref().is_some_and(|envelope| envelope.mended()),
        }
    }

    /// Whether something could not be.
    pub(super) fn lost(&self) -> bool {
        match self {
            Self::Plain(_, arguments) => arguments.lost(),
            Self::Wrapped(envelope) => envelope.as_ref().is_some_and(|envelope| envelope.lost()),
        }
    }
}
