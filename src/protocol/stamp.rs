//! STAMP, the Simple Two-Way Active Measurement Protocol (RFC 8762), in its
//! unauthenticated mode: what a sender and a reflector say to each other.
//!
//! ```text
//!      0       4            12     14     16            24      28            36   38   40  41  44
//! asks │ number │ sent (T1)  │ error│ SSID │ must be zero ...                                │ TLVs ...
//! says │ number │ sent (T3)  │ error│ SSID │ had it (T2) │ number │ sent (T1) │error│ 0 │TTL│0│ TLVs ...
//! ```
//!
//! From the four times the sender has the round trip without the time that the
//! reflector took, `(T4 - T1) - (T3 - T2)`, and, as far as it knows how the two
//! clocks stand to each other, both ways apart (`client::ping::oneway`).
//!
//! The *SSID* (RFC 8972 section 3) tells apart the sessions of one address, and
//! TLVs (section 4) may follow the base packet. Here are only the bytes: numbers
//! are big-endian, times are arguments, in nanoseconds since 1970.

mod reflector;
#[cfg(test)]
mod tests;

use crate::limits::STAMP_BYTES;
use std::time::Duration;

pub use reflector::{Arrival, Reflector};

/// The port of reflectors, RFC 8762 section 4.1.
pub const PORT: u16 = 862;
/// Type of the TLV that only makes a packet larger, RFC 8972 section 4.1.
pub const EXTRA_PADDING: u8 = 1;
/// Bytes before a TLV's value: flags, type, and two of length.
pub const TLV_HEADER: usize = 4;
/// Flag of a TLV: not understood. A sender sets it, so that it comes back set
/// from a reflector that knows of no TLVs (RFC 8972 section 4).
pub const UNRECOGNISED: u8 = 0x80;
/// Flag of a TLV: its length is more than what is left of the packet.
pub const MALFORMED: u8 = 0x40;

/// Seconds from 1900, where NTP begins to count, to 1970 (RFC 5905 section 6).
const NTP_HEAD_START: u64 = 2_208_988_800;
const SECOND: u64 = 1_000_000_000;

/// How far the times of a packet may be wrong, and how they are written: S, Z,
/// Scale and Multiplier (RFC 4656 section 4.1.2, RFC 8186 section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorEstimate(u16);

impl ErrorEstimate {
    const SYNCHRONISED: u16 = 0x8000;
    const PTP: u16 = 0x4000;

    /// Of a clock that is kept in step with UTC by a source outside, or is not,
    /// and errs by at most `span`, which is rounded up. Times are in NTP format.
    pub fn new(is_synchronised: bool, span: Duration) -> Self {
        let wanted = (span.as_nanos() << 32).div_ceil(u128::from(SECOND)).max(1);
        let fits = |scale: &u32| wanted.div_ceil(1 << scale) <= 255;
        let scale = (0..63).find(fits).unwrap_or(63);
        let multiplier = wanted.div_ceil(1 << scale).min(255) as u16;
        let flag = if is_synchronised { Self::SYNCHRONISED } else { 0 };
        Self(flag | (scale as u16) << 8 | multiplier)
    }

    /// As it stands in a packet.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// As it stands in a packet.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether the clock is said to be kept in step with UTC.
    pub const fn is_synchronised(self) -> bool {
        self.0 & Self::SYNCHRONISED != 0
    }

    /// Whether times are in the truncated PTP format, not in NTP's.
    pub const fn is_ptp(self) -> bool {
        self.0 & Self::PTP != 0
    }

    /// The error; `None` if the multiplier is zero, which it must not be.
    pub fn span(self) -> Option<Duration> {
        let (scale, multiplier) = (self.0 >> 8 & 0x3f, self.0 & 0xff);
        let nanos = (u128::from(multiplier) << scale).saturating_mul(u128::from(SECOND)) >> 32;
        let (seconds, nanos) = (nanos / u128::from(SECOND), nanos % u128::from(SECOND));
        let span = Duration::new(u64::try_from(seconds).ok()?, nanos as u32);
        (multiplier > 0).then_some(span)
    }
}

/// A moment in NTP's 64-bit format (RFC 5905 section 6): seconds since 1900,
/// which begin anew in 2036, and their fraction, each in 32 bits. Nanoseconds
/// come out of [`from_wire`] as they went in.
pub const fn to_ntp(unix_nanos: u64) -> u64 {
    let (seconds, nanos) = (unix_nanos / SECOND, unix_nanos % SECOND);
    let fraction = ((nanos << 32) + SECOND / 2) / SECOND;
    (seconds + NTP_HEAD_START) << 32 | fraction
}

/// A packet's time in nanoseconds since 1970, its 32-bit seconds being those
/// nearest to `near`. Of PTP's format (32 bits of seconds, 32 of nanoseconds)
/// the scale is not known, so leap seconds may be in it. `None` if it is zero,
/// which stands for an unknown time, if it has too many nanoseconds, or if it
/// lies before 1970.
pub fn from_wire(bits: u64, error: ErrorEstimate, near: u64) -> Option<u64> {
    let (whole, part) = ((bits >> 32) as u32, bits & 0xffff_ffff);
    let (head_start, nanos) = if error.is_ptp() {
        (0, part)
    } else {
        (NTP_HEAD_START, (part * SECOND + (1 << 31)) >> 32)
    };
    if bits == 0 || (error.is_ptp() && nanos >= SECOND) {
        return None;
    }
    let near = near / SECOND + head_start;
    let ahead = whole.wrapping_sub(near as u32).cast_signed();
    let seconds = near.checked_add_signed(ahead.into())?.checked_sub(head_start)?;
    seconds.checked_mul(SECOND)?.checked_add(nanos)
}

/// What a sender asks with, RFC 8762 section 4.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Which one of its session, from 0 on.
    pub sequence: u32,
    /// T1, as it stands in the packet.
    pub sent: u64,
    /// Of T1.
    pub error: ErrorEstimate,
    /// Which session of its address; 0: it has only one.
    pub ssid: u16,
}

impl Request {
    /// The fields of a packet; `None` if it is too short to have them.
    pub fn read(packet: &[u8]) -> Option<Self> {
        Some(Self {
            sequence: u32::from_be_bytes(field(packet, 0)?),
            sent: u64::from_be_bytes(field(packet, 4)?),
            error: ErrorEstimate(u16::from_be_bytes(field(packet, 12)?)),
            ssid: u16::from_be_bytes(field(packet, 14)?),
        })
    }

    /// The base packet.
    pub fn write(&self) -> [u8; STAMP_BYTES] {
        let mut packet = [0; STAMP_BYTES];
        packet[..4].copy_from_slice(&self.sequence.to_be_bytes());
        packet[4..12].copy_from_slice(&self.sent.to_be_bytes());
        packet[12..14].copy_from_slice(&self.error.0.to_be_bytes());
        packet[14..16].copy_from_slice(&self.ssid.to_be_bytes());
        packet
    }
}

/// What a reflector answers, RFC 8762 section 4.3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The request's, or which reply it is of its session, from 0 on, if the
    /// reflector counts them.
    pub sequence: u32,
    /// T3, as it stands in the packet.
    pub sent: u64,
    /// Of T2 and T3.
    pub error: ErrorEstimate,
    /// T2, as it stands in the packet.
    pub received: u64,
    /// Time to live, or hop limit, that the request arrived with; 255 if the
    /// reflector does not know.
    pub ttl: u8,
    /// The request's fields, come back.
    pub request: Request,
}

impl Reply {
    /// The fields of a packet; `None` if it is too short to have them.
    pub fn read(packet: &[u8]) -> Option<Self> {
        let front = Request::read(packet)?;
        Some(Self {
            sequence: front.sequence,
            sent: front.sent,
            error: front.error,
            received: u64::from_be_bytes(field(packet, 16)?),
            ttl: *packet.get(40)?,
            request: Request {
                sequence: u32::from_be_bytes(field(packet, 24)?),
                sent: u64::from_be_bytes(field(packet, 28)?),
                error: ErrorEstimate(u16::from_be_bytes(field(packet, 36)?)),
                ssid: front.ssid,
            },
        })
    }

    /// The base packet.
    pub fn write(&self) -> [u8; STAMP_BYTES] {
        let Self { sequence, sent, error, received, ttl, request } = *self;
        let mut packet = Request { sequence, sent, error, ssid: request.ssid }.write();
        packet[16..24].copy_from_slice(&received.to_be_bytes());
        packet[24..28].copy_from_slice(&request.sequence.to_be_bytes());
        packet[28..36].copy_from_slice(&request.sent.to_be_bytes());
        packet[36..38].copy_from_slice(&request.error.0.to_be_bytes());
        packet[40] = ttl;
        packet
    }
}

fn field<const N: usize>(packet: &[u8], at: usize) -> Option<[u8; N]> {
    packet.get(at..)?.first_chunk().copied()
}
