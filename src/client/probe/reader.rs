//! Finds stamps in what arrives, split anywhere, and keeps the books.

use super::Stamp;
use super::order::{Order, Tally, Tracker};
use crate::base::Instant;
use crate::client::hist::Hist;
use crate::limits::TS_PACKET;
use std::time::Duration;

const SYNC: u8 = 0x47;
/// Bytes that a stamp may have before the split and after it.
const OVERLAP: usize = Stamp::BYTES - 1;

/// What stamps travel in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In packets of [`Stamp::PID`] of an MPEG-TS: one look per packet.
    Ts,
    /// Anywhere among the bytes: every byte is looked at.
    Bytes,
}

/// A stamp that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// What it says.
    pub stamp: Stamp,
    /// Time from the intended send to the receive.
    pub latency: Duration,
    /// How its number stands to those before. [`Order::Duplicate`] and
    /// [`Order::Stale`] are not in the histogram.
    pub order: Order,
}

/// Reads the stamps of one subscriber's stream.
pub struct ProbeReader {
    form: Form,
    /// Stamps of another token are not ours; `None`: whichever comes.
    wanted: Option<u64>,
    /// The token that the tracker's numbers belong to.
    current: Option<u64>,
    tracker: Tracker,
    tally: Tally,
    hist: Hist,
    /// The end of what came before, in which a stamp or packet may begin.
    carry: [u8; TS_PACKET],
    carried: usize,
    arrivals: Vec<Arrival>,
}

impl ProbeReader {
    /// Looks for stamps with `token`, or with any: then another token than
    /// before means that another stream has begun, and counting goes on with
    /// its numbers.
    pub fn new(form: Form, token: Option<u64>) -> Self {
        Self {
            form,
            wanted: token,
            current: None,
            tracker: Tracker::new(),
            tally: Tally::default(),
            hist: Hist::new(),
            carry: [0; TS_PACKET],
            carried: 0,
            arrivals: Vec::new(),
        }
    }

    /// Takes the next bytes of a byte stream, read at `now`; answers the
    /// stamps that they completed.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Instant) -> &[Arrival] {
        self.arrivals.clear();
        match self.form {
            Form::Ts => self.packets(bytes, now),
            Form::Bytes => self.anywhere(bytes, now),
        }
        &self.arrivals
    }

    /// Takes one datagram, received at `now`; answers the stamps in it. A
    /// stamp never spans two.
    pub fn handle_datagram(&mut self, bytes: &[u8], now: Instant) -> &[Arrival] {
        self.carried = 0;
        self.handle_bytes(bytes, now);
        self.carried = 0;
        &self.arrivals
    }

    /// Latencies of all stamps counted as received.
    pub const fn hist(&self) -> &Hist {
        &self.hist
    }

    /// What was counted.
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// Forgets latencies and counts, after a warm-up for instance, but not
    /// which numbers were seen.
    pub fn clear(&mut self) {
        self.hist.clear();
        self.tally = Tally::default();
    }

    fn packets(&mut self, mut bytes: &[u8], now: Instant) {
        if self.carried > 0 {
            let wanted = (TS_PACKET - self.carried).min(bytes.len());
            let (head, rest) = bytes.split_at(wanted);
            self.keep(head);
            bytes = rest;
            if self.carried < TS_PACKET {
                return;
            }
            self.carried = 0;
            let packet = self.carry;
            self.packet(&packet, now);
        }
        loop {
            // Without sync, the next sync byte will do: a false one costs a
            // packet, and stamps know their magic.
            let start = bytes.iter().position(|&b| b == SYNC);
            bytes = start.map_or(&[][..], |at| &bytes[at..]);
            let Some((packet, rest)) = bytes.split_first_chunk() else {
                break;
            };
            self.packet(packet, now);
            bytes = rest;
        }
        self.keep(bytes);
    }

    fn packet(&mut self, packet: &[u8; TS_PACKET], now: Instant) {
        if let Some(stamp) = Stamp::find_ts(packet) {
            self.take(stamp, now);
        }
    }

    fn anywhere(&mut self, bytes: &[u8], now: Instant) {
        // First where the bytes of before and the new ones meet, then the new
        // ones alone: a stamp lies in one or the other, never in both.
        let mut seam = [0; 2 * OVERLAP];
        let joined = OVERLAP.min(bytes.len());
        let seam = &mut seam[..self.carried + joined];
        seam[..self.carried].copy_from_slice(&self.carry[..self.carried]);
        seam[self.carried..].copy_from_slice(&bytes[..joined]);
        if self.carried > 0 {
            self.all(seam, now);
        }
        self.all(bytes, now);
        // A stamp that has been found is cut off, lest it be found again: only
        // what can begin one is kept.
        let tail = if bytes.len() >= OVERLAP { &bytes[bytes.len() - OVERLAP..] } else { seam };
        let tail = &tail[tail.len().saturating_sub(OVERLAP)..];
        self.carried = 0;
        self.keep(tail);
    }

    fn all(&mut self, mut bytes: &[u8], now: Instant) {
        while let Some((at, stamp)) = Stamp::find(bytes) {
            self.take(stamp, now);
            bytes = &bytes[at + Stamp::BYTES..];
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let end = self.carried + bytes.len();
        self.carry[self.carried..end].copy_from_slice(bytes);
        self.carried = end;
    }

    fn take(&mut self, stamp: Stamp, now: Instant) {
        if self.wanted.is_some_and(|token| token != stamp.token) {
            return;
        }
        if self.current != Some(stamp.token) {
            if self.current.is_some() {
                self.tally.restarts += 1;
            }
            self.current = Some(stamp.token);
            self.tracker = Tracker::new();
        }
        let order = self.tracker.handle(stamp.seq, &mut self.tally);
        let latency = now.since(stamp.intended);
        match order {
            Order::New | Order::Reordered => self.hist.record(latency),
            Order::Duplicate | Order::Stale => {}
        }
        self.arrivals.push(Arrival { stamp, latency, order });
    }
}
