//! The kinds of interceptors that a configuration may name.
