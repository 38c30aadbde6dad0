use std::fmt;

use super::Signal;

/// What a file is called while it is written.
pub(super) const UNFINISHED: &str = "tmp";

/// The name of a file: `<time>-<number>-<signal>-<items>.otlp`. The oldest is the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    /// When it was written, in nanoseconds since 1970.
    pub(super) nanos: u64,
    /// Which of the run's it is.
    pub(super) number: u64,
    /// What is in it.
    pub(super) signal: Signal,
    /// How many of it.
    pub(super) items: u64,
}

impl Name {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(".otlp")?.split('-');
        let nanos = parts.next()?.parse().ok()?;
        let number = parts.next()?.parse().ok()?;
        let signal = parts.next()?;
        let signal = Signal::ALL.into_iter().find(|known| known.name() == signal)?;
        let items = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(Self { nanos, number, signal, items })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nanos, number, signal, items } = self;
        write!(f, "{nanos:020}-{number:08}-{}-{items}.otlp", signal.name())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_is_read_as_it_was_written(nanos: u64, number: u64, signal in 0..3_usize, items: u64) {
            let name = Name { nanos, number, signal: Signal::ALL[signal], items };
            prop_assert_eq!(Name::parse(&name.to_string()), Some(name));
        }

        #[test]
        fn no_name_is_too_strange(name in ".*") {
            let _ = Name::parse(&name);
            let _ = Name::parse(&format!("{name}.otlp"));
        }
    }
}
