//! The program's allocator: mimalloc, and what it is told of how this program uses memory.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use mimalloc::MiMalloc;

use crate::priority;
use rooms::Rooms;

mod rooms;

/// From here on a block is large, bytes: bodies are read into such.
const LARGE: usize = 64 * 1024;

/// How long memory that nobody uses is kept. Bodies come in bursts, an agent's a turn apart; with each, what those who
/// watch hold would be asked of the system anew, page by page, on the forwarding threads: up to three times the cost of
/// forwarding itself (bench/TRIED.md).
const KEPT: Duration = Duration::from_secs(60);

/// After so many bytes of large blocks a thread takes back what others have freed of its own.
const TAKE_BACK_AFTER: usize = 1024 * 1024;

/// mimalloc, which makes the many small allocations of a request cheaper, with rooms (`rooms.rs`) for what forwarding
/// threads read where somebody watches. Without huge pages (`no_thp`) for everything else: with them each thread that
/// begins to allocate holds 2 MiB more, and forwarding is no faster (bench/TRIED.md).
///
/// A program with interceptors of its own has it by `#[global_allocator]`, as `perimeter` does; everything works with
/// any other, too.
#[derive(Debug)]
pub struct Allocator;

static ROOMS: Rooms = Rooms::new();

thread_local! {
    /// Whether this thread reads what is large into rooms.
    static READS: Cell<bool> = const { Cell::new(false) };
    /// Bytes of large blocks that were taken since the last time.
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

/// From now on the calling thread has rooms, while there are any, for what it takes to read into.
pub(crate) fn read_into_rooms() {
    READS.set(true);
}

/// Who asks the system for memory of rooms, and gives it back; none where the system had no thread for it.
static KEEPER: OnceLock<Option<Thread>> = OnceLock::new();

/// Whether the keeper is to make rooms.
static WANTED: AtomicBool = AtomicBool::new(false);

/// Starts the keeper, if there is none. Without it there are no rooms.
pub(crate) fn keep_rooms() {
    let keeper = KEEPER.get_or_init(|| {
        thread::Builder::new()
            .name("perimeter-rooms".to_owned())
            .stack_size(128 * 1024)
            .spawn(keep)
            .inspect_err(|error| tracing::debug!(%error, "bodies are read to wherever memory is"))
            .ok()
            .map(|keeper| keeper.thread().clone())
    });
    // Who wanted rooms before it was known here has woken nobody.
    if let Some(keeper) = keeper {
        keeper.unpark();
    }
}

fn keep() {
    priority::behind_the_traffic();
    let mut looked = Instant::now();
    loop {
        if looked.elapsed() >= KEPT {
            looked = Instant::now();
            ROOMS.give_back();
        }
        if WANTED.swap(false, Relaxed) {
            ROOMS.grow();
        }
        match ROOMS.can_give_back() {
            true => thread::park_timeout(KEPT),
            false => thread::park(),
        }
    }
}

fn wake_the_keeper() {
    WANTED.store(true, SeqCst);
    if let Some(Some(keeper)) = KEEPER.get() {
        keeper.unpark();
    }
}

/// Whether `block` is in a room.
pub(crate) fn is_room(block: *const u8) -> bool {
    ROOMS.hold(block)
}

/// Whether a thread that reads is to have a room for it.
fn fits_a_room(layout: Layout) -> bool {
    (rooms::LEAST..=rooms::ROOM).contains(&layout.size()) && layout.align() <= rooms::ALIGN
}

/// A block that is large: a room, or one of mimalloc's.
#[cold]
fn take_large(layout: Layout) -> *mut u8 {
    if READS.get() && fits_a_room(layout) {
        let room = ROOMS.take();
        if !room.is_null() {
            return room;
        }
        if ROOMS.are_wanted() {
            wake_the_keeper();
        }
    }
    take_back(layout.size());
    #[expect(unsafe_code, reason = "an allocator is")]
    // SAFETY: who asks for a large block promised that it has a size.
    unsafe {
        MiMalloc.alloc(layout)
    }
}

/// What is read of a body belongs to the thread that forwards it, and is freed by one that watches. mimalloc hands such
/// a block back to its owner when that has asked a hundred times for room that was not at hand: with large bodies after
/// 40 MiB of them, all read into memory that nobody had touched before. So a thread that takes `size` bytes more is
/// given back first what others freed.
#[cold]
fn take_back(size: usize) {
    let taken = TAKEN.get().saturating_add(size);
    if taken < TAKE_BACK_AFTER {
        return TAKEN.set(taken);
    }
    TAKEN.set(0);
    #[expect(unsafe_code, reason = "the crate has no safe way")]
    // SAFETY: any thread may ask at any time, and here none is in the middle of an allocation.
    unsafe {
        libmimalloc_sys::mi_collect(false);
    }
}

#[expect(unsafe_code, reason = "an allocator is")]
// SAFETY: a block is mimalloc's with mimalloc's promises, or a room, which nobody else has until it is given back; rooms
// are known by where they are, and by a size that only such blocks have.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() >= LARGE {
            return take_large(layout);
        }
        // SAFETY: the caller's promises are handed on.
        unsafe { MiMalloc.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.size() >= LARGE {
            take_back(layout.size());
        }
        // SAFETY: the caller's promises are handed on.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if layout.size() >= LARGE {
            // SAFETY: the caller's promises are handed on.
            return unsafe { free_large(block, layout) };
        }
        // SAFETY: the caller's promises are handed on.
        unsafe { MiMalloc.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.size() >= LARGE || size >= LARGE {
            // SAFETY: the caller's promises are handed on.
            return unsafe { resize_large(block, layout, size) };
        }
        // SAFETY: the caller's promises are handed on.
        unsafe { MiMalloc.realloc(block, layout, size) }
    }
}

/// A room is given back to where it came from; what was large and none, to mimalloc.
///
/// # Safety
///
/// As for [`GlobalAlloc::dealloc`].
#[cold]
#[expect(unsafe_code, reason = "an allocator is")]
unsafe fn free_large(block: *mut u8, layout: Layout) {
    if !ROOMS.give(block) {
        // SAFETY: the caller's promises are handed on.
        unsafe { MiMalloc.dealloc(block, layout) }
    }
}

/// For a block that is large, or is to be. What is in a room stays there as long as it fits one.
///
/// # Safety
///
/// As for [`GlobalAlloc::realloc`].
#[cold]
#[expect(unsafe_code, reason = "an allocator is")]
unsafe fn resize_large(block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
    if !ROOMS.hold(block) {
        take_back(size);
        // SAFETY: the caller's promises are handed on.
        return unsafe { MiMalloc.realloc(block, layout, size) };
    }
    // SAFETY: the caller promises that these are a layout.
    let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
    if fits_a_room(wanted) {
        return block;
    }
    // SAFETY: `size` is not zero, says the caller; both blocks are as long as what is copied, and the old one is not used
    // again.
    unsafe {
        let new = Allocator.alloc(wanted);
        if !new.is_null() {
            new.copy_from_nonoverlapping(block, size.min(layout.size()));
            ROOMS.give(block);
        }
        new
    }
}

/// Makes mimalloc keep memory that was freed for a minute before it goes back to the system, in place of ten
/// milliseconds.
pub fn keep_freed_memory() {
    /// `mi_option_purge_delay` (mimalloc.h; milliseconds), which the crate has no name for.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    /// `mi_option_arena_purge_mult`: how many times as long large blocks are kept.
    const FOR_LARGE_BLOCKS: libmimalloc_sys::mi_option_t = 24;
    #[expect(unsafe_code, reason = "the crate has no safe way; see above for what it is worth")]
    // SAFETY: it stores numbers in a table of the allocator's, before any thread is started.
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, KEPT.as_millis() as _);
        libmimalloc_sys::mi_option_set(FOR_LARGE_BLOCKS, 1);
    }
}

#[cfg(test)]
#[expect(unsafe_code, reason = "the allocator itself is called")]
mod tests {
    use std::collections::HashSet;
    use std::slice;
    use std::sync::mpsc;

    use super::*;

    /// A block of 400 KiB, by its address.
    fn take() -> usize {
        // SAFETY: the size is not zero.
        unsafe { Allocator.alloc(layout(400)) }.expose_provenance()
    }

    fn free(block: usize) {
        // SAFETY: it is one of `take`.
        unsafe { Allocator.dealloc(std::ptr::with_exposed_provenance_mut(block), layout(400)) };
    }

    fn layout(kib: usize) -> Layout {
        Layout::from_size_align(kib * 1024, 1).unwrap()
    }

    #[test]
    fn what_another_thread_frees_is_used_again_soon() {
        let (watched, watching) = mpsc::channel();
        let (freed, was_freed) = mpsc::channel();
        let watcher = thread::spawn(move || {
            for block in watching {
                free(block);
                freed.send(()).unwrap();
            }
        });
        let mut places = HashSet::new();
        for _ in 0..90 {
            let block = take();
            places.insert(block);
            watched.send(block).unwrap();
            was_freed.recv().unwrap();
        }
        drop(watched);
        watcher.join().unwrap();
        assert!(places.len() <= 6, "90 blocks of 400 KiB, one at a time, were in {} places", places.len());
    }

    #[test]
    fn who_reads_has_rooms_whoever_frees_them() {
        (0..3).for_each(|_| ROOMS.grow());
        assert!(!is_room(std::ptr::with_exposed_provenance(take())), "this thread reads nothing");
        read_into_rooms();
        for _ in 0..20 {
            let held: Vec<_> = (0..10).map(|_| take()).collect();
            assert!(held.iter().all(|block| is_room(std::ptr::with_exposed_provenance(*block))));
            thread::spawn(move || held.into_iter().for_each(free)).join().unwrap();
        }
    }

    #[test]
    fn what_is_in_a_room_grows_there_and_leaves_it_whole() {
        ROOMS.grow();
        read_into_rooms();
        // SAFETY: layouts are those of the blocks, and what is looked at was written.
        unsafe {
            let room = Allocator.alloc(layout(128));
            assert!(is_room(room));
            room.write_bytes(b'a', 128 * 1024);
            assert_eq!(Allocator.realloc(room, layout(128), 512 * 1024), room);
            room.add(128 * 1024).write_bytes(b'b', 384 * 1024);
            let large = Allocator.realloc(room, layout(512), 600 * 1024);
            assert!(!is_room(large));
            let (head, tail) = slice::from_raw_parts(large, 512 * 1024).split_at(128 * 1024);
            assert!(head.iter().all(|byte| *byte == b'a') && tail.iter().all(|byte| *byte == b'b'));
            Allocator.dealloc(large, layout(600));

            let room = Allocator.alloc(layout(128));
            room.write_bytes(b'c', 128 * 1024);
            let small = Allocator.realloc(room, layout(128), 100);
            assert!(!is_room(small));
            assert_eq!(slice::from_raw_parts(small, 100), [b'c'; 100]);
            Allocator.dealloc(small, Layout::from_size_align(100, 1).unwrap());

            let zeroed = Allocator.alloc_zeroed(layout(300));
            assert!(slice::from_raw_parts(zeroed, 300 * 1024).iter().all(|byte| *byte == 0));
            Allocator.dealloc(zeroed, layout(300));
            let wide = Layout::from_size_align(256 * 1024, 64 * 1024).unwrap();
            let block = Allocator.alloc(wide);
            assert!(block.addr().is_multiple_of(64 * 1024) && !is_room(block));
            Allocator.dealloc(block, wide);
        }
    }
}
