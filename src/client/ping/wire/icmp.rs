//! ICMP echo.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use crate::base::Instant;
use crate::limits::{DATAGRAM_MAX, PROBE_BYTES};
use crate::sys::clock::Clock;
use crate::sys::icmp::{IcmpDoor, IcmpSocket};
use crate::sys::stamps;

use super::{Heard, Numbers, Which, insist, is_passing, make_room};
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
        make_room(socket.as_fd());
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
        insist(|| socket.send(message), |next| numbers.restart(socket.as_fd(), next), sequence)
    }

    pub(super) fn hear(&mut self, heard: &mut VecDeque<Heard>) -> Result<(), PingError> {
        let received = stamps::receive(self.socket.as_fd(), &mut self.buffer);
        let now = Clock::now();
        let what = |error: io::Error| PingError::Io { what: "receive ICMP", error };
        // A datagram socket hears of its own requests alone.
        let identifier = match self.socket.door() {
            IcmpDoor::Raw => Some(self.token.0 as u16),
            IcmpDoor::Datagram => None,
        };
        let which = |quoted: &[u8]| about(quoted, self.token, identifier);
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

/// Which probe of ours an ICMP error quotes: by all of its number, or where it
/// quotes the header alone by 16 bits. A raw socket hears of everybody's requests
/// to its target: `None` is somebody else's.
fn about(quoted: &[u8], token: Token, identifier: Option<u16>) -> Option<Which> {
    let (header, data) = quoted.split_at_checked(echo::HEADER).unwrap_or((quoted, &[]));
    let number = |at: usize| {
        let two = header.get(at..at + 2)?;
        Some(u16::from_be_bytes([two[0], two[1]]))
    };
    if identifier.is_some_and(|ours| number(4) != Some(ours)) {
        return None;
    }
    if data.len() >= PROBE_BYTES {
        return payload::read_head(data, token).map(Which::Probe);
    }
    number(6).map(Which::EndsIn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_about_somebody_elses_request_is_not_ours() {
        let mut request = [0; echo::HEADER + PROBE_BYTES];
        payload::prepare(&mut request[echo::HEADER..], Token(0x8000_0000_0000_1234));
        payload::number(&mut request[echo::HEADER..], 0x1_0007);
        echo::complete_request(&mut request, false, 0x1234, 7);
        let about =
            |length: usize, token, identifier| about(&request[..length], Token(token), identifier);
        let (ours, theirs) = (0x8000_0000_0000_1234, 0x8000_0000_0001_1234);
        let raw = Some(0x1234);
        assert_eq!(about(24, ours, raw), Some(Which::Probe(0x1_0007)));
        assert_eq!(about(24, ours, None), Some(Which::Probe(0x1_0007)));
        assert_eq!(about(24, theirs, raw), None);
        assert_eq!(about(8, ours, raw), Some(Which::EndsIn(7)));
        assert_eq!(about(8, ours, Some(0x1235)), None);
        assert_eq!((about(4, ours, raw), about(4, ours, None)), (None, None));
    }
}
