//! How often this thread has asked the kernel: what a frame costs in calls is
//! counted here, where they are made, and not guessed. A count is an addition to
//! a thread's own memory.
#![cfg_attr(test, expect(unsafe_code, reason = "a test makes a call that fails"))]

use super::error::retried;
use std::cell::Cell;
use std::io;

/// Calls of the data path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// recv(2) on a connection, or recvmsg(2) where times are asked for.
    Recv,
    /// send(2) on a connection.
    Send,
    /// sendmsg(2) on a connection.
    SendMsg,
    /// recvmsg(2) on a UDP socket.
    RecvMsg,
    /// recvmmsg(2).
    RecvMmsg,
    /// sendto(2).
    SendTo,
    /// sendmmsg(2).
    SendMmsg,
    /// ioctl(2): the look at a send queue.
    Ioctl,
    /// accept4(2).
    Accept,
}

/// How often one call was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// In all.
    pub made: u64,
    /// Those that were refused, for there was nothing to receive or no room.
    pub empty: u64,
}

impl Call {
    /// Every call, in the order of the counts.
    pub const ALL: [Self; 9] = [
        Self::Recv,
        Self::Send,
        Self::SendMsg,
        Self::RecvMsg,
        Self::RecvMmsg,
        Self::SendTo,
        Self::SendMmsg,
        Self::Ioctl,
        Self::Accept,
    ];

    /// In metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Recv => "recv",
            Self::Send => "send",
            Self::SendMsg => "sendmsg",
            Self::RecvMsg => "recvmsg",
            Self::RecvMmsg => "recvmmsg",
            Self::SendTo => "sendto",
            Self::SendMmsg => "sendmmsg",
            Self::Ioctl => "ioctl",
            Self::Accept => "accept",
        }
    }
}

thread_local! {
    static COUNTS: [Cell<Count>; Call::ALL.len()] =
        const { [const { Cell::new(Count { made: 0, empty: 0 }) }; Call::ALL.len()] };
}

/// Makes a call that answers -1 on failure, and counts it.
pub(super) fn counted(call: Call, make: impl FnMut() -> isize) -> io::Result<usize> {
    let outcome = retried(make);
    count(call, &outcome);
    outcome
}

/// Counts a call that somebody else has made.
pub(super) fn count<T>(call: Call, outcome: &io::Result<T>) {
    let is_empty = matches!(outcome, Err(why) if why.kind() == io::ErrorKind::WouldBlock);
    COUNTS.with(|counts| {
        let cell = &counts[call as usize];
        let Count { made, empty } = cell.get();
        cell.set(Count { made: made + 1, empty: empty + u64::from(is_empty) });
    });
}

/// What this thread has counted.
pub fn counts() -> [Count; Call::ALL.len()] {
    COUNTS.with(|counts| std::array::from_fn(|n| counts[n].get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_counted_where_it_is_made_and_apart_if_it_was_in_vain() {
        let thread = std::thread::spawn(|| {
            let found = |call: Call| counts()[call as usize];
            assert_eq!(counted(Call::Send, || 7).unwrap(), 7);
            // No descriptor has this number: EBADF.
            // SAFETY: a descriptor that is none reads and writes nothing.
            let bad = || unsafe { libc::recv(-1, std::ptr::null_mut(), 0, 0) };
            assert!(counted(Call::Recv, bad).is_err());
            assert_eq!(found(Call::Send), Count { made: 1, empty: 0 });
            assert_eq!(found(Call::Recv), Count { made: 1, empty: 0 });
            assert_eq!(found(Call::Accept), Count::default());
        });
        thread.join().unwrap();
        assert!(Call::ALL.iter().enumerate().all(|(n, call)| *call as usize == n));
    }
}
