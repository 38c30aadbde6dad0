//! The requests and responses of the models' APIs, one JSON object a line.
//!
//! A request is a line when it has been read, its answer a line when that is over; `exchange_id` joins them. Every
//! request line has its answer: a response, whole or not, or an error. Nothing is kept of an exchange but what joins
//! the one to the other.

use std::borrow::Cow;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use perimeter_interceptor::{
    ApiFailure, Call, CallId, Completion, Cx, End, Failure, Interceptor, Interest, LlmEvent, Operation,
    RequestHead, ResponseHead, Result, Session, Upgrade,
};
use perimeter_redact::redact;

use crate::ending::Ending;
use crate::file::OpenError;
use crate::history::Histories;
use crate::line::of_json as line_of_json;
use crate::lines::{Lines, WriteError};

mod line;
mod read;
mod settings;
mod system_prompt;
mod write;

pub use settings::Settings;

use line::{ApiError, Body, Direction, Line, Logged, Metadata, Rest};
use read::Read;

/// Writes the log.
pub struct MessageLogger {
    settings: Settings,
    lines: Lines,
    histories: Histories,
}

impl std::fmt::Debug for MessageLogger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MessageLogger").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl MessageLogger {
    /// Opens the file; makes it, and its directory, where they are not there yet.
    ///
    /// # Errors
    /// [`OpenError`], where that cannot be.
    pub fn new(settings: Settings) -> std::result::Result<Self, OpenError> {
        let path = settings.directory.join(&settings.filename);
        let Settings { max_file_size, backup_count, buffer_size, .. } = settings;
        let lines = Lines::open(&path, max_file_size, backup_count, buffer_size)?;
        Ok(Self { settings, lines, histories: Histories::default() })
    }

    fn write(&mut self, mut line: Line<'_>) -> std::result::Result<(), WriteError> {
        if !self.settings.include_metadata {
            line.rest.metadata = None;
        }
        if let Some(metadata) = &mut line.rest.metadata {
            metadata.call = (line.call.0 > 0).then_some(line.call.0);
        }
        if let Some((_, Logged::Read(body))) = &line.body {
            let (around, half) = line.around();
            return self.write_around(around, half, body);
        }
        let text = line.to_text();
        if self.settings.redact_credentials {
            self.lines.push(&redact(&text))
        } else {
            self.lines.push(&text)
        }
    }

    /// Writes a line whose body has been read, between the two halves of what stands around it.
    fn write_around(
        &mut self,
        around: Vec<u8>,
        half: usize,
        body: &Read<'_>,
    ) -> std::result::Result<(), WriteError> {
        let around = line_of_json(around);
        let (start, rest) = around.split_at_checked(half).unwrap_or((&around, ""));
        // All that is said here is said in strings, so that nothing is found across the middle. One look is cheaper than
        // two, and there is hardly ever anything to find.
        let is_clean = !self.settings.redact_credentials || matches!(redact(&around), Cow::Borrowed(_));
        let [start, rest] =
            [start, rest].map(|half| if is_clean { Cow::Borrowed(half) } else { redact(half) });
        let parts: Vec<_> =
            iter::once(start.as_bytes()).chain(body.parts()).chain([rest.as_bytes()]).collect();
        self.lines.push_parts(&parts)
    }
}

/// What is remembered of an exchange.
#[derive(Debug)]
pub struct Seen {
    method: Method,
    path: String,
    status: Option<u16>,
    upgraded: bool,
    failed: bool,
    /// Calls that have no answer yet.
    open: Vec<Open>,
}

/// A call that was written and has no answer yet.
#[derive(Debug)]
struct Open {
    call: CallId,
    session: Arc<Session>,
    model: Option<Arc<str>>,
    dialect: &'static str,
    since: Duration,
    /// What had been said when the answer broke off. Why it did is known at the end.
    cut: Option<(Duration, Arc<Completion>)>,
}

impl Seen {
    fn take(&mut self, call: CallId) -> Option<Open> {
        let at = self.open.iter().position(|open| open.call == call)?;
        Some(self.open.swap_remove(at))
    }
}

impl Interceptor for MessageLogger {
    type State = Seen;

    fn interest(&self) -> Interest {
        Interest::LLM
    }

    fn on_request_head(&mut self, _: Cx<'_>, head: &RequestHead) -> Result<Option<Seen>> {
        Ok(Some(Seen {
            method: head.method.clone(),
            path: head.uri.path().to_owned(),
            status: None,
            upgraded: false,
            failed: false,
            open: Vec::new(),
        }))
    }

    fn on_response_head(&mut self, _: Cx<'_>, seen: &mut Seen, head: &ResponseHead) -> Result {
        seen.status = Some(head.status.as_u16());
        Ok(())
    }

    fn on_upgrade(&mut self, _: Cx<'_>, seen: &mut Seen, _: &Upgrade) -> Result {
        seen.upgraded = true;
        Ok(())
    }

    fn on_llm(&mut self, cx: Cx<'_>, seen: &mut Seen, event: &LlmEvent) -> Result {
        match event {
            LlmEvent::Call(call) => self.call(cx, seen, call)?,
            LlmEvent::Completion(completion) => {
                if let Some(open) = seen.take(completion.call) {
                    self.completion(cx, seen, &open, completion)?;
                }
            }
            LlmEvent::Cut(completion) => {
                if let Some(open) = seen.open.iter_mut().find(|open| open.call == completion.call) {
                    open.cut = Some((cx.elapsed, Arc::clone(completion)));
                }
            }
            LlmEvent::Failure(failure) => {
                if let Some(open) = seen.take(failure.call) {
                    self.api_failure(cx, &open, failure)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn on_failure(&mut self, cx: Cx<'_>, seen: &mut Seen, failure: &Failure) -> Result {
        seen.failed = true;
        let ending = Ending { code: &failure.code, message: &failure.message, unseen: 0 };
        let open = std::mem::take(&mut seen.open);
        if open.is_empty() {
            return Ok(self.error(cx, seen, None, &ending)?);
        }
        // An error says that lines wait, not that they are lost: the others are written all the same.
        let mut written = Ok(());
        for open in &open {
            written = written.and(self.error(cx, seen, Some(open), &ending));
        }
        Ok(written?)
    }

    fn on_end(&mut self, cx: Cx<'_>, mut seen: Seen, end: &End) -> Result {
        let ending = Ending::of(end);
        let mut written = Ok(());
        for open in std::mem::take(&mut seen.open) {
            written = written.and(match &open.cut {
                Some((elapsed, said)) => self.cut(cx, &seen, &open, *elapsed, said, &ending),
                None => self.error(cx, &seen, Some(&open), &ending),
            });
        }
        Ok(written?)
    }

    fn on_idle(&mut self) -> Result {
        Ok(self.lines.flush()?)
    }

    fn on_shutdown(self) -> Result {
        Ok(self.lines.finish()?)
    }
}

impl MessageLogger {
    fn call(&mut self, cx: Cx<'_>, seen: &mut Seen, call: &Call) -> std::result::Result<(), WriteError> {
        let open = Open {
            call: call.id,
            session: Arc::clone(&call.session),
            model: call.model.clone(),
            dialect: call.dialect,
            since: if seen.upgraded { cx.elapsed } else { Duration::ZERO },
            cut: None,
        };
        let request = self.request(call);
        // A body that was not kept, such as a form's, or that there never was, is not one that was cut.
        let partial = call.partial || matches!(request, Logged::Null) && !call.body.is_empty();
        let line = Line::of(cx, cx.elapsed, Direction::Request).in_call(&open).with("request", request);
        let line = Line {
            rest: Rest {
                metadata: Some(Metadata {
                    path: Some(&seen.path),
                    method: Some(seen.method.as_str()),
                    is_streaming: Some(call.streaming),
                    operation: (call.operation != Operation::Chat).then(|| call.operation.as_str()),
                    partial: partial.then_some(true),
                    ..Metadata::default()
                }),
                ..line.rest
            },
            ..line
        };
        let written = self.write(line);
        if !seen.failed {
            // Only a socket has more than one.
            seen.open.reserve_exact(1);
            seen.open.push(open);
        }
        written
    }

    fn completion(
        &mut self,
        cx: Cx<'_>,
        seen: &Seen,
        open: &Open,
        completion: &Completion,
    ) -> std::result::Result<(), WriteError> {
        let response = self.response(&completion.body);
        let line = Line::of(cx, cx.elapsed, Direction::Response).in_call(open).with("response", response);
        self.write(Line {
            rest: Rest {
                metadata: Some(Metadata {
                    status_code: seen.status,
                    ..Metadata::lasting(cx.elapsed.saturating_sub(open.since))
                }),
                ..line.rest
            },
            ..line
        })
    }

    fn cut(
        &mut self,
        cx: Cx<'_>,
        seen: &Seen,
        open: &Open,
        elapsed: Duration,
        said: &Completion,
        ending: &Ending<'_>,
    ) -> std::result::Result<(), WriteError> {
        let response = self.response(&said.body);
        let line = Line::of(cx, elapsed, Direction::Response).in_call(open).with("response", response);
        self.write(Line {
            rest: Rest {
                metadata: Some(Metadata {
                    status_code: seen.status,
                    complete: Some(false),
                    ended_by: Some(ending.code),
                    unseen_bytes: ending.unseen_bytes(),
                    ..Metadata::lasting(elapsed.saturating_sub(open.since))
                }),
                ..line.rest
            },
            ..line
        })
    }

    /// The provider's error. What had been said before it is the response, where something had.
    fn api_failure(
        &mut self,
        cx: Cx<'_>,
        open: &Open,
        failure: &ApiFailure,
    ) -> std::result::Result<(), WriteError> {
        let body = open.cut.as_ref().map_or(&failure.body, |(_, said)| &said.body);
        let response = self.response(body);
        let line = Line::of(cx, cx.elapsed, Direction::Response).in_call(open).with("response", response);
        self.write(Line {
            rest: Rest {
                error: Some(ApiError { kind: failure.kind.as_deref(), message: &failure.message }),
                metadata: Some(Metadata {
                    status_code: Some(failure.status),
                    complete: open.cut.is_some().then_some(false),
                    ..Metadata::lasting(cx.elapsed.saturating_sub(open.since))
                }),
                ..line.rest
            },
            ..line
        })
    }

    fn error(
        &mut self,
        cx: Cx<'_>,
        seen: &Seen,
        open: Option<&Open>,
        ending: &Ending<'_>,
    ) -> std::result::Result<(), WriteError> {
        let mut line = Line::of(cx, cx.elapsed, Direction::Error);
        if let Some(open) = open {
            line = line.in_call(open);
        }
        self.write(Line {
            rest: Rest {
                error_type: Some(ending.code),
                error_message: Some(ending.message),
                metadata: Some(Metadata {
                    path: Some(&seen.path),
                    method: Some(seen.method.as_str()),
                    status_code: seen.status.filter(|_| !seen.failed),
                    unseen_bytes: ending.unseen_bytes(),
                    ..Metadata::default()
                }),
                ..line.rest
            },
            ..line
        })
    }

    /// A request's body, never half of it.
    fn request<'a>(&mut self, call: &'a Call) -> Logged<'a> {
        if !self.settings.include_system_prompts {
            return Body::of(&call.body).without(system_prompt::take_out_of_request).or_null();
        }
        let redacts = self.settings.redact_credentials;
        match Read::request(&mut self.histories, call, redacts) {
            Some(read) => Logged::Read(read),
            None => Body::of(&call.body).or_null(),
        }
    }

    fn response<'a>(&self, body: &'a [u8]) -> Logged<'a> {
        if !self.settings.include_system_prompts {
            return Body::of(body).without(system_prompt::take_out_of_response).or_raw();
        }
        match Read::response(body, self.settings.redact_credentials) {
            Some(read) => Logged::Read(read),
            None => Body::of(body).or_raw(),
        }
    }
}

#[cfg(test)]
mod tests;
