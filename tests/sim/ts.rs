//! A small MPEG-TS multiplexer. Every packet carries its own number in its
//! adaptation field, so that the judge can tell where in the stream it stands.

use crate::rng::Rng;
use std::collections::BTreeMap;

pub(crate) const PACKET: usize = 188;
const PAT: u16 = 0;
const PMT: u16 = 0x1000;
const VIDEO: u16 = 0x100;
const AUDIO: u16 = 0x101;
const NULL: u16 = 0x1FFF;
const RANDOM: u8 = 0x40;
/// Length byte, flags, the packet's number.
const FIELD: usize = 10;
const ROOM: usize = PACKET - 4 - FIELD;

/// What a packet is to the judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Plain,
    /// A PES of the stream that is cut at starts here.
    Start,
    /// And a decoder can start with it.
    Key,
}

/// Makes one stream.
pub(crate) struct Muxer {
    rng: Rng,
    has_video: bool,
    /// Keys are flagged; else they are to be found out.
    flags: bool,
    gop: usize,
    pictures: usize,
    counters: BTreeMap<u16, u8>,
    /// The next packet's number.
    next: u64,
    mean: usize,
}

/// Packets of one picture's time, with what they are.
pub(crate) type Packets = Vec<([u8; PACKET], Mark)>;

impl Muxer {
    /// `id` tells the packets of this stream from those of any other; `mean`
    /// is a picture's size in packets.
    pub(crate) fn new(mut rng: Rng, id: u64, mean: usize) -> Self {
        Self {
            has_video: !rng.one_in(6),
            flags: rng.one_in(2),
            gop: rng.between(4, 16),
            pictures: 0,
            counters: BTreeMap::new(),
            next: id << 32,
            mean,
            rng,
        }
    }

    /// The next picture and what comes beside it.
    pub(crate) fn picture(&mut self) -> Packets {
        let key = self.pictures.is_multiple_of(self.gop);
        let mut packets = Vec::new();
        if key || self.pictures.is_multiple_of(4) {
            self.tables(&mut packets);
        }
        let mut audio = self.audio();
        if self.has_video {
            for packet in self.video(key) {
                packets.push(packet);
                if self.rng.one_in(4)
                    && let Some(packet) = audio.pop()
                {
                    packets.push(packet);
                }
            }
        }
        while let Some(packet) = audio.pop() {
            packets.push(packet);
        }
        if self.rng.one_in(5) {
            packets.push((self.lay(NULL, false, 0, &[0xFF; ROOM]), Mark::Plain));
        }
        self.pictures += 1;
        // Numbered, and counted, in the order in which they go out.
        for (packet, _) in &mut packets {
            self.stamp(packet);
        }
        packets
    }

    fn stamp(&mut self, packet: &mut [u8; PACKET]) {
        packet[6..14].copy_from_slice(&self.next.to_be_bytes());
        self.next += 1;
        let pid = u16::from(packet[1] & 0x1F) << 8 | u16::from(packet[2]);
        let counter = self.counters.entry(pid).or_insert(pid as u8);
        packet[3] = packet[3] & 0xF0 | *counter & 0x0F;
        *counter = counter.wrapping_add(1);
    }

    fn tables(&mut self, packets: &mut Packets) {
        let pat = section(0, &[0, 1, 0xE0 | (PMT >> 8) as u8, PMT as u8]);
        let first = if self.has_video { VIDEO } else { AUDIO };
        let mut body = vec![0xE0 | (first >> 8) as u8, first as u8, 0xF0, 0];
        if self.has_video {
            body.extend_from_slice(&[0x1B, 0xE1, 0x00, 0xF0, 0]);
        }
        body.extend_from_slice(&[0x0F, 0xE1, 0x01, 0xF0, 0]);
        for (pid, section) in [(PAT, pat), (PMT, section(2, &body))] {
            let mut payload = vec![0];
            payload.extend_from_slice(&section);
            payload.resize(ROOM, 0xFF);
            packets.push((self.lay(pid, true, 0, &payload), Mark::Plain));
        }
    }

    fn video(&mut self, key: bool) -> Packets {
        let mut es = vec![0, 0, 1, 0xE0, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1];
        es.extend_from_slice(&[0, 0, 0, 1, 0x09, 0xF0]);
        if key {
            es.extend_from_slice(&[0, 0, 0, 1, 0x67, 0x42, 0xC0, 0x1E]);
            es.extend_from_slice(&[0, 0, 0, 1, 0x68, 0xCE, 0x3C, 0x80]);
            // What comes before the slice may put off the finding of a key.
            es.extend_from_slice(&[0, 0, 1, 0x06]);
            es.resize(es.len() + self.rng.below(500), 0x55);
        }
        es.extend_from_slice(&[0, 0, 1, if key { 0x65 } else { 0x41 }]);
        let size = self.rng.between(1, self.mean * if key { 3 } else { 2 });
        es.resize(es.len() + size * ROOM - self.rng.below(ROOM), 0xA5);
        let flags = if key && self.flags { RANDOM } else { 0 };
        self.pes(VIDEO, flags, &es, if key { Mark::Key } else { Mark::Start })
    }

    /// In reverse: the last packet first.
    fn audio(&mut self) -> Packets {
        let mut es = vec![0, 0, 1, 0xC0, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1];
        es.resize(es.len() + self.rng.below(600), 7);
        let mark = if self.has_video { Mark::Plain } else { Mark::Key };
        let mut packets = self.pes(AUDIO, 0, &es, mark);
        packets.reverse();
        packets
    }

    fn pes(&self, pid: u16, flags: u8, pes: &[u8], mark: Mark) -> Packets {
        pes.chunks(ROOM)
            .enumerate()
            .map(|(n, piece)| match n {
                0 => (self.lay(pid, true, flags, piece), mark),
                _ => (self.lay(pid, false, 0, piece), Mark::Plain),
            })
            .collect()
    }

    fn lay(&self, pid: u16, start: bool, flags: u8, payload: &[u8]) -> [u8; PACKET] {
        let field = PACKET - 4 - payload.len();
        let mut bytes = [0xFF; PACKET];
        let [high, low] = pid.to_be_bytes();
        let head = [0x47, u8::from(start) << 6 | high, low, 0x30, (field - 1) as u8, flags];
        bytes[..6].copy_from_slice(&head);
        bytes[4 + field..].copy_from_slice(payload);
        bytes
    }
}

/// A section with a long header and its checksum, ISO/IEC 13818-1 2.4.4.
fn section(table: u8, body: &[u8]) -> Vec<u8> {
    let length = 5 + body.len() + 4;
    let mut bytes = vec![table, 0xB0 | (length >> 8) as u8, length as u8, 0, 1, 0xC1, 0, 0];
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

/// The PID of a packet.
pub(crate) fn pid(packet: &[u8]) -> u16 {
    u16::from(packet[1] & 0x1F) << 8 | u16::from(packet[2])
}

/// The number that a packet carries; `None` if none of ours made it.
pub(crate) fn number(packet: &[u8]) -> Option<u64> {
    let bytes = packet[6..14].try_into().expect("eight bytes");
    let has_field = packet[3] & 0x20 != 0 && packet[4] >= 9;
    Some(u64::from_be_bytes(bytes)).filter(|number| has_field && *number != u64::MAX)
}

/// Only an announcement of a discontinuity, without payload.
pub(crate) fn announces(packet: &[u8]) -> bool {
    packet[3] & 0x30 == 0x20 && packet[4] == 183 && packet[5] == 0x80
}

/// Whether this is PAT or PMT.
pub(crate) fn is_table(packet: &[u8]) -> bool {
    pid(packet) == PAT || pid(packet) == PMT
}

/// The continuity rules at their strictest, ISO/IEC 13818-1 2.4.3.3: the only
/// jump allowed is one that `discontinuity_indicator` announces, and nothing is
/// repeated, for our streams repeat nothing.
#[derive(Debug, Default)]
pub(crate) struct Strict {
    last: BTreeMap<u16, u8>,
    /// A discontinuity was announced on these; their video must start anew.
    announced: BTreeMap<u16, ()>,
}

impl Strict {
    /// Judges the next packet.
    pub(crate) fn feed(&mut self, packet: &[u8]) -> Result<(), String> {
        let (pid, counter) = (pid(packet), packet[3] & 0x0F);
        if packet[0] != 0x47 {
            return Err("no sync byte".to_owned());
        }
        if pid == NULL {
            return Ok(());
        }
        let payload = packet[3] & 0x10 != 0;
        let jumps = packet[3] & 0x20 != 0 && packet[4] > 0 && packet[5] & 0x80 != 0;
        if let Some(last) = self.last.insert(pid, counter) {
            let expected = last.wrapping_add(u8::from(payload)) & 0x0F;
            if !jumps && counter != expected {
                return Err(format!("PID {pid:#x} counts {counter}, not {expected}"));
            }
        }
        if jumps {
            self.announced.insert(pid, ());
        } else if payload && self.announced.remove(&pid).is_some() && pid == VIDEO {
            let starts = packet[1] & 0x40 != 0;
            return starts.then_some(()).ok_or("a picture goes on after a jump".to_owned());
        }
        Ok(())
    }
}
