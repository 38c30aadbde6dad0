//! Rooms: where forwarding threads read what is large.
//!
//! The system writes a body into them, and who watches holds them until it has read it. How dear that writing is
//! depends on the memory it goes to: least where it was in use a moment ago, and where few pages are many bytes. So the
//! rooms lie side by side in huge pages, and the first that is free is taken (bench/TRIED.md).

use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

/// The least that is given a room, bytes: the next smaller step that hyper takes is 64 KiB.
pub(super) const LEAST: usize = 128 * 1024;

/// A room, bytes. hyper reads no more than 408 KiB of a client at once.
pub(super) const ROOM: usize = 512 * 1024;

/// Where a room begins is a multiple of this, bytes.
pub(super) const ALIGN: usize = 4096;

/// How many there are: with whole ones, as much as the journal takes of bodies, and what hyper holds.
const ROOMS: usize = u64::BITS as usize;

/// A huge page, bytes.
const PAGE: usize = 2 * 1024 * 1024;

/// Rooms in a huge page.
const IN_A_PAGE: usize = PAGE / ROOM;

/// Some rooms, whose memory is asked of the system with the first of them.
#[derive(Debug)]
pub(super) struct Rooms {
    /// Where the first one is; null where the system gave nothing.
    first: OnceLock<AtomicPtr<u8>>,
    /// A bit for each that is free.
    free: AtomicU64,
}

impl Rooms {
    pub(super) const fn new() -> Self {
        Self { first: OnceLock::new(), free: AtomicU64::new(0) }
    }

    /// A room, or null where none is free.
    pub(super) fn take(&self) -> *mut u8 {
        let first = self.first.get_or_init(|| {
            let first = map();
            if !first.is_null() {
                self.free.store(u64::MAX, Relaxed);
            }
            AtomicPtr::new(first)
        });
        let taken = self.free.fetch_update(Acquire, Relaxed, |free| (free != 0).then(|| free & (free - 1)));
        match taken {
            Ok(free) => first.load(Relaxed).wrapping_add(free.trailing_zeros() as usize * ROOM),
            Err(_) => null_mut(),
        }
    }

    /// Which room begins there, if one does.
    fn number(&self, block: *const u8) -> Option<usize> {
        let first = self.first.get()?.load(Relaxed);
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

    /// Gives the memory of free rooms back to the system, but for the first few: who asks little, and seldom, does not
    /// ask for it anew each time.
    pub(super) fn give_back(&self) {
        let Some(first) = self.first.get().map(|first| first.load(Relaxed)).filter(|first| !first.is_null())
        else {
            return;
        };
        for page in 1..ROOMS / IN_A_PAGE {
            let rooms = ((1 << IN_A_PAGE) - 1) << (page * IN_A_PAGE);
            let all_free = |free| (free & rooms == rooms).then_some(free & !rooms);
            if self.free.fetch_update(Acquire, Relaxed, all_free).is_ok() {
                forget(first.wrapping_add(page * PAGE));
                self.free.fetch_or(rooms, Release);
            }
        }
    }
}

/// Memory for the rooms, where a huge page begins; null where there is none.
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

/// Gives a huge page back, of which nothing is in use.
fn forget(page: *mut u8) {
    #[cfg(target_os = "linux")]
    #[expect(unsafe_code, reason = "no crate has a safe way")]
    // SAFETY: its rooms are free, and were just taken by the caller. What is given back reads as zeros.
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

    #[test]
    fn the_first_that_is_free_is_taken_until_there_is_none() {
        let rooms = Rooms::new();
        assert!(!rooms.hold(null_mut()) && !rooms.give(null_mut()));
        let all: Vec<_> = (0..ROOMS).map(|_| rooms.take()).collect();
        assert!(all.iter().zip(&all[1..]).all(|(one, next)| next.addr() - one.addr() == ROOM));
        assert_eq!(all[0].addr() % PAGE, 0);
        assert!(rooms.take().is_null());
        assert!(rooms.give(all[7]) && rooms.give(all[3]));
        assert_eq!([rooms.take(), rooms.take(), rooms.take()], [all[3], all[7], null_mut()]);
    }

    #[test]
    fn what_is_no_room_of_these_is_not_taken_back() {
        let (rooms, others) = (Rooms::new(), Rooms::new());
        let (first, other) = (rooms.take(), others.take());
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
        let all: Vec<_> = (0..ROOMS).map(|_| rooms.take()).collect();
        all.iter().for_each(|room| fill(*room, 7));
        let held = [5, 63];
        all.iter()
            .enumerate()
            .filter(|(n, _)| !held.contains(n))
            .for_each(|(_, room)| assert!(rooms.give(*room)));
        rooms.give_back();
        assert!(held.iter().all(|n| is_all(all[*n], 7)));
        let again: Vec<_> = (0..ROOMS - held.len()).map(|_| rooms.take()).collect();
        assert!(rooms.take().is_null(), "what is held was never free");
        let stayed = again.iter().filter(|room| is_all(**room, 7)).count();
        let expected = if cfg!(target_os = "linux") { 4 + 3 + 3 } else { again.len() };
        assert_eq!(stayed, expected, "the first page, and those of which a room is held");
    }

    #[test]
    fn nobody_shares_a_room() {
        static SHARED: Rooms = Rooms::new();
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
        assert_eq!(SHARED.free.load(Relaxed), u64::MAX, "all are free again");
    }
}
