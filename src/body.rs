//! The one body type inside the proxy.
