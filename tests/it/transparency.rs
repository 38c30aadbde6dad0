//! What goes in comes out: heads byte for byte, but for the few changes the proxy owns up to.

mod control;
mod hop_by_hop;
mod requests;
mod responses;
mod targets;
mod trace_parent;
