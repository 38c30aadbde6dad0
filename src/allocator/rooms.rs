//! Rooms: where forwarding threads read what is large.
//!
//! The system writes a body into them, and who watches holds them until it has read it. How dear that writing is
//! depends on the memory it goes to: least where it was in use a moment ago, and where few pages are many bytes. So the
//! rooms lie side by side in huge pages, and the first that is free is taken (bench/TRIED.md).
//!
//! To ask the system for a huge page takes a fifth of a millisecond, and more than ten where it has to look for one: a
//! thread of its own asks, and there is no room until then.

use std::ptr::null_mut;
use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The least that is given a room, bytes: the next smaller step that hyper takes is 64 KiB.
pub(super) const LEAST: usize = 128 * 1024;

/// A room, bytes. hyper reads no more than 408 KiB of a client at once.
pub(super) const ROOM: usize = 512 * 1024;

/// Where a room begins is a multiple of this, bytes.
pub(super) const ALIGN: usize = 4096;

/// How many there can be: with whole ones, as much as the journal takes of bodies, and what hyper holds.
const ROOMS: usize = u64::BITS as usize;

/// A huge page, bytes.
const PAGE: usize = 2 * 1024 * 1024;

/// Rooms in a huge page.
const IN_A_PAGE: usize = PAGE / ROOM;

/// How many pages there can be.
const PAGES: usize = ROOMS / IN_A_PAGE;

/// Some rooms. There are none until [`Rooms::grow`].
#[derive(Debug)]
pub(super) struct Rooms {
    /// Where the first one is or will be; null until then.
    first: AtomicPtr<u8>,
    /// A bit for each that is free.
    free: AtomicU64,
    /// A bit for each that was taken since the last [`Rooms::give_back`].
    used: AtomicU64,
    /// Whether somebody should be told that there was none, and more can be made.
    wanting: AtomicBool,
    /// Which pages hold rooms.
    pages: Mutex<[bool; PAGES]>,
}

impl Rooms {
    pub(super) const fn new() -> Self {
        Self {
            first: AtomicPtr::new(null_mut()),
            free: AtomicU64::new(0),
            used: AtomicU64::new(0),
            wanting: AtomicBool::new(true),
            pages: Mutex::new([false; PAGES]),
        }
    }

    /// A room, or null where none is free.
    pub(super) fn take(&self) -> *mut u8 {
        let without_the_first = |free: u64| (free != 0).then(|| free & (free - 1));
        let Ok(free) = self.free.fetch_update(Acquire, Relaxed, without_the_first) else { return null_mut() };
        let number = free.trailing_zeros();
        self.used.fetch_or(1 << number, Relaxed);
        self.first.load(Relaxed).wrapping_add(number as usize * ROOM)
    }

    /// Which room `block` is in, if in one.
    fn number(&self, block: *const u8) -> Option<usize> {
        let first = self.first.load(Relaxed);
        let number = block.addr().wrapping_sub(first.addr()) / ROOM;
        (number < ROOMS && !first.is_null()).then_some(number)
    }

    /// Whether `block` is in a room.
    pub(super) fn hold(&self, block: *const u8) -> bool {
        self.number(block).is_some()
    }

    /// Takes `block` back, which nobody uses any more; false where it is no room of these.
    pub(super) fn give(&self, block: *const u8) -> bool {
        let number = self.number(block);
        if let Some(number) = number {
            self.free.fetch_or(1 << number, Release);
        }
        number.is_some()
    }

    /// Whether [`Rooms::grow`] is to be called, says whoever found none; true once until that has been done.
    pub(super) fn are_wanted(&self) -> bool {
        self.wanting.load(Relaxed) && self.wanting.swap(false, Relaxed)
    }

    /// Asks the system for a page of rooms more.
    pub(super) fn grow(&self) {
        let mut pages = self.pages();
        let Some(page) = pages.iter().position(|has_rooms| !has_rooms) else { return };
        if self.first.load(Relaxed).is_null() {
            self.first.store(map(), Relaxed);
        }
        let first = self.first.load(Relaxed);
        // Where the system gives nothing it is not asked again.
        if first.is_null() {
            return;
        }
        touch(first.wrapping_add(page * PAGE));
        pages[page] = true;
        self.free.fetch_or(rooms_of(page), Release);
        self.wanting.store(page + 1 < PAGES, Relaxed);
    }

    /// Whether there are pages that [`Rooms::give_back`] could give back one day.
    pub(super) fn can_give_back(&self) -> bool {
        self.pages().iter().skip(1).any(|has_rooms| *has_rooms)
    }

    /// Gives pages back to the system of which no room was in use since the last time: but for the first, so that who
    /// asks little, and seldom, does not ask for it anew each time.
    pub(super) fn give_back(&self) {
        let used = self.used.swap(0, Relaxed);
        for (page, has_rooms) in self.pages().iter_mut().enumerate().skip(1) {
            let rooms = rooms_of(page);
            let all_of_them = |free: u64| (free & rooms == rooms).then_some(free & !rooms);
            if *has_rooms
                && used & rooms == 0
                && self.free.fetch_update(Acquire, Relaxed, all_of_them).is_ok()
            {
                forget(self.first.load(Relaxed).wrapping_add(page * PAGE));
                *has_rooms = false;
                self.wanting.store(true, Relaxed);
            }
        }
    }

    fn pages(&self) -> MutexGuard<'_, [bool; PAGES]> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bits of a page's rooms.
fn rooms_of(page: usize) -> u64 {
    ((1 << IN_A_PAGE) - 1) << (page * IN_A_PAGE)
}

/// Room for all pages, where a huge page begins; null where there is none.
fn map() -> *mut u8 {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
    const SIZE: usize = ROOMS * ROOM;
    let (how, whose) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    #[expect(unsafe_code, reason = "no crate has a safe way")]
    // SAFETY: the system chooses a place where nothing is.
    let Ok(place) = (unsafe { mmap_anonymous(null_mut(), SIZE + PAGE, how, whose) }) else {
        return null_mut();
    };
    let place = place.cast::<u8>();
    let first = place.wrapping_add(place.align_offset(PAGE));
    #[cfg(target_os = "linux")]
    #[expect(unsafe_code, reason = "no crate has a safe way")]
    // SAFETY: it says how this memory is to be had, and changes nothing in it. A system without huge pages refuses, and
    // gives small ones.
    let _ = unsafe { rustix::mm::madvise(first.cast(), SIZE, rustix::mm::Advice::LinuxHugepage) };
    first
}

/// Makes the system give `page` now.
fn touch(page: *mut u8) {
    for at in (0..PAGE).step_by(ALIGN) {
        #[expect(unsafe_code, reason = "no crate has a safe way")]
        // SAFETY: nobody else has this memory yet, which is mapped to be written to.
        unsafe {
            page.add(at).write_volatile(0);
        }
    }
}

/// Gives `page` back, of which nothing is in use.
fn forget(page: *mut u8) {
    #[cfg(target_os = "linux")]
    #[expect(unsafe_code, reason = "no crate has a safe way")]
    // SAFETY: its rooms are free, and the caller has taken them. What is given back reads as zeros.
    let _ = unsafe { rustix::mm::madvise(page.cast(), PAGE, rustix::mm::Advice::LinuxDontNeed) };
    #[cfg(not(target_os = "linux"))]
    let _ = page;
}

#[cfg(test)]
#[expect(unsafe_code, reason = "memory is written to")]
mod tests {
    use std::slice;
    use std::thread;

    use super::*;

    fn fill(room: *mut u8, with: u8) {
        // SAFETY: the test holds the room.
        unsafe { room.write_bytes(with, ROOM) };
    }

    fn is_all(room: *const u8, value: u8) -> bool {
        // SAFETY: the test holds the room, which the system has zeroed or the test has filled.
        unsafe { slice::from_raw_parts(room, ROOM) }.iter().all(|byte| *byte == value)
    }

    /// All that there can be, in their order.
    fn all(rooms: &Rooms) -> Vec<*mut u8> {
        (0..PAGES).for_each(|_| rooms.grow());
        (0..ROOMS).map(|_| rooms.take()).collect()
    }

    #[test]
    fn there_are_as_many_as_were_wanted() {
        let rooms = Rooms::new();
        assert!(rooms.take().is_null() && rooms.are_wanted());
        assert!(!rooms.are_wanted(), "it was said once");
        let taken: Vec<_> = (0..PAGES)
            .flat_map(|page| {
                rooms.grow();
                assert_eq!(rooms.are_wanted(), page + 1 < PAGES);
                (0..=IN_A_PAGE).map(|_| rooms.take()).collect::<Vec<_>>()
            })
            .filter(|room| !room.is_null())
            .collect();
        assert_eq!(taken.len(), ROOMS);
        rooms.grow();
        assert!(rooms.take().is_null());
        assert!(taken.iter().all(|room| rooms.give(*room)));
        rooms.give_back();
        assert!(!rooms.are_wanted() && rooms.can_give_back(), "they were in use a moment ago");
        rooms.give_back();
        assert!(rooms.are_wanted() && !rooms.can_give_back());
        assert_eq!(rooms.free.load(Relaxed), 0b1111);
    }

    #[test]
    fn the_first_that_is_free_is_taken_until_there_is_none() {
        let rooms = Rooms::new();
        assert!(!rooms.hold(null_mut()) && !rooms.give(null_mut()));
        let all = all(&rooms);
        assert!(all.iter().zip(&all[1..]).all(|(one, next)| next.addr() - one.addr() == ROOM));
        assert_eq!(all[0].addr() % PAGE, 0);
        assert!(rooms.take().is_null());
        assert!(rooms.give(all[7]) && rooms.give(all[3]));
        assert_eq!([rooms.take(), rooms.take(), rooms.take()], [all[3], all[7], null_mut()]);
    }

    #[test]
    fn what_is_no_room_of_these_is_not_taken_back() {
        let (rooms, others) = (Rooms::new(), Rooms::new());
        let (first, other) = (all(&rooms)[0], all(&others)[0]);
        assert!(rooms.hold(first) && rooms.hold(first.wrapping_add(ROOMS * ROOM - 1)));
        for block in
            [other, first.wrapping_sub(1), first.wrapping_add(ROOMS * ROOM), Box::into_raw(Box::new(0))]
        {
            assert!(!rooms.hold(block) && !rooms.give(block), "{block:?}");
        }
    }

    #[test]
    fn memory_is_given_back_where_nobody_holds_any_of_its_page() {
        let rooms = Rooms::new();
        let all = all(&rooms);
        all.iter().for_each(|room| fill(*room, 7));
        let held = [5, 63];
        all.iter()
            .enumerate()
            .filter(|(n, _)| !held.contains(n))
            .for_each(|(_, room)| assert!(rooms.give(*room)));
        rooms.give_back();
        rooms.give_back();
        assert!(held.iter().all(|n| is_all(all[*n], 7)));
        let again: Vec<_> = (0..10).map(|_| rooms.take()).collect();
        assert_eq!(
            again[4..],
            [all[4], all[6], all[7], all[60], all[61], all[62]],
            "the first page, and those where"
        );
        assert!(again.iter().all(|room| is_all(*room, 7)), "a room is held, stay as they were");
        assert!(rooms.take().is_null());
        rooms.grow();
        assert_eq!(rooms.take(), all[8]);
        assert!(is_all(all[8], if cfg!(target_os = "linux") { 0 } else { 7 }));
    }

    #[test]
    fn what_little_traffic_does_not_use_is_given_back() {
        let rooms = Rooms::new();
        let all = all(&rooms);
        rooms.give_back();
        all.iter().for_each(|room| assert!(rooms.give(*room)));
        assert_eq!((0..6).map(|_| rooms.take()).collect::<Vec<_>>(), all[..6]);
        rooms.give_back();
        assert_eq!(rooms.free.load(Relaxed), 0b1100_0000, "of the second page two are in use");
    }

    #[test]
    fn nobody_shares_a_room() {
        static SHARED: Rooms = Rooms::new();
        (0..PAGES).for_each(|_| SHARED.grow());
        let threads: Vec<_> = (1..=4_u8)
            .map(|thread| {
                thread::spawn(move || {
                    for _ in 0..300 {
                        let rooms: Vec<_> =
                            (0..20).map(|_| SHARED.take()).filter(|room| !room.is_null()).collect();
                        // SAFETY: the rooms are this thread's.
                        rooms.iter().for_each(|room| unsafe { room.write_bytes(thread, 64) });
                        if thread == 1 {
                            SHARED.give_back();
                            SHARED.give_back();
                            SHARED.grow();
                        }
                        for room in rooms {
                            // SAFETY: as before.
                            assert_eq!(unsafe { slice::from_raw_parts(room, 64) }, [thread; 64]);
                            assert!(SHARED.give(room));
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        (0..PAGES).for_each(|_| SHARED.grow());
        assert_eq!(SHARED.free.load(Relaxed), u64::MAX, "all are free again");
    }
}
