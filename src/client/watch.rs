//! The books of a live stream as its subscriber has it: when the first byte
//! came, how far apart receives are, where it stalled, and the one-way latency
//! of its probe stamps, if it has any. No socket and no clock: times are given.

use super::hist::Hist;
use super::probe::{Form, ProbeReader};
use crate::base::Instant;
use std::time::Duration;

/// What is known of a stream so far.
pub struct Watch {
    stall: Duration,
    first: Option<Instant>,
    last: Option<Instant>,
    bytes: u64,
    receives: u64,
    gaps: Hist,
    stalls: u64,
    stalled: Duration,
    probe: ProbeReader,
}

impl Watch {
    /// Books with nothing in them; a silence of `stall` or longer is a stall.
    pub fn new(stall: Duration) -> Self {
        Self {
            stall,
            first: None,
            last: None,
            bytes: 0,
            receives: 0,
            gaps: Hist::fine(),
            stalls: 0,
            stalled: Duration::ZERO,
            // Stamps are found in any container, so every byte is looked at.
            probe: ProbeReader::new(Form::Bytes, None),
        }
    }

    /// Takes what one receive brought at `now`: part of a byte stream, or a
    /// datagram or message.
    pub fn handle(&mut self, bytes: &[u8], whole: bool, now: Instant) {
        if whole {
            self.probe.handle_datagram(bytes, now);
        } else {
            self.probe.handle_bytes(bytes, now);
        }
        self.silence_ends(now);
        self.first.get_or_insert(now);
        self.last = Some(now);
        self.bytes += bytes.len() as u64;
        self.receives += 1;
    }

    /// Takes note that nothing has come until `now`, when nobody looks on any
    /// more.
    pub fn handle_end(&mut self, now: Instant) {
        let silence = self.last.map(|last| now.since(last));
        if let Some(silence) = silence.filter(|silence| *silence >= self.stall) {
            self.stalls += 1;
            self.stalled += silence;
        }
    }

    fn silence_ends(&mut self, now: Instant) {
        let Some(last) = self.last else {
            return;
        };
        let gap = now.since(last);
        self.gaps.record(gap);
        if gap >= self.stall {
            self.stalls += 1;
            self.stalled += gap;
        }
    }

    /// Forgets gaps, stalls and latencies, but not when the stream began.
    pub fn clear(&mut self) {
        self.gaps.clear();
        (self.stalls, self.stalled) = (0, Duration::ZERO);
        self.probe.clear();
    }

    /// When the first bytes came.
    pub const fn first(&self) -> Option<Instant> {
        self.first
    }

    /// When the last bytes came.
    pub const fn last(&self) -> Option<Instant> {
        self.last
    }

    /// Bytes in all.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Receives, datagrams or messages.
    pub const fn receives(&self) -> u64 {
        self.receives
    }

    /// Times between two receives.
    pub const fn gaps(&self) -> &Hist {
        &self.gaps
    }

    /// How often, and how long in all, it was silent for longer than allowed.
    pub const fn stalls(&self) -> (u64, Duration) {
        (self.stalls, self.stalled)
    }

    /// Its probe stamps.
    pub const fn probe(&self) -> &ProbeReader {
        &self.probe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_stalls_are_told_apart() {
        let at = |ms: u64| Instant::from_nanos(ms * 1_000_000);
        let mut watch = Watch::new(Duration::from_millis(500));
        assert_eq!((watch.first(), watch.stalls()), (None, (0, Duration::ZERO)));
        for ms in [10, 50, 90, 589, 1_089, 1_100] {
            watch.handle(b"four", false, at(ms));
        }
        assert_eq!((watch.first(), watch.last()), (Some(at(10)), Some(at(1_100))));
        assert_eq!((watch.bytes(), watch.receives(), watch.gaps().count()), (24, 6, 5));
        assert_eq!(watch.gaps().max(), Some(Duration::from_millis(500)));
        assert_eq!(watch.stalls(), (1, Duration::from_millis(500)));
        watch.handle_end(at(1_599));
        assert_eq!(watch.stalls().0, 1);
        watch.handle_end(at(1_700));
        assert_eq!(watch.stalls(), (2, Duration::from_millis(1_100)));
        watch.clear();
        assert_eq!((watch.stalls().0, watch.gaps().count(), watch.first()), (0, 0, Some(at(10))));
    }
}
