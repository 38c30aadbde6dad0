//! The buffer between those who log and the thread that writes.
//!
//! `tracing-appender` has such a thread too, but allocates and wakes it for every line, and tells on stdout when it
//! cannot stop. Here lines are appended to one buffer; the thread lets them gather for a moment, takes the buffer
//! whole and writes it at once.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// What may be held for a reader that is too slow. Bytes.
const MAX_HELD: usize = 4 * 1024 * 1024;

/// How long lines gather, so that a busy proxy wakes the thread a hundred times a second and not for each line.
const GATHER: Duration = Duration::from_millis(10);

/// How long stopping waits for a reader that does not read.
const MAX_WAIT: Duration = Duration::from_secs(1);

static DROPPED: AtomicU64 = AtomicU64::new(0);

/// How many lines were lost because nobody took them, or because they could not be written.
pub(crate) fn dropped_lines() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Where lines are handed in. Never waits for whoever reads them.
#[derive(Clone)]
pub(super) struct Lines(Arc<Shared>);

/// Writes out what is held when it is dropped, for at most a second.
#[must_use = "dropping it ends the log"]
pub(crate) struct Guard(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// To the thread: there are lines where there were none, or it is time to stop.
    work: Condvar,
    /// From the thread: it has written everything and is gone.
    done: Condvar,
}

#[derive(Default)]
struct State {
    held: Vec<u8>,
    /// Lines lost since the log last said so.
    lost: u64,
    closing: bool,
    closed: bool,
}

/// Starts the thread that writes to `out`.
pub(super) fn spawn(out: impl Write + Send + 'static) -> io::Result<(Lines, Guard)> {
    let shared =
        Arc::new(Shared { state: Mutex::new(State::default()), work: Condvar::new(), done: Condvar::new() });
    let thread = Arc::clone(&shared);
    thread::Builder::new().name("perimeter-log".to_owned()).spawn(move || thread.write_all_lines(out))?;
    Ok((Lines(Arc::clone(&shared)), Guard(shared)))
}

impl Shared {
    /// Nothing here can panic halfway, so a poisoned state is still a good one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.closed || state.held.len() + line.len() > MAX_HELD {
            state.lost += 1;
            DROPPED.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let was_empty = state.held.is_empty();
        state.held.extend_from_slice(line);
        drop(state);
        if was_empty {
            self.work.notify_one();
        }
    }

    fn write_all_lines(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        while self.take(&mut batch) {
            if out.write_all(&batch).and_then(|()| out.flush()).is_err() {
                let lines = batch.iter().filter(|byte| **byte == b'\n').count() as u64;
                DROPPED.fetch_add(lines, Ordering::Relaxed);
            }
            batch.clear();
        }
        self.lock().closed = true;
        self.done.notify_all();
    }

    /// Waits for lines and swaps them into `batch`; false when there will be none any more.
    fn take(&self, batch: &mut Vec<u8>) -> bool {
        let mut state = self.lock();
        while state.held.is_empty() && !state.closing {
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !state.closing {
            // Nobody notifies while lines are held, but for the end.
            let gathered = self.work.wait_timeout_while(state, GATHER, |state| !state.closing);
            state = gathered.unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::swap(&mut state.held, batch);
        let lost = std::mem::take(&mut state.lost);
        drop(state);
        if lost > 0 {
            batch.extend_from_slice(
                format!("{lost} log lines were lost here: they came faster than they were read\n").as_bytes(),
            );
        }
        !batch.is_empty()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closing = true;
        self.0.work.notify_one();
        let _ = self.0.done.wait_timeout_while(state, MAX_WAIT, |state| !state.closed);
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// One call is one line: the formatter hands it over whole.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.append(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A reader that takes what is written only when it is let.
    struct Gate {
        takes: mpsc::Receiver<()>,
        taken: mpsc::Sender<String>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // A gate whose holder is gone stands open.
            let _ = self.takes.recv();
            let _ = self.taken.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (Lines, Guard, mpsc::Sender<()>, mpsc::Receiver<String>) {
        let (open, takes) = mpsc::channel();
        let (taken, read) = mpsc::channel();
        let (lines, guard) = spawn(Gate { takes, taken }).unwrap();
        (lines, guard, open, read)
    }

    #[test]
    fn what_is_held_is_written_at_once_and_in_order() {
        let (lines, _guard, open, read) = gated();
        (&lines).write_all(b"first\n").unwrap();
        open.send(()).unwrap();
        let first = read.recv().unwrap();
        for line in ["a\n", "b\n", "c\n"] {
            (&lines).write_all(line.as_bytes()).unwrap();
        }
        drop(open);
        let mut all = first;
        while all.len() < "first\na\nb\nc\n".len() {
            all.push_str(&read.recv().unwrap());
        }
        assert_eq!(all, "first\na\nb\nc\n");
    }

    #[test]
    fn a_reader_that_stands_still_costs_lines_and_no_time() {
        let (lines, guard, open, read) = gated();
        let line = [b'x'; 1024 * 1024 - 1];
        let before = dropped_lines();
        for _ in 0..20 {
            (&lines).write_all(&line).and_then(|()| (&lines).write_all(b"\n")).unwrap();
        }
        assert!(dropped_lines() - before >= 20);
        drop(open);
        drop(guard);
        let told: String = read.iter().collect();
        assert!(told.ends_with(" log lines were lost here: they came faster than they were read\n"));
    }

    #[test]
    fn stopping_writes_out_what_is_held() {
        let (lines, guard, open, read) = gated();
        (&lines).write_all(b"last words\n").unwrap();
        drop(open);
        drop(guard);
        assert_eq!(read.iter().collect::<String>(), "last words\n");
    }

    #[test]
    fn stopping_does_not_wait_for_a_reader_that_never_reads() {
        let (lines, guard, _open, _read) = gated();
        (&lines).write_all(b"x\n").unwrap();
        drop(guard);
    }

    #[test]
    fn what_cannot_be_written_counts_as_lost() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let before = dropped_lines();
        let (lines, guard) = spawn(Full).unwrap();
        (&lines).write_all(b"one\n").unwrap();
        (&lines).write_all(b"two\n").unwrap();
        drop(guard);
        assert!(dropped_lines() - before >= 2);
    }
}
