//! The project's one clock. All else is given the time, so that tests and
//! simulations own it.
#![expect(
    unsafe_code,
    reason = "clock_gettime(2), for std's clock hides its nanoseconds; the cycle counter"
)]

use crate::base::Instant;
use std::sync::OnceLock;
use std::time::Duration;

/// A moment as the kernel stamps what arrives: `CLOCK_REALTIME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(u64);

impl Stamp {
    /// So many nanoseconds after 1970 began.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// So many nanoseconds after 1970 began.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The span from an earlier stamp; `None` if it is the later one, for that
    /// clock can be set.
    pub fn since(self, earlier: Self) -> Option<Duration> {
        self.0.checked_sub(earlier.0).map(Duration::from_nanos)
    }

    /// On the monotonic clock, which that one is `lead` nanoseconds ahead of.
    pub const fn at(self, lead: u64) -> Instant {
        Instant::from_nanos(self.0.saturating_sub(lead))
    }
}

impl From<libc::timespec> for Stamp {
    fn from(time: libc::timespec) -> Self {
        Self::from_nanos(nanos(time))
    }
}

const fn nanos(time: libc::timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a live timespec that the call may write.
    let done = unsafe { libc::clock_gettime(clock, &raw mut time) };
    // The call fails on an unknown clock or a bad address alone.
    debug_assert_eq!(done, 0, "both clocks exist on every Linux");
    nanos(time)
}

/// The kernel's monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// `CLOCK_MONOTONIC`, in nanoseconds since some point before boot; shared
    /// by every process of the machine. Some 20 ns through the vDSO.
    pub fn now() -> Instant {
        Instant::from_nanos(read(libc::CLOCK_MONOTONIC))
    }

    /// `CLOCK_REALTIME`, to say to others what time it is; spans are measured by
    /// [`now`](Self::now), for this one may be set.
    pub fn stamp() -> Stamp {
        Stamp(read(libc::CLOCK_REALTIME))
    }

    /// Processor time that all threads of the process have used,
    /// `CLOCK_PROCESS_CPUTIME_ID` (clock_gettime(2)).
    pub fn cpu() -> Duration {
        Duration::from_nanos(read(libc::CLOCK_PROCESS_CPUTIME_ID))
    }

    /// How far the clock that [`Stamp`]s are of is ahead of this one, in
    /// nanoseconds. It changes when somebody sets the time.
    pub fn lead() -> u64 {
        read(libc::CLOCK_REALTIME).saturating_sub(read(libc::CLOCK_MONOTONIC))
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

    /// How many ticks a span has, about: found out once, which takes 100 us.
    pub fn ticks_in(span: Duration) -> u64 {
        static RATE: OnceLock<f64> = OnceLock::new();
        let rate = RATE.get_or_init(|| {
            let (ticks, start) = Self::pair();
            loop {
                let (later, now) = Self::pair();
                let nanos = now.nanos_since(start);
                if nanos >= 100_000 {
                    return later.saturating_sub(ticks) as f64 / nanos as f64;
                }
            }
        });
        (rate * span.as_nanos() as f64) as u64
    }

    /// One moment on both clocks, to tell how long a tick is.
    pub fn pair() -> (u64, Instant) {
        (Self::ticks(), Self::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        // Whoever is put off between the two clocks of a pair is wrong by so long.
        let second = Clock::ticks_in(Duration::from_secs(1)) as f64 * least / 1e9;
        assert!((0.5..2.0).contains(&second), "{second} s");
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
