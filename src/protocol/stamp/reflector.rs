//! The reflector: a request in, the reply to it out, of the same size.
//!
//! *No amplification.* A reply is never larger than its request. RFC 8762
//! section 4.6 would answer a TWAMP Light request of 14 octets with 44; here,
//! what is shorter than a reply's fields ([`STAMP_FIELDS`], the whole reply of
//! TWAMP, RFC 5357 section 4.2.1) is ignored, and what is longer gets as many
//! octets back as it has.
//!
//! *No endless talk.* A source address can be forged, so that two reflectors
//! are made to answer each other. A rule about ports would shut out honest
//! senders, many of which send from port 862; but a reply can be told from a
//! request: where that has zeros, it says that it had one at most
//! [`STAMP_HELD`] before it left. What looks so is ignored, whoever sent it, so
//! that such talk ends with its first word. The padding of a TWAMP Light sender
//! looks so once in 400 million packets.
//!
//! *Counted replies.* RFC 8762 section 4 has two modes. Stateful, it numbers the
//! replies of each session, and the sender sees which way packets were lost.
//! Here sessions are learnt as they come (address, port, SSID), as many as
//! [`STAMP_SESSIONS`]; further ones are served stateless, with the request's own
//! number, until one has been silent for [`STAMP_SILENCE`]: nobody is pushed out
//! by a flood of forged addresses.
//!
//! *TLVs* are copied as they are, but for their flags, which say that none but
//! padding was understood (RFC 8972 section 4). Nothing in them is acted upon,
//! so there is nothing whose integrity would have to be verified first.

use super::{
    EXTRA_PADDING, ErrorEstimate, MALFORMED, Reply, Request, TLV_HEADER, UNRECOGNISED, field,
    to_ntp,
};
use crate::base::Instant;
use crate::limits::{
    STAMP_BYTES, STAMP_ERROR, STAMP_FIELDS, STAMP_HELD, STAMP_SESSIONS, STAMP_SILENCE,
};
use std::collections::HashMap;
use std::mem::take;
use std::net::SocketAddr;

/// What a TTL that is not known is given as, RFC 5357 section 4.2.1.
const UNKNOWN_TTL: u8 = 255;

/// How a request came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// From where.
    pub from: SocketAddr,
    /// T2: nanoseconds since 1970.
    pub at: u64,
    /// Its time to live or hop limit, where known.
    pub ttl: Option<u8>,
}

/// Answers requests, one at a time.
#[derive(Debug)]
pub struct Reflector {
    sessions: Sessions,
    error: ErrorEstimate,
    reply: Vec<u8>,
}

impl Default for Reflector {
    /// One that counts the replies of [`STAMP_SESSIONS`] sessions.
    fn default() -> Self {
        Self::counting(STAMP_SESSIONS)
    }
}

impl Reflector {
    /// One that counts the replies of so many sessions; none: it is stateless.
    pub fn counting(sessions: usize) -> Self {
        Self {
            sessions: Sessions { list: HashMap::new(), most: sessions, tidy: Instant::ZERO },
            // Nobody here asks whether the machine's clock is kept in step.
            error: ErrorEstimate::new(false, STAMP_ERROR),
            reply: Vec::new(),
        }
    }

    /// Takes a request; answers whether there is a [`reply`](Self::reply) to it.
    /// `now` is for how long sessions are silent.
    pub fn reflect(&mut self, packet: &[u8], arrival: Arrival, now: Instant) -> bool {
        let Some(request) = Request::read(packet).filter(|_| packet.len() >= STAMP_FIELDS) else {
            return false;
        };
        if is_reply(packet) {
            return false;
        }
        let session = (arrival.from, session_id(packet, &request));
        let reply = Reply {
            sequence: self.sessions.count(session, now).unwrap_or(request.sequence),
            sent: 0,
            error: self.error,
            received: to_ntp(arrival.at),
            ttl: arrival.ttl.unwrap_or(UNKNOWN_TTL),
            request,
        };
        let base = packet.len().min(STAMP_BYTES);
        self.reply.clear();
        self.reply.extend_from_slice(&reply.write()[..base]);
        self.reply.extend_from_slice(&packet[base..]);
        flag_tlvs(&mut self.reply[base..]);
        true
    }

    /// The reply to the last request, leaving now: T3, in nanoseconds since 1970.
    pub fn reply(&mut self, now: u64) -> &[u8] {
        if let Some(sent) = self.reply.get_mut(4..12) {
            sent.copy_from_slice(&to_ntp(now).to_be_bytes());
        }
        &self.reply
    }
}

/// Whether it is what a reflector sends: it says when it had a request, and that
/// was just before it left. Seconds are where they are in both formats of time.
fn is_reply(packet: &[u8]) -> bool {
    let seconds = |at| field(packet, at).map_or(0, u32::from_be_bytes);
    let (sent, received) = (seconds(4), seconds(16));
    received != 0 && u64::from(sent.wrapping_sub(received)) <= STAMP_HELD.as_secs()
}

/// The SSID of a session; none in a packet whose sender pads where it must be
/// zero: it is TWAMP Light's, and knows of no SSID.
fn session_id(packet: &[u8], request: &Request) -> u16 {
    let rest = &packet[16..packet.len().min(STAMP_BYTES)];
    if rest.iter().all(|byte| *byte == 0) { request.ssid } else { 0 }
}

/// Sets each TLV's flags as RFC 8972 section 4 wants them of a reflector that
/// understands padding alone. One that is cut off ends them; so do four zeros,
/// which are no TLV but the padding of a sender that knows of none.
fn flag_tlvs(mut tlvs: &mut [u8]) {
    while let Some((header, rest)) = take(&mut tlvs).split_first_chunk_mut::<TLV_HEADER>() {
        if *header == [0; TLV_HEADER] {
            return;
        }
        let [flags, kind, high, low] = header;
        *flags = if *kind == EXTRA_PADDING { 0 } else { UNRECOGNISED };
        match rest.split_at_mut_checked(u16::from_be_bytes([*high, *low]).into()) {
            Some((_, next)) => tlvs = next,
            None => *flags |= MALFORMED,
        }
    }
}

/// Who is counted: where from, and its SSID.
type Session = (SocketAddr, u16);

/// How many replies each session has had, and when it was last heard.
#[derive(Debug)]
struct Sessions {
    list: HashMap<Session, (u32, Instant)>,
    most: usize,
    /// None has been silent for long enough before this.
    tidy: Instant,
}

impl Sessions {
    /// The number of a session's next reply; `None` if there is no room for it.
    fn count(&mut self, session: Session, now: Instant) -> Option<u32> {
        if let Some((replies, heard)) = self.list.get_mut(&session) {
            let fresh = now.since(*heard) < STAMP_SILENCE;
            let number = if fresh { *replies } else { 0 };
            (*replies, *heard) = (number.wrapping_add(1), now);
            return Some(number);
        }
        if self.list.len() >= self.most && !self.make_room(now) {
            return None;
        }
        self.list.insert(session, (1, now));
        Some(0)
    }

    /// Forgets those that have been silent; looks at all of them only when one
    /// can have been.
    fn make_room(&mut self, now: Instant) -> bool {
        if now < self.tidy {
            return false;
        }
        let mut oldest = now;
        self.list.retain(|_, (_, heard)| {
            let fresh = now.since(*heard) < STAMP_SILENCE;
            oldest = if fresh { oldest.min(*heard) } else { oldest };
            fresh
        });
        self.tidy = oldest + STAMP_SILENCE;
        self.list.len() < self.most
    }
}
