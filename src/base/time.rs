//! A monotonic point in time that has no `now()`: whoever needs the time is
//! given it, so that tests and simulations own the clock.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// Nanoseconds of the monotonic clock since an arbitrary start.
///
/// `sys::clock` is the only source of real ones. 64 bits last 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The clock's zero: earlier than every instant that a clock returns.
    pub const ZERO: Self = Self(0);

    /// Later than every instant that a clock returns.
    pub const NEVER: Self = Self(u64::MAX);

    /// The instant `nanos` nanoseconds after [`Self::ZERO`].
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds after [`Self::ZERO`].
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to `self`, zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }

    /// So long before; zero where there is no such moment.
    pub fn back(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// The same in nanoseconds, for where a `Duration`'s seconds would be taken
    /// apart again for each frame.
    pub const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A span in four bytes: whole microseconds, 71 minutes at most. What is kept
/// for each of very many is kept in this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Micros(u32);

impl Micros {
    /// The span.
    pub const fn get(self) -> Duration {
        Duration::from_micros(self.0 as u64)
    }

    /// The same in nanoseconds.
    pub const fn nanos(self) -> u64 {
        self.0 as u64 * 1000
    }
}

impl From<Duration> for Micros {
    /// Less than a microsecond counts as one; more than fits, as all that does.
    fn from(span: Duration) -> Self {
        Self(u32::try_from(span.as_nanos().div_ceil(1000)).unwrap_or(u32::MAX))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}s", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn micros_are_never_less_than_what_they_are_made_of_if_it_fits() {
        for nanos in [0, 1, 1000, 1001, 500_000_000] {
            let span = Duration::from_nanos(nanos);
            let kept = Micros::from(span).get();
            assert!(span <= kept && kept < span + Duration::from_micros(1), "{nanos}");
        }
        assert_eq!(Micros::from(Duration::MAX).get(), Duration::from_micros(u64::from(u32::MAX)));
    }

    #[test]
    fn since_never_goes_below_zero() {
        let early = Instant::from_nanos(5);
        let late = early + Duration::from_nanos(7);
        assert_eq!(late.since(early), Duration::from_nanos(7));
        assert_eq!(early.since(late), Duration::ZERO);
    }

    #[test]
    fn adding_the_largest_span_saturates() {
        assert_eq!(Instant::ZERO + Duration::MAX, Instant::from_nanos(u64::MAX));
    }
}
