//! What an OpenTelemetry backend gets of what passes: the binary between a provider and a real collector.
//!
//! Most tests stop the proxy before they look: by then it has told all that it has to tell.

mod away;
#[expect(dead_code, reason = "the exporter's own tests need more of it")]
#[path = "../../interceptors/otel/tests/it/collector.rs"]
pub(crate) mod collector;
mod content;
mod failing;
mod joined;
mod measured;
mod protocols;
mod sockets;
mod spoken;
mod stage;
mod streamed;
mod told;
mod trees;
