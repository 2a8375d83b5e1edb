//! Open-loop pacing: when each piece is due is reckoned from the start and the
//! stream alone, never from when the piece before it went. A sender that falls
//! behind catches up, and what is due is never skipped.
//!
//! The pacers answer offsets from the start and know no clock; [`sleep_until`]
//! does the waiting.

mod pcr;

pub use pcr::{PcrPacer, Piece};

use crate::base::Instant;
use crate::limits::{CLIENT_STOP, DATAGRAM_BYTES, WAIT_MARGIN};
use crate::sys::clock::Clock;
use crate::sys::poll::Poll;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What the times of a stream's bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pacing {
    /// As fast as the peer takes them.
    Asap,
    /// So many bytes a second.
    Rate(u64),
    /// The clock in the MPEG-TS; where it has none, so many bytes a second.
    Pcr {
        /// The rate to fall back to, in bytes a second.
        fallback: u64,
    },
}

impl Pacing {
    /// A pacer at the start of a stream.
    pub fn start(self) -> Pacer {
        match self {
            Self::Asap => Pacer::Asap,
            Self::Rate(rate) => Pacer::Rate(RatePacer::new(rate)),
            Self::Pcr { fallback } => Pacer::Pcr(PcrPacer::new(fallback)),
        }
    }
}

/// Cuts a stream into pieces and says when each is due.
#[derive(Clone, Debug)]
pub enum Pacer {
    /// All there is, at once.
    Asap,
    /// At a rate.
    Rate(RatePacer),
    /// By the stream's own clock.
    Pcr(PcrPacer),
}

impl Pacer {
    /// The next piece of `buffered`, which begins where the piece before it
    /// ended; `end` says that no more bytes will come.
    pub fn next(&mut self, buffered: &[u8], end: bool) -> Piece {
        match self {
            Self::Asap | Self::Rate(_) if buffered.is_empty() => Piece::More,
            Self::Asap => Piece::Send { bytes: buffered.len(), at: Duration::ZERO },
            Self::Rate(pacer) => {
                let bytes = buffered.len().min(DATAGRAM_BYTES);
                let at = pacer.due(bytes as u64);
                Piece::Send { bytes, at }
            }
            Self::Pcr(pacer) => pacer.next(buffered, end),
        }
    }
}

/// Times of bytes at a constant rate; exact, however long it runs.
#[derive(Clone, Copy, Debug)]
pub struct RatePacer {
    bytes_per_second: u64,
    sent: u64,
}

impl RatePacer {
    /// A pacer of `bytes_per_second`; zero counts as one.
    pub const fn new(bytes_per_second: u64) -> Self {
        let bytes_per_second = if bytes_per_second == 0 { 1 } else { bytes_per_second };
        Self { bytes_per_second, sent: 0 }
    }

    /// When the next `bytes` are due, after the start.
    pub fn due(&mut self, bytes: u64) -> Duration {
        let nanos = u128::from(self.sent) * 1_000_000_000 / u128::from(self.bytes_per_second);
        self.sent += bytes;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Times of frames at a constant interval.
#[derive(Clone, Copy, Debug)]
pub struct FramePacer {
    interval: Duration,
    frames: u64,
}

impl FramePacer {
    /// A frame every `interval`.
    pub const fn new(interval: Duration) -> Self {
        Self { interval, frames: 0 }
    }

    /// The next frame's number and when it is due, after the start.
    pub fn due(&mut self) -> (u64, Duration) {
        let frame = self.frames;
        self.frames += 1;
        let nanos = self.interval.as_nanos() * u128::from(frame);
        (frame, Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }
}

/// How to wait for a deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// Sleep in the kernel: late by the timer slack and a wake-up, 50 to
    /// 130 µs and now and then a millisecond in a VM; costs nothing, and is
    /// what most programs do.
    #[default]
    Sleep,
    /// Sleep until this long before the deadline, then spin: late by less
    /// than a microsecond mostly, if the margin covers the oversleeping.
    Hybrid(Duration),
    /// Spin: a core of its own.
    Spin,
}

impl Wait {
    /// Its name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sleep => "sleep",
            Self::Hybrid(_) => "hybrid",
            Self::Spin => "spin",
        }
    }

    /// The one of that name; the margin of hybrid is found out by sleeping a
    /// few times, for it depends on the machine.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "sleep" => Some(Self::Sleep),
            "hybrid" => Some(Self::Hybrid(oversleep().clamp(LEAST_MARGIN, WAIT_MARGIN))),
            "spin" => Some(Self::Spin),
            _ => None,
        }
    }

    /// How long before a deadline sleep ends.
    pub(super) const fn margin(self) -> Duration {
        match self {
            Self::Sleep => Duration::ZERO,
            Self::Hybrid(margin) => margin,
            Self::Spin => Duration::MAX,
        }
    }
}

/// Hybrid waits spin at least so long.
const LEAST_MARGIN: Duration = Duration::from_micros(20);

/// By how much sleep has lasted too long, at most, in a few tries.
fn oversleep() -> Duration {
    const TRIES: u32 = 50;
    const SLEEP: Duration = Duration::from_micros(200);
    let mut poll = Poll::default();
    let mut most = Duration::ZERO;
    for _ in 0..TRIES {
        let start = Clock::now();
        // A wait that fails has not slept: it tells nothing, and harms nothing.
        if poll.wait(SLEEP).is_ok() {
            most = most.max(Clock::now().since(start).saturating_sub(SLEEP));
        }
    }
    most
}

/// Waits for `deadline`; answers false if `stop` was set first, within
/// [`CLIENT_STOP`]. A deadline in the past is no wait at all.
pub fn sleep_until(deadline: Instant, how: Wait, stop: &AtomicBool) -> bool {
    let margin = how.margin();
    while !stop.load(Ordering::Relaxed) {
        let left = deadline.since(Clock::now());
        if left.is_zero() {
            return true;
        }
        match left.checked_sub(margin) {
            // May wake early, which the loop doesn't mind.
            Some(sleep) if !sleep.is_zero() => std::thread::park_timeout(sleep.min(CLIENT_STOP)),
            _ => std::hint::spin_loop(),
        }
    }
    false
}

#[cfg(test)]
mod tests;
