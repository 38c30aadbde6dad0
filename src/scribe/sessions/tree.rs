//! The calls of a session, and which of them goes on from which.

/// So many calls of a session are remembered, at most: those that nothing goes on from yet, and of the others more of
/// the late than of the early ones.
pub(super) const MOST: usize = 20;

/// A call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// All that was said when it was made, as a hash.
    pub(super) asked: u64,
    /// That, and the answer to it; 0 as long as there is none.
    pub(super) answered: u64,
    /// The answer, and what was said right before it; 0 as long as there is none.
    pub(super) pair: u64,
    /// Its number in the session.
    pub(super) call: u32,
    /// The number of the call that it goes on from; 0 where there is none.
    pub(super) parent: u32,
    pub(super) thread: u16,
    pub(super) how: How,
    pub(super) telling: Telling,
    /// Whether another call goes on from it, which may be forgotten by now.
    pub(super) is_followed: bool,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// It is being answered.
    Open,
    Answered,
    /// Its answer broke off.
    Cut,
    /// There was none.
    Failed,
    /// It asked for no answer: it counted tokens.
    Probe,
}

/// Whether the answers so far show which conversation this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Telling {
    No,
    /// An earlier one does.
    Earlier,
    /// The last one does.
    Itself,
}

impl Telling {
    /// As it is for what goes on from there.
    pub(super) fn after(self) -> Self {
        self.min(Self::Earlier)
    }
}

/// The calls that are remembered.
#[derive(Debug, Default)]
pub(super) struct Tree(Vec<Node>);

impl Tree {
    pub(super) fn get(&self, node: u8) -> Option<&Node> {
        self.0.get(usize::from(node))
    }

    pub(super) fn get_mut(&mut self, node: u8) -> Option<&mut Node> {
        self.0.get_mut(usize::from(node))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u8, &Node)> {
        (0..).zip(&self.0)
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.len() >= MOST
    }

    /// Adds a call where there is room, or in place of another one.
    pub(super) fn put(&mut self, node: Node, instead: Option<u8>) -> Option<u8> {
        let at = match instead {
            Some(at) => {
                *self.get_mut(at)? = node;
                at
            }
            None if self.is_full() => return None,
            None => {
                // It grows by little, since there are many of these.
                if self.0.len() == self.0.capacity() {
                    let more = if self.0.len() < 2 { 1 } else { 6 };
                    self.0.reserve_exact(more.min(MOST - self.0.len()));
                }
                self.0.push(node);
                u8::try_from(self.0.len() - 1).ok()?
            }
        };
        if node.how != How::Probe {
            let parents = self.0.iter_mut().filter(|earlier| earlier.call == node.parent);
            parents.for_each(|parent| parent.is_followed = true);
        }
        Some(at)
    }

    /// The call of this number.
    pub(super) fn of_call(&self, call: u32) -> Option<u8> {
        self.iter().find(|(_, node)| node.call == call).map(|(at, _)| at)
    }

    /// The calls that go on from this one.
    pub(super) fn children(&self, call: u32) -> impl Iterator<Item = &Node> {
        self.0.iter().filter(move |node| node.parent == call && node.how != How::Probe)
    }

    /// Whether nothing goes on from this call yet.
    pub(super) fn is_tip(&self, call: u32) -> bool {
        !self.0.iter().any(|node| node.call == call && node.is_followed)
    }

    /// The latest call that was answered, and nothing goes on from: of a thread, or of all.
    pub(super) fn latest(&self, thread: Option<u16>) -> Option<&Node> {
        let within = |node: &&Node| thread.is_none_or(|thread| node.thread == thread);
        let answered = |node: &&Node| matches!(node.how, How::Answered | How::Cut);
        let latest = |nodes: &mut dyn Iterator<Item = &'_ Node>| nodes.map(|node| node.call).max();
        let tips =
            latest(&mut self.0.iter().filter(within).filter(answered).filter(|node| self.is_tip(node.call)));
        let call = tips.or_else(|| latest(&mut self.0.iter().filter(within)))?;
        self.0.iter().find(|node| node.call == call)
    }

    /// The call to forget where there is no room: one that something goes on from already, the less missed the more
    /// calls are remembered around it and the longer it is ago.
    pub(super) fn least(&self) -> Option<u8> {
        let mut calls: Vec<u32> = self.0.iter().map(|node| node.call).collect();
        calls.sort_unstable();
        let last = calls.last().copied()?;
        let gap = |call: u32| {
            let at = calls.partition_point(|other| *other < call);
            let before = at.checked_sub(1).and_then(|at| calls.get(at)).copied().unwrap_or(0);
            let behind = calls.get(at + 1).copied().unwrap_or(u32::MAX);
            u64::from(behind - before) * 1024 / (u64::from(last - call) + 1)
        };
        let idle = || self.iter().filter(|(_, node)| node.how != How::Open);
        let inner = idle().filter(|(_, node)| !self.is_tip(node.call)).min_by_key(|(_, node)| gap(node.call));
        let least = inner.or_else(|| idle().min_by_key(|(_, node)| node.call));
        least.or_else(|| self.iter().next()).map(|(at, _)| at)
    }
}
