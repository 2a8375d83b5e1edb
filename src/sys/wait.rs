//! Waiting for a handful of descriptors with a deadline in nanoseconds.
//!
//! For the blocking clients, which hold few descriptors and sleep to the
//! moment of their next send, and for a shard that has one in less than a
//! millisecond; mio rounds timeouts up to whole ones.
#![expect(
    unsafe_code,
    reason = "ppoll, and prctl for the timer slack: std and socket2 have neither"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

/// Waits until `source` can be read, or until `timeout` has passed.
///
/// # Errors
/// As [`wait_readable`].
pub fn wait_on(source: &impl AsRawFd, timeout: Duration) -> io::Result<()> {
    wait([source.as_raw_fd()], timeout).map(|_| ())
}

/// Waits until one of `sources` can be read, was closed or has an error to
/// tell, or until `timeout` has passed; says which. `None` sources are skipped.
/// A signal ends the wait early, with nothing readable. ppoll(2).
///
/// # Errors
/// The kernel's, which means that it is out of memory.
pub fn wait_readable<const N: usize>(
    sources: [Option<BorrowedFd<'_>>; N],
    timeout: Duration,
) -> io::Result<[bool; N]> {
    wait(sources.map(|source| source.map_or(-1, |fd| fd.as_raw_fd())), timeout)
}

/// The same for numbers. poll(2) ignores negative ones, and says of one that
/// nobody has that it is none: nothing is read through them.
fn wait<const N: usize>(sources: [RawFd; N], timeout: Duration) -> io::Result<[bool; N]> {
    let mut entries = sources.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    let limit = libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos() as _,
    };
    // SAFETY: `entries` is an array of N pollfd that lives through the call,
    // `limit` is a valid timespec, and a null mask leaves signals as they are.
    let ready = unsafe {
        libc::ppoll(entries.as_mut_ptr(), N as libc::nfds_t, &raw const limit, std::ptr::null())
    };
    if ready < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::Interrupted {
            Ok([false; N])
        } else {
            Err(error)
        };
    }
    Ok(entries.map(|entry| entry.revents != 0))
}

/// Waits until `sink` takes bytes; false if nobody will ever read them: the
/// other end of a pipe is closed. poll(2).
pub fn wait_writable(sink: BorrowedFd<'_>) -> bool {
    let mut entry = libc::pollfd { fd: sink.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    loop {
        // SAFETY: `entry` is one pollfd that lives through the call; -1 waits
        // for as long as it takes.
        let ready = unsafe { libc::poll(&raw mut entry, 1, -1) };
        if ready >= 0 {
            return entry.revents & (libc::POLLERR | libc::POLLNVAL) == 0;
        }
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return false;
        }
    }
}

/// Asks the kernel to wake this thread from timed waits as exactly as it can.
/// By default it may be 50 µs late, to gather wake-ups. PR_SET_TIMERSLACK in
/// prctl(2); where it is refused, wake-ups are late and that is measured.
pub fn wake_exactly() {
    let nanoseconds: libc::c_ulong = 1;
    // SAFETY: PR_SET_TIMERSLACK takes one number and touches no memory of ours.
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, nanoseconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn only_the_readable_one_is_ready() {
        let (quiet, _keep) = UnixStream::pair().unwrap();
        let (heard, mut speaker) = UnixStream::pair().unwrap();
        speaker.write_all(b"x").unwrap();
        let ready =
            wait_readable([Some(quiet.as_fd()), None, Some(heard.as_fd())], Duration::from_secs(5));
        assert_eq!(ready.unwrap(), [false, false, true]);
    }

    #[test]
    fn a_pipe_without_a_reader_takes_nothing() {
        let (reader, writer) = io::pipe().unwrap();
        assert!(wait_writable(writer.as_fd()));
        drop(reader);
        assert!(!wait_writable(writer.as_fd()));
    }

    #[test]
    fn a_timeout_leaves_all_unready() {
        let (quiet, _keep) = UnixStream::pair().unwrap();
        let ready = wait_readable([Some(quiet.as_fd())], Duration::from_nanos(1));
        assert_eq!(ready.unwrap(), [false]);
    }
}
