//! A STAMP sender (RFC 8762) without socket and clock: the probe to send next,
//! and what a packet that came is the reply to.
//!
//! ```no_run
//! use nearlight::client::ping::stamp::{Losses, Sender};
//! use nearlight::sys::clock::Clock;
//! use std::net::UdpSocket;
//!
//! fn main() -> std::io::Result<()> {
//!     let socket = UdpSocket::bind("0.0.0.0:0")?;
//!     socket.connect("192.0.2.1:862")?;
//!     // One clock for T1 and T4, which nobody sets meanwhile.
//!     let lead = Clock::lead();
//!     let now = || Clock::now().as_nanos() + lead;
//!     let mut sender = Sender::new(56);
//!     socket.send(sender.probe(now()))?;
//!     let mut packet = [0; 1500];
//!     let len = socket.recv(&mut packet)?;
//!     if let Some(reply) = sender.read(&packet[..len], now()) {
//!         println!("{}: {:?}", reply.sequence, reply.stamps.and_then(|stamps| stamps.network()));
//!     }
//!     Ok(())
//! }
//! ```
//!
//! *No time is believed that came back.* What a probe was sent at is kept here
//! under its number, and a round trip is the span between that and the receipt.
//! T2 and T3 are the reflector's word; they count if they leave the packet time
//! to travel ([`Stamps::network`]).
//!
//! *Forged replies.* A reply must have the number of a probe, that probe's T1 to
//! the last bit (a quarter of a nanosecond), and this session's SSID, random, or
//! zero from a reflector older than RFC 8972. A probe of 56 bytes or more also
//! has padding that begins with a random number of 64 bits. A reflector sends
//! it back (RFC 8762 section 4.3), one of TWAMP Light may not: once one reply
//! has had it, all must. So who can't see the probes has to guess 64 bits; or,
//! where they don't come back, 16 of the SSID, and when a probe was sent.
//!
//! [`Losses`] tells losses on the way there from those on the way back, if the
//! reflector counts its replies. Delays of each way: [`super::oneway`].

use std::collections::VecDeque;

use crate::client::random;
use crate::limits::{PING_WINDOW, STAMP_BYTES, STAMP_ERROR};
use crate::protocol::stamp::{
    self, EXTRA_PADDING, ErrorEstimate, Reply, Request, TLV_HEADER, UNRECOGNISED,
};

use super::oneway::Stamps;

/// Where a probe's padding begins.
const PADDING: usize = STAMP_BYTES + TLV_HEADER;
/// Packets by which one may be overtaken on its way; numbers that are further
/// back are those of a reflector that began anew.
const OVERTAKEN: i64 = 64;

/// Asks one reflector, probe after probe.
#[derive(Debug)]
pub struct Sender {
    ssid: u16,
    error: ErrorEstimate,
    /// The last probe; its padding is the same in all.
    packet: Vec<u8>,
    /// T1 of the last [`PING_WINDOW`] probes.
    sent: VecDeque<u64>,
    /// The number of the first of them.
    oldest: u64,
    /// A reply has brought the padding back.
    pads: bool,
}

/// A reply to a probe of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reflection {
    /// The probe's number.
    pub sequence: u64,
    /// T1 to T4; `None` if T2 or T3 is no time.
    pub stamps: Option<Stamps>,
    /// The reply's own number: the probe's, or a count of replies.
    pub number: u32,
    /// Time to live, or hop limit, that the probe had left; 255 may be unknown.
    pub ttl: u8,
    /// What the reflector says of its clock.
    pub error: ErrorEstimate,
}

impl Sender {
    /// A session whose probes have `size` bytes, but at least those of the base
    /// packet; 45 to 47, which have no room for a TLV's header, become 48.
    pub fn new(size: usize) -> Self {
        let mut packet = vec![0; STAMP_BYTES];
        if size > STAMP_BYTES {
            let len = size.saturating_sub(PADDING);
            let len = u16::try_from(len).unwrap_or(u16::MAX);
            let [high, low] = len.to_be_bytes();
            packet.extend_from_slice(&[UNRECOGNISED, EXTRA_PADDING, high, low]);
            let letters = (b'a'..=b'w').cycle();
            let padding = random().to_be_bytes().into_iter().chain(letters);
            packet.extend(padding.take(len.into()));
        }
        Self {
            ssid: (random() % u64::from(u16::MAX)) as u16 + 1,
            // Nobody here asks whether the machine's clock is kept in step.
            error: ErrorEstimate::new(false, STAMP_ERROR),
            packet,
            sent: VecDeque::with_capacity(PING_WINDOW),
            oldest: 0,
            pads: false,
        }
    }

    /// The number of the next probe, from 0 on.
    pub fn next_sequence(&self) -> u64 {
        self.oldest + self.sent.len() as u64
    }

    /// The next probe, to be sent `now`: T1, in nanoseconds since 1970.
    pub fn probe(&mut self, now: u64) -> &[u8] {
        let (sequence, sent) = (self.next_sequence() as u32, stamp::to_ntp(now));
        let request = Request { sequence, sent, error: self.error, ssid: self.ssid };
        self.packet[..STAMP_BYTES].copy_from_slice(&request.write());
        if self.sent.len() == PING_WINDOW {
            self.sent.pop_front();
            self.oldest += 1;
        }
        self.sent.push_back(now);
        &self.packet
    }

    /// What a packet that came `now` (T4, on the clock of T1) is a reply to;
    /// `None` if it answers no probe of ours that is remembered. The same reply
    /// is told again each time that it comes.
    pub fn read(&mut self, packet: &[u8], now: u64) -> Option<Reflection> {
        let reply = Reply::read(packet)?;
        let age = reply.request.sequence.wrapping_sub(self.oldest as u32);
        let t1 = *self.sent.get(age as usize)?;
        let is_ours = reply.request.sent == stamp::to_ntp(t1)
            && (reply.request.ssid == self.ssid || reply.request.ssid == 0);
        let pads = self.is_padded(packet);
        if !is_ours || (self.pads && !pads) {
            return None;
        }
        self.pads |= pads;
        let at = |bits| stamp::from_wire(bits, reply.error, now);
        let stamps = at(reply.received).zip(at(reply.sent));
        Some(Reflection {
            sequence: self.oldest + u64::from(age),
            stamps: stamps.map(|(t2, t3)| Stamps { t1, t2, t3, t4: now }),
            number: reply.sequence,
            ttl: reply.ttl,
            error: reply.error,
        })
    }

    /// Whether a packet ends with the padding of our probes, whose flags a
    /// reflector may change.
    fn is_padded(&self, packet: &[u8]) -> bool {
        self.packet.len() > PADDING && packet.get(PADDING..) == self.packet.get(PADDING..)
    }
}

/// Which way probes were lost, by the two numbers of each reply: those of a
/// reflector that counts its replies fall behind by one for each probe that did
/// not reach it, and have a gap for each reply that did not reach us.
#[derive(Clone, Copy, Debug, Default)]
pub struct Losses {
    /// The numbers of the first reply: the probe's, its own.
    first: Option<(u64, u32)>,
    /// How far both have come since then.
    asked: u64,
    answered: u64,
    /// Replies since then.
    heard: u64,
    /// A reply had another number than its probe.
    counts: bool,
    /// The reflector has begun to count anew.
    is_broken: bool,
}

/// Losses between the first reply and the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Probes that did not reach the reflector.
    pub up: u64,
    /// Replies that did not reach us.
    pub down: u64,
}

impl Losses {
    /// Takes the first reply to each probe, late or not; copies are left out.
    pub fn reply(&mut self, reply: &Reflection) {
        let (sequence, number) = *self.first.get_or_insert((reply.sequence, reply.number));
        self.counts |= reply.sequence as u32 != reply.number;
        let answered = i64::from(reply.number.wrapping_sub(number).cast_signed());
        let behind = i64::try_from(self.answered).unwrap_or(i64::MAX).saturating_sub(answered);
        let is_newest = reply.sequence > sequence + self.asked;
        let is_anew = behind > OVERTAKEN || (reply.number == 0 && behind >= 0);
        self.is_broken |= is_newest && is_anew;
        // One that the first has overtaken is of the time before.
        let since = reply.sequence.checked_sub(sequence).zip(u64::try_from(answered).ok());
        if let Some((asked, answered)) = since {
            self.heard += 1;
            self.asked = self.asked.max(asked);
            self.answered = self.answered.max(answered);
        }
    }

    /// The split; `None` as long as no reply shows that the reflector counts
    /// (all have their probes' numbers: what is lost may be lost either way), or
    /// if its numbers make no sense: it began anew, or a network made copies.
    pub fn split(&self) -> Option<Split> {
        let up = self.asked.checked_sub(self.answered)?;
        let down = (self.answered + 1).checked_sub(self.heard)?;
        (self.counts && !self.is_broken).then_some(Split { up, down })
    }
}

#[cfg(test)]
#[path = "stamp_tests.rs"]
mod tests;
