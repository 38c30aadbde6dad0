//! The traffic path: HTTP in, HTTP out, and nothing known of what bodies mean.
//!
//! The life of an exchange, in reading order: [`serve`] accepts a connection; `client_stream` is its socket, with
//! an eye on the bytes of each head (`head_scan`); `exchange` is the path of a request from top to bottom, which
//! `check`s its head, asks who may come in (`entry`), rewrites what ARCHITECTURE.md lists (`forward`, `credential`), calls
//! the upstream, and passes both bodies on (`request_body`, `large_body`, `response_body`); `upgrade` pumps bytes after a 101; `tap`
//! tells the journal what passes, where somebody watches;
//! `account` is what is known of an exchange when it is over: its access line and its counters.

mod account;
mod check;
mod client_keys;
mod client_stream;
mod credential;
mod entry;
mod exchange;
mod forward;
mod head_scan;
mod large_body;
mod request_body;
mod response_body;
pub(crate) mod serve;
mod tap;
mod trace_parent;
mod upgrade;

pub(crate) use credential::Credential;
pub(crate) use entry::Entry;
pub(crate) use exchange::{Gateway, Way};
pub(crate) use forward::Target;
