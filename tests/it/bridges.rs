//! Bridges: what clients of providers' APIs get from backends that speak none.

mod agent;
mod claude_code;
mod entry;
mod line;
mod scripted_stackspot;
mod stackspot;
mod watched;
