//! Datagrams in and out: receives that take a whole GRO batch with what the
//! kernel says about it, sends of many datagrams to many places at once.
//!
//! A fan-out of one flush to N subscribers is N headers that point at the same
//! slices and at addresses made long before, handed over in a few calls.
#![expect(unsafe_code, reason = "recvmsg(2) with control messages and sendmmsg(2)")]

use super::address::{Destination, RawAddr};
use super::error::retried;
use super::socket::{Udp, message, send_message};
use crate::limits::{CONTROL_BYTES, DATAGRAM_BATCH};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

/// One receive: a datagram, or several of one sender that the kernel put
/// together (udp(7), `UDP_GRO`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes at the front of the space, which are initialised.
    pub len: usize,
    /// Bytes of each datagram among them, the last one may be shorter. Never
    /// zero, so that an empty datagram splits into none.
    pub stride: usize,
    /// Who sent it.
    pub from: SocketAddr,
    /// Datagrams that this socket has lost so far for want of buffer, wrapping;
    /// `None` before the first loss, and without [`Udp::enable_rxq_ovfl`].
    pub drops: Option<u32>,
    /// The space was too small; the rest is lost.
    pub truncated: bool,
}

impl Udp {
    /// recvmsg(2) with `MSG_DONTWAIT`. `WouldBlock` means that nothing is
    /// there; an empty datagram is no end of anything.
    ///
    /// # Errors
    /// The kernel's; on a connected socket those that ICMP reported.
    pub fn recv(&self, space: &mut [u8]) -> io::Result<Received> {
        let mut from = RawAddr::empty();
        let mut control = [0u64; CONTROL_BYTES / 8];
        let mut slice = libc::iovec { iov_base: space.as_mut_ptr().cast(), iov_len: space.len() };
        let mut header = message();
        header.msg_name = (&raw mut from).cast();
        header.msg_namelen = RawAddr::LEN;
        header.msg_iov = &raw mut slice;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control) as _;
        let fd = self.as_raw_fd();
        // SAFETY: the header points at the space, an address and control room,
        // all borrowed here, with their true lengths. A call that fails leaves
        // the header as it was.
        let len = retried(|| unsafe { libc::recvmsg(fd, &raw mut header, libc::MSG_DONTWAIT) })?;
        // SAFETY: the kernel filled the header, whose control room lives here.
        let notes = unsafe { notes(&header) };
        Ok(Received {
            len,
            stride: notes.stride.unwrap_or(len).max(1),
            from: from.decode()?,
            drops: notes.drops,
            truncated: header.msg_flags & libc::MSG_TRUNC != 0,
        })
    }

    /// Sends one datagram: sendmsg(2) with `MSG_DONTWAIT | MSG_NOSIGNAL`.
    ///
    /// # Errors
    /// The kernel's; `WouldBlock` when the send buffer is full.
    pub fn send_to(&self, slices: &[IoSlice<'_>], to: SocketAddr) -> io::Result<usize> {
        let to = Destination::from(to);
        let header = header(&Datagram { to: &to, slices });
        // SAFETY: the header points at `to` and `slices`, which outlive the
        // call.
        unsafe { send_message(self.as_fd(), &header) }
    }
}

/// What the kernel says beside the bytes.
#[derive(Default)]
struct Notes {
    stride: Option<usize>,
    drops: Option<u32>,
}

/// Reads the control messages.
///
/// # Safety
/// recvmsg(2) filled `header`, and its control room is still there.
unsafe fn notes(header: &libc::msghdr) -> Notes {
    let mut found = Notes::default();
    // SAFETY: the control fields are the kernel's (the caller).
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: the macros answer null or a whole header within the room, whose
    // alignment the u64s of the room give.
    while !next.is_null() {
        // The pointer, not a reference to the header alone, leads to the data
        // behind it.
        // SAFETY: see above.
        let note = unsafe { next.read() };
        match (note.cmsg_level, note.cmsg_type) {
            (libc::SOL_UDP, libc::UDP_GRO) => {
                // SAFETY: `next` is a message of this room.
                let stride = unsafe { number(next, &note) };
                found.stride = stride.and_then(|n| usize::try_from(n).ok());
            }
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                // SAFETY: `next` is a message of this room.
                found.drops = unsafe { number(next, &note) };
            }
            _ => {}
        }
        // SAFETY: as for the first one.
        next = unsafe { libc::CMSG_NXTHDR(header, next) };
    }
    found
}

/// The 32-bit number that a control message carries, if it has the room.
///
/// # Safety
/// `at` points at `note` in the control room, followed by as many bytes of data
/// as it says.
unsafe fn number(at: *const libc::cmsghdr, note: &libc::cmsghdr) -> Option<u32> {
    // SAFETY: arithmetic on a length.
    let whole = unsafe { libc::CMSG_LEN(size_of::<u32>() as u32) };
    if note.cmsg_len < whole as _ {
        return None;
    }
    // SAFETY: arithmetic on an address.
    let data = unsafe { libc::CMSG_DATA(at) };
    // SAFETY: four bytes of data are there, by the check above (the caller).
    Some(unsafe { data.cast::<u32>().read_unaligned() })
}

/// One datagram to send: borrowed, so that many can share slices or address.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Where to.
    pub to: &'a Destination,
    /// Its bytes, in order.
    pub slices: &'a [IoSlice<'a>],
}

/// How a batch went.
#[derive(Debug, Default)]
pub struct Sent {
    /// Datagrams that the kernel took.
    pub sent: usize,
    /// Datagrams that it refused; each is in [`Outgoing::failures`].
    pub failed: usize,
    /// Datagrams that were not tried, because the kernel had no room.
    pub untried: usize,
    /// What stopped the batch, or else the first refusal.
    pub error: Option<io::Error>,
}

/// A datagram that the kernel refused. On a connected socket the reason may be
/// ICMP's answer to an earlier one, which the kernel tells in place of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which one of the batch, from zero.
    pub index: usize,
    /// The error's number, errno(3).
    pub errno: i32,
}

/// Sends batches; keeps the memory it needs from one to the next.
#[derive(Default)]
pub struct Outgoing {
    headers: Vec<libc::mmsghdr>,
    failures: Vec<Failure>,
}

// SAFETY: the pointers in `headers` are followed within one call of `send`
// alone; between calls the list is empty.
unsafe impl Send for Outgoing {}

impl Outgoing {
    /// Sends the datagrams in order: sendmmsg(2) with `MSG_DONTWAIT |
    /// MSG_NOSIGNAL`, `limits::DATAGRAM_BATCH` at a time. One that the kernel
    /// refuses is dropped and counted, and the next ones go on; want of room
    /// (`EAGAIN`, `ENOBUFS`, `ENOMEM`) stops the batch, and what is left is
    /// counted as untried.
    pub fn send<'a>(
        &mut self,
        udp: &Udp,
        datagrams: impl IntoIterator<Item = Datagram<'a>>,
    ) -> Sent {
        self.failures.clear();
        let mut outcome = Sent::default();
        let mut datagrams = datagrams.into_iter();
        loop {
            self.headers.clear();
            let batch = datagrams.by_ref().take(DATAGRAM_BATCH);
            self.headers.extend(
                batch.map(|datagram| libc::mmsghdr { msg_hdr: header(&datagram), msg_len: 0 }),
            );
            if self.headers.is_empty() {
                break;
            }
            // Every pointer in `headers` is good for 'a, which outlives this
            // function.
            if !self.hand_over(udp, &mut outcome) {
                outcome.untried += datagrams.count();
                break;
            }
        }
        self.headers.clear();
        outcome
    }

    /// The datagrams that the last batch was refused, in order.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// Sends `headers`; false if the kernel has no room for more.
    fn hand_over(&mut self, udp: &Udp, outcome: &mut Sent) -> bool {
        let first = outcome.sent + outcome.failed;
        let flags = (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _;
        let mut done = 0;
        while done < self.headers.len() {
            let rest = &mut self.headers[done..];
            let (start, len) = (rest.as_mut_ptr(), rest.len() as libc::c_uint);
            let taken = retried(|| {
                // SAFETY: `start` is `len` headers, which point at addresses
                // and slices that `send` holds borrowed; the kernel writes
                // their msg_len alone.
                let taken = unsafe { libc::sendmmsg(udp.as_raw_fd(), start, len, flags) };
                taken as isize
            });
            match taken {
                // The kernel stops at the first refusal and forgets the error;
                // the next call starts at that datagram and tells.
                Ok(taken) => {
                    done += taken;
                    outcome.sent += taken;
                }
                Err(error) if is_no_room(&error) => {
                    outcome.untried = self.headers.len() - done;
                    outcome.error = Some(error);
                    return false;
                }
                Err(error) => {
                    self.failures.push(Failure {
                        index: first + done,
                        errno: error.raw_os_error().unwrap_or(0),
                    });
                    done += 1;
                    outcome.failed += 1;
                    outcome.error.get_or_insert(error);
                }
            }
        }
        true
    }
}

fn is_no_room(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM))
}

/// A header that points at what `datagram` borrows.
fn header(datagram: &Datagram<'_>) -> libc::msghdr {
    let (to, len) = datagram.to.parts();
    let mut header = message();
    // The kernel reads through these; the casts away from const are for the
    // types, which receiving shares. IoSlice has the layout of iovec on Unix.
    header.msg_name = to.cast_mut().cast();
    header.msg_namelen = len;
    header.msg_iov = datagram.slices.as_ptr().cast_mut().cast();
    header.msg_iovlen = datagram.slices.len() as _;
    header
}

#[cfg(test)]
#[path = "datagram_tests.rs"]
mod tests;
