//! One WebSocket being read: the calls that it carries.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::header::SEC_WEBSOCKET_EXTENSIONS;
use perimeter_interceptor::{CallId, LlmEvent, Peer, RequestHead, ResponseHead};

use super::attach::Attach;
use super::reading::{Outcome, SHORT, Tell, call_of};
use super::websocket::{Message, MessageReader, agreed};
use crate::dialect::{
    Asked, Conversation, Dialect, Heading, Histories, News, Prompt, Reader, Seed, request_of,
};
use crate::memory::Memory;

/// So many calls are open at once, at most; the oldest counts as cut to make room.
const CALLS: usize = 64;

/// So much of what is to steer an answer is remembered.
const STEERS: usize = 16;

/// A WebSocket whose messages are calls.
///
/// A message of the client begins a call. Those of the provider belong to the call of their response, where they name
/// it, or else to the oldest one of their conversation.
pub(super) struct Socket {
    asked: Asked,
    client: Option<MessageReader>,
    upstream: Option<MessageReader>,
    /// Those that are not over, the oldest first.
    calls: Vec<Answering>,
    steers: VecDeque<Steer>,
    /// Where calls speak of what was said between them: that.
    conversation: Option<Conversation>,
    next: u32,
    /// The model of the last call: what follows from it by itself has the same.
    model: Option<Arc<str>>,
    over: Vec<Over>,
    /// Whether there was no memory to read on.
    starved: bool,
    /// What it holds of `memory`, bytes.
    held: usize,
    memory: Arc<Memory>,
    limit: usize,
}

/// A call that is being answered.
struct Answering {
    lane: Option<Arc<str>>,
    /// The answer's id, once it has begun.
    response: Option<Arc<str>>,
    reader: Reader,
    model: Option<Arc<str>>,
    outcome: Outcome,
}

/// What the client adds while an answer is being given: the provider makes it a call of its own.
struct Steer {
    lane: Option<Arc<str>>,
    previous: Option<Arc<str>>,
    body: Bytes,
}

/// A call that is over.
#[derive(Debug)]
pub(super) struct Over {
    pub(super) model: Option<Arc<str>>,
    pub(super) outcome: Outcome,
}

impl Socket {
    /// What may become a socket with calls, by the head of the request.
    pub(super) fn begin(head: &RequestHead, memory: &Arc<Memory>, limit: usize) -> Option<Self> {
        let asked = Asked::of_socket(head)?;
        let is_realtime = asked.dialect == Dialect::OpenAiRealtime;
        Some(Self {
            asked,
            client: None,
            upstream: None,
            calls: Vec::new(),
            steers: VecDeque::new(),
            conversation: is_realtime.then(|| Conversation::new(limit)),
            next: 0,
            model: None,
            over: Vec::new(),
            starved: false,
            held: 0,
            memory: memory.clone(),
            limit,
        })
    }

    /// The dialect of its calls.
    pub(super) fn dialect(&self) -> &'static str {
        self.asked.dialect.name()
    }

    /// Whether there was a call.
    pub(super) fn has_called(&self) -> bool {
        self.next > 0
    }

    /// The response's head came: what it agrees on is what both sides speak if it makes a socket. With an extension
    /// that is not known nothing is read.
    pub(super) fn response_head(&mut self, head: &ResponseHead) {
        let reader = |from| {
            let values = head.headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter().map(HeaderValue::as_bytes);
            agreed(values, from).map(|deflate| MessageReader::new(self.limit, deflate))
        };
        let (client, upstream) = (reader(Peer::Client), reader(Peer::Upstream));
        if let Err(error) = &client {
            tracing::debug!(%error, "a socket is not read");
        }
        (self.client, self.upstream) = (client.ok(), upstream.ok());
    }

    /// Something was said.
    ///
    /// Gives back how many bytes of it there was no memory for: from then on nothing is read.
    pub(super) fn chunk(&mut self, from: Peer, bytes: &[u8], attach: &mut Attach<'_>, tell: Tell<'_>) -> u64 {
        if self.starved {
            return bytes.len() as u64;
        }
        match from {
            Peer::Client => {
                let Some(mut reader) = self.client.take() else { return 0 };
                reader.feed(bytes, &mut |message| self.asked(message, attach, tell));
                self.client = Some(reader);
            }
            Peer::Upstream => {
                let Some(mut reader) = self.upstream.take() else { return 0 };
                reader.feed(bytes, &mut |message| self.answered(message, attach, tell));
                self.upstream = Some(reader);
            }
        }
        if self.account() {
            return 0;
        }
        self.starved = true;
        (self.client, self.upstream) = (None, None);
        self.finish(tell);
        bytes.len() as u64
    }

    /// Nothing more is answered: what is open was cut.
    pub(super) fn finish(&mut self, tell: Tell<'_>) {
        for call in std::mem::take(&mut self.calls) {
            self.cut(call, tell);
        }
        self.steers.clear();
        self.account();
    }

    /// The calls that have come to their end since this was last asked.
    pub(super) fn over(&mut self) -> Vec<Over> {
        std::mem::take(&mut self.over)
    }

    /// It is not read any more.
    pub(super) fn give_up(&mut self) {
        (self.client, self.upstream) = (None, None);
        let open = self.calls.drain(..).map(|call| Over { model: call.model, outcome: Outcome::Cut });
        self.over.extend(open);
        self.steers.clear();
        self.account();
    }

    /// The client said something.
    fn asked(&mut self, message: Message<'_>, attach: &mut Attach<'_>, tell: Tell<'_>) {
        let heading = Heading::of(message.data);
        if heading.asks() {
            if heading.previous.is_some() {
                self.steers.retain(|steer| steer.previous.as_deref() != heading.previous.as_deref());
            }
            let body = request_of(&Bytes::copy_from_slice(message.data));
            self.call(body, message.whole, heading.lane.map(Arc::from), attach, tell);
        } else if let Some(conversation) = &mut self.conversation {
            conversation.add(heading.kind(), message.data, message.whole);
        } else if heading.kind() == "response.steer" {
            if self.steers.len() >= STEERS {
                self.steers.pop_front();
            }
            let body = Bytes::copy_from_slice(message.data);
            let (lane, previous) = (heading.lane.map(Arc::from), heading.previous.map(Arc::from));
            self.steers.push_back(Steer { lane, previous, body });
        }
    }

    fn call(
        &mut self,
        body: Bytes,
        whole: bool,
        lane: Option<Arc<str>>,
        attach: &mut Attach<'_>,
        tell: Tell<'_>,
    ) {
        let id = CallId(self.next);
        let Some(next) = self.next.checked_add(1) else { return };
        if self.calls.len() >= CALLS {
            let oldest = self.calls.remove(0);
            self.cut(oldest, tell);
        }
        let mut prompt = match &*body {
            b"" if whole => Prompt { streaming: true, ..Prompt::default() },
            body => self.asked.read_request(id, None, body, whole),
        };
        if let Some(conversation) = &mut self.conversation {
            conversation.begin(id, &mut prompt);
        }
        prompt.model = prompt.model.take().or_else(|| self.model.clone());
        prompt.partial |= !whole;
        let all = |seed: &Seed| News::all(&self.asked, seed, prompt.clone()).seen(whole);
        let (session, news, known) = attach.session(&self.asked, id, all(attach.seed()), all);
        let history = attach.wants_history.then(|| news.history());
        let mut call = call_of(&self.asked, id, news, known, body, session);
        call.history = history.unwrap_or_default();
        if whole && call.body.len() >= SHORT {
            call.prefixes = Histories::prefixes_of(&self.asked, &call.body, attach.seed());
        }
        self.next = next;
        self.model.clone_from(&call.model);
        self.calls.push(Answering {
            lane,
            response: None,
            reader: Reader::of_messages(&self.asked, id, self.limit),
            model: call.model.clone(),
            outcome: Outcome::None,
        });
        tell(LlmEvent::Call(Arc::new(call)));
    }

    /// The provider said something.
    fn answered(&mut self, message: Message<'_>, attach: &mut Attach<'_>, tell: Tell<'_>) {
        let heading = Heading::of(message.data);
        if heading.kind().starts_with("response.steer.") {
            return;
        }
        if let Some(model) = &heading.model {
            self.model = Some((**model).into());
        }
        let found = self.find(&heading);
        if found.is_none() && heading.kind() == "response.created" {
            self.follow_up(&heading, attach, tell);
        }
        let Some(at) = found.or_else(|| self.find(&heading)) else { return };
        let Some(call) = self.calls.get_mut(at) else { return };
        if call.response.is_none() {
            call.response = heading.response.as_deref().map(Arc::from);
        }
        let Answering { reader, outcome, .. } = call;
        let mut noted = noted(outcome, tell);
        let mut ends = false;
        if !message.whole {
            reader.lose();
            ends = heading.ends();
        } else if heading.kind() == "error" {
            let status = heading.status.and_then(|status| u16::try_from(status).ok());
            reader.refuse(status, message.data, &mut noted);
        } else {
            reader.message(message.data, &mut noted);
        }
        drop(noted);
        if ends || reader.is_over() {
            let call = self.calls.remove(at);
            self.cut(call, tell);
        }
    }

    /// The call that a message of the provider belongs to.
    fn find(&self, heading: &Heading<'_>) -> Option<usize> {
        let in_lane = |call: &Answering| call.lane.as_deref() == heading.lane.as_deref();
        let by = |is: &dyn Fn(&Answering) -> bool| self.calls.iter().position(is);
        if heading.response.is_some() {
            return by(&|call| call.response.as_deref() == heading.response.as_deref())
                .or_else(|| by(&|call| in_lane(call) && call.response.is_none()));
        }
        if self.conversation.is_some() {
            // An error is of what the client said last, and mostly of no call: the answers go on.
            let is_of_call =
                heading.kind() == "error" && self.calls.iter().all(|call| call.response.is_none());
            return by(&|_| is_of_call);
        }
        let is_for_all = heading.kind() == "error" && heading.lane.is_none();
        by(&in_lane).or_else(|| if is_for_all { by(&|_| true) } else { None })
    }

    /// The provider answers what was no message of its own: what the client added to an earlier call, or what we did
    /// not see.
    fn follow_up(&mut self, heading: &Heading<'_>, attach: &mut Attach<'_>, tell: Tell<'_>) {
        let by = |is: &dyn Fn(&Steer) -> bool| self.steers.iter().position(is);
        let at =
            by(&|steer| steer.previous.is_some() && steer.previous.as_deref() == heading.previous.as_deref())
                .or_else(|| by(&|steer| steer.lane.as_deref() == heading.lane.as_deref()));
        let steer = at.and_then(|at| self.steers.remove(at));
        // Where the provider hears when it is its turn, nothing is missing.
        let whole = steer.is_some() || self.conversation.is_some();
        let body = steer.map(|steer| steer.body).unwrap_or_default();
        self.call(body, whole, heading.lane.as_deref().map(Arc::from), attach, tell);
    }

    /// The call is over; where its answer did not come to its end, it was cut.
    fn cut(&mut self, call: Answering, tell: Tell<'_>) {
        let Answering { reader, model, mut outcome, .. } = call;
        reader.finish(false, &mut noted(&mut outcome, tell));
        self.over.push(Over { model, outcome });
    }

    /// Brings what is taken of the memory up to date with what is held. False where there is no room for it.
    fn account(&mut self) -> bool {
        let messages: usize =
            [&self.client, &self.upstream].into_iter().flatten().map(MessageReader::held).sum();
        let calls: usize = self.calls.iter().map(Answering::held).sum();
        let steers: usize = self.steers.iter().map(Steer::held).sum();
        let conversation = self.conversation.as_ref().map_or(0, Conversation::held);
        let holds = messages + calls + steers + conversation + length(&self.model);
        if holds <= self.held {
            self.memory.give_back(self.held - holds);
        } else if !self.memory.take(holds - self.held) {
            return false;
        }
        self.held = holds;
        true
    }
}

impl Answering {
    fn held(&self) -> usize {
        let names = [&self.lane, &self.response, &self.model].map(length);
        size_of::<Self>() + names.iter().sum::<usize>() + self.reader.held()
    }
}

impl Steer {
    fn held(&self) -> usize {
        size_of::<Self>() + length(&self.lane) + length(&self.previous) + self.body.len()
    }
}

fn length(name: &Option<Arc<str>>) -> usize {
    name.as_ref().map_or(0, |name| name.len())
}

/// Tells, and notes how the call ended.
fn noted(outcome: &mut Outcome, tell: Tell<'_>) -> impl FnMut(LlmEvent) {
    move |event| {
        outcome.note(&event);
        tell(event);
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asked, next, held, .. } = self;
        write!(f, "Socket {{ {:?}, {next} calls, {held} bytes }}", asked.dialect)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.memory.give_back(self.held);
    }
}
