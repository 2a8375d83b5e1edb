//! The event loop.

pub mod plan;
