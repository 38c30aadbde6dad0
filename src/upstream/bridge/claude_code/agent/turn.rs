//! A turn of a session: the CLI goes on where it was, with what is new, in the session's project.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::cli::Cli;
use super::super::fault::broken_off;
use super::endpoints::fresh;
use super::running::Turn;
use super::said::{Said, transcribe};
use super::store::now;
use super::store::sessions::{self, Answered, Session, Speaker, Thread};
use super::{Agent, uuid, workspace};
use crate::upstream::bridge::ask::{Effort, Format};
use crate::upstream::bridge::event::{Event, Left};
use crate::upstream::bridge::{Ask, Failure, Kind, Out};

mod run;

use run::{Bill, Ended, Going, Telling};

/// What is told again to a CLI that has lost a session. Bytes.
const HISTORY: usize = 1024 * 1024;

/// How the CLI is started, as the rest of the backend knows it.
#[derive(Debug)]
pub(in super::super) struct Launch {
    /// The CLI on this machine.
    pub cli: Arc<Cli>,
    /// The model, by the CLI's name for it.
    pub model: String,
    /// How often it asks again where Anthropic fails.
    pub retries: u32,
    /// How long it may take to start.
    pub start: Duration,
    /// How long it may say nothing.
    pub idle: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// A session that is taken for this turn.
struct Taken {
    session: Session,
    /// The model that is asked.
    model: String,
    /// The project's directory.
    project: PathBuf,
    turn: Turn,
    /// Whose it is, if it was made for this turn.
    made_for: Option<String>,
}

/// Looks at a request before it waits for its turn.
///
/// # Errors
/// Where it asks for what an agent cannot do.
pub(in super::super) fn check(ask: &mut Ask, lenient: bool) -> Result<(), Failure> {
    if !ask.tools.is_empty() {
        let message = "an agent uses its own tools, and none of a client's: ask a model of mode llm for that";
        return Err(Failure::unsupported("tools", message));
    }
    let unmet = [("response_format", !matches!(ask.format, Format::Text)), ("stop", !ask.stop.is_empty())];
    for (name, _) in unmet.into_iter().filter(|(_, asked)| *asked) {
        if !lenient {
            return Err(Failure::unsupported(name, format!("{name} cannot be honoured by an agent")));
        }
        ask.warnings.dropped(name);
    }
    if ask.max_tokens.is_some() {
        ask.warnings.dropped("max_tokens");
    }
    let said = Said::read(ask)?;
    if ask.session.is_some() && !said.before.is_empty() {
        ask.warnings.add("the session has its own history");
    } else if said.incomplete {
        ask.warnings.add("only text of earlier turns is kept");
    }
    Ok(())
}

impl Agent {
    /// Answers `ask` at `out`, in its session or in a new one.
    ///
    /// # Errors
    /// Where there is no answer, or no more of it.
    pub(in super::super) async fn answer(
        self: Arc<Self>,
        ask: Ask,
        launch: Launch,
        out: Out,
        tasks: TaskTracker,
    ) -> Result<(), Failure> {
        // A client that leaves stops the turn; what has been said and paid for by then is kept all the same.
        let left = CancellationToken::new();
        let turn = tasks.spawn(self.turn(ask, launch, out, left.clone()));
        let _leaves = left.drop_guard();
        turn.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a turn of an agent fell over");
            Err(broken_off())
        })
    }

    async fn turn(
        self: Arc<Self>,
        ask: Ask,
        launch: Launch,
        out: Out,
        left: CancellationToken,
    ) -> Result<(), Failure> {
        let said = Said::read(&ask)?;
        let taken = self.take(&ask, &said, &left).await?;
        let made = taken.made_for.clone().map(|owner| (owner, taken.session.id.clone()));
        let ended = self.converse(ask.effort, launch, out, &said, taken).await;
        if let (Err(_), Some((owner, id))) = (&ended, made) {
            // Nothing was said in it, and nobody has heard of it.
            let forget = move |store: &_| Ok::<_, Failure>(sessions::remove_unsaid(store, &owner, &id)?);
            // Where the store does not work, that is why it ended, and what is told.
            let _left = self.store.run(forget).await;
        }
        ended
    }

    /// The turn of a session that is taken for it.
    async fn converse(
        &self,
        effort: Option<Effort>,
        launch: Launch,
        out: Out,
        said: &Said,
        taken: Taken,
    ) -> Result<(), Failure> {
        self.measure(&taken).await?;
        self.charge(&taken.session)?;
        let history = self.history(&taken.session, said).await?;
        let known = self.thread(&taken.session);
        let is_known = known.is_some();
        let thread = match known {
            Some(thread) => thread,
            None => self.thread_of(&taken, &history).await?,
        };
        let new = self.begin(&taken, &thread, said).await?;
        let mut telling = Telling::new(out);
        let going = Going { launch: &launch, effort, taken: &taken, said };
        let mut ended = match telling.head(&taken).await {
            Ok(()) => self.run(&going, &thread, is_known, &mut telling).await,
            Err(Left) => Ok(Ended::Stopped),
        };
        let mut spent = if is_known { taken.session.thread.cost } else { 0.0 };
        if matches!(ended, Ok(Ended::Lost)) {
            tracing::warn!(
                session = taken.session.id,
                "the CLI has lost a session: it is told the history again"
            );
            let thread = self.thread_of(&taken, &history).await?;
            self.rethread(&taken, &thread).await?;
            spent = 0.0;
            ended = self.run(&going, &thread, false, &mut telling).await;
        }
        self.settle(taken, telling, ended, (spent, new)).await
    }

    /// Refuses a session that has spent its money.
    fn charge(&self, session: &Session) -> Result<(), Failure> {
        match self.settings.max_cost {
            Some(most) if session.total_cost >= most => {
                let message = format!("the session has cost {:.2} USD, of {most:.2}", session.total_cost);
                Err(Failure::new(Kind::Quota, message))
            }
            _ => Ok(()),
        }
    }

    /// Finds or makes the session, and takes it.
    async fn take(
        self: &Arc<Self>,
        ask: &Ask,
        said: &Said,
        left: &CancellationToken,
    ) -> Result<Taken, Failure> {
        let owner = ask.caller.id().to_owned();
        let (session, turn) = match &ask.session {
            Some(id) => {
                let known = self.session(owner.clone(), id.clone()).await?;
                let turn = self.running.take(&known.id, &owner, left)?;
                // As it is now that nobody else changes it.
                (self.session(owner.clone(), id.clone()).await?, turn)
            }
            None => self.enter(ask, said, &owner, left).await?,
        };
        if ask.project.as_ref().is_some_and(|project| *project != session.project_id) {
            let message = format!("the session is of project {}", session.project_id);
            return Err(Failure::invalid("project_id", message));
        }
        let project = self.project(owner, session.project_id.clone()).await?;
        let made_for = ask.session.is_none().then(|| ask.caller.id().to_owned());
        Ok(Taken { session, model: ask.id.clone(), project: project.path.into(), turn, made_for })
    }

    /// A new session, in the project that is asked for or in the caller's own.
    async fn enter(
        self: &Arc<Self>,
        ask: &Ask,
        said: &Said,
        owner: &str,
        left: &CancellationToken,
    ) -> Result<(Session, Turn), Failure> {
        self.expire().await?;
        let project = match &ask.project {
            Some(id) => self.project(owner.to_owned(), id.clone()).await?,
            None => self.default_project(owner.to_owned()).await?,
        };
        let system = (!said.system.is_empty()).then(|| said.system.clone());
        let session = fresh(project.id, None, ask.id.clone(), system)?;
        let turn = self.running.take(&session.id, owner, left)?;
        let (owner, added) = (owner.to_owned(), session.clone());
        self.store.run(move |store| Ok::<_, Failure>(sessions::add(store, &owner, &added)?)).await?;
        Ok((session, turn))
    }

    async fn expire(&self) -> Result<(), Failure> {
        let ttl = i64::try_from(self.settings.session_ttl.as_millis()).unwrap_or(i64::MAX);
        let (before, busy) = (now().saturating_sub(ttl), self.running.all());
        let gone = self.store.run(move |store| Ok::<_, Failure>(sessions::expire(store, before, &busy)?));
        for (session, thread) in gone.await? {
            self.forget(&session, thread.as_deref());
        }
        Ok(())
    }

    /// Looks whether the project is where it was, and not too large.
    async fn measure(&self, taken: &Taken) -> Result<(), Failure> {
        let (workspace, place, most) =
            (self.workspace.clone(), taken.project.clone(), self.settings.project_size);
        let look = move || {
            workspace.check(&place)?;
            if workspace::size(&place, most) > most {
                let message =
                    format!("the project's directory holds more than {most} bytes: make room there");
                return Err(Failure {
                    param: Some("project_id".into()),
                    ..Failure::new(Kind::Quota, message)
                });
            }
            Ok(())
        };
        let gone = |_| Failure::new(Kind::Unavailable, "the project could not be looked at");
        tokio::task::spawn_blocking(look).await.map_err(gone)?
    }

    /// Where the CLI can go on: what it knows of the session is what was said.
    fn thread(&self, session: &Session) -> Option<Thread> {
        let thread = Thread { open: false, ..session.thread.clone() };
        let id = thread.id.as_ref()?;
        let there = !thread.seeded || self.transcript(&session.id, id).exists();
        (there && !session.thread.open).then_some(thread)
    }

    /// What was said before this turn.
    async fn history(&self, session: &Session, said: &Said) -> Result<Vec<(Speaker, String)>, Failure> {
        if session.message_count == 0 {
            return Ok(said.before.clone());
        }
        let id = session.id.clone();
        self.store.run(move |store| Ok::<_, Failure>(sessions::history(store, &id, HISTORY)?)).await
    }

    /// A new thread that begins with what was said so far.
    async fn thread_of(&self, taken: &Taken, history: &[(Speaker, String)]) -> Result<Thread, Failure> {
        if let Some(old) = &taken.session.thread.id {
            self.forget_thread(&taken.session.id, old);
        }
        let id = uuid()?;
        let seeded = !history.is_empty();
        if seeded {
            let path = self.transcript(&taken.session.id, &id);
            let (name, project, history) = (id.clone(), taken.project.clone(), history.to_vec());
            let write = move || transcribe(&path, &name, &project, &history);
            let gone = |_| Failure::new(Kind::Unavailable, "the session's history was not written");
            tokio::task::spawn_blocking(write).await.map_err(gone)?.map_err(|error| {
                tracing::error!(%error, "a transcript cannot be written");
                Failure::new(Kind::Unavailable, "the session's history cannot be written: see the log")
            })?;
        }
        Ok(Thread { id: Some(id), seeded, open: false, cost: 0.0 })
    }

    /// From here on the session is open: should the turn not end well, the CLI is told the history again.
    /// Says how many messages were added.
    async fn begin(&self, taken: &Taken, thread: &Thread, said: &Said) -> Result<usize, Failure> {
        let mut new = if taken.session.message_count == 0 { said.before.clone() } else { Vec::new() };
        new.push((Speaker::User, said.words.clone()));
        let count = new.len();
        let (id, model, thread) = (taken.session.id.clone(), taken.model.clone(), thread.clone());
        let work = move |store: &_| Ok::<_, Failure>(sessions::begin(store, &id, &model, &thread, &new)?);
        self.store.run(work).await?;
        Ok(count)
    }

    async fn rethread(&self, taken: &Taken, thread: &Thread) -> Result<(), Failure> {
        let (id, model, thread) = (taken.session.id.clone(), taken.model.clone(), thread.clone());
        let work = move |store: &_| Ok::<_, Failure>(sessions::begin(store, &id, &model, &thread, &[])?);
        self.store.run(work).await
    }

    /// Keeps what was answered, and says how the turn ended.
    async fn settle(
        &self,
        taken: Taken,
        telling: Telling,
        ended: Result<Ended, Failure>,
        (spent, new): (f64, usize),
    ) -> Result<(), Failure> {
        let mut answered = Answered { text: telling.text, ..Answered::default() };
        if let Some(Bill { cost, usage }) = telling.bill {
            answered.cost = if cost >= spent { cost - spent } else { cost };
            answered.thread_cost = cost;
            (answered.input, answered.output) = (usage.prompt(), usage.output);
        }
        let (done, failure) = match ended {
            Ok(Ended::Well(mut done, whole)) => {
                answered.whole = whole;
                done.cost = done.cost.map(|_| answered.cost);
                (Some(done), None)
            }
            Ok(Ended::Stopped) => (None, Some(Failure::new(Kind::Upstream, "the session was told to stop"))),
            Ok(Ended::Lost) => {
                (None, Some(Failure::new(Kind::Upstream, "the CLI does not know the session")))
            }
            Err(failure) => (None, Some(failure)),
        };
        let id = taken.session.id.clone();
        let in_vain = done.is_none() && answered.text.is_empty();
        let made_for = taken.made_for.clone().filter(|_| in_vain);
        if made_for.is_some() {
            self.forget(&id, None);
        }
        let keep = move |store: &_| {
            // Nobody has heard of it.
            if let Some(owner) = made_for {
                return Ok::<_, Failure>(sessions::remove(store, &owner, &id).map(drop)?);
            }
            if in_vain {
                sessions::take_back(store, &id, new)?;
            }
            Ok::<_, Failure>(sessions::end(store, &id, &answered)?)
        };
        self.store.run(keep).await?;
        // Whoever hears that it is over may ask again at once.
        drop(taken);
        match (done, failure) {
            (Some(done), _) => {
                let _left = telling.out.say(Event::Done(done)).await;
                Ok(())
            }
            (None, failure) => Err(failure.unwrap_or_else(broken_off)),
        }
    }
}
