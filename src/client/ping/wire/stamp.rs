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
use crate::client::ping::stamp::{Losses, Sender};
use crate::client::ping::{PingError, Plan, Reflected};

#[derive(Debug)]
pub(in crate::client::ping) struct Stamp {
    socket: UdpSocket,
    peer: SocketAddr,
    sender: Sender,
    losses: Losses,
    /// The first reply to each probe; of a long run no more than are kept of
    /// other probes.
    replies: Vec<Stamps>,
    /// No probe before this one has been answered.
    answered: u64,
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
            replies: Vec::with_capacity(room),
            answered: 0,
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
        // A probe is not known by its first bytes.
        self.numbers.told(self.socket.as_fd(), |_| Some(Which::Oldest), heard).map_err(what)?;
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
        // Copies and those that were overtaken are no news of losses.
        if reply.sequence >= self.answered {
            self.answered = reply.sequence + 1;
            self.losses.reply(&reply);
            if let Some(stamps) = reply.stamps.filter(|_| self.replies.len() < PING_RECORDS) {
                self.replies.push(stamps);
            }
        }
        Heard::Reply {
            sequence: reply.sequence,
            receipt: Receipt { at, came: arrived.stamp, told: None },
            bytes: arrived.bytes,
            ttl: arrived.ttl,
        }
    }

    /// What the replies say of the two ways.
    pub(super) fn reflected(&self) -> Reflected {
        let one_clock = self.peer.ip().is_loopback();
        let known = one_clock.then_some(Duration::ZERO);
        Reflected { one_clock, ways: one_way(&self.replies, known), losses: self.losses.split() }
    }
}
