//! By the model's last words, where the client left out what was said before.

use perimeter_interceptor::Relation;

use super::Sessions;
use super::ask::Ask;
use super::follow::Hit;
use super::found::Found;
use super::index::{At, By};
use super::tree::Telling;
use crate::dialect::Unit;

/// So many of the model's last words are looked for, each with what it answers.
const PAIRS: usize = 8;
/// So many of them may be the last that a session knows: the client may have added others behind.
const LAST_PAIRS: usize = 4;

impl Sessions {
    /// By the model's last words, where what was said before is not all there, or another: the client left it out. So
    /// many units are known to belong elsewhere, and show nothing.
    pub(super) fn by_last_answer(
        &self,
        ask: &Ask<'_>,
        scope: u64,
        told: Option<u32>,
        (here, elsewhere): (bool, usize),
    ) -> Option<Found> {
        let units = &ask.units.list;
        let answers = units.iter().enumerate().rev().filter(|(_, unit)| unit.by_model());
        let pair = |(at, unit): (usize, &Unit)| {
            let before = units.get(at.checked_sub(1)?)?;
            Some((at, self.pair(scope, before.hash(), unit.hash())))
        };
        let pairs: Vec<(usize, u64)> = answers.take(PAIRS).filter_map(pair).collect();
        let is_summary = !pairs.is_empty() && ask.summary().is_some();
        let key = |at| self.key(at);
        for (at, last) in pairs.iter().take(LAST_PAIRS).filter(|(at, _)| *at >= elsewhere) {
            let fits = |found: At| {
                let state = self.state(found.session)?;
                let node = *state.tree.get(found.node)?;
                let is_told = told == Some(found.session);
                if found.by != By::Pair || told.is_some() != is_told || !is_told && state.told {
                    return None;
                }
                let shared =
                    pairs.iter().filter(|(_, pair)| state.tree.iter().any(|(_, node)| node.pair == *pair));
                let is_near = state.near == ask.caller.near();
                let is_clear = is_told
                    || node.telling == Telling::Itself
                    || is_near && (is_summary || shared.count() > 1);
                (is_clear && state.tree.is_tip(node.call)).then_some((found.session, node))
            };
            let hits: Vec<_> = self.index.find(*last, &key).filter_map(fits).collect();
            let is_near = |session| self.state(session).is_some_and(|state| state.near == ask.caller.near());
            let near: Vec<_> = hits.iter().filter(|(session, _)| is_near(*session)).collect();
            let (session, node) = match (&*near, &*hits) {
                ([hit], _) => **hit,
                ([], [hit]) if !here => *hit,
                ([], hits) if here || hits.is_empty() => continue,
                _ => return None,
            };
            let relation = if is_summary { Relation::Compaction } else { Relation::Truncation };
            let hit = Hit { session, node, relation, instead: None, known: at + 1 };
            return Some(self.found(ask, scope, hit));
        }
        None
    }

    pub(super) fn pair(&self, scope: u64, before: u64, answer: u64) -> u64 {
        self.seed.then(self.seed.then(scope, before), self.seed.then(2, answer))
    }
}
