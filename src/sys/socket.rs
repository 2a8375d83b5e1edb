//! Stream sockets, listeners and the making of datagram sockets. A receive or
//! a send is one system call, and nothing but that call.
#![expect(
    unsafe_code,
    reason = "recv(2), sendmsg(2) and ioctl(2): the data path adds nothing to the system call"
)]

use super::calls::{Call, count, counted};
use super::clock::Stamp;
use super::control::{Control, notes};
use super::error::{SysError, SysResult};
use super::sockopt;
use socket2::{Domain, Protocol, SockAddr, SockRef, Type};
use std::io::{self, IoSlice};
use std::mem;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

/// What ingest and fan-out need of a stream socket; the simulator has a fake
/// one. It may go to another thread.
pub trait Socket: Send + 'static {
    /// Receives what is there into `space`; answers how many bytes. `Ok(0)` is the end of the stream;
    /// `WouldBlock` means that nothing is there.
    ///
    /// # Errors
    /// The kernel's, and `InvalidInput` for an empty `space`, whose `Ok(0)`
    /// would look like an end.
    fn recv(&mut self, space: &mut [u8]) -> io::Result<usize>;

    /// The same, with when the kernel had the last byte, if it was asked to say
    /// so (`SO_TIMESTAMPNS`, socket(7)).
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    fn recv_stamped(&mut self, space: &mut [u8]) -> io::Result<(usize, Option<Stamp>)> {
        Ok((self.recv(space)?, None))
    }

    /// Sends the slices in order, as far as there is room; answers the bytes
    /// taken, over all slices.
    ///
    /// # Errors
    /// The kernel's; `WouldBlock` when there is no room at all.
    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Bytes accepted by [`send`](Self::send) and not yet acknowledged by the
    /// peer's kernel, sent or not. After [`Tcp::shutdown_write`] the FIN counts
    /// as one.
    ///
    /// # Errors
    /// The kernel's.
    fn unacked(&mut self) -> io::Result<usize>;

    /// The round-trip time that the kernel has measured; `None`: it has not, or
    /// there is no kernel.
    fn round_trip(&self) -> Option<Duration> {
        None
    }

    /// Has what was received acknowledged at once (`TCP_QUICKACK`, tcp(7)); the
    /// kernel forgets it by itself, so this is asked again after each receive.
    fn acknowledge(&mut self) {}

    /// Ends our side, behind what was sent; the peer's goes on.
    ///
    /// # Errors
    /// The kernel's; `NotConnected` if the connection is gone.
    fn shutdown(&mut self) -> io::Result<()>;

    /// What epoll knows it by; none if it is a fake.
    fn fd(&self) -> Option<RawFd> {
        None
    }
}

/// A TCP connection: non-blocking, closed on exec.
#[derive(Debug)]
pub struct Tcp(OwnedFd);

impl Socket for Tcp {
    /// recv(2) with `MSG_DONTWAIT`.
    fn recv(&mut self, space: &mut [u8]) -> io::Result<usize> {
        if space.is_empty() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let fd = self.as_raw_fd();
        let (start, len) = (space.as_mut_ptr().cast(), space.len());
        counted(Call::Recv, || {
            // SAFETY: the kernel writes at most `len` bytes at `start`, which
            // is memory borrowed for this call.
            unsafe { libc::recv(fd, start, len, libc::MSG_DONTWAIT) }
        })
    }

    /// recvmsg(2) with `MSG_DONTWAIT`.
    fn recv_stamped(&mut self, space: &mut [u8]) -> io::Result<(usize, Option<Stamp>)> {
        if space.is_empty() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut control = Control::EMPTY;
        let mut slice = libc::iovec { iov_base: space.as_mut_ptr().cast(), iov_len: space.len() };
        let mut header = message();
        (header.msg_iov, header.msg_iovlen) = (&raw mut slice, 1);
        (header.msg_control, header.msg_controllen) = control.room();
        let fd = self.as_raw_fd();
        let len = counted(Call::Recv, || {
            // SAFETY: the header points at the space and at control room, both
            // borrowed here, with their true lengths. A call that fails leaves
            // the header as it was.
            unsafe { libc::recvmsg(fd, &raw mut header, libc::MSG_DONTWAIT) }
        })?;
        // SAFETY: the kernel filled the header, whose control room lives here.
        let notes = unsafe { notes(&header) };
        Ok((len, notes.stamp))
    }

    /// sendmsg(2) with `MSG_DONTWAIT | MSG_NOSIGNAL`; send(2) for one slice,
    /// which spares the kernel copying in a header and a list. Slices beyond
    /// the first 1024 (`UIO_MAXIOV`) wait for the next call.
    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if let [only] = slices {
            return send_one(self.as_fd(), only);
        }
        let mut message = message();
        // IoSlice has the layout of iovec on Unix (std's promise); the kernel
        // reads through it, and the cast away from const is for its type.
        message.msg_iov = slices.as_ptr().cast_mut().cast();
        message.msg_iovlen = slices.len().min(libc::UIO_MAXIOV as usize) as _;
        // SAFETY: the slices and what they point at are borrowed until after
        // the call, and there is no address or control data.
        unsafe { send_message(self.as_fd(), &message) }
    }

    /// ioctl(2) `SIOCOUTQ`, tcp(7).
    fn unacked(&mut self) -> io::Result<usize> {
        let mut bytes: libc::c_int = 0;
        let fd = self.as_raw_fd();
        counted(Call::Ioctl, || {
            // TIOCOUTQ is what linux/sockios.h calls SIOCOUTQ.
            // SAFETY: the request writes one int, at the address of a live one.
            let done = unsafe { libc::ioctl(fd, libc::TIOCOUTQ, &raw mut bytes) };
            done as isize
        })?;
        Ok(usize::try_from(bytes).unwrap_or(0))
    }

    /// getsockopt(2) `TCP_INFO`, tcp(7).
    fn round_trip(&self) -> Option<Duration> {
        sockopt::round_trip(self.as_fd()).ok().flatten()
    }

    fn acknowledge(&mut self) {
        // A connection that is gone says so at the next receive.
        let _gone = self.set_quickack();
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.shutdown_write()
    }

    fn fd(&self) -> Option<RawFd> {
        Some(self.as_raw_fd())
    }
}

impl Tcp {
    /// The peer's address and port.
    ///
    /// # Errors
    /// `NotConnected` once the peer has reset the connection.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        SockRef::from(self).peer_addr().and_then(|peer| ip(&peer))
    }

    /// Our address and port.
    ///
    /// # Errors
    /// The kernel's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        local_addr(self.as_fd())
    }

    /// Sends a FIN behind what is queued; receiving goes on.
    ///
    /// # Errors
    /// `NotConnected` if the connection is gone already.
    pub fn shutdown_write(&self) -> io::Result<()> {
        SockRef::from(self).shutdown(Shutdown::Write)
    }

    /// Makes closing throw away what is queued and send a RST (`SO_LINGER`
    /// with zero, socket(7)): no TIME_WAIT, and no kernel memory held for a
    /// peer that doesn't read.
    ///
    /// # Errors
    /// The kernel's.
    pub fn reset_on_close(&self) -> io::Result<()> {
        SockRef::from(self).set_linger(Some(Duration::ZERO))
    }

    /// Acknowledges at once what has arrived (`TCP_QUICKACK`, tcp(7)). Not
    /// lasting: call it again after each receive.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_quickack(&self) -> io::Result<()> {
        SockRef::from(self).set_tcp_quickack(true)
    }
}

impl TryFrom<TcpStream> for Tcp {
    type Error = io::Error;

    /// Takes over a connection made by std, which closes on exec already.
    fn try_from(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self(stream.into()))
    }
}

/// A listening TCP socket.
#[derive(Debug)]
pub struct TcpListener(OwnedFd);

impl TcpListener {
    /// Listens on `addr`; port 0 lets the kernel choose. `SO_REUSEADDR` is set,
    /// so that a restart need not wait for TIME_WAIT; with `reuse_port` several
    /// sockets of one user share the port, and the kernel spreads connections
    /// over them (`SO_REUSEPORT`, socket(7)). An IPv6 address takes no IPv4
    /// clients. `backlog` counts connections not yet accepted; the kernel cuts
    /// it to `net.core.somaxconn`.
    ///
    /// `prepare` runs before bind(2), where options must be set that connections
    /// inherit, such as the receive buffer, which sets the window's scale.
    ///
    /// # Errors
    /// The step that failed, with the address; or what `prepare` answers.
    pub fn bind(
        addr: SocketAddr,
        reuse_port: bool,
        backlog: i32,
        prepare: impl FnOnce(BorrowedFd<'_>) -> SysResult<()>,
    ) -> SysResult<Self> {
        let socket = open(addr, Type::STREAM, Protocol::TCP)?;
        let setup = SockRef::from(&socket);
        setup.set_reuse_address(true).map_err(|e| SysError::new("SO_REUSEADDR", addr, e))?;
        if reuse_port {
            setup.set_reuse_port(true).map_err(|e| SysError::new("SO_REUSEPORT", addr, e))?;
        }
        prepare(socket.as_fd())?;
        setup.bind(&addr.into()).map_err(|e| SysError::new("bind", addr, e))?;
        setup.listen(backlog).map_err(|e| SysError::new("listen", addr, e))?;
        Ok(Self(socket))
    }

    /// Takes one connection off the backlog: accept4(2) with `SOCK_NONBLOCK |
    /// SOCK_CLOEXEC`. `WouldBlock` when there is none.
    ///
    /// # Errors
    /// [`is_exhausted`] ones leave the connection in the backlog; after any
    /// other but `WouldBlock` that one is gone (accept(2), error handling) and
    /// the next may be asked for.
    pub fn accept(&self) -> io::Result<(Tcp, SocketAddr)> {
        let listener = SockRef::from(self);
        loop {
            let accepted = listener.accept4(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC);
            count(Call::Accept, &accepted);
            match accepted {
                Ok((socket, peer)) => return Ok((Tcp(socket.into()), ip(&peer)?)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The address listened on, with the real port.
    ///
    /// # Errors
    /// The kernel's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        local_addr(self.as_fd())
    }
}

/// Whether a call failed for want of descriptors or kernel memory, which trying
/// again at once will not cure.
pub fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

/// How a UDP port is shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reuse {
    /// Not at all.
    #[default]
    No,
    /// `SO_REUSEPORT`: the kernel spreads unicast peers over our shards.
    Port,
    /// `SO_REUSEADDR`: any program may receive the same multicast group.
    Group,
}

/// A UDP socket: non-blocking, closed on exec.
#[derive(Debug)]
pub struct Udp(pub(super) OwnedFd);

impl Udp {
    /// Binds to `addr`; port 0 lets the kernel choose. An IPv6 address takes no
    /// IPv4 datagrams. `prepare` runs before bind(2).
    ///
    /// # Errors
    /// The step that failed, with the address; or what `prepare` answers.
    pub fn bind(
        addr: SocketAddr,
        reuse: Reuse,
        prepare: impl FnOnce(BorrowedFd<'_>) -> SysResult<()>,
    ) -> SysResult<Self> {
        let socket = open(addr, Type::DGRAM, Protocol::UDP)?;
        let setup = SockRef::from(&socket);
        match reuse {
            Reuse::No => Ok(()),
            Reuse::Port => {
                setup.set_reuse_port(true).map_err(|e| SysError::new("SO_REUSEPORT", addr, e))
            }
            Reuse::Group => {
                setup.set_reuse_address(true).map_err(|e| SysError::new("SO_REUSEADDR", addr, e))
            }
        }?;
        prepare(socket.as_fd())?;
        setup.bind(&addr.into()).map_err(|e| SysError::new("bind", addr, e))?;
        Ok(Self(socket))
    }

    /// Takes datagrams from `peer` alone, and hears of ICMP errors from there.
    ///
    /// # Errors
    /// The kernel's, with the address.
    pub fn connect(&self, peer: SocketAddr) -> SysResult<()> {
        SockRef::from(self).connect(&peer.into()).map_err(|e| SysError::new("connect", peer, e))
    }

    /// The address bound to, with the real port.
    ///
    /// # Errors
    /// The kernel's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        local_addr(self.as_fd())
    }
}

macro_rules! has_fd {
    ($($name:ident),*) => {$(
        impl AsFd for $name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.as_fd()
            }
        }

        impl AsRawFd for $name {
            fn as_raw_fd(&self) -> RawFd {
                self.0.as_raw_fd()
            }
        }
    )*};
}
has_fd!(Tcp, TcpListener, Udp);

/// A message header with nothing in it.
pub(super) const fn message() -> libc::msghdr {
    // SAFETY: msghdr is pointers, lengths and flags (and padding on some
    // C libraries); all zeros is the empty message.
    unsafe { mem::zeroed() }
}

/// sendmsg(2) with `MSG_DONTWAIT | MSG_NOSIGNAL`.
///
/// # Safety
/// The pointers in `message` are null with a length of zero, or good for
/// reading what their lengths say.
pub(super) unsafe fn send_message(fd: BorrowedFd<'_>, message: &libc::msghdr) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    counted(Call::SendMsg, || {
        // SAFETY: the caller vouches for the pointers; the call only reads.
        unsafe { libc::sendmsg(fd.as_raw_fd(), message, flags) }
    })
}

/// send(2) with `MSG_DONTWAIT | MSG_NOSIGNAL`.
fn send_one(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    counted(Call::Send, || {
        // SAFETY: the kernel reads `len` bytes of memory borrowed for this call.
        unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) }
    })
}

fn open(addr: SocketAddr, kind: Type, protocol: Protocol) -> SysResult<OwnedFd> {
    let socket =
        socket2::Socket::new(Domain::for_address(addr), kind.nonblocking(), Some(protocol))
            .map_err(|e| SysError::new("socket for", addr, e))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true).map_err(|e| SysError::new("IPV6_V6ONLY", addr, e))?;
    }
    Ok(socket.into())
}

fn local_addr(fd: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    SockRef::from(&fd).local_addr().and_then(|addr| ip(&addr))
}

fn ip(addr: &SockAddr) -> io::Result<SocketAddr> {
    addr.as_socket().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "neither an IPv4 nor an IPv6 address")
    })
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
