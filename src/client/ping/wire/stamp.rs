//! STAMP (RFC 8762): probes to a reflector that says when it had them and when
//! it answered, so that the ways there and back can be told apart.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::base::Instant;
use crate::limits::{DATAGRAM_MAX, PING_RECORDS};
use crate::sys::clock::Clock;
use crate::sys::stamps;

use super::udp::connected;
use super::{Heard, Numbers, Which, insist, is_passing, make_room};
use crate::client::ping::ledger::Receipt;
use crate::client::ping::oneway::{Stamps, one_way};
use crate::client::ping::stamp::{Losses, Reflection, Sender};
use crate::client::ping::{PingError, Plan, Reflected};

#[derive(Debug)]
pub(in crate::client::ping) struct Stamp {
    socket: UdpSocket,
    peer: SocketAddr,
    sender: Sender,
    losses: Losses,
    /// The first reply in time to each probe that counts; of a long run no more
    /// than are kept of other probes.
    replies: Vec<Option<Stamps>>,
    warm_up: u64,
    wait: Duration,
    /// How far the clock of the kernel's stamps, T1 and T4 is ahead of ours.
    lead: u64,
    numbers: Numbers,
    buffer: Box<[u8]>,
}

impl Stamp {
    pub(super) fn open(peer: SocketAddr, plan: &Plan) -> Result<Self, PingError> {
        let socket =
            connected(peer).map_err(|error| PingError::connecting(peer, plan.wait, error))?;
        // Without these a full buffer of ours passes for loss on the way, and
        // an ICMP error is not told.
        let _ = stamps::tell_drops(socket.as_fd());
        let _ = stamps::tell_errors(socket.as_fd(), peer.is_ipv6());
        make_room(socket.as_fd());
        let probes = plan.probes().and_then(|probes| usize::try_from(probes).ok());
        let room = probes.map_or(PING_RECORDS, |probes| probes.min(PING_RECORDS));
        Ok(Self {
            numbers: Numbers::start(socket.as_fd(), 1, plan.stamps),
            socket,
            peer,
            sender: Sender::new(plan.size),
            losses: Losses::default(),
            replies: vec![None; room],
            warm_up: plan.warm_up,
            wait: plan.wait,
            lead: Clock::lead(),
            buffer: vec![0; DATAGRAM_MAX].into(),
        })
    }

    pub(super) fn describe(&self) -> String {
        format!("STAMP, port {}", self.peer.port())
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn send(&mut self, sequence: u64) -> (Instant, io::Result<()>) {
        let Self { socket, numbers, sender, lead, .. } = self;
        let packet = sender.probe(Clock::now().as_nanos() + *lead);
        numbers.sent(sequence);
        let send = || socket.send(packet).map(|_| ());
        insist(send, |next| numbers.restart(socket.as_fd(), next), sequence)
    }

    pub(super) fn hear(&mut self, heard: &mut VecDeque<Heard>) -> Result<(), PingError> {
        let received = stamps::receive(self.socket.as_fd(), &mut self.buffer);
        let now = Clock::now();
        let what = |error: io::Error| PingError::Io { what: "receive STAMP", error };
        let newest = self.numbers.newest();
        let which = |quoted: &[u8]| about(quoted, newest);
        self.numbers.told(self.socket.as_fd(), which, heard).map_err(what)?;
        match received {
            Ok(Some(arrived)) => {
                heard.extend(arrived.drops.map(Heard::Dropped));
                heard.push_back(self.read(now, &arrived));
                Ok(())
            }
            Err(error) if !is_passing(&error) => Err(what(error)),
            Ok(None) | Err(_) => Ok(()),
        }
    }

    fn read(&mut self, at: Instant, arrived: &stamps::Arrived) -> Heard {
        let packet = self.buffer.get(..arrived.bytes).unwrap_or_default();
        let user = at.as_nanos() + self.lead;
        let t4 = arrived.stamp.map_or(user, |stamp| stamp.as_nanos());
        let Some(reply) = self.sender.read(packet, t4) else {
            return Heard::Forged;
        };
        self.keep(&reply);
        Heard::Reply {
            sequence: reply.sequence,
            receipt: Receipt { at, came: arrived.stamp, told: None },
            bytes: arrived.bytes,
            ttl: arrived.ttl,
        }
    }

    /// Keeps what a reply says, unless its probe warms up; a copy, or one that is
    /// late, says nothing.
    fn keep(&mut self, reply: &Reflection) {
        let place = reply.sequence.checked_sub(self.warm_up);
        let place = place.and_then(|place| usize::try_from(place).ok());
        let Some(slot) = place.and_then(|place| self.replies.get_mut(place)) else {
            return;
        };
        let Some(stamps) = reply.stamps.filter(|_| slot.is_none()) else {
            return;
        };
        self.losses.reply(reply);
        if Duration::from_nanos(stamps.t4.saturating_sub(stamps.t1)) <= self.wait {
            *slot = Some(stamps);
        }
    }

    /// What the replies say of the two ways.
    pub(super) fn reflected(&self) -> Reflected {
        let one_clock = self.peer.ip().is_loopback();
        let known = one_clock.then_some(Duration::ZERO);
        let replies: Vec<Stamps> = self.replies.iter().flatten().copied().collect();
        Reflected { one_clock, ways: one_way(&replies, known), losses: self.losses.split() }
    }
}

/// The probe that an ICMP error quotes: a STAMP packet begins with its number,
/// of which there are 32 bits.
fn about(quoted: &[u8], newest: u64) -> Option<Which> {
    let low = u32::from_be_bytes(quoted.get(..4)?.try_into().ok()?);
    let back = (newest as u32).wrapping_sub(low);
    newest.checked_sub(u64::from(back)).map(Which::Probe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_about_the_probe_that_it_quotes() {
        let quoted = |number: u32| [&number.to_be_bytes()[..], &[0; 20]].concat();
        assert_eq!(about(&quoted(7), 9), Some(Which::Probe(7)));
        assert_eq!(about(&quoted(u32::MAX), 1 << 32), Some(Which::Probe((1 << 32) - 1)));
        assert_eq!(about(&quoted(10), 9), None, "not sent yet");
        assert_eq!(about(&[0, 0], 9), None);
    }
}
