//! A reader's place in a stream.

use crate::base::Position;
use std::marker::PhantomData;

/// A subscriber's position. It belongs to the shard that serves the
/// subscriber: its window's references, not the cursor's, keep the bytes.
///
/// A cursor can't be moved to another shard:
/// ```compile_fail,E0277
/// # use nearlight::{base::Position, ring::Cursor};
/// let cursor = Cursor::new(Position::ZERO);
/// std::thread::spawn(move || drop(cursor)); // `*const ()` cannot be sent
/// ```
/// It is made where it is used:
/// ```
/// # use nearlight::{base::Position, ring::Cursor};
/// std::thread::spawn(move || drop(Cursor::new(Position::ZERO)));
/// ```
#[derive(Debug)]
pub struct Cursor {
    at: Position,
    stays: PhantomData<*const ()>,
}

impl Cursor {
    /// A cursor at `at`.
    pub const fn new(at: Position) -> Self {
        Self { at, stays: PhantomData }
    }

    /// The next byte to send.
    pub const fn at(&self) -> Position {
        self.at
    }

    /// `bytes` were sent.
    pub fn advance(&mut self, bytes: u64) {
        self.at += bytes;
    }

    /// Goes on at `to`, which is never behind.
    pub fn jump(&mut self, to: Position) {
        debug_assert!(to >= self.at, "a cursor only moves forward");
        self.at = to;
    }
}
