//! A TCP connection of a blocking client: every wait has an end, and `stop`
//! is looked at every [`CLIENT_STOP`].

use super::error::{ClientError, ClientResult};
use super::target::Target;
use crate::base::Instant;
use crate::limits::{CLIENT_BYTES, CLIENT_STALL, CLIENT_STOP};
use crate::sys::clock::Clock;
use crate::sys::poll::Poll;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How a client's socket is set up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientOptions {
    /// TCP_NODELAY: send small frames at once. On unless turned off.
    pub nodelay: bool,
    /// SO_RCVBUF in bytes, set before connecting; `None` leaves it to the
    /// kernel. The kernel doubles what it is given and bounds it silently.
    pub rcvbuf: Option<usize>,
    /// SO_SNDBUF in bytes, likewise.
    pub sndbuf: Option<usize>,
    /// A peer that cannot be reached, answers nothing or takes no byte for
    /// this long has failed.
    pub stall: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { nodelay: true, rcvbuf: None, sndbuf: None, stall: CLIENT_STALL }
    }
}

impl ClientOptions {
    /// Sets the buffers of a socket that is neither bound nor connected.
    pub(super) fn apply(&self, socket: &Socket, target: &Target) -> ClientResult<()> {
        let failed = |option: &str, source| ClientError::io(format!("{target}: {option}"), source);
        if let Some(bytes) = self.rcvbuf {
            let set = socket.set_recv_buffer_size(bytes);
            set.map_err(|source| failed("SO_RCVBUF", source))?;
        }
        if let Some(bytes) = self.sndbuf {
            let set = socket.set_send_buffer_size(bytes);
            set.map_err(|source| failed("SO_SNDBUF", source))?;
        }
        Ok(())
    }
}

/// A connection, and the bytes received that nobody has taken yet.
pub(super) struct Conn {
    stream: TcpStream,
    /// The URL, for errors.
    name: String,
    stall: Duration,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// What a look at the socket found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// Bytes came.
    Some,
    /// Nothing for [`CLIENT_STOP`].
    Nothing,
    /// The peer will send no more.
    End,
}

impl Conn {
    /// Connects to the first address of `target` that answers.
    pub(super) fn open(
        target: &Target,
        options: &ClientOptions,
        stop: &AtomicBool,
    ) -> ClientResult<Self> {
        let mut last = ClientError::Target(format!("{target}: no address"));
        for addr in target.addrs()? {
            match connect(target, addr, options, stop) {
                Ok(stream) => {
                    return Ok(Self {
                        stream,
                        name: target.to_string(),
                        stall: options.stall,
                        buffer: vec![0; CLIENT_BYTES],
                        start: 0,
                        end: 0,
                    });
                }
                Err(ClientError::Stopped) => return Err(ClientError::Stopped),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    pub(super) const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Bytes received and not taken.
    pub(super) fn received(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.end]
    }

    /// Takes bytes off the front of [`Self::received`].
    pub(super) fn take(&mut self, bytes: usize) -> &[u8] {
        let at = self.start;
        self.start += bytes;
        &self.buffer[at..self.start]
    }

    /// Receives once, behind what is there. The caller takes enough that the
    /// buffer never is full of what it waits to have more of.
    pub(super) fn fill(&mut self) -> ClientResult<Filled> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        match self.stream.read(&mut self.buffer[self.end..]) {
            Ok(0) => Ok(Filled::End),
            Ok(bytes) => {
                self.end += bytes;
                Ok(Filled::Some)
            }
            Err(error) if is_pause(&error) => Ok(Filled::Nothing),
            Err(error) => Err(self.failed("receive", error)),
        }
    }

    /// Waits until more bytes are there, or the peer's end: `false`.
    pub(super) fn fill_by(
        &mut self,
        deadline: Instant,
        awaited: &str,
        stop: &AtomicBool,
    ) -> ClientResult<bool> {
        loop {
            match self.fill()? {
                Filled::Some => return Ok(true),
                Filled::End => return Ok(false),
                Filled::Nothing => {}
            }
            if stop.load(Ordering::Relaxed) {
                return Err(ClientError::Stopped);
            }
            if Clock::now() >= deadline {
                return Err(self.timeout(awaited));
            }
        }
    }

    /// Writes all of all parts, with as few calls as the socket allows. After
    /// an error, how much has gone is unknown.
    pub(super) fn write<const N: usize>(
        &mut self,
        parts: [&[u8]; N],
        stop: &AtomicBool,
    ) -> ClientResult<()> {
        let mut slices = parts.map(IoSlice::new);
        let mut left = &mut slices[..];
        // Taken up to the first byte, so that empty parts are not waited for.
        IoSlice::advance_slices(&mut left, 0);
        let mut moved_at = None;
        while !left.is_empty() {
            match self.stream.write_vectored(left) {
                Ok(0) => return Err(self.failed("send", ErrorKind::WriteZero.into())),
                Ok(bytes) => {
                    IoSlice::advance_slices(&mut left, bytes);
                    moved_at = None;
                }
                Err(error) if is_pause(&error) => {
                    if stop.load(Ordering::Relaxed) {
                        return Err(ClientError::Stopped);
                    }
                    let now = Clock::now();
                    let since = *moved_at.get_or_insert(now);
                    if now.since(since) >= self.stall {
                        return Err(self.timeout("send"));
                    }
                }
                Err(error) => return Err(self.failed("send", error)),
            }
        }
        Ok(())
    }

    /// Whether the peer has sent something that nobody took, or closed; does
    /// not wait.
    pub(super) fn is_readable(&self) -> ClientResult<bool> {
        if self.start < self.end {
            return Ok(true);
        }
        let failed = |error| self.failed("receive", error);
        self.stream.set_nonblocking(true).map_err(failed)?;
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).map_err(failed)?;
        match peeked {
            Ok(_) => Ok(true),
            Err(error) if is_pause(&error) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    /// Says that no more will be sent.
    pub(super) fn shut_write(&self) -> ClientResult<()> {
        let done = self.stream.shutdown(Shutdown::Write);
        done.map_err(|error| self.failed("shutdown", error))
    }

    pub(super) fn stalls_at(&self) -> Instant {
        Clock::now() + self.stall
    }

    pub(super) fn failed(&self, what: &str, source: io::Error) -> ClientError {
        ClientError::io(format!("{}: {what}", self.name), source)
    }

    pub(super) fn timeout(&self, what: &str) -> ClientError {
        ClientError::Timeout { what: format!("{}: {what}", self.name), after: self.stall }
    }
}

/// The socket's time-out, or a signal.
pub(super) fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Connects without blocking, so that `stop` ends it.
fn connect(
    target: &Target,
    addr: SocketAddr,
    options: &ClientOptions,
    stop: &AtomicBool,
) -> ClientResult<TcpStream> {
    let failed = |source| ClientError::io(format!("connect to {target} ({addr})"), source);
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))
        .map_err(failed)?;
    options.apply(&socket, target)?;
    socket.set_nonblocking(true).map_err(failed)?;
    let start = Clock::now();
    let mut poll = Poll::with_room(1);
    // Asked again, connect(2) tells how the attempt fares: EALREADY while it
    // lasts, then EISCONN or success, or the reason of its failure.
    while let Err(error) = socket.connect(&addr.into()) {
        match error.raw_os_error() {
            Some(libc::EISCONN) => break,
            Some(libc::EINPROGRESS | libc::EALREADY | libc::EINTR) => {}
            _ => return Err(failed(error)),
        }
        if stop.load(Ordering::Relaxed) {
            return Err(ClientError::Stopped);
        }
        if Clock::now().since(start) >= options.stall {
            return Err(ClientError::Timeout {
                what: format!("connect to {target} ({addr})"),
                after: options.stall,
            });
        }
        // Woken at once, for what it takes is measured.
        poll.clear();
        poll.write(socket.as_fd());
        poll.wait(CLIENT_STOP).map_err(failed)?;
    }
    socket.set_nonblocking(false).map_err(failed)?;
    socket.set_tcp_nodelay(options.nodelay).map_err(failed)?;
    socket.set_read_timeout(Some(CLIENT_STOP)).map_err(failed)?;
    socket.set_write_timeout(Some(CLIENT_STOP)).map_err(failed)?;
    Ok(socket.into())
}
