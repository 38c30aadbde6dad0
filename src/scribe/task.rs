//! The scribe's thread: batches in, parcels out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::Scribe;
use super::live::Questions;
use super::tally::Tally;
use crate::crew::Crew;
use crate::journal::{self, between};
use crate::queue::Taken;

/// How often the scribe looks at the time, and interceptors may write out what they hold.
pub(crate) const BEAT: Duration = Duration::from_millis(250);

/// How often where nothing has come for [`LONG`]: each time wakes a machine that may want to sleep.
const SLOW_BEAT: Duration = Duration::from_secs(1);

/// Longer than what is commonly held back by time.
const LONG: Duration = Duration::from_secs(10);

/// How often where nothing has come since `last`.
pub(crate) fn beat_since(last: Instant) -> Duration {
    if last.elapsed() < LONG { BEAT } else { SLOW_BEAT }
}

/// How often it does where many sessions are over: each time it lets some of them go, and reads on.
const SHORT_BEAT: Duration = Duration::from_millis(25);

/// Parcels go out after so many records of a large batch.
const POST_AFTER: usize = 1024;

/// Memory is given back to the journal when so much has been read, bytes.
const RELEASE_AFTER: usize = 64 * 1024;

/// Reads the journal to its end, answers questions meanwhile, then lets the crew go. Blocks.
pub(crate) fn run(
    mut journal: journal::Reader,
    mut scribe: Scribe,
    mut crew: Crew,
    questions: &Questions,
    tally: &Arc<Tally>,
) {
    let mut batch = Vec::new();
    let (mut ticked, mut beat, mut came) = (Instant::now(), BEAT, Instant::now());
    loop {
        match journal.take(&mut batch, beat.saturating_sub(ticked.elapsed())) {
            Taken::Some => {
                (came, beat) = (Instant::now(), beat.min(BEAT));
                scribe.set_clock((Instant::now(), SystemTime::now()));
                read(&mut batch, &journal, &mut scribe, &mut crew, tally);
            }
            Taken::Nothing => tally.read(0, Duration::ZERO),
            Taken::Closed => break,
        }
        if ticked.elapsed() >= beat {
            ticked = Instant::now();
            let is_more = scribe.tick(ticked, &mut |notice| crew.tell(&notice));
            beat = if is_more { SHORT_BEAT } else { beat_since(came) };
            crew.post();
        }
        questions.answer(|limit| (scribe.held(), scribe.live(Instant::now(), limit)));
    }
    scribe.close(Instant::now(), &mut |notice| crew.tell_at_last(&notice));
    crew.post();
}

fn read(
    batch: &mut Vec<journal::Record>,
    journal: &journal::Reader,
    scribe: &mut Scribe,
    crew: &mut Crew,
    tally: &Arc<Tally>,
) {
    let now = Instant::now();
    let lag = batch.first().map_or(Duration::ZERO, |record| between(record.at, now));
    tally.read(batch.len() as u64, lag);
    let mut read = 0;
    for (number, record) in batch.drain(..).enumerate() {
        read += record.weight();
        let exchange = record.exchange;
        let told = catch_unwind(AssertUnwindSafe(|| {
            scribe.ingest(record, &mut |notice| crew.tell(&notice));
        }));
        if told.is_err() {
            // A fault of ours: that exchange is not read any more, all others are.
            tracing::error!("reading an exchange panicked; it is told without its meaning");
            tally.panicked();
            scribe.give_up(exchange);
        }
        if read > RELEASE_AFTER {
            journal.release(std::mem::take(&mut read));
        }
        if number % POST_AFTER == POST_AFTER - 1 {
            crew.post();
        }
    }
    journal.release(read);
    crew.post();
    // A burst leaves its room behind.
    if batch.capacity() > 64 * 1024 {
        batch.shrink_to(1024);
    }
}
