//! One pass of the loop: its time, its lists of work, its counters.
//!
//! Events only ever put a name on a list; the phases work the lists off. A
//! phase that runs out of its budget leaves the rest on its list, and the
//! next poll does not sleep: edge-triggered readiness is told once.

use super::control::Control;
use super::hot::Hot;
use super::recorder::Recorder;
use super::residence::{Deliveries, Wall};
use super::slab::Key;
use crate::base::Instant;
use crate::limits::{INGEST_READS, INGEST_TIME, SCRATCH_BYTES};
use crate::relay::egress::Messages;
use crate::report::{Counters, ListenerCounts, Phase};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

/// What every phase is given.
pub struct Turn {
    /// When the turn began, or the clock was last read in it.
    pub now: Instant,
    /// When it began; `NEVER`: nobody minds how long it takes.
    pub began: Instant,
    /// Receiving ends then.
    pub ingest_until: Instant,
    /// Where `now` comes from.
    pub clock: fn() -> Instant,
    /// Work.
    pub ready: Ready,
    /// Deadlines.
    pub timers: Timers,
    /// Counts.
    pub counters: Counters,
    /// Counts of each listener, by the number that connections carry.
    pub listeners: Vec<ListenerCounts>,
    /// What the last turns did.
    pub recorder: Recorder,
    /// What has been sent and is still to be timed.
    pub deliveries: Deliveries,
    /// When the kernel had what is received.
    pub wall: Wall,
    /// Sockets that are asked without being told, while the shard spins.
    pub hot: Hot,
    /// The messages of the flush at hand.
    pub messages: Messages,
    /// Where bytes are received that belong to no stream.
    pub scratch: Box<[u8]>,
    /// The loop is to end.
    pub is_over: bool,
}

impl Turn {
    /// Turns that read `clock`.
    pub fn new(clock: fn() -> Instant) -> Self {
        let now = clock();
        Self {
            now,
            began: Instant::NEVER,
            ingest_until: Instant::NEVER,
            clock,
            ready: Ready::default(),
            timers: Timers::default(),
            counters: Counters::default(),
            listeners: Vec::new(),
            recorder: Recorder::default(),
            deliveries: Deliveries::default(),
            wall: Wall::default(),
            hot: Hot::default(),
            messages: Messages::default(),
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            is_over: false,
        }
    }

    /// Until when a phase may go on: for `span`, but not beyond `limit` of the turn;
    /// however late it is, for `least`.
    pub fn until(&self, span: Duration, limit: Duration, least: Duration) -> Instant {
        (self.now + span).min(self.began + limit).max(self.now + least)
    }

    /// A phase that receives begins.
    pub fn begin_ingest(&mut self) {
        self.ingest_until = self.until(INGEST_TIME, INGEST_TIME, INGEST_TIME / 4);
    }

    /// Whether it may go on with the `nth` of its list; what is left of that is for
    /// the next turn, if not.
    pub fn may_ingest(&mut self, nth: usize, phase: Phase) -> bool {
        if nth.is_multiple_of(INGEST_READS) {
            self.read_clock();
        }
        if self.now > self.ingest_until {
            self.exhaust(phase);
            return false;
        }
        true
    }

    /// The turn is over; `before` is the traffic as it began.
    pub fn finish(&mut self, before: [u64; 3]) {
        let after = self.counters.traffic();
        let found = self.hot.last() >= self.began;
        self.recorder.end(found, std::array::from_fn(|n| after[n] - before[n]));
    }

    /// A phase has run out of its budget, and goes on in the next turn.
    pub fn exhaust(&mut self, phase: Phase) {
        self.counters.exhaust(phase);
        self.recorder.exhaust(phase);
    }

    /// A connection of listener `site` has been accepted.
    pub fn accepted(&mut self, site: usize) {
        self.counters.accepted.bump();
        self.at_listener(site, |counts| counts.accepted.bump());
    }

    /// A connection of listener `site` has been freed.
    pub fn closed(&mut self, site: usize) {
        self.counters.closed.bump();
        self.at_listener(site, |counts| counts.closed.bump());
    }

    /// Counts something of a listener, if it is known.
    pub fn at_listener(&mut self, site: usize, count: impl FnOnce(&mut ListenerCounts)) {
        if let Some(counts) = self.listeners.get_mut(site) {
            count(counts);
        }
    }

    /// Reads the clock. The start of a turn, every few receives or sends and the
    /// end of a phase that has sent do, nothing else.
    pub fn read_clock(&mut self) {
        self.now = (self.clock)();
        self.deliveries.tell(self.now);
    }
}

/// Lists of work, one per phase.
#[derive(Debug, Default)]
pub struct Ready {
    /// UDP sockets with datagrams.
    pub udp: VecDeque<usize>,
    /// Connections with bytes to read.
    pub readable: VecDeque<Key>,
    /// Streams with frames that not every subscriber has.
    pub dirty: VecDeque<Key>,
    /// Connections that the kernel takes bytes from again.
    pub writable: VecDeque<Key>,
    /// Subscribers with a burst to catch up on.
    pub catchup: VecDeque<Key>,
    /// Messages to this shard.
    pub control: VecDeque<Control>,
    /// Listeners with connections to accept.
    pub accepts: VecDeque<usize>,
    /// Connections to free.
    pub reap: Vec<Key>,
}

impl Ready {
    /// True if the loop may sleep.
    pub fn is_empty(&self) -> bool {
        self.udp.is_empty()
            && self.readable.is_empty()
            && self.dirty.is_empty()
            && self.writable.is_empty()
            && self.catchup.is_empty()
            && self.control.is_empty()
            && self.accepts.is_empty()
            && self.reap.is_empty()
    }
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// A connection's: a head, silence, a wait, a close.
    Conn(Key),
    /// A stream's framing must decide.
    Stream(Key),
    /// What has gathered of a stream is to be sent.
    Flush(Key),
    /// No request has continued a stream.
    Rest(Key),
    /// A UDP socket's publisher or subscribers may be silent.
    Udp(usize),
    /// A listener may accept again.
    Accept(usize),
    /// Subscribers that are behind are looked at.
    Lag,
    /// Segments that nobody needs go back to the kernel.
    Pool,
    /// What is still open is closed, and the loop ends.
    Drain,
}

/// Deadlines, soonest first. An entry may be early, never late: who is woken
/// looks at its own deadline and arms the rest, so that activity costs nothing.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Alarm)>>,
    /// How many of them are flushes.
    flushes: usize,
}

impl Timers {
    /// Wakes `alarm` at `at`.
    pub fn arm(&mut self, at: Instant, alarm: Alarm) {
        self.flushes += usize::from(matches!(alarm, Alarm::Flush(_)));
        self.heap.push(Reverse((at, alarm)));
    }

    /// The soonest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// The same, if it can't wait for the next whole millisecond: there is a flush,
    /// which may come right behind it.
    pub fn next_exact(&self) -> Option<Instant> {
        self.next().filter(|_| self.flushes > 0)
    }

    /// The next alarm that is due.
    pub fn pop(&mut self, now: Instant) -> Option<Alarm> {
        if self.next()? > now {
            return None;
        }
        let Reverse((_, alarm)) = self.heap.pop()?;
        self.flushes -= usize::from(matches!(alarm, Alarm::Flush(_)));
        Some(alarm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::slab::Slab;

    #[test]
    fn a_phase_ends_with_its_span_or_the_turn_but_not_before_its_least() {
        let at = Instant::from_nanos;
        let mut turn = Turn::new(|| Instant::from_nanos(1000));
        let nanos = Duration::from_nanos;
        let until = |turn: &Turn| turn.until(nanos(200), nanos(300), nanos(50));
        assert_eq!(until(&turn), at(1200), "nobody minds how long the turn takes");
        turn.began = at(1000);
        assert_eq!(until(&turn), at(1200));
        turn.began = at(800);
        assert_eq!(until(&turn), at(1100));
        turn.began = at(0);
        assert_eq!(until(&turn), at(1050));
    }

    #[test]
    fn waits_are_exact_while_something_gathers_whatever_comes_first() {
        let mut timers = Timers::default();
        let key = Slab::default().insert(());
        let at = Instant::from_nanos;
        timers.arm(at(5), Alarm::Lag);
        assert_eq!((timers.next(), timers.next_exact()), (Some(at(5)), None));
        timers.arm(at(7), Alarm::Flush(key));
        assert_eq!(timers.next_exact(), Some(at(5)));
        assert_eq!(timers.pop(at(6)), Some(Alarm::Lag));
        assert_eq!(timers.next_exact(), Some(at(7)));
        assert_eq!(timers.pop(at(7)), Some(Alarm::Flush(key)));
        timers.arm(at(9), Alarm::Pool);
        assert_eq!(timers.next_exact(), None);
    }
}
