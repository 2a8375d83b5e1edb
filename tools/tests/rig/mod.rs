//! A known truth to hold measurements against: a responder that answers each
//! probe when and how a script says, and notes for how long it really held it.
//!
//! ```text
//! prober ──▶ TUN device ──▶ responder ──▶ TUN device ──▶ prober     with root
//! prober ──▶ loopback ──▶ responder's UDP socket ──▶ ...            without
//! ```
//!
//! The device is in a network of the run's own, so nothing else is on it and
//! nothing of it stays. Its other end is this program: no kernel answers there,
//! and what is answered can be anything, down to a wrong checksum. The benchmark
//! `truth` measures with it; the test `truth` checks what must always hold.

pub(crate) mod faults;
pub(crate) mod fit;
pub(crate) mod link;
pub(crate) mod packet;
pub(crate) mod place;
pub(crate) mod probe;
pub(crate) mod responder;
pub(crate) mod script;
mod tun;
