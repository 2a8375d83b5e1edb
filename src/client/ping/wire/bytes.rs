//! Probes in a byte stream: echoed on the connection they were sent on, or
//! published on one and subscribed to on another.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;

use crate::base::Instant;
use crate::limits::{PING_BACKLOG, PROBE_BYTES};
use crate::sys::clock::{Clock, Stamp};
use crate::sys::poll::Poll;
use crate::sys::stamps;

use super::{Heard, Numbers, Which, is_passing};
use crate::client::ping::echo;
use crate::client::ping::ledger::Receipt;
use crate::client::ping::payload::{self, Token};
use crate::client::ping::{PingError, Plan};

/// Probes that may wait for room, however large they are.
const BACKLOG: usize = 16;

#[derive(Debug)]
pub(in crate::client::ping) struct Bytes {
    there: TcpStream,
    /// Where they come back, if not where they went.
    back: Option<TcpStream>,
    peer: SocketAddr,
    token: Token,
    /// Bytes that the kernel had no room for yet.
    unsent: Vec<u8>,
    /// The probe that is coming back, and how much of it is here.
    buffer: Box<[u8]>,
    filled: usize,
    numbers: Numbers,
}

impl Bytes {
    pub(super) fn echo(peer: SocketAddr, token: Token, plan: &Plan) -> Result<Self, PingError> {
        Self::open(connected(peer, plan)?, None, peer, token, plan)
    }

    /// The subscriber connects first: who waits for a stream gets all of it.
    pub(super) fn relay(
        publish: SocketAddr,
        subscribe: SocketAddr,
        token: Token,
        plan: &Plan,
    ) -> Result<Self, PingError> {
        let back = connected(subscribe, plan)?;
        if plan.stamps {
            // Its receipts are stamped as those of an echo are, if they can be.
            let _ = stamps::stamp(back.as_fd());
        }
        Self::open(connected(publish, plan)?, Some(back), subscribe, token, plan)
    }

    fn open(
        there: TcpStream,
        back: Option<TcpStream>,
        peer: SocketAddr,
        token: Token,
        plan: &Plan,
    ) -> Result<Self, PingError> {
        Ok(Self {
            numbers: Numbers::start(there.as_fd(), plan.size, plan.stamps),
            there,
            back,
            peer,
            token,
            unsent: Vec::with_capacity(2 * plan.size),
            buffer: vec![0; plan.size].into(),
            filled: 0,
        })
    }

    pub(super) fn describe(&self) -> String {
        match &self.back {
            None => format!("echo, port {}", self.peer.port()),
            Some(_) => {
                let publish = self.there.peer_addr().map_or(0, |there| there.port());
                format!("published to port {publish}, subscribed to {}", self.peer.port())
            }
        }
    }

    fn most_unsent(&self) -> usize {
        PING_BACKLOG.max(BACKLOG * self.buffer.len())
    }

    fn back(&self) -> &TcpStream {
        self.back.as_ref().unwrap_or(&self.there)
    }

    pub(super) fn watch(&self, poll: &mut Poll) {
        // What a publisher is told stays unread, and must not wake anybody.
        poll.read(self.back().as_fd());
    }

    pub(super) fn send(&mut self, message: &mut [u8], sequence: u64) -> (Instant, io::Result<()>) {
        self.unsent.extend_from_slice(message.get(echo::HEADER..).unwrap_or_default());
        self.numbers.sent(sequence);
        let most = self.most_unsent();
        let now = Clock::now();
        (now, write_some(&self.there, &mut self.unsent, most))
    }

    pub(super) fn hear(&mut self, heard: &mut VecDeque<Heard>) -> Result<(), PingError> {
        if !self.unsent.is_empty() {
            let most = self.most_unsent();
            let written = write_some(&self.there, &mut self.unsent, most);
            written.map_err(|error| PingError::writing(self.peer, &error))?;
        }
        let back = self.back.as_ref().unwrap_or(&self.there);
        let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let received = stamps::receive(back.as_fd(), room);
        let now = Clock::now();
        // Error queues tell of no more than stamps here.
        let _ = self.numbers.told(self.there.as_fd(), |_| Some(Which::Oldest), heard);
        let arrived = match received {
            Ok(Some(arrived)) if arrived.bytes == 0 => return Err(PingError::Closed(self.peer)),
            Ok(Some(arrived)) => arrived,
            Ok(None) => return self.publisher_lives(),
            Err(error) if is_passing(&error) => return Ok(()),
            Err(_) => return Err(PingError::Closed(self.peer)),
        };
        self.filled += arrived.bytes;
        self.complete(now, arrived.stamp, heard)
    }

    /// A server that refuses to take a stream closes its connection.
    fn publisher_lives(&self) -> Result<(), PingError> {
        if self.back.is_none() {
            return Ok(());
        }
        let closed = matches!(self.there.peek(&mut [0]), Ok(0));
        if closed { Err(PingError::NoPublisher(peer_of(&self.there))) } else { Ok(()) }
    }

    /// Reads the probe once it is whole.
    fn complete(
        &mut self,
        at: Instant,
        came: Option<Stamp>,
        heard: &mut VecDeque<Heard>,
    ) -> Result<(), PingError> {
        let here = self.buffer.get(..self.filled).unwrap_or_default();
        let ours = here.len() < PROBE_BYTES || payload::read_head(here, self.token).is_some();
        if !ours && self.back.is_none() {
            return Err(PingError::NotEcho(self.peer));
        }
        if !ours {
            // Somebody else's bytes, or the end of a probe: begin with the next.
            heard.push_back(Heard::Forged);
            let begin = payload::find(here, self.token).unwrap_or(here.len());
            self.buffer.copy_within(begin..self.filled, 0);
            self.filled -= begin;
            return Ok(());
        }
        if self.filled < self.buffer.len() {
            return Ok(());
        }
        self.filled = 0;
        let receipt = Receipt { at, came, told: None };
        heard
            .push_back(payload::read(&self.buffer, self.token).map_or(Heard::Forged, |sequence| {
                Heard::Reply { sequence, receipt, bytes: self.buffer.len(), ttl: None }
            }));
        Ok(())
    }
}

fn peer_of(stream: &TcpStream) -> SocketAddr {
    stream.peer_addr().unwrap_or_else(|_| ([0; 4], 0).into())
}

pub(super) fn connected(peer: SocketAddr, plan: &Plan) -> Result<TcpStream, PingError> {
    let connect = || {
        let stream = TcpStream::connect_timeout(&peer, plan.wait)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    };
    connect().map_err(|error| PingError::connecting(peer, plan.wait, error))
}

/// Writes what the kernel takes. More than `most` bytes left over is
/// [`io::ErrorKind::OutOfMemory`].
pub(super) fn write_some(
    mut stream: &TcpStream,
    unsent: &mut Vec<u8>,
    most: usize,
) -> io::Result<()> {
    let mut done = 0;
    let result = loop {
        let rest = unsent.get(done..).unwrap_or_default();
        if rest.is_empty() {
            break Ok(());
        }
        match stream.write(rest) {
            Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => done += written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                break if rest.len() > most {
                    Err(io::ErrorKind::OutOfMemory.into())
                } else {
                    Ok(())
                };
            }
            Err(error) => break Err(error),
        }
    };
    unsent.drain(..done);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_is_that_of_the_way_back() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = listener.local_addr().unwrap();
        let plan = Plan::new(Vec::new());
        let echo = Bytes::echo(peer, Token::random(), &plan).unwrap();
        assert_eq!(fd(echo.back()), fd(&echo.there));
        let relay = Bytes::relay(peer, peer, Token::random(), &plan).unwrap();
        assert_ne!(fd(relay.back()), fd(&relay.there));
    }

    fn fd(stream: &TcpStream) -> i32 {
        use std::os::fd::AsRawFd;
        stream.as_fd().as_raw_fd()
    }
}
