//! nearlight: a live-stream server that adds microseconds. This page is the
//! map of its source; `ARCHITECTURE.md` says why it is so.
//!
//! ```text
//! publisher socket ─recv─▶ free tail of the ring's segment ─▶ framing finds boundaries
//!                                                                      │ commit
//!                                                              stream is dirty
//!                                                                      │ once a turn
//! subscriber socket ◀─sendmsg/sendmmsg─ slices of the same memory ◀─ each subscriber's cursor
//! ```
//!
//! Payload is written once by the kernel into the ring and read by the kernel
//! from it. Nothing waits for a fuller batch.
//!
//! # Layers
//!
//! A layer imports what stands above it in this table and is named in its row,
//! nothing else; `tests/tidy.rs` checks that.
//!
//! | layer | sees | what it is |
//! |---|---|---|
//! | [`limits`], [`base`] | nothing | every bound with its reason; position, time, counters |
//! | [`ring`] | base | a stream's recent bytes, read in place |
//! | [`framing`] | base | where bytes may be cut; join points |
//! | [`media`] | framing, base | from one container into another |
//! | [`protocol`] | framing, base | sans-IO sessions, names, refusals |
//! | [`relay`] | protocol, ring, framing, base | streams, directory; join, lag, skip |
//! | [`report`] | protocol, framing, base | counters and snapshots, as text |
//! | [`page`] | nothing | the web page's files |
//! | [`sys`] | base | sockets, clock, signals: the kernel's door |
//! | [`options`] | sys, base | socket options as one table |
//! | [`reactor`] | all above | the event loop, the one user of mio |
//! | [`client`] | protocol, framing, sys, base | blocking clients, probes, pings |
//! | [`config`], [`app`] | everything | command line; what the binary does |
//!
//! # Invariants
//!
//! - A committed byte never changes while anyone holds its segment, and a
//!   segment has one writer ([`ring::Tail`]), who never waits for a reader.
//! - A subscriber is a cursor: it only moves forward, has no queue of its own,
//!   and belongs to one shard ([`ring::Cursor`]).
//! - A subscriber starts and resumes at a join point, and leaves where a frame
//!   says that it may ([`relay::subscriber`]).
//! - An event never does work, it lists a key; a phase works its list off
//!   within a budget; what is left keeps the next poll from sleeping
//!   ([`reactor::turn`]).
//! - One place frees connections, at the end of a turn ([`reactor::close`]);
//!   a key of one that has gone finds nothing ([`reactor::slab`]).
//! - Sessions and relay have no socket and no clock: bytes and time in,
//!   decisions out. One file reads the clock ([`sys::clock`]).
//! - `unsafe` is in [`sys`] and in the ring's one file of raw memory.
//!
//! # Two hours
//!
//! 1. `tools/examples/subscribe.rs`: the other end of the wire (5 minutes).
//! 2. [`limits`]: every bound, and with them what there is (10).
//! 3. [`reactor`], [`reactor::turn`]: the loop on one screen, its lists (10).
//! 4. [`ring`], its `segment` and `window`: the one memory (20).
//! 5. [`framing`]: the contract, then `lines`, then `ts` (15).
//! 6. [`relay::stream`], [`relay::subscriber`]: what is kept; join, lag and skip
//!    as functions of a window and a time (30).
//! 7. [`reactor::ingest`], [`reactor::fanout`]: where sockets meet them (15).
//! 8. [`reactor::session`], [`protocol::http`]: what peers ask for (15).
//!
//! # Stability
//!
//! [`client`] is for other programs and follows the version number, as do the
//! command line, JSON fields and metric names. All else is public to be read
//! and tested: unstable.

#[cfg(not(target_os = "linux"))]
compile_error!(
    "nearlight runs on Linux alone (WSL2 is fine): it is built on epoll and Linux socket options"
);

// In reading order, from the bottom up.
pub mod limits;

pub mod base;

pub mod ring;

pub mod framing;
pub mod media;

pub mod protocol;

pub mod relay;

pub mod report;

pub mod page;

pub mod sys;

pub mod options;

pub mod reactor;

pub mod client;

pub mod config;

pub mod app;
