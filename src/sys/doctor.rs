//! What `lightmeter doctor` has to ask the kernel itself, for no file tells it:
//! which doors to ICMP are open, whether a socket's packets get the kernel's
//! times, how exact this thread's timers are. Nothing here changes the host.
#![expect(unsafe_code, reason = "prctl(2), clock_getres(2), SO_TIMESTAMPING's control messages")]

use super::clock::Clock;
use super::icmp::IcmpDoor;
use super::wait::{wait_on, wait_readable};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::mem;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Datagrams that [`stamps`] counts.
pub const STAMP_PROBES: u32 = 16;
/// Datagrams before those, at most: the kernel turns its receive times on a
/// little after they were asked for, `net_enable_timestamp` in net/core/dev.c.
const WARM_UP: u32 = 20;
/// How long one datagram and its times may take. On loopback both are there
/// when the send call ends, unless the kernel put them off.
const PATIENCE: Duration = Duration::from_millis(5);

/// How many of [`STAMP_PROBES`] datagrams the kernel told the time of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamps {
    /// When it had them.
    pub received: u32,
    /// When it handed them to the device.
    pub sent: u32,
}

/// Opens a socket to ICMP, or to ICMPv6, and closes it again; nothing is sent.
///
/// # Errors
/// The kernel's refusal: `EPERM` of `SOCK_RAW`, `EACCES` of `SOCK_DGRAM`,
/// `EAFNOSUPPORT` without the protocol.
pub fn icmp_door(door: IcmpDoor, v6: bool) -> io::Result<()> {
    let kind = match door {
        IcmpDoor::Raw => Type::RAW,
        IcmpDoor::Datagram => Type::DGRAM,
    };
    let (domain, protocol) =
        if v6 { (Domain::IPV6, Protocol::ICMPV6) } else { (Domain::IPV4, Protocol::ICMPV4) };
    Socket::new(domain, kind, Some(protocol)).map(drop)
}

/// How much later than asked the kernel may wake this thread, to gather
/// wake-ups: PR_GET_TIMERSLACK in prctl(2).
///
/// # Errors
/// The kernel's: a sandbox that forbids the call.
pub fn timer_slack() -> io::Result<Duration> {
    // SAFETY: PR_GET_TIMERSLACK takes nothing and touches no memory of ours.
    let nanos = unsafe { libc::prctl(libc::PR_GET_TIMERSLACK) };
    u64::try_from(nanos).map(Duration::from_nanos).map_err(|_| io::Error::last_os_error())
}

/// What the kernel rounds timers up to: 1 ns with high-resolution timers, else
/// the length of its tick. clock_getres(2).
///
/// # Errors
/// The kernel's.
pub fn timer_resolution() -> io::Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a live timespec that the call may write.
    if unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC, &raw mut time) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// Sends datagrams to itself over loopback with SO_TIMESTAMPING on, and counts
/// the software times that come back.
///
/// # Errors
/// The kernel's: there is no loopback, or no such option.
pub fn stamps() -> io::Result<Stamps> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(socket.local_addr()?)?;
    socket.set_nonblocking(true)?;
    let flags: libc::c_uint = libc::SOF_TIMESTAMPING_RX_SOFTWARE
        | libc::SOF_TIMESTAMPING_TX_SOFTWARE
        | libc::SOF_TIMESTAMPING_SOFTWARE
        | libc::SOF_TIMESTAMPING_OPT_TSONLY;
    // SAFETY: the call reads `flags`, an int of the length given.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPING,
            (&raw const flags).cast(),
            size_of_val(&flags) as libc::socklen_t,
        )
    };
    if done == -1 {
        return Err(io::Error::last_os_error());
    }
    for _ in 0..WARM_UP {
        if probe(&socket)? == (true, true) {
            break;
        }
        wait_readable([], Duration::from_millis(1))?;
    }
    let mut stamps = Stamps::default();
    for _ in 0..STAMP_PROBES {
        let (received, sent) = probe(&socket)?;
        stamps.received += u32::from(received);
        stamps.sent += u32::from(sent);
    }
    Ok(stamps)
}

/// One datagram: whether the times of its receipt and of its sending came.
fn probe(socket: &UdpSocket) -> io::Result<(bool, bool)> {
    let (mut received, mut sent) = (None, None);
    let end = Clock::now() + PATIENCE;
    socket.send(b"doctor")?;
    while received.is_none() || sent.is_none() {
        received = received.or(take(socket, 0)?);
        sent = sent.or(take(socket, libc::MSG_ERRQUEUE)?);
        let left = end.since(Clock::now());
        if left.is_zero() {
            break;
        }
        if received.is_none() || sent.is_none() {
            wait_on(socket, left)?;
        }
    }
    Ok((received == Some(true), sent == Some(true)))
}

/// Takes one message, of the error queue if `flags` say so; whether it came
/// with a time. `None`: there is no message.
fn take(socket: &UdpSocket, flags: libc::c_int) -> io::Result<Option<bool>> {
    let (mut bytes, mut control) = ([0u8; 16], [0u64; 64]);
    let mut slice = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: a msghdr is integers and pointers, for which zero is a value.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = &raw mut slice;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control) as _;
    // SAFETY: the header points at live memory with its true lengths.
    if unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) } == -1 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
    }
    // SAFETY: the kernel filled the control fields, whose room lives here.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    while !next.is_null() {
        // SAFETY: not null, so it is a whole header within the aligned room.
        let note = unsafe { next.read() };
        if (note.cmsg_level, note.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING) {
            // SAFETY: arithmetic on the address of a whole message.
            let data = unsafe { libc::CMSG_DATA(next) }.cast::<libc::timespec>();
            // SAFETY: the data of such a message begins with a timespec, the
            // software time; linux/errqueue.h, `struct scm_timestamping`.
            let time = unsafe { data.read_unaligned() };
            return Ok(Some(time.tv_sec != 0));
        }
        // SAFETY: as for the first one.
        next = unsafe { libc::CMSG_NXTHDR(&raw const header, next) };
    }
    Ok(Some(false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::wait::wake_exactly;

    #[test]
    fn loopback_has_the_times_of_both_ways() {
        let found = stamps().unwrap();
        assert_eq!(found, Stamps { received: STAMP_PROBES, sent: STAMP_PROBES });
    }

    #[test]
    fn slack_is_read_back_and_timers_are_finer_than_a_tick() {
        let thread = std::thread::spawn(|| {
            wake_exactly();
            assert_eq!(timer_slack().unwrap(), Duration::from_nanos(1));
        });
        thread.join().unwrap();
        assert!(timer_resolution().unwrap() <= Duration::from_millis(10));
    }

    #[test]
    fn a_door_is_open_or_refused_with_the_kernels_word() {
        for (door, refusal) in [(IcmpDoor::Raw, libc::EPERM), (IcmpDoor::Datagram, libc::EACCES)] {
            let refused = icmp_door(door, false).err().and_then(|error| error.raw_os_error());
            assert!(refused.is_none_or(|number| number == refusal), "{door:?}: {refused:?}");
        }
    }
}
