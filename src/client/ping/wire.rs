//! The three wires that carry our own probes: ICMP echo, TCP echo, UDP echo
//! (RFC 862). Each sends one probe and hears one answer at a time, and reads
//! the clock next to the call, before looking at what came.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::base::Instant;
use crate::limits::{DATAGRAM_MAX, PING_BACKLOG, PROBE_BYTES};
use crate::sys::clock::Clock;
use crate::sys::icmp::{IcmpDoor, IcmpSocket};

use super::echo::{self, Shape};
use super::payload::{self, Token};
use super::{Kind, PingError};

/// A packet of ours with an IPv4 header of its largest size in front.
const PACKET_MAX: usize = DATAGRAM_MAX + echo::HEADER + 60;

/// What was heard.
#[derive(Debug)]
pub(super) enum Heard {
    /// An answer to probe `sequence`.
    Reply { sequence: u64, bytes: usize, ttl: Option<u8> },
    /// An error in answer to a probe: the one whose sequence number ends in
    /// these 16 bits, or the oldest that waits.
    Trouble { low: Option<u16>, from: Option<IpAddr>, what: String },
    /// Something that is not for us.
    Foreign,
}

/// A connected, non-blocking way to the target and back.
#[derive(Debug)]
pub(super) enum Wire {
    Icmp {
        socket: IcmpSocket,
        identifier: u16,
        buffer: Box<[u8]>,
    },
    Tcp {
        stream: TcpStream,
        peer: SocketAddr,
        /// Bytes that the kernel had no room for yet.
        unsent: Vec<u8>,
        /// The probe that is coming back, and how much of it is here.
        buffer: Box<[u8]>,
        filled: usize,
    },
    Udp {
        socket: UdpSocket,
        peer: SocketAddr,
        buffer: Box<[u8]>,
    },
}

impl Wire {
    /// Opens a wire of `kind` (not [`Kind::System`]) for probes of `size`
    /// bytes; connecting by TCP blocks for at most `wait`.
    pub(super) fn open(
        kind: Kind,
        target: SocketAddr,
        token: Token,
        size: usize,
        wait: Duration,
    ) -> Result<Self, PingError> {
        match kind {
            Kind::Icmp => {
                let identifier = token.0 as u16;
                let socket = IcmpSocket::open(target, identifier).map_err(PingError::icmp)?;
                Ok(Self::Icmp { socket, identifier, buffer: vec![0; PACKET_MAX].into() })
            }
            Kind::Tcp => Self::open_tcp(target, size, wait)
                .map_err(|error| PingError::connecting(target, wait, error)),
            Kind::Udp | Kind::System => {
                Self::open_udp(target).map_err(|error| PingError::connecting(target, wait, error))
            }
        }
    }

    fn open_tcp(peer: SocketAddr, size: usize, wait: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&peer, wait)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self::Tcp { stream, peer, unsent: Vec::new(), buffer: vec![0; size].into(), filled: 0 })
    }

    fn open_udp(peer: SocketAddr) -> io::Result<Self> {
        let any: SocketAddr = if peer.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
        let socket = UdpSocket::bind(any)?;
        socket.connect(peer)?;
        socket.set_nonblocking(true)?;
        Ok(Self::Udp { socket, peer, buffer: vec![0; DATAGRAM_MAX].into() })
    }

    /// What about it the reader of a report should know.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Icmp { socket, .. } => match socket.door() {
                IcmpDoor::Raw => "raw socket".to_owned(),
                IcmpDoor::Datagram => "datagram socket".to_owned(),
            },
            Self::Tcp { peer, .. } | Self::Udp { peer, .. } => {
                format!("echo, port {}", peer.port())
            }
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Icmp { socket, .. } => socket.as_fd(),
            Self::Tcp { stream, .. } => stream.as_fd(),
            Self::Udp { socket, .. } => socket.as_fd(),
        }
    }

    /// Completes `message` (room for an ICMP header, then the data) and sends
    /// what of it belongs on this wire. Returns the clock's time just before
    /// the call, and how the call went.
    pub(super) fn send(&mut self, message: &mut [u8], sequence: u64) -> (Instant, io::Result<()>) {
        match self {
            Self::Icmp { socket, identifier, .. } => {
                echo::complete_request(message, socket.is_v6(), *identifier, sequence as u16);
                twice(|| socket.send(message))
            }
            Self::Udp { socket, .. } => {
                let data = message.get(echo::HEADER..).unwrap_or_default();
                twice(|| socket.send(data).map(|_| ()))
            }
            Self::Tcp { stream, unsent, .. } => {
                unsent.extend_from_slice(message.get(echo::HEADER..).unwrap_or_default());
                let now = Clock::now();
                (now, write_some(stream, unsent))
            }
        }
    }

    /// Hears one thing, `None` if there is nothing to hear. The time is that
    /// just after the call that brought the last byte.
    pub(super) fn hear(&mut self, token: Token) -> Result<Option<(Instant, Heard)>, PingError> {
        match self {
            Self::Icmp { socket, buffer, .. } => hear_icmp(socket, buffer, token),
            Self::Udp { socket, peer, buffer } => hear_udp(socket, *peer, buffer, token),
            Self::Tcp { stream, peer, unsent, buffer, filled } => {
                write_some(stream, unsent).map_err(|error| PingError::writing(*peer, &error))?;
                hear_tcp(stream, *peer, buffer, filled, token)
            }
        }
    }
}

/// Makes a send call, and once more if it failed: an ICMP error about an
/// earlier probe comes out of the next call on its socket.
fn twice(mut send: impl FnMut() -> io::Result<()>) -> (Instant, io::Result<()>) {
    let now = Clock::now();
    if send().is_ok() {
        return (now, Ok(()));
    }
    let now = Clock::now();
    (now, send())
}

/// Writes what the kernel takes. More than [`PING_BACKLOG`] left over is
/// [`io::ErrorKind::OutOfMemory`].
fn write_some(stream: &mut TcpStream, unsent: &mut Vec<u8>) -> io::Result<()> {
    while !unsent.is_empty() {
        match stream.write(unsent) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => drop(unsent.drain(..written)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return if unsent.len() > PING_BACKLOG {
                    Err(io::ErrorKind::OutOfMemory.into())
                } else {
                    Ok(())
                };
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

type HeardAt = Result<Option<(Instant, Heard)>, PingError>;

fn hear_icmp(socket: &IcmpSocket, buffer: &mut [u8], token: Token) -> HeardAt {
    let shape = match (socket.is_v6(), socket.door()) {
        (true, _) => Shape::V6,
        (false, IcmpDoor::Raw) => Shape::RawV4,
        (false, IcmpDoor::Datagram) => Shape::V4,
    };
    let received = socket.receive(buffer);
    let now = Clock::now();
    if let Ok(Some(received)) = received {
        let packet = buffer.get(..received.bytes).unwrap_or_default();
        let reply = echo::read_reply(packet, shape);
        let ours = reply.and_then(|reply| Some((reply, payload::read(reply.data, token)?)));
        return Ok(Some((
            now,
            ours.map_or(Heard::Foreign, |(reply, sequence)| Heard::Reply {
                sequence,
                bytes: reply.data.len() + echo::HEADER,
                ttl: reply.ttl.or(received.ttl),
            }),
        )));
    }
    // Woken, and no packet: an ICMP error waits in the error queue, or its
    // number alone came out of the call above.
    let what = |error: io::Error| PingError::Io { what: "receive ICMP", error };
    if let Some(trouble) = socket.trouble().map_err(what)? {
        let heard = Heard::Trouble {
            low: Some(trouble.sequence),
            from: trouble.from,
            what: io_text(&io::Error::from_raw_os_error(trouble.errno)),
        };
        return Ok(Some((now, heard)));
    }
    match received {
        Err(error) if !is_passing(&error) => Err(what(error)),
        Ok(_) | Err(_) => Ok(None),
    }
}

fn hear_udp(socket: &UdpSocket, peer: SocketAddr, buffer: &mut [u8], token: Token) -> HeardAt {
    let received = socket.recv(buffer);
    let now = Clock::now();
    match received {
        Ok(bytes) => {
            let data = buffer.get(..bytes).unwrap_or_default();
            let heard = payload::read(data, token)
                .map_or(Heard::Foreign, |sequence| Heard::Reply { sequence, bytes, ttl: None });
            Ok(Some((now, heard)))
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(Some((
            now,
            Heard::Trouble {
                low: None,
                from: Some(peer.ip()),
                what: PingError::Refused(peer).to_string(),
            },
        ))),
        Err(error) if is_passing(&error) => Ok(None),
        Err(error) => Err(PingError::Io { what: "receive UDP", error }),
    }
}

fn hear_tcp(
    stream: &mut TcpStream,
    peer: SocketAddr,
    buffer: &mut [u8],
    filled: &mut usize,
    token: Token,
) -> HeardAt {
    let received = stream.read(buffer.get_mut(*filled..).unwrap_or_default());
    let now = Clock::now();
    match received {
        Ok(0) => return Err(PingError::Closed(peer)),
        Ok(bytes) => *filled += bytes,
        Err(error) if is_passing(&error) => return Ok(None),
        Err(_) => return Err(PingError::Closed(peer)),
    }
    if *filled >= PROBE_BYTES && payload::read(buffer, token).is_none() {
        return Err(PingError::NotEcho(peer));
    }
    if *filled < buffer.len() {
        return Ok(None);
    }
    *filled = 0;
    let heard = payload::read(buffer, token).map(|sequence| Heard::Reply {
        sequence,
        bytes: buffer.len(),
        ttl: None,
    });
    heard.map(|heard| Some((now, heard))).ok_or(PingError::NotEcho(peer))
}

/// Errors after which the socket is as good as before: nothing there, or an
/// ICMP error about a probe.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::PermissionDenied
    ) || matches!(error.raw_os_error(), Some(libc::EMSGSIZE | libc::EPROTO | libc::EOPNOTSUPP))
}

/// The error's words, without "(os error N)".
pub(super) fn io_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}
