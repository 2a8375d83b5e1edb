//! Pacing by the clock in an MPEG-TS, ISO/IEC 13818-1 2.4.2: a byte between
//! two PCRs is due in proportion to its place between them.

use crate::limits::{DATAGRAM_BYTES, PCR_GAP, PCR_LOOKAHEAD, TS_PACKET};
use std::time::Duration;

/// Ticks of the PCR in a second.
const HZ: u64 = 27_000_000;
/// Where the PCR starts over: 33 bits of base, each of 300 ticks.
const WRAP: u64 = (1 << 33) * 300;

/// What to do next with the bytes at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Send so many bytes, at this offset from the start.
    Send {
        /// Bytes from the front; never zero.
        bytes: usize,
        /// When.
        at: Duration,
    },
    /// Read more bytes behind those, then ask again; at the end: done.
    More,
}

/// Sends an MPEG-TS of whole packets by its own clock. A jump of the clock
/// (flagged, backwards, or by more than [`PCR_GAP`]) takes no time of its own:
/// the bytes before it go at the rate of those before them. Without any PCR
/// within [`PCR_LOOKAHEAD`] bytes, they go at the fallback rate.
#[derive(Clone, Debug)]
pub struct PcrPacer {
    /// Bytes a second before anything is known, and that of the last span
    /// afterwards.
    rate: Rate,
    /// The PID whose PCRs count: the first that has any.
    pid: Option<u16>,
    /// The PCR of the packet that comes next, if it has one of our PID.
    head: Option<u64>,
    span: Option<Span>,
    /// Ticks from the start to the end of the last span.
    elapsed: u64,
    /// Bytes at the front of the next input that hold no PCR but perhaps at
    /// their very start.
    searched: usize,
}

/// Bytes per ticks.
#[derive(Clone, Copy, Debug)]
struct Rate {
    bytes: u64,
    ticks: u64,
}

/// The bytes from one PCR up to the next.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u64,
    ticks: u64,
    bytes: u64,
    sent: u64,
}

/// A PCR found ahead.
struct Found {
    pid: u16,
    pcr: u64,
    discontinuity: bool,
    at: usize,
}

impl PcrPacer {
    /// A pacer with a rate, in bytes a second, for where the stream's clock
    /// tells nothing; zero counts as one.
    pub const fn new(fallback: u64) -> Self {
        let bytes = if fallback == 0 { 1 } else { fallback };
        Self {
            rate: Rate { bytes, ticks: HZ },
            pid: None,
            head: None,
            span: None,
            elapsed: 0,
            searched: 0,
        }
    }

    /// The next piece, at most [`DATAGRAM_BYTES`], of `buffered`, which
    /// begins where the piece before it ended. A piece never runs past a PCR.
    pub fn next(&mut self, buffered: &[u8], end: bool) -> Piece {
        if buffered.is_empty() {
            return Piece::More;
        }
        if self.span.is_none() {
            self.span = self.plan(buffered, end);
        }
        let Some(span) = &mut self.span else {
            return Piece::More;
        };
        let left = usize::try_from(span.bytes - span.sent).unwrap_or(usize::MAX);
        let bytes = left.min(DATAGRAM_BYTES).min(buffered.len());
        let share = u128::from(span.ticks) * u128::from(span.sent) / u128::from(span.bytes);
        let at = duration(span.start + share as u64);
        span.sent += bytes as u64;
        if span.sent == span.bytes {
            self.elapsed += span.ticks;
            self.span = None;
        }
        Piece::Send { bytes, at }
    }

    /// Looks ahead for the next PCR and lays out the bytes up to it; `None`
    /// if it takes more bytes to tell.
    fn plan(&mut self, buffered: &[u8], end: bool) -> Option<Span> {
        if self.head.is_none()
            && let Some(packet) = buffered.get(..TS_PACKET)
            && let Some(first) = pcr(packet, 0)
        {
            self.head = Some(first.pcr);
            self.pid = Some(first.pid);
        }
        // The packet at the front has been judged: search behind it.
        let from = self.searched.max(if self.head.is_some() { TS_PACKET } else { 0 });
        if let Some(next) = self.find(buffered, from) {
            self.searched = 0;
            return Some(self.up_to(&next));
        }
        self.searched = buffered.len() / TS_PACKET * TS_PACKET;
        if !end && buffered.len() < PCR_LOOKAHEAD {
            return None;
        }
        self.searched = 0;
        self.head = None;
        self.pid = None;
        let bytes = buffered.len() as u64;
        Some(self.at_last_rate(bytes))
    }

    fn up_to(&mut self, next: &Found) -> Span {
        let bytes = next.at as u64;
        let ticks = self.head.and_then(|head| {
            let ticks = (next.pcr + WRAP - head) % WRAP;
            let gap = PCR_GAP.as_millis() as u64 * (HZ / 1000);
            (!next.discontinuity && (1..=gap).contains(&ticks)).then_some(ticks)
        });
        self.head = Some(next.pcr);
        self.pid = Some(next.pid);
        match ticks {
            Some(ticks) => {
                self.rate = Rate { bytes, ticks };
                self.span(bytes, ticks)
            }
            None => self.at_last_rate(bytes),
        }
    }

    fn at_last_rate(&self, bytes: u64) -> Span {
        let ticks = u128::from(bytes) * u128::from(self.rate.ticks) / u128::from(self.rate.bytes);
        self.span(bytes, u64::try_from(ticks).unwrap_or(u64::MAX))
    }

    const fn span(&self, bytes: u64, ticks: u64) -> Span {
        Span { start: self.elapsed, ticks, bytes, sent: 0 }
    }

    /// The first PCR of our PID, or of any, in the packets from `from` on.
    fn find(&self, buffered: &[u8], from: usize) -> Option<Found> {
        let packets = buffered.get(from..)?.chunks_exact(TS_PACKET);
        let mut places = packets.zip((from..).step_by(TS_PACKET));
        places.find_map(|(packet, at)| {
            let found = pcr(packet, at)?;
            (self.pid.is_none_or(|pid| pid == found.pid)).then_some(found)
        })
    }
}

/// The PCR of a packet, 2.4.3.4 and 2.4.3.5.
fn pcr(packet: &[u8], at: usize) -> Option<Found> {
    let has_field = packet[0] == 0x47 && packet[3] & 0x20 != 0 && packet[4] >= 7;
    if !has_field || packet[5] & 0x10 == 0 {
        return None;
    }
    let high = packet[6..10].iter().fold(0, |n, &b| n << 8 | u64::from(b));
    let base = high << 1 | u64::from(packet[10] >> 7);
    let extension = u64::from(packet[10] & 1) << 8 | u64::from(packet[11]);
    Some(Found {
        pid: u16::from_be_bytes([packet[1] & 0x1f, packet[2]]),
        pcr: (base * 300 + extension) % WRAP,
        discontinuity: packet[5] & 0x80 != 0,
        at,
    })
}

fn duration(ticks: u64) -> Duration {
    let nanos = u128::from(ticks) * 1000 / 27;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
