//! Where probes come from and answers go: a device, or a plain UDP socket.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

use nearlight::base::Instant;
use nearlight::sys::clock::Clock;

use super::packet::Packet;
use super::{place, tun};

/// Bytes of the largest packet that is sent here.
const PACKET: usize = 2048;
/// Addresses on the device: ours, and the responder's beside them.
const OURS: [&str; 2] = ["10.77.0.1/24", "fd00:77::1/64"];

/// A non-blocking way to the prober and back.
#[derive(Debug)]
pub(crate) enum Link {
    /// The other end of an interface.
    Tun(File),
    /// A socket on loopback.
    Udp(UdpSocket),
}

impl Link {
    /// A new device, which is up, in a network of our own.
    pub(crate) fn device() -> Result<Self, String> {
        let file = tun::make(place::DEVICE).map_err(|why| format!("/dev/net/tun: {why}"))?;
        place::raise(&OURS)?;
        Ok(Self::Tun(file))
    }

    /// A socket on loopback.
    pub(crate) fn socket() -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        Ok(Self::Udp(socket))
    }

    /// Where probes are to be sent; any port of a device will do.
    pub(crate) fn target(&self, v6: bool) -> SocketAddr {
        match self {
            Self::Udp(socket) => socket.local_addr().unwrap_or(([127, 0, 0, 1], 0).into()),
            Self::Tun(_) if v6 => ([0xfd00, 0x77, 0, 0, 0, 0, 0, 2], 7).into(),
            Self::Tun(_) => ([10, 77, 0, 2], 7).into(),
        }
    }

    /// The next probe, if one is here, and the time just after it was read. What
    /// else is on the network is not told.
    pub(crate) fn read(&self) -> io::Result<Option<(Packet, Instant)>> {
        let mut buffer = [0; PACKET];
        loop {
            let came = match self {
                Self::Tun(file) => (&mut &*file).read(&mut buffer).map(|length| (length, None)),
                Self::Udp(socket) => {
                    socket.recv_from(&mut buffer).map(|(length, from)| (length, Some(from)))
                }
            };
            let now = Clock::now();
            let (length, from) = match came {
                Ok(came) => came,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            };
            let bytes = &buffer[..length];
            let packet = match from {
                None => Packet::read(bytes),
                Some(from) => Some(Packet::bare(bytes, from)),
            };
            if let Some(packet) = packet {
                return Ok(Some((packet, now)));
            }
        }
    }

    /// Sends an answer.
    pub(crate) fn write(&self, packet: &Packet) -> io::Result<()> {
        match (self, packet.from) {
            (Self::Udp(socket), Some(to)) => socket.send_to(packet.bytes(), to).map(|_| ()),
            (Self::Udp(_), None) => Ok(()),
            (Self::Tun(file), _) => (&mut &*file).write(packet.bytes()).map(|_| ()),
        }
    }
}

impl AsRawFd for Link {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Tun(file) => file.as_raw_fd(),
            Self::Udp(socket) => socket.as_raw_fd(),
        }
    }
}
