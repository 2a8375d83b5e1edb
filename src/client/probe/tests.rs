//! Probes found in any split of their stream, and counted exactly.

use super::*;
use std::time::Duration;

fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn stamp(seq: u64) -> Stamp {
    Stamp {
        token: 0xfeed_f00d_0123_4567,
        seq,
        intended: Instant::from_nanos(seq.saturating_add(1_000)),
        sent: Instant::from_nanos(seq.saturating_add(1_500)),
    }
}

fn at(micros: u64) -> Instant {
    Instant::from_nanos(micros * 1000)
}

/// Noise that likes to look like the start of a stamp or of a packet.
fn noise(length: usize, seed: &mut u64, out: &mut Vec<u8>) {
    for _ in 0..length {
        out.push(b"nlprobe1nG0a\n\xff\0x"[(xorshift(seed) % 16) as usize]);
    }
}

#[test]
fn what_is_written_is_found() {
    let mut bytes = b"nlpronlprobe1nlprobe1zz".to_vec();
    let at = bytes.len();
    stamp(77).write_bytes(&mut bytes);
    assert_eq!(bytes.len() - at, Stamp::BYTES);
    assert!(!bytes.contains(&b'\n'), "a stamp fits in a line");
    assert_eq!(Stamp::find(&bytes), Some((at, stamp(77))));
    assert_eq!(Stamp::find(&bytes[..bytes.len() - 1]), None);
    assert_eq!(Stamp::find(&[]), None);

    let mut packet = Vec::new();
    stamp(0x1234).write_ts(&mut packet);
    assert_eq!(packet.len(), TS_PACKET);
    assert_eq!(packet[..4], [0x47, 0x1f, 0x00, 0x14], "counter 4, payload alone");
    let mut packet: [u8; TS_PACKET] = packet.try_into().expect("one packet");
    assert_eq!(Stamp::find_ts(&packet), Some(stamp(0x1234)));
    packet[2] = 1;
    assert_eq!(Stamp::find_ts(&packet), None, "another PID");
}

/// A stream with `count` stamps among other things.
fn stream(form: Form, count: u64, seed: &mut u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for seq in 0..count {
        match form {
            Form::Ts => {
                for _ in 0..xorshift(seed) % 4 {
                    bytes.extend_from_slice(&[0x47, 0x01, 0x00, 0x10]);
                    noise(TS_PACKET - 4, seed, &mut bytes);
                }
                stamp(seq).write_ts(&mut bytes);
            }
            Form::Bytes => {
                noise((xorshift(seed) % 200) as usize, seed, &mut bytes);
                stamp(seq).write_bytes(&mut bytes);
            }
        }
    }
    bytes
}

#[test]
fn any_split_finds_each_stamp_once() {
    let mut seed = 0x1234_5678_9abc_def1;
    for form in [Form::Ts, Form::Bytes] {
        for round in 0..200 {
            let bytes = stream(form, 20, &mut seed);
            let longest = [1, 3, 80, 200, 1000][round % 5];
            let mut reader = ProbeReader::new(form, Some(stamp(0).token));
            let mut found = Vec::new();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let length = 1 + xorshift(&mut seed) as usize % longest;
                let (piece, tail) = rest.split_at(length.min(rest.len()));
                let arrivals = reader.handle_bytes(piece, at(100));
                found.extend(arrivals.iter().map(|arrival| arrival.stamp));
                rest = tail;
            }
            let expected: Vec<_> = (0..20).map(stamp).collect();
            assert_eq!(found, expected, "{form:?}, pieces up to {longest}");
            let tally = reader.tally();
            assert_eq!((tally.received, tally.lost, tally.duplicates), (20, 0, 0));
            assert_eq!(reader.hist().max(), Some(Duration::from_nanos(99_000)));
        }
    }
}

#[test]
fn sync_is_found_again_behind_garbage() {
    let mut bytes = b"some garbage".to_vec();
    stamp(1).write_ts(&mut bytes);
    bytes.extend_from_slice(b"more of it");
    stamp(2).write_ts(&mut bytes);
    let mut reader = ProbeReader::new(Form::Ts, None);
    for piece in bytes.chunks(50) {
        reader.handle_bytes(piece, at(2));
    }
    assert_eq!(reader.tally().received, 2);
}

#[test]
fn datagrams_do_not_run_together() {
    let mut bytes = Vec::new();
    stamp(5).write_bytes(&mut bytes);
    let mut reader = ProbeReader::new(Form::Bytes, None);
    assert!(reader.handle_datagram(&bytes[..40], at(3)).is_empty());
    assert!(reader.handle_datagram(&bytes[40..], at(3)).is_empty());
    let arrivals = reader.handle_datagram(&bytes, at(3));
    assert_eq!(arrivals.len(), 1);
    assert_eq!(arrivals[0].latency, Duration::from_nanos(3_000 - 1_005));
}

/// The orders in which `numbers` are judged, and the counts at the end.
fn judge(numbers: &[u64]) -> (Vec<Order>, Tally) {
    let mut reader = ProbeReader::new(Form::Bytes, None);
    let mut orders = Vec::new();
    for &seq in numbers {
        let mut bytes = Vec::new();
        stamp(seq).write_bytes(&mut bytes);
        orders.push(reader.handle_datagram(&bytes, at(9))[0].order);
    }
    let tally = reader.tally();
    assert_eq!(reader.hist().count(), tally.received);
    (orders, tally)
}

#[test]
fn lost_duplicate_reordered_stale() {
    use Order::{Duplicate, New, Reordered, Stale};
    let (orders, tally) = judge(&[10, 11, 14, 12, 14, 12, 15]);
    assert_eq!(orders, [New, New, New, Reordered, Duplicate, Duplicate, New]);
    let expected = Tally { received: 5, lost: 1, duplicates: 2, reordered: 1, ..Tally::default() };
    assert_eq!(tally, expected);

    // Before the first that came; 8 stays missing.
    let (orders, tally) = judge(&[9, 7]);
    assert_eq!(orders, [New, Reordered]);
    assert_eq!((tally.received, tally.lost), (2, 1));

    // Far ahead: everything between is lost, and what is too old stays so.
    let window = crate::limits::PROBE_WINDOW as u64;
    for jump in [window - 1, window, window + 1, 3 * window + 7] {
        let (orders, tally) = judge(&[100, 100 + jump, 101, 100 + jump - 1, 100]);
        let (known, old) = if jump < window { (2, 0) } else { (1, 2) };
        assert_eq!(orders[3], Reordered, "{jump}");
        assert_eq!(orders[4], if jump < window { Duplicate } else { Stale }, "{jump}");
        if jump != window {
            assert_eq!(tally.reordered, known, "{jump}");
            assert_eq!(tally.stale, old, "{jump}");
            assert_eq!(tally.lost, jump - 1 - known, "{jump}");
        }
    }
    let (_, tally) = judge(&[0, u64::MAX]);
    assert_eq!(tally.lost, u64::MAX - 1);
}

#[test]
fn random_loss_and_disorder_are_counted_exactly() {
    let mut seed = 42;
    for _ in 0..20 {
        // Up to 64 places out of order, some twice, some never.
        let mut sent: Vec<(u64, u64)> = Vec::new();
        let mut lost = 0;
        for seq in 1..2_000 {
            match xorshift(&mut seed) % 10 {
                0 => lost += 1,
                1 => sent.extend([(seq, seq), (seq + xorshift(&mut seed) % 64, seq)]),
                2 => sent.push((seq + xorshift(&mut seed) % 64, seq)),
                _ => sent.push((seq, seq)),
            }
        }
        // Both ends arrive, in their places.
        sent.extend([(0, 0), (3_000, 2_000)]);
        sent.sort_unstable();
        let numbers: Vec<u64> = sent.iter().map(|&(_, seq)| seq).collect();
        let (mut highest, mut reordered, mut seen) = (0, 0, std::collections::BTreeSet::new());
        for &seq in &numbers {
            reordered += u64::from(seen.insert(seq) && seq < highest);
            highest = highest.max(seq);
        }
        let (_, tally) = judge(&numbers);
        let expected = Tally {
            received: seen.len() as u64,
            lost,
            duplicates: (numbers.len() - seen.len()) as u64,
            reordered,
            ..Tally::default()
        };
        assert_eq!(tally, expected);
    }
}

#[test]
fn tokens_tell_streams_apart() {
    let mut bytes = Vec::new();
    stamp(1_000).write_bytes(&mut bytes);
    let other = Stamp { token: 1, ..stamp(3) };
    other.write_bytes(&mut bytes);
    let mut any = ProbeReader::new(Form::Bytes, None);
    assert_eq!(any.handle_bytes(&bytes, at(5)).len(), 2);
    assert_eq!((any.tally().restarts, any.tally().lost), (1, 0));
    let mut one = ProbeReader::new(Form::Bytes, Some(1));
    assert_eq!(one.handle_bytes(&bytes, at(5)).len(), 1);
    assert_eq!(one.tally().restarts, 0);
    one.clear();
    assert_eq!(one.tally(), Tally::default());
    assert_eq!(one.handle_bytes(&bytes, at(5))[0].order, Order::Duplicate);
}
