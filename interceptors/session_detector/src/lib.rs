//! An index of sessions: which there were, who made them, what they came to. One JSON object a line, one line when a
//! session begins and one when it is over.
//!
//! The proxy says which calls are a session. Here it is only written down, with every line whole in itself: whoever
//! missed the first reads the second.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;
use perimeter_interceptor::{
    Call, Cx, Interceptor, Interest, LlmEvent, RequestHead, Result, SessionEnd, Upgrade,
};
use perimeter_recorder::lines::{Lines, WriteError};
use perimeter_recorder::{OpenError, line, time};
use perimeter_redact::redact;

pub mod record;
mod settings;

pub use settings::Settings;

use record::{Line, Start};

/// So many lines are held before they are written; they are written earlier whenever there is time.
const HELD: usize = 64;

/// So many sessions are remembered that have begun and are not over. Their ends come, unless a queue was full.
const BEGUN: NonZeroUsize = NonZeroUsize::MIN.saturating_add((1 << 20) - 1);

/// Keeps the index.
pub struct SessionDetector {
    lines: Lines,
    redacts: bool,
    /// The sessions whose beginning is the last that was written of them.
    begun: LruCache<Arc<str>, ()>,
}

impl std::fmt::Debug for SessionDetector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionDetector").field("begun", &self.begun.len()).finish_non_exhaustive()
    }
}

impl SessionDetector {
    /// Opens the file; makes it, and its directory, where they are not there yet.
    ///
    /// # Errors
    /// [`OpenError`], where that cannot be.
    pub fn new(settings: Settings) -> std::result::Result<Self, OpenError> {
        let path = settings.directory.join(&settings.filename);
        let lines = Lines::open(&path, settings.max_file_size, settings.backup_count, HELD)?;
        // It grows as it is filled: room for a million from the start would be a waste.
        let mut begun = LruCache::unbounded();
        begun.resize(BEGUN);
        Ok(Self { lines, redacts: settings.redact_credentials, begun })
    }

    fn write(&mut self, what: &Line<'_>) -> std::result::Result<(), WriteError> {
        let text = line::of(what);
        if self.redacts { self.lines.push(&redact(&text)) } else { self.lines.push(&text) }
    }

    fn call(&mut self, cx: Cx<'_>, since: Duration, call: &Call) -> std::result::Result<(), WriteError> {
        let session = &call.session;
        let goes_on = self.begun.put(Arc::clone(&session.id), ()).is_some();
        // A new one of a name that is known is another: the end of the earlier one was not told.
        if goes_on && !session.is_new {
            return Ok(());
        }
        let at = time::timestamp(time::after(cx.exchange.began, since));
        self.write(&Line::Start(Start::of(cx, call, at)))
    }
}

/// What is remembered of an exchange.
#[derive(Debug)]
pub struct Seen {
    /// Whether it is a socket, whose calls do not begin when it does.
    upgraded: bool,
}

impl Interceptor for SessionDetector {
    type State = Seen;

    fn interest(&self) -> Interest {
        Interest::LLM
    }

    fn on_request_head(&mut self, _: Cx<'_>, _: &RequestHead) -> Result<Option<Seen>> {
        Ok(Some(Seen { upgraded: false }))
    }

    fn on_upgrade(&mut self, _: Cx<'_>, seen: &mut Seen, _: &Upgrade) -> Result {
        seen.upgraded = true;
        Ok(())
    }

    fn on_llm(&mut self, cx: Cx<'_>, seen: &mut Seen, event: &LlmEvent) -> Result {
        if let LlmEvent::Call(call) = event {
            let since = if seen.upgraded { cx.elapsed } else { Duration::ZERO };
            self.call(cx, since, call)?;
        }
        Ok(())
    }

    fn on_session_end(&mut self, session: &SessionEnd) -> Result {
        self.begun.pop(&session.id);
        Ok(self.write(&Line::end(session))?)
    }

    fn on_idle(&mut self) -> Result {
        Ok(self.lines.flush()?)
    }

    fn on_shutdown(self) -> Result {
        Ok(self.lines.finish()?)
    }
}
