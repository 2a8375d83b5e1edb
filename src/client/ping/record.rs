//! What is kept of a probe, and of a whole run: probe by probe, for plots and
//! for those who want to count themselves.

use crate::base::Instant;
use crate::limits::PING_RECORDS;
#[cfg(doc)]
use crate::sys::clock::Clock;
use crate::sys::clock::Stamp;
use std::time::Duration;

/// What became of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing is known yet, or was when we stopped.
    Waiting,
    /// Answered in time.
    Answered,
    /// Not answered in time.
    Lost,
    /// Answered, but not in time.
    Late,
    /// Refused here, or answered by an ICMP error.
    Failed,
}

/// One probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number, from 0; the first ones warm up.
    pub sequence: u64,
    /// When it was due.
    pub intended: Instant,
    /// Just before the send call.
    pub sent: Instant,
    /// When the kernel gave it to the network device.
    pub left: Option<Stamp>,
    /// When the kernel had the reply.
    pub came: Option<Stamp>,
    /// Just after the receive call.
    pub received: Option<Instant>,
    /// Time on the network, where something else than stamps tells it.
    pub told: Option<Duration>,
    /// What became of it.
    pub fate: Fate,
}

impl Record {
    /// A probe that was just sent.
    pub(super) const fn new(sequence: u64, intended: Instant, sent: Instant) -> Self {
        Self {
            sequence,
            intended,
            sent,
            left: None,
            came: None,
            received: None,
            told: None,
            fate: Fate::Waiting,
        }
    }

    /// From before the send call to after the receive call: what a program
    /// feels.
    pub fn user(&self) -> Option<Duration> {
        Some(self.received?.since(self.sent))
    }

    /// The same from the moment it was due: what it feels who keeps a schedule.
    pub fn response(&self) -> Option<Duration> {
        Some(self.received?.since(self.intended))
    }

    /// From the kernel's send to the kernel's receipt: what the path took.
    /// `None` without both stamps, or where the clock was set in between.
    pub fn network(&self) -> Option<Duration> {
        let told = self.told.or_else(|| self.came?.since(self.left?))?;
        (told <= self.user()?).then_some(told)
    }

    /// From before the send call to the kernel's receipt, as iputils' ping has
    /// it: two clocks, the kernel's so many nanoseconds ahead ([`Clock::lead`]).
    /// Both run at one rate, and it is only when the time is set that they part.
    pub fn as_ping(&self, lead: u64) -> Option<Duration> {
        let sent = Stamp::from_nanos(self.sent.as_nanos() + lead);
        self.came?.since(sent).filter(|span| Some(*span) <= self.user())
    }

    /// What waking, system calls and this program's own work add.
    pub fn overhead(&self) -> Option<Duration> {
        self.user()?.checked_sub(self.network()?)
    }
}

/// Records in order, at most [`PING_RECORDS`]; past that every second one
/// goes, evenly over the run.
#[derive(Debug)]
pub(super) struct Records {
    kept: Vec<Record>,
    stride: u64,
}

impl Records {
    /// Room for `probes` records, or for as many as are ever kept. Nothing is
    /// allocated later.
    pub(super) fn with_room(probes: Option<u64>) -> Self {
        let probes = probes.and_then(|probes| usize::try_from(probes).ok());
        let room = probes.map_or(PING_RECORDS, |probes| probes.min(PING_RECORDS));
        Self { kept: Vec::with_capacity(room), stride: 1 }
    }

    pub(super) fn push(&mut self, record: Record) {
        if !record.sequence.is_multiple_of(self.stride) {
            return;
        }
        if self.kept.len() == PING_RECORDS {
            self.stride *= 2;
            let stride = self.stride;
            self.kept.retain(|record| record.sequence.is_multiple_of(stride));
            return self.push(record);
        }
        self.kept.push(record);
    }

    /// The records, and which of them are here: one in so many.
    pub(super) fn into_parts(self) -> (Vec<Record>, u64) {
        (self.kept, self.stride)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_is_thinned_evenly() {
        let mut records = Records::with_room(None);
        let n = 5 * PING_RECORDS as u64 / 2;
        for sequence in 0..n {
            records.push(Record::new(sequence, Instant::ZERO, Instant::ZERO));
        }
        let (kept, stride) = records.into_parts();
        assert_eq!(stride, 4);
        assert_eq!(kept.len() as u64, n.div_ceil(4));
        assert!(
            kept.iter().zip((0..).step_by(4)).all(|(record, wanted)| record.sequence == wanted)
        );
    }

    #[test]
    fn spans_are_between_the_moments_they_say() {
        let at = Instant::from_nanos;
        let mut record = Record::new(7, at(1_000), at(1_100));
        assert_eq!((record.user(), record.network(), record.overhead()), (None, None, None));
        record.received = Some(at(1_600));
        record.left = Some(Stamp::from_nanos(5_150));
        assert_eq!(record.network(), None);
        record.came = Some(Stamp::from_nanos(5_450));
        let nanos = |span: Option<Duration>| span.map(|span| span.as_nanos());
        assert_eq!(nanos(record.user()), Some(500));
        assert_eq!(nanos(record.response()), Some(600));
        assert_eq!((nanos(record.network()), nanos(record.overhead())), (Some(300), Some(200)));
        assert_eq!(nanos(record.as_ping(4_000)), Some(350));
        assert_eq!(record.as_ping(5_000), None, "before it was sent");
        // The time was set between the stamps: forward, then back.
        for came in [5_750, 5_000] {
            record.came = Some(Stamp::from_nanos(came));
            assert_eq!((record.network(), record.overhead()), (None, None), "{came}");
        }
    }
}
