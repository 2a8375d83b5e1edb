//! Publishes a stream: opens, sends frames, ends it properly. And the two
//! loops that most callers want: a file or a pipe by its own clock, and the
//! generated picture with probe stamps in it.

use super::conn::{ClientOptions, Conn, is_pause};
use super::error::{ClientError, ClientResult};
use super::hist::Hist;
use super::http;
use super::pace::{FramePacer, Pacing, Piece, Wait, sleep_until};
use super::picture::{Detail, Picture};
use super::probe::Stamp;
use super::target::{Scheme, Target};
use super::udp;
use crate::base::Instant;
use crate::limits::{CLIENT_BYTES, CLIENT_STOP, DATAGRAM_BYTES, DRAIN_TIME};
use crate::sys::clock::Clock;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a server may take to say 100 before the body is sent regardless
/// (RFC 9110 10.1.1); what it answers later is heeded all the same.
const CONTINUE_TIME: Duration = Duration::from_secs(1);

/// Longest size line of a chunk: the digits of 64 bits and CRLF.
const CHUNK_LINE: usize = 18;

/// An open publication.
pub struct Publisher {
    kind: Kind,
    /// When the peer was last asked whether it has had enough of us.
    looked: Instant,
}

enum Kind {
    Tcp(Conn),
    Udp(UdpSocket, Target),
    /// A chunked `PUT`.
    Http(Conn),
}

impl Publisher {
    /// Connects, and over HTTP makes the request and waits for leave to send
    /// the body.
    ///
    /// # Errors
    /// [`ClientError::Refused`] where an HTTP server says no: 409 if the name
    /// has a publisher. [`ClientError::Target`] for a `ws` target. Over TCP
    /// and UDP a server can't say no at once.
    pub fn open(target: &Target, options: &ClientOptions, stop: &AtomicBool) -> ClientResult<Self> {
        let kind = match target.scheme() {
            Scheme::Tcp => Kind::Tcp(Conn::open(target, options, stop)?),
            Scheme::Udp => Kind::Udp(udp::sender(target, options)?, target.clone()),
            Scheme::Http => Kind::Http(put(target, options, stop)?),
            Scheme::Ws => {
                let why = format!("{target}: a WebSocket subscribes; publish to http:// instead");
                return Err(ClientError::Target(why));
            }
        };
        Ok(Self { kind, looked: Clock::now() })
    }

    /// Sends the next bytes of the stream: over HTTP one chunk, over UDP
    /// datagrams of at most [`DATAGRAM_BYTES`].
    ///
    /// # Errors
    /// The peer ended it (an HTTP server's reason is given), took nothing for
    /// [`ClientOptions::stall`], or `stop` was set; how much was sent is then
    /// unknown.
    pub fn send(&mut self, bytes: &[u8], stop: &AtomicBool) -> ClientResult<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.look(stop)?;
        match &mut self.kind {
            Kind::Tcp(conn) => conn.write([bytes], stop),
            Kind::Udp(socket, target) => send_datagrams(socket, target, bytes, stop),
            Kind::Http(conn) => {
                let mut line = [0; CHUNK_LINE];
                let mut rest = &mut line[..];
                write!(rest, "{:x}\r\n", bytes.len()).expect("16 digits and CRLF fit");
                let length = CHUNK_LINE - rest.len();
                conn.write([&line[..length], bytes, b"\r\n"], stop)
                    .map_err(|error| explained(conn, error, stop))
            }
        }
    }

    /// Ends the stream: over HTTP the last chunk and the server's answer, over
    /// TCP the end of our half and the server's. Takes two seconds at most.
    ///
    /// # Errors
    /// An HTTP server doesn't confirm.
    pub fn finish(self) -> ClientResult<()> {
        let never = AtomicBool::new(false);
        let deadline = Clock::now() + DRAIN_TIME;
        match self.kind {
            Kind::Udp(..) => Ok(()),
            Kind::Tcp(mut conn) => {
                conn.shut_write()?;
                // The server's end shows that it has read all. One that says
                // nothing is left alone: the kernel delivers what is queued.
                while let Ok(true) = conn.fill_by(deadline, "", &never) {
                    let length = conn.received().len();
                    conn.take(length);
                }
                Ok(())
            }
            Kind::Http(mut conn) => {
                let written = conn.write([b"0\r\n\r\n"], &never);
                written.map_err(|error| explained(&mut conn, error, &never))?;
                let response = http::read_final(&mut conn, deadline, &never)?;
                match response.status {
                    200..=299 => Ok(()),
                    _ => Err(http::refused(&mut conn, response, &never)),
                }
            }
        }
    }

    /// Now and then: a server that says something or closes while we send
    /// wants us to end.
    fn look(&mut self, stop: &AtomicBool) -> ClientResult<()> {
        let now = Clock::now();
        if now.since(self.looked) < CLIENT_STOP {
            return Ok(());
        }
        self.looked = now;
        match &mut self.kind {
            Kind::Tcp(conn) if conn.is_readable()? => Err(ended(conn)),
            Kind::Http(conn) if conn.is_readable()? => {
                match http::read_response(conn, now + CLIENT_STOP, stop) {
                    // The leave to send that `open` did not wait for.
                    Ok(response) if response.status < 200 => Ok(()),
                    Ok(response) => Err(http::refused(conn, response, stop)),
                    Err(ClientError::Stopped) => Err(ClientError::Stopped),
                    Err(_) => Err(ended(conn)),
                }
            }
            Kind::Tcp(_) | Kind::Http(_) | Kind::Udp(..) => Ok(()),
        }
    }
}

/// For socket options that may be set on an open socket.
impl AsFd for Publisher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.kind {
            Kind::Tcp(conn) | Kind::Http(conn) => conn.stream().as_fd(),
            Kind::Udp(socket, _) => socket.as_fd(),
        }
    }
}

/// What was published.
#[derive(Clone, Default)]
pub struct Published {
    /// Payload bytes.
    pub bytes: u64,
    /// Pieces or frames.
    pub sends: u64,
    /// How long after its due time each send began: the sender's own delay.
    pub late: Hist,
}

/// Publishes all that `source` has, paced. The stream is left open: call
/// [`Publisher::finish`]. A source that answers `WouldBlock` (see
/// [`Feed`](super::Feed)) is asked again.
///
/// # Errors
/// As [`Publisher::send`]; or `source` fails. `stop` is no error here: it ends
/// the publishing as the source's end does.
pub fn publish_reader<R: Read>(
    publisher: &mut Publisher,
    source: &mut R,
    pacing: Pacing,
    wait: Wait,
    stop: &AtomicBool,
) -> ClientResult<Published> {
    let mut published = Published::default();
    let mut pacer = pacing.start();
    let mut input = Input::new(source);
    let mut start = None;
    while !stop.load(Ordering::Relaxed) {
        match pacer.next(input.buffered(), input.end) {
            Piece::More if input.end => break,
            Piece::More => input.fill()?,
            Piece::Send { bytes, at } => {
                // The clock of the stream starts when its first bytes are here.
                let start = *start.get_or_insert_with(Clock::now);
                let piece = &input.buffered()[..bytes];
                if !paced_send(publisher, piece, (start, at), wait, &mut published, stop)? {
                    break;
                }
                input.start += bytes;
            }
        }
    }
    Ok(published)
}

/// How [`publish_picture`] goes about it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Show {
    /// How much of the picture each frame sends.
    pub detail: Detail,
    /// Milliseconds on the picture's clock at frame 0: 0 shows how long it
    /// runs, the time of day makes it a wall clock.
    pub clock_ms: u64,
    /// Ends after so many frames; `None`: when `stop` is set.
    pub frames: Option<u64>,
    /// Ends each frame with a stamp of this token; `None`: no stamps.
    pub token: Option<u64>,
    /// How to wait for the time of a frame.
    pub wait: Wait,
}

impl Default for Show {
    fn default() -> Self {
        Self { detail: Detail::Full, clock_ms: 0, frames: None, token: None, wait: Wait::Sleep }
    }
}

/// Publishes the generated picture, a frame every 40 ms. The stream is left
/// open: call [`Publisher::finish`].
///
/// # Errors
/// As [`Publisher::send`]; `stop` is no error here.
pub fn publish_picture(
    publisher: &mut Publisher,
    show: &Show,
    stop: &AtomicBool,
) -> ClientResult<Published> {
    let mut published = Published::default();
    let mut picture = Picture::new(show.detail);
    let mut pacer = FramePacer::new(Picture::FRAME_TIME);
    let mut bytes = Vec::with_capacity(CLIENT_BYTES);
    let start = Clock::now();
    loop {
        let (frame, at) = pacer.due();
        if show.frames.is_some_and(|frames| frame >= frames) {
            return Ok(published);
        }
        // Drawn ahead of its time, so that drawing is not in its latency.
        bytes.clear();
        let clock = show.clock_ms + at.as_millis() as u64;
        picture.frame(frame, clock, &mut bytes);
        let intended = start + at;
        if !sleep_until(intended, show.wait, stop) {
            return Ok(published);
        }
        let sent = Clock::now();
        if let Some(token) = show.token {
            let stamp = Stamp { token, seq: frame, intended, sent };
            stamp.write_ts(&mut bytes);
        }
        if !unless_stopped(publisher.send(&bytes, stop))? {
            return Ok(published);
        }
        published.count(bytes.len(), sent.since(intended));
    }
}

impl Published {
    fn count(&mut self, bytes: usize, late: Duration) {
        self.bytes += bytes as u64;
        self.sends += 1;
        self.late.record(late);
    }
}

/// Sends a piece when it is due; false if `stop` came first.
fn paced_send(
    publisher: &mut Publisher,
    piece: &[u8],
    (start, at): (Instant, Duration),
    wait: Wait,
    published: &mut Published,
    stop: &AtomicBool,
) -> ClientResult<bool> {
    let due = start + at;
    if !sleep_until(due, wait, stop) {
        return Ok(false);
    }
    let sent = Clock::now();
    if !unless_stopped(publisher.send(piece, stop))? {
        return Ok(false);
    }
    published.count(piece.len(), sent.since(due));
    Ok(true)
}

/// True when done, false when stopped.
fn unless_stopped(outcome: ClientResult<()>) -> ClientResult<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(ClientError::Stopped) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What was read and not sent yet.
struct Input<'a, R> {
    source: &'a mut R,
    buffer: Vec<u8>,
    start: usize,
    end: bool,
}

impl<'a, R: Read> Input<'a, R> {
    const fn new(source: &'a mut R) -> Self {
        Self { source, buffer: Vec::new(), start: 0, end: false }
    }

    fn buffered(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Reads once, behind what is there.
    fn fill(&mut self) -> ClientResult<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let length = self.buffer.len();
        self.buffer.resize(length + CLIENT_BYTES, 0);
        let read = self.source.read(&mut self.buffer[length..]);
        self.buffer.truncate(length + read.as_ref().map_or(0, |&bytes| bytes));
        match read {
            Ok(bytes) => self.end = bytes == 0,
            Err(error) if is_pause(&error) => {}
            Err(error) => return Err(ClientError::io("read what is to be published", error)),
        }
        Ok(())
    }
}

/// Makes the request and waits for leave to send the body.
fn put(target: &Target, options: &ClientOptions, stop: &AtomicBool) -> ClientResult<Conn> {
    let mut conn = Conn::open(target, options, stop)?;
    let fields = "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n";
    let head = http::request("PUT", target, fields);
    conn.write([head.as_bytes()], stop)?;
    let deadline = Clock::now() + CONTINUE_TIME;
    match http::read_response(&mut conn, deadline, stop) {
        Ok(response) if response.status < 200 => Ok(conn),
        Ok(response) => Err(http::refused(&mut conn, response, stop)),
        Err(ClientError::Timeout { .. }) => Ok(conn),
        Err(error) => Err(error),
    }
}

/// Why an HTTP server ended it, if it said so; else `error`.
fn explained(conn: &mut Conn, error: ClientError, stop: &AtomicBool) -> ClientError {
    if matches!(error, ClientError::Stopped) {
        return error;
    }
    match http::read_final(conn, Clock::now() + CLIENT_STOP, stop) {
        Ok(response) => http::refused(conn, response, stop),
        Err(_) => error,
    }
}

/// The server closed, or spoke where it has nothing to say.
fn ended(conn: &Conn) -> ClientError {
    let why = "the server ended the stream: its name may have another publisher";
    conn.failed("send", std::io::Error::new(std::io::ErrorKind::ConnectionAborted, why))
}

/// Cuts into datagrams. A full socket is waited for.
fn send_datagrams(
    socket: &UdpSocket,
    target: &Target,
    bytes: &[u8],
    stop: &AtomicBool,
) -> ClientResult<()> {
    for datagram in bytes.chunks(DATAGRAM_BYTES) {
        while let Err(error) = socket.send(datagram) {
            if !is_pause(&error) {
                return Err(ClientError::io(format!("{target}: send"), error));
            }
            if stop.load(Ordering::Relaxed) {
                return Err(ClientError::Stopped);
            }
        }
    }
    Ok(())
}
