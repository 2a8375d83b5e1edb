//! What the kernel says beside the bytes of a receive: control messages,
//! recvmsg(2) and cmsg(3).
#![expect(unsafe_code, reason = "recvmsg(2) hands control messages over as raw memory")]

use super::clock::Stamp;
use crate::limits::CONTROL_BYTES;

/// Room for control messages, aligned as the kernel wants it.
#[repr(C, align(8))]
pub(super) struct Control([u64; CONTROL_BYTES / 8]);

impl Control {
    pub(super) const EMPTY: Self = Self([0; CONTROL_BYTES / 8]);

    /// For a header's `msg_control` and `msg_controllen`.
    pub(super) fn room(&mut self) -> (*mut libc::c_void, usize) {
        (self.0.as_mut_ptr().cast(), size_of::<Self>())
    }
}

/// What there is to know.
#[derive(Default)]
pub(super) struct Notes {
    /// Bytes of each datagram of a batch, udp(7) `UDP_GRO`.
    pub(super) stride: Option<usize>,
    /// Datagrams lost so far, socket(7) `SO_RXQ_OVFL`.
    pub(super) drops: Option<u32>,
    /// When the kernel had the last byte, socket(7) `SO_TIMESTAMPNS`.
    pub(super) stamp: Option<Stamp>,
    /// Time to live, ip(7) `IP_RECVTTL`, or hop limit, ipv6(7).
    pub(super) ttl: Option<u8>,
}

/// Reads the control messages.
///
/// # Safety
/// recvmsg(2) filled `header`, and its control room is still there.
pub(super) unsafe fn notes(header: &libc::msghdr) -> Notes {
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
                let stride = unsafe { data::<u32>(next, &note) };
                found.stride = stride.and_then(|n| usize::try_from(n).ok());
            }
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                // SAFETY: `next` is a message of this room.
                found.drops = unsafe { data::<u32>(next, &note) };
            }
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                // SAFETY: `next` is a message of this room.
                let time = unsafe { data::<libc::timespec>(next, &note) };
                found.stamp = time.map(Stamp::from);
            }
            (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                // SAFETY: `next` is a message of this room.
                let hops = unsafe { data::<libc::c_int>(next, &note) };
                found.ttl = hops.and_then(|n| u8::try_from(n).ok());
            }
            _ => {}
        }
        // SAFETY: as for the first one.
        next = unsafe { libc::CMSG_NXTHDR(header, next) };
    }
    found
}

/// What a control message carries, if it has the room.
///
/// # Safety
/// `at` points at `note` in the control room, followed by as many bytes of data
/// as it says; any bytes are a `T`.
unsafe fn data<T: Copy>(at: *const libc::cmsghdr, note: &libc::cmsghdr) -> Option<T> {
    // SAFETY: arithmetic on a length.
    let whole = unsafe { libc::CMSG_LEN(size_of::<T>() as u32) };
    if note.cmsg_len < whole as _ {
        return None;
    }
    // SAFETY: arithmetic on an address.
    let data = unsafe { libc::CMSG_DATA(at) };
    // SAFETY: so many bytes of data are there, by the check above (the caller).
    Some(unsafe { data.cast::<T>().read_unaligned() })
}
