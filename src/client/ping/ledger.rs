//! The books of one kind of ping: which probes are out, what became of each.
//! No socket and no clock: the times are given.
//!
//! At every moment `sent = received + lost + late + errors + pending`.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::Instant;
use crate::limits::PING_WINDOW;

use super::samples::Samples;

/// What became of the probes of one kind. The warm-up probe, number 0, is in
/// `first` alone: it pays for ARP, route caches and page faults.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Probes sent.
    pub sent: u64,
    /// Replies in time.
    pub received: u64,
    /// Probes without a reply in time, or at all.
    pub lost: u64,
    /// Replies after the time to wait: not lost, not in `rtt` either.
    pub late: u64,
    /// Second copies of a reply: counted, and left out of `rtt`.
    pub duplicates: u64,
    /// Replies overtaken by a later probe's; they are in `rtt`.
    pub reordered: u64,
    /// Probes that were refused or answered by an ICMP error.
    pub errors: u64,
    /// Packets on our socket that answer none of our probes.
    pub foreign: u64,
    /// Probes that nothing is known about yet, or when we stopped.
    pub pending: u64,
    /// Round-trip time of the warm-up probe.
    pub first: Option<Duration>,
    /// Round-trip times, from the moment before the send call to the moment
    /// after the receive call: what a program feels.
    pub rtt: Samples,
    /// How long after its time on the schedule each probe was sent.
    pub lateness: Samples,
}

/// What a reply turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The answer to a probe, in time.
    Answer(Duration),
    /// The answer to a probe that was given up.
    Late(Duration),
    /// A copy of an answer already counted.
    Duplicate(Duration),
    /// The answer to nothing that we remember.
    Foreign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Answered,
    Lost,
    Late,
    Failed,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    sent: Instant,
    state: State,
}

/// The probes of the last [`PING_WINDOW`] sequence numbers, and the counts.
#[derive(Debug)]
pub(super) struct Ledger {
    wait: Duration,
    window: VecDeque<Probe>,
    /// Sequence number of `window[0]`.
    oldest: u64,
    /// No probe before this sequence number is waiting.
    settled: u64,
    highest: Option<u64>,
    counts: Counts,
}

impl Ledger {
    /// Books with nothing in them; replies after `wait` are late.
    pub(super) fn new(wait: Duration) -> Self {
        Self {
            wait,
            window: VecDeque::new(),
            oldest: 0,
            settled: 0,
            highest: None,
            counts: Counts::default(),
        }
    }

    /// The sequence number of the next probe.
    pub(super) fn next_sequence(&self) -> u64 {
        self.oldest + self.window.len() as u64
    }

    /// Books the next probe as sent `now`, planned for `intended`.
    pub(super) fn sent(&mut self, intended: Instant, now: Instant) {
        if self.window.len() == PING_WINDOW {
            // Its wait is far longer than what the window holds of time; it
            // is given up early rather than forgotten while out.
            if self.settled == self.oldest {
                self.settle(State::Lost);
            }
            self.window.pop_front();
            self.oldest += 1;
        }
        if self.next_sequence() > 0 {
            self.counts.sent += 1;
            self.counts.pending += 1;
            self.counts.lateness.record(now.since(intended));
        }
        self.window.push_back(Probe { sent: now, state: State::Waiting });
    }

    /// Books a reply to probe `sequence`.
    pub(super) fn reply(&mut self, sequence: u64, now: Instant) -> Verdict {
        let Some(probe) = self.probe(sequence) else {
            self.counts.foreign += 1;
            return Verdict::Foreign;
        };
        let rtt = now.since(probe.sent);
        match probe.state {
            State::Waiting if rtt <= self.wait => {
                self.mark(sequence, State::Answered);
                self.answer(sequence, rtt);
                Verdict::Answer(rtt)
            }
            State::Waiting | State::Lost => {
                if sequence > 0 {
                    if probe.state == State::Waiting {
                        self.counts.pending -= 1;
                    } else {
                        self.counts.lost -= 1;
                    }
                    self.counts.late += 1;
                }
                self.mark(sequence, State::Late);
                Verdict::Late(rtt)
            }
            State::Answered | State::Late | State::Failed => {
                self.counts.duplicates += 1;
                Verdict::Duplicate(rtt)
            }
        }
    }

    fn answer(&mut self, sequence: u64, rtt: Duration) {
        if self.highest.is_some_and(|highest| sequence < highest) {
            self.counts.reordered += 1;
        }
        self.highest = self.highest.max(Some(sequence));
        if sequence == 0 {
            self.counts.first = Some(rtt);
            return;
        }
        self.counts.pending -= 1;
        self.counts.received += 1;
        self.counts.rtt.record(rtt);
    }

    /// Books that probe `sequence` was refused, even if it was given up: now
    /// it is known what became of it. `false` if it was answered or refused
    /// before, or is not remembered.
    pub(super) fn failed(&mut self, sequence: u64) -> bool {
        let Some(probe) = self.probe(sequence) else {
            return false;
        };
        let counted = sequence > 0;
        match probe.state {
            State::Waiting => self.counts.pending -= u64::from(counted),
            State::Lost => self.counts.lost -= u64::from(counted),
            State::Answered | State::Late | State::Failed => return false,
        }
        self.mark(sequence, State::Failed);
        self.counts.errors += u64::from(counted);
        true
    }

    /// Gives up the oldest probe that has waited too long, and says which.
    pub(super) fn expire(&mut self, now: Instant) -> Option<u64> {
        let due = self.next_expiry()?;
        if now <= due {
            return None;
        }
        let sequence = self.settled;
        self.settle(State::Lost);
        Some(sequence)
    }

    /// When the oldest waiting probe has waited too long.
    pub(super) fn next_expiry(&mut self) -> Option<Instant> {
        while let Some(probe) = self.probe(self.settled) {
            if probe.state == State::Waiting {
                return Some(probe.sent + self.wait);
            }
            self.settled += 1;
        }
        None
    }

    /// The newest probe whose low 16 bits are `low`: ICMP errors quote no more
    /// than those.
    pub(super) fn newest_with(&self, low: u16) -> Option<u64> {
        let newest = self.next_sequence().checked_sub(1)?;
        newest.checked_sub(u64::from((newest as u16).wrapping_sub(low)))
    }

    /// The oldest probe still waiting.
    pub(super) fn oldest_waiting(&mut self) -> Option<u64> {
        self.next_expiry().map(|_| self.settled)
    }

    /// Books a packet that is not for us.
    pub(super) fn foreign(&mut self) {
        self.counts.foreign += 1;
    }

    /// What became of the probes so far.
    pub(super) const fn counts(&self) -> &Counts {
        &self.counts
    }

    fn settle(&mut self, state: State) {
        if self.settled > 0 {
            self.counts.pending -= 1;
            self.counts.lost += 1;
        }
        self.mark(self.settled, state);
        self.settled += 1;
    }

    fn probe(&self, sequence: u64) -> Option<Probe> {
        let index = usize::try_from(sequence.checked_sub(self.oldest)?).ok()?;
        self.window.get(index).copied()
    }

    fn mark(&mut self, sequence: u64, state: State) {
        let index = sequence.checked_sub(self.oldest);
        let index = index.and_then(|index| usize::try_from(index).ok());
        if let Some(probe) = index.and_then(|index| self.window.get_mut(index)) {
            probe.state = state;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_millis(100);

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    fn balanced(ledger: &Ledger) {
        let c = ledger.counts();
        assert_eq!(c.sent, c.received + c.lost + c.late + c.errors + c.pending, "{c:?}");
        assert_eq!(c.rtt.count(), c.received);
    }

    #[test]
    fn the_warm_up_probe_is_told_apart() {
        let mut ledger = Ledger::new(WAIT);
        ledger.sent(at(0), at(0));
        assert_eq!(ledger.reply(0, at(7)), Verdict::Answer(Duration::from_millis(7)));
        assert_eq!(ledger.counts().first, Some(Duration::from_millis(7)));
        assert_eq!(ledger.counts().sent + ledger.counts().received, 0);
        ledger.sent(at(10), at(12));
        ledger.reply(1, at(13));
        assert_eq!(ledger.counts().sent, 1);
        assert_eq!(ledger.counts().lateness.quantiles().max, Some(Duration::from_millis(2)));
        balanced(&ledger);
    }

    #[test]
    fn late_duplicate_reordered_and_foreign_are_told_apart() {
        let mut ledger = Ledger::new(WAIT);
        for i in 0..5 {
            ledger.sent(at(i), at(i));
        }
        ledger.reply(0, at(5));
        ledger.reply(3, at(6));
        ledger.reply(2, at(7));
        assert_eq!(ledger.counts().reordered, 1);
        assert!(matches!(ledger.reply(2, at(8)), Verdict::Duplicate(_)));
        assert_eq!(ledger.reply(99, at(8)), Verdict::Foreign);
        assert_eq!(ledger.expire(at(101)), None);
        assert_eq!(ledger.expire(at(200)), Some(1));
        assert_eq!(ledger.expire(at(200)), Some(4));
        assert_eq!(ledger.expire(at(200)), None);
        assert_eq!(ledger.counts().lost, 2);
        assert!(matches!(ledger.reply(1, at(201)), Verdict::Late(_)));
        assert!(matches!(ledger.reply(1, at(202)), Verdict::Duplicate(_)));
        assert_eq!((ledger.counts().lost, ledger.counts().late), (1, 1));
        balanced(&ledger);
    }

    #[test]
    fn an_icmp_error_is_no_loss() {
        let mut ledger = Ledger::new(WAIT);
        for i in 0..3 {
            ledger.sent(at(i), at(i));
        }
        assert!(ledger.failed(1));
        assert!(!ledger.failed(1));
        assert!(!ledger.failed(7));
        assert_eq!(ledger.counts().errors, 1);
        while ledger.expire(at(500)).is_some() {}
        assert_eq!(ledger.counts().lost, 1);
        assert!(ledger.failed(2), "the error came after we gave it up");
        assert_eq!((ledger.counts().lost, ledger.counts().errors), (0, 2));
        balanced(&ledger);
    }

    #[test]
    fn sixteen_bits_find_the_newest_probe_across_their_wrap() {
        let mut ledger = Ledger::new(WAIT);
        for i in 0..70_000 {
            ledger.sent(at(i), at(i));
        }
        assert_eq!(ledger.newest_with((69_999 % 65_536) as u16), Some(69_999));
        assert_eq!(ledger.newest_with(65_535), Some(65_535));
        // Only the last 65,536 are remembered, so none is ever mistaken.
        assert_eq!(ledger.counts().pending, PING_WINDOW as u64);
        balanced(&ledger);
    }

    #[test]
    fn the_books_balance_whatever_comes() {
        let mut x = 0x2545_f491_4f6c_dd1du64;
        for _ in 0..200 {
            let mut ledger = Ledger::new(WAIT);
            let mut now = 0;
            for _ in 0..300 {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                now += x % 9;
                let sequence = (x >> 16) % (ledger.next_sequence() + 2);
                match (x >> 8) % 8 {
                    0..=2 => ledger.sent(at(now), at(now)),
                    3..=5 => drop(ledger.reply(sequence, at(now))),
                    6 => drop(ledger.failed(sequence)),
                    _ => while ledger.expire(at(now)).is_some() {},
                }
                balanced(&ledger);
            }
        }
    }
}
