//! Interceptors beside the traffic: what they are told, and that nothing they do can be felt by anybody else.

pub(crate) mod program;
mod witness;

mod endings;
