//! Where a byte stands in a stream.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// Absolute byte offset in one epoch of a stream. It only grows and never
/// wraps: at 100 Gbit/s, 64 bits last 46 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl Position {
    /// The first byte of an epoch.
    pub const ZERO: Self = Self(0);

    /// Bytes from `earlier` to `self`, zero if `earlier` is ahead.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<u64> for Position {
    type Output = Self;

    fn add(self, bytes: u64) -> Self {
        Self(self.0 + bytes)
    }
}

impl AddAssign<u64> for Position {
    fn add_assign(&mut self, bytes: u64) {
        self.0 += bytes;
    }
}

impl Sub<u64> for Position {
    type Output = Self;

    /// `bytes` before this position, but never before the first byte.
    fn sub(self, bytes: u64) -> Self {
        Self(self.0.saturating_sub(bytes))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
