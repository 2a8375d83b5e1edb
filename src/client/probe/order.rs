//! Lost, duplicate, reordered: what sequence numbers tell.

use crate::limits::PROBE_WINDOW;

const WORDS: usize = PROBE_WINDOW / 64;
const WINDOW: u64 = PROBE_WINDOW as u64;

/// How a sequence number stands to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Higher than any before, or the first.
    New,
    /// Lower than the highest, and not seen before (RFC 4737).
    Reordered,
    /// Seen before.
    Duplicate,
    /// So far behind the highest that nobody remembers whether it was seen.
    Stale,
}

/// Counts of stamps, since the start or the last clearing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Different stamps that arrived, in order or not.
    pub received: u64,
    /// Sequence numbers between the lowest and the highest that have not
    /// arrived. One that arrives after all is taken off again.
    pub lost: u64,
    /// Second and further copies; not in the latencies.
    pub duplicates: u64,
    /// Stamps that arrived after one with a higher number; in the latencies.
    pub reordered: u64,
    /// Stamps too far behind to be told from duplicates; not in the latencies,
    /// and still counted as lost.
    pub stale: u64,
    /// Times that another stream's stamps began.
    pub restarts: u64,
}

/// Remembers the last [`PROBE_WINDOW`] sequence numbers.
pub(super) struct Tracker {
    highest: Option<u64>,
    lowest: u64,
    /// Bit `seq % WINDOW`: that number was seen.
    seen: Box<[u64; WORDS]>,
}

impl Tracker {
    pub(super) fn new() -> Self {
        Self { highest: None, lowest: 0, seen: Box::new([0; WORDS]) }
    }

    /// Takes the next number that arrived and counts it.
    pub(super) fn handle(&mut self, seq: u64, tally: &mut Tally) -> Order {
        let order = self.judge(seq, tally);
        match order {
            Order::New => tally.received += 1,
            Order::Reordered => {
                tally.received += 1;
                tally.reordered += 1;
            }
            Order::Duplicate => tally.duplicates += 1,
            Order::Stale => tally.stale += 1,
        }
        order
    }

    fn judge(&mut self, seq: u64, tally: &mut Tally) -> Order {
        let Some(highest) = self.highest else {
            self.highest = Some(seq);
            self.lowest = seq;
            self.set(seq);
            return Order::New;
        };
        if seq > highest {
            let gap = seq - highest - 1;
            tally.lost = tally.lost.saturating_add(gap);
            for passed in 1..=gap.min(WINDOW) {
                self.clear(highest + passed);
            }
            self.set(seq);
            self.highest = Some(seq);
            return Order::New;
        }
        if highest - seq >= WINDOW {
            return Order::Stale;
        }
        if seq < self.lowest {
            // The stream was joined between two that changed places.
            tally.lost = tally.lost.saturating_add(self.lowest - seq - 1);
            self.lowest = seq;
        } else if self.has(seq) {
            return Order::Duplicate;
        } else {
            // Zero if the counts were cleared since the gap was counted.
            tally.lost = tally.lost.saturating_sub(1);
        }
        self.set(seq);
        Order::Reordered
    }

    fn has(&self, seq: u64) -> bool {
        self.seen[word(seq)] & bit(seq) != 0
    }

    fn set(&mut self, seq: u64) {
        self.seen[word(seq)] |= bit(seq);
    }

    fn clear(&mut self, seq: u64) {
        self.seen[word(seq)] &= !bit(seq);
    }
}

const fn word(seq: u64) -> usize {
    (seq % WINDOW / 64) as usize
}

const fn bit(seq: u64) -> u64 {
    1 << (seq % 64)
}
