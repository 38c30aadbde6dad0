//! What happened before the runtime last looked at its sockets.

use std::cell::Cell;

thread_local! {
    static MOMENTS: Cell<u64> = const { Cell::new(0) };
    /// The last one before a look.
    static LOOKED: Cell<u64> = const { Cell::new(0) };
}

/// A moment on this thread, to be compared with the looks that its runtime takes at its sockets: what the other side of
/// a connection had done before one is known after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(u64);

impl Moment {
    /// This one.
    pub(super) fn now() -> Self {
        let moment = MOMENTS.get() + 1;
        MOMENTS.set(moment);
        Self(moment)
    }

    /// Whether the runtime has looked since.
    pub(super) fn is_looked_back_at(self) -> bool {
        self.0 <= LOOKED.get()
    }

    /// The runtime has looked, and nobody has had a turn since: for `tokio::runtime::Builder::on_thread_unpark`. Where
    /// nobody calls it, only [`look`] counts.
    pub(crate) fn looked() {
        LOOKED.set(MOMENTS.get());
    }
}

/// Lets the runtime look.
pub(super) async fn look() {
    let before = MOMENTS.get();
    // Those who yield come back when it has looked.
    tokio::task::yield_now().await;
    LOOKED.set(LOOKED.get().max(before));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_look_tells_what_came_before_it() {
        let before = Moment::now();
        assert!(!before.is_looked_back_at());
        let meanwhile = async {
            tokio::task::yield_now().await;
            Moment::now()
        };
        let ((), meanwhile) = tokio::join!(look(), meanwhile);
        assert!(before.is_looked_back_at());
        assert!(!meanwhile.is_looked_back_at());
        Moment::looked();
        assert!(meanwhile.is_looked_back_at());
    }
}
