//! What ends a sleep of the event loop beside sockets: another thread's ring
//! (eventfd), and a deadline to the nanosecond (timerfd; the poll's own timeout
//! is in whole milliseconds).
#![expect(unsafe_code, reason = "eventfd(2) and timerfd_create(2)")]

use super::error::{SysError, SysResult};
use crate::base::Instant;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Rings across threads: one write by any of them makes it readable.
#[derive(Debug)]
pub struct Wake(File);

impl Wake {
    /// A quiet one: eventfd(2), non-blocking, closed on exec.
    ///
    /// # Errors
    /// Descriptors are used up.
    pub fn new() -> SysResult<Self> {
        // SAFETY: the call takes two integers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        own("eventfd", fd).map(Self)
    }

    /// Makes it readable until [`clear`](Self::clear).
    pub fn ring(&self) {
        // The one way to fail is a counter about to overflow; then it is
        // readable already.
        let _ = (&self.0).write(&1u64.to_ne_bytes());
    }

    /// Makes it quiet again; answers how often it was rung. Clear first, then
    /// look for what was announced, or an announcement may be missed.
    pub fn clear(&self) -> u64 {
        count(&self.0)
    }
}

/// One deadline of the monotonic clock, to the nanosecond; readable once it has
/// passed.
#[derive(Debug)]
pub struct Timer(File);

impl Timer {
    /// A disarmed one: timerfd_create(2), non-blocking, closed on exec.
    ///
    /// # Errors
    /// Descriptors are used up.
    pub fn new() -> SysResult<Self> {
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        // SAFETY: the call takes two integers.
        let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) };
        own("timerfd_create", fd).map(Self)
    }

    /// Fires at `at`, in place of what was armed before; at once if that has
    /// passed.
    pub fn arm(&self, at: Instant) {
        // Zero means disarmed to the kernel; one nanosecond after the clock's
        // zero has passed just as well.
        self.set(at.as_nanos().max(1));
    }

    /// Fires no more, and is not readable.
    pub fn disarm(&self) {
        self.set(0);
    }

    /// Takes note of having fired; answers whether it had. It stays quiet until
    /// armed again.
    pub fn clear(&self) -> bool {
        count(&self.0) > 0
    }

    fn set(&self, nanos: u64) {
        let spec = libc::itimerspec {
            it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: libc::timespec {
                tv_sec: (nanos / 1_000_000_000) as libc::time_t,
                tv_nsec: (nanos % 1_000_000_000) as libc::c_long,
            },
        };
        // SAFETY: the call reads `spec`; a null pointer asks for no old value.
        let done = unsafe {
            libc::timerfd_settime(
                self.0.as_raw_fd(),
                libc::TFD_TIMER_ABSTIME,
                &raw const spec,
                std::ptr::null_mut(),
            )
        };
        assert_eq!(done, 0, "a timerfd takes every time of 64 bits");
    }
}

/// The counter that an eventfd or timerfd holds, taken; zero if it has none.
fn count(mut file: &File) -> u64 {
    let mut bytes = [0; 8];
    match file.read(&mut bytes) {
        Ok(8) => u64::from_ne_bytes(bytes),
        // Nothing to read; such descriptors know no other error.
        _ => 0,
    }
}

/// Takes a descriptor that a call with no subject answered.
pub(super) fn own(op: &'static str, fd: RawFd) -> SysResult<File> {
    if fd == -1 {
        return Err(SysError::last(op, ""));
    }
    // SAFETY: callers hand over the descriptor that the kernel just made for
    // them, which nobody else knows of.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) }.into())
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Wake {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::Clock;
    use super::super::testing::wait_for;
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn rings_of_other_threads_add_up_until_cleared() {
        let wake = Arc::new(Wake::new().unwrap());
        assert_eq!(wake.clear(), 0);
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let wake = Arc::clone(&wake);
                std::thread::spawn(move || wake.ring())
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(wake.clear(), 3);
        assert_eq!(wake.clear(), 0);
    }

    #[test]
    fn a_full_counter_still_rings() {
        let wake = Wake::new().unwrap();
        (&wake.0).write_all(&(u64::MAX - 1).to_ne_bytes()).unwrap();
        wake.ring();
        assert_eq!(wake.clear(), u64::MAX - 1);
    }

    #[test]
    fn fires_once_and_never_early() {
        let timer = Timer::new().unwrap();
        assert!(!timer.clear());
        let at = Clock::now() + Duration::from_micros(300);
        timer.arm(at);
        wait_for("timer", || timer.clear().then_some(()));
        assert!(Clock::now() >= at);
        assert!(!timer.clear());
    }

    #[test]
    fn the_past_fires_at_once_and_disarming_stops_it() {
        let timer = Timer::new().unwrap();
        timer.arm(Instant::ZERO);
        assert!(timer.clear());
        timer.arm(Instant::ZERO);
        timer.disarm();
        assert!(!timer.clear());
        timer.arm(Instant::from_nanos(u64::MAX));
        assert!(!timer.clear());
    }
}
