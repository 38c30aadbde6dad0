//! The kinds of interceptors that a configuration may name.

/// What a configuration may write as an interceptor's `type`.
#[derive(Clone, Debug)]
pub struct Registry {
    kinds: Vec<Kind>,
}

/// One kind of interceptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name in a configuration.
    pub name: &'static str,
    /// Whether this version can hire it. One that it cannot is accepted with a warning.
    pub built: bool,
}

impl Registry {
    /// The interceptors that come with the proxy.
    pub fn built_in() -> Self {
        let kinds = [
            "printer",
            "message_logger",
            "event_recorder",
            "http_recorder",
            "test_recorder",
            "live_trace",
            "cylestio_trace",
            "session_detector",
        ];
        Self { kinds: kinds.map(|name| Kind { name, built: false }).into() }
    }

    /// The kind of that name.
    pub fn get(&self, name: &str) -> Option<Kind> {
        self.kinds.iter().find(|kind| kind.name == name).copied()
    }

    /// All names, in the order of the documentation.
    pub fn names(&self) -> Vec<&'static str> {
        self.kinds.iter().map(|kind| kind.name).collect()
    }
}
