//! A failed call into the kernel, with what was tried and on what: the text
//! that a person reads when a server doesn't start.
#![cfg_attr(
    test,
    expect(unsafe_code, reason = "a test plays a failed call, and errno has no safe setter")
)]

use std::fmt;
use std::io;

/// `bind 127.0.0.1:9000: Address already in use (os error 98)`.
#[derive(Debug)]
pub struct SysError {
    op: &'static str,
    what: String,
    source: io::Error,
}

/// What a set-up call answers.
pub type SysResult<T> = Result<T, SysError>;

impl SysError {
    /// `op` (what was tried: a verb or an option's name) failed on `what` (an
    /// address, a path, a cpu; may be empty) with `source`.
    pub fn new(op: &'static str, what: impl fmt::Display, source: io::Error) -> Self {
        Self { op, what: what.to_string(), source }
    }

    /// The call that just returned -1 in this thread failed: takes `errno`.
    pub fn last(op: &'static str, what: impl fmt::Display) -> Self {
        Self::new(op, what, io::Error::last_os_error())
    }

    /// A failure that we found before asking the kernel, in words that say
    /// what to do.
    pub fn refused(op: &'static str, what: impl fmt::Display, why: String) -> Self {
        Self::new(op, what, io::Error::new(io::ErrorKind::InvalidInput, why))
    }

    /// What to do about it, where that is known.
    fn advice(&self) -> Option<&'static str> {
        if self.op != "bind" {
            return None;
        }
        match self.source.raw_os_error()? {
            libc::EADDRINUSE => {
                Some("another program has that port (ss -lntup tells which); choose another one")
            }
            libc::EADDRNOTAVAIL => Some("no address of this machine; ip addr lists those"),
            libc::EACCES => {
                Some("a port below 1024 takes CAP_NET_BIND_SERVICE; choose another one")
            }
            _ => None,
        }
    }

    /// What was tried.
    pub const fn op(&self) -> &'static str {
        self.op
    }

    /// What it was tried on.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The kind of the kernel's error.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// The kernel's error.
    pub const fn io(&self) -> &io::Error {
        &self.source
    }
}

impl fmt::Display for SysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.op)?;
        if !self.what.is_empty() {
            write!(f, " {}", self.what)?;
        }
        write!(f, ": {}", self.source)?;
        match self.advice() {
            Some(advice) => write!(f, ": {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for SysError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Makes a call that answers -1 on failure, again while a signal interrupts
/// it, and turns the failure into an error.
pub(super) fn retried(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        if let Ok(done) = usize::try_from(call()) {
            return Ok(done);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn says_what_was_tried_on_what() {
        let cause = || io::Error::from_raw_os_error(libc::EADDRINUSE);
        let error = SysError::new("bind", "127.0.0.1:9000", cause());
        assert_eq!(
            error.to_string(),
            "bind 127.0.0.1:9000: Address already in use (os error 98): another program has that \
             port (ss -lntup tells which); choose another one"
        );
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(error.io().raw_os_error(), Some(libc::EADDRINUSE));
        assert!(error.source().is_some());
        let bare = SysError::new("eventfd", "", cause());
        assert!(bare.to_string().starts_with("eventfd: Address"), "{bare}");
    }

    #[test]
    fn interrupted_calls_are_made_again() {
        let mut calls = 0;
        let done = retried(|| {
            calls += 1;
            if calls < 3 {
                // A write to a thread's own errno is what a failed call does.
                set_errno(libc::EINTR);
                return -1;
            }
            7
        });
        assert_eq!((done.unwrap(), calls), (7, 3));
        let failed = retried(|| {
            set_errno(libc::EBADF);
            -1
        });
        assert_eq!(failed.unwrap_err().raw_os_error(), Some(libc::EBADF));
    }

    fn set_errno(code: i32) {
        // SAFETY: the call only answers an address.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: it is the address of the calling thread's own errno.
        unsafe { *errno = code };
    }
}
