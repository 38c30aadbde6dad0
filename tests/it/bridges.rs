//! Bridges: what clients of providers' APIs get from backends that speak none.

mod entry;
