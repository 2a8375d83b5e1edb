//! ICMP echo sockets: opened raw where the process may, as the kernel's own
//! "ping socket" where it may not, refused with what to do about it. Packets
//! are made and read by `client::ping`; this file holds what only the kernel
//! can do. Sources: icmp(7), raw(7), ip(7), ipv6(7), net/ipv4/ping.c.
#![expect(
    unsafe_code,
    reason = "recvmsg with control messages, and the ICMP type filters that socket2 lacks"
)]

use std::fmt;
use std::io;
use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use socket2::{Domain, Protocol, SockAddr, SockFilter, Socket, Type};

/// Socket option level of raw IPv4 sockets, linux/socket.h `SOL_RAW`.
const SOL_RAW: libc::c_int = 255;
/// linux/icmp.h: a bit mask of the ICMP types *not* to deliver.
const ICMP_FILTER: libc::c_int = 1;
/// linux/icmpv6.h: the same for ICMPv6, 256 bits.
const ICMP6_FILTER: libc::c_int = 1;
/// ICMP type of an echo reply, RFC 792.
const ECHO_REPLY: u8 = 0;
/// ICMPv6 type of an echo reply, RFC 4443 section 4.2.
const ECHO_REPLY_V6: u8 = 129;
/// linux/errqueue.h: the error came as an ICMP or ICMPv6 message.
const ORIGIN_ICMP: u8 = 2;
const ORIGIN_ICMP6: u8 = 3;
/// Room for an extended error with its sender and a hop limit, several times
/// over, so that nothing is cut off.
const CONTROL_BYTES: usize = 512;

/// Which of the kernel's two doors to ICMP an [`IcmpSocket`] came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpDoor {
    /// `SOCK_RAW`: needs CAP_NET_RAW. Over IPv4 what is received begins with
    /// the IP header, and nobody has verified the ICMP checksum.
    Raw,
    /// `SOCK_DGRAM`: needs a group in `net.ipv4.ping_group_range`, for IPv6
    /// too. The kernel chooses the identifier and verifies checksums.
    Datagram,
}

/// A connected, non-blocking socket for echo requests to one address.
#[derive(Debug)]
pub struct IcmpSocket {
    socket: Socket,
    door: IcmpDoor,
    v6: bool,
}

/// What one receive returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpReceived {
    /// Bytes of the packet, at the start of the buffer given.
    pub bytes: usize,
    /// Time to live, or hop limit, of the packet, where the kernel told it.
    pub ttl: Option<u8>,
}

/// An ICMP error that a router or the target sent about one of our requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpTrouble {
    /// Who sent it, where known.
    pub from: Option<IpAddr>,
    /// The sequence number of the request that it quotes.
    pub sequence: u16,
    /// The error number that the kernel makes of it, such as `EHOSTUNREACH`.
    pub errno: i32,
}

/// Why no socket could be had.
#[derive(Debug)]
pub enum IcmpError {
    /// Both doors are closed to this process.
    Refused {
        /// To ICMPv6 rather than ICMP.
        v6: bool,
        /// What the kernel said to `SOCK_RAW`: `EPERM` as a rule.
        raw: io::Error,
        /// What it said to `SOCK_DGRAM`: `EACCES` as a rule.
        datagram: io::Error,
    },
    /// There is no route to the address, or the address family is off.
    Unreachable(io::Error),
}

impl IcmpSocket {
    /// Opens a socket to `target` (its port is ignored; the scope of a
    /// link-local address counts): raw first, which shows replies exactly as
    /// they came, a ping socket where raw is refused.
    ///
    /// `identifier` is what echo requests will carry on a raw socket; only
    /// replies with it are delivered. On a ping socket the kernel does both.
    ///
    /// # Errors
    /// [`IcmpError::Refused`] if neither kind may be opened.
    pub fn open(target: SocketAddr, identifier: u16) -> Result<Self, IcmpError> {
        let raw = match Self::create(target, IcmpDoor::Raw) {
            Ok(socket) => return socket.prepare(target, identifier),
            Err(error) => error,
        };
        let datagram = match Self::create(target, IcmpDoor::Datagram) {
            Ok(socket) => return socket.prepare(target, identifier),
            Err(error) => error,
        };
        if raw.raw_os_error() == Some(libc::EAFNOSUPPORT) {
            return Err(IcmpError::Unreachable(raw));
        }
        Err(IcmpError::Refused { v6: target.is_ipv6(), raw, datagram })
    }

    fn create(target: SocketAddr, door: IcmpDoor) -> io::Result<Self> {
        let kind = match door {
            IcmpDoor::Raw => Type::RAW,
            IcmpDoor::Datagram => Type::DGRAM,
        };
        let protocol = match target {
            SocketAddr::V4(_) => Protocol::ICMPV4,
            SocketAddr::V6(_) => Protocol::ICMPV6,
        };
        let socket = Socket::new(Domain::for_address(target), kind, Some(protocol))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, door, v6: target.is_ipv6() })
    }

    fn prepare(self, mut target: SocketAddr, identifier: u16) -> Result<Self, IcmpError> {
        let connected = self.filter(identifier).and_then(|()| {
            // Connecting narrows a raw socket to packets from the target, and
            // lets the kernel report ICMP errors about our requests to us.
            target.set_port(0);
            self.socket.connect(&SockAddr::from(target))
        });
        match connected {
            Ok(()) => Ok(self),
            Err(error) => Err(IcmpError::Unreachable(error)),
        }
    }

    /// Lets through replies to `identifier` and nothing else, and asks for hop
    /// limits and for ICMP errors about our own requests.
    fn filter(&self, identifier: u16) -> io::Result<()> {
        let on: libc::c_int = 1;
        if self.v6 {
            self.set_option(libc::IPPROTO_IPV6, libc::IPV6_RECVERR, &on)?;
            self.set_option(libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, &on)?;
        } else {
            self.set_option(libc::IPPROTO_IP, libc::IP_RECVERR, &on)?;
            self.set_option(libc::IPPROTO_IP, libc::IP_RECVTTL, &on)?;
        }
        if self.door == IcmpDoor::Datagram {
            return Ok(());
        }
        // A raw socket would see every ICMP message of the network namespace,
        // on loopback our own requests among them, and wake for each.
        if self.v6 {
            let mut blocked = [u32::MAX; 8];
            blocked[usize::from(ECHO_REPLY_V6 / 32)] = !(1 << (ECHO_REPLY_V6 % 32));
            self.set_option(libc::IPPROTO_ICMPV6, ICMP6_FILTER, &blocked)?;
        } else {
            let blocked: u32 = !(1 << ECHO_REPLY);
            self.set_option(SOL_RAW, ICMP_FILTER, &blocked)?;
        }
        self.socket.attach_filter(&identifier_filter(self.v6, identifier))
    }

    fn set_option<T: Copy>(
        &self,
        level: libc::c_int,
        name: libc::c_int,
        value: &T,
    ) -> io::Result<()> {
        // SAFETY: the pointer and length describe `value`, a plain integer or
        // array of them, which the kernel only reads, during the call.
        let done = unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                level,
                name,
                std::ptr::from_ref(value).cast(),
                size_of::<T>() as libc::socklen_t,
            )
        };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Which door it came through.
    pub const fn door(&self) -> IcmpDoor {
        self.door
    }

    /// Whether it speaks ICMPv6.
    pub const fn is_v6(&self) -> bool {
        self.v6
    }

    /// Sends one whole ICMP message, header first.
    ///
    /// # Errors
    /// The kernel's; an error kept from an earlier request comes out here too,
    /// so `EHOSTUNREACH`, `ENETUNREACH` and `ECONNREFUSED` deserve a second try.
    pub fn send(&self, message: &[u8]) -> io::Result<()> {
        self.socket.send(message).map(|_| ())
    }

    /// Takes one packet, `None` if there is none.
    ///
    /// # Errors
    /// The kernel's, ICMP errors about our requests among them; the details of
    /// those are in [`Self::trouble`].
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<IcmpReceived>> {
        let mut control = Control::new();
        let Some(bytes) = control.receive(self.as_fd(), buffer, 0)? else {
            return Ok(None);
        };
        let ttl = control
            .messages()
            .find(|m| is_ttl(m.level, m.kind))
            .and_then(|m| int_at(m.data, 0))
            .and_then(|ttl| u8::try_from(ttl).ok());
        Ok(Some(IcmpReceived { bytes, ttl }))
    }

    /// Takes one ICMP error about one of our requests, `None` if there is none.
    ///
    /// # Errors
    /// The kernel's.
    pub fn trouble(&self) -> io::Result<Option<IcmpTrouble>> {
        let mut quoted = [0u8; 64];
        let mut control = Control::new();
        loop {
            let Some(bytes) = control.receive(self.as_fd(), &mut quoted, libc::MSG_ERRQUEUE)?
            else {
                return Ok(None);
            };
            let quoted = quoted.get(..bytes).unwrap_or_default();
            if let Some(trouble) = control.messages().find_map(|m| trouble_in(&m, quoted)) {
                return Ok(Some(trouble));
            }
        }
    }
}

impl AsFd for IcmpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for IcmpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// A classic BPF program that drops every message without our identifier.
/// It sees the IPv4 header on a v4 socket and none on a v6 one.
fn identifier_filter(v6: bool, identifier: u16) -> Vec<SockFilter> {
    const LDX_IHL: u16 = 0xb1; // X = 4 * (packet[k] & 0xf)
    const LDH_IND: u16 = 0x48; // A = 16 bits at packet[X + k]
    const LDH_ABS: u16 = 0x28; // A = 16 bits at packet[k]
    const JEQ: u16 = 0x15; // if A == k skip jt, else jf instructions
    const RET: u16 = 0x06; // keep k bytes
    let mut program = Vec::with_capacity(5);
    if v6 {
        program.push(SockFilter::new(LDH_ABS, 0, 0, 4));
    } else {
        program.push(SockFilter::new(LDX_IHL, 0, 0, 0));
        program.push(SockFilter::new(LDH_IND, 0, 0, 4));
    }
    program.push(SockFilter::new(JEQ, 0, 1, u32::from(identifier)));
    program.push(SockFilter::new(RET, 0, 0, u32::MAX));
    program.push(SockFilter::new(RET, 0, 0, 0));
    program
}

fn is_ttl(level: i32, kind: i32) -> bool {
    (level == libc::IPPROTO_IP && kind == libc::IP_TTL)
        || (level == libc::IPPROTO_IPV6 && kind == libc::IPV6_HOPLIMIT)
}

/// Reads `struct sock_extended_err` (linux/errqueue.h) and the sender's
/// address that follows it. `quoted` begins with the ICMP header of ours.
fn trouble_in(message: &ControlMessage<'_>, quoted: &[u8]) -> Option<IcmpTrouble> {
    let ours = (message.level == libc::IPPROTO_IP && message.kind == libc::IP_RECVERR)
        || (message.level == libc::IPPROTO_IPV6 && message.kind == libc::IPV6_RECVERR);
    let origin = *message.data.get(4)?;
    if !ours || (origin != ORIGIN_ICMP && origin != ORIGIN_ICMP6) {
        return None;
    }
    Some(IcmpTrouble {
        from: address_at(message.data, 16),
        sequence: u16::from_be_bytes(quoted.get(6..8)?.try_into().ok()?),
        errno: int_at(message.data, 0)?,
    })
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

/// Control messages of one receive, walked without trusting their lengths.
#[repr(align(8))]
struct ControlBytes([u8; CONTROL_BYTES]);

struct Control {
    bytes: ControlBytes,
    filled: usize,
}

struct ControlMessage<'a> {
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
}

struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = ControlMessage<'a>;

    /// cmsg(3): a length of the machine's word, level, kind, then the data,
    /// each message padded to a whole number of words.
    fn next(&mut self) -> Option<Self::Item> {
        const WORD: usize = size_of::<usize>();
        let head = size_of::<libc::cmsghdr>().next_multiple_of(WORD);
        let length = usize::from_ne_bytes(self.rest.get(..WORD)?.try_into().ok()?);
        let message = self.rest.get(..length)?;
        let found = ControlMessage {
            level: int_at(message, head - 8)?,
            kind: int_at(message, head - 4)?,
            data: message.get(head..)?,
        };
        self.rest = self.rest.get(length.next_multiple_of(WORD)..).unwrap_or_default();
        Some(found)
    }
}

impl fmt::Display for IcmpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { raw, datagram, .. } => {
                write!(f, "no ICMP socket: raw: {raw}; datagram: {datagram}")
            }
            Self::Unreachable(error) => write!(f, "no way to the target: {error}"),
        }
    }
}

impl std::error::Error for IcmpError {}

#[cfg(test)]
mod tests {
    use super::*;

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
        let quoted = [8, 0, 0, 0, 0x12, 0x34, 0x00, 0x07, 0, 0];
        let whole = ControlMessage { level: libc::IPPROTO_IP, kind: libc::IP_RECVERR, data: &data };
        assert_eq!(
            trouble_in(&whole, &quoted),
            Some(IcmpTrouble {
                from: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
                sequence: 7,
                errno: libc::EHOSTUNREACH,
            })
        );
        for cut in 0..16 {
            let short = ControlMessage { data: &data[..cut], ..whole };
            let found = trouble_in(&short, &quoted);
            assert!(found.is_none_or(|t| t.from.is_none()), "cut at {cut}");
        }
        assert_eq!(trouble_in(&whole, &quoted[..7]), None);
    }

    #[test]
    fn the_filter_is_four_instructions_of_reading_and_one_verdict() {
        assert_eq!(identifier_filter(false, 7).len(), 5);
        assert_eq!(identifier_filter(true, 7).len(), 4);
    }
}
