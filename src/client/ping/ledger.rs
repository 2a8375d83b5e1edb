//! The books of one way to ping: which probes are out, what became of each.
//! No socket and no clock: the times are given.
//!
//! At every moment `sent = received + lost + late + errors + pending`.
//! Nothing is allocated after [`Ledger::new`].

use std::time::Duration;

use crate::base::Instant;
use crate::client::hist::Hist;
use crate::limits::PING_WINDOW;
use crate::sys::clock::Stamp;

use super::jitter::Jitter;
use super::record::{Fate, Record, Records};

/// What became of the probes of one way. Those that warm up are in `first`
/// alone: they pay for ARP, route caches and page faults.
#[derive(Clone, Debug)]
pub struct Counts {
    /// Probes sent.
    pub sent: u64,
    /// Replies in time.
    pub received: u64,
    /// Probes without a reply in time, or at all.
    pub lost: u64,
    /// Replies after the time to wait: not lost, and in `late_rtt` alone.
    pub late: u64,
    /// Second copies of a reply: counted, and left out of all times.
    pub duplicates: u64,
    /// Replies overtaken by a later probe's; they are in `rtt`. RFC 4737.
    pub reordered: u64,
    /// How many probes behind the newest one answered the worst of them came.
    pub reorder_extent: u64,
    /// Probes that were refused or answered by an ICMP error.
    pub errors: u64,
    /// Packets on our socket that answer none of our probes: with another
    /// token, a number that was never sent, or not the bytes that were.
    pub forged: u64,
    /// Packets that the kernel dropped on our own socket, as far as it told: for
    /// want of room in its buffer, or for a wrong checksum where it checks that
    /// last. Some of what is lost was lost here.
    pub dropped_here: u64,
    /// Probes that nothing is known about yet, or when we stopped.
    pub pending: u64,
    /// The most probes in a row that were given up.
    pub loss_run: u64,
    /// Round-trip time of the first probe.
    pub first: Option<Duration>,
    /// User RTT: from before the send call to after the receive call.
    pub rtt: Hist,
    /// Network RTT: from the kernel's send to the kernel's receipt.
    pub network: Hist,
    /// From before the send call to the kernel's receipt: what iputils' ping
    /// prints.
    pub as_ping: Hist,
    /// User RTT less network RTT, probe by probe: host overhead.
    pub overhead: Hist,
    /// Response time: as user RTT, but from the moment that was intended; of late
    /// replies too.
    pub response: Hist,
    /// How long after its time on the schedule each probe was sent.
    pub lateness: Hist,
    /// User RTT of late replies.
    pub late_rtt: Hist,
    /// Variation of user RTT.
    pub jitter: Jitter,
    /// Replies in time whose probe the kernel stamped when it left.
    pub stamped_sent: u64,
    /// Replies in time that the kernel stamped when they came.
    pub stamped_received: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            sent: 0,
            received: 0,
            lost: 0,
            late: 0,
            duplicates: 0,
            reordered: 0,
            reorder_extent: 0,
            errors: 0,
            forged: 0,
            dropped_here: 0,
            pending: 0,
            loss_run: 0,
            first: None,
            rtt: Hist::fine(),
            network: Hist::fine(),
            as_ping: Hist::fine(),
            overhead: Hist::fine(),
            response: Hist::fine(),
            lateness: Hist::fine(),
            late_rtt: Hist::fine(),
            jitter: Jitter::default(),
            stamped_sent: 0,
            stamped_received: 0,
        }
    }
}

/// What a reply turned out to be, and the probe's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The answer to a probe, in time.
    Answer(Record),
    /// The answer to a probe that was given up.
    Late(Record),
    /// A copy of an answer already counted, with its own receipt.
    Duplicate(Record),
    /// The answer to nothing that we remember.
    Forged,
}

/// A reply as a wire heard it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Receipt {
    /// Just after the receive call.
    pub(super) at: Instant,
    /// When the kernel had it.
    pub(super) came: Option<Stamp>,
    /// Time on the network, where the wire knows it otherwise.
    pub(super) told: Option<Duration>,
}

/// The probes of the last [`PING_WINDOW`] sequence numbers, and the counts.
pub(super) struct Ledger {
    wait: Duration,
    warm_up: u64,
    /// How far the clock of the kernel's stamps is ahead, nanoseconds.
    lead: u64,
    /// A ring, by sequence number; a power of two of them.
    window: Box<[Record]>,
    /// The sequence number of the next probe.
    next: u64,
    /// No probe before this sequence number is waiting.
    settled: u64,
    highest: Option<u64>,
    /// Sequence number and length of the latest run of lost probes.
    run: (u64, u64),
    counts: Counts,
    records: Records,
}

impl Ledger {
    /// Books with nothing in them; replies after `wait` are late, the first
    /// `warm_up` probes are not counted, and `probes` are expected in all; the
    /// clock of stamps is `lead` nanoseconds ahead.
    pub(super) fn new(wait: Duration, warm_up: u64, probes: Option<u64>, lead: u64) -> Self {
        let most = PING_WINDOW as u64;
        let room = probes.unwrap_or(most).clamp(1, most).next_power_of_two() as usize;
        let nothing = Record::new(u64::MAX, Instant::ZERO, Instant::ZERO);
        Self {
            wait,
            warm_up,
            lead,
            window: vec![nothing; room].into(),
            next: 0,
            settled: 0,
            highest: None,
            run: (0, 0),
            counts: Counts::default(),
            records: Records::with_room(probes),
        }
    }

    /// The sequence number of the next probe.
    pub(super) const fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Books the next probe as sent `now`, planned for `intended`.
    pub(super) fn sent(&mut self, intended: Instant, now: Instant) {
        let room = self.window.len() as u64;
        if let Some(oldest) = self.next.checked_sub(room) {
            // Its wait is far longer than what the window holds of time; it
            // is given up early rather than forgotten while out.
            if self.known(oldest).is_some_and(|record| record.fate == Fate::Waiting) {
                self.settled = oldest;
                self.give_up();
            }
            let record = self.window[self.place(oldest)];
            self.records.push(record);
            self.settled = self.settled.max(oldest + 1);
        }
        if self.is_counted(self.next) {
            self.counts.sent += 1;
            self.counts.pending += 1;
            self.counts.lateness.record(now.since(intended));
        }
        let place = self.place(self.next);
        self.window[place] = Record::new(self.next, intended, now);
        self.next += 1;
    }

    /// Books when the kernel let probe `sequence` go.
    pub(super) fn left(&mut self, sequence: u64, stamp: Stamp) {
        let Some(record) = self.record(sequence) else {
            return;
        };
        if record.left.is_some() {
            return;
        }
        record.left = Some(stamp);
        let record = *record;
        // The stamp of a send may be slower than the reply.
        if record.fate == Fate::Answered && self.is_counted(sequence) {
            self.counts.stamped_sent += 1;
            self.on_network(record);
        }
    }

    /// Books a reply to probe `sequence`.
    pub(super) fn reply(&mut self, sequence: u64, receipt: Receipt) -> Verdict {
        let wait = self.wait;
        let Some(record) = self.record(sequence) else {
            self.counts.forged += 1;
            return Verdict::Forged;
        };
        let before = record.fate;
        let heard = Record {
            received: Some(receipt.at),
            came: receipt.came,
            told: receipt.told,
            ..*record
        };
        match before {
            Fate::Waiting | Fate::Lost => {}
            Fate::Answered | Fate::Late | Fate::Failed => {
                self.counts.duplicates += u64::from(self.is_counted(sequence));
                return Verdict::Duplicate(heard);
            }
        }
        let in_time = before == Fate::Waiting && receipt.at.since(record.sent) <= wait;
        let fate = if in_time { Fate::Answered } else { Fate::Late };
        *record = Record { fate, ..heard };
        let record = *record;
        if in_time {
            self.answered(record);
            return Verdict::Answer(record);
        }
        if self.is_counted(sequence) {
            let from = if before == Fate::Waiting {
                &mut self.counts.pending
            } else {
                &mut self.counts.lost
            };
            *from -= 1;
            self.counts.late += 1;
            self.counts.late_rtt.record(record.user().unwrap_or_default());
            // Who keeps a schedule waits for these, too.
            self.counts.response.record(record.response().unwrap_or_default());
        }
        Verdict::Late(record)
    }

    fn answered(&mut self, record: Record) {
        let sequence = record.sequence;
        let user = record.user().unwrap_or_default();
        let overtaken = self.highest.and_then(|highest| highest.checked_sub(sequence));
        self.highest = self.highest.max(Some(sequence));
        if sequence == 0 {
            self.counts.first = Some(user);
        }
        if !self.is_counted(sequence) {
            return;
        }
        let counts = &mut self.counts;
        if let Some(extent) = overtaken.filter(|extent| *extent > 0) {
            counts.reordered += 1;
            counts.reorder_extent = counts.reorder_extent.max(extent);
        }
        counts.pending -= 1;
        counts.received += 1;
        counts.rtt.record(user);
        counts.response.record(record.response().unwrap_or_default());
        counts.jitter.record(sequence, user);
        if let Some(span) = record.as_ping(self.lead) {
            counts.as_ping.record(span);
        }
        counts.stamped_sent += u64::from(record.left.is_some());
        counts.stamped_received += u64::from(record.came.is_some());
        self.on_network(record);
    }

    fn on_network(&mut self, record: Record) {
        if let (Some(network), Some(overhead)) = (record.network(), record.overhead()) {
            self.counts.network.record(network);
            self.counts.overhead.record(overhead);
        }
    }

    /// Books that probe `sequence` was refused, even if it was given up: now
    /// it is known what became of it. `false` if it was answered or refused
    /// before, or is not remembered.
    pub(super) fn failed(&mut self, sequence: u64) -> bool {
        let counted = u64::from(self.is_counted(sequence));
        let Some(record) = self.record(sequence) else {
            return false;
        };
        let before = record.fate;
        match before {
            Fate::Waiting | Fate::Lost => record.fate = Fate::Failed,
            Fate::Answered | Fate::Late | Fate::Failed => return false,
        }
        if before == Fate::Waiting {
            self.counts.pending -= counted;
        } else {
            self.counts.lost -= counted;
        }
        self.counts.errors += counted;
        true
    }

    /// Gives up the oldest probe that has waited too long, and says which.
    pub(super) fn expire(&mut self, now: Instant) -> Option<u64> {
        let due = self.next_expiry()?;
        if now <= due {
            return None;
        }
        let sequence = self.settled;
        self.give_up();
        Some(sequence)
    }

    /// When the oldest waiting probe has waited too long.
    pub(super) fn next_expiry(&mut self) -> Option<Instant> {
        while self.settled < self.next {
            let record = self.window[self.place(self.settled)];
            if record.fate == Fate::Waiting {
                return Some(record.sent + self.wait);
            }
            self.settled += 1;
        }
        None
    }

    /// The newest probe whose low 16 bits are `low`: some ICMP errors quote no
    /// more than those.
    pub(super) fn newest_with(&self, low: u16) -> Option<u64> {
        let newest = self.next.checked_sub(1)?;
        newest.checked_sub(u64::from((newest as u16).wrapping_sub(low)))
    }

    /// The oldest probe still waiting.
    pub(super) fn oldest_waiting(&mut self) -> Option<u64> {
        self.next_expiry().map(|_| self.settled)
    }

    /// Books a packet that is not for us.
    pub(super) fn forged(&mut self) {
        self.counts.forged += 1;
    }

    /// Books how many packets the kernel has dropped on our socket in all.
    pub(super) fn dropped_here(&mut self, in_all: u64) {
        self.counts.dropped_here = self.counts.dropped_here.max(in_all);
    }

    #[cfg(test)]
    const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The counts, the records in order, and which of them were kept: one in
    /// so many.
    pub(super) fn finish(mut self) -> (Counts, Vec<Record>, u64) {
        let oldest = self.next.saturating_sub(self.window.len() as u64);
        for sequence in oldest..self.next {
            let record = self.window[self.place(sequence)];
            self.records.push(record);
        }
        let (records, stride) = self.records.into_parts();
        (self.counts, records, stride)
    }

    /// The oldest waiting probe, `settled`, is lost.
    fn give_up(&mut self) {
        let sequence = self.settled;
        if let Some(record) = self.record(sequence) {
            record.fate = Fate::Lost;
        }
        self.settled += 1;
        if self.is_counted(sequence) {
            self.counts.pending -= 1;
            self.counts.lost += 1;
            let (last, length) = self.run;
            self.run = (sequence, if last + 1 == sequence { length + 1 } else { 1 });
            self.counts.loss_run = self.counts.loss_run.max(self.run.1);
        }
    }

    /// What is remembered of a probe.
    pub(super) fn known(&self, sequence: u64) -> Option<Record> {
        let record = self.window.get(self.place(sequence)).copied();
        record.filter(|record| record.sequence == sequence)
    }

    const fn is_counted(&self, sequence: u64) -> bool {
        sequence >= self.warm_up
    }

    const fn place(&self, sequence: u64) -> usize {
        (sequence & (self.window.len() as u64 - 1)) as usize
    }

    fn record(&mut self, sequence: u64) -> Option<&mut Record> {
        let place = self.place(sequence);
        self.window.get_mut(place).filter(|r| r.sequence == sequence && sequence < self.next)
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
