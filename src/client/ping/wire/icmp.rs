//! ICMP echo.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use crate::base::Instant;
use crate::limits::DATAGRAM_MAX;
use crate::sys::clock::Clock;
use crate::sys::icmp::{IcmpDoor, IcmpSocket};
use crate::sys::stamps;

use super::{Heard, Numbers, Which, is_passing, twice};
use crate::client::ping::echo::{self, Shape};
use crate::client::ping::ledger::Receipt;
use crate::client::ping::payload::{self, Token};
use crate::client::ping::{PingError, Plan};

/// A packet of ours with an IPv4 header of its largest size in front.
const PACKET_MAX: usize = DATAGRAM_MAX + echo::HEADER + 60;

#[derive(Debug)]
pub(in crate::client::ping) struct Icmp {
    socket: IcmpSocket,
    token: Token,
    size: usize,
    numbers: Numbers,
    buffer: Box<[u8]>,
}

impl Icmp {
    pub(super) fn open(target: SocketAddr, token: Token, plan: &Plan) -> Result<Self, PingError> {
        let socket = IcmpSocket::open(target, token.0 as u16, plan.door);
        let socket = socket.map_err(PingError::icmp)?;
        // Without it a full buffer of ours passes for loss on the way.
        let _ = stamps::tell_drops(socket.as_fd());
        Ok(Self {
            numbers: Numbers::start(socket.as_fd(), 1, plan.stamps),
            socket,
            token,
            size: plan.size,
            buffer: vec![0; PACKET_MAX].into(),
        })
    }

    pub(super) fn describe(&self) -> String {
        match self.socket.door() {
            IcmpDoor::Raw => "raw socket".to_owned(),
            IcmpDoor::Datagram => "datagram socket".to_owned(),
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn send(&mut self, message: &mut [u8], sequence: u64) -> (Instant, io::Result<()>) {
        let Self { socket, numbers, token, .. } = self;
        echo::complete_request(message, socket.is_v6(), token.0 as u16, sequence as u16);
        numbers.sent(sequence);
        twice(|| socket.send(message), |next| numbers.restart(socket.as_fd(), next), sequence)
    }

    pub(super) fn hear(&mut self, heard: &mut VecDeque<Heard>) -> Result<(), PingError> {
        let received = stamps::receive(self.socket.as_fd(), &mut self.buffer);
        let now = Clock::now();
        let what = |error: io::Error| PingError::Io { what: "receive ICMP", error };
        let token = self.token;
        let which = |quoted: &[u8]| about(quoted, token);
        self.numbers.told(self.socket.as_fd(), which, heard).map_err(what)?;
        match received {
            Ok(Some(arrived)) => {
                heard.extend(arrived.drops.map(Heard::Dropped));
                let packet = self.buffer.get(..arrived.bytes).unwrap_or_default();
                heard.push_back(self.read(packet, now, &arrived));
                Ok(())
            }
            Err(error) if !is_passing(&error) => Err(what(error)),
            Ok(None) | Err(_) => Ok(()),
        }
    }

    fn read(&self, packet: &[u8], at: Instant, arrived: &stamps::Arrived) -> Heard {
        let shape = match (self.socket.is_v6(), self.socket.door()) {
            (true, _) => Shape::V6,
            (false, IcmpDoor::Raw) => Shape::RawV4,
            (false, IcmpDoor::Datagram) => Shape::V4,
        };
        let reply = echo::read_reply(packet, shape);
        let ours = reply
            .filter(|reply| reply.data.len() == self.size)
            .and_then(|reply| Some((reply, payload::read(reply.data, self.token)?)))
            .filter(|(reply, sequence)| reply.sequence == *sequence as u16);
        ours.map_or(Heard::Forged, |(reply, sequence)| Heard::Reply {
            sequence,
            receipt: Receipt { at, came: arrived.stamp, told: None },
            bytes: reply.data.len() + echo::HEADER,
            ttl: reply.ttl.or(arrived.ttl),
        })
    }
}

/// Which probe an ICMP error quotes: by all of its number, or where it quotes
/// the header alone by 16 bits.
fn about(quoted: &[u8], token: Token) -> Which {
    let whole = quoted.get(echo::HEADER..).and_then(|data| payload::read_head(data, token));
    let low = quoted.get(6..8).map(|two| u16::from_be_bytes([two[0], two[1]]));
    match (whole, low) {
        (Some(sequence), _) => Which::Probe(sequence),
        (None, Some(low)) => Which::EndsIn(low),
        (None, None) => Which::Oldest,
    }
}
