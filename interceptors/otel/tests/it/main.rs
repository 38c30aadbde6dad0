//! What it promises.

mod spans;
