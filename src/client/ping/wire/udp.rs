//! Echo of UDP datagrams, RFC 862.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use crate::base::Instant;
use crate::limits::DATAGRAM_MAX;
use crate::sys::clock::Clock;
use crate::sys::stamps;

use super::{Heard, Numbers, Which, insist, is_passing, make_room};
use crate::client::ping::echo;
use crate::client::ping::ledger::Receipt;
use crate::client::ping::payload::{self, Token};
use crate::client::ping::{PingError, Plan};

#[derive(Debug)]
pub(in crate::client::ping) struct Udp {
    socket: UdpSocket,
    peer: SocketAddr,
    token: Token,
    size: usize,
    numbers: Numbers,
    buffer: Box<[u8]>,
}

impl Udp {
    pub(super) fn open(peer: SocketAddr, token: Token, plan: &Plan) -> Result<Self, PingError> {
        let socket =
            connected(peer).map_err(|error| PingError::connecting(peer, plan.wait, error))?;
        make_room(socket.as_fd());
        // Without these a full buffer of ours passes for loss on the way, and an
        // ICMP error for that of any probe.
        let _ = stamps::tell_drops(socket.as_fd());
        let _ = stamps::tell_errors(socket.as_fd(), peer.is_ipv6());
        Ok(Self {
            numbers: Numbers::start(socket.as_fd(), 1, plan.stamps),
            socket,
            peer,
            token,
            size: plan.size,
            buffer: vec![0; DATAGRAM_MAX].into(),
        })
    }

    pub(super) fn describe(&self) -> String {
        format!("echo, port {}", self.peer.port())
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn send(&mut self, message: &mut [u8], sequence: u64) -> (Instant, io::Result<()>) {
        let Self { socket, numbers, .. } = self;
        let data = message.get(echo::HEADER..).unwrap_or_default();
        numbers.sent(sequence);
        let send = || socket.send(data).map(|_| ());
        insist(send, |next| numbers.restart(socket.as_fd(), next), sequence)
    }

    pub(super) fn hear(&mut self, heard: &mut VecDeque<Heard>) -> Result<(), PingError> {
        let received = stamps::receive(self.socket.as_fd(), &mut self.buffer);
        let now = Clock::now();
        let what = |error: io::Error| PingError::Io { what: "receive UDP", error };
        let which = |quoted: &[u8]| {
            Some(payload::read_head(quoted, self.token).map_or(Which::Oldest, Which::Probe))
        };
        self.numbers.told(self.socket.as_fd(), which, heard).map_err(what)?;
        match received {
            Ok(Some(arrived)) => {
                heard.extend(arrived.drops.map(Heard::Dropped));
                let data = self.buffer.get(..arrived.bytes).unwrap_or_default();
                let ours = (data.len() == self.size).then(|| payload::read(data, self.token));
                heard.push_back(ours.flatten().map_or(Heard::Forged, |sequence| Heard::Reply {
                    sequence,
                    receipt: Receipt { at: now, came: arrived.stamp, told: None },
                    bytes: arrived.bytes,
                    ttl: arrived.ttl,
                }));
                Ok(())
            }
            Err(error) if !is_passing(&error) => Err(what(error)),
            Ok(None) | Err(_) => Ok(()),
        }
    }
}

/// A socket that sends there and hears from there alone; nothing is sent yet.
pub(super) fn connected(peer: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = if peer.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(peer)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
