//! PAT and PMT sections put together from packets (ISO/IEC 13818-1 2.4.4), and
//! those packets themselves, for subscribers that start later.

use super::packet::{Bytes, Packet};
use crate::limits::{TS_PACKET, TS_SECTION_BYTES, TS_TABLE_PACKETS};

/// `table_id` of the PAT.
pub(crate) const PAT: u8 = 0x00;
/// `table_id` of a PMT.
pub(crate) const PMT: u8 = 0x02;
/// Where a `table_id` would be: the rest of the packet is stuffing.
const STUFFING: u8 = 0xFF;
/// Bytes up to and including `section_length`.
const HEADER: usize = 3;
/// Bytes from the front to the first entry of any table with a long header.
const LONG_HEADER: usize = 8;
/// Bytes of the checksum at the end.
const CRC: usize = 4;

/// The newest section of one table, whole and verified.
#[derive(Debug)]
pub(crate) struct Table {
    id: u8,
    /// Programme number of a PMT; the PAT takes any transport stream.
    extension: Option<u16>,
    gather: Gather,
    section: [u8; TS_SECTION_BYTES],
    length: usize,
    packets: Packets,
}

impl Table {
    /// A table of which nothing is known.
    pub(crate) const fn new(id: u8) -> Self {
        Self {
            id,
            extension: None,
            gather: Gather::new(),
            section: [0; TS_SECTION_BYTES],
            length: 0,
            packets: Packets::new(),
        }
    }

    /// Forgets what is known and waits for the section of `extension`.
    pub(crate) fn reset(&mut self, extension: Option<u16>) {
        self.extension = extension;
        self.gather.drop_section();
        self.length = 0;
        self.packets.clear();
    }

    /// The programme number that is waited for.
    pub(crate) fn extension(&self) -> Option<u16> {
        self.extension
    }

    /// The packets that brought the section, as they were.
    pub(crate) fn packets(&self) -> &[Bytes] {
        self.packets.as_slice()
    }

    /// The entries of the section, between long header and checksum.
    pub(crate) fn entries(&self) -> &[u8] {
        let end = self.length.saturating_sub(CRC);
        self.section.get(LONG_HEADER..end).unwrap_or(&[])
    }

    /// Takes the next packet of the table's PID; `gap` says that packets are
    /// missing before it. True if it completed a section that says something
    /// else than the one before.
    pub(crate) fn feed(&mut self, bytes: &Bytes, packet: &Packet<'_>, gap: bool) -> bool {
        if gap {
            self.gather.drop_section();
        }
        if packet.scrambled || packet.payload.is_empty() {
            return false;
        }
        self.gather.also_in(bytes);
        if !packet.unit_start {
            self.gather.push(packet.payload);
            return self.finish();
        }
        let pointer = usize::from(packet.payload[0]);
        let Some((tail, mut sections)) = packet.payload[1..].split_at_checked(pointer) else {
            self.gather.drop_section();
            return false;
        };
        self.gather.push(tail);
        let mut changed = self.finish();
        self.gather.drop_section();
        while let Some(&id) = sections.first()
            && id != STUFFING
        {
            self.gather.begin(bytes);
            let used = self.gather.push(sections);
            sections = &sections[used..];
            changed |= self.finish();
        }
        changed
    }

    /// Takes over the section gathered, if it is complete and the wanted one.
    /// True if it differs from the one before.
    fn finish(&mut self) -> bool {
        let Some(section) = self.gather.complete() else {
            return false;
        };
        let changed = if !wanted(section, self.id, self.extension) {
            false
        } else {
            self.packets = self.gather.packets;
            let same = self.section[..self.length] == *section;
            if !same {
                self.section[..section.len()].copy_from_slice(section);
                self.length = section.len();
            }
            !same
        };
        self.gather.drop_section();
        changed
    }
}

/// Whether a whole section is the first of the table in force, and intact.
fn wanted(section: &[u8], id: u8, extension: Option<u16>) -> bool {
    let Some(header) = section.first_chunk::<LONG_HEADER>() else {
        return false;
    };
    let long = header[1] & 0x80 != 0;
    let current = header[5] & 0x01 != 0;
    let number = header[6];
    let found = u16::from_be_bytes([header[3], header[4]]);
    section.len() >= LONG_HEADER + CRC
        && header[0] == id
        && long
        && current
        && number == 0
        && extension.is_none_or(|extension| extension == found)
        && crc32(section) == 0
}

/// A section on its way in.
#[derive(Debug)]
struct Gather {
    bytes: [u8; TS_SECTION_BYTES],
    /// Bytes so far; `None` between sections.
    have: Option<usize>,
    packets: Packets,
}

impl Gather {
    const fn new() -> Self {
        Self { bytes: [0; TS_SECTION_BYTES], have: None, packets: Packets::new() }
    }

    /// A section begins in this packet.
    fn begin(&mut self, packet: &Bytes) {
        self.have = Some(0);
        self.packets.clear();
        self.packets.push(packet);
    }

    /// The section at hand, if any, goes on in this packet. One that is cut
    /// into more packets than make sense is given up.
    fn also_in(&mut self, packet: &Bytes) {
        if self.have.is_some() && !self.packets.push(packet) {
            self.drop_section();
        }
    }

    /// Takes what belongs to the section at hand and says how much that was;
    /// all of it when there is none. Of a section that is longer than a PAT or
    /// PMT can be only the length is kept.
    fn push(&mut self, bytes: &[u8]) -> usize {
        let Some(mut have) = self.have else {
            return bytes.len();
        };
        let mut used = 0;
        while used < bytes.len() {
            let target = self.target(have);
            let take = (target - have).min(bytes.len() - used);
            if take == 0 {
                break;
            }
            if target <= TS_SECTION_BYTES {
                self.bytes[have..have + take].copy_from_slice(&bytes[used..used + take]);
            }
            have += take;
            used += take;
        }
        self.have = Some(have);
        used
    }

    /// Bytes that the header, and once it is there the section, is long.
    fn target(&self, have: usize) -> usize {
        if have < HEADER {
            return HEADER;
        }
        HEADER + usize::from(u16::from_be_bytes([self.bytes[1] & 0x0F, self.bytes[2]]))
    }

    /// The section, once all of it is there.
    fn complete(&self) -> Option<&[u8]> {
        let have = self.have?;
        if have < HEADER || have < self.target(have) {
            return None;
        }
        // One longer than the buffer is whole too, but none of ours.
        Some(self.bytes.get(..have).unwrap_or(&[]))
    }

    fn drop_section(&mut self) {
        self.have = None;
    }
}

/// A few packets, in order.
#[derive(Clone, Copy, Debug)]
struct Packets {
    bytes: [Bytes; TS_TABLE_PACKETS],
    count: usize,
}

impl Packets {
    const fn new() -> Self {
        Self { bytes: [[0; TS_PACKET]; TS_TABLE_PACKETS], count: 0 }
    }

    fn clear(&mut self) {
        self.count = 0;
    }

    /// False if there is no place for another.
    fn push(&mut self, packet: &Bytes) -> bool {
        let Some(place) = self.bytes.get_mut(self.count) else {
            return false;
        };
        *place = *packet;
        self.count += 1;
        true
    }

    fn as_slice(&self) -> &[Bytes] {
        &self.bytes[..self.count]
    }
}

/// CRC-32/MPEG-2 (ISO/IEC 13818-1 annex A) of a section: zero if it is intact,
/// its own checksum included.
pub fn crc32(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(u32::MAX, |crc, &byte| (crc << 8) ^ CRC_TABLE[usize::from((crc >> 24) as u8 ^ byte)])
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            let carry = crc >> 31 != 0;
            crc <<= 1;
            if carry {
                crc ^= 0x04C1_1DB7;
            }
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc_32_mpeg_2() {
        assert_eq!(crc32(b"123456789"), 0x0376_E6E7, "the catalogue's check value");
    }
}
