//! The sessions that the scribe holds, for whoever asks. They are the scribe's alone, without a lock: it is asked, and
//! answers when it gets to it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use perimeter_interceptor::SessionEnd;
use perimeter_session_detector::record::Summary;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::journal;

/// So many questions may wait. They are answered all at once.
const WAITING: usize = 64;

/// How long an answer is waited for: the scribe is woken for a question, unless it has very much to read.
const PATIENCE: Duration = Duration::from_secs(5);

/// A session that is held.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    /// What it came to so far.
    pub end: SessionEnd,
    /// How long it has been without a call, and without the end of one.
    pub quiet: Duration,
    /// Calls that are being answered.
    pub open: u32,
    /// Whether it counts as over: it is only remembered, in case that it goes on.
    pub over: bool,
}

impl Live {
    /// Its JSON.
    pub(crate) fn to_json(&self) -> String {
        let state = match self {
            Self { open: 1.., .. } => "answering",
            Self { over: true, .. } => "over",
            _ => "quiet",
        };
        let shown = Shown {
            summary: Summary::of(&self.end),
            state,
            quiet_ms: u64::try_from(self.quiet.as_millis()).unwrap_or(u64::MAX),
            open_calls: self.open,
        };
        serde_json::to_string(&shown).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    summary: Summary<'a>,
    state: &'static str,
    quiet_ms: u64,
    open_calls: u32,
}

/// Makes the two ends. Who answers is woken by `nudge`.
pub(crate) fn questions(nudge: journal::Nudge) -> (Asker, Questions) {
    let (questions, waiting) = sync_channel(WAITING);
    (Asker { questions, nudge: Arc::new(nudge) }, Questions(waiting))
}

struct Question {
    limit: usize,
    answer: oneshot::Sender<Held>,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error("too many ask at once")]
    TooMany,
    #[error("nobody watches any more: perimeter is stopping")]
    Gone,
    #[error("there is so much to read that nobody got to it within {} s", PATIENCE.as_secs())]
    Late,
}

/// What is held.
#[derive(Debug)]
pub(crate) struct Held {
    /// How many sessions.
    pub count: usize,
    sessions: Arc<[Live]>,
    limit: usize,
}

impl Held {
    /// The latest of them, as many as were asked for.
    pub(crate) fn latest(&self) -> &[Live] {
        self.sessions.get(..self.limit).unwrap_or(&self.sessions)
    }
}

/// The end that asks.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    questions: SyncSender<Question>,
    nudge: Arc<journal::Nudge>,
}

impl Asker {
    /// The sessions, the latest first, no more than `limit` of them.
    pub(crate) async fn ask(&self, limit: usize) -> Result<Held, Unanswered> {
        self.ask_within(limit, PATIENCE).await
    }

    async fn ask_within(&self, limit: usize, patience: Duration) -> Result<Held, Unanswered> {
        let (answer, answered) = oneshot::channel();
        self.questions.try_send(Question { limit, answer }).map_err(|error| match error {
            TrySendError::Full(_) => Unanswered::TooMany,
            TrySendError::Disconnected(_) => Unanswered::Gone,
        })?;
        self.nudge.nudge();
        match tokio::time::timeout(patience, answered).await {
            Ok(Ok(held)) => Ok(held),
            Ok(Err(_)) => Err(Unanswered::Gone),
            Err(_) => Err(Unanswered::Late),
        }
    }
}

/// The end that is asked.
pub(crate) struct Questions(Receiver<Question>);

impl Questions {
    /// Answers all that wait with one `look` for as many sessions as anybody wants, which also says how many there are.
    pub(crate) fn answer(&self, look: impl FnOnce(usize) -> (usize, Vec<Live>)) {
        // Who does not wait any more gets no work done.
        let waiting: Vec<_> =
            self.0.try_iter().take(WAITING).filter(|question| !question.answer.is_closed()).collect();
        let Some(most) = waiting.iter().map(|question| question.limit).max() else { return };
        let (count, sessions) = look(most);
        let sessions: Arc<[Live]> = sessions.into();
        for Question { limit, answer } in waiting {
            // It may have gone by now.
            let _ = answer.send(Held { count, sessions: sessions.clone(), limit });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn live(id: &str) -> Live {
        let end = SessionEnd::new(id, 1, Duration::from_secs(1));
        Live { end, quiet: Duration::from_millis(1_500), open: 0, over: false }
    }

    fn ends() -> (Asker, Questions) {
        let (_, reader) = crate::queue::bounded(0, Arc::new(crate::memory::Memory::new(0)));
        questions(reader.nudge())
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    }

    #[test]
    fn its_state_is_that_of_its_calls_first() {
        let state = |open, over| {
            let json: Value = serde_json::from_str(&Live { open, over, ..live("a") }.to_json()).unwrap();
            assert_eq!((&json["session_id"], &json["quiet_ms"]), (&"a".into(), &1_500.into()));
            (json["state"].as_str().unwrap().to_owned(), json["open_calls"].as_u64().unwrap())
        };
        assert_eq!(state(0, false), ("quiet".to_owned(), 0));
        assert_eq!(state(0, true), ("over".to_owned(), 0));
        assert_eq!(state(2, false), ("answering".to_owned(), 2));
        assert_eq!(state(1, true), ("answering".to_owned(), 1));
    }

    #[test]
    fn who_asks_at_once_is_answered_by_one_look_with_as_much_as_each_wants() {
        let (asker, questions) = ends();
        let held = runtime().block_on(async {
            let answer = async {
                tokio::task::yield_now().await;
                let mut looks = 0;
                questions.answer(|limit| {
                    looks += 1;
                    (7, (0..limit).map(|number| live(&number.to_string())).collect())
                });
                questions.answer(|_| unreachable!("nobody waits"));
                assert_eq!(looks, 1);
            };
            tokio::join!(asker.ask(3), asker.ask(1), answer)
        });
        let ids = |held: Result<Held, Unanswered>| -> Vec<String> {
            let held = held.unwrap();
            assert_eq!(held.count, 7);
            held.latest().iter().map(|live| live.end.id.to_string()).collect()
        };
        assert_eq!((ids(held.0), ids(held.1)), (vec!["0".into(), "1".into(), "2".into()], vec!["0".into()]));
    }

    #[test]
    fn nobody_waits_for_ever() {
        let (asker, questions) = ends();
        let (late, too_many) = runtime().block_on(async {
            let late = asker.ask_within(1, Duration::ZERO).await.unwrap_err();
            let mut all = Vec::new();
            for _ in 1..WAITING {
                let (answer, waits) = oneshot::channel();
                asker.questions.try_send(Question { limit: 1, answer }).unwrap();
                all.push(waits);
            }
            (late, asker.ask(1).await.unwrap_err())
        });
        assert_eq!((late, too_many), (Unanswered::Late, Unanswered::TooMany));
        // They have all left: no look is worth its while.
        questions.answer(|_| unreachable!());
        drop(questions);
        assert_eq!(runtime().block_on(asker.ask(1)).unwrap_err(), Unanswered::Gone);
    }
}
