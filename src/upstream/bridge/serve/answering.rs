//! An answer on its way to its client: as it comes, or as a whole.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http_body::Frame;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::{X_CONVERSATION, X_COST, X_PROJECT, X_SESSION, X_WARNINGS, insert};
use crate::body::Body;
use crate::upstream::bridge::ask::Warnings;
use crate::upstream::bridge::door::Writer;
use crate::upstream::bridge::event::{Answer, Event, Head};
use crate::upstream::bridge::{Failure, Kind, Later};

/// An answer that is being given.
pub(super) struct Answering {
    pub(super) events: mpsc::Receiver<Event>,
    /// What says the events, until it is done.
    pub(super) work: Option<Later<Result<(), Failure>>>,
    /// What it ended with, while there are still events from before.
    pub(super) failure: Option<Failure>,
    pub(super) warnings: Warnings,
    pub(super) head: Head,
}

impl Answering {
    /// The next event. After [`Event::Done`] there is none.
    pub(super) async fn next(&mut self) -> Result<Event, Failure> {
        loop {
            let event = match &mut self.work {
                Some(work) => tokio::select! {
                    biased;
                    event = self.events.recv() => event,
                    ended = work => {
                        self.failure = ended.err();
                        self.work = None;
                        continue;
                    }
                },
                None => self.events.recv().await,
            };
            match event {
                Some(Event::Head(head)) => {
                    self.head = head.clone();
                    return Ok(Event::Head(head));
                }
                Some(Event::Warning(warning)) => {
                    self.warnings.add(warning.clone());
                    return Ok(Event::Warning(warning));
                }
                Some(event) => return Ok(event),
                None => {
                    if let Some(work) = self.work.take() {
                        self.failure = work.await.err();
                    }
                    let broke_off =
                        || Failure::new(Kind::Upstream, "the answer ended before it was complete");
                    return Err(self.failure.take().unwrap_or_else(broke_off));
                }
            }
        }
    }

    /// What the response's head can say by now.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        insert(headers, X_WARNINGS, self.warnings.header());
        insert(headers, X_CONVERSATION, self.head.conversation.clone());
        insert(headers, X_SESSION, self.head.session.clone());
        insert(headers, X_PROJECT, self.head.project.clone());
        headers.extend(self.head.headers.iter().cloned());
    }
}

/// Writes an answer as it comes.
pub(super) struct Pump {
    pub(super) answering: Answering,
    pub(super) writer: Box<dyn Writer>,
    pub(super) bytes: mpsc::Sender<Bytes>,
    pub(super) heartbeat: Duration,
    /// When the client was last told anything.
    pub(super) spoke: Instant,
}

impl Pump {
    pub(super) async fn run(mut self, first: Vec<Event>) -> Result<(), mpsc::error::SendError<Bytes>> {
        for event in first {
            if self.write(&event).await? {
                return Ok(());
            }
        }
        loop {
            // Since the client has heard anything: not every event is a word to it.
            let next = tokio::time::timeout_at(self.spoke + self.heartbeat, self.answering.next()).await;
            match next {
                Ok(Ok(event)) => {
                    if self.write(&event).await? {
                        return Ok(());
                    }
                }
                Ok(Err(failure)) => {
                    tracing::warn!(code = failure.kind.code(), error = %failure, "an answer broke off");
                    let mut to = Vec::new();
                    self.writer.failed(&failure, &mut to);
                    return self.bytes.send(to.into()).await;
                }
                Err(_) => {
                    self.write(&Event::Alive).await?;
                }
            }
        }
    }

    /// Whether it was the last.
    async fn write(&mut self, event: &Event) -> Result<bool, mpsc::error::SendError<Bytes>> {
        let mut to = Vec::new();
        match event {
            Event::Alive => self.writer.beat(&mut to),
            // Too late for the head; a comment means nothing to those who read events.
            Event::Warning(warning) => {
                let warning: String = warning.chars().filter(|c| !c.is_control()).collect();
                to.extend_from_slice(format!(": warning: {warning}\n\n").as_bytes());
            }
            event => self.writer.event(event, &mut to),
        }
        if !to.is_empty() {
            self.bytes.send(to.into()).await?;
            self.spoke = Instant::now();
        }
        Ok(matches!(event, Event::Done(_)))
    }
}

/// A body that comes as it is written. Dropped, it ends whoever writes it.
pub(super) struct Streamed {
    pub(super) bytes: mpsc::Receiver<Bytes>,
    /// Who writes it, until it is known how that ended.
    pub(super) pump: Option<AbortOnDropHandle<()>>,
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = JoinError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, JoinError>>> {
        if let Some(bytes) = ready!(self.bytes.poll_recv(cx)) {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        // Whoever has fallen over in the middle of a stream has not ended it, and a client must not take it for whole.
        let Some(pump) = &mut self.pump else { return Poll::Ready(None) };
        let ended = ready!(Pin::new(pump).poll(cx));
        self.pump = None;
        Poll::Ready(ended.err().map(Err))
    }
}

/// The whole answer at once.
pub(super) async fn whole(
    mut answering: Answering,
    mut writer: Box<dyn Writer>,
) -> Result<Response<Body>, Failure> {
    let mut answer = Answer::default();
    let cost = loop {
        let event = answering.next().await?;
        answer.hear(&event);
        if let Event::Done(done) = event {
            break done.cost;
        }
    };
    let mut bytes = Vec::new();
    writer.whole(&answer, &mut bytes);
    let mut response = Response::new(Body::full(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answering.tell(headers);
    insert(headers, X_COST, cost.map(|cost| format!("{cost:.6}")));
    Ok(response)
}
