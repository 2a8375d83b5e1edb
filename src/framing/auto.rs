//! `auto`: what a stream is, guessed from its first bytes.
//!
//! A wrong guess must cost little, so only what has a signature is told from
//! `raw`, and nothing is held for longer than `limits::AUTO_HOLD`. `lines` and
//! `len32` have no signature: they are asked for.

use super::flv::SIGNATURE;
use super::{rtp, ts};
use crate::base::Instant;
use crate::limits::{AUTO_HOLD, TS_PACKET, TS_SYNC_PACKETS};

/// The state of a byte stream that is not decided yet.
#[derive(Debug, Default)]
pub(super) struct Auto {
    /// When the first byte was seen.
    since: Option<Instant>,
}

/// What a byte stream seems to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Guess {
    /// Too early to say.
    Wait,
    /// Anything.
    Raw,
    /// Flash Video.
    Flv,
    /// An MPEG-TS that begins with the first byte, held since then.
    Ts { since: Instant },
}

impl Auto {
    /// Guesses from all bytes that have arrived so far.
    pub(super) fn guess(&mut self, input: &[u8], now: Instant) -> Guess {
        let Some(&first) = input.first() else {
            return Guess::Wait;
        };
        let since = *self.since.get_or_insert(now);
        let late = now >= since + AUTO_HOLD;
        match first {
            ts::SYNC => match sync(input) {
                Some(TS_SYNC_PACKETS..) => Guess::Ts { since },
                Some(_) if !late => Guess::Wait,
                Some(_) if plausible(input) => Guess::Ts { since },
                Some(_) | None => Guess::Raw,
            },
            _ if input.starts_with(SIGNATURE) => Guess::Flv,
            _ if !late && SIGNATURE.starts_with(input) => Guess::Wait,
            _ => Guess::Raw,
        }
    }

    /// When the guess must be made: as soon as bytes are held.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.since.map(|since| since + AUTO_HOLD)
    }
}

/// How many of the first `TS_SYNC_PACKETS` packets have begun, all with a sync
/// byte; `None` if one begins with another.
fn sync(input: &[u8]) -> Option<usize> {
    let mut starts = input.iter().step_by(TS_PACKET).take(TS_SYNC_PACKETS);
    let begun = starts.len();
    starts.all(|&byte| byte == ts::SYNC).then_some(begun)
}

/// Whether the few bytes that there are can be the headers of TS packets. The
/// sync byte is also the letter G, so a short text must not pass.
fn plausible(input: &[u8]) -> bool {
    let mut whole = input.chunks_exact(TS_PACKET);
    let fit = whole.by_ref().all(ts::plausible);
    fit && (input.len() >= TS_PACKET || ts::plausible(input))
}

/// Whether the first datagram of a stream is MPEG-TS, plain or in RTP.
pub(super) fn datagram_is_ts(datagram: &[u8]) -> bool {
    is_packets(datagram)
        || rtp::parse(datagram)
            .is_some_and(|rtp| rtp.kind == rtp::MP2T || is_packets(&datagram[rtp.payload]))
}

/// Packets that must begin in a datagram, each with the sync byte, before it is
/// believed to be a piece of an MPEG-TS that begins or ends within a packet.
const CUT_PACKETS: usize = 4;

/// Whether the first datagram of a stream holds packets of an MPEG-TS, but not
/// only whole ones.
pub(super) fn datagram_is_cut_ts(datagram: &[u8]) -> bool {
    let starts_at = |offset: usize| {
        let mut starts = datagram.iter().skip(offset).step_by(TS_PACKET);
        starts.len() >= CUT_PACKETS && starts.all(|&byte| byte == ts::SYNC)
    };
    !datagram_is_ts(datagram) && (0..TS_PACKET).any(starts_at)
}

fn is_packets(bytes: &[u8]) -> bool {
    let (packets, rest) = bytes.as_chunks::<TS_PACKET>();
    !packets.is_empty() && rest.is_empty() && packets.iter().all(|packet| packet[0] == ts::SYNC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const START: Instant = Instant::from_nanos(1_000_000_000);

    fn guess(input: &[u8], after: Duration) -> Guess {
        let mut auto = Auto::default();
        match auto.guess(input, START) {
            Guess::Wait => auto.guess(input, START + after),
            early @ (Guess::Raw | Guess::Flv | Guess::Ts { .. }) => early,
        }
    }

    fn packets(count: usize) -> Vec<u8> {
        let mut packet = [0xFF; TS_PACKET];
        packet[..4].copy_from_slice(&[ts::SYNC, 0x40, 0x00, 0x10]);
        packet.repeat(count)
    }

    #[test]
    fn the_first_byte_decides_unless_it_is_a_signature() {
        assert_eq!(guess(b"", AUTO_HOLD), Guess::Wait);
        assert_eq!(guess(b"x", Duration::ZERO), Guess::Raw);
        assert_eq!(guess(b"F", Duration::ZERO), Guess::Wait);
        assert_eq!(guess(b"FL", Duration::ZERO), Guess::Wait);
        assert_eq!(guess(b"FX", Duration::ZERO), Guess::Raw);
        assert_eq!(guess(b"FLV", Duration::ZERO), Guess::Wait);
        assert_eq!(guess(b"FLV\x01", Duration::ZERO), Guess::Flv);
        assert_eq!(guess(b"FLV\x02", Duration::ZERO), Guess::Raw);
        assert_eq!(guess(b"F", AUTO_HOLD), Guess::Raw);
    }

    #[test]
    fn three_sync_bytes_decide_at_once_and_a_wrong_one_too() {
        let three = packets(3);
        let ts = Guess::Ts { since: START };
        assert_eq!(guess(&three[..2 * TS_PACKET + 1], Duration::ZERO), ts);
        assert_eq!(guess(&three[..2 * TS_PACKET], Duration::ZERO), Guess::Wait);
        let mut wrong = packets(1);
        wrong.push(b'x');
        assert_eq!(guess(&wrong, Duration::ZERO), Guess::Raw);
    }

    #[test]
    fn at_the_deadline_what_is_there_decides() {
        let ts = Guess::Ts { since: START };
        let just_before = AUTO_HOLD - Duration::from_nanos(1);
        assert_eq!(guess(&packets(1), just_before), Guess::Wait);
        assert_eq!(guess(&packets(1), AUTO_HOLD), ts);
        assert_eq!(guess(&packets(2)[..200], AUTO_HOLD), ts);
        assert_eq!(guess(&packets(1)[..50], AUTO_HOLD), ts);
        assert_eq!(guess(b"G", AUTO_HOLD), Guess::Raw);
        assert_eq!(guess(b"Good evening, everybody\n", AUTO_HOLD), Guess::Raw);
        assert_eq!(guess(b"GET / HTTP/1.1\r\n\r\n", AUTO_HOLD), Guess::Raw);
    }

    #[test]
    fn datagrams_that_cut_packets_are_told_by_their_sync_bytes() {
        let bytes = packets(16);
        for start in [0, 1, 100, 187] {
            assert!(datagram_is_cut_ts(&bytes[start..start + 1472]), "from {start}");
        }
        assert!(!datagram_is_cut_ts(&bytes[..7 * TS_PACKET]), "whole ones alone");
        assert!(!datagram_is_cut_ts(&bytes[1..500]), "too few to say");
        assert!(!datagram_is_cut_ts(&[0xFF; 1472]) && !datagram_is_cut_ts(b""));
        let mut wrong = bytes[..1472].to_vec();
        wrong[4 * TS_PACKET] = 0;
        assert!(!datagram_is_cut_ts(&wrong));
    }

    #[test]
    fn datagrams_of_whole_packets_are_ts_plain_or_in_rtp() {
        assert!(datagram_is_ts(&packets(7)));
        assert!(!datagram_is_ts(&packets(7)[1..]));
        assert!(!datagram_is_ts(&packets(7)[..1315]));
        assert!(!datagram_is_ts(b""));
        let mut dynamic = vec![0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(!datagram_is_ts(&dynamic), "not TS by type, no payload");
        dynamic.extend_from_slice(&packets(7));
        assert!(datagram_is_ts(&dynamic));
        dynamic.pop();
        assert!(!datagram_is_ts(&dynamic));
        dynamic[1] = rtp::MP2T;
        assert!(datagram_is_ts(&dynamic));
    }
}
