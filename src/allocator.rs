//! The program's allocator: mimalloc, and what it is told of how this program uses memory.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

use mimalloc::MiMalloc;

/// From here on a block is one that bodies are read into, bytes.
const LARGE: usize = 64 * 1024;

/// After so many bytes of large blocks a thread takes back what others have freed of its own.
const TAKE_BACK_AFTER: usize = 1024 * 1024;

/// mimalloc, which makes the many small allocations of a request cheaper. Without huge pages (`no_thp`): with them each
/// thread that begins to allocate holds 2 MiB more, and forwarding is no faster (bench/TRIED.md).
///
/// What is read of a body belongs to the thread that forwards it, and is freed by one that watches. mimalloc hands such
/// a block back to its owner when that has asked a hundred times for room that was not at hand: with large bodies after
/// 40 MiB of them, all read into memory that nobody had touched before. So a thread that takes large blocks is given
/// back first what others freed.
///
/// A program with interceptors of its own has it by `#[global_allocator]`, as `perimeter` does; everything works with
/// any other, too.
#[derive(Debug)]
pub struct Allocator;

thread_local! {
    /// Bytes of large blocks that were taken since the last time.
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

#[inline]
fn before_taking(size: usize) {
    if size >= LARGE {
        before_taking_large(size);
    }
}

#[cold]
fn before_taking_large(size: usize) {
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
// SAFETY: all blocks are mimalloc's, and so are their promises.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        before_taking(layout.size());
        // SAFETY: the caller's promises are handed on.
        unsafe { MiMalloc.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        before_taking(layout.size());
        // SAFETY: the caller's promises are handed on.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are handed on.
        unsafe { MiMalloc.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        before_taking(size);
        // SAFETY: the caller's promises are handed on.
        unsafe { MiMalloc.realloc(block, layout, size) }
    }
}

/// Keeps memory that was freed for a minute before it goes back to the system, in place of ten milliseconds. Bodies
/// come in bursts, an agent's a turn apart; with each, what those who watch hold would be asked of the system anew, page
/// by page, on the forwarding threads: up to three times the cost of forwarding itself (bench/TRIED.md).
pub fn keep_freed_memory() {
    /// `mi_option_purge_delay` (mimalloc.h; milliseconds), which the crate has no name for.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    /// `mi_option_arena_purge_mult`: how many times as long large blocks are kept.
    const FOR_LARGE_BLOCKS: libmimalloc_sys::mi_option_t = 24;
    #[expect(unsafe_code, reason = "the crate has no safe way; see above for what it is worth")]
    // SAFETY: it stores numbers in a table of the allocator's, before any thread is started.
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, 60_000);
        libmimalloc_sys::mi_option_set(FOR_LARGE_BLOCKS, 1);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn what_another_thread_frees_is_used_again_soon() {
        let (watched, watching) = mpsc::channel::<Vec<u8>>();
        let (freed, was_freed) = mpsc::channel();
        let watcher = thread::spawn(move || {
            for block in watching {
                drop(block);
                freed.send(()).unwrap();
            }
        });
        let mut places = HashSet::new();
        for _ in 0..90 {
            let block = Vec::<u8>::with_capacity(400 * 1024);
            places.insert(block.as_ptr().addr());
            watched.send(block).unwrap();
            was_freed.recv().unwrap();
        }
        drop(watched);
        watcher.join().unwrap();
        assert!(places.len() <= 6, "90 blocks of 400 KiB, one at a time, were in {} places", places.len());
    }
}
