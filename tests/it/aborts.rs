//! Whoever leaves, leaves; and a body that broke off on one side is broken on the other.

mod clients;
mod upstreams;
