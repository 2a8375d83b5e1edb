//! The kernel's door: sockets, options, clock, affinity, signals. The only
//! place with `unsafe` beside the ring's raw memory.

pub mod options;
