//! UDP sockets of a blocking client: to a publish listener, from a subscribe
//! listener with its handshake (`protocol::udp_join` says why there is one),
//! and bound to wait for a pushed stream.

use super::conn::{ClientOptions, is_pause};
use super::error::{ClientError, ClientResult};
use super::target::Target;
use crate::base::Instant;
use crate::limits::{
    CLIENT_STOP, DATAGRAM_MAX, JOIN_REQUEST_BYTES, TOKEN_BYTES, UDP_ASK, UDP_KEEPALIVE,
};
use crate::sys::clock::Clock;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Asks to join; what it says doesn't matter, its length does.
const REQUEST: [u8; JOIN_REQUEST_BYTES] = *b"nearlight/1 join";
const BYE: &[u8] = b"bye";

/// A socket that sends to `target`.
pub(super) fn sender(target: &Target, options: &ClientOptions) -> ClientResult<UdpSocket> {
    let addr = first(target)?;
    let any = match addr {
        SocketAddr::V4(_) => SocketAddr::from(([0; 4], 0)),
        SocketAddr::V6(_) => SocketAddr::from(([0u16; 8], 0)),
    };
    let socket = bound(target, any, options)?;
    let connected = socket.connect(addr);
    connected.map_err(|error| failed(target, "connect", error))?;
    Ok(socket)
}

/// A socket that hears what is sent to `target`: an address of this machine,
/// or a multicast group, which is joined on `iface` (or where the kernel
/// chooses).
pub(super) fn listener(
    target: &Target,
    iface: Option<Ipv4Addr>,
    options: &ClientOptions,
) -> ClientResult<UdpSocket> {
    let addr = first(target)?;
    let socket = bound(target, addr, options)?;
    let joined = match addr.ip() {
        IpAddr::V4(group) if group.is_multicast() => {
            socket.join_multicast_v4(&group, &iface.unwrap_or(Ipv4Addr::UNSPECIFIED))
        }
        IpAddr::V6(group) if group.is_multicast() => socket.join_multicast_v6(&group, 0),
        IpAddr::V4(_) | IpAddr::V6(_) => Ok(()),
    };
    joined.map_err(|error| failed(target, "join the group", error))?;
    Ok(socket)
}

/// A subscription to a UDP listener.
pub(super) struct Joined {
    socket: UdpSocket,
    target: Target,
    token: [u8; TOKEN_BYTES],
    /// When to show next that we are here.
    keepalive: Instant,
    /// When the last datagram of the stream came.
    heard: Option<Instant>,
}

impl Joined {
    /// Asks, waits for the token, and joins with it. That the join has arrived
    /// shows when the stream does.
    pub(super) fn open(
        target: &Target,
        options: &ClientOptions,
        stop: &AtomicBool,
    ) -> ClientResult<Self> {
        let socket = sender(target, options)?;
        let start = Clock::now();
        let mut ask = start;
        let mut answer = [0; DATAGRAM_MAX];
        let token = loop {
            let now = Clock::now();
            if stop.load(Ordering::Relaxed) {
                return Err(ClientError::Stopped);
            }
            if now.since(start) >= options.stall {
                let what = format!("{target}: wait for the token that joins");
                let after = options.stall;
                return Err(ClientError::Timeout { what, after });
            }
            if now >= ask {
                ask = now + UDP_ASK;
                // Refused: nobody listens there yet. Asked again until then.
                ignore_refused(target, "send", socket.send(&REQUEST))?;
            }
            let length = ignore_refused(target, "receive", socket.recv(&mut answer))?;
            if let Some(token) =
                length.and_then(|n| <[u8; TOKEN_BYTES]>::try_from(&answer[..n]).ok())
            {
                break token;
            }
        };
        let mut joined =
            Self { socket, target: target.clone(), token, keepalive: start, heard: None };
        joined.show(Clock::now())?;
        Ok(joined)
    }

    /// Receives a datagram of the stream into `buffer`; `None` if none came
    /// within [`CLIENT_STOP`], or what came was for us alone.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> ClientResult<Option<usize>> {
        let now = Clock::now();
        if now >= self.keepalive {
            self.show(now)?;
        }
        let received = match self.socket.recv(buffer) {
            Err(error) if is_pause(&error) => return Ok(None),
            other => other.map_err(|error| failed(&self.target, "receive", error))?,
        };
        if self.is_token(&buffer[..received], now) {
            self.show(now)?;
            return Ok(None);
        }
        self.heard = Some(now);
        Ok(Some(received))
    }

    /// Says goodbye, so that the server need not wait for our silence.
    pub(super) fn leave(&self) -> ClientResult<()> {
        let bye = [BYE, &self.token].concat();
        ignore_refused(&self.target, "send", self.socket.send(&bye))?;
        Ok(())
    }

    pub(super) const fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Sends the token: it joins, keeps alive, and joins a server anew that
    /// was started again and took it.
    fn show(&mut self, now: Instant) -> ClientResult<()> {
        let again = if self.heard.is_some() { UDP_KEEPALIVE } else { UDP_ASK };
        self.keepalive = now + again;
        ignore_refused(&self.target, "send", self.socket.send(&self.token))?;
        Ok(())
    }

    /// Whether a datagram is a token, and then takes it. A server that doesn't
    /// know ours (it was started again, or ours grew old on the way) answers
    /// it with another; a frame of the same length is told from it by the
    /// stream having been heard of late.
    fn is_token(&mut self, datagram: &[u8], now: Instant) -> bool {
        let silent: Option<Duration> = self.heard.map(|heard| now.since(heard));
        if silent.is_some_and(|silent| silent < UDP_KEEPALIVE) {
            return false;
        }
        let Ok(token) = datagram.try_into() else {
            return false;
        };
        self.token = token;
        true
    }
}

/// A socket of our own, its receives ending after [`CLIENT_STOP`].
fn bound(target: &Target, addr: SocketAddr, options: &ClientOptions) -> ClientResult<UdpSocket> {
    let at = |what: &'static str| move |error| failed(target, what, error);
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))
        .map_err(at("socket"))?;
    options.apply(&socket, target)?;
    if addr.ip().is_multicast() {
        // Several may listen to a group.
        socket.set_reuse_address(true).map_err(at("SO_REUSEADDR"))?;
    }
    socket.bind(&addr.into()).map_err(at("bind"))?;
    socket.set_read_timeout(Some(CLIENT_STOP)).map_err(at("SO_RCVTIMEO"))?;
    socket.set_write_timeout(Some(CLIENT_STOP)).map_err(at("SO_SNDTIMEO"))?;
    Ok(socket.into())
}

/// The address to use. Of those of a name it is an IPv4 one if there is any,
/// as the server's default is: a datagram doesn't tell whether it arrived.
fn first(target: &Target) -> ClientResult<SocketAddr> {
    let addrs = target.addrs()?;
    let chosen = addrs.iter().find(|addr| addr.is_ipv4()).or(addrs.first());
    let none = || ClientError::Target(format!("{target}: no address"));
    chosen.copied().ok_or_else(none)
}

/// The outcome of a call on a connected socket, where an ICMP "port
/// unreachable" for an earlier datagram and a time-out are `None`.
fn ignore_refused(
    target: &Target,
    what: &str,
    outcome: std::io::Result<usize>,
) -> ClientResult<Option<usize>> {
    match outcome {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_pause(&error) => Ok(None),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(None),
        Err(error) => Err(failed(target, what, error)),
    }
}

fn failed(target: &Target, what: &str, source: std::io::Error) -> ClientError {
    ClientError::io(format!("{target}: {what}"), source)
}
