//! Where a call belongs.

use std::sync::Arc;

use perimeter_interceptor::Relation;

use super::tree::Telling;

/// Where a call belongs.
#[derive(Clone, Debug)]
pub(in crate::scribe) struct Found {
    pub(super) place: Place,
    pub(super) relation: Relation,
    /// The call that it follows, or belongs to.
    pub(super) parent: Option<u32>,
    /// The call whose answer it goes on from.
    pub(super) goes_on: u32,
    pub(super) thread: Option<u16>,
    /// It takes the place of this call in the tree, since it is the same.
    pub(super) instead: Option<u8>,
    /// So many of its units are known.
    pub(super) known: usize,
    /// Who may go on with it.
    pub(super) scope: u64,
    /// The same, and which agent of the session, where it has several.
    pub(super) lane: u64,
    /// What was said before its messages, as a hash.
    pub(super) base: u64,
    pub(super) telling: Telling,
    /// To say it, more of the request has to be read than was.
    pub(in crate::scribe) wants_all: bool,
}

/// In which session.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// One that is held.
    Held(u32),
    /// A new one of this name.
    Named(Arc<str>),
    /// A new one.
    New,
    /// One of this exchange alone.
    Alone,
}

impl Found {
    pub(super) fn new(place: Place, scope: u64) -> Self {
        Self {
            place,
            relation: Relation::Opening,
            parent: None,
            goes_on: 0,
            thread: None,
            instead: None,
            known: 0,
            scope,
            lane: scope,
            base: scope,
            telling: Telling::No,
            wants_all: false,
        }
    }

    pub(super) fn wanting_all(scope: u64) -> Self {
        Self { wants_all: true, ..Self::new(Place::New, scope) }
    }

    /// What stands beside the call that this one would follow.
    pub(super) fn beside_it(&self) -> Option<Self> {
        match self.place {
            Place::Held(session) => Some(Self::beside(session, self.scope, Relation::Side, self.parent)),
            _ => None,
        }
    }

    pub(super) fn in_lane(self, lane: u64) -> Self {
        Self { lane, base: lane, ..self }
    }

    /// A new line of talk in a session that is held.
    pub(super) fn beside(session: u32, scope: u64, relation: Relation, parent: Option<u32>) -> Self {
        Self { relation, parent, ..Self::new(Place::Held(session), scope) }
    }
}
