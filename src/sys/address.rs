//! Addresses as the kernel reads them: a `sockaddr_in` or `sockaddr_in6`, made
//! once and used for every datagram to that place.
#![expect(unsafe_code, reason = "a sockaddr is a union told apart by its family")]

use std::fmt;
use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Room for either address; whatever lies beyond IP is never asked for.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) union RawAddr {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

impl RawAddr {
    /// Bytes that the kernel may write into it.
    pub(super) const LEN: libc::socklen_t = size_of::<Self>() as libc::socklen_t;

    /// No address, all bytes zero.
    pub(super) const fn empty() -> Self {
        Self {
            // SAFETY: a sockaddr_in6 is integers and byte arrays, for which
            // all zeros is a value; it is the largest member.
            v6: unsafe { mem::zeroed() },
        }
    }

    /// Copies an address that a C library answered; `None` if there is none, or
    /// of another family.
    ///
    /// # Safety
    /// `from` is null, or points to a sockaddr as long as its family says.
    pub(super) unsafe fn copied(from: *const libc::sockaddr) -> Option<Self> {
        // SAFETY: not null, it points to a sockaddr at least (the caller).
        let family = unsafe { from.as_ref() }?.sa_family;
        let mut raw = Self::empty();
        match i32::from(family) {
            // SAFETY: of this family, it is this long (the caller).
            libc::AF_INET => raw.v4 = unsafe { from.cast::<libc::sockaddr_in>().read_unaligned() },
            libc::AF_INET6 => {
                // SAFETY: of this family, it is this long (the caller).
                raw.v6 = unsafe { from.cast::<libc::sockaddr_in6>().read_unaligned() };
            }
            _ => return None,
        }
        Some(raw)
    }

    /// What the kernel wrote.
    pub(super) fn decode(&self) -> io::Result<SocketAddr> {
        // SAFETY: every byte of the union is initialised (see `empty`, and
        // `Destination::from`), and an integer can have any value. Both
        // members start with the family.
        let family = unsafe { self.family };
        match i32::from(family) {
            libc::AF_INET => {
                // SAFETY: every byte is initialised; the fields are integers.
                let v4 = unsafe { self.v4 };
                let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
                let port = u16::from_be(v4.sin_port);
                Ok(SocketAddrV4::new(ip, port).into())
            }
            libc::AF_INET6 => {
                // SAFETY: every byte is initialised; the fields are integers.
                let v6 = unsafe { self.v6 };
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                let port = u16::from_be(v6.sin6_port);
                Ok(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
            }
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "neither an IPv4 nor an IPv6 address",
            )),
        }
    }
}

/// Where datagrams go, ready for the kernel: 32 bytes, kept per subscriber, so
/// that nothing is converted or copied per datagram.
#[derive(Clone, Copy)]
pub struct Destination {
    raw: RawAddr,
    len: libc::socklen_t,
}

impl Destination {
    /// The address that it was made from.
    pub fn address(&self) -> SocketAddr {
        self.raw.decode().expect("made from an IPv4 or IPv6 address, and never written since")
    }

    /// No address at all, for sockets that need none.
    #[cfg(test)]
    pub(super) const fn none() -> Self {
        Self { raw: RawAddr::empty(), len: 0 }
    }

    /// Pointer and length, as `msg_name` and `msg_namelen` want them.
    pub(super) const fn parts(&self) -> (*const RawAddr, libc::socklen_t) {
        (&raw const self.raw, self.len)
    }
}

impl From<SocketAddr> for Destination {
    fn from(address: SocketAddr) -> Self {
        let mut raw = RawAddr::empty();
        let len = match address {
            SocketAddr::V4(v4) => {
                // Assigning the member leaves the zeros behind it in place.
                raw.v4 = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from(*v4.ip()).to_be() },
                    sin_zero: [0; 8],
                };
                size_of::<libc::sockaddr_in>()
            }
            SocketAddr::V6(v6) => {
                raw.v6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: v6.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                    sin6_scope_id: v6.scope_id(),
                };
                size_of::<libc::sockaddr_in6>()
            }
        };
        Self { raw, len: len as libc::socklen_t }
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address().fmt(f)
    }
}

impl PartialEq for Destination {
    fn eq(&self, other: &Self) -> bool {
        self.address() == other.address()
    }
}

impl Eq for Destination {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        for text in ["127.0.0.1:9000", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:80"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(Destination::from(address).address(), address);
        }
        let scoped = SocketAddrV6::new("fe80::1".parse().unwrap(), 5, 0, 3).into();
        assert_eq!(Destination::from(scoped).address(), scoped);
    }

    #[test]
    fn no_address_is_an_error() {
        assert!(RawAddr::empty().decode().is_err());
    }
}
