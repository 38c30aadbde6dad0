//! When a session counts as over, and when it is forgotten.

use std::time::Instant;

use perimeter_interceptor::SessionEnd;

use super::Sessions;
use super::state::State;

/// So many sessions end or are forgotten at once, at most, when their time is over: the next ones a little later.
pub(super) const OVER_AT_ONCE: usize = 512;
/// Nor are more forgotten where they had so many calls together that were remembered.
const CALLS_AT_ONCE: usize = 4096;

impl Sessions {
    /// Tells `over` of the sessions that have been quiet for long enough, and forgets the old ones. No more than so
    /// many at once: whether more are waiting.
    pub(in crate::scribe) fn expire(&mut self, now: Instant, over: &mut dyn FnMut(SessionEnd)) -> bool {
        let complete_after = self.complete_after;
        let mut ends = 0;
        while ends < OVER_AT_ONCE {
            let Some(slot) = self.lively.oldest() else { break };
            ends += 1;
            let Some(state) = self.state_mut(slot) else {
                self.lively.take(slot);
                continue;
            };
            if now.saturating_duration_since(state.last) <= complete_after {
                break;
            }
            if state.open > 0 {
                // Being answered is no silence.
                state.last = now;
                self.lively.put(slot);
                continue;
            }
            state.ended = true;
            over(state.end());
            self.lively.take(slot);
            self.quiet.put(slot);
        }
        let (mut forgotten, mut calls) = (0, 0);
        while forgotten < OVER_AT_ONCE && calls < CALLS_AT_ONCE {
            let Some(slot) = self.quiet.oldest() else { break };
            let is_old = |state: &State| now.saturating_duration_since(state.last) > self.ttl;
            if !self.state(slot).is_none_or(is_old) {
                break;
            }
            forgotten += 1;
            calls += self.state(slot).map_or(0, |state| state.tree.iter().count());
            self.forget(slot, over);
        }
        ends >= OVER_AT_ONCE || forgotten >= OVER_AT_ONCE || calls >= CALLS_AT_ONCE
    }

    /// Tells `over` of all that are left.
    pub(in crate::scribe) fn close(&mut self, over: &mut dyn FnMut(SessionEnd)) {
        while self.forget_one(over) {}
        self.remembered.clear();
    }

    /// Forgets the session that has been quiet for the longest time.
    pub(super) fn forget_one(&mut self, over: &mut dyn FnMut(SessionEnd)) -> bool {
        let slot = self.quiet.oldest().or_else(|| self.lively.oldest());
        slot.is_some_and(|slot| self.forget(slot, over))
    }

    fn forget(&mut self, slot: u32, over: &mut dyn FnMut(SessionEnd)) -> bool {
        self.quiet.take(slot);
        self.lively.take(slot);
        let nodes: Vec<u8> =
            self.state(slot).map(|state| state.tree.iter().map(|(at, _)| at).collect()).unwrap_or_default();
        for node in nodes {
            self.take_out(slot, node);
        }
        let Some(state) = self.held.get_mut(slot as usize).and_then(Option::take) else { return true };
        self.free.push(slot);
        if state.told {
            self.by_name.remove(&state.id, &self.seed);
            self.remembered.forget(self.shelf_of(&state.id));
        }
        if !state.ended {
            over(state.end());
        }
        true
    }
}
