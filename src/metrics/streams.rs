//! How answers were streamed.

use super::text::{Label, Text, told};
use crate::scribe::tally::Tally;
use crate::scribe::tally::histogram::Histogram;
use crate::scribe::tally::streams::{Closer, Streamed};

type Times = (&'static str, &'static str, fn(&Streamed) -> &Histogram);

const TIMES: [Times; 3] = [
    (
        "perimeter_time_to_first_token_seconds",
        "From a call to the first thing that the model said, in streamed answers.",
        |streamed| &streamed.first_token,
    ),
    ("perimeter_stream_gap_seconds", "Gaps between the parts of streamed answers.", |streamed| {
        &streamed.gaps
    }),
    (
        "perimeter_stream_tokens_per_second",
        "Tokens a second, from the first to the last of a streamed answer.",
        |streamed| &streamed.rate,
    ),
];

pub(super) fn render(tally: &Tally, text: &mut Text) {
    const STALLS: &str = "perimeter_stream_stalls_total";
    const STALLED: &str = "perimeter_stream_stall_seconds_total";
    const CLOSED: &str = "perimeter_streams_total";
    let streams = tally.streams();
    let named =
        |model: &Option<_>| model.as_deref().or((tally.labels.model > 0).then_some("")).map(str::to_owned);
    let streams: Vec<_> = streams.iter().map(|(model, streamed)| (named(model), streamed)).collect();
    for (name, help, pick) in TIMES {
        text.family(name, "histogram", help);
        for (model, streamed) in &streams {
            text.histogram(name, &[of(model)], pick(streamed));
        }
    }
    text.family(STALLS, "counter", "Gaps of streamed answers that were longer than observe.stall_threshold.");
    for (model, streamed) in &streams {
        text.sample(STALLS, &told(&[of(model)]), streamed.stalls);
    }
    text.family(
        STALLED,
        "counter",
        "How long those were: the upstream was silent, or the client did not read.",
    );
    for (model, streamed) in &streams {
        for (by, stalled) in ["upstream", "client"].into_iter().zip(streamed.stalled) {
            text.sample(STALLED, &told(&[of(model), ("by", Some(by))]), stalled.as_secs_f64());
        }
    }
    text.family(CLOSED, "counter", "Streamed answers, by who closed them first.");
    for (model, streamed) in &streams {
        for (closer, count) in Closer::ALL.into_iter().zip(streamed.closed) {
            let labels = told(&[of(model), ("closed_first", Some(closer.as_str()))]);
            text.sample(CLOSED, &labels, count);
        }
    }
}

fn of(model: &Option<String>) -> Label<'_> {
    ("model", model.as_deref())
}
