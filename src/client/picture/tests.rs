//! The generated stream against an independent reading of the standards.

use super::*;
use crate::limits::TS_PACKET;
use std::collections::BTreeMap;

/// What a demultiplexer would know, found by walking the packets once.
#[derive(Default)]
struct Checker {
    next_cc: BTreeMap<u16, u8>,
    pmt_pid: Option<u16>,
    video_pid: Option<u16>,
    last_pcr: Option<u64>,
    pts: Vec<u64>,
    random_access: Vec<u64>,
    /// PCR of the picture that PAT and PMT were seen before last; none before
    /// the first picture.
    tables_at: [Option<u64>; 2],
    units: Vec<Vec<u8>>,
}

impl Checker {
    fn walk(&mut self, stream: &[u8]) {
        assert_eq!(stream.len() % TS_PACKET, 0);
        for packet in stream.chunks_exact(TS_PACKET) {
            self.packet(packet);
        }
    }

    fn packet(&mut self, packet: &[u8]) {
        assert_eq!(packet[0], 0x47, "sync");
        assert_eq!(packet[1] & 0x80, 0, "transport error");
        assert_eq!(packet[3] & 0xc0, 0, "scrambled");
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let start = packet[1] & 0x40 != 0;
        assert_ne!(packet[3] & 0x10, 0, "all our packets have payload");
        let cc = packet[3] & 15;
        if let Some(expected) = self.next_cc.insert(pid, (cc + 1) & 15) {
            assert_eq!(cc, expected, "continuity of PID {pid:#x}");
        }
        let mut payload = &packet[4..];
        let mut random = false;
        if packet[3] & 0x20 != 0 {
            let (field, rest) = payload[1..].split_at(usize::from(payload[0]));
            if let Some(flags) = field.first() {
                random = flags & 0x40 != 0;
                if flags & 0x10 != 0 {
                    self.pcr(pid, &field[1..7]);
                }
            }
            payload = rest;
        }
        match pid {
            0 => self.pat(section(payload, start)),
            _ if Some(pid) == self.pmt_pid => self.pmt(section(payload, start)),
            _ => {
                assert_eq!(Some(pid), self.video_pid, "PID unheard of");
                self.pes(payload, start, random);
            }
        }
    }

    fn pcr(&mut self, pid: u16, field: &[u8]) {
        assert_eq!(Some(pid), self.video_pid);
        let base = field[..4].iter().fold(0, |n, &b| n << 8 | u64::from(b)) << 1
            | u64::from(field[4] >> 7);
        assert_eq!((field[4] & 1, field[5]), (0, 0), "no extension");
        if let Some(last) = self.last_pcr {
            let step = base.wrapping_sub(last) & PCR_MASK;
            assert!((1..=3600).contains(&step), "PCR every 40 ms, not {step}");
        }
        self.last_pcr = Some(base);
        for at in self.tables_at.into_iter().flatten() {
            let age = base.wrapping_sub(at) & PCR_MASK;
            assert!(age <= 9000, "PAT, PMT every 100 ms, not {age}");
        }
    }

    fn next_pcr(&self) -> Option<u64> {
        self.last_pcr.map(|pcr| (pcr + 3600) & PCR_MASK)
    }

    fn pat(&mut self, section: &[u8]) {
        assert_eq!(section[0], 0);
        assert_eq!(section.len(), 16);
        self.pmt_pid = Some(u16::from_be_bytes([section[10] & 0x1f, section[11]]));
        self.tables_at[0] = self.next_pcr();
    }

    fn pmt(&mut self, section: &[u8]) {
        assert_eq!(section[0], 2);
        assert_eq!(section[12], 0x1b, "H.264");
        let pcr_pid = u16::from_be_bytes([section[8] & 0x1f, section[9]]);
        self.video_pid = Some(u16::from_be_bytes([section[13] & 0x1f, section[14]]));
        assert_eq!(Some(pcr_pid), self.video_pid);
        self.tables_at[1] = self.next_pcr();
    }

    fn pes(&mut self, payload: &[u8], start: bool, random: bool) {
        if !start {
            self.units.last_mut().expect("a PES began").extend_from_slice(payload);
            return;
        }
        assert_eq!(payload[..4], [0, 0, 1, 0xe0]);
        assert_eq!(payload[4..6], [0, 0], "unbounded");
        assert_eq!(payload[7] >> 6, 0b10, "PTS and no DTS");
        let p: Vec<u64> = payload[9..14].iter().map(|&b| u64::from(b)).collect();
        assert_eq!((p[0] & 0xf1, p[2] & 1, p[4] & 1), (0x21, 1, 1), "marker bits");
        let pts = (p[0] >> 1 & 7) << 30 | p[1] << 22 | p[2] >> 1 << 15 | p[3] << 7 | p[4] >> 1;
        let ahead = pts.wrapping_sub(self.last_pcr.expect("PCR first")) & PCR_MASK;
        assert!((1..=90_000).contains(&ahead), "PTS {ahead} after PCR");
        if let Some(last) = self.pts.last() {
            assert_eq!(pts.wrapping_sub(*last) & PCR_MASK, 3600);
        }
        self.pts.push(pts);
        self.random_access.extend(random.then_some(self.pts.len() as u64 - 1));
        let data = 9 + usize::from(payload[8]);
        self.units.push(payload[data..].to_vec());
    }
}

/// The section without its CRC, which is checked: the CRC of a whole section
/// is zero.
fn section(payload: &[u8], start: bool) -> &[u8] {
    assert!(start);
    assert_eq!(payload[0], 0, "pointer_field");
    let length = usize::from(u16::from_be_bytes([payload[2] & 0x0f, payload[3]]));
    let section = &payload[1..4 + length];
    let mut register = u32::MAX;
    for bit in section.iter().flat_map(|b| (0..8).rev().map(move |n| b >> n & 1)) {
        let out = register >> 31 ^ u32::from(bit);
        register = register << 1 ^ (out * 0x04c1_1db7);
    }
    assert_eq!(register, 0, "CRC");
    assert!(payload[4 + length..].iter().all(|&b| b == 0xff));
    section
}

fn nal_types(unit: &[u8]) -> Vec<u8> {
    let starts = unit.windows(4).filter(|w| w[..3] == [0, 0, 1]);
    starts.map(|w| w[3] & 0x1f).collect()
}

/// Frames `from..from + count` of a running clock.
fn generate(detail: Detail, from: u64, count: u64) -> (Vec<u8>, Checker) {
    let mut picture = Picture::new(detail);
    let mut stream = Vec::new();
    for n in from..from + count {
        picture.frame(n, n * 40, &mut stream);
    }
    let mut checker = Checker::default();
    checker.walk(&stream);
    (stream, checker)
}

#[test]
fn full_stream_is_valid_and_holds_its_rate() {
    let (stream, checker) = generate(Detail::Full, 0, 250);
    let rate = stream.len() as u64 * 8 / 10;
    assert!((3_500_000..=4_500_000).contains(&rate), "{rate} bit/s");
    assert_eq!(checker.random_access, (0..10).map(|n| n * 25).collect::<Vec<_>>());
    for (n, unit) in checker.units.iter().enumerate() {
        let expected: &[u8] = if n % 25 == 0 { &[9, 7, 8, 5] } else { &[9, 1] };
        assert_eq!(nal_types(unit), expected, "picture {n}");
    }
}

#[test]
fn changes_alone_need_less() {
    let (stream, checker) = generate(Detail::Changes, 0, 250);
    let rate = stream.len() as u64 * 8 / 10;
    assert!((500_000..=1_800_000).contains(&rate), "{rate} bit/s");
    assert_eq!(checker.pts.len(), 250);
}

#[test]
fn a_still_clock_needs_next_to_nothing() {
    let mut picture = Picture::new(Detail::Changes);
    let mut stream = Vec::new();
    for n in 0..25 {
        stream.clear();
        picture.frame(n, 0, &mut stream);
    }
    assert_eq!(stream.len(), 3 * TS_PACKET, "tables and one packet");
}

#[test]
fn clock_of_the_stream_wraps_without_a_seam() {
    let wrap = (1u64 << 33) / FRAME_TICKS - 30;
    let (_, checker) = generate(Detail::Changes, wrap, 60);
    assert_eq!(checker.pts.len(), 60);
    assert!(checker.pts.windows(2).any(|pair| pair[1] < pair[0]));
    assert_eq!(checker.random_access[0], 0, "the first frame is an IDR");
}

#[test]
fn same_input_same_stream_and_no_growth() {
    let mut memory = 0;
    let mut one = Picture::new(Detail::Full);
    let mut other = Picture::new(Detail::Full);
    let (mut a, mut b) = (Vec::with_capacity(64 * 1024), Vec::new());
    for n in 0..60 {
        a.clear();
        b.clear();
        one.frame(n, n * 40, &mut a);
        other.frame(n, n * 40, &mut b);
        assert_eq!(a, b);
        if n == 0 {
            memory = one.unit.capacity();
        }
    }
    assert_eq!(one.unit.capacity(), memory, "the unit's buffer never grew");
    assert!(a.capacity() == 64 * 1024);
}

#[test]
fn samples_come_back_as_drawn() {
    let (_, checker) = generate(Detail::Full, 0, 1);
    let unit = &checker.units[0];
    let slice = unit.windows(4).position(|w| w == [0, 0, 1, 0x65]).expect("IDR");
    let mut canvas = Canvas::backdrop();
    canvas.draw(&Canvas::backdrop(), 0);
    let mut samples = [0; MB_SAMPLES];
    let mut at = slice + 4;
    for index in 0..MACROBLOCKS {
        canvas.macroblock(index, &mut samples);
        let found = unit[at..].windows(MB_SAMPLES).position(|w| w == samples);
        let gap = found.expect("macroblock in the slice");
        assert!(gap <= 4, "{gap} bytes between macroblocks");
        at += gap + MB_SAMPLES;
    }
    assert_eq!(unit[at..], [0x80], "stop bit, and nothing more");
}
