//! The project's one clock. All else is given the time, so that tests and
//! simulations own it.
#![expect(
    unsafe_code,
    reason = "clock_gettime(2), for std's clock hides its nanoseconds; the cycle counter"
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

    /// A counter that runs at a constant rate and costs a few nanoseconds to
    /// read, for spans within one thread: the processor's own, where it has one.
    #[inline]
    pub fn ticks() -> u64 {
        #[cfg(target_arch = "x86_64")]
        {
            // SAFETY: the instruction reads a register, which Linux leaves open.
            unsafe { core::arch::x86_64::_rdtsc() }
        }
        #[cfg(target_arch = "aarch64")]
        {
            let ticks: u64;
            // SAFETY: the instruction reads a register, which Linux leaves open.
            unsafe {
                core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack));
            }
            ticks
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        {
            Self::now().as_nanos()
        }
    }

    /// One moment on both clocks, to tell how long a tick is.
    pub fn pair() -> (u64, Instant) {
        (Self::ticks(), Self::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn ticks_have_one_length() {
        let wait = || {
            let start = Clock::pair();
            while Clock::now().since(start.1) < Duration::from_millis(3) {}
            let end = Clock::pair();
            end.1.since(start.1).as_nanos() as f64 / (end.0 - start.0) as f64
        };
        let lengths = [wait(), wait(), wait()];
        let (least, most) =
            lengths.iter().fold((f64::MAX, 0f64), |(a, b), &l| (a.min(l), b.max(l)));
        assert!(most / least < 1.05, "{lengths:?} ns");
    }

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
