//! Bodies of every framing and any size, and what follows them on the same connection.

mod framing;
mod large;
mod old_clients;
mod piped;
mod reuse;
mod trailers;
