//! The sender against our own reflector, and against whoever makes replies up.

use super::*;
use crate::base::Instant;
use crate::protocol::stamp::{Arrival, MALFORMED, Reflector};
use std::net::SocketAddr;

const THEN: u64 = 1_700_000_000_000_000_000;
/// Between two probes.
const APART: u64 = 1_000_000;

/// The reply to `probe`, which takes 30 us there, 5 us here and 40 us back.
fn reflected(reflector: &mut Reflector, probe: &[u8], sent: u64) -> Vec<u8> {
    let from = SocketAddr::from(([127, 0, 0, 1], 5000));
    let arrival = Arrival { from, at: sent + 30_000, ttl: Some(63) };
    assert!(reflector.reflect(probe, arrival, Instant::ZERO));
    reflector.reply(sent + 35_000).to_vec()
}

/// A session that has sent a probe, and the reply to that.
fn asked(size: usize) -> (Sender, Vec<u8>) {
    let mut sender = Sender::new(size);
    let reply = reflected(&mut Reflector::default(), sender.probe(THEN), THEN);
    (sender, reply)
}

#[test]
fn a_reply_gives_four_times_and_a_round_trip_without_the_reflector() {
    let (mut sender, reply) = asked(56);
    let read = sender.read(&reply, THEN + 75_000).unwrap();
    let times = Stamps { t1: THEN, t2: THEN + 30_000, t3: THEN + 35_000, t4: THEN + 75_000 };
    assert_eq!((read.sequence, read.number, read.ttl), (0, 0, 63));
    assert_eq!(read.stamps, Some(times));
    assert_eq!(times.network().unwrap().as_nanos(), 70_000);
    assert!(!read.error.is_synchronised());
    assert_eq!(sender.read(&reply, THEN + 80_000).unwrap().sequence, 0, "a copy is one too");
}

#[test]
fn a_probe_has_the_size_that_was_asked_for_and_padding_where_there_is_room() {
    for (size, wanted) in [(0, 44), (44, 44), (45, 48), (48, 48), (56, 56), (1400, 1400)] {
        let mut sender = Sender::new(size);
        let probe = sender.probe(THEN).to_vec();
        assert_eq!(probe.len(), wanted, "{size}");
        assert_eq!(probe[16..44], [0; 28], "must be zero");
        assert_ne!(probe[14..16], [0; 2], "an SSID is not zero");
        if let Some(tlv) = probe.get(44..).filter(|tlv| !tlv.is_empty()) {
            assert_eq!(tlv[..2], [UNRECOGNISED, EXTRA_PADDING]);
            assert_eq!(usize::from(u16::from_be_bytes([tlv[2], tlv[3]])), wanted - 48);
        }
    }
    let random = |probe: &[u8]| probe[48..56].to_vec();
    assert_ne!(random(Sender::new(56).probe(THEN)), random(Sender::new(56).probe(THEN)));
}

#[test]
fn numbers_go_on_past_32_bits_and_the_oldest_probes_are_forgotten() {
    let mut sender = Sender::new(56);
    sender.oldest = u64::from(u32::MAX) - 2;
    let mut reflector = Reflector::counting(0);
    let mut replies = Vec::new();
    for n in 0..6 {
        assert_eq!(sender.next_sequence(), u64::from(u32::MAX) - 2 + n);
        let sent = THEN + n * APART;
        replies.push(reflected(&mut reflector, sender.probe(sent), sent));
    }
    for (n, reply) in replies.iter().enumerate().rev() {
        let sequence = sender.read(reply, THEN + 6 * APART).unwrap().sequence;
        assert_eq!(sequence, u64::from(u32::MAX) - 2 + n as u64);
    }
    for n in 6..PING_WINDOW as u64 + 1 {
        sender.probe(THEN + n * APART);
    }
    let late = THEN + PING_WINDOW as u64 * APART;
    assert!(sender.read(&replies[0], late).is_none());
    assert!(sender.read(&replies[1], late).is_some());
}

#[test]
fn what_somebody_made_up_is_no_reply() {
    let (mut sender, reply) = asked(56);
    let now = THEN + 75_000;
    let with = |sender: &mut Sender, at: usize, byte: u8| {
        let mut forged = reply.clone();
        forged[at] ^= byte;
        sender.read(&forged, now).is_some()
    };
    // The SSID, the probe's number, each bit of its T1.
    for at in [14, 15, 24, 27] {
        assert!(!with(&mut sender, at, 1), "octet {at}");
    }
    for bit in 0..64 {
        assert!(!with(&mut sender, 28 + bit / 8, 1 << (bit % 8)), "bit {bit} of T1");
    }
    // Padding: nobody can know before the first that the reflector returns it.
    assert!(with(&mut sender, 50, 1));
    assert!(sender.read(&reply, now).is_some());
    for at in 48..56 {
        assert!(!with(&mut sender, at, 1), "octet {at}");
    }
    assert!(sender.read(&reply[..44], now).is_none() && sender.read(&reply[..52], now).is_none());
    assert!(sender.read(&[], now).is_none());
    // The TLV's flags are the reflector's to set; the rest of the packet is not.
    assert!(with(&mut sender, 44, UNRECOGNISED | MALFORMED));
    // A probe that comes back as it is, from an echo, is no reply.
    let probe = sender.probe(now).to_vec();
    assert!(sender.read(&probe, now).is_none());
}

#[test]
fn reflectors_without_ssid_and_padding_are_understood() {
    let (mut sender, mut reply) = asked(56);
    // TWAMP's, RFC 5357 section 4.2.1: 41 octets, zeros where the SSID is.
    reply[14..16].fill(0);
    assert!(sender.read(&reply[..41], THEN + 75_000).is_some());
    assert!(sender.read(&reply[..40], THEN + 75_000).is_none());
}

#[test]
fn times_that_are_none_leave_the_reply_without_stamps() {
    let (mut sender, reply) = asked(44);
    let mut with = |at: usize, bytes: &[u8]| {
        let mut reply = reply.clone();
        reply[at..at + bytes.len()].copy_from_slice(bytes);
        sender.read(&reply, THEN + 75_000).unwrap().stamps
    };
    assert_eq!(with(16, &[0; 8]), None, "T2 is not known");
    assert_eq!(with(4, &[0; 8]), None, "T3 is not known");
    // PTP has no so many nanoseconds; the reflector says that it writes PTP.
    let ptp = ErrorEstimate::from_bits(0x4001).bits().to_be_bytes();
    let times = [&[0xff; 8][..], &ptp].concat();
    assert_eq!(with(4, &times), None);
    // As PTP: 2023-11-14 22:13:20, and 30 and 35 us.
    let seconds = 1_700_000_000u32.to_be_bytes();
    let at = |nanos: u32| [seconds, nanos.to_be_bytes()].concat();
    let (sent, received) = (at(35_000), at(30_000));
    let mut reply = reply.clone();
    reply[4..12].copy_from_slice(&sent);
    reply[12..14].copy_from_slice(&ptp);
    reply[16..24].copy_from_slice(&received);
    let stamps = sender.read(&reply, THEN + 75_000).unwrap().stamps.unwrap();
    assert_eq!((stamps.t2, stamps.t3), (THEN + 30_000, THEN + 35_000));
}

/// What `losses` has heard of replies to probes, given both numbers of each.
fn losses(replies: impl IntoIterator<Item = (u64, u32)>) -> Option<Split> {
    let mut losses = Losses::default();
    for (sequence, number) in replies {
        let error = ErrorEstimate::from_bits(1);
        losses.reply(&Reflection { sequence, stamps: None, number, ttl: 64, error });
    }
    losses.split()
}

#[test]
fn losses_of_each_way_are_told_apart_by_a_reflector_that_counts() {
    // Probes 2 and 3 did not arrive; the reply to 5 did not.
    let some = [(0, 0), (1, 1), (4, 2), (6, 4)];
    assert_eq!(losses(some), Some(Split { up: 2, down: 1 }));
    // From wherever it counts, and over the end of its numbers.
    let from = |number: u32| some.map(|(sequence, n)| (sequence + 9, number.wrapping_add(n)));
    for number in [77, u32::MAX, u32::MAX - 3] {
        assert_eq!(losses(from(number)), Some(Split { up: 2, down: 1 }), "{number}");
    }
    // In whatever order.
    assert_eq!(losses([(1, 1), (0, 0), (6, 4), (4, 2)]), Some(Split { up: 2, down: 1 }));
    assert_eq!(
        losses([(0, 0), (2, 1), (1, 2), (4, 4), (3, 3), (6, 5)]),
        Some(Split { up: 1, down: 0 })
    );
}

#[test]
fn what_cannot_be_told_is_not() {
    // All numbers are the probes': it may only copy them.
    assert_eq!(losses([(0, 0), (1, 1), (4, 4), (6, 6)]), None);
    assert_eq!(losses([]), None);
    // It has begun anew.
    assert_eq!(losses([(0, 9), (1, 10), (2, 0), (3, 1)]), None);
    assert_eq!(losses([(4, 0), (5, 0), (6, 1)]), None);
    let long = (0..200).map(|n| (n, 500 + n as u32));
    assert_eq!(losses(long.chain([(201, 3), (202, 4)])), None);
    // A network makes copies of probes on their way.
    assert_eq!(losses([(0, 0), (1, 2), (2, 4)]), None);
}

#[test]
fn losses_of_seeded_paths_are_counted_exactly() {
    for seed in 0..50u64 {
        let mut state = seed * 2 + 1;
        let mut one_in = |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33).is_multiple_of(n)
        };
        let (mut sender, mut reflector) = (Sender::new(56), Reflector::default());
        let (mut losses, mut lost) = (Losses::default(), Split { up: 0, down: 0 });
        for n in 0..1000 {
            let sent = THEN + n * APART;
            let probe = sender.probe(sent);
            // The first and the last arrive, for losses are counted between them.
            if n % 999 > 0 && one_in(7) {
                lost.up += 1;
                continue;
            }
            let reply = reflected(&mut reflector, probe, sent);
            if n % 999 > 0 && one_in(11) {
                lost.down += 1;
                continue;
            }
            losses.reply(&sender.read(&reply, sent + 75_000).unwrap());
        }
        assert_eq!(losses.split(), Some(lost), "seed {seed}");
    }
}

#[test]
fn fuzz_nothing_that_comes_panics_or_moves_the_time_that_was_sent() {
    let mut sender = Sender::new(64);
    let mut reflector = Reflector::default();
    let mut corpus = vec![Vec::new(), vec![0xff; 64]];
    for n in 0..4 {
        let sent = THEN + n * APART;
        corpus.push(reflected(&mut reflector, sender.probe(sent), sent));
    }
    let (mut state, mut read) = (1u64, 0);
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize
    };
    for _ in 0..200_000 {
        let mut packet = corpus[next() % corpus.len()].clone();
        for _ in 0..next() % 4 {
            if packet.is_empty() {
                break;
            }
            let at = next() % packet.len();
            match next() % 3 {
                0 => packet[at] = next() as u8,
                1 => packet[at] ^= 1 << (next() % 8),
                _ => packet.truncate(at),
            }
        }
        if let Some(reply) = sender.read(&packet, THEN + 5 * APART) {
            read += 1;
            let sent = THEN + reply.sequence * APART;
            assert!(reply.stamps.is_none_or(|stamps| stamps.t1 == sent));
            assert_eq!(packet[28..36], stamp::to_ntp(sent).to_be_bytes());
        }
    }
    assert!(read > 10_000, "{read}");
}
