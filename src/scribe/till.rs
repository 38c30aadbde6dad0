//! Where each call is billed and timed, on its way to those who watch.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use perimeter_interceptor::{CallId, Completion, CostSource, LlmEvent, Operation};

use super::bounded;
use super::meter::Meter;
use super::takings::Model;
use super::tally::{Standing, Tally};
use crate::prices::{Bill, Day, Prices};

/// So many calls of one exchange are open at once, at most: a socket carries several.
const OPEN: usize = 64;

/// Bills the calls of one exchange, and counts what they come to.
#[derive(Debug)]
pub(super) struct Till {
    prices: Arc<Prices>,
    tally: Arc<Tally>,
    /// On which the exchange began.
    day: Day,
    open: Vec<Asked>,
    /// Times them.
    pub(super) meter: Meter,
}

/// What a bill needs to know of a call.
#[derive(Debug)]
struct Asked {
    call: CallId,
    operation: Operation,
    model: Option<Arc<str>>,
}

impl Till {
    pub(super) fn new(prices: &Arc<Prices>, tally: &Arc<Tally>, began: SystemTime) -> Self {
        let day = Day::of(began);
        let (open, meter) = (Vec::new(), Meter::new(tally));
        Self { prices: Arc::clone(prices), tally: Arc::clone(tally), day, open, meter }
    }

    /// The event, with what the call cost where it is the last of it. It came so long after the exchange began.
    pub(super) fn ring(&mut self, event: LlmEvent, elapsed: Duration, is_socket: bool) -> LlmEvent {
        self.meter.note(&event, elapsed, is_socket);
        match event {
            LlmEvent::Call(call) => {
                if self.open.len() >= OPEN {
                    self.open.remove(0);
                }
                let (operation, model) = (call.operation, call.model.clone());
                bounded::push(&mut self.open, Asked { call: call.id, operation, model });
                LlmEvent::Call(call)
            }
            LlmEvent::Completion(completion) => LlmEvent::Completion(self.bill(completion)),
            LlmEvent::Cut(completion) => LlmEvent::Cut(self.bill(completion)),
            LlmEvent::Failure(failure) => {
                self.open.retain(|asked| asked.call != failure.call);
                LlmEvent::Failure(failure)
            }
            event => event,
        }
    }

    /// Who made the latest call.
    pub(super) fn agent(&self) -> Option<&(Arc<str>, Standing)> {
        self.meter.agent()
    }

    fn bill(&mut self, mut completion: Arc<Completion>) -> Arc<Completion> {
        let asked = self.open.iter().position(|asked| asked.call == completion.call);
        let asked = asked.map(|at| self.open.remove(at));
        let (operation, model) =
            asked.map_or((Operation::Chat, None), |asked| (asked.operation, asked.model));
        let bill = self.prices.bill(operation, model.as_deref(), &completion, self.day);
        let named = match &bill {
            Bill::Free => return completion,
            Bill::Cost(cost) => match &cost.source {
                CostSource::Prices { model, .. } => Some(Arc::clone(model)),
                _ => None,
            },
            Bill::Unknown(_) => None,
        };
        let told = completion.model.as_ref().or(model.as_ref());
        let named = named.as_ref().map_or(Model::Told(told), Model::Listed);
        let cost = match bill {
            Bill::Cost(cost) => Some(cost),
            _ => None,
        };
        self.tally.takings.count(named, completion.usage.as_ref(), cost.as_ref().map(|cost| cost.total));
        if let Some(cost) = cost {
            Arc::make_mut(&mut completion).cost = Some(Arc::new(cost));
        }
        completion
    }
}
