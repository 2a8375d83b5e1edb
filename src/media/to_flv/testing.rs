//! For tests: a multiplexer of MPEG-TS, and a reader of FLV that knows nothing
//! of the code under test.

use super::ToFlv;
use std::collections::BTreeMap;

pub(super) const PMT: u16 = 0x1000;
pub(super) const VIDEO: u16 = 0x100;
pub(super) const AUDIO: u16 = 0x101;

pub(super) const H264: u8 = 0x1B;
pub(super) const H265: u8 = 0x24;
pub(super) const AAC: u8 = 0x0F;
pub(super) const MPEG_AUDIO: u8 = 0x03;

/// Of x264: 64 x 48, baseline.
pub(super) const SPS: &[u8] = &[
    0x67, 0x42, 0xC0, 0x0A, 0xDA, 0x11, 0xEC, 0x04, 0x40, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00, 0x00,
    0x0C, 0xA3, 0xC4, 0x89, 0xA8,
];
pub(super) const PPS: &[u8] = &[0x68, 0xCE, 0x0F, 0xC8];

/// A packet.
pub(super) type Cell = [u8; 188];

/// How a PES tells where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Stated,
    Unstated,
}

/// Numbers packets and lays them out.
#[derive(Default)]
pub(super) struct Muxer {
    next: BTreeMap<u16, u8>,
}

impl Muxer {
    /// A packet with as much of `payload` as `most` allows, and the rest of it
    /// stuffed; `flags` are those of an adaptation field.
    pub(super) fn packet<'a>(
        &mut self,
        pid: u16,
        start: bool,
        flags: u8,
        most: usize,
        payload: &'a [u8],
    ) -> (Cell, &'a [u8]) {
        let counter = self.next.entry(pid).or_insert(0);
        let least = if flags == 0 { 0 } else { 2 };
        let (now, later) = payload.split_at(payload.len().min(most).min(184 - least));
        let field = 184 - now.len();
        let mut bytes = [0xFF; 188];
        bytes[0] = 0x47;
        bytes[1] = u8::from(start) << 6 | (pid >> 8) as u8;
        bytes[2] = pid as u8;
        bytes[3] = *counter | if field > 0 { 0x30 } else { 0x10 };
        if field > 0 {
            bytes[4] = field as u8 - 1;
        }
        if field > 1 {
            bytes[5] = flags;
        }
        bytes[4 + field..].copy_from_slice(now);
        *counter = (*counter + 1) & 15;
        (bytes, later)
    }

    /// PAT and PMT of one programme.
    pub(super) fn tables(&mut self, streams: &[(u8, u16)]) -> Vec<Cell> {
        let pat = section(0, &[0, 1, 0xE0 | (PMT >> 8) as u8, PMT as u8]);
        let mut pmt = vec![0xFF, 0xFF, 0xF0, 0];
        for &(kind, pid) in streams {
            pmt.extend([kind, 0xE0 | (pid >> 8) as u8, pid as u8, 0xF0, 0]);
        }
        let pmt = section(2, &pmt);
        [(0, pat), (PMT, pmt)].map(|(pid, bytes)| self.section(pid, &bytes)).into()
    }

    fn section(&mut self, pid: u16, section: &[u8]) -> Cell {
        let mut payload = vec![0];
        payload.extend(section);
        payload.resize(184, 0xFF);
        self.packet(pid, true, 0, 184, &payload).0
    }

    /// A PES of (PTS, DTS) in as few packets as it takes.
    pub(super) fn pes(
        &mut self,
        pid: u16,
        times: Option<(u64, u64)>,
        length: Length,
        data: &[u8],
    ) -> Vec<Cell> {
        let pes = pes(pid, times, length, data);
        self.cut(pid, &pes, 184)
    }

    /// A PES in packets of `most` bytes at most.
    pub(super) fn cut(&mut self, pid: u16, pes: &[u8], most: usize) -> Vec<Cell> {
        let (first, mut rest) = self.packet(pid, true, 0, most, pes);
        let mut packets = vec![first];
        while !rest.is_empty() {
            let (packet, left) = self.packet(pid, false, 0, most, rest);
            packets.push(packet);
            rest = left;
        }
        packets
    }

    /// Goes on counting as if so many packets had been sent.
    pub(super) fn lose(&mut self, pid: u16, packets: u8) {
        let counter = self.next.entry(pid).or_insert(0);
        *counter = (*counter + packets) & 15;
    }
}

pub(super) fn pes(pid: u16, times: Option<(u64, u64)>, length: Length, data: &[u8]) -> Vec<u8> {
    let stamp = |mark: u8, time: u64| {
        [
            mark << 4 | (time >> 29) as u8 & 0x0E | 1,
            (time >> 22) as u8,
            (time >> 14) as u8 | 1,
            (time >> 7) as u8,
            (time << 1) as u8 | 1,
        ]
    };
    let (flags, header) = match times {
        None => (0, vec![]),
        Some((pts, dts)) if pts == dts => (0x80, stamp(2, pts).to_vec()),
        Some((pts, dts)) => (0xC0, [stamp(3, pts), stamp(1, dts)].concat()),
    };
    let size = match length {
        Length::Stated => (3 + header.len() + data.len()) as u16,
        Length::Unstated => 0,
    };
    let id = if pid == AUDIO { 0xC0 } else { 0xE0 };
    let mut bytes = vec![0, 0, 1, id];
    bytes.extend(size.to_be_bytes());
    bytes.extend([0x80, flags, header.len() as u8]);
    bytes.extend(header);
    bytes.extend(data);
    bytes
}

fn section(table: u8, body: &[u8]) -> Vec<u8> {
    let length = 5 + body.len() + 4;
    let mut bytes = vec![table, 0xB0, length as u8, 0, 1, 0xC1, 0, 0];
    bytes.extend(body);
    let mut crc = u32::MAX;
    for byte in &bytes {
        crc ^= u32::from(*byte) << 24;
        for _ in 0..8 {
            crc = crc << 1 ^ if crc >> 31 == 1 { 0x04C1_1DB7 } else { 0 };
        }
    }
    bytes.extend(crc.to_be_bytes());
    bytes
}

/// An access unit of H.264 with a slice of `size` bytes, each of them `mark`.
pub(super) fn picture(key: bool, mark: u8, size: usize) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 1, 0x09, 0xF0];
    if key {
        for set in [SPS, PPS] {
            bytes.extend([0, 0, 0, 1]);
            bytes.extend(set);
        }
    }
    bytes.extend([0, 0, 1, if key { 0x65 } else { 0x41 }]);
    bytes.resize(bytes.len() + size, mark);
    bytes
}

/// What the tag of such a picture holds behind its first five bytes.
pub(super) fn body(key: bool, mark: u8, size: usize) -> Vec<u8> {
    let mut bytes = (size as u32 + 1).to_be_bytes().to_vec();
    bytes.push(if key { 0x65 } else { 0x41 });
    bytes.resize(bytes.len() + size, mark);
    bytes
}

/// A frame of AAC LC in ADTS, 48 kHz stereo, of `size` bytes of `mark`.
pub(super) fn adts(mark: u8, size: usize) -> Vec<u8> {
    let length = size + 7;
    let mut bytes = vec![0xFF, 0xF1, 0x4C, 0x80 | (length >> 11) as u8];
    bytes.extend([(length >> 3) as u8, (length << 5) as u8 | 0x1F, 0xFC]);
    bytes.resize(length, mark);
    bytes
}

/// A tag as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) kind: u8,
    pub(super) ms: u32,
    pub(super) data: Vec<u8>,
}

impl Tag {
    /// Presentation time of a picture of H.264.
    pub(super) fn shown(&self) -> i64 {
        let offset = i32::from_be_bytes([self.data[2], self.data[3], self.data[4], 0]) >> 8;
        i64::from(self.ms) + i64::from(offset)
    }

    pub(super) fn is_picture(&self) -> bool {
        self.kind == 9 && self.data[1] == 1
    }

    pub(super) fn is_sound(&self) -> bool {
        self.kind == 8 && self.data[1] == 1
    }
}

/// Reads an FLV of H.264 and AAC, and checks what must hold of any: whole tags,
/// sizes that agree, sequence headers first, the first picture a key frame,
/// lengths of NAL units that add up, and time that never goes back.
pub(super) fn read(flv: &[u8]) -> Vec<Tag> {
    if flv.is_empty() {
        return Vec::new();
    }
    assert_eq!(flv[..4], *b"FLV\x01");
    assert_eq!(flv[4] & !5, 0);
    assert_eq!(flv[5..13], [0, 0, 0, 9, 0, 0, 0, 0]);
    let mut tags = Vec::new();
    let mut rest = &flv[13..];
    while !rest.is_empty() {
        let size = u32::from_be_bytes([0, rest[1], rest[2], rest[3]]) as usize;
        let ms = u32::from_be_bytes([rest[7], rest[4], rest[5], rest[6]]);
        assert_eq!(rest[8..11], [0, 0, 0]);
        let data = rest[11..11 + size].to_vec();
        assert_eq!(rest[11 + size..15 + size], (11 + size as u32).to_be_bytes());
        tags.push(Tag { kind: rest[0], ms, data });
        rest = &rest[15 + size..];
    }
    check(&tags);
    tags
}

fn check(tags: &[Tag]) {
    let mut last: BTreeMap<u8, u32> = BTreeMap::new();
    let (mut video, mut pictures, mut audio) = (false, 0, false);
    assert!(tags.first().is_none_or(|tag| tag.kind == 18), "onMetaData is first");
    for tag in tags {
        let before = last.insert(tag.kind, tag.ms).unwrap_or(tag.ms);
        assert!(tag.ms.wrapping_sub(before) < 1 << 31, "{before} ms, then {}", tag.ms);
        match (tag.kind, &tag.data[..]) {
            (18, [2, 0, 10, ..]) | (8, [0x2E | 0x2F, _, ..]) => {}
            (9, [0x17, 0, 0, 0, 0, 1, ..]) => video = true,
            (9, [first @ (0x17 | 0x27), 1, _, _, _, units @ ..]) => {
                assert!(video && (pictures > 0 || *first == 0x17), "starts with a key frame");
                pictures += 1;
                let mut units = units;
                while !units.is_empty() {
                    let (length, after) = units.split_first_chunk::<4>().expect("a length");
                    let length = u32::from_be_bytes(*length) as usize;
                    assert!(length > 0 && !matches!(after[0] & 31, 7..=9));
                    units = &after[length..];
                }
            }
            (8, [0xAF, 0, _, _]) => audio = true,
            (8, [0xAF, 1, _, ..]) => assert!(audio, "starts with its sequence header"),
            (kind, data) => panic!("a tag of kind {kind}: {:02x?}", &data[..data.len().min(8)]),
        }
    }
}

/// All of a stream in one piece, and its end.
pub(super) fn remux(packets: &[Cell]) -> Vec<Tag> {
    let mut remux = ToFlv::new();
    let mut flv = Vec::new();
    remux.handle_bytes(packets.as_flattened(), &mut flv);
    remux.finish(&mut flv);
    read(&flv)
}

/// The same, cut into pieces of these sizes over and over.
pub(super) fn in_pieces(bytes: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut remux = ToFlv::new();
    let (mut flv, mut rest) = (Vec::new(), bytes);
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*size).clamp(1, rest.len()));
        remux.handle_bytes(piece, &mut flv);
        rest = after;
    }
    remux.finish(&mut flv);
    flv
}

pub(super) fn pictures(tags: &[Tag]) -> Vec<&Tag> {
    tags.iter().filter(|tag| tag.is_picture()).collect()
}

pub(super) fn sounds(tags: &[Tag]) -> Vec<&Tag> {
    tags.iter().filter(|tag| tag.is_sound()).collect()
}
