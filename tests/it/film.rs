//! A film: the generated picture as one block of bytes, and what a decoder
//! would say of what came out at the other end.

use nearlight::client::picture::{Detail, Picture};
use std::collections::BTreeMap;

pub(crate) const PACKET: usize = 188;
const VIDEO: u16 = 0x0100;
const PMT: u16 = 0x1000;

/// `frames` frames, one block each.
pub(crate) fn frames(frames: u64) -> Vec<Vec<u8>> {
    let mut picture = Picture::new(Detail::Changes);
    let frame = |n| {
        let mut bytes = Vec::new();
        picture.frame(n, 40 * n, &mut bytes);
        bytes
    };
    (0..frames).map(frame).collect()
}

/// Two seconds, in one piece: two join points, 170 KB.
pub(crate) fn film() -> Vec<u8> {
    frames(50).concat()
}

/// What a subscriber got is PAT, PMT, and `film` from a join point to its end.
pub(crate) fn assert_joined(got: &[u8], film: &[u8]) {
    assert!(got.len() > 2 * PACKET, "only {} bytes came", got.len());
    let pids: Vec<u16> = got.chunks(PACKET).take(3).map(pid).collect();
    assert_eq!(pids, [0, PMT, VIDEO], "starts with PAT, PMT and video");
    let rest = &got[2 * PACKET..];
    assert!(film.ends_with(rest), "{} bytes are not the film's last", rest.len());
    assert!(is_random_access(&rest[..PACKET]), "starts at a join point");
}

/// The PID of a packet.
pub(crate) fn pid(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1], packet[2]]) & 0x1FFF
}

fn is_random_access(packet: &[u8]) -> bool {
    starts_unit(packet) && packet[3] & 0x20 != 0 && packet[4] > 0 && packet[5] & 0x40 != 0
}

fn starts_unit(packet: &[u8]) -> bool {
    packet[1] & 0x40 != 0
}

/// The payload of a packet, behind its adaptation field.
fn payload(packet: &[u8]) -> &[u8] {
    if packet[3] & 0x10 == 0 {
        return &[];
    }
    let skip = if packet[3] & 0x20 == 0 { 0 } else { 1 + usize::from(packet[4]) };
    &packet[4 + skip..]
}

/// Splits a TS into packets as they come and checks each, as a decoder would:
/// continuity counters (ISO/IEC 13818-1 2.4.3.3) and whole pictures.
#[derive(Default)]
pub(crate) struct Decoder {
    rest: Vec<u8>,
    counters: BTreeMap<u16, u8>,
    unit: Option<Vec<u8>>,
    /// Whole video PES packets, in order, headers included.
    pub(crate) units: Vec<Vec<u8>>,
    /// Continuity counters that were neither next nor announced.
    pub(crate) errors: u64,
    /// Announced jumps.
    pub(crate) jumps: u64,
}

impl Decoder {
    pub(crate) fn handle_bytes(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let whole = self.rest.len() / PACKET * PACKET;
        let rest = self.rest.split_off(whole);
        for packet in std::mem::replace(&mut self.rest, rest).chunks(PACKET) {
            assert_eq!(packet[0], 0x47, "sync byte");
            self.packet(packet);
        }
    }

    fn packet(&mut self, packet: &[u8]) {
        let pid = pid(packet);
        // Others, such as stamps, are in no PMT: no decoder looks at them.
        if ![0, PMT, VIDEO].contains(&pid) {
            return;
        }
        let counter = packet[3] & 0x0F;
        let has_payload = packet[3] & 0x10 != 0;
        let announced = packet[3] & 0x20 != 0 && packet[4] > 0 && packet[5] & 0x80 != 0;
        let last = self.counters.insert(pid, counter);
        let expected = last.map(|last| (last + u8::from(has_payload)) & 0x0F);
        self.jumps += u64::from(announced && pid == VIDEO);
        self.errors += u64::from(!announced && expected.is_some_and(|next| next != counter));
        if pid != VIDEO {
            return;
        }
        if starts_unit(packet) {
            self.units.extend(self.unit.replace(Vec::new()));
        }
        if let Some(unit) = &mut self.unit {
            unit.extend_from_slice(payload(packet));
        }
    }
}
