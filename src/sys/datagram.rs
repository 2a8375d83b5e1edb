//! Datagrams in and out: receives that take a whole GRO batch with what the
//! kernel says about it, sends of many datagrams to many places at once.
//!
//! A fan-out of one flush to N subscribers is N headers that point at the same
//! slices and at addresses made long before, handed over in a few calls.
#![expect(unsafe_code, reason = "recvmmsg(2) with control messages and sendmmsg(2)")]

use super::address::{Destination, RawAddr};
use super::calls::{Call, counted};
use super::clock::Stamp;
use super::control::{Control, notes};
use super::socket::{Udp, message, send_message};
use crate::limits::{DATAGRAM_BATCH, DATAGRAM_SPACE, RECEIVE_BATCH};
use std::fmt;
use std::io::{self, IoSlice};
use std::mem;
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
    /// When the kernel had it, if it was asked to say so.
    pub stamp: Option<Stamp>,
    /// Its time to live or hop limit, with [`Udp::enable_ttl`].
    pub ttl: Option<u8>,
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
        let mut control = Control::EMPTY;
        let mut slice = libc::iovec { iov_base: space.as_mut_ptr().cast(), iov_len: space.len() };
        let mut header = message();
        header.msg_name = (&raw mut from).cast();
        header.msg_namelen = RawAddr::LEN;
        header.msg_iov = &raw mut slice;
        header.msg_iovlen = 1;
        (header.msg_control, header.msg_controllen) = control.room();
        let fd = self.as_raw_fd();
        let len = counted(Call::RecvMsg, || {
            // SAFETY: the header points at the space, an address and control
            // room, all borrowed here, with their true lengths. A call that
            // fails leaves the header as it was.
            unsafe { libc::recvmsg(fd, &raw mut header, libc::MSG_DONTWAIT) }
        })?;
        // SAFETY: the kernel filled the header, whose control room lives here.
        unsafe { received(&header, len, &from) }
    }

    /// Sends one datagram: sendto(2) with `MSG_DONTWAIT | MSG_NOSIGNAL`.
    ///
    /// # Errors
    /// The kernel's; `WouldBlock` when the send buffer is full.
    pub fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        let to = Destination::from(to);
        let (address, len) = to.parts();
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let (start, size) = (bytes.as_ptr().cast(), bytes.len());
        counted(Call::SendTo, || {
            // SAFETY: the kernel reads `size` bytes and an address of `len`,
            // both borrowed for this call.
            unsafe { libc::sendto(self.as_raw_fd(), start, size, flags, address.cast(), len) }
        })
    }
}

/// What a message that was received says.
///
/// # Safety
/// recvmsg(2) filled `header`, whose control room is still there.
unsafe fn received(header: &libc::msghdr, len: usize, from: &RawAddr) -> io::Result<Received> {
    // SAFETY: the caller says so.
    let notes = unsafe { notes(header) };
    Ok(Received {
        len,
        stride: notes.stride.unwrap_or(len).max(1),
        from: from.decode()?,
        drops: notes.drops,
        stamp: notes.stamp,
        ttl: notes.ttl,
        truncated: header.msg_flags & libc::MSG_TRUNC != 0,
    })
}

/// Receives batches; keeps the memory it needs from one to the next. The first
/// datagram, or GRO batch, of a call goes where the caller wants it; the others
/// lie in memory of its own.
pub struct Incoming {
    headers: Box<[libc::mmsghdr]>,
    slots: Box<[Slot]>,
    /// Messages of the last call.
    filled: usize,
}

/// Where one message goes. Headers point into it, so it stays where it is.
struct Slot {
    from: RawAddr,
    control: Control,
    slice: libc::iovec,
    space: Box<[u8]>,
}

// SAFETY: the pointers are to memory that it owns, and to a caller's for the
// length of a call alone.
unsafe impl Send for Incoming {}

impl Default for Incoming {
    fn default() -> Self {
        let space = |n| if n == 0 { 0 } else { DATAGRAM_SPACE };
        let slot = |n| Slot {
            from: RawAddr::empty(),
            control: Control::EMPTY,
            slice: libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 },
            space: vec![0; space(n)].into_boxed_slice(),
        };
        let header = |_| libc::mmsghdr { msg_hdr: message(), msg_len: 0 };
        Self {
            headers: (0..RECEIVE_BATCH).map(header).collect(),
            slots: (0..RECEIVE_BATCH).map(slot).collect(),
            filled: 0,
        }
    }
}

impl Incoming {
    /// recvmmsg(2) with `MSG_DONTWAIT`: what is there, at most
    /// `limits::RECEIVE_BATCH` messages, the first one into `space`. Answers how
    /// many; fewer than that many is all there was. `WouldBlock`: nothing.
    ///
    /// # Errors
    /// The kernel's; on a connected socket those that ICMP reported.
    pub fn recv(&mut self, udp: &Udp, space: &mut [u8]) -> io::Result<usize> {
        let mut place = Some(space);
        for (header, slot) in self.headers.iter_mut().zip(&mut self.slots) {
            let space = place.take().unwrap_or(&mut slot.space);
            slot.slice.iov_base = space.as_mut_ptr().cast();
            slot.slice.iov_len = space.len();
            header.msg_hdr.msg_name = (&raw mut slot.from).cast();
            header.msg_hdr.msg_namelen = RawAddr::LEN;
            header.msg_hdr.msg_iov = &raw mut slot.slice;
            header.msg_hdr.msg_iovlen = 1;
            (header.msg_hdr.msg_control, header.msg_hdr.msg_controllen) = slot.control.room();
        }
        let (start, len) = (self.headers.as_mut_ptr(), self.headers.len() as libc::c_uint);
        let taken = counted(Call::RecvMmsg, || {
            let flags = libc::MSG_DONTWAIT as _;
            let forever = std::ptr::null_mut();
            // SAFETY: `len` headers that point at slots, which are not moved,
            // and the first one's bytes at the space, with their true lengths.
            let taken = unsafe { libc::recvmmsg(udp.as_raw_fd(), start, len, flags, forever) };
            taken as isize
        });
        self.filled = *taken.as_ref().unwrap_or(&0);
        taken
    }

    /// Message `n` of the last call, and its bytes; those of the first are in
    /// the caller's space.
    ///
    /// # Errors
    /// `InvalidData`: a sender that is neither IPv4 nor IPv6.
    pub fn message(&self, n: usize) -> io::Result<(Received, &[u8])> {
        let (header, slot) = (&self.headers[..self.filled][n], &self.slots[n]);
        let len = header.msg_len as usize;
        // SAFETY: recvmmsg(2) filled the header, and its control room is the
        // slot's.
        let received = unsafe { received(&header.msg_hdr, len, &slot.from) }?;
        Ok((received, slot.space.get(..len).unwrap_or_default()))
    }
}

/// What one header of a batch sends: a datagram, or several that the kernel
/// cuts apart (GSO). Borrowed, so that many can share slices, cut and address.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Where to.
    pub to: &'a Destination,
    /// Its bytes, in order.
    pub slices: &'a [IoSlice<'a>],
    /// How they are cut; `None`: they are one datagram.
    pub gso: Option<&'a Gso>,
}

impl Datagram<'_> {
    /// How many datagrams go over the wire.
    fn count(&self) -> usize {
        self.gso.map_or(1, |gso| gso.count)
    }
}

/// Datagrams of one size, the last perhaps shorter, in one send: the control
/// message of `UDP_SEGMENT`, udp(7), made once for all who are sent them.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Gso {
    header: libc::cmsghdr,
    stride: u16,
    /// The data's length rounded up, as `CMSG_SPACE` has it.
    padding: [u8; size_of::<usize>() - size_of::<u16>()],
    count: usize,
}

impl Gso {
    /// Bytes of the control message, from the start of the struct.
    const SPACE: usize = mem::offset_of!(Self, count);

    /// Cuts `bytes` into datagrams of `stride` bytes; `None` if they are one
    /// or none, or if such a stride can't be cut.
    pub fn new(stride: usize, bytes: usize) -> Option<Self> {
        if bytes <= stride {
            return None;
        }
        let count = bytes.div_ceil(stride.max(1));
        let stride = u16::try_from(stride).ok().filter(|stride| *stride > 0)?;
        // SAFETY: a cmsghdr is integers, and padding on some C libraries.
        let mut header: libc::cmsghdr = unsafe { mem::zeroed() };
        let data = mem::offset_of!(Self, stride) + size_of::<u16>();
        header.cmsg_len = data as _;
        header.cmsg_level = libc::SOL_UDP;
        header.cmsg_type = libc::UDP_SEGMENT;
        Some(Self { header, stride, padding: Default::default(), count })
    }
}

impl fmt::Debug for Gso {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} datagrams of {} bytes", self.count, self.stride)
    }
}

/// How a batch went, in datagrams.
#[derive(Debug, Default)]
pub struct Sent {
    /// Those that the kernel took.
    pub sent: usize,
    /// Bytes of those.
    pub bytes: usize,
    /// Those that it refused.
    pub failed: usize,
    /// Those that were not tried, because the kernel had no room.
    pub untried: usize,
    /// Those, by their place in the order, that the kernel would not cut apart
    /// for where they go: they went one by one.
    pub uncut: Vec<usize>,
    /// What stopped the batch, or else the first refusal.
    pub error: Option<io::Error>,
}

/// Sends batches; keeps the memory it needs from one to the next.
#[derive(Default)]
pub struct Outgoing {
    headers: Vec<libc::mmsghdr>,
    /// Datagrams of each header.
    counts: Vec<usize>,
}

// SAFETY: the pointers in `headers` are followed within one call of `send`
// alone; between calls the list is empty.
unsafe impl Send for Outgoing {}

impl Outgoing {
    /// Sends the datagrams in order: sendmmsg(2) with `MSG_DONTWAIT |
    /// MSG_NOSIGNAL`, `limits::DATAGRAM_BATCH` headers at a time. One that the
    /// kernel refuses is dropped and counted, and the next ones go on; want of
    /// room (`EAGAIN`, `ENOBUFS`, `ENOMEM`) stops the batch, and what is left
    /// is counted as untried. On a connected socket a refusal may be ICMP's
    /// answer to an earlier datagram, which the kernel tells in place of
    /// sending.
    pub fn send<'a>(
        &mut self,
        udp: &Udp,
        datagrams: impl IntoIterator<Item = Datagram<'a>>,
    ) -> Sent {
        let mut outcome = Sent::default();
        let mut datagrams = datagrams.into_iter();
        let mut before = 0;
        loop {
            self.headers.clear();
            self.counts.clear();
            for datagram in datagrams.by_ref().take(DATAGRAM_BATCH) {
                self.headers.push(libc::mmsghdr { msg_hdr: header(&datagram), msg_len: 0 });
                self.counts.push(datagram.count());
            }
            if self.headers.is_empty() {
                break;
            }
            // Every pointer in `headers` is good for 'a, which outlives this
            // function.
            if !self.hand_over(udp, before, &mut outcome) {
                outcome.untried += datagrams.map(|datagram| datagram.count()).sum::<usize>();
                break;
            }
            before += self.headers.len();
        }
        self.headers.clear();
        outcome
    }

    /// Sends `headers`, which `before` others went before; false if the kernel
    /// has no room for more.
    fn hand_over(&mut self, udp: &Udp, before: usize, outcome: &mut Sent) -> bool {
        let mut done = 0;
        while done < self.headers.len() {
            let rest = &mut self.headers[done..];
            // SAFETY: the headers point at what `send` holds borrowed.
            let taken = unsafe { send_messages(udp, rest) };
            match taken {
                // The kernel stops at the first refusal and forgets the error;
                // the next call starts at that datagram and tells.
                Ok(taken) => {
                    let (counts, headers) = (&self.counts[done..], &self.headers[done..]);
                    for (count, header) in counts.iter().zip(headers).take(taken) {
                        outcome.sent += count;
                        outcome.bytes += header.msg_len as usize;
                    }
                    done += taken;
                }
                Err(error) if is_no_room(&error) => {
                    outcome.untried = self.counts[done..].iter().sum();
                    outcome.error = Some(error);
                    return false;
                }
                Err(error) if self.counts[done] > 1 && is_no_gso(&error) => {
                    outcome.uncut.push(before + done);
                    // SAFETY: it points at what `send` holds borrowed, its
                    // control at a `Gso`.
                    unsafe { send_apart(udp, &self.headers[done].msg_hdr, outcome) };
                    done += 1;
                }
                Err(error) => {
                    outcome.failed += self.counts[done];
                    outcome.error.get_or_insert(error);
                    done += 1;
                }
            }
        }
        true
    }
}

/// sendmmsg(2); answers how many messages were taken.
///
/// # Safety
/// The pointers in `messages` are good for reading what their lengths say.
unsafe fn send_messages(udp: &Udp, messages: &mut [libc::mmsghdr]) -> io::Result<usize> {
    let flags = (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _;
    let (start, len) = (messages.as_mut_ptr(), messages.len() as libc::c_uint);
    counted(Call::SendMmsg, || {
        // SAFETY: the caller vouches for the pointers; the kernel writes the
        // messages' msg_len alone.
        let taken = unsafe { libc::sendmmsg(udp.as_raw_fd(), start, len, flags) };
        taken as isize
    })
}

/// Does by hand what the kernel would not: sends each datagram of a cut by
/// itself.
///
/// # Safety
/// As [`send_messages`]; the control data is a [`Gso`].
unsafe fn send_apart(udp: &Udp, whole: &libc::msghdr, outcome: &mut Sent) {
    // SAFETY: the caller says so.
    let gso = unsafe { whole.msg_control.cast::<Gso>().read() };
    // SAFETY: the list is as long as it says (the caller).
    let list = unsafe { std::slice::from_raw_parts(whole.msg_iov, whole.msg_iovlen as _) };
    let mut list = list.to_vec();
    let mut rest = &mut list[..];
    while !rest.is_empty() {
        let (mut room, mut piece) = (usize::from(gso.stride), Vec::new());
        while room > 0
            && let Some(first) = rest.first_mut()
        {
            let len = room.min(first.iov_len);
            piece.push(libc::iovec { iov_base: first.iov_base, iov_len: len });
            first.iov_base = first.iov_base.wrapping_byte_add(len);
            first.iov_len -= len;
            room -= len;
            if first.iov_len == 0 {
                rest = &mut rest[1..];
            }
        }
        let mut one = *whole;
        (one.msg_iov, one.msg_iovlen) = (piece.as_mut_ptr(), piece.len() as _);
        (one.msg_control, one.msg_controllen) = (std::ptr::null_mut(), 0);
        // SAFETY: the pieces lie in the slices that the caller vouches for.
        match unsafe { send_message(udp.as_fd(), &one) } {
            Ok(bytes) => {
                outcome.sent += 1;
                outcome.bytes += bytes;
            }
            Err(error) if is_no_room(&error) => outcome.untried += 1,
            Err(error) => {
                outcome.failed += 1;
                outcome.error.get_or_insert(error);
            }
        }
    }
}

fn is_no_room(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM))
}

/// What the kernel answers where it can't cut: a stride that the path can't
/// carry in one packet, a device without checksums, IPsec.
fn is_no_gso(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::EOPNOTSUPP)
    )
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
    if let Some(gso) = datagram.gso {
        header.msg_control = (&raw const *gso).cast_mut().cast();
        header.msg_controllen = Gso::SPACE as _;
    }
    header
}

#[cfg(test)]
#[path = "datagram_tests.rs"]
mod tests;
