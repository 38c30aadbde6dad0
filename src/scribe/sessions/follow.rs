//! By what was said: the call that another one goes on from, repeats or does otherwise, and how sure that is.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use perimeter_interceptor::Relation;

use super::Sessions;
use super::ask::Ask;
use super::found::{Found, Place};
use super::index::{ALIKE, At, By};
use super::quotes::Source;
use super::state::State;
use super::tree::{How, Node, Telling};
use crate::dialect::Unit;
use crate::journal::between;

/// For so long the same opening may be another attempt at a call that failed.
const RETRY_WITHIN: Duration = Duration::from_secs(300);

/// A call that another one may follow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    pub(super) session: u32,
    pub(super) node: Node,
    pub(super) relation: Relation,
    pub(super) instead: Option<u8>,
    pub(super) known: usize,
}

/// How sure it is, the greater the better: how near, how many hints agree, and whether it is the next turn.
type Rank = (u8, i8, bool);

/// From here on it is the same address and the same program.
const NEAR: u8 = 3;

/// The best call to follow, or none where several are as good.
type Clear = (Rank, Option<Hit>);

impl Sessions {
    /// It continues the response that is meant by `what`, with `known` units that were said up to there.
    pub(super) fn continued(
        &self,
        ask: &Ask<'_>,
        source: Source,
        state: &State,
        (what, known): (u64, usize),
    ) -> Found {
        let base = self.seed.then(state.scope, what);
        let found = Found { base, ..Found::new(Place::Held(source.session), state.scope) };
        let Some(node) = state.tree.of_call(source.call).and_then(|at| state.tree.get(at)) else {
            return Found { relation: Relation::Turn, parent: Some(source.call), thread: Some(0), ..found };
        };
        let asked = self.said(base, &ask.units.list);
        let (relation, same) = next_of(state, node, asked);
        Found {
            relation,
            parent: Some(same.map_or(node.call, |same| same.call)),
            goes_on: node.call,
            thread: Some(node.thread),
            instead: same
                .filter(|_| relation == Relation::Retry)
                .and_then(|same| state.tree.of_call(same.call)),
            known: if same.is_some() { ask.units.list.len() } else { known },
            telling: node.telling.after(),
            ..found
        }
    }

    /// All of this, said behind `before`.
    pub(super) fn said(&self, before: u64, units: &[Unit]) -> u64 {
        units.iter().fold(before, |said, unit| self.seed.then(said, unit.hash()))
    }

    /// By the longest beginning of what was said that a session knows.
    pub(super) fn by_what_was_said(
        &self,
        now: Instant,
        ask: &Ask<'_>,
        scope: u64,
        told: Option<u32>,
    ) -> Option<Found> {
        let then = |said: &mut u64, unit: &Unit| {
            *said = self.seed.then(*said, unit.hash());
            Some(*said)
        };
        let chain: Vec<u64> = ask.units.list.iter().scan(scope, then).collect();
        let answered = ask.units.answered().iter().rposition(|unit| unit.by_model());
        let answered = answered.map_or(0, |answer| answer + 1);
        let look = |near| self.longest(now, ask, scope, &chain, (answered, near), told);
        let mut best = look(true);
        // Who is elsewhere is followed only where nobody here knows what the model said last.
        if told.is_none() && best.as_ref().is_none_or(|(known, _)| *known < answered) {
            if !ask.is_all {
                return Some(Found::wanting_all(scope));
            }
            let known = best.as_ref().map_or(0, |(known, _)| *known);
            let here = self.by_last_answer(ask, scope, told, (true, known));
            if let Some(found) = here.or_else(|| self.by_beginning(ask, scope, None, None)) {
                return Some(found);
            }
            let is_longer = |far: &(usize, Option<Hit>)| best.as_ref().is_none_or(|(near, _)| far.0 > *near);
            best = look(false).filter(is_longer).or(best);
        }
        let hit = match best {
            Some((_, None)) => return Some(Found::new(Place::New, scope)),
            Some((_, hit)) => hit,
            None => None,
        };
        if hit.is_none_or(|hit| matches!(hit.relation, Relation::Edit | Relation::Fork))
            && let Some(found) =
                self.by_last_answer(ask, scope, told, (false, hit.map_or(0, |hit| hit.known)))
        {
            return Some(found);
        }
        hit.map(|hit| self.found(ask, scope, hit))
    }

    /// By the longest beginning that a session of somebody near knows, or of somebody elsewhere: how much it knows, and
    /// the call to follow; none where it could be several.
    fn longest(
        &self,
        now: Instant,
        ask: &Ask<'_>,
        scope: u64,
        chain: &[u64],
        (answered, near): (usize, bool),
        told: Option<u32>,
    ) -> Option<(usize, Option<Hit>)> {
        let key = |at| self.key(at);
        let mut best: Option<(usize, i8, Option<Hit>)> = None;
        for (before, said) in chain.iter().enumerate().rev() {
            let known = before + 1;
            let clearest = |calls: &mut dyn Iterator<Item = At>| {
                let mut alike = 0;
                let fits = calls
                    .inspect(|_| alike += 1)
                    .filter_map(|at| self.fits(now, ask, at, known, chain, told));
                let best = clearest(fits.filter(|((closeness, ..), _)| (*closeness >= NEAR) == near));
                // There may be more of them than are found.
                best.map(|(rank, hit)| (rank, hit.filter(|_| told.is_some() || alike < ALIKE)))
            };
            let mut next = clearest(&mut self.index.find(*said, &key));
            if next.is_none() && answered == known {
                // What else stands there in the model's name may be the client's.
                let said = before.checked_sub(1).and_then(|at| chain.get(at)).copied().unwrap_or(scope);
                next = ask.units.begun.iter().rev().find_map(|unit| {
                    let calls = self.index.find(self.seed.then(said, unit.hash()), &key);
                    clearest(&mut calls.filter(|at| at.by == By::Answered))
                });
            }
            let is_other = |hit: &Option<Hit>, next: &Option<Hit>| {
                told.is_none() && hit.zip(*next).is_none_or(|(hit, next)| hit.session != next.session)
            };
            match (&mut best, next) {
                (None, Some(((_, hints, _), hit))) => best = Some((known, hints, hit)),
                // One who repeats what was asked, and another who may ask it now: as is hinted, or it could be either.
                (Some((_, agree, hit)), Some(((_, hints, true), next))) if is_other(hit, &next) => {
                    match hints.cmp(agree) {
                        Ordering::Greater => best = Some((known, hints, next)),
                        Ordering::Equal => *hit = None,
                        Ordering::Less => {}
                    }
                }
                _ => {}
            }
            if best.is_some() && known <= answered {
                break;
            }
        }
        best.map(|(known, _, hit)| (known, hit))
    }

    pub(super) fn found(&self, ask: &Ask<'_>, scope: u64, hit: Hit) -> Found {
        let Hit { session, node, relation, instead, known } = hit;
        let is_beside = relation == Relation::Fork && node.how == How::Open;
        let repeats = matches!(relation, Relation::Retry | Relation::Regenerate) || instead.is_some();
        let before = (node.parent > 0).then_some(node.parent);
        let mut found = Found {
            relation,
            parent: before.filter(|_| is_beside).or(Some(node.call)),
            goes_on: if repeats || is_beside { node.parent } else { node.call },
            thread: Some(node.thread),
            instead,
            known,
            telling: node.telling.after(),
            ..Found::new(Place::Held(session), scope)
        };
        if instead.is_some() && relation != Relation::Retry {
            // What was only counted is asked now.
            found.parent = before;
        }
        if ask.is_probe() {
            (found.relation, found.instead, found.thread) = (Relation::Side, None, None);
        }
        found
    }

    /// Whether a call may follow this one, as which all of its first `known` units were said before.
    fn fits(
        &self,
        now: Instant,
        ask: &Ask<'_>,
        at: At,
        known: usize,
        chain: &[u64],
        told: Option<u32>,
    ) -> Option<(Rank, Hit)> {
        let state = self.state(at.session)?;
        let node = *state.tree.get(at.node)?;
        let is_told = told == Some(at.session);
        if told.is_some() != is_told || !is_told && state.told {
            return None;
        }
        let (address, program) = ask.caller.near();
        let is_near = state.near == (address, program);
        let closeness = match (state.near.0 == address, state.near.1 == program) {
            _ if is_told => 4,
            (true, true) => 3,
            (true, false) => 2,
            (false, true) => 1,
            (false, false) => 0,
        };
        let is_whole = known == chain.len();
        let hit = |relation, known| Some(Hit { session: at.session, node, relation, instead: None, known });
        let instead = |relation| hit(relation, known).map(|hit| Hit { instead: Some(at.node), ..hit });
        let is_opening = node.parent == 0;
        // What it is, as something that goes on from this call.
        let follow = |known| {
            let asked = chain.last().copied().unwrap_or(0);
            Some(match next_of(state, &node, asked) {
                (relation, Some(same)) => {
                    let instead =
                        (relation == Relation::Retry).then(|| state.tree.of_call(same.call)).flatten();
                    Hit { session: at.session, node: *same, relation, instead, known: chain.len() }
                }
                (relation, None) => Hit { session: at.session, node, relation, instead: None, known },
            })
        };
        // Nothing of the model's has come back that shows whose it is.
        let is_bare = is_opening && !is_told;
        let hints = state.hints.agree(&self.hints(ask));
        let retries = ask.caller.names.retries.unwrap_or(0);
        let hit = match at.by {
            By::Pair => None,
            // What was cut may go on otherwise.
            By::Asked if ask.is_cut && (is_whole || !is_told) || is_bare && hints < 0 => None,
            By::Asked if is_whole => match node.how {
                How::Probe if is_bare && !is_near => None,
                How::Probe => instead(if is_opening { Relation::Opening } else { Relation::Turn }),
                _ if ask.is_probe() && is_bare && !is_near => None,
                _ if ask.is_probe() => hit(Relation::Side, known),
                How::Failed | How::Cut => {
                    let soon = between(state.last, now) <= RETRY_WITHIN;
                    if is_bare && !(is_near && soon) { None } else { instead(Relation::Retry) }
                }
                // What was answered is not tried again, but by somebody else whose first try was not seen.
                How::Open if retries > 0 && (is_near || !is_bare) => hit(Relation::Retry, known),
                How::Answered if retries > 0 && !is_bare => hit(Relation::Retry, known),
                How::Open | How::Answered if is_bare => None,
                How::Open => hit(Relation::Fork, known),
                How::Answered => hit(Relation::Regenerate, known),
            },
            By::Asked => {
                let by_model = ask.units.list.get(known).is_some_and(|unit| unit.by_model());
                match node.how {
                    How::Cut if by_model && !is_bare => follow(known + 1),
                    How::Answered if by_model && node.answered == 0 && !is_bare => follow(known + 1),
                    // Nothing was said, and clients leave nothing out.
                    How::Answered if !by_model && node.answered == 0 && (is_near || !is_bare) => {
                        follow(known)
                    }
                    How::Answered if is_told => hit(Relation::Edit, known),
                    How::Answered if !by_model && !is_bare => hit(Relation::Edit, known),
                    How::Failed | How::Cut | How::Open if !by_model && (is_near || !is_bare) => follow(known),
                    How::Probe => hit(Relation::Turn, known).filter(|_| !is_bare),
                    _ => None,
                }
            }
            By::Answered => {
                if !is_told && !is_near && node.telling == Telling::No {
                    return None;
                }
                if is_whole { hit(Relation::Turn, known) } else { follow(known) }
            }
        }?;
        let is_next = matches!(hit.relation, Relation::Turn | Relation::Retry);
        Some(((closeness, hints, is_next), hit))
    }
}

/// The best of these calls to follow; none of them where several are alike.
fn clearest(fits: impl Iterator<Item = (Rank, Hit)>) -> Option<Clear> {
    let mut best: Option<Clear> = None;
    for (rank, next) in fits {
        let Some((known, hit)) = &mut best else {
            best = Some((rank, Some(next)));
            continue;
        };
        let same = hit.filter(|hit| hit.session == next.session);
        match rank.cmp(known).then(same.map_or(Ordering::Equal, |hit| next.node.call.cmp(&hit.node.call))) {
            Ordering::Greater => best = Some((rank, Some(next))),
            Ordering::Equal if same.is_none() => *hit = None,
            Ordering::Equal | Ordering::Less => {}
        }
    }
    best
}

/// What a call is that goes on from the answer to `node`: `asked` is all that it says. The call that is the same, where
/// there is one.
fn next_of<'s>(state: &'s State, node: &Node, asked: u64) -> (Relation, Option<&'s Node>) {
    let same =
        state.tree.children(node.call).filter(|child| child.asked == asked).max_by_key(|child| child.call);
    let mut others = state.tree.children(node.call);
    match same {
        Some(same) => match same.how {
            How::Failed | How::Cut => (Relation::Retry, Some(same)),
            How::Open => (Relation::Fork, Some(same)),
            How::Answered | How::Probe => (Relation::Regenerate, Some(same)),
        },
        None if state.tree.is_tip(node.call) => (Relation::Turn, None),
        None if others.any(|child| child.how == How::Open) => (Relation::Fork, None),
        None => (Relation::Edit, None),
    }
}
