//! The flight recorder: what each of a shard's last turns did, phase by phase,
//! so that an outlier has its cause. It costs a read of the cycle counter for
//! each phase that had something to do, and a cache line.

use crate::base::Instant;
use crate::limits::RECORDED_TURNS;
use crate::relay::ShardId;
use crate::report::{Phase, TurnRecord, Turns};
use crate::sys::clock::Clock;

/// The last turns of a shard.
#[derive(Debug)]
pub struct Recorder {
    turns: Box<[TurnRecord]>,
    /// Turns recorded in all.
    count: usize,
    open: TurnRecord,
    /// When the last phase ended.
    last: u64,
    since: (u64, Instant),
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            turns: vec![TurnRecord::default(); RECORDED_TURNS].into_boxed_slice(),
            count: 0,
            open: TurnRecord::default(),
            last: 0,
            since: Clock::pair(),
        }
    }
}

impl Recorder {
    /// A turn begins, with so many events.
    pub fn begin(&mut self, events: usize) {
        self.last = Clock::ticks();
        self.open = TurnRecord {
            start: self.last,
            events: u16::try_from(events).unwrap_or(u16::MAX),
            ..TurnRecord::default()
        };
    }

    /// A phase has ended.
    pub fn mark(&mut self, phase: Phase) {
        let now = Clock::ticks();
        let span = u32::try_from(now.saturating_sub(self.last)).unwrap_or(u32::MAX);
        // Nothing takes no time at all: so it is seen that it ran.
        let sum = self.open.spans[phase as usize].saturating_add(span.max(1));
        self.open.spans[phase as usize] = sum;
        self.last = now;
    }

    /// A phase has run out of its budget.
    pub fn exhaust(&mut self, phase: Phase) {
        self.open.exhausted |= 1 << phase as u16;
    }

    /// The turn is over: it is kept if it did anything. `sends` are those to
    /// subscribers, with their bytes; `received` came from publishers.
    pub fn end(&mut self, received: u64, sends: u64, sent: u64) {
        if self.open.spans.iter().all(|span| *span == 0) {
            return;
        }
        self.open.received = u32::try_from(received).unwrap_or(u32::MAX);
        self.open.sent = u32::try_from(sent).unwrap_or(u32::MAX);
        self.open.sends = u16::try_from(sends).unwrap_or(u16::MAX);
        self.turns[self.count % RECORDED_TURNS] = self.open;
        self.count += 1;
    }

    /// A copy of what is kept.
    pub fn turns(&self, shard: ShardId) -> Turns {
        let oldest = self.count.saturating_sub(RECORDED_TURNS);
        let kept = (oldest..self.count).map(|n| self.turns[n % RECORDED_TURNS]);
        Turns { shard, records: kept.collect(), clock: [self.since, Clock::pair()] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_that_did_something_are_kept_the_last_ones() {
        let mut recorder = Recorder::default();
        for n in 0..RECORDED_TURNS + 10 {
            recorder.begin(n);
            recorder.end(0, 0, 0);
            recorder.begin(n);
            recorder.mark(Phase::TcpIngest);
            recorder.exhaust(Phase::Fanout);
            recorder.end(n as u64, 2, 3);
        }
        let turns = recorder.turns(4);
        assert_eq!((turns.shard, turns.records.len()), (4, RECORDED_TURNS));
        let received: Vec<u32> = turns.records.iter().map(|record| record.received).collect();
        let wanted: Vec<u32> = (10..RECORDED_TURNS as u32 + 10).collect();
        assert_eq!(received, wanted);
        let last = turns.records.last().unwrap();
        assert_eq!((last.sends, last.sent, last.exhausted), (2, 3, 1 << Phase::Fanout as u16));
        assert!(last.spans[Phase::TcpIngest as usize] > 0);
        assert!(turns.records.windows(2).all(|pair| pair[0].start <= pair[1].start));
    }
}
