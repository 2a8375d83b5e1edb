//! What the kernel knows of a probe beside its bytes: when it left, when the
//! reply came, from how far, what was dropped, and which ICMP errors answered.
//! For clients alone; a shard's receives are in `sys::control`.
//!
//! Sources: socket(7), ip(7), ipv6(7), recvmsg(2), cmsg(3), and the kernel's
//! Documentation/networking/timestamping.rst.
#![expect(unsafe_code, reason = "recvmsg with control messages, and options that socket2 lacks")]

use super::clock::Stamp;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

/// linux/errqueue.h: who made an extended error.
const ORIGIN_ICMP: u8 = 2;
const ORIGIN_ICMP6: u8 = 3;
const ORIGIN_TIMESTAMPING: u8 = 4;
/// linux/errqueue.h `SCM_TSTAMP_SND`: the driver was given the packet.
const SENT: u32 = 0;
/// Room for an extended error with its sender, three stamps, a drop count and
/// a hop limit, several times over, so that nothing is cut off.
const CONTROL_BYTES: usize = 512;
/// Of what an ICMP error quotes: an ICMP header, and by what a probe is known.
const QUOTED_BYTES: usize = 8 + crate::limits::PROBE_BYTES;
/// Stamps of software for both directions, and which send one belongs to;
/// without a copy of what was sent.
const FLAGS: libc::c_uint = libc::SOF_TIMESTAMPING_SOFTWARE
    | libc::SOF_TIMESTAMPING_RX_SOFTWARE
    | libc::SOF_TIMESTAMPING_TX_SOFTWARE
    | libc::SOF_TIMESTAMPING_OPT_TSONLY;

/// Has the kernel stamp what is sent and received on a socket, and count its
/// sends from 0 again: those of a datagram socket by one, those of a TCP
/// connection by bytes, its first byte being 0. The kernel turns stamping on
/// in the background: the first packets may go without.
///
/// # Errors
/// The kernel's: one that has no such stamps.
pub fn stamp(socket: BorrowedFd<'_>) -> io::Result<()> {
    // Numbering begins when the option is set on a socket that has it not.
    set(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, &FLAGS)?;
    let numbered = FLAGS | libc::SOF_TIMESTAMPING_OPT_ID;
    set(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPING, &numbered)
}

/// Has receives tell how many datagrams were dropped on the socket, socket(7)
/// `SO_RXQ_OVFL`: for want of room in its buffer; of raw ICMPv6, and of UDP beyond
/// 76 bytes, also for a wrong checksum (net/ipv6/raw.c, linux/skbuff.h
/// `CHECKSUM_BREAK`).
///
/// # Errors
/// The kernel's.
pub fn tell_drops(socket: BorrowedFd<'_>) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &1)
}

/// Has the error queue tell of ICMP errors, ip(7) `IP_RECVERR`.
///
/// # Errors
/// The kernel's.
pub fn tell_errors(socket: BorrowedFd<'_>, v6: bool) -> io::Result<()> {
    if v6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, &1)
    } else {
        set(socket, libc::IPPROTO_IP, libc::IP_RECVERR, &1)
    }
}

/// Sets an option whose value is plain integers.
pub(super) fn set<T: Copy>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: the pointer and length describe `value`, a plain integer or array
    // of them, which the kernel only reads, during the call.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What one receive brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    /// Bytes, at the start of the buffer given.
    pub bytes: usize,
    /// Time to live, or hop limit, where the socket was told to tell.
    pub ttl: Option<u8>,
    /// When the kernel had it; of a TCP connection, its last byte.
    pub stamp: Option<Stamp>,
    /// Datagrams that were dropped on this socket so far.
    pub drops: Option<u32>,
}

/// What the error queue of a socket held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// A send has left, by the number that [`stamp`] has the kernel count.
    Sent {
        /// Which; of a TCP connection, the number of its last byte.
        number: u32,
        /// When its driver was given it.
        stamp: Stamp,
    },
    /// An ICMP error about something sent.
    Trouble(Trouble),
}

/// An ICMP error that a router or the target sent about a packet of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Who sent it, where known.
    pub from: Option<IpAddr>,
    /// The error number that the kernel makes of it, such as `EHOSTUNREACH`.
    pub errno: i32,
    /// Its ICMP or ICMPv6 type.
    pub kind: u8,
    /// Its code, which says more.
    pub code: u8,
    /// What the kernel adds: the MTU of a packet that was too big, or where a
    /// bad header is bad.
    pub info: u32,
    quoted: [u8; QUOTED_BYTES],
    length: usize,
}

impl Trouble {
    /// The first bytes that it quotes of what was sent: of an ICMP message with
    /// its header, of a datagram without.
    pub fn quoted(&self) -> &[u8] {
        self.quoted.get(..self.length).unwrap_or_default()
    }
}

/// Takes one packet, or what there is of a byte stream; `None` if there is
/// nothing. Never waits.
///
/// # Errors
/// The kernel's, ICMP errors about what was sent among them.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<Arrived>> {
    let mut control = Control::new();
    let Some(bytes) = control.receive(socket, buffer, 0)? else {
        return Ok(None);
    };
    let mut arrived = Arrived { bytes, ..Arrived::default() };
    for message in control.messages() {
        match (message.level, message.kind) {
            (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                arrived.ttl = int_at(message.data, 0).and_then(|ttl| u8::try_from(ttl).ok());
            }
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING) => arrived.stamp = stamp_in(message.data),
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                arrived.drops = int_at(message.data, 0).map(|drops| drops as u32);
            }
            _ => {}
        }
    }
    Ok(Some(arrived))
}

/// Takes what the error queue tells next, `None` if it tells nothing more.
///
/// # Errors
/// The kernel's.
pub fn told(socket: BorrowedFd<'_>) -> io::Result<Option<Told>> {
    let mut quoted = [0u8; QUOTED_BYTES];
    let mut control = Control::new();
    loop {
        let Some(bytes) = control.receive(socket, &mut quoted, libc::MSG_ERRQUEUE)? else {
            return Ok(None);
        };
        if let Some(told) = control.told(quoted, bytes) {
            return Ok(Some(told));
        }
    }
}

/// Round-trip time of a TCP connection's handshake as the kernel has it right
/// after it, in microseconds: tcp(7) `TCP_INFO`, `tcpi_rtt`. `None` if the first
/// packet had to be sent again: then it is of the last one alone.
///
/// # Errors
/// The kernel's.
pub fn handshake_micros(socket: BorrowedFd<'_>) -> io::Result<Option<u32>> {
    // SAFETY: tcp_info is plain integers, for which zero is a valid value.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the pointers describe `info` and its length, which the kernel
    // writes at most that much of, during the call.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((info.tcpi_total_retrans == 0).then_some(info.tcpi_rtt))
}

/// Control messages of one receive, walked without trusting their lengths.
#[repr(align(8))]
struct ControlBytes([u8; CONTROL_BYTES]);

struct Control {
    bytes: ControlBytes,
    filled: usize,
}

struct Message<'a> {
    level: i32,
    kind: i32,
    data: &'a [u8],
}

impl Control {
    const fn new() -> Self {
        Self { bytes: ControlBytes([0; CONTROL_BYTES]), filled: 0 }
    }

    /// Receives into `buffer` and here. `None`: nothing to receive.
    fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        buffer: &mut [u8],
        flags: libc::c_int,
    ) -> io::Result<Option<usize>> {
        let mut slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // SAFETY: msghdr is plain integers and pointers, for which zero (no
        // name, no slices, no control) is a valid value.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_iov = &raw mut slice;
        header.msg_iovlen = 1;
        header.msg_control = self.bytes.0.as_mut_ptr().cast();
        header.msg_controllen = CONTROL_BYTES as _;
        let flags = flags | libc::MSG_DONTWAIT;
        // SAFETY: `header` points to `slice`, which describes `buffer`, and to
        // our control bytes, with their true lengths; all of them outlive the
        // call, and nothing else refers to them during it.
        let bytes = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) };
        if bytes < 0 {
            self.filled = 0;
            let error = io::Error::last_os_error();
            let nothing = [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted];
            return if nothing.contains(&error.kind()) { Ok(None) } else { Err(error) };
        }
        self.filled = (header.msg_controllen as usize).min(CONTROL_BYTES);
        Ok(Some(usize::try_from(bytes).unwrap_or(0).min(buffer.len())))
    }

    fn messages(&self) -> Messages<'_> {
        Messages { rest: self.bytes.0.get(..self.filled).unwrap_or_default() }
    }

    /// Puts an extended error and the stamp beside it together.
    fn told(&self, quoted: [u8; QUOTED_BYTES], length: usize) -> Option<Told> {
        let stamps =
            |m: &Message<'_>| (m.level, m.kind) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING);
        let stamp = self.messages().find(stamps).and_then(|m| stamp_in(m.data));
        let found = self.messages().find_map(|message| extended(&message, stamp))?;
        Some(match found {
            Told::Sent { .. } => found,
            Told::Trouble(trouble) => Told::Trouble(Trouble { quoted, length, ..trouble }),
        })
    }
}

struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    /// cmsg(3): a length of the machine's word, level, kind, then the data,
    /// each message padded to a whole number of words.
    fn next(&mut self) -> Option<Self::Item> {
        const WORD: usize = size_of::<usize>();
        let head = size_of::<libc::cmsghdr>().next_multiple_of(WORD);
        let length = usize::from_ne_bytes(self.rest.get(..WORD)?.try_into().ok()?);
        let message = self.rest.get(..length)?;
        let found = Message {
            level: int_at(message, head - 8)?,
            kind: int_at(message, head - 4)?,
            data: message.get(head..)?,
        };
        self.rest = self.rest.get(length.next_multiple_of(WORD)..).unwrap_or_default();
        Some(found)
    }
}

/// Reads `struct sock_extended_err` (linux/errqueue.h) and the sender's
/// address that follows it.
fn extended(message: &Message<'_>, stamp: Option<Stamp>) -> Option<Told> {
    let ours = (message.level == libc::IPPROTO_IP && message.kind == libc::IP_RECVERR)
        || (message.level == libc::IPPROTO_IPV6 && message.kind == libc::IPV6_RECVERR);
    if !ours {
        return None;
    }
    match *message.data.get(4)? {
        ORIGIN_TIMESTAMPING if int_at(message.data, 8)? as u32 == SENT => {
            Some(Told::Sent { number: int_at(message.data, 12)? as u32, stamp: stamp? })
        }
        ORIGIN_ICMP | ORIGIN_ICMP6 => Some(Told::Trouble(Trouble {
            from: address_at(message.data, 16),
            errno: int_at(message.data, 0)?,
            kind: *message.data.get(5)?,
            code: *message.data.get(6)?,
            info: int_at(message.data, 8)?.cast_unsigned(),
            quoted: [0; QUOTED_BYTES],
            length: 0,
        })),
        _ => None,
    }
}

/// The first of three stamps, the kernel's own; zero where it has none.
fn stamp_in(data: &[u8]) -> Option<Stamp> {
    let half = size_of::<libc::timespec>() / 2;
    let number = |at: usize| {
        let bytes = data.get(at..at + half)?;
        if half == 8 {
            Some(i64::from_ne_bytes(bytes.try_into().ok()?))
        } else {
            Some(i64::from(i32::from_ne_bytes(bytes.try_into().ok()?)))
        }
    };
    let (seconds, nanos) = (u64::try_from(number(0)?).ok()?, u64::try_from(number(half)?).ok()?);
    let whole = seconds.checked_mul(1_000_000_000)?.checked_add(nanos)?;
    (whole > 0).then_some(Stamp::from_nanos(whole))
}

/// The address of the `sockaddr` that starts `at` bytes into `data`.
fn address_at(data: &[u8], at: usize) -> Option<IpAddr> {
    let bytes = data.get(at..)?;
    let family = i32::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
    if family == libc::AF_INET {
        let octets: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
        return Some(IpAddr::V4(Ipv4Addr::from(octets)));
    }
    if family == libc::AF_INET6 {
        let octets: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
        return Some(IpAddr::V6(Ipv6Addr::from(octets)));
    }
    None
}

fn int_at(data: &[u8], at: usize) -> Option<i32> {
    let bytes = data.get(at..at + 4)?;
    Some(i32::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock::Clock;
    use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsFd;
    use std::time::Duration;

    fn message(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let head = size_of::<libc::cmsghdr>();
        let mut bytes = (head + data.len()).to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(size_of::<usize>()), 0);
        bytes
    }

    #[test]
    fn control_messages_are_walked_one_after_the_other() {
        let mut bytes = message(libc::IPPROTO_IP, libc::IP_TTL, &64i32.to_ne_bytes());
        bytes.extend(message(libc::IPPROTO_IP, libc::IP_RECVERR, &[1; 32]));
        let found: Vec<_> = Messages { rest: &bytes }.map(|m| (m.kind, m.data.len())).collect();
        assert_eq!(found, [(libc::IP_TTL, 4), (libc::IP_RECVERR, 32)]);
    }

    #[test]
    fn control_messages_that_lie_about_their_length_end_the_walk() {
        for length in [0usize, 1, 15, 17, 4096, usize::MAX] {
            let mut bytes = message(libc::IPPROTO_IP, libc::IP_TTL, &[64, 0, 0, 0]);
            bytes[..size_of::<usize>()].copy_from_slice(&length.to_ne_bytes());
            assert!(Messages { rest: &bytes }.count() <= 1, "length {length}");
        }
    }

    #[test]
    fn an_extended_error_names_the_request_and_who_sent_it() {
        let mut data = 113i32.to_ne_bytes().to_vec(); // EHOSTUNREACH
        data.extend([ORIGIN_ICMP, 3, 1, 0]);
        data.extend([0; 8]);
        data.extend((libc::AF_INET as u16).to_ne_bytes());
        data.extend([0, 0, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        let whole = Message { level: libc::IPPROTO_IP, kind: libc::IP_RECVERR, data: &data };
        let Some(Told::Trouble(trouble)) = extended(&whole, None) else { panic!("no trouble") };
        assert_eq!(trouble.from, Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))));
        assert_eq!((trouble.errno, trouble.quoted()), (libc::EHOSTUNREACH, &[][..]));
        assert_eq!((trouble.kind, trouble.code, trouble.info), (3, 1, 0));
        for cut in 0..16 {
            let short = Message { data: &data[..cut], ..whole };
            let found = extended(&short, None);
            let from = |told| matches!(told, Told::Trouble(Trouble { from: Some(_), .. }));
            assert!(!found.is_some_and(from), "cut at {cut}");
        }
    }

    /// Waits for what `look` finds.
    fn soon<T>(mut look: impl FnMut() -> Option<T>) -> T {
        let end = Clock::now() + Duration::from_secs(10);
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Clock::now() < end, "nothing within 10 s");
            std::thread::yield_now();
        }
    }

    #[test]
    fn datagrams_are_stamped_on_both_ways_and_numbered() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.connect(socket.local_addr().unwrap()).unwrap();
        stamp(socket.as_fd()).unwrap();
        let mut buffer = [0; 64];
        // The kernel turns stamping on in the background.
        let mut number = 0;
        soon(|| {
            socket.send(b"probe").unwrap();
            number += 1;
            receive(socket.as_fd(), &mut buffer).unwrap()?.stamp
        });
        while told(socket.as_fd()).unwrap().is_some() {}
        for number in number..number + 3 {
            let before = Clock::lead() + Clock::now().as_nanos();
            socket.send(b"probe").unwrap();
            let arrived = soon(|| receive(socket.as_fd(), &mut buffer).unwrap());
            let told = soon(|| told(socket.as_fd()).unwrap());
            let Told::Sent { number: of, stamp } = told else { panic!("{told:?}") };
            assert_eq!((arrived.bytes, of), (5, number));
            let came = arrived.stamp.unwrap().at(before);
            let left = stamp.at(before);
            assert!(left <= came, "{left:?} {came:?}");
            assert!(came.as_nanos() < 1_000_000_000);
        }
        // Numbered anew when asked for again.
        stamp(socket.as_fd()).unwrap();
        socket.send(b"probe").unwrap();
        let told = soon(|| told(socket.as_fd()).unwrap());
        assert!(matches!(told, Told::Sent { number: 0, .. }), "{told:?}");
    }

    #[test]
    fn a_connection_numbers_its_bytes() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        assert!(handshake_micros(client.as_fd()).unwrap().unwrap() < 10_000_000);
        stamp(client.as_fd()).unwrap();
        for end in [9, 19] {
            io::Write::write_all(&mut (&client), b"ten bytes!").unwrap();
            let told = soon(|| told(client.as_fd()).unwrap());
            assert!(matches!(told, Told::Sent { number, .. } if number == end), "{told:?}");
        }
        io::Write::write_all(&mut server, b"back").unwrap();
        let mut buffer = [0; 64];
        let arrived = soon(|| receive(client.as_fd(), &mut buffer).unwrap());
        assert_eq!(arrived.bytes, 4);
        assert!(arrived.stamp.is_some());
    }
}
