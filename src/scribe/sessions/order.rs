//! Which session was heard of last.

/// Sessions, by their places, in the order in which they were put here. Each is linked with its neighbours in one
/// vector: to move one costs the same however many there are, and nothing is allocated for it.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Of each place. One that is not here is its own neighbour; beside the ends is [`OUTSIDE`].
    links: Vec<Link>,
    oldest: Option<u32>,
    latest: Option<u32>,
    count: usize,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    /// The one that was put here before it.
    older: u32,
    /// The one that was put here after it.
    later: u32,
}

impl Order {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The one that was put here before all others.
    pub(super) fn oldest(&self) -> Option<u32> {
        self.oldest
    }

    /// Puts one behind all others, wherever it was.
    pub(super) fn put(&mut self, slot: u32) {
        if self.latest == Some(slot) {
            return;
        }
        self.take(slot);
        let known = u32::try_from(self.links.len()).unwrap_or(u32::MAX);
        self.links.extend((known..=slot).map(|slot| Link { older: slot, later: slot }));
        let Some(latest) = self.latest else {
            self.set(slot, Link { older: OUTSIDE, later: OUTSIDE });
            (self.oldest, self.latest, self.count) = (Some(slot), Some(slot), 1);
            return;
        };
        if let Some(link) = self.link(latest) {
            self.set(latest, Link { later: slot, ..link });
        }
        self.set(slot, Link { older: latest, later: OUTSIDE });
        self.latest = Some(slot);
        self.count += 1;
    }

    /// Takes one out, if it is here.
    pub(super) fn take(&mut self, slot: u32) {
        let Some(Link { older, later }) = self.link(slot).filter(|link| link.older != slot) else { return };
        match self.link(older) {
            Some(link) => self.set(older, Link { later, ..link }),
            None => self.oldest = Self::inside(later),
        }
        match self.link(later) {
            Some(link) => self.set(later, Link { older, ..link }),
            None => self.latest = Self::inside(older),
        }
        self.set(slot, Link { older: slot, later: slot });
        self.count -= 1;
    }

    /// All, the latest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        std::iter::successors(self.latest, |slot| Self::inside(self.link(*slot)?.older))
    }

    fn link(&self, slot: u32) -> Option<Link> {
        self.links.get(slot as usize).copied()
    }

    fn set(&mut self, slot: u32, link: Link) {
        if let Some(place) = self.links.get_mut(slot as usize) {
            *place = link;
        }
    }

    fn inside(slot: u32) -> Option<u32> {
        (slot != OUTSIDE).then_some(slot)
    }
}

/// No place: so many sessions are never held.
const OUTSIDE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_order_in_which_they_were_put(steps in prop::collection::vec((any::<bool>(), 0_u32..8), 0..100)) {
            let (mut order, mut plain) = (Order::default(), VecDeque::new());
            for (puts, slot) in steps {
                plain.retain(|other| *other != slot);
                if puts {
                    plain.push_front(slot);
                    order.put(slot);
                } else {
                    order.take(slot);
                }
                prop_assert_eq!(order.iter().collect::<VecDeque<_>>(), plain.clone());
                prop_assert_eq!((order.oldest(), order.len()), (plain.back().copied(), plain.len()));
            }
        }
    }
}
