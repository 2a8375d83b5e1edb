//! The packets of the transport stream: tables, PES, PCR, continuity, stuffing.
//! Clauses are those of ISO/IEC 13818-1.

use crate::framing::crc32;
use crate::limits::{TS_PACKET, TS_SECTION_BYTES};

/// Where the programme's parts are, as most muxers have it.
const PMT_PID: u16 = 0x1000;
const VIDEO_PID: u16 = 0x0100;
const AUDIO_PID: u16 = 0x0101;
const PAT_PID: u16 = 0;

const HEAD: usize = 4;
const PAYLOAD: usize = TS_PACKET - HEAD;

/// The two parts of a programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// It has the PCR, where there is one.
    Video,
    Audio,
}

/// `stream_type` of each part (table 2-34); `None`: there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Programme {
    pub(super) video: Option<u8>,
    pub(super) audio: Option<u8>,
}

impl Programme {
    /// The part whose packets carry the PCR.
    pub(super) const fn clock(self) -> Part {
        if self.video.is_some() { Part::Video } else { Part::Audio }
    }
}

/// What stands in an adaptation field (2.4.3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) discontinuity: bool,
    pub(super) random_access: bool,
    /// In units of 90 kHz, modulo 2³³.
    pub(super) pcr: Option<u64>,
}

/// When something is to be decoded and shown, in units of 90 kHz, modulo 2³³.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) dts: u64,
    pub(super) pts: u64,
}

/// One counter per PID.
#[derive(Debug, Default)]
pub(super) struct Packets {
    pat: u8,
    pmt: u8,
    video: u8,
    audio: u8,
    /// Of the PMT; grows with each change.
    version: u8,
}

impl Packets {
    /// The programme has changed.
    pub(super) const fn renew(&mut self) {
        self.version = (self.version + 1) & 0x1F;
    }

    /// Appends PAT and PMT (2.4.4.3, 2.4.4.8).
    pub(super) fn tables(&mut self, programme: Programme, out: &mut Vec<u8>) {
        let [hi, lo] = (0xE000 | PMT_PID).to_be_bytes();
        put_section(PAT_PID, &mut self.pat, 0x00, 0, &[0, 1, hi, lo], out);
        let clock = match programme.clock() {
            Part::Video => VIDEO_PID,
            Part::Audio => AUDIO_PID,
        };
        let mut body = [0; 14];
        body[..2].copy_from_slice(&(0xE000 | clock).to_be_bytes());
        body[2] = 0xF0;
        let parts = [(programme.video, VIDEO_PID), (programme.audio, AUDIO_PID)];
        let mut len = 4;
        for (kind, pid) in parts.iter().filter_map(|(kind, pid)| Some(((*kind)?, *pid))) {
            let [hi, lo] = (0xE000 | pid).to_be_bytes();
            body[len..len + 5].copy_from_slice(&[kind, hi, lo, 0xF0, 0]);
            len += 5;
        }
        put_section(PMT_PID, &mut self.pmt, 0x02, self.version, &body[..len], out);
    }

    /// Appends a packet with a PCR and nothing else; its counter stays.
    pub(super) fn clock(&mut self, part: Part, field: Field, out: &mut Vec<u8>) {
        let (pid, counter) = self.of(part);
        let mut last = counter.wrapping_sub(1) & 0x0F;
        put_packet(pid, &mut last, false, field, &[], out);
    }

    /// Appends a PES (2.4.3.6) with `field` in its first packet. `unit` begins
    /// with [`PES_SPACE`] bytes for the header.
    pub(super) fn pes(
        &mut self,
        part: Part,
        times: Times,
        field: Field,
        unit: &mut [u8],
        out: &mut Vec<u8>,
    ) {
        let from = put_pes_header(part, times, unit);
        let (pid, counter) = self.of(part);
        let mut rest = unit.get(from..).unwrap_or_default();
        let (mut starts, mut field) = (true, field);
        while !rest.is_empty() {
            let taken = put_packet(pid, counter, starts, field, rest, out);
            rest = &rest[taken..];
            (starts, field) = (false, Field::default());
        }
    }

    const fn of(&mut self, part: Part) -> (u16, &mut u8) {
        match part {
            Part::Video => (VIDEO_PID, &mut self.video),
            Part::Audio => (AUDIO_PID, &mut self.audio),
        }
    }
}

/// Bytes of the longest PES header that is written.
pub(super) const PES_SPACE: usize = 19;

/// Writes the header right before what follows the first [`PES_SPACE`] bytes of
/// `unit`; answers where it begins.
fn put_pes_header(part: Part, times: Times, unit: &mut [u8]) -> usize {
    let has_dts = times.dts != times.pts;
    let stamps = if has_dts { 10 } else { 5 };
    let from = PES_SPACE - 9 - stamps;
    let behind = unit.len().saturating_sub(from + 6);
    let (id, length) = match part {
        // 2.4.3.7: a video's may be 0, which is as long as it takes.
        Part::Video => (0xE0, 0),
        Part::Audio => (0xC0, u16::try_from(behind).unwrap_or(0)),
    };
    let [hi, lo] = length.to_be_bytes();
    let mut header = [0; PES_SPACE];
    let flags = if has_dts { 0xC0 } else { 0x80 };
    header[..9].copy_from_slice(&[0, 0, 1, id, hi, lo, 0x80, flags, stamps as u8]);
    header[9..14].copy_from_slice(&stamp(flags >> 2, times.pts));
    header[14..].copy_from_slice(&stamp(0x10, times.dts));
    if let Some(place) = unit.get_mut(from..PES_SPACE) {
        place.copy_from_slice(&header[..9 + stamps]);
    }
    from
}

/// A timestamp in a PES header, `mark` in its first four bits.
const fn stamp(mark: u8, time: u64) -> [u8; 5] {
    [
        mark | (time >> 29) as u8 & 0x0E | 1,
        (time >> 22) as u8,
        (time >> 14) as u8 | 1,
        (time >> 7) as u8,
        (time << 1) as u8 | 1,
    ]
}

/// Appends one packet with as much of `payload` as fits, stuffed if that is
/// less; answers how much.
fn put_packet(
    pid: u16,
    counter: &mut u8,
    starts: bool,
    field: Field,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> usize {
    let mut bytes = [0xFF; PAYLOAD];
    let mut needed = 0;
    if field != Field::default() {
        needed = if field.pcr.is_some() { 8 } else { 2 };
    }
    let taken = payload.len().min(PAYLOAD - needed);
    let length = PAYLOAD - taken;
    if length > 0 {
        bytes[0] = (length - 1) as u8;
    }
    if length > 1 {
        bytes[1] = u8::from(field.discontinuity) << 7
            | u8::from(field.random_access) << 6
            | u8::from(field.pcr.is_some()) << 4;
    }
    if let Some(pcr) = field.pcr {
        // 33 bits of base, 6 reserved, an extension of 0.
        let bits = pcr << 15 | 0x7E00;
        bytes[2..8].copy_from_slice(&bits.to_be_bytes()[2..]);
    }
    bytes[length..].copy_from_slice(&payload[..taken]);
    let control = u8::from(length > 0) << 5 | u8::from(taken > 0) << 4;
    let [hi, lo] = pid.to_be_bytes();
    out.extend_from_slice(&[0x47, u8::from(starts) << 6 | hi, lo, control | *counter]);
    out.extend_from_slice(&bytes);
    *counter = (*counter + 1) & 0x0F;
    taken
}

/// Appends a table that fits in one packet (2.4.4).
fn put_section(pid: u16, counter: &mut u8, table: u8, version: u8, body: &[u8], out: &mut Vec<u8>) {
    debug_assert!(body.len() < TS_SECTION_BYTES);
    let mut bytes = [0xFF; PAYLOAD];
    // From behind the length on: five bytes of head, and the CRC.
    let length = 5 + body.len() + 4;
    let head = [0, table, 0xB0, length as u8, 0, 1, 0xC1 | version << 1, 0, 0];
    let end = head.len() + body.len();
    bytes[..head.len()].copy_from_slice(&head);
    bytes[head.len()..end].copy_from_slice(body);
    let crc = crc32(&bytes[1..end]);
    bytes[end..end + 4].copy_from_slice(&crc.to_be_bytes());
    put_packet(pid, counter, true, Field::default(), &bytes, out);
}
