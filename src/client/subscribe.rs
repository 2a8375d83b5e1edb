//! Subscribes to a stream: opens, receives what comes, leaves. And the loop
//! that most callers want: everything to a writer, stamps to a probe reader.

use super::conn::{ClientOptions, Conn, Filled};
use super::error::{ClientError, ClientResult};
use super::http;
use super::probe::ProbeReader;
use super::random;
use super::target::{Scheme, Target};
use super::udp::{self, Joined};
use super::websocket::{self, Incoming, Messages};
use crate::base::Instant;
use crate::limits::DATAGRAM_MAX;
use crate::protocol::Body;
use crate::protocol::http::accept;
use crate::sys::clock::Clock;
use std::io::Write;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// An open subscription.
pub struct Subscriber {
    kind: Kind,
}

enum Kind {
    Tcp(Conn),
    /// `None`: the body ends with the connection.
    Http(Conn, Option<Body>),
    Ws(Conn, Box<Messages>),
    Udp(Box<Joined>, Box<[u8]>),
    Pushed(UdpSocket, Target, Box<[u8]>),
}

/// What one receive brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Bytes of the stream: over UDP a datagram, over WebSocket a message,
    /// elsewhere as many as there were.
    Bytes(&'a [u8]),
    /// Nothing for a tenth of a second, or only what the protocol itself has
    /// to say.
    Idle,
    /// The stream is over.
    End,
}

impl Subscriber {
    /// Connects and asks for the stream. Over UDP this is the handshake of a
    /// `udp://..?subscribe=NAME` listener.
    ///
    /// # Errors
    /// [`ClientError::Refused`] where an HTTP server says no: 404 if there is
    /// no such stream and the URL doesn't say to wait for it.
    pub fn open(target: &Target, options: &ClientOptions, stop: &AtomicBool) -> ClientResult<Self> {
        let kind = match target.scheme() {
            Scheme::Tcp => Kind::Tcp(Conn::open(target, options, stop)?),
            Scheme::Udp => {
                let joined = Joined::open(target, options, stop)?;
                Kind::Udp(Box::new(joined), vec![0; DATAGRAM_MAX].into())
            }
            Scheme::Http => get(target, options, stop)?,
            Scheme::Ws => upgrade(target, options, stop)?,
        };
        Ok(Self { kind })
    }

    /// Binds to the address of a `udp` target and waits for a stream that is
    /// pushed there; a multicast group is joined, on `iface` if given.
    ///
    /// # Errors
    /// The address is none of this machine's or in use.
    pub fn pushed(
        target: &Target,
        iface: Option<Ipv4Addr>,
        options: &ClientOptions,
    ) -> ClientResult<Self> {
        if target.scheme() != Scheme::Udp {
            let why = format!("{target}: streams are pushed to udp:// addresses alone");
            return Err(ClientError::Target(why));
        }
        let socket = udp::listener(target, iface, options)?;
        let buffer = vec![0; DATAGRAM_MAX].into();
        Ok(Self { kind: Kind::Pushed(socket, target.clone(), buffer) })
    }

    /// Waits for what comes next, a tenth of a second at most.
    ///
    /// # Errors
    /// The connection broke, or the server broke its protocol.
    pub fn receive(&mut self) -> ClientResult<Event<'_>> {
        match &mut self.kind {
            Kind::Tcp(conn) => receive_all(conn),
            Kind::Http(conn, None) => receive_all(conn),
            Kind::Http(conn, Some(body)) => receive_body(conn, body),
            Kind::Ws(conn, messages) => receive_message(conn, messages),
            Kind::Udp(joined, buffer) => Ok(match joined.receive(buffer)? {
                Some(length) => Event::Bytes(&buffer[..length]),
                None => Event::Idle,
            }),
            Kind::Pushed(socket, target, buffer) => match socket.recv(buffer) {
                Ok(length) => Ok(Event::Bytes(&buffer[..length])),
                Err(error) if super::conn::is_pause(&error) => Ok(Event::Idle),
                Err(error) => Err(ClientError::io(format!("{target}: receive"), error)),
            },
        }
    }

    /// Whether what is received are datagrams or messages rather than a byte
    /// stream.
    pub const fn is_datagram(&self) -> bool {
        match self.kind {
            Kind::Udp(..) | Kind::Pushed(..) => true,
            Kind::Tcp(_) | Kind::Http(..) | Kind::Ws(..) => false,
        }
    }

    /// Leaves politely: `bye` over UDP, a close frame over WebSocket. Dropping
    /// a subscriber leaves too, and the server finds out by itself.
    ///
    /// # Errors
    /// The connection broke before.
    pub fn leave(self) -> ClientResult<()> {
        match self.kind {
            Kind::Udp(joined, _) => joined.leave(),
            Kind::Ws(mut conn, _) => {
                let close = websocket::close(mask());
                conn.write([&close], &AtomicBool::new(false))
            }
            Kind::Tcp(_) | Kind::Http(..) | Kind::Pushed(..) => Ok(()),
        }
    }
}

/// For socket options that may be set on an open socket.
impl AsFd for Subscriber {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.kind {
            Kind::Tcp(conn) | Kind::Http(conn, _) | Kind::Ws(conn, _) => conn.stream().as_fd(),
            Kind::Udp(joined, _) => joined.socket().as_fd(),
            Kind::Pushed(socket, ..) => socket.as_fd(),
        }
    }
}

/// What was received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Payload bytes.
    pub bytes: u64,
    /// Receives, datagrams or messages.
    pub receives: u64,
    /// When the first bytes came.
    pub first: Option<Instant>,
    /// The server ended the stream.
    pub ended: bool,
}

/// Receives until the stream ends, `until`, or `stop`, and writes everything
/// to `out` ([`std::io::sink`] if nobody wants it). `probe` is shown the bytes
/// with the time right after their receive, before they are written.
///
/// # Errors
/// As [`Subscriber::receive`]; or `out` fails.
pub fn subscribe<W: Write>(
    subscriber: &mut Subscriber,
    out: &mut W,
    mut probe: Option<&mut ProbeReader>,
    until: Option<Instant>,
    stop: &AtomicBool,
) -> ClientResult<Received> {
    let mut received = Received::default();
    let datagrams = subscriber.is_datagram();
    while !stop.load(Ordering::Relaxed) {
        let event = subscriber.receive()?;
        let now = Clock::now();
        if until.is_some_and(|until| now >= until) {
            break;
        }
        let bytes = match event {
            Event::Bytes(bytes) => bytes,
            Event::Idle => continue,
            Event::End => {
                received.ended = true;
                break;
            }
        };
        if let Some(probe) = &mut probe {
            if datagrams {
                probe.handle_datagram(bytes, now);
            } else {
                probe.handle_bytes(bytes, now);
            }
        }
        received.bytes += bytes.len() as u64;
        received.receives += 1;
        received.first.get_or_insert(now);
        let written = out.write_all(bytes);
        written.map_err(|error| ClientError::io("write what was received", error))?;
    }
    let flushed = out.flush();
    flushed.map_err(|error| ClientError::io("write what was received", error))?;
    Ok(received)
}

/// Asks for the stream over HTTP.
fn get(target: &Target, options: &ClientOptions, stop: &AtomicBool) -> ClientResult<Kind> {
    let mut conn = Conn::open(target, options, stop)?;
    let head = http::request("GET", target, "");
    conn.write([head.as_bytes()], stop)?;
    let deadline = conn.stalls_at();
    let response = http::read_final(&mut conn, deadline, stop)?;
    match response.status {
        200 => Ok(Kind::Http(conn, response.body)),
        _ => Err(http::refused(&mut conn, response, stop)),
    }
}

/// Asks for the stream over WebSocket, RFC 6455 4.1.
fn upgrade(target: &Target, options: &ClientOptions, stop: &AtomicBool) -> ClientResult<Kind> {
    let mut conn = Conn::open(target, options, stop)?;
    let key = websocket::key([random(), random()]);
    let fields = format!(
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
    );
    let head = http::request("GET", target, &fields);
    conn.write([head.as_bytes()], stop)?;
    let deadline = conn.stalls_at();
    let response = http::read_final(&mut conn, deadline, stop)?;
    if response.status != 101 {
        return Err(http::refused(&mut conn, response, stop));
    }
    if response.accept != Some(accept(&key)) {
        let what = format!("{target}: Sec-WebSocket-Accept is not the answer to our key");
        return Err(ClientError::protocol(what));
    }
    Ok(Kind::Ws(conn, Box::default()))
}

fn receive_all(conn: &mut Conn) -> ClientResult<Event<'_>> {
    if conn.received().is_empty() {
        match conn.fill()? {
            Filled::Some => {}
            Filled::Nothing => return Ok(Event::Idle),
            Filled::End => return Ok(Event::End),
        }
    }
    let length = conn.received().len();
    Ok(Event::Bytes(conn.take(length)))
}

fn receive_body<'a>(conn: &'a mut Conn, body: &mut Body) -> ClientResult<Event<'a>> {
    if body.is_done() {
        return Ok(Event::End);
    }
    if conn.received().is_empty() {
        match conn.fill()? {
            Filled::Some => {}
            Filled::Nothing => return Ok(Event::Idle),
            Filled::End => {
                let what = format!("{}: closed in the middle of the body", conn.name());
                return Err(ClientError::protocol(what));
            }
        }
    }
    let Ok(decoded) = body.decode(conn.received()) else {
        let what = format!("{}: the chunked coding is broken", conn.name());
        return Err(ClientError::protocol(what));
    };
    Ok(match &conn.take(decoded.consumed)[..decoded.payload] {
        [] => Event::Idle,
        payload => Event::Bytes(payload),
    })
}

fn receive_message<'a>(conn: &mut Conn, messages: &'a mut Messages) -> ClientResult<Event<'a>> {
    loop {
        if conn.received().is_empty() {
            match conn.fill()? {
                Filled::Some => {}
                Filled::Nothing => return Ok(Event::Idle),
                Filled::End => return Ok(Event::End),
            }
        }
        let (taken, done) = messages.handle_bytes(conn.received())?;
        conn.take(taken);
        match done {
            None => {}
            Some(Incoming::Message) => return Ok(Event::Bytes(messages.message())),
            Some(Incoming::Close) => return Ok(Event::End),
            Some(Incoming::Ping) => {
                let pong = websocket::pong(messages.control(), mask());
                conn.write([&pong], &AtomicBool::new(false))?;
                return Ok(Event::Idle);
            }
        }
    }
}

/// The mask of a frame, RFC 6455 5.3.
fn mask() -> [u8; 4] {
    (random() as u32).to_be_bytes()
}
