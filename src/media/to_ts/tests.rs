//! What every TS made of an FLV owes its decoders, read back from the packets;
//! and that nothing a source holds makes the remuxer stumble.

use crate::framing::flv::{TagKind, put_tag};
use crate::framing::{Container, Framing, Kind, Marks, Transport};
use crate::limits::{TS_CLOCK, TS_OWED_BYTES, TS_PACKET, TS_SETS_BYTES, TS_TABLES};
use crate::media::Remux;
use proptest::prelude::*;

const AVC: &[u8] = b"\x17\0\0\0\0\x01\x42\0\x1E\xFF\xE1\0\x03\x67AB\x01\0\x02\x68C";
const AAC: &[u8] = b"\xAF\0\x11\x90";
const VIDEO: u16 = 0x100;
const AUDIO: u16 = 0x101;
/// The constant in units of 90 kHz.
const LEAD: u64 = 9000;
const TURN: u64 = 1 << 33;

fn video(at: u32, is_key: bool, composition: i32, size: usize) -> Vec<u8> {
    let mut tag = Vec::new();
    let [_, hi, mid, lo] = composition.to_be_bytes();
    let start = [if is_key { 0x17 } else { 0x27 }, 1, hi, mid, lo];
    let unit: Vec<u8> = (0..size).map(|n| n as u8 | 1).collect();
    let length = (size as u32 + 1).to_be_bytes();
    let first = [if is_key { 0x65 } else { 0x41 }];
    put_tag(&mut tag, TagKind::Video, at, &[&start, &length, &first, &unit]);
    tag
}

fn sound(at: u32) -> Vec<u8> {
    let mut tag = Vec::new();
    put_tag(&mut tag, TagKind::Audio, at, &[b"\xAF\x01", &[0x55; 150]]);
    tag
}

fn plain(kind: TagKind, at: u32, data: &[u8]) -> Vec<u8> {
    let mut tag = Vec::new();
    put_tag(&mut tag, kind, at, &[data]);
    tag
}

fn headers() -> Vec<u8> {
    [plain(TagKind::Video, 0, AVC), plain(TagKind::Audio, 0, AAC)].concat()
}

/// `pictures` from `from` on, 25 a second, a key each second, and sounds.
fn film(from: u32, pictures: u32) -> Vec<u8> {
    let mut bytes = headers();
    for n in 0..pictures {
        let at = from.wrapping_add(40 * n);
        let composition = [40, 120, 0, -40][n as usize % 4];
        bytes.extend(video(at, n % 25 == 0, composition, (n as usize * 37) % 900));
        bytes.extend(sound(at.wrapping_add(3)));
        bytes.extend(sound(at.wrapping_add(24)));
    }
    bytes
}

fn remux() -> Remux {
    Remux::between(Kind::Flv, Container::Ts).expect("there is such a way")
}

fn remuxed(flv: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    remux().handle_bytes(flv, &mut out);
    out
}

/// A packet, read.
struct Packet<'a> {
    pid: u16,
    starts: bool,
    counter: u8,
    discontinuity: bool,
    random_access: bool,
    pcr: Option<u64>,
    payload: &'a [u8],
}

impl<'a> Packet<'a> {
    fn read(bytes: &'a [u8]) -> Self {
        assert_eq!((bytes[0], bytes[1] & 0xA0, bytes[3] & 0xC0), (0x47, 0, 0));
        let field = if bytes[3] & 0x20 != 0 { &bytes[5..][..usize::from(bytes[4])] } else { &[] };
        let behind = 4 + if bytes[3] & 0x20 != 0 { 1 + field.len() } else { 0 };
        let payload = if bytes[3] & 0x10 != 0 { &bytes[behind..] } else { &[] };
        assert!(bytes[3] & 0x10 != 0 || behind == TS_PACKET, "no payload, and stuffed to the end");
        let flags = field.first().copied().unwrap_or(0);
        let pcr = (flags & 0x10 != 0).then(|| {
            let bits = field[1..7].iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte));
            assert_eq!(bits & 0x7FFF, 0x7E00, "reserved bits, and no extension");
            bits >> 15
        });
        let stuffing = if pcr.is_some() { 7 } else { 1 };
        assert!(field.iter().skip(stuffing).all(|byte| *byte == 0xFF));
        Self {
            pid: u16::from_be_bytes([bytes[1] & 0x1F, bytes[2]]),
            starts: bytes[1] & 0x40 != 0,
            counter: bytes[3] & 0x0F,
            discontinuity: flags & 0x80 != 0,
            random_access: flags & 0x40 != 0,
            pcr,
            payload,
        }
    }

    fn all(ts: &'a [u8]) -> Vec<Self> {
        assert!(ts.len().is_multiple_of(TS_PACKET));
        ts.chunks(TS_PACKET).map(Self::read).collect()
    }
}

/// A PES, put together.
#[derive(Debug, PartialEq, Eq)]
struct Pes {
    pid: u16,
    pts: u64,
    dts: u64,
    random_access: bool,
    /// The clock when its first packet comes.
    clock: Option<u64>,
    data: Vec<u8>,
}

fn stamp(bytes: &[u8]) -> u64 {
    assert_eq!((bytes[0] & 1, bytes[2] & 1, bytes[4] & 1), (1, 1, 1), "marker bits");
    let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(|at| u64::from(bytes[at]));
    (a & 0x0E) << 29 | b << 22 | (c & 0xFE) << 14 | d << 7 | e >> 1
}

/// Reads a whole TS and checks what holds of every one.
fn read(ts: &[u8]) -> Vec<Pes> {
    let mut units: Vec<Pes> = Vec::new();
    let mut lengths = Vec::new();
    let mut counters = std::collections::BTreeMap::new();
    let mut clock = None;
    for packet in Packet::all(ts) {
        let next = counters.entry(packet.pid).or_insert(packet.counter);
        if packet.payload.is_empty() {
            assert_eq!(packet.counter, (*next + 15) & 15, "no payload, no count");
        } else {
            assert_eq!(packet.counter, *next);
            *next = (*next + 1) & 15;
        }
        clock = packet.pcr.or(clock);
        if packet.pid != VIDEO && packet.pid != AUDIO || packet.payload.is_empty() {
            continue;
        }
        if !packet.starts {
            let unit = units.iter_mut().rev().find(|unit| unit.pid == packet.pid);
            unit.expect("a start").data.extend_from_slice(packet.payload);
            continue;
        }
        let payload = packet.payload;
        assert_eq!(payload[..3], [0, 0, 1]);
        assert_eq!(payload[3], if packet.pid == VIDEO { 0xE0 } else { 0xC0 });
        lengths.push(u16::from_be_bytes([payload[4], payload[5]]));
        let pts = stamp(&payload[9..]);
        let dts = if payload[7] == 0xC0 { stamp(&payload[14..]) } else { pts };
        let data = payload[9 + usize::from(payload[8])..].to_vec();
        let random_access = packet.random_access;
        units.push(Pes { pid: packet.pid, pts, dts, random_access, clock, data });
    }
    for (unit, length) in units.iter().zip(lengths) {
        let header = if unit.dts == unit.pts { 8 } else { 13 };
        let whole = if unit.pid == VIDEO { 0 } else { unit.data.len() + header };
        assert_eq!(usize::from(length), whole, "{unit:?}");
        let behind = unit.clock.map(|clock| unit.dts.wrapping_sub(clock) % TURN);
        assert!(behind.is_none_or(|behind| behind < 2 * LEAD), "decoded after it is due: {unit:?}");
    }
    units
}

#[test]
fn pictures_and_sounds_keep_order_times_and_bytes() {
    let units = read(&remuxed(&film(1000, 60)));
    assert_eq!(units.len(), 180);
    for (n, unit) in units.chunks(3).enumerate() {
        let at = (1000 + 40 * n as u64) * 90 + LEAD;
        let composition = [40, 120, 0, -40][n % 4] * 90;
        assert_eq!((unit[0].dts, unit[0].pts), (at, at.wrapping_add_signed(composition)));
        assert_eq!((unit[1].dts, unit[2].dts), (at + 3 * 90, at + 24 * 90));
        let is_key = n.is_multiple_of(25);
        assert_eq!(unit[0].random_access, is_key);
        let start: &[u8] = if is_key {
            b"\0\0\0\x01\x09\xF0\0\0\0\x01\x67AB\0\0\0\x01\x68C\0\0\0\x01\x65"
        } else {
            b"\0\0\0\x01\x09\xF0\0\0\0\x01\x41"
        };
        assert!(unit[0].data.starts_with(start), "{n}");
        assert_eq!(unit[0].data.len(), start.len() + n * 37 % 900);
        assert_eq!(unit[1].data[..7], [0xFF, 0xF1, 0x4C, 0x80, 0x13, 0xBF, 0xFC]);
        assert_eq!(unit[1].data[7..], [0x55; 150]);
    }
}

/// Sizes around those at which a packet is just full or just not.
#[test]
fn every_size_is_stuffed_right() {
    for size in 0..400 {
        for (is_key, composition) in [(false, 0), (true, 40), (false, 40)] {
            let flv = [headers(), video(0, is_key, composition, size)].concat();
            let units = read(&remuxed(&flv));
            assert!(units[0].data.len() > size && units[0].data.len() < size + 50);
            let unit: Vec<u8> = (0..size).map(|n| n as u8 | 1).collect();
            assert!(units[0].data.ends_with(&unit));
        }
    }
}

#[test]
fn milliseconds_and_90_khz_wrap_together() {
    for from in [u32::MAX - 1000, ((TURN / 90) as u32).wrapping_sub(900), 0] {
        let ts = remuxed(&film(from, 60));
        let units = read(&ts);
        let videos: Vec<u64> =
            units.iter().filter(|unit| unit.pid == VIDEO).map(|unit| unit.dts).collect();
        assert_eq!(videos.len(), 60);
        for pair in videos.windows(2) {
            assert_eq!(pair[1].wrapping_sub(pair[0]) % TURN, 40 * 90, "no drift across a wrap");
        }
        assert!(Packet::all(&ts).iter().all(|packet| !packet.discontinuity));
    }
}

fn pcrs(ts: &[u8]) -> Vec<(u64, bool)> {
    let all = Packet::all(ts);
    all.iter().filter_map(|packet| Some((packet.pcr?, packet.discontinuity))).collect()
}

/// PCRs at most 100 ms apart and never going back, unless they say so.
fn assert_clock(ts: &[u8]) {
    for pair in pcrs(ts).windows(2) {
        let step = pair[1].0.wrapping_sub(pair[0].0) % TURN;
        assert!(pair[1].1 || step <= TS_CLOCK.as_millis() as u64 * 90, "{pair:?}");
    }
}

#[test]
fn the_clock_is_told_in_time_whatever_the_rate() {
    assert_clock(&remuxed(&film(0, 100)));
    // Three pictures a second, with sound and without.
    for sounds in [true, false] {
        let mut flv = headers();
        for n in 0..10 {
            flv.extend(video(n * 333, n == 0, 0, 100));
            let times = (n * 333..(n + 1) * 333).step_by(23);
            times.filter(|_| sounds).for_each(|at| flv.extend(sound(at)));
        }
        let ts = remuxed(&flv);
        assert_clock(&ts);
        assert_eq!(pcrs(&ts).last().map(|pcr| pcr.0 >= 2997 * 90), Some(true));
        read(&ts);
    }
    // Sound alone has the clock itself, and each is a place to start.
    let sounds: Vec<u8> = (0..50).flat_map(|n| sound(n * 21)).collect();
    let ts = remuxed(&[plain(TagKind::Audio, 0, AAC), sounds].concat());
    assert_eq!(pcrs(&ts).len(), 50);
    assert!(read(&ts).iter().all(|unit| unit.random_access && unit.pid == AUDIO));
}

#[test]
fn sound_that_is_late_sets_no_clock_back() {
    let mut flv = headers();
    for n in 0..20u32 {
        flv.extend(sound(100 + n * 40));
        flv.extend(video(20 + n * 40, n == 0, 0, 10));
    }
    let ts = remuxed(&flv);
    let pcrs = pcrs(&ts);
    assert!(pcrs.windows(2).all(|pair| pair[0].0 <= pair[1].0 && !pair[1].1), "{pcrs:?}");
    read(&ts);
}

#[test]
fn another_clock_is_announced() {
    let flv = [film(50_000, 10), film(200, 10), film(9_000, 10)].concat();
    let flags: Vec<u64> =
        pcrs(&remuxed(&flv)).into_iter().filter(|pcr| pcr.1).map(|pcr| pcr.0).collect();
    assert_eq!(flags, [200 * 90, 9000 * 90]);
}

/// A PMT: its version, the PID of the PCR, and each stream's type and PID.
type Pmt = (u8, u16, Vec<(u8, u16)>);

fn pmts(ts: &[u8]) -> Vec<Pmt> {
    let mut found = Vec::new();
    for packet in Packet::all(ts).iter().filter(|packet| packet.pid == 0x1000) {
        let section = &packet.payload[1..];
        let length = 3 + usize::from(section[2]);
        assert_eq!(crate::framing::crc32(&section[..length]), 0);
        assert!(section[length..].iter().all(|byte| *byte == 0xFF));
        let pid = |at: usize| u16::from_be_bytes([section[at] & 0x1F, section[at + 1]]);
        let streams = (12..length - 4).step_by(5).map(|at| (section[at], pid(at + 1))).collect();
        found.push((section[5] >> 1 & 0x1F, pid(8), streams));
    }
    found
}

#[test]
fn tables_come_first_and_often_and_grow_with_the_programme() {
    let mut flv = plain(TagKind::Audio, 0, AAC);
    (0..10).for_each(|n| flv.extend(sound(n * 20)));
    flv.extend(headers());
    (5..10).for_each(|n| flv.extend(video(n * 40, n == 5, 0, 10)));
    let ts = remuxed(&flv);
    let all = pmts(&ts);
    assert_eq!(all[0], (0, AUDIO, vec![(0x0F, AUDIO)]));
    assert_eq!(all[1], (1, VIDEO, vec![(0x1B, VIDEO), (0x0F, AUDIO)]));
    assert_eq!(all.len(), 2, "the same headers again change nothing");
    let ts = remuxed(&film(0, 100));
    let (mut newest, mut since) = (0, 0);
    for packet in Packet::all(&ts) {
        newest = packet.pcr.map_or(newest, |pcr| pcr / 90);
        if packet.pid == 0x1000 {
            since = newest;
        }
        assert!(newest - since < TS_TABLES.as_millis() as u64 + 40);
    }
    assert_eq!(Packet::all(&ts)[0].pid, 0);
}

/// Our own framing finds a join point at each key picture.
#[test]
fn a_subscriber_can_join_at_each_key_picture() {
    let ts = remuxed(&film(0, 100));
    let mut framing = Framing::new(Kind::Ts, Transport::Bytes);
    let mut marks = Marks { room: 10_000, ..Marks::default() };
    let now = crate::base::Instant::ZERO;
    let step = framing.step(&ts, crate::base::Position::ZERO, now, &mut marks);
    assert_eq!(step.map(|step| (step.skip, step.keep)), Ok((0, ts.len())));
    assert_eq!(marks.joins.len(), 4);
    for join in &marks.joins {
        let first = Packet::read(&ts[join.position.0 as usize..][..TS_PACKET]);
        assert!(first.pid == VIDEO && first.random_access);
        assert_eq!(join.fresh.len(), 2 * TS_PACKET);
    }
    assert_eq!(framing.stats(), crate::framing::FramingStats::default());
}

#[test]
fn after_a_gap_tables_come_first_and_half_a_tag_is_forgotten() {
    let mut remux = remux();
    let mut out = Vec::new();
    let first = film(0, 30);
    remux.handle_bytes(&first[..first.len() - 50], &mut out);
    let before = out.len();
    remux.gap();
    remux.handle_bytes(&film(5000, 30), &mut out);
    let rest = &out[before..];
    let pids: Vec<u16> = Packet::all(rest).iter().take(3).map(|packet| packet.pid).collect();
    assert_eq!(pids, [0, 0x1000, VIDEO]);
    assert!(pcrs(rest)[0].1, "the clock has moved on");
    assert_eq!(read(&out).len(), 30 * 3 - 1 + 30 * 3, "continuity is kept across it");
    // What is no FLV is nothing, up to the next gap.
    let len = out.len();
    remux.handle_bytes(b"\x47\0\0", &mut out);
    remux.handle_bytes(&film(9000, 2), &mut out);
    assert_eq!(out.len(), len);
    remux.gap();
    remux.handle_bytes(&[b"FLV\x01\x05\0\0\0\x09\0\0\0\0", &film(9000, 2)[..]].concat(), &mut out);
    assert!(out.len() > len);
}

#[test]
fn what_has_no_place_in_a_ts_is_left_out_and_named() {
    let foreign = |kind, data: &[u8]| {
        let mut remux = remux();
        let mut out = Vec::new();
        remux.handle_bytes(&plain(kind, 0, data), &mut out);
        assert!(out.is_empty());
        remux.unsupported()
    };
    for (kind, data, name) in [
        (TagKind::Video, &b"\x90av01record"[..], "av01"),
        (TagKind::Video, b"\x91vp\n9frame", "vp\\n9"),
        (TagKind::Video, b"\x12frame", "FLV video codec 2"),
        (TagKind::Audio, b"\x90Opushead", "Opus"),
        (TagKind::Audio, b"\xB2frame", "FLV sound format 11"),
        (TagKind::Audio, b"\xAF\0\xF8\xE6\x40", "AAC that has no ADTS header"),
    ] {
        assert_eq!(foreign(kind, data).as_deref(), Some(name));
    }
    for (kind, data) in [
        (TagKind::Script, &b"\x02\0\x0AonMetaData"[..]),
        (TagKind::Video, b"\x57\0"),
        (TagKind::Video, b"\x96\x00av01\x01another track"),
        (TagKind::Audio, b"\xAF\x01no header yet"),
        (TagKind::Video, b"\x17\x01\0\0\0no header yet"),
    ] {
        assert_eq!(foreign(kind, data), None);
    }
}

#[test]
fn enhanced_tags_are_the_same_as_those_before_them() {
    let record = &AVC[5..];
    let unit = b"\0\0\0\x03\x65xy";
    let old = [
        plain(TagKind::Video, 0, AVC),
        plain(TagKind::Audio, 0, AAC),
        plain(TagKind::Video, 0, &[b"\x17\x01\0\0\x28", &unit[..]].concat()),
        plain(TagKind::Audio, 7, b"\xAF\x01sound"),
    ];
    let new = [
        plain(TagKind::Video, 0, &[b"\x90avc1", record].concat()),
        plain(TagKind::Audio, 0, b"\x90mp4a\x11\x90"),
        plain(TagKind::Video, 0, &[b"\x91avc1\0\0\x28", &unit[..]].concat()),
        plain(TagKind::Audio, 7, b"\x91mp4asound"),
    ];
    // With a modifier, and as one track of many whose length is told.
    let wrapped = [
        plain(TagKind::Video, 0, &[b"\x97\x02\0\0\0\x00avc1", record].concat()),
        new[1].clone(),
        plain(
            TagKind::Video,
            0,
            &[b"\x96\x11avc1\0\0\0\x0A\0\0\x28", &unit[..], b"\x01other"].concat(),
        ),
        plain(TagKind::Audio, 7, b"\x95\x01mp4a\0sound"),
    ];
    let expected = remuxed(&old.concat());
    assert_eq!(read(&expected).len(), 2);
    assert_eq!(remuxed(&new.concat()), expected);
    assert_eq!(remuxed(&wrapped.concat()), expected);
    // Without a composition time it is 0.
    let plain_time = plain(TagKind::Video, 0, &[b"\x93avc1", &unit[..]].concat());
    let units = read(&remuxed(&[new[0].clone(), plain_time].concat()));
    assert_eq!(units[0].dts, units[0].pts);
}

/// A sequence header of H.264 whose sets have so many bytes, start codes included.
fn avc_of(bytes: usize) -> Vec<u8> {
    let set = vec![0x67; bytes - 4 - 6];
    let length = (set.len() as u16).to_be_bytes();
    let parts = [&AVC[..11], &length[..], &set, b"\x01\0\x02\x68C"];
    plain(TagKind::Video, 0, &parts.concat())
}

#[test]
fn a_header_of_too_many_sets_is_left_out_and_named() {
    let pictures = [video(0, true, 0, 10), sound(3)].concat();
    let of = |bytes| {
        let mut remux = remux();
        let mut out = Vec::new();
        let flv = [headers(), avc_of(bytes), pictures.clone()].concat();
        remux.handle_bytes(&flv, &mut out);
        let videos = read(&out).iter().filter(|unit| unit.pid == VIDEO).count();
        (videos, remux.unsupported())
    };
    assert_eq!(of(TS_SETS_BYTES), (1, None));
    let name = "H.264 with more than 8192 bytes of parameter sets";
    assert_eq!(of(TS_SETS_BYTES + 1), (0, Some(name.to_owned())), "not with the sets before");
}

/// Tiny key pictures behind as many sets as there may be: those are paid for.
#[test]
fn no_more_sets_are_put_in_than_tags_came() {
    let key = |at| plain(TagKind::Video, at, b"\x17\x01\0\0\0\0\0\0\x02\x65x");
    let keys: Vec<u8> = (0..7000).flat_map(key).collect();
    let flv = [avc_of(TS_SETS_BYTES), keys].concat();
    let ts = remuxed(&flv);
    let units = read(&ts);
    assert_eq!(units.len(), 7000);
    let whole = |unit: &&Pes| unit.data.len() > TS_SETS_BYTES;
    let starts = units.iter().filter(whole).count();
    let most = (flv.len() + TS_OWED_BYTES) / TS_SETS_BYTES + 1;
    assert!((most - 2..=most).contains(&starts), "{starts} of {most}");
    assert!(units.iter().all(|unit| unit.random_access == whole(&unit)), "or none begins there");
    assert!(ts.len() <= 12 * flv.len() + 3 * TS_OWED_BYTES, "{} of {}", ts.len(), flv.len());
    // Pictures of a usual size have theirs.
    let film: Vec<u8> = (0..50).flat_map(|n| video(n, true, 0, TS_SETS_BYTES)).collect();
    let units = read(&remuxed(&[avc_of(TS_SETS_BYTES), film].concat()));
    assert!(units.iter().all(|unit| unit.random_access));
}

/// A source with bytes changed, lost and doubled.
fn damaged(mut bytes: Vec<u8>, changes: &[(usize, u8, u8)]) -> Vec<u8> {
    for (at, how, with) in changes {
        if bytes.is_empty() {
            break;
        }
        let at = at % bytes.len();
        match how % 5 {
            0 | 1 => bytes[at] = *with,
            2 => drop(bytes.drain(at..(at + usize::from(*with)).min(bytes.len()))),
            3 => bytes.truncate(at),
            _ => bytes.insert(at, *with),
        }
    }
    bytes
}

fn pieces(bytes: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut remux = remux();
    let mut out = Vec::new();
    let mut rest = bytes;
    for size in sizes.iter().cycle() {
        let (piece, next) = rest.split_at(rest.len().min(*size));
        remux.handle_bytes(piece, &mut out);
        rest = next;
        if rest.is_empty() {
            break;
        }
    }
    remux.finish(&mut out);
    out
}

/// How many cases: few in a test of the whole, `FUZZ_CASES` for more.
fn cases() -> ProptestConfig {
    let asked = std::env::var("FUZZ_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(asked.unwrap_or(300)) }
}

proptest! {
    #![proptest_config(cases())]

    /// Whatever comes, in whatever pieces, becomes whole packets, the same ones,
    /// and not many more bytes than came.
    #[test]
    fn any_split_of_anything_gives_the_same_packets(
        from: u32,
        changes in prop::collection::vec(any::<(usize, u8, u8)>(), 0..12),
        sizes in prop::collection::vec(1usize..900, 1..20),
    ) {
        let bytes = damaged(film(from, 30), &changes);
        let whole = remuxed(&bytes);
        prop_assert!(whole.len() <= 16 * bytes.len() + 4096, "{} of {}", whole.len(), bytes.len());
        prop_assert!(whole == pieces(&bytes, &sizes));
        prop_assert!(whole == pieces(&bytes, &[1]));
        Packet::all(&whole);
    }

    /// Tags that are whole, of any data.
    #[test]
    fn no_tag_makes_it_stumble(
        tags in prop::collection::vec(
            (0u8..3, any::<u32>(), 0usize..12, prop::collection::vec(any::<u8>(), 0..300)),
            0..30,
        ),
    ) {
        let mut flv = headers();
        for (kind, at, start, data) in tags {
            let starts: [&[u8]; 12] = [
                b"", AVC, AAC, b"\x17\x01\0\0\0", b"\x27\x01\0\0\x28", b"\x1C\0\0\0\0", b"\x90hvc1",
                b"\x91hvc1", b"\x96\x10hvc1", b"\xAF\0", b"\xAF\x01", b"\x2F\xFF\xFB",
            ];
            let kind = [TagKind::Audio, TagKind::Video, TagKind::Script][usize::from(kind)];
            put_tag(&mut flv, kind, at, &[starts[start], &data]);
        }
        let mut remux = remux();
        let mut out = Vec::new();
        remux.handle_bytes(&flv, &mut out);
        remux.gap();
        remux.handle_bytes(&flv, &mut out);
        Packet::all(&out);
    }
}
