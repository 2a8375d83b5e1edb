//! The transport stream around the pictures: PAT, PMT, PES, PCR. Clauses are
//! those of ISO/IEC 13818-1.

use crate::limits::TS_PACKET;

/// The PID of the PMT.
pub(super) const PMT_PID: u16 = 0x1000;
/// The PID of the video; the PCR is there too.
pub(super) const VIDEO_PID: u16 = 0x0100;

const HEADER: usize = 4;
/// Length byte, flags, PCR.
const PCR_FIELD: usize = 8;
const STREAM_H264: u8 = 0x1b;

/// Continuity counters, and the tables that never change.
pub(super) struct Mux {
    pat: Table,
    pmt: Table,
    video_cc: u8,
}

/// When a picture goes and is shown, in 90 kHz units, modulo 2^33.
#[derive(Clone, Copy)]
pub(super) struct Times {
    /// PCR of the picture's first packet.
    pub(super) pcr: u64,
    /// PTS, which is the DTS too.
    pub(super) pts: u64,
}

impl Mux {
    pub(super) fn new() -> Self {
        let [hi, lo] = (0xe000 | PMT_PID).to_be_bytes();
        // 2.4.4.3: transport_stream_id 1; version 0, current; programme 1.
        let pat = [0x00, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, hi, lo];
        let [hi, lo] = (0xe000 | VIDEO_PID).to_be_bytes();
        // 2.4.4.8: programme 1; PCR PID; no descriptors; one H.264 stream.
        let pmt = [0x02, 0xb0, 18, 0, 1, 0xc1, 0, 0, hi, lo, 0xf0, 0, STREAM_H264, hi, lo, 0xf0, 0];
        Self { pat: Table::new(0, &pat), pmt: Table::new(PMT_PID, &pmt), video_cc: 0 }
    }

    /// Appends PAT and PMT.
    pub(super) fn tables(&mut self, out: &mut Vec<u8>) {
        self.pat.write(out);
        self.pmt.write(out);
    }

    /// Appends one access unit as one PES. `random_access` marks its first
    /// packet as a place to start.
    pub(super) fn picture(
        &mut self,
        unit: &[u8],
        times: Times,
        random_access: bool,
        out: &mut Vec<u8>,
    ) {
        let pes = pes_header(times.pts);
        let mut field = [0; PCR_FIELD];
        field[0] = PCR_FIELD as u8 - 1;
        field[1] = 0x10 | u8::from(random_access) << 6;
        field[2..].copy_from_slice(&pcr_bytes(times.pcr));
        let room = TS_PACKET - HEADER - PCR_FIELD - pes.len();
        let (first, rest) = unit.split_at(room.min(unit.len()));
        self.header(true, true, out);
        if first.len() < room {
            let stuffing = room - first.len();
            field[0] += stuffing as u8;
            out.extend_from_slice(&field);
            out.resize(out.len() + stuffing, 0xff);
        } else {
            out.extend_from_slice(&field);
        }
        out.extend_from_slice(&pes);
        out.extend_from_slice(first);
        for piece in rest.chunks(TS_PACKET - HEADER) {
            self.continued(piece, out);
        }
    }

    /// A packet without PCR; a short piece is stuffed in an adaptation field.
    fn continued(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let stuffing = TS_PACKET - HEADER - piece.len();
        self.header(false, stuffing > 0, out);
        if stuffing > 0 {
            out.push(stuffing as u8 - 1);
        }
        if stuffing > 1 {
            out.push(0);
            out.resize(out.len() + stuffing - 2, 0xff);
        }
        out.extend_from_slice(piece);
    }

    /// 2.4.3.2, of a video packet with payload.
    fn header(&mut self, unit_start: bool, adaptation: bool, out: &mut Vec<u8>) {
        let [hi, lo] = (VIDEO_PID | u16::from(unit_start) << 14).to_be_bytes();
        let control = if adaptation { 0x30 } else { 0x10 };
        out.extend_from_slice(&[0x47, hi, lo, control | self.video_cc]);
        self.video_cc = (self.video_cc + 1) & 0x0f;
    }
}

/// A table of one section in one packet.
struct Table {
    packet: [u8; TS_PACKET],
}

impl Table {
    /// `section` is without its CRC.
    fn new(pid: u16, section: &[u8]) -> Self {
        let mut packet = [0xff; TS_PACKET];
        let [hi, lo] = (pid | 0x4000).to_be_bytes();
        packet[..5].copy_from_slice(&[0x47, hi, lo, 0x1f, 0]);
        let end = 5 + section.len();
        packet[5..end].copy_from_slice(section);
        packet[end..end + 4].copy_from_slice(&crc32(section).to_be_bytes());
        Self { packet }
    }

    /// Counts on before each packet; the first has counter 0.
    fn write(&mut self, out: &mut Vec<u8>) {
        self.packet[3] = 0x10 | (self.packet[3] + 1) & 0x0f;
        out.extend_from_slice(&self.packet);
    }
}

/// 2.4.3.6: video stream 0, unbounded length, aligned, PTS alone.
fn pes_header(pts: u64) -> [u8; 14] {
    let mut header = [0, 0, 1, 0xe0, 0, 0, 0x84, 0x80, 5, 0, 0, 0, 0, 0];
    header[9] = 0x21 | (pts >> 29) as u8 & 0x0e;
    header[10] = (pts >> 22) as u8;
    header[11] = (pts >> 14) as u8 | 1;
    header[12] = (pts >> 7) as u8;
    header[13] = (pts << 1) as u8 | 1;
    header
}

/// 2.4.3.5: 33 bits of base, 6 reserved, 9 of extension (zero here).
fn pcr_bytes(base: u64) -> [u8; 6] {
    let [.., a, b, c, d, e, f] = (base << 15 | 0x7e00).to_be_bytes();
    [a, b, c, d, e, f]
}

/// The CRC of PSI sections, Annex A.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte) << 24;
        for _ in 0..8 {
            crc = crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 };
        }
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_of_the_usual_check_string() {
        assert_eq!(crc32(b"123456789"), 0x0376_e6e7);
    }

    #[test]
    fn every_unit_length_fills_whole_packets() {
        let mut mux = Mux::new();
        let times = Times { pcr: 1, pts: 2 };
        for length in 1..800 {
            let mut out = Vec::new();
            mux.picture(&vec![0xaa; length], times, false, &mut out);
            assert_eq!(out.len() % TS_PACKET, 0, "{length}");
            assert!(out.iter().filter(|&&b| b == 0xaa).count() >= length);
        }
    }
}
