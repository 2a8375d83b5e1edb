//! Waiting for any of a changing number of descriptors, with a deadline in
//! nanoseconds: a client's; a shard has mio.
#![expect(unsafe_code, reason = "ppoll: std and socket2 have no wait for several sockets")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// A list of descriptors to wait for, kept so that making it again takes no
/// memory.
#[derive(Debug, Default)]
pub struct Poll {
    entries: Vec<libc::pollfd>,
}

impl Poll {
    /// An empty list with room for `room` descriptors.
    pub fn with_room(room: usize) -> Self {
        Self { entries: Vec::with_capacity(room) }
    }

    /// Empties the list.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a descriptor that is to be read, had an error, or was closed;
    /// answers its place for [`Self::is_ready`].
    pub fn read(&mut self, source: BorrowedFd<'_>) -> usize {
        self.add(source, libc::POLLIN)
    }

    /// Adds a descriptor that can be written, or a connection that is made or
    /// refused.
    pub fn write(&mut self, sink: BorrowedFd<'_>) -> usize {
        self.add(sink, libc::POLLOUT)
    }

    fn add(&mut self, descriptor: BorrowedFd<'_>, events: libc::c_short) -> usize {
        let fd = descriptor.as_raw_fd();
        self.entries.push(libc::pollfd { fd, events, revents: 0 });
        self.entries.len() - 1
    }

    /// Waits until one of them is ready or `timeout` has passed; a signal ends
    /// the wait early with none ready. ppoll(2).
    ///
    /// # Errors
    /// The kernel's, which means that it is out of memory.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        let limit = libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: timeout.subsec_nanos() as _,
        };
        let count = self.entries.len() as libc::nfds_t;
        // SAFETY: `entries` are `count` pollfds that live through the call; a
        // number that no descriptor has any more is told and touches nothing;
        // `limit` is a valid timespec, and a null mask leaves signals alone.
        let ready = unsafe {
            libc::ppoll(self.entries.as_mut_ptr(), count, &raw const limit, std::ptr::null())
        };
        if ready >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
        for entry in &mut self.entries {
            entry.revents = 0;
        }
        Ok(())
    }

    /// Whether the last wait found the descriptor at `place` ready.
    pub fn is_ready(&self, place: usize) -> bool {
        self.entries.get(place).is_some_and(|entry| entry.revents != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_is_ready_is_told_and_nothing_else() {
        let (quiet, _keep) = UnixStream::pair().unwrap();
        let (heard, mut speaker) = UnixStream::pair().unwrap();
        let mut poll = Poll::with_room(3);
        for round in 0..2 {
            poll.clear();
            let places = [poll.read(quiet.as_fd()), poll.read(heard.as_fd())];
            if round == 0 {
                poll.wait(Duration::from_nanos(1)).unwrap();
                assert_eq!(places.map(|place| poll.is_ready(place)), [false, false]);
                speaker.write_all(b"x").unwrap();
                continue;
            }
            let writable = poll.write(quiet.as_fd());
            poll.wait(Duration::from_secs(5)).unwrap();
            assert_eq!(places.map(|place| poll.is_ready(place)), [false, true]);
            assert!(poll.is_ready(writable) && !poll.is_ready(9));
        }
    }
}
