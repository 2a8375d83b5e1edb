//! The flight recorder: what each of a shard's last turns did, phase by phase,
//! so that an outlier has its cause. It costs a read of the cycle counter for
//! each phase that had something to do, and a cache line. How long turns took is
//! counted, too, for as long as the shard runs.

use crate::base::{Instant, Place, Totals};
use crate::limits::{LONG_LOOK, RECORDED_TURNS, TICK_TIME};
use crate::relay::ShardId;
use crate::report::{Phase, TurnRecord, Turns};
use crate::sys::clock::Clock;
use std::time::Duration;

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
    /// Nanoseconds of a tick, the better known the longer the shard runs.
    scale: f64,
    /// How long turns took that did anything.
    times: Totals,
    /// Ticks of a long look.
    long: u32,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            turns: vec![TurnRecord::default(); RECORDED_TURNS].into_boxed_slice(),
            count: 0,
            open: TurnRecord::default(),
            last: 0,
            since: Clock::pair(),
            scale: 1e9 / Clock::ticks_in(Duration::from_secs(1)) as f64,
            times: Totals::default(),
            long: u32::try_from(Clock::ticks_in(LONG_LOOK)).unwrap_or(u32::MAX),
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

    /// The turn is over: it is kept if it did anything but look in vain, `found`
    /// says whether a socket had something, or took long. `sends` are those to
    /// subscribers, with their bytes; `received` came from publishers.
    pub fn end(&mut self, found: bool, [received, sends, sent]: [u64; 3]) {
        if self.open.spans.iter().all(|span| *span == 0) {
            return;
        }
        if !found && self.is_short_look() {
            return;
        }
        self.open.received = u32::try_from(received).unwrap_or(u32::MAX);
        self.open.sent = u32::try_from(sent).unwrap_or(u32::MAX);
        self.open.sends = u16::try_from(sends).unwrap_or(u16::MAX);
        self.turns[self.count % RECORDED_TURNS] = self.open;
        self.count += 1;
        if self.count.is_multiple_of(RECORDED_TURNS) {
            self.learn();
        }
        let span = self.last.saturating_sub(self.open.start);
        self.times.put(Place::of((span as f64 * self.scale) as u64), 1);
    }

    /// Sees how long a tick is.
    fn learn(&mut self) {
        let ((from, start), (to, end)) = (self.since, Clock::pair());
        let nanos = end.nanos_since(start);
        if nanos > u64::try_from(TICK_TIME.as_nanos()).unwrap_or(u64::MAX) {
            self.scale = nanos as f64 / to.saturating_sub(from).max(1) as f64;
        }
    }

    /// How long turns took that did anything.
    pub const fn times(&self) -> &Totals {
        &self.times
    }

    /// Whether receives were tried that nobody had told of, nothing else, and in
    /// no time.
    fn is_short_look(&self) -> bool {
        let [udp, tcp, others @ ..] = &self.open.spans;
        self.open.events == 0
            && others.iter().all(|span| *span == 0)
            && udp.saturating_add(*tcp) < self.long
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
    fn looks_that_found_nothing_are_kept_if_they_were_long() {
        let mut recorder = Recorder { long: 1000, ..Recorder::default() };
        let mut look = |ticks, found, events| {
            recorder.begin(events);
            recorder.open.spans[Phase::TcpIngest as usize] = ticks;
            recorder.end(found, [0; 3]);
            recorder.count
        };
        assert_eq!(look(999, false, 0), 0);
        assert_eq!(look(1000, false, 0), 1);
        assert_eq!(look(1, true, 0), 2);
        assert_eq!(look(1, false, 1), 3);
        assert_eq!(look(0, true, 1), 3, "it did nothing");
    }

    #[test]
    fn turns_that_did_something_are_kept_the_last_ones() {
        let mut recorder = Recorder::default();
        for n in 0..RECORDED_TURNS + 10 {
            recorder.begin(n);
            recorder.end(true, [0; 3]);
            recorder.begin(n);
            recorder.mark(Phase::TcpIngest);
            recorder.exhaust(Phase::Fanout);
            recorder.end(false, [n as u64, 2, 3]);
        }
        let turns = recorder.turns(4);
        assert_eq!((turns.shard, turns.records.len()), (4, RECORDED_TURNS));
        let received: Vec<u32> = turns.records.iter().map(|record| record.received).collect();
        let wanted: Vec<u32> = (10..RECORDED_TURNS as u32 + 10).collect();
        assert_eq!(received, wanted);
        assert_eq!(recorder.times().count(), recorder.count as u64);
        assert!(recorder.times().sum() > Duration::ZERO);
        let last = turns.records.last().unwrap();
        assert_eq!((last.sends, last.sent, last.exhausted), (2, 3, 1 << Phase::Fanout as u16));
        assert!(last.spans[Phase::TcpIngest as usize] > 0);
        assert!(turns.records.windows(2).all(|pair| pair[0].start <= pair[1].start));
    }
}
