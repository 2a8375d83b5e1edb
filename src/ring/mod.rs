//! A stream's recent bytes: written once by the kernel, read in place by it.
//!
//! ```text
//!            window (reader's side, one per shard)            tail (the one writer)
//! ┌───────────────┬───────────────┬───────────────┐   ┌─────────────────────────────┐
//! │ SEALED        │ SEALED        │ SEALED        │   │ committed │ held │  free    │
//! └───────────────┴───────────────┴───────────────┘   └─────────────────────────────┘
//!   bytes │ frames  append-only, never rewritten                     ^ recv goes here
//! ```
//!
//! A segment's `committed | SEALED` is one atomic word: its writer stores it
//! with Release, readers load it with Acquire, and what lies below it never
//! changes while anyone holds the segment. References are counted per shard
//! and segment, never per subscriber or frame. The writer never waits: with
//! no free segment it takes a fresh one, and the window drops its oldest.
//!
//! The ring knows bytes, frame ends and join points; what they mean is the
//! framing's affair.

mod cursor;
mod doorbell;
mod link;
#[cfg(all(loom, test))]
mod models;
mod pool;
mod segment;
mod sync;
#[cfg(all(test, not(loom)))]
mod tests;
mod window;

pub use cursor::Cursor;
pub use doorbell::Doorbell;
pub use link::{Inlet, Item, Next, Outlet, link};
pub use pool::Pool;
pub use segment::{Frame, SegRef, Tail};
pub use window::{Gather, JoinPoint, Span, Window, gather};
