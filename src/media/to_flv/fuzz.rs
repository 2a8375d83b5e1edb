//! The remuxer against damage and against any split: nothing panics, what comes
//! out is an FLV by the checker's rules, and how the input was cut never shows.
//!
//! `FUZZ_CASES=1000000 cargo test --release --lib to_flv::fuzz` runs as long as
//! one likes.

use super::testing::*;
use super::tests::RECORDED;
use super::*;
use crate::limits::{MEDIA_HELD_BYTES, MEDIA_SET_BYTES, MEDIA_UNIT_BYTES};
use proptest::prelude::*;
use std::env;

/// How many cases: some here, and by hand as many as one likes.
fn cases() -> ProptestConfig {
    let cases = env::var("FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A run of the recorded stream's packets, its tables first.
fn run() -> impl Strategy<Value = Vec<u8>> {
    let count = RECORDED.len() / TS_PACKET;
    (0..count, 1..count).prop_map(move |(from, length)| {
        let tables = &RECORDED[..3 * TS_PACKET];
        let run = &RECORDED[from * TS_PACKET..(from + length).min(count) * TS_PACKET];
        [tables, run].concat()
    })
}

/// A change: where, which, with what.
fn change(bytes: &mut Vec<u8>, (at, how, with): (usize, u8, u8)) {
    if bytes.is_empty() {
        return bytes.push(with);
    }
    let at = at % bytes.len();
    let packet = at - at % TS_PACKET;
    match how % 8 {
        0 => bytes[at] = with,
        1 => bytes[at] ^= 1 << (with % 8),
        2 => drop(bytes.remove(at)),
        3 => bytes.insert(at, with),
        // Packets are lost, doubled, moved to the end.
        4 => drop(bytes.drain(packet..bytes.len().min(packet + TS_PACKET))),
        5 => {
            let again = bytes[packet..].to_vec();
            bytes.splice(packet..packet, again.into_iter().take(TS_PACKET));
        }
        6 => bytes.rotate_left(packet),
        // In the headers, where it hurts most.
        _ => {
            let at = (packet + usize::from(with % 32)).min(bytes.len() - 1);
            bytes[at] = with.rotate_left(3);
        }
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn damage_never_breaks_the_flv_and_no_cut_shows(
        mut bytes in run(),
        changes in prop::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 0..40),
        sizes in prop::collection::vec(1..2000usize, 1..6),
    ) {
        for one in changes {
            change(&mut bytes, one);
        }
        let whole = in_pieces(&bytes, &[bytes.len().max(1)]);
        prop_assert_eq!(&in_pieces(&bytes, &sizes), &whole);
        well_formed(&whole);
    }

    #[test]
    fn gaps_anywhere_keep_time_going(
        runs in prop::collection::vec(run(), 1..4),
        cut in any::<usize>(),
    ) {
        let mut remux = ToFlv::new();
        let mut flv = Vec::new();
        for run in runs {
            remux.handle_bytes(&run[..run.len() - cut % 2000 % run.len()], &mut flv);
            remux.gap();
        }
        remux.finish(&mut flv);
        read(&flv);
    }

    #[test]
    fn hand_made_units_of_any_content_are_bounded(
        units in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..3000)), 1..40),
        kinds in prop::sample::select(vec![[H264, AAC], [H265, MPEG_AUDIO], [H265, AAC]]),
        zeros in any::<bool>(),
    ) {
        let mut muxer = Muxer::default();
        let mut remux = ToFlv::new();
        let mut flv = Vec::new();
        let tables = muxer.tables(&[(kinds[0], VIDEO), (kinds[1], AUDIO)]);
        remux.handle_bytes(tables.as_flattened(), &mut flv);
        for (n, (video, mut data)) in units.into_iter().enumerate() {
            let time = Some((n as u64 * 900, n as u64 * 900));
            if zeros {
                data.iter_mut().filter(|byte| **byte > 8).for_each(|byte| *byte %= 5);
            }
            let (pid, length) = if video { (VIDEO, Length::Unstated) } else { (AUDIO, Length::Stated) };
            let packets = muxer.pes(pid, time, length, &data);
            remux.handle_bytes(packets.as_flattened(), &mut flv);
        }
        remux.finish(&mut flv);
        well_formed(&flv);
        const MOST: usize = 2 * MEDIA_UNIT_BYTES + MEDIA_HELD_BYTES + 3 * MEDIA_SET_BYTES;
        prop_assert!(flv.len() <= MOST);
    }
}

/// A picture parameter set of this identifier.
fn pps(id: u16, size: usize, fill: u8) -> Vec<u8> {
    // Exp-Golomb: as many zeros as bits follow the first one.
    let code = (id + 1) << (15 - 2 * (id + 1).ilog2());
    let mut unit = [&[0, 0, 1, 0x68][..], &code.to_be_bytes()].concat();
    unit.last_mut().into_iter().for_each(|byte| *byte |= 1);
    unit.resize(3 + size, fill);
    unit
}

/// As many sets as are kept, as large as may be, and then pictures of one packet
/// with a small one that is another each time: all are told again.
#[test]
fn sets_that_change_cost_little() {
    let (count, mut ts) = (2000, Vec::new());
    let mut muxer = Muxer::default();
    ts.extend(muxer.tables(&[(H264, VIDEO)]));
    let time = |n: u64| Some((n * 900, n * 900));
    let sps = [b"\0\0\x01", SPS].concat();
    let large: Vec<u8> = (1..16).flat_map(|id| pps(id, MEDIA_SET_BYTES / 16, 0xFF)).collect();
    ts.extend(muxer.pes(VIDEO, time(0), Length::Unstated, &[sps, large].concat()));
    for n in 1..=count {
        let data = [&pps(0, 20, n as u8 | 1)[..], &pps(0, 20, n as u8 & !1 | 2)].concat();
        let data = [&data[..], b"\0\0\x01\x65x"].concat();
        let packets = muxer.pes(VIDEO, time(n), Length::Unstated, &data);
        assert_eq!(packets.len(), 1);
        ts.extend(packets);
    }
    let ts = ts.as_flattened();
    let flv = in_pieces(ts, &[ts.len()]);
    let tags = read(&flv);
    let headers = tags.iter().filter(|tag| tag.kind == 9 && tag.data[1] == 0).count();
    assert_eq!((headers, pictures(&tags).len()), (count as usize, count as usize));
    let most = count as usize * (MEDIA_SET_BYTES + 300);
    assert!(most / 2 < flv.len() && flv.len() < most, "{} of {}", flv.len(), ts.len());

    // Larger ones drive each other out.
    let mut sets = Vec::new();
    (1..16).for_each(|id| sets.extend(pps(id, MEDIA_SET_BYTES, 0xFF)));
    let mut muxer = Muxer::default();
    let mut ts = muxer.tables(&[(H264, VIDEO)]);
    let data = [&b"\0\0\x01"[..], SPS, &sets, b"\0\0\x01\x65x"].concat();
    ts.extend(muxer.pes(VIDEO, time(0), Length::Unstated, &data));
    let ts = ts.as_flattened();
    assert!(in_pieces(ts, &[ts.len()]).len() < MEDIA_SET_BYTES + 600);
}

/// Whole tags with sizes that agree, whatever is in them: damaged frames may
/// say that they are of any codec.
fn well_formed(flv: &[u8]) {
    let mut rest = flv.get(13..).unwrap_or(&[]);
    assert!(flv.is_empty() || flv.starts_with(b"FLV\x01"));
    let mut last = [0; 32];
    while !rest.is_empty() {
        let size = u32::from_be_bytes([0, rest[1], rest[2], rest[3]]) as usize;
        let ms = u32::from_be_bytes([rest[7], rest[4], rest[5], rest[6]]);
        assert!(matches!(rest[0], 8 | 9 | 18) && size > 1);
        assert_eq!(rest[11 + size..15 + size], (11 + size as u32).to_be_bytes());
        let before = std::mem::replace(&mut last[usize::from(rest[0])], ms);
        assert!(ms >= before, "{before} ms, then {ms}");
        rest = &rest[15 + size..];
    }
}
