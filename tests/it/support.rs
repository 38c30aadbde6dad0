//! What the tests are written with: both ends of a connection as bytes, and the proxy as a process.

pub(crate) mod head;
pub(crate) mod pattern;
pub(crate) mod provider;
pub(crate) mod proxy;
pub(crate) mod story;
pub(crate) mod tls;
pub(crate) mod told;
pub(crate) mod wire;

pub(crate) use head::{Head, latin1};
pub(crate) use provider::Provider;
pub(crate) use proxy::Proxy;
pub(crate) use story::{
    GET, OK, PLAIN, answered, asked, forwarded, forwarded_by, forwarded_through, returned, returned_through,
    start,
};
pub(crate) use told::{Gate, Watch, watched};
pub(crate) use wire::{Ending, Wire};
