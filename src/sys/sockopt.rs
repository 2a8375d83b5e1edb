//! Numbers in and out of getsockopt(2) and setsockopt(2), for the options that
//! socket2 lacks.
#![expect(unsafe_code, reason = "getsockopt(2), setsockopt(2) and sysconf(3)")]

use libc::{c_int, c_void, socklen_t};
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Sets an option whose value is an int.
///
/// # Errors
/// The kernel's; `InvalidInput` if the number is no int.
pub fn set(fd: BorrowedFd<'_>, level: c_int, name: c_int, number: u32) -> io::Result<()> {
    let number = c_int::try_from(number).map_err(|_| io::ErrorKind::InvalidInput)?;
    let value = (&raw const number).cast::<c_void>();
    let len = size_of::<c_int>() as socklen_t;
    // SAFETY: the descriptor is borrowed for this call, and the pointer and
    // length are those of a live `c_int`, which setsockopt(2) only reads.
    let outcome = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value, len) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads an option whose value is an int.
///
/// # Errors
/// The kernel's.
pub fn get(fd: BorrowedFd<'_>, level: c_int, name: c_int) -> io::Result<u32> {
    let mut number: MaybeUninit<c_int> = MaybeUninit::zeroed();
    read(fd, level, name, &mut number)?;
    // SAFETY: an int whose bytes were zeroed, and perhaps written since.
    let number = unsafe { number.assume_init() };
    Ok(u32::try_from(number).unwrap_or(0))
}

/// The longest queue of a listening socket: `tcpi_sacked` (`tcp_get_info` in
/// the kernel's net/ipv4/tcp.c).
///
/// # Errors
/// The kernel's.
pub fn backlog(fd: BorrowedFd<'_>) -> io::Result<u32> {
    Ok(tcp_info(fd)?.tcpi_sacked)
}

/// The smoothed round-trip time of a connection: `tcpi_rtt`, in microseconds
/// there (tcp(7), `TCP_INFO`); `None` before the kernel has measured one.
///
/// # Errors
/// The kernel's.
pub fn round_trip(fd: BorrowedFd<'_>) -> io::Result<Option<Duration>> {
    let micros = tcp_info(fd)?.tcpi_rtt;
    Ok((micros > 0).then(|| Duration::from_micros(micros.into())))
}

fn tcp_info(fd: BorrowedFd<'_>) -> io::Result<libc::tcp_info> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    read(fd, libc::IPPROTO_TCP, libc::TCP_INFO, &mut info)?;
    // SAFETY: `tcp_info` is integers alone; all its bytes were zeroed, and the
    // kernel wrote over some of them.
    Ok(unsafe { info.assume_init() })
}

/// How many CPUs the machine has, allowed or not.
pub fn cpus() -> Option<u32> {
    // SAFETY: sysconf(3) takes a number and touches no memory of ours.
    let configured = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) };
    u32::try_from(configured).ok().filter(|cpus| *cpus > 0)
}

fn read<T>(
    fd: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    into: &mut MaybeUninit<T>,
) -> io::Result<()> {
    let mut len = size_of::<T>() as socklen_t;
    let value = into.as_mut_ptr().cast::<c_void>();
    // SAFETY: the descriptor is borrowed for this call, and both pointers are
    // to live memory; getsockopt(2) writes at most `len` bytes.
    let outcome = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, value, &raw mut len) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
