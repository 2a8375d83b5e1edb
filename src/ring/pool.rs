//! Segments for reuse: after warm-up a stream's bytes move through memory
//! that was there before.

use super::segment::{Idle, SegRef, Tail};
use crate::base::{Counter, Position};
use crate::limits::POOL_SEGMENTS;

/// A shard's segments that are not in use.
#[derive(Default)]
pub struct Pool {
    /// Nobody holds these.
    free: Vec<Idle>,
    /// Given back while somebody still read them; reusable when they stop.
    lent: Vec<SegRef>,
    /// Segments that had to be allocated.
    pub allocated: Counter,
}

impl Pool {
    /// The tail of a stream, at `base`.
    pub fn take(&mut self, base: Position) -> Tail {
        if self.free.is_empty() {
            self.collect();
        }
        let idle = self.free.pop().unwrap_or_else(|| {
            self.allocated.bump();
            Idle::fresh()
        });
        idle.start(base)
    }

    /// Takes back a segment that its window dropped. Others may still read
    /// it; it is reused when the last of them has let go.
    pub fn give_back(&mut self, segment: SegRef) {
        match Idle::reclaim(segment) {
            Ok(idle) => self.keep(idle),
            Err(segment) => self.lent.push(segment),
        }
    }

    fn keep(&mut self, idle: Idle) {
        if self.free.len() < POOL_SEGMENTS {
            self.free.push(idle);
        }
    }

    fn collect(&mut self) {
        for segment in std::mem::take(&mut self.lent) {
            self.give_back(segment);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_reused_only_after_its_last_reader() {
        let mut pool = Pool::default();
        let tail = pool.take(Position::ZERO);
        let reader = tail.reader();
        pool.give_back(tail.seal());
        drop(pool.take(Position(1)));
        assert_eq!(pool.allocated.get(), 2, "still read, so not reused");
        drop(reader);
        drop(pool.take(Position(2)));
        assert_eq!(pool.allocated.get(), 2, "reused");
    }
}
