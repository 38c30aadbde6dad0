//! The first line of a block, which for most exchanges is all of it.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use perimeter_interceptor::{Cx, Usage};

use crate::call::{Price, Shown};
use crate::errand;
use crate::exchange::Following;
use crate::paint::Ink;
use crate::redaction::Redaction;
use crate::{measure, text};

/// The columns of the time.
pub(crate) const TIME: usize = 8;

/// The longest that a field becomes where no terminal says how wide it is.
const LONG: usize = 100;

/// As many fields as most lines have.
const MANY: usize = 12;

/// A word or two of the head line.
struct Field {
    text: String,
    ink: Ink,
    /// Where the line is too long, the field with the greatest goes first. Those of 0 stay.
    rank: u8,
    /// Whether it belongs to the field before it.
    joined: bool,
    /// As short as it may be cut before it goes.
    least: Option<usize>,
}

impl Field {
    fn new(rank: u8, ink: Ink, text: impl Into<String>) -> Self {
        Self { text: text.into(), ink, rank, joined: false, least: None }
    }

    fn joined(mut self) -> Self {
        self.joined = true;
        self
    }

    /// Names are the traffic's: they are cleaned, and can be cut.
    fn name(rank: u8, ink: Ink, name: &str, most: usize) -> Self {
        let text = text::line(name, Some(most));
        Self { text, ink, rank, joined: false, least: Some(16) }
    }

    /// The cells before it.
    fn gap(&self) -> usize {
        if self.joined { 1 } else { 2 }
    }

    fn cells(&self) -> usize {
        text::cells(&self.text)
    }
}

/// The head line of a call, or of an exchange that has none.
pub(crate) fn line(
    cx: Cx<'_>,
    exchange: &Following,
    call: Option<&Shown>,
    width: Option<usize>,
    zone: &TimeZone,
    redaction: Redaction,
) -> HeadLine {
    let mut fields = Vec::with_capacity(MANY);
    fields.push(Field::new(0, Ink::Dim, local_time(began(cx, call), zone)));
    fields.push(status(exchange));
    fields.push(Field::new(0, Ink::Plain, format!("{:>6}", measure::duration(exchange.lasted(call)))));
    if let Some(call) = call {
        let is_errand = errand::is_errand(call.operation);
        if is_errand {
            fields.push(Field::new(1, Ink::Plain, call.operation.as_str()));
        }
        let none = if is_errand { "" } else { "(no model)" };
        let model = redaction.long(call.model.as_deref().unwrap_or(none));
        if !model.is_empty() {
            let most = width.map_or(LONG, |width| (width * 3 / 10).max(16));
            fields.push(Field::name(1, Ink::Bold, &model, most));
        }
        fields.extend(call.usage.map(tokens).into_iter().flatten());
        fields.extend(call.cost.map(|price| match price {
            // The provider goes on counting where nobody listens any more.
            Price::Known(cost) if call.cut => {
                Field::new(4, Ink::Plain, format!("≥{}", measure::dollars(cost)))
            }
            Price::Known(cost) => Field::new(4, Ink::Plain, measure::dollars(cost)),
            Price::Unknown => Field::new(4, Ink::Dim, "cost unknown"),
        }));
        fields.extend(call.first_token.map(|at| {
            let after = measure::duration(at.saturating_sub(call.began));
            Field::new(4, Ink::Plain, format!("ttft {after}"))
        }));
    }
    let target = format!("{} {}", exchange.method, exchange.path);
    let (rank, ink) = if call.is_some() { (7, Ink::Dim) } else { (1, Ink::Plain) };
    fields.push(Field::name(rank, ink, &redaction.long(&target), width.unwrap_or(usize::MAX)));
    fields.extend(exchange.upgrade.as_deref().map(|protocol| {
        let rank = if call.is_some() { 8 } else { 1 };
        let name =
            Field::name(rank, Ink::Magenta, &redaction.long(protocol), width.map_or(LONG, |width| width / 4));
        Field { least: None, ..name }
    }));
    fit(&mut fields, width);
    HeadLine(fields)
}

/// A head line that fits.
pub(crate) struct HeadLine(Vec<Field>);

impl HeadLine {
    pub(crate) fn draw(&self, colour: bool, out: &mut String) {
        for (at, field) in self.0.iter().enumerate() {
            if at > 0 {
                out.push_str(&"  "[..field.gap()]);
            }
            field.ink.draw(&field.text, colour, out);
        }
    }
}

/// When a call began, or the exchange if it is none.
pub(crate) fn began(cx: Cx<'_>, call: Option<&Shown>) -> Timestamp {
    let began = cx.exchange.began.checked_add(call.map_or(Duration::ZERO, |call| call.began));
    began.and_then(|began| Timestamp::try_from(began).ok()).unwrap_or_default()
}

fn local_time(began: Timestamp, zone: &TimeZone) -> String {
    zone.to_datetime(began).strftime("%H:%M:%S").to_string()
}

fn status(exchange: &Following) -> Field {
    let ink = match exchange.status {
        None | Some(500..) => Ink::Red,
        Some(400..) => Ink::Yellow,
        Some(300..) => Ink::Cyan,
        Some(200..) => Ink::Green,
        Some(_) => Ink::Magenta,
    };
    Field::new(0, ink, exchange.status.map_or("---".to_owned(), |status| status.to_string()))
}

fn tokens(usage: Usage) -> Vec<Field> {
    let some = |part: Option<u64>| part.filter(|tokens| *tokens > 0).map(measure::count);
    let mut fields = vec![Field::new(2, Ink::Plain, format!("{} in", measure::count(usage.input)))];
    if let Some(cached) = some(usage.cache_read) {
        fields.push(Field::new(5, Ink::Dim, format!("({cached} cached)")).joined());
    }
    fields.push(Field::new(3, Ink::Plain, format!("{} out", measure::count(usage.output))));
    if let Some(reasoning) = some(usage.reasoning) {
        fields.push(Field::new(6, Ink::Dim, format!("({reasoning} reasoning)")).joined());
    }
    fields
}

/// Makes the line fit: what matters least is cut, or goes.
fn fit(fields: &mut Vec<Field>, width: Option<usize>) {
    let Some(width) = width else { return };
    loop {
        let all: usize = fields.iter().skip(1).map(|field| field.gap() + field.cells()).sum::<usize>() + TIME;
        let over = all.saturating_sub(width);
        let least = fields.iter().enumerate().filter(|(_, field)| field.rank > 0);
        let Some((at, _)) = least.max_by_key(|(_, field)| field.rank).filter(|_| over > 0) else { return };
        let field = &mut fields[at];
        let room = field.cells().saturating_sub(over);
        match field.least.take() {
            Some(least) if room >= least => field.text = text::line(&field.text, Some(room)),
            _ => {
                fields.remove(at);
            }
        }
    }
}
