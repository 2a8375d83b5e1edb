//! The project's one clock. All else is given the time, so that tests and
//! simulations own it.
#![expect(
    unsafe_code,
    reason = "clock_gettime(2); std's clock hides its nanoseconds, which timerfd needs"
)]

use crate::base::Instant;

/// The kernel's monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// `CLOCK_MONOTONIC`, in nanoseconds since some point before boot; shared
    /// by every process of the machine. Some 20 ns through the vDSO.
    pub fn now() -> Instant {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is a live timespec that the call may write.
        let done = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
        // The call fails on an unknown clock or a bad address alone.
        debug_assert_eq!(done, 0, "CLOCK_MONOTONIC exists on every Linux");
        Instant::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn runs_forward_in_nanoseconds() {
        let start = Clock::now();
        let mut last = start;
        while last.since(start) < Duration::from_millis(2) {
            let now = Clock::now();
            assert!(now >= last);
            last = now;
        }
        assert!(start > Instant::ZERO);
    }
}
