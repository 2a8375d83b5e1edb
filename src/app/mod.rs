//! What the binary does with a parsed command: serve, and say so.

mod hints;
pub mod log;
pub mod serve;
