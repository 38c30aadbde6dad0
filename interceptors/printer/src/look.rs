use std::io::{self, IsTerminal};

use jiff::tz::TimeZone;

/// What the output is printed on: how wide it is, whether it has colours, and where it stands.
#[derive(Clone, Debug)]
pub struct Look {
    width: Width,
    colour: bool,
    zone: TimeZone,
}

#[derive(Clone, Copy, Debug)]
enum Width {
    /// Whatever the terminal on stdout has now.
    OfStdout,
    /// This many columns, or no end.
    Fixed(Option<usize>),
}

impl Look {
    /// As narrow as lines may be made. A narrower terminal wraps them.
    const NARROWEST: usize = 30;

    /// Standard output as it is: its width and colours if it is a terminal, neither if it is not; local time.
    ///
    /// There is no colour where `NO_COLOR` is set to anything but nothing, nor where `TERM` is `dumb`.
    pub fn of_stdout() -> Self {
        let terminal = io::stdout().is_terminal();
        let width = if terminal { Width::OfStdout } else { Width::Fixed(None) };
        Self { width, colour: terminal && colour_is_welcome(), zone: TimeZone::system() }
    }

    /// This many columns, or no end to a line; coloured or not; in UTC.
    pub fn fixed(width: Option<usize>, colour: bool) -> Self {
        Self { width: Width::Fixed(width), colour, zone: TimeZone::UTC }
    }

    /// The columns that there are just now.
    pub(crate) fn columns(&self) -> Option<usize> {
        let columns = match self.width {
            Width::OfStdout => columns_of_stdout(),
            Width::Fixed(columns) => columns,
        };
        columns.map(|columns| columns.max(Self::NARROWEST))
    }

    pub(crate) fn colour(&self) -> bool {
        self.colour
    }

    pub(crate) fn zone(&self) -> &TimeZone {
        &self.zone
    }
}

/// The columns of the terminal on stdout, where it knows them.
fn columns_of_stdout() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

fn colour_is_welcome() -> bool {
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !no_colour && !dumb
}
