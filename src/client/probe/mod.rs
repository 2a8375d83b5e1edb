//! Probe stamps: what a publisher puts into a stream so that a subscriber on
//! the same host can tell how long the bytes took.
//!
//! A [`Stamp`] is written at the end of each frame, so the latency it shows is
//! that of the frame's last byte. It is text of a fixed length (no byte of it
//! is a newline), so it fits in any framing; in an MPEG-TS it travels in
//! packets of a PID of its own, which is not in the PMT, so players pass over
//! it. [`ProbeReader`] finds stamps again in whatever arrives.
//!
//! Latency is the time from the *intended* send to the receive: a publisher
//! that is late does not make the path look faster.

mod order;
mod reader;

pub use order::{Order, Tally};
pub use reader::{Arrival, Form, ProbeReader};

use crate::base::Instant;
use crate::limits::TS_PACKET;

/// What every stamp begins with.
const MAGIC: &[u8; 8] = b"nlprobe1";
/// Hexadecimal digits of each of the four numbers.
const DIGITS: usize = 16;

/// One stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Tells streams apart, and probes from what only looks alike. Chosen at
    /// random by the publisher.
    pub token: u64,
    /// Counts the stamps of a stream, from any start, by ones.
    pub seq: u64,
    /// When it was to be sent, `CLOCK_MONOTONIC`: valid on one host alone.
    pub intended: Instant,
    /// When it was sent.
    pub sent: Instant,
}

impl Stamp {
    /// Bytes of a stamp in a stream that is no MPEG-TS.
    pub const BYTES: usize = MAGIC.len() + 4 * DIGITS;
    /// The PID of the packets that carry stamps in an MPEG-TS.
    pub const PID: u16 = 0x1f00;

    /// Appends the stamp as [`Self::BYTES`] bytes of text, without newline.
    pub fn write_bytes(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC);
        let times = [self.intended.as_nanos(), self.sent.as_nanos()];
        for number in [self.token, self.seq, times[0], times[1]] {
            for digit in (0..DIGITS).rev() {
                let value = (number >> (4 * digit) & 15) as usize;
                out.push(b"0123456789abcdef"[value]);
            }
        }
    }

    /// Appends the stamp as one TS packet. The continuity counter is the
    /// sequence number's last four bits, so stamps must be written in order,
    /// none left out.
    pub fn write_ts(&self, out: &mut Vec<u8>) {
        let [hi, lo] = Self::PID.to_be_bytes();
        let end = out.len() + TS_PACKET;
        out.extend_from_slice(&[0x47, hi, lo, 0x10 | (self.seq & 15) as u8]);
        self.write_bytes(out);
        out.resize(end, 0xff);
    }

    /// The first stamp in `bytes`, and where it begins.
    pub fn find(bytes: &[u8]) -> Option<(usize, Self)> {
        let mut from = 0;
        while let Some(at) = find_magic(&bytes[from..]) {
            if let Some(stamp) = Self::read(&bytes[from + at..]) {
                return Some((from + at, stamp));
            }
            from += at + 1;
        }
        None
    }

    /// The stamp in a TS packet, if it is one of [`Self::PID`].
    pub fn find_ts(packet: &[u8; TS_PACKET]) -> Option<Self> {
        let [hi, lo] = Self::PID.to_be_bytes();
        let ours = packet[0] == 0x47 && packet[1] & 0x1f == hi && packet[2] == lo;
        if ours { Self::read(&packet[4..]) } else { None }
    }

    /// The stamp that `bytes` begin with.
    fn read(bytes: &[u8]) -> Option<Self> {
        let digits = bytes.get(..Self::BYTES)?.strip_prefix(MAGIC)?;
        let mut numbers = [0; 4];
        for (number, text) in numbers.iter_mut().zip(digits.chunks_exact(DIGITS)) {
            for &digit in text {
                *number = *number << 4 | hex(digit)?;
            }
        }
        let [token, seq, intended, sent] = numbers;
        Some(Self {
            token,
            seq,
            intended: Instant::from_nanos(intended),
            sent: Instant::from_nanos(sent),
        })
    }
}

/// Where the magic begins; one pass that compares a single byte mostly.
fn find_magic(bytes: &[u8]) -> Option<usize> {
    let last = bytes.len().checked_sub(MAGIC.len())?;
    let mut from = 0;
    while let Some(at) = bytes[from..=last].iter().position(|&b| b == MAGIC[0]) {
        if bytes[from + at..].starts_with(MAGIC) {
            return Some(from + at);
        }
        from += at + 1;
        if from > last {
            break;
        }
    }
    None
}

/// As written by [`Stamp::write_bytes`]: lower case alone.
fn hex(digit: u8) -> Option<u64> {
    match digit {
        b'0'..=b'9' => Some(u64::from(digit - b'0')),
        b'a'..=b'f' => Some(u64::from(digit - b'a') + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
