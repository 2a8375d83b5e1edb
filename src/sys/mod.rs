//! The kernel's door: sockets, options, clock, affinity, signals. The only
//! place with `unsafe` beside the ring's raw memory.
//!
//! Every type that owns a descriptor is non-blocking, closed on exec, and
//! implements `AsFd` and `AsRawFd`, so that the event loop can watch it. Calls
//! that a signal interrupted are made again here; no caller sees `EINTR`.

pub mod address;
pub mod affinity;
pub mod calls;
pub mod child;
pub mod clock;
mod control;
pub mod datagram;
pub mod doctor;
pub mod error;
pub mod icmp;
pub mod interfaces;
pub mod poll;
pub mod process;
pub mod socket;
pub mod sockopt;
pub mod stamps;
#[cfg(test)]
pub(crate) mod testing;
mod udp_setup;
pub mod wait;
