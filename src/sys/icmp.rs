//! ICMP echo sockets: opened raw where the process may, as the kernel's own
//! "ping socket" where it may not, refused with what to do about it. Packets
//! are made and read by `client::ping`; this file holds what only the kernel
//! can do. Sources: icmp(7), raw(7), ip(7), ipv6(7), net/ipv4/ping.c.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use super::stamps;
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

/// Why no socket could be had.
#[derive(Debug)]
pub enum IcmpError {
    /// Both doors are closed to this process.
    Refused {
        /// To ICMPv6 rather than ICMP.
        v6: bool,
        /// What the kernel said to `SOCK_RAW`: `EPERM` as a rule; `None` if it
        /// was not asked, here and below.
        raw: Option<io::Error>,
        /// What it said to `SOCK_DGRAM`: `EACCES` as a rule.
        datagram: Option<io::Error>,
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
    /// With `door` through that one alone.
    ///
    /// # Errors
    /// [`IcmpError::Refused`] if no kind that will do may be opened.
    pub fn open(
        target: SocketAddr,
        identifier: u16,
        door: Option<IcmpDoor>,
    ) -> Result<Self, IcmpError> {
        let mut refused = [None, None];
        for (at, wanted) in [IcmpDoor::Raw, IcmpDoor::Datagram].into_iter().enumerate() {
            if door.is_some_and(|door| door != wanted) {
                continue;
            }
            match Self::create(target, wanted) {
                Ok(socket) => return socket.prepare(target, identifier),
                Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
                    return Err(IcmpError::Unreachable(error));
                }
                Err(error) => refused[at] = Some(error),
            }
        }
        let [raw, datagram] = refused;
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
        stamps::tell_errors(self.as_fd(), self.v6)?;
        if self.v6 {
            stamps::set(self.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, &on)?;
        } else {
            stamps::set(self.as_fd(), libc::IPPROTO_IP, libc::IP_RECVTTL, &on)?;
        }
        if self.door == IcmpDoor::Datagram {
            return Ok(());
        }
        // A raw socket would see every ICMP message of the network namespace,
        // on loopback our own requests among them, and wake for each.
        if self.v6 {
            let mut blocked = [u32::MAX; 8];
            blocked[usize::from(ECHO_REPLY_V6 / 32)] = !(1 << (ECHO_REPLY_V6 % 32));
            stamps::set(self.as_fd(), libc::IPPROTO_ICMPV6, ICMP6_FILTER, &blocked)?;
        } else {
            let blocked: u32 = !(1 << ECHO_REPLY);
            stamps::set(self.as_fd(), SOL_RAW, ICMP_FILTER, &blocked)?;
        }
        self.socket.attach_filter(&identifier_filter(self.v6, identifier))
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

impl fmt::Display for IcmpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { raw, datagram, .. } => {
                f.write_str("no ICMP socket")?;
                for (door, error) in [("raw", raw), ("datagram", datagram)] {
                    if let Some(error) = error {
                        write!(f, "; {door}: {error}")?;
                    }
                }
                Ok(())
            }
            Self::Unreachable(error) => write!(f, "no way to the target: {error}"),
        }
    }
}

impl std::error::Error for IcmpError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_is_four_instructions_of_reading_and_one_verdict() {
        assert_eq!(identifier_filter(false, 7).len(), 5);
        assert_eq!(identifier_filter(true, 7).len(), 4);
    }
}
