//! For tests: a small TS multiplexer, and a checker that knows nothing of the
//! code under test.

use crate::framing::testing::Rng;
use std::collections::{HashMap, VecDeque};

pub(super) const PMT: u16 = 0x1000;
pub(super) const VIDEO: u16 = 0x100;
pub(super) const AUDIO: u16 = 0x101;
pub(super) const SDT: u16 = 0x11;

pub(super) const H264: u8 = 0x1B;
pub(super) const H265: u8 = 0x24;
pub(super) const AAC: u8 = 0x0F;

/// `random_access_indicator`.
pub(super) const RANDOM: u8 = 0x40;
/// `discontinuity_indicator`.
pub(super) const JUMP: u8 = 0x80;

pub(super) type Packet = [u8; 188];

/// Numbers packets PID by PID and lays them out.
#[derive(Default)]
pub(super) struct Muxer {
    next: HashMap<u16, u8>,
}

impl Muxer {
    /// Sets what the next packet of `pid` with payload will count.
    pub(super) fn renumber(&mut self, pid: u16, counter: u8) {
        self.next.insert(pid, counter & 15);
    }

    /// One packet with as much of `payload` as fits behind an adaptation field
    /// that has `flags`, if any; answers the packet and what is left over.
    pub(super) fn packet<'a>(
        &mut self,
        pid: u16,
        start: bool,
        flags: Option<u8>,
        payload: &'a [u8],
    ) -> (Packet, &'a [u8]) {
        let counter = self.next.entry(pid).or_insert(0);
        let least_field = if flags.is_some() { 2 } else { 0 };
        let taken = payload.len().min(184 - least_field);
        let field = 184 - taken;
        let mut bytes = [0xFF; 188];
        bytes[0] = 0x47;
        bytes[1] = u8::from(start) << 6 | (pid >> 8) as u8;
        bytes[2] = pid as u8;
        bytes[3] = *counter | if field > 0 { 0x30 } else { 0x10 };
        if field > 0 {
            bytes[4] = (field - 1) as u8;
        }
        if field > 1 {
            bytes[5] = flags.unwrap_or(0);
        }
        bytes[4 + field..].copy_from_slice(&payload[..taken]);
        *counter = (*counter + 1) & 15;
        (bytes, &payload[taken..])
    }

    /// A packet without payload, which does not count.
    pub(super) fn empty(&mut self, pid: u16) -> Packet {
        let last = self.next.entry(pid).or_insert(0).wrapping_sub(1) & 15;
        let mut bytes = [0xFF; 188];
        let head = [0x47, (pid >> 8) as u8, pid as u8, 0x20 | last, 183, 0];
        bytes[..6].copy_from_slice(&head);
        bytes
    }

    /// A section in as many packets as it takes, `first` bytes in the first.
    pub(super) fn section(&mut self, pid: u16, section: &[u8], first: usize) -> Vec<Packet> {
        let (head, mut rest) = section.split_at(section.len().min(first));
        let mut payload = vec![0];
        payload.extend_from_slice(head);
        if rest.is_empty() {
            payload.resize(184, 0xFF);
        }
        let mut packets = vec![self.packet(pid, true, None, &payload).0];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(184));
            let mut payload = now.to_vec();
            payload.resize(184, 0xFF);
            packets.push(self.packet(pid, false, None, &payload).0);
            rest = later;
        }
        packets
    }

    /// A PAT of one programme.
    pub(super) fn pat(&mut self, programme: u16, pmt: u16) -> Vec<Packet> {
        let [high, low] = programme.to_be_bytes();
        let body = [high, low, 0xE0 | (pmt >> 8) as u8, pmt as u8];
        self.section(0, &section(0, 1, &body), 183)
    }

    /// The PMT of programme 1; the first stream's PID is the PCR's.
    pub(super) fn pmt(&mut self, streams: &[(u8, u16)]) -> Vec<Packet> {
        self.section(PMT, &pmt_section(streams), 183)
    }

    /// A PES in packets; `flags` in the first one's adaptation field.
    pub(super) fn pes(&mut self, pid: u16, flags: Option<u8>, es: &[u8]) -> Vec<Packet> {
        let kind = if pid == AUDIO { 0xC0 } else { 0xE0 };
        let mut pes = vec![0, 0, 1, kind, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1];
        pes.extend_from_slice(es);
        let (first, mut rest) = self.packet(pid, true, flags, &pes);
        let mut packets = vec![first];
        while !rest.is_empty() {
            let (packet, left) = self.packet(pid, false, None, rest);
            packets.push(packet);
            rest = left;
        }
        packets
    }
}

/// A section with a long header and its checksum.
pub(super) fn section(table: u8, extension: u16, body: &[u8]) -> Vec<u8> {
    let length = 5 + body.len() + 4;
    let mut bytes = vec![table, 0xB0 | (length >> 8) as u8, length as u8];
    bytes.extend_from_slice(&extension.to_be_bytes());
    bytes.extend_from_slice(&[0xC1, 0, 0]);
    bytes.extend_from_slice(body);
    let mut crc = u32::MAX;
    for byte in &bytes {
        crc ^= u32::from(*byte) << 24;
        for _ in 0..8 {
            crc = crc << 1 ^ if crc >> 31 == 1 { 0x04C1_1DB7 } else { 0 };
        }
    }
    bytes.extend_from_slice(&crc.to_be_bytes());
    bytes
}

pub(super) fn pmt_section(streams: &[(u8, u16)]) -> Vec<u8> {
    let pcr = streams.first().map_or(0x1FFF, |stream| stream.1);
    let mut body = vec![0xE0 | (pcr >> 8) as u8, pcr as u8, 0xF0, 0];
    for &(kind, pid) in streams {
        body.extend_from_slice(&[kind, 0xE0 | (pid >> 8) as u8, pid as u8, 0xF0, 0]);
    }
    section(2, 1, &body)
}

/// An H.264 access unit: delimiter, in a key parameter sets and `before` bytes
/// of SEI, then a slice of `size` bytes.
pub(super) fn picture(key: bool, before: usize, size: usize) -> Vec<u8> {
    let mut es = vec![0, 0, 0, 1, 0x09, 0xF0];
    if key {
        es.extend_from_slice(&[0, 0, 0, 1, 0x67, 0x42, 0xC0, 0x1E]);
        es.extend_from_slice(&[0, 0, 0, 1, 0x68, 0xCE, 0x3C, 0x80]);
    }
    es.extend_from_slice(&[0, 0, 1, 0x06]);
    es.resize(es.len() + before, 0x55);
    es.extend_from_slice(&[0, 0, 1, if key { 0x65 } else { 0x41 }]);
    es.resize(es.len() + size, 0xA5);
    es
}

/// What a packet of a generated stream is to the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Plain,
    /// A PES of the video starts here.
    Start,
    /// And a decoder can start with it.
    Key,
}

/// A random but valid stream of one video and one audio, interleaved packet by
/// packet with tables, null packets, repetitions and packets without payload.
/// PAT and PMT come first; positions of starts and keys are given.
pub(super) struct Stream {
    pub(super) bytes: Vec<u8>,
    pub(super) starts: Vec<u64>,
    pub(super) keys: Vec<u64>,
}

pub(super) fn stream(seed: u64, pictures: usize) -> Stream {
    let mut rng = Rng::new(seed);
    let mut muxer = Muxer::default();
    let mut queues = [const { VecDeque::new() }; 4];
    let plain = |packet| (packet, Tag::Plain);
    let mut first = muxer.pat(1, PMT);
    first.extend(muxer.pmt(&[(H264, VIDEO), (AAC, AUDIO)]));
    for index in 0..pictures {
        let key = rng.one_in(6);
        let flags = (key && rng.one_in(2)).then_some(RANDOM);
        let es = picture(key, rng.below(500), rng.below(1500));
        let mut packets = muxer.pes(VIDEO, flags, &es).into_iter();
        let tag = if key { Tag::Key } else { Tag::Start };
        queues[0].extend(packets.next().map(|packet| (packet, tag)));
        queues[0].extend(packets.map(plain));
        queues[1].extend(muxer.pes(AUDIO, None, &[7; 300]).into_iter().map(plain));
        if index % 4 == 0 {
            queues[2].extend(muxer.pat(1, PMT).into_iter().map(plain));
            let pmt = muxer.pmt(&[(H264, VIDEO), (AAC, AUDIO)]);
            queues[2].extend(pmt.into_iter().map(plain));
            let sdt = muxer.section(SDT, &section(0x42, 1, &[0; 20]), 183);
            queues[3].extend(sdt.into_iter().map(plain));
        }
    }
    let mut stream = Stream { bytes: first.concat(), starts: Vec::new(), keys: Vec::new() };
    while queues.iter().any(|queue| !queue.is_empty()) {
        // Video is most of it, as it is in life.
        let queue = [0, 0, 0, 0, 0, 1, 1, 2, 3][rng.below(9)];
        if let Some((packet, tag)) = queues[queue].pop_front() {
            stream.push(packet, tag, &mut rng);
        }
    }
    stream
}

impl Stream {
    fn push(&mut self, packet: Packet, tag: Tag, rng: &mut Rng) {
        let position = self.bytes.len() as u64;
        if tag != Tag::Plain {
            self.starts.push(position);
        }
        if tag == Tag::Key {
            self.keys.push(position);
        }
        self.bytes.extend_from_slice(&packet);
        if rng.one_in(20) {
            self.bytes.extend_from_slice(&packet);
        }
        if rng.one_in(20) {
            let mut empty = packet;
            empty[1] &= 0x1F;
            empty[3] = 0x20 | packet[3] & 15;
            empty[4..].fill(0xFF);
            empty[4..6].copy_from_slice(&[183, 0]);
            self.bytes.extend_from_slice(&empty);
        }
        if rng.one_in(30) {
            let mut null = [0xFF; 188];
            null[..4].copy_from_slice(&[0x47, 0x1F, 0xFF, 0x10 | rng.byte() & 15]);
            self.bytes.extend_from_slice(&null);
        }
    }
}

/// Every breach of the continuity rules, in words. Strict: the only jump
/// allowed is one announced by `discontinuity_indicator`.
pub(super) fn breaches(bytes: &[u8]) -> Vec<String> {
    let mut last: HashMap<u16, (u8, Option<Vec<u8>>)> = HashMap::new();
    let mut found = Vec::new();
    assert_eq!(bytes.len() % 188, 0);
    for (index, packet) in bytes.chunks(188).enumerate() {
        let pid = u16::from(packet[1] & 0x1F) << 8 | u16::from(packet[2]);
        let (counter, control) = (packet[3] & 15, packet[3] >> 4 & 3);
        if packet[0] != 0x47 {
            found.push(format!("packet {index}: no sync byte"));
        }
        if pid == 0x1FFF || packet[1] & 0x80 != 0 {
            continue;
        }
        let announced = control & 2 != 0 && packet[4] > 0 && packet[5] & 0x80 != 0;
        let payload = control & 1 != 0;
        let mut repeatable = payload.then(|| packet.to_vec());
        if let Some((before, original)) = last.get(&pid) {
            let expected = (before + u8::from(payload)) & 15;
            if !announced && counter != expected {
                if payload && original.as_deref() == Some(packet) {
                    repeatable = None;
                } else {
                    found.push(format!(
                        "packet {index}: PID {pid:#x} counts {counter}, not {expected}"
                    ));
                }
            }
        }
        last.insert(pid, (counter, repeatable));
    }
    found
}
