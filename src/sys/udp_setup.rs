//! What a UDP socket is set up with beside the options that the command line
//! names: multicast groups, receive batches and the drop count.
#![expect(unsafe_code, reason = "setsockopt(2) of what socket2 lacks")]

use super::error::{SysError, SysResult};
use super::interfaces::{self, Interface};
use super::socket::Udp;
use super::sockopt;
use socket2::SockRef;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

impl Udp {
    /// Joins a multicast group on `iface` (name or address; without one the
    /// kernel's route decides), and takes no datagrams of groups that other
    /// sockets joined on the same port (`IP_MULTICAST_ALL` off, ip(7)).
    ///
    /// # Errors
    /// An address that is no group, an interface that is not there, or the
    /// kernel's.
    pub fn join_group(&self, group: IpAddr, iface: Option<&str>) -> SysResult<()> {
        if !group.is_multicast() {
            let why = "not a multicast address (224.0.0.0 to 239.255.255.255, ff00::/8)";
            return Err(SysError::refused("group", group, why.to_owned()));
        }
        let on = iface.map(interfaces::find).transpose()?;
        let setup = SockRef::from(self);
        match group {
            IpAddr::V4(four) => {
                setup
                    .set_multicast_all_v4(false)
                    .map_err(|e| SysError::new("IP_MULTICAST_ALL", group, e))?;
                self.set(libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, &mreqn(four, on))
            }
            IpAddr::V6(six) => {
                setup
                    .set_multicast_all_v6(false)
                    .map_err(|e| SysError::new("IPV6_MULTICAST_ALL", group, e))?;
                setup.join_multicast_v6(&six, on.map_or(0, |on| on.index))
            }
        }
        .map_err(|e| SysError::new("join", place(group, iface), e))
    }

    /// Sends multicast on `iface` (name or address; without one the kernel's
    /// route decides), at most `ttl` hops far (kept as it is when `None`; 1 at
    /// first), to receivers on this machine too.
    ///
    /// # Errors
    /// An interface that is not there, or the kernel's.
    pub fn multicast_out(&self, ttl: Option<u32>, iface: Option<&str>) -> SysResult<()> {
        let on = iface.map(interfaces::find).transpose()?;
        let own = self.local_addr().map_err(|e| SysError::new("getsockname", "", e))?;
        let setup = SockRef::from(self);
        let four = own.is_ipv4();
        if let Some(ttl) = ttl {
            if four { setup.set_multicast_ttl_v4(ttl) } else { setup.set_multicast_hops_v6(ttl) }
                .map_err(|e| SysError::new("multicast ttl", ttl, e))?;
        }
        if four { setup.set_multicast_loop_v4(true) } else { setup.set_multicast_loop_v6(true) }
            .map_err(|e| SysError::new("multicast loop", "", e))?;
        let Some(on) = on else { return Ok(()) };
        if four {
            let request = mreqn(Ipv4Addr::UNSPECIFIED, Some(on));
            self.set(libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &request)
        } else {
            setup.set_multicast_if_v6(on.index)
        }
        .map_err(|e| SysError::new("send multicast on", iface.unwrap_or_default(), e))
    }

    /// Lets one receive take a run of datagrams (`UDP_GRO`, udp(7)); the space
    /// for it should hold 64 KiB. False if the kernel can't (before 5.0).
    pub fn enable_gro(&self) -> bool {
        self.set::<libc::c_int>(libc::SOL_UDP, libc::UDP_GRO, &1).is_ok()
    }

    /// Whether the kernel cuts what is sent into datagrams (`UDP_SEGMENT`,
    /// udp(7)); it can't before 4.18, and would send all as one.
    pub fn can_gso(&self) -> bool {
        sockopt::get(self.as_fd(), libc::SOL_UDP, libc::UDP_SEGMENT).is_ok()
    }

    /// Has receives tell how many datagrams were lost (`SO_RXQ_OVFL`,
    /// socket(7)).
    ///
    /// # Errors
    /// The kernel's.
    pub fn enable_rxq_ovfl(&self) -> SysResult<()> {
        self.set::<libc::c_int>(libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &1)
            .map_err(|e| SysError::new("SO_RXQ_OVFL", "", e))
    }

    /// Has receives tell a datagram's time to live (`IP_RECVTTL`, ip(7)) or hop
    /// limit (`IPV6_RECVHOPLIMIT`, ipv6(7)).
    ///
    /// # Errors
    /// The kernel's.
    pub fn enable_ttl(&self) -> SysResult<()> {
        let own = self.local_addr().map_err(|e| SysError::new("getsockname", "", e))?;
        let (level, name) = match own {
            SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_RECVTTL),
            SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT),
        };
        sockopt::set(self.as_fd(), level, name, 1).map_err(|e| SysError::new("IP_RECVTTL", own, e))
    }

    fn set<T: Plain>(&self, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
        // SAFETY: the call reads the bytes of `value`, which is plain data
        // without pointers or padding (see Plain).
        let done = unsafe {
            libc::setsockopt(
                self.as_raw_fd(),
                level,
                name,
                (&raw const *value).cast(),
                size_of::<T>() as libc::socklen_t,
            )
        };
        if done == -1 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

/// Option values that are integers through and through.
trait Plain: Copy {}
impl Plain for libc::c_int {}
impl Plain for libc::ip_mreqn {}

/// The group and the interface, as ip(7) wants them.
fn mreqn(group: Ipv4Addr, on: Option<Interface>) -> libc::ip_mreqn {
    let address = match on.and_then(|on| on.address) {
        Some(IpAddr::V4(four)) => four,
        Some(IpAddr::V6(_)) | None => Ipv4Addr::UNSPECIFIED,
    };
    libc::ip_mreqn {
        imr_multiaddr: libc::in_addr { s_addr: u32::from(group).to_be() },
        imr_address: libc::in_addr { s_addr: u32::from(address).to_be() },
        imr_ifindex: on.map_or(0, |on| on.index as libc::c_int),
    }
}

fn place(group: IpAddr, iface: Option<&str>) -> String {
    iface.map_or_else(|| group.to_string(), |iface| format!("{group} on {iface}"))
}
