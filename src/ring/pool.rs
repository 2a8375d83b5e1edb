//! Segments for reuse: after warm-up a stream's bytes move through memory
//! that was there before.

use super::segment::{Idle, SegRef, Tail};
use crate::base::{Counter, Position};
use crate::limits::{POOL_RELEASE, POOL_SEGMENTS, POOL_SPARE};

/// A shard's segments that are not in use.
#[derive(Default)]
pub struct Pool {
    /// Nobody holds these.
    free: Vec<Idle>,
    /// Given back while somebody still read them; reusable when they stop.
    lent: Vec<SegRef>,
    /// Segments that had to be allocated.
    pub allocated: Counter,
    /// Segments whose memory went back to the kernel.
    pub released: Counter,
    /// The fewest that were free since [`Self::rest`] was last called.
    least: usize,
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
        self.least = self.least.min(self.free.len());
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

    /// Whether there are more than a stream or two will need soon, those
    /// included that others may have let go of by now.
    pub fn is_overstocked(&self) -> bool {
        self.free.len() + self.lent.len() > POOL_SPARE
    }

    /// Gives memory that was not needed since the last call back to the kernel,
    /// a part of it each time.
    pub fn rest(&mut self) {
        self.collect();
        let spare = self.free.len().saturating_sub(POOL_SPARE);
        // The pages of those at the back were used last.
        let unused = spare.min(self.least).min(POOL_RELEASE);
        self.free.drain(..unused);
        self.released.add(unused as u64);
        self.least = self.free.len();
    }

    fn keep(&mut self, idle: Idle) {
        if self.free.len() < POOL_SEGMENTS {
            self.free.push(idle);
        } else {
            self.released.bump();
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

    #[test]
    fn what_others_read_when_it_was_given_back_goes_back_all_the_same() {
        let mut pool = Pool::default();
        let tails: Vec<Tail> = (0..20).map(|n| pool.take(Position(n))).collect();
        let readers: Vec<SegRef> = tails.iter().map(Tail::reader).collect();
        tails.into_iter().for_each(|tail| pool.give_back(tail.seal()));
        pool.rest();
        assert!(pool.is_overstocked(), "there is something to come back for");
        drop(readers);
        for _ in 0..20 {
            pool.rest();
        }
        assert!(!pool.is_overstocked());
        assert_eq!((pool.free.len(), pool.lent.len()), (POOL_SPARE, 0));
    }

    #[test]
    fn what_is_not_needed_goes_back_in_parts_and_what_is_needed_stays() {
        let mut pool = Pool::default();
        let tails: Vec<Tail> = (0..20).map(|n| pool.take(Position(n))).collect();
        tails.into_iter().for_each(|tail| pool.give_back(tail.seal()));
        assert!(pool.is_overstocked());
        let mut kept = Vec::new();
        for _ in 0..7 {
            // A stream that needs five of them, time and again.
            let tails: Vec<Tail> = (0..5).map(|n| pool.take(Position(n))).collect();
            tails.into_iter().for_each(|tail| pool.give_back(tail.seal()));
            pool.rest();
            kept.push(pool.free.len());
        }
        assert_eq!(kept, [20, 16, 12, 8, 5, 5, 5]);
        pool.rest();
        assert_eq!(pool.free.len(), POOL_SPARE);
        assert_eq!((pool.allocated.get(), pool.released.get()), (20, 16));
        assert!(!pool.is_overstocked());
    }
}
