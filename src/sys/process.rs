//! What concerns the whole process: its descriptor limit, its signals, and
//! random bytes for secrets.
#![expect(unsafe_code, reason = "setrlimit(2), getrandom(2), pthread_sigmask(3) and signalfd(2)")]

use super::error::{SysError, SysResult, retried};
use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// SIGTERM: a service manager asks to stop.
pub const TERMINATE: i32 = libc::SIGTERM;
/// SIGHUP: the terminal is gone.
pub const HANGUP: i32 = libc::SIGHUP;
/// SIGUSR1: write what the last turns did.
pub const TURNS: i32 = libc::SIGUSR1;
/// SIGINT: Ctrl-C.
pub const INTERRUPT: i32 = libc::SIGINT;

/// Raises the soft limit of open descriptors to the hard one, getrlimit(2);
/// answers what it is now.
///
/// # Errors
/// The kernel's.
pub fn raise_nofile() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call writes `limit`.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == -1 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: the call reads `limit`.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(limit.rlim_cur)
}

/// Has large blocks come from the kernel and go back to it when they are freed,
/// mallopt(3) `M_MMAP_THRESHOLD`. By default glibc raises that bound to the
/// largest block freed so far, and keeps what a burst took. Other C libraries
/// are left as they are.
pub fn give_back_large_blocks() {
    #[cfg(target_env = "gnu")]
    {
        let bytes = crate::limits::LARGE_BLOCK as libc::c_int;
        // SAFETY: the call changes a number of the allocator's, under its lock.
        unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, bytes) };
    }
}

/// Gives the pages of what is free in the heap back to the kernel,
/// malloc_trim(3), which takes some milliseconds; who allocates meanwhile may
/// have to wait. Other C libraries are left as they are.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call touches what is free in the allocator alone, under its
    // locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Fills `bytes` from the kernel's random source, getrandom(2); waits for it to
/// be seeded, early in a boot.
///
/// # Errors
/// The kernel's: a sandbox that forbids the call.
pub fn random_bytes(bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        let rest = &mut bytes[filled..];
        // SAFETY: the call writes at most as many bytes as `rest` has.
        filled += retried(|| unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) })?;
    }
    Ok(())
}

/// Signals as something to read, signalfd(2): no handler ever runs.
#[derive(Debug)]
pub struct Signals(File);

impl Signals {
    /// Blocks `signals` in this thread, and in those it starts from now on, and
    /// takes them in here instead. Call it before any other thread starts: one
    /// that blocks nothing would die of them.
    ///
    /// # Errors
    /// `InvalidInput` for a number that is no signal.
    pub fn new(signals: &[i32]) -> SysResult<Self> {
        // SAFETY: a sigset_t is an array of integers; all zeros is a value.
        let mut set: libc::sigset_t = unsafe { mem::zeroed() };
        // SAFETY: `set` is a live sigset_t.
        unsafe { libc::sigemptyset(&raw mut set) };
        for &signal in signals {
            // SAFETY: `set` was made by sigemptyset.
            if unsafe { libc::sigaddset(&raw mut set, signal) } == -1 {
                return Err(SysError::last("sigaddset", signal));
            }
        }
        // SAFETY: the call reads `set`; null asks for no old mask.
        let code =
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        if code != 0 {
            let error = io::Error::from_raw_os_error(code);
            return Err(SysError::new("pthread_sigmask", "", error));
        }
        let flags = libc::SFD_NONBLOCK | libc::SFD_CLOEXEC;
        // SAFETY: the call reads `set`; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const set, flags) };
        if fd == -1 {
            return Err(SysError::last("signalfd", ""));
        }
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }.into()))
    }

    /// The next signal that came; does not block.
    pub fn read(&self) -> Option<i32> {
        // struct signalfd_siginfo starts with ssi_signo, a u32.
        let mut info = [0; size_of::<libc::signalfd_siginfo>()];
        match (&self.0).read(&mut info) {
            Ok(len) if len == info.len() => {
                let number = u32::from_ne_bytes([info[0], info[1], info[2], info[3]]);
                i32::try_from(number).ok()
            }
            // Nothing came; the descriptor knows no other error.
            _ => None,
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_once() {
        let limit = raise_nofile().unwrap();
        assert!(limit > 0);
        assert_eq!(raise_nofile().unwrap(), limit);
    }

    #[test]
    fn random_bytes_fill_all_and_differ() {
        // More than getrandom(2) gives in one uninterrupted call.
        let mut one = [0; 1024];
        let mut other = [0; 1024];
        random_bytes(&mut one).unwrap();
        random_bytes(&mut other).unwrap();
        assert_ne!(one, other);
        assert_ne!(one[960..], [0; 64]);
        random_bytes(&mut []).unwrap();
    }

    #[test]
    fn a_blocked_signal_is_read_instead_of_killing() {
        // A thread of its own: the mask dies with it, and raise(3) reaches it
        // alone.
        let thread = std::thread::spawn(|| {
            let signals = Signals::new(&[libc::SIGTERM, libc::SIGINT, libc::SIGUSR1]).unwrap();
            assert_eq!(signals.read(), None);
            // SAFETY: the signal is blocked in this thread, the one it is
            // sent to.
            assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
            assert_eq!(signals.read(), Some(libc::SIGUSR1));
            assert_eq!(signals.read(), None);
        });
        thread.join().unwrap();
    }

    #[test]
    fn a_number_that_is_no_signal_is_refused() {
        let error = Signals::new(&[9999]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().starts_with("sigaddset 9999: "), "{error}");
    }
}
