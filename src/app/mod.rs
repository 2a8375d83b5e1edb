//! What the binary does with a parsed command: serve, and say so.

mod bind;
pub mod demo;
mod dial;
mod hints;
mod host;
pub mod log;
mod office;
mod pings;
pub mod serve;
mod viewers;
mod vitals;
