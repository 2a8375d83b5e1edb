//! How long it takes to make a TCP connection: one for each probe, from the
//! call that sends the first packet to the one that finds it made.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::base::Instant;
use crate::limits::{PING_CONNECTS, PING_GOODBYES};
use crate::sys::clock::Clock;
use crate::sys::poll::Poll;
use crate::sys::stamps;

use super::{Heard, Which, Why, udp};
use crate::client::ping::ledger::Receipt;
use crate::client::ping::{PingError, Plan};

#[derive(Debug)]
pub(in crate::client::ping) struct Connect {
    peer: SocketAddr,
    address: SockAddr,
    /// Those that are being made.
    waiting: Vec<Attempt>,
    /// An attempt is let go after this long.
    patience: Duration,
    resets: bool,
    stamps: bool,
}

#[derive(Debug)]
struct Attempt {
    sequence: u64,
    sent: Instant,
    socket: Socket,
}

impl Connect {
    /// Nothing is sent before the first probe; but a target that this host has no
    /// route to is told at once, and not once for each.
    pub(super) fn open(peer: SocketAddr, plan: &Plan) -> Result<Self, PingError> {
        udp::connected(peer).map_err(|error| PingError::connecting(peer, plan.wait, error))?;
        Ok(Self {
            peer,
            address: peer.into(),
            waiting: Vec::with_capacity(PING_CONNECTS),
            // Twice, so that one that is late is still heard of.
            patience: plan.wait * 2,
            resets: plan.interval < Duration::from_secs(1) / PING_GOODBYES,
            stamps: plan.stamps,
        })
    }

    pub(super) fn describe(&self) -> String {
        format!("connect, port {}", self.peer.port())
    }

    pub(super) fn watch(&self, poll: &mut Poll) {
        for attempt in &self.waiting {
            poll.write(attempt.socket.as_fd());
        }
    }

    pub(super) fn send(&mut self, sequence: u64) -> (Instant, io::Result<()>) {
        let now = Clock::now();
        let patience = self.patience;
        self.waiting.retain(|attempt| now.since(attempt.sent) <= patience);
        if self.waiting.len() == PING_CONNECTS {
            // Those that are lost already make room for those that may not be.
            self.waiting.retain(|attempt| now.since(attempt.sent) <= patience / 2);
        }
        if self.waiting.len() == PING_CONNECTS {
            let why = "too many connections are being made at once; use a longer interval";
            return (now, Err(io::Error::other(why)));
        }
        let socket = match self.socket() {
            Ok(socket) => socket,
            Err(error) => return (now, Err(error)),
        };
        let sent = Clock::now();
        match socket.connect(&self.address) {
            Err(error) if !is_under_way(&error) => (sent, Err(error)),
            Ok(()) | Err(_) => {
                self.waiting.push(Attempt { sequence, sent, socket });
                (sent, Ok(()))
            }
        }
    }

    fn socket(&self) -> io::Result<Socket> {
        let domain = Domain::for_address(self.peer);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        if self.resets {
            socket.set_linger(Some(Duration::ZERO))?;
        }
        Ok(socket)
    }

    pub(super) fn hear(&mut self, heard: &mut VecDeque<Heard>) {
        let Self { address, waiting, peer, stamps, .. } = self;
        waiting.retain(|attempt| {
            // Asked again, connect(2) tells how the attempt fares: EALREADY
            // while it lasts, then EISCONN or success, or why it failed.
            let outcome = attempt.socket.connect(address);
            let now = Clock::now();
            match outcome {
                Err(error) if is_under_way(&error) => return true,
                Err(error) if error.raw_os_error() != Some(libc::EISCONN) => {
                    heard.push_back(refusal(attempt.sequence, *peer, &error));
                }
                Ok(()) | Err(_) => heard.push_back(made(attempt, now, *stamps)),
            }
            false
        });
    }
}

/// A connection that is made. What the network took is the handshake's time as
/// the kernel has it: in whole microseconds, so rounded down.
fn made(attempt: &Attempt, at: Instant, stamps: bool) -> Heard {
    let micros = stamps.then(|| stamps::handshake_micros(attempt.socket.as_fd()).ok().flatten());
    let told = micros.flatten().map(|micros| Duration::from_micros(u64::from(micros)));
    let receipt = Receipt { at, came: None, told: told.filter(|told| !told.is_zero()) };
    Heard::Reply { sequence: attempt.sequence, receipt, bytes: 0, ttl: None }
}

fn refusal(sequence: u64, peer: SocketAddr, error: &io::Error) -> Heard {
    let refused = error.kind() == io::ErrorKind::ConnectionRefused;
    let why = Why::Errno(error.raw_os_error().unwrap_or(libc::EIO));
    Heard::Trouble { which: Which::Probe(sequence), from: refused.then_some(peer.ip()), why }
}

fn is_under_way(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EALREADY | libc::EINTR))
}
