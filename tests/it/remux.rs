//! FLV into MPEG-TS, with a clip that ffmpeg made: every NAL unit and every
//! frame of sound is in the TS, in order and at its time.

use crate::film::PACKET;
use nearlight::framing::flv::{HEAD_BYTES, TAIL_BYTES, TagHead, TagKind};
use nearlight::framing::{Container, Kind};
use nearlight::media::Remux;

/// How it was made stands beside it.
pub(crate) const CLIP: &[u8] = include_bytes!("clips/h264-aac.flv");
pub(crate) const FILE_HEADER: usize = 13;
const VIDEO: u16 = 0x100;
const AUDIO: u16 = 0x101;
/// ADTS header without a checksum.
const ADTS: usize = 7;

/// One picture or sound, with its times in units of 90 kHz.
#[derive(Debug, PartialEq, Eq)]
struct Unit {
    kind: TagKind,
    dts: i64,
    pts: i64,
    /// NAL units, or a frame of sound.
    parts: Vec<Vec<u8>>,
}

/// The clip's units, from its tags.
fn sent() -> Vec<Unit> {
    let mut rest = &CLIP[FILE_HEADER..];
    let mut units = Vec::new();
    while let Some(head) = rest.first_chunk().and_then(TagHead::parse) {
        let (tag, next) = rest.split_at(head.whole());
        rest = next;
        let dts = i64::from(head.timestamp) * 90;
        let mut pts = dts;
        let parts = match &tag[HEAD_BYTES..tag.len() - TAIL_BYTES] {
            [0x17 | 0x27, 1, hi, mid, lo, units @ ..] => {
                pts += i64::from(i32::from_be_bytes([*hi, *mid, *lo, 0]) >> 8) * 90;
                lengthy(units)
            }
            [0xAE | 0xAF, 1, frame @ ..] => vec![frame.to_vec()],
            _header => continue,
        };
        units.push(Unit { kind: head.kind, dts, pts, parts });
    }
    units
}

/// Units with 32 bits of length before each.
fn lengthy(mut rest: &[u8]) -> Vec<Vec<u8>> {
    let mut units = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk() {
        let (unit, next) = behind.split_at(u32::from_be_bytes(*length) as usize);
        units.push(unit.to_vec());
        rest = next;
    }
    units
}

/// Units behind start codes of 4 bytes.
fn started(bytes: &[u8]) -> Vec<Vec<u8>> {
    let starts: Vec<usize> =
        (0..bytes.len()).filter(|at| bytes[*at..].starts_with(&[0, 0, 0, 1])).collect();
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    starts.iter().zip(ends).map(|(start, end)| bytes[start + 4..end].to_vec()).collect()
}

fn stamp(bytes: &[u8]) -> i64 {
    let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(|at| i64::from(bytes[at]));
    (a & 0x0E) << 29 | b << 22 | (c & 0xFE) << 14 | d << 7 | e >> 1
}

/// The units of a TS: delimiters and parameter sets left out, of pictures; and
/// whether those were there where a decoder needs them.
fn got(ts: &[u8]) -> Vec<Unit> {
    let mut pes: Vec<(u16, Vec<u8>)> = Vec::new();
    for packet in ts.chunks(PACKET) {
        let pid = u16::from_be_bytes([packet[1] & 0x1F, packet[2]]);
        let field = if packet[3] & 0x20 == 0 { 0 } else { 1 + usize::from(packet[4]) };
        if packet[3] & 0x10 == 0 || !matches!(pid, VIDEO | AUDIO) {
            continue;
        }
        if packet[1] & 0x40 != 0 {
            pes.push((pid, Vec::new()));
        }
        let unit = pes.iter_mut().rev().find(|unit| unit.0 == pid).expect("it has begun");
        unit.1.extend_from_slice(&packet[4 + field..]);
    }
    let unit = |(pid, bytes): (u16, Vec<u8>)| {
        let pts = stamp(&bytes[9..]);
        let dts = if bytes[7] == 0xC0 { stamp(&bytes[14..]) } else { pts };
        let data = &bytes[9 + usize::from(bytes[8])..];
        if pid == AUDIO {
            return Unit { kind: TagKind::Audio, dts, pts, parts: vec![data[ADTS..].to_vec()] };
        }
        let mut parts = started(data);
        let types: Vec<u8> = parts.iter().map(|part| part[0] & 0x1F).collect();
        let expected: &[u8] = if types.contains(&5) { &[9, 7, 8] } else { &[9] };
        assert!(types.starts_with(expected), "{types:?}");
        parts.drain(..expected.len());
        Unit { kind: TagKind::Video, dts, pts, parts }
    };
    pes.into_iter().map(unit).collect()
}

#[test]
fn every_unit_of_a_clip_is_in_the_ts_in_order_and_at_its_time() {
    let mut remux = Remux::between(Kind::Flv, Container::Ts).expect("there is such a way");
    let mut ts = Vec::new();
    CLIP.chunks(100).for_each(|piece| remux.handle_bytes(piece, &mut ts));
    remux.finish(&mut ts);
    let sent = sent();
    let pictures = sent.iter().filter(|unit| unit.kind == TagKind::Video).count();
    assert_eq!((pictures, sent.len() > 130), (50, true));
    assert!(sent.iter().any(|unit| unit.pts > unit.dts + 90 * 40), "it has B-frames");
    assert!(is_clip(&ts), "other units");
}

/// Whether a TS has all units of the clip and no others, each at its time.
pub(crate) fn is_clip(ts: &[u8]) -> bool {
    let (sent, mut got) = (sent(), got(ts));
    let offset = got.first().map_or(0, |first| first.dts) - sent[0].dts;
    for unit in &mut got {
        (unit.dts, unit.pts) = (unit.dts - offset, unit.pts - offset);
    }
    got == sent
}
