//! The rules of order that the contract promises, as a check of what was told.

use std::collections::HashMap;
use std::time::Duration;

use http::HeaderMap;
use http::header::CONTENT_LENGTH;

use crate::host::{Notice, What};
use crate::{BodyEnd, CallId, End, ExchangeId, LlmEvent, Peer, Relation, Session, SessionEnd};

/// Panics unless everything in `notices` was told as the contract promises, every exchange from its head to its end.
///
/// The rules are those of [`breaches`].
///
/// # Panics
/// With every rule that was broken, and where.
#[track_caller]
pub fn assert_legal(notices: &[Notice]) {
    let breaches = breaches(notices);
    assert!(
        breaches.is_empty(),
        "told against the rules, {} times:\n  {}",
        breaches.len(),
        breaches.join("\n  ")
    );
}

/// Where `notices` break the rules of the contract, in words. They may be all that there is, or what one interceptor
/// wants of it.
///
/// For each exchange:
/// - its request head comes first, its end comes last, each exactly once; no time goes backwards;
/// - chunks of the request come before the request's end, which comes at most once, before any upgrade, and agrees
///   with the end of the exchange; where the request is complete it was told;
/// - one response head comes before any chunk of the response; a failure comes at most once, before that head; where
///   the response is complete and nothing went unseen, its head was told;
/// - an upgrade comes at most once, after the response's head; upgraded chunks only after it, chunks of bodies only
///   before it;
/// - the events of a call begin with its [`LlmEvent::Call`] and nothing follows its completion or failure; after its
///   one cut there is at most a failure; calls are told in the order of their ids, from 0;
/// - a call of a session is its first exactly where the session is new, and then it follows from none and its line of
///   talk is 0; any other follows from an earlier one or from none, from none where it is an opening, and its line is
///   one that can have begun by then;
/// - a body that is complete, of which nothing went unseen and something was told, was told as long as its
///   `content-length`.
///
/// The end of a session tells no more calls that failed, or that are no simple next turns, than the session had; the
/// latter in their order, each as a call of a session has to be.
pub fn breaches(notices: &[Notice]) -> Vec<String> {
    let mut courses: HashMap<ExchangeId, Course> = HashMap::new();
    let mut breaches = Vec::new();
    for (index, notice) in notices.iter().enumerate() {
        let (exchange, elapsed, what) = match notice {
            Notice::Exchange { exchange, elapsed, what } => (exchange, elapsed, what),
            Notice::SessionEnd(end) => {
                let place = format!("notice {index} (the end of the session {})", end.id);
                breaches.extend(ended(end).into_iter().map(|rule| format!("{place}: {rule}")));
                continue;
            }
        };
        let broken = match courses.get_mut(&exchange.id) {
            Some(course) => course.goes_on(*elapsed, what),
            None => {
                courses.insert(exchange.id, Course::begins(*elapsed, what));
                match what {
                    What::RequestHead(_) => Vec::new(),
                    _ => vec!["the exchange does not begin with its request head".to_owned()],
                }
            }
        };
        let place = format!("notice {index} ({} of {})", what.callback(), exchange.id);
        breaches.extend(broken.into_iter().map(|rule| format!("{place}: {rule}")));
    }
    let mut endless: Vec<_> = courses.into_iter().filter(|(_, course)| !course.ended).collect();
    endless.sort_by_key(|(id, _)| *id);
    breaches.extend(endless.into_iter().map(|(id, _)| format!("{id} has no end")));
    breaches
}

/// What has been told of one exchange so far.
#[derive(Default)]
struct Course {
    elapsed: Duration,
    request: Body,
    request_end: Option<BodyEnd>,
    response_head: bool,
    response: Body,
    failure: bool,
    upgrade: bool,
    calls: Vec<(CallId, Stage)>,
    ended: bool,
}

#[derive(Default)]
struct Body {
    /// As its head says.
    length: Option<u64>,
    told: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Open,
    Cut,
    Over,
}

impl Course {
    fn begins(elapsed: Duration, what: &What) -> Self {
        let length = match what {
            What::RequestHead(head) => length_in(&head.headers),
            _ => None,
        };
        let ended = matches!(what, What::End(_));
        Self { elapsed, ended, request: Body { length, told: 0 }, ..Self::default() }
    }

    fn goes_on(&mut self, elapsed: Duration, what: &What) -> Vec<String> {
        let mut broken = Rules::default();
        broken.when(self.ended, "something comes after the end");
        broken.when(elapsed < self.elapsed, "time goes backwards");
        self.elapsed = self.elapsed.max(elapsed);
        match what {
            What::RequestHead(_) => broken.when(true, "a second request head"),
            What::RequestChunk(chunk) => self.request_chunk(chunk.len(), &mut broken),
            What::RequestEnd(end) => self.request_end(end, &mut broken),
            What::ResponseHead(head) => self.response_head(&head.headers, &mut broken),
            What::ResponseChunk(chunk) => self.response_chunk(chunk.len(), &mut broken),
            What::Llm(event) => self.llm(event, &mut broken),
            What::Upgrade(_) => {
                broken.when(self.upgrade, "a second upgrade");
                broken.when(!self.response_head, "an upgrade before the response's head");
                self.upgrade = true;
            }
            What::UpgradedChunk(..) => broken.when(!self.upgrade, "an upgraded chunk before the upgrade"),
            What::Failure(_) => {
                broken.when(self.failure, "a second failure");
                broken.when(self.response_head, "a failure after the response's head");
                self.failure = true;
            }
            What::End(end) => self.end(end, &mut broken),
        }
        broken.0
    }

    fn request_chunk(&mut self, bytes: usize, broken: &mut Rules) {
        broken.when(self.request_end.is_some(), "a chunk of the request after its end");
        broken.when(self.upgrade, "a chunk of the request after the upgrade");
        self.request.told += bytes as u64;
    }

    fn request_end(&mut self, end: &BodyEnd, broken: &mut Rules) {
        broken.when(self.request_end.is_some(), "a second end of the request");
        broken.when(self.upgrade, "the end of the request after the upgrade");
        self.request_end = Some(end.clone());
    }

    fn response_head(&mut self, headers: &HeaderMap, broken: &mut Rules) {
        broken.when(self.response_head, "a second response head");
        self.response_head = true;
        self.response.length = length_in(headers);
    }

    fn response_chunk(&mut self, bytes: usize, broken: &mut Rules) {
        broken.when(!self.response_head, "a chunk of the response before its head");
        broken.when(self.upgrade, "a chunk of the response after the upgrade");
        self.response.told += bytes as u64;
    }

    fn llm(&mut self, event: &LlmEvent, broken: &mut Rules) {
        let id = event.call();
        let Some((_, stage)) = self.calls.iter_mut().find(|(call, _)| *call == id) else {
            let LlmEvent::Call(call) = event else {
                return broken.when(true, "an event of a call that was not told");
            };
            match self.calls.last() {
                None => broken.when(id != CallId(0), "the first call is not call 0"),
                Some((before, _)) => {
                    broken.when(id < *before, "a call with a smaller id than the one before")
                }
            }
            broken.session(&call.session);
            return self.calls.push((id, Stage::Open));
        };
        broken.when(*stage == Stage::Over, "an event of a call that is over");
        match event {
            LlmEvent::Call(_) => broken.when(true, "a second time the same call"),
            LlmEvent::Delta(_) | LlmEvent::ToolUse(_) | LlmEvent::Completion(_) | LlmEvent::Cut(_) => {
                broken.when(*stage == Stage::Cut, "something other than a failure after a cut");
            }
            LlmEvent::Failure(_) => {}
        }
        *stage = match event {
            LlmEvent::Completion(_) | LlmEvent::Failure(_) => Stage::Over,
            LlmEvent::Cut(_) if *stage == Stage::Open => Stage::Cut,
            _ => *stage,
        };
    }

    fn end(&mut self, end: &End, broken: &mut Rules) {
        self.ended = true;
        if self.upgrade {
            return;
        }
        match &self.request_end {
            Some(told) => broken.when(*told != end.request, "it does not agree with the request's end"),
            None => {
                broken.when(end.request.is_complete(), "the request is complete, and its end was not told")
            }
        }
        for from in [Peer::Client, Peer::Upstream] {
            let (body, ended, unseen) = match from {
                Peer::Client => (&self.request, &end.request, end.unseen.client),
                Peer::Upstream => (&self.response, &end.response, end.unseen.upstream),
            };
            let whole = ended.is_complete() && unseen == 0;
            let other = body.told > 0 && body.length.is_some_and(|length| length != body.told);
            broken.when(
                whole && other,
                &format!("told as whole, but {} bytes of {:?} ({from:?})", body.told, body.length),
            );
        }
        let headless = end.response.is_complete() && end.unseen.upstream == 0 && !self.response_head;
        broken.when(headless, "the response is complete, and its head was not told");
    }
}

/// Those that are broken.
#[derive(Default)]
struct Rules(Vec<String>);

impl Rules {
    fn when(&mut self, broken: bool, rule: &str) {
        if broken {
            self.0.push(rule.to_owned());
        }
    }

    fn session(&mut self, session: &Session) {
        let counts = session.call >= 1 && session.is_new == (session.call == 1);
        self.when(!counts, "a session whose first call is not new, or another that is");
        self.place(session.call, session.parent, session.relation, session.thread);
    }

    /// Where a call stands among those of its session.
    fn place(&mut self, call: u32, parent: Option<u32>, relation: Relation, thread: u32) {
        let is_earlier = |parent: u32| (1..call).contains(&parent);
        self.when(
            parent.is_some_and(|parent| !is_earlier(parent)),
            "a call that follows from no earlier one",
        );
        let opens = relation == Relation::Opening && parent.is_some();
        self.when(opens, "an opening that follows from another call");
        self.when(thread > call.saturating_sub(1), "a line of talk that cannot have begun yet");
    }
}

/// What is against the rules in the end of a session.
fn ended(end: &SessionEnd) -> Vec<String> {
    let mut broken = Rules::default();
    broken.when(end.failed > end.calls, "more calls failed than there were");
    let mut before = 0;
    for branch in &end.tree {
        let is_next = branch.call > before && branch.call <= end.calls;
        broken.when(!is_next, "a branch that is no call of it, or not in order");
        broken.place(branch.call, branch.parent, branch.relation, branch.thread);
        before = branch.call;
    }
    broken.0
}

fn length_in(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
