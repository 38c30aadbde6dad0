use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A writer that keeps what is written to it, for the interceptor and the test at once: clones share it.
#[derive(Clone, Debug, Default)]
pub struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    /// Nothing written yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was written so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.written().clone()
    }

    /// What was written so far, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.written()).into_owned()
    }

    fn written(&self) -> MutexGuard<'_, Vec<u8>> {
        // Bytes are whole at any time, also when someone panicked while adding some.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
