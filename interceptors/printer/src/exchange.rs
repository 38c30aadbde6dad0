//! One exchange, as much of it as is shown.

use std::sync::Arc;
use std::time::Duration;

use perimeter_interceptor::{CallId, Cx, End, Failure, LlmEvent, RequestHead};

use crate::call::{Keep, Shown};
use crate::tools::Tools;

/// How many calls of one exchange are followed at once. Of a socket that has more open, the oldest are printed.
const OPEN_CALLS: usize = 16;

/// The longest path that is kept.
const PATH: usize = 400;

/// What the printer remembers of an exchange.
#[derive(Debug)]
pub struct Following {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) status: Option<u16>,
    pub(crate) upgrade: Option<Arc<str>>,
    pub(crate) failure: Option<Failure>,
    pub(crate) end: Option<End>,
    /// How many calls it had so far.
    pub(crate) had: usize,
    pub(crate) calls: Vec<Shown>,
}

impl Following {
    pub(crate) fn new(head: &RequestHead, keep: Keep) -> Self {
        // `CONNECT` has no path but names a host.
        let path = match head.uri.path() {
            "" => head.uri.to_string(),
            path => path.to_owned(),
        };
        Self {
            method: head.method.to_string(),
            path: keep.start(&path, PATH).into_owned(),
            status: None,
            upgrade: None,
            failure: None,
            end: None,
            had: 0,
            calls: Vec::new(),
        }
    }

    /// Takes in an event of one of its calls; returns a call that is not followed any longer.
    pub(crate) fn hear(
        &mut self,
        cx: Cx<'_>,
        event: &LlmEvent,
        keep: Keep,
        tools: &mut Tools,
    ) -> Option<Shown> {
        let LlmEvent::Call(call) = event else {
            if let Some(shown) = self.call(event.call()) {
                if let LlmEvent::ToolUse(tool) = event {
                    tools.add(&shown.session, tool);
                }
                shown.hear(event, cx.elapsed, keep);
            }
            return None;
        };
        let began = if self.upgrade.is_some() { cx.elapsed } else { Duration::ZERO };
        let over = self.calls.iter().position(|call| call.finished.is_some());
        let over = over.or((self.calls.len() >= OPEN_CALLS).then_some(0));
        let over = over.map(|at| self.calls.remove(at));
        // Most have one, and there may be thousands of them.
        self.calls.reserve_exact(1);
        self.calls.push(Shown::new(call, began, keep, tools));
        self.had += 1;
        over
    }

    fn call(&mut self, id: CallId) -> Option<&mut Shown> {
        self.calls.iter_mut().rfind(|call| call.id == id)
    }

    /// How long a call took, or the exchange if it is none.
    pub(crate) fn lasted(&self, call: Option<&Shown>) -> Duration {
        let lasted = self.end.as_ref().map_or(Duration::ZERO, |end| end.lasted);
        match call {
            // The socket lives on when its call is over.
            Some(call) if self.upgrade.is_some() => {
                call.finished.unwrap_or(lasted).saturating_sub(call.began)
            }
            Some(call) => lasted.max(call.finished.unwrap_or_default()),
            None => lasted,
        }
    }
}
