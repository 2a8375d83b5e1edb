//! What the binary does with a parsed command: serve, and say so.

pub mod demo;
mod hints;
pub mod log;
mod pings;
pub mod serve;
