//! What PAT and PMT say: which PIDs make up the programme, and at whose PES
//! starts the stream may be cut (ISO/IEC 13818-1 2.4.4.3, 2.4.4.8, table 2-34).

use super::packet::{NULL_PID, PAT_PID};
use crate::limits::TS_PIDS;

/// The programme whose join points are looked for, as its PMT has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Programme {
    /// Where to cut; `None` if nothing in it comes in PES packets.
    pub(super) cut: Option<Cut>,
    pids: [u16; TS_PIDS],
    count: usize,
}

/// The elementary stream before whose PES starts frames are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) pid: u16,
    pub(super) codec: Codec,
}

/// How a random-access point of an elementary stream is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    /// Metadata, subtitles and what else comes in PES packets: every start of
    /// one is one.
    Data,
    /// Every PES start is one.
    Audio,
    /// ISO/IEC 11172-2 and 13818-2: a sequence header.
    Mpeg2,
    /// ITU-T H.264: an IDR slice.
    H264,
    /// ITU-T H.265: an IRAP picture.
    H265,
    /// ITU-T H.266: an IDR or CRA picture.
    H266,
    /// By the flag in the adaptation field alone.
    Flagged,
}

/// The first programme of a PAT's entries that has a PMT: (number, PMT PID).
/// Programme number 0 is the network's, not a programme.
pub(crate) fn first_programme(entries: &[u8]) -> Option<(u16, u16)> {
    let (entries, _) = entries.as_chunks::<4>();
    entries
        .iter()
        .map(|entry| {
            let number = u16::from_be_bytes([entry[0], entry[1]]);
            (number, pid(entry[2], entry[3]))
        })
        .find(|&(number, pid)| number != 0 && pid != PAT_PID && pid != NULL_PID)
}

/// An elementary stream of a programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Elementary<'a> {
    /// `stream_type`, table 2-34.
    pub(crate) kind: u8,
    pub(crate) pid: u16,
    pub(crate) descriptors: &'a [u8],
}

/// The elementary streams of a PMT's entries, as far as these are whole.
pub(crate) fn elementary_streams(entries: &[u8]) -> impl Iterator<Item = Elementary<'_>> {
    let mut rest = match entries.first_chunk::<4>() {
        Some(&[.., info_high, info_low]) => {
            entries.get(4 + length(info_high, info_low)..).unwrap_or(&[])
        }
        None => &[],
    };
    std::iter::from_fn(move || {
        let (&[kind, high, low, info_high, info_low], after) = rest.split_first_chunk()?;
        let (descriptors, next) = after.split_at_checked(length(info_high, info_low))?;
        rest = next;
        Some(Elementary { kind, pid: pid(high, low), descriptors })
    })
}

impl Programme {
    /// Reads a PMT's entries: PCR PID, descriptors, elementary streams. The
    /// first video is cut at, else the first audio, else the first data.
    pub(super) fn parse(entries: &[u8], pmt_pid: u16) -> Self {
        let mut programme = Self { cut: None, pids: [NULL_PID; TS_PIDS], count: 0 };
        let Some(&[pcr_high, pcr_low, ..]) = entries.first_chunk::<4>() else {
            return programme;
        };
        programme.add(pid(pcr_high, pcr_low), pmt_pid);
        for Elementary { kind, pid, descriptors } in elementary_streams(entries) {
            programme.add(pid, pmt_pid);
            if let Some(codec) = codec(kind, descriptors)
                && programme.pids().contains(&pid)
                && programme.cut.is_none_or(|cut| codec.rank() > cut.codec.rank())
            {
                programme.cut = Some(Cut { pid, codec });
            }
        }
        programme
    }

    /// PCR PID and elementary PIDs, each once.
    pub(super) fn pids(&self) -> &[u16] {
        &self.pids[..self.count]
    }

    fn add(&mut self, pid: u16, pmt_pid: u16) {
        let counted = pid != NULL_PID && pid != PAT_PID && pid != pmt_pid;
        if counted && !self.pids().contains(&pid) && self.count < TS_PIDS {
            self.pids[self.count] = pid;
            self.count += 1;
        }
    }
}

impl Codec {
    /// Every PES of it can be started at.
    pub(super) const fn starts_anywhere(self) -> bool {
        matches!(self, Self::Data | Self::Audio)
    }

    /// Video goes before audio, audio before data; of two alike the first stays.
    const fn rank(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Audio => 1,
            Self::Mpeg2 | Self::H264 | Self::H265 | Self::H266 | Self::Flagged => 2,
        }
    }
}

fn codec(stream_type: u8, descriptors: &[u8]) -> Option<Codec> {
    match stream_type {
        0x01 | 0x02 => Some(Codec::Mpeg2),
        0x1B => Some(Codec::H264),
        0x24 => Some(Codec::H265),
        0x33 => Some(Codec::H266),
        // MPEG-4 part 2.
        0x10 => Some(Codec::Flagged),
        // MPEG audio, AAC in ADTS and in LATM, AC-3, E-AC-3.
        0x03 | 0x04 | 0x0F | 0x11 | 0x81 | 0x87 => Some(Codec::Audio),
        0x06 => Some(private_codec(descriptors).unwrap_or(Codec::Data)),
        // Metadata in PES packets.
        0x15 => Some(Codec::Data),
        _ => None,
    }
}

/// What a private stream's descriptors say it is: AC-3 and E-AC-3 (ETSI EN
/// 300 468 annex D), or a registered format.
fn private_codec(mut descriptors: &[u8]) -> Option<Codec> {
    const REGISTRATION: u8 = 0x05;
    const AC3: u8 = 0x6A;
    const EAC3: u8 = 0x7A;
    while let Some((&[tag, length], after)) = descriptors.split_first_chunk() {
        let (body, next) = after.split_at_checked(usize::from(length))?;
        match (tag, body.first_chunk::<4>()) {
            (AC3 | EAC3, _) => return Some(Codec::Audio),
            (REGISTRATION, Some(b"AC-3" | b"EAC3" | b"Opus")) => return Some(Codec::Audio),
            (REGISTRATION, Some(b"AV01")) => return Some(Codec::Flagged),
            _ => descriptors = next,
        }
    }
    None
}

fn pid(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high & 0x1F, low])
}

fn length(high: u8, low: u8) -> usize {
    usize::from(u16::from_be_bytes([high & 0x0F, low]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PMT_PID: u16 = 0x1000;

    fn stream(kind: u8, pid: u16, descriptors: &[u8]) -> Vec<u8> {
        let [high, low] = pid.to_be_bytes();
        let mut bytes = vec![kind, 0xE0 | high, low, 0xF0, descriptors.len() as u8];
        bytes.extend_from_slice(descriptors);
        bytes
    }

    fn parse(streams: &[Vec<u8>]) -> Programme {
        let mut entries = vec![0xE1, 0x00, 0xF0, 2, 0x99, 0];
        entries.extend(streams.concat());
        Programme::parse(&entries, PMT_PID)
    }

    fn cut(streams: &[Vec<u8>]) -> Option<(u16, Codec)> {
        parse(streams).cut.map(|cut| (cut.pid, cut.codec))
    }

    #[test]
    fn the_first_video_is_cut_at_else_the_first_audio_else_data() {
        let aac = stream(0x0F, 0x101, &[]);
        let ac3 = stream(0x81, 0x102, &[]);
        let avc = stream(0x1B, 0x100, &[]);
        let hevc = stream(0x24, 0x103, &[]);
        assert_eq!(cut(&[aac.clone(), avc, hevc]), Some((0x100, Codec::H264)));
        assert_eq!(cut(&[aac.clone(), ac3]), Some((0x101, Codec::Audio)));
        let klv = stream(0x15, 0x105, &[]);
        assert_eq!(cut(&[klv.clone(), aac]), Some((0x101, Codec::Audio)));
        assert_eq!(cut(&[klv]), Some((0x105, Codec::Data)));
        assert_eq!(cut(&[stream(0x86, 0x104, &[])]), None);
        assert_eq!(cut(&[]), None);
    }

    #[test]
    fn private_streams_are_what_their_descriptors_say() {
        let private = |descriptors| cut(&[stream(0x06, 0x101, descriptors)]);
        let audio = Some((0x101, Codec::Audio));
        assert_eq!(private(&[0x6A, 1, 0]), audio);
        assert_eq!(private(&[0x0A, 0, 0x7A, 0]), audio);
        assert_eq!(private(b"\x05\x04Opus\x7F\x02\x80\x02"), audio);
        assert_eq!(private(b"\x05\x04AV01"), Some((0x101, Codec::Flagged)));
        let data = Some((0x101, Codec::Data));
        assert_eq!(private(b"\x05\x04KLVA"), data);
        assert_eq!(private(b"\x05\x09Opus"), data, "longer than there is");
    }

    #[test]
    fn pids_are_listed_once_and_no_more_than_fit() {
        let streams: Vec<_> = (0..100).map(|i| stream(0x0F, 0x100 + i / 2, &[])).collect();
        assert_eq!(parse(&streams).pids().len(), 50);
        let streams: Vec<_> = (0..100).map(|i| stream(0x0F, 0x100 + i, &[])).collect();
        assert_eq!(parse(&streams).pids().len(), TS_PIDS);
    }

    #[test]
    fn tables_that_are_cut_short_are_read_as_far_as_they_go() {
        let mut entries = vec![0xE1, 0x00, 0xF0, 0];
        entries.extend(stream(0x1B, 0x100, &[]));
        entries.extend(stream(0x0F, 0x101, &[1, 2, 3]));
        for end in 0..entries.len() {
            let programme = Programme::parse(&entries[..end], PMT_PID);
            assert_eq!(programme.cut.is_some(), end >= 9, "cut at {end}");
        }
        let beyond = [0xE1, 0x00, 0xFF, 0xFF, 0x1B];
        assert_eq!(Programme::parse(&beyond, PMT_PID).cut, None);
    }

    #[test]
    fn programme_zero_is_the_network() {
        let entries = [0, 0, 0xE0, 0x10, 0, 7, 0xF0, 0x00, 0, 8, 0xF0, 0x01];
        assert_eq!(first_programme(&entries), Some((7, 0x1000)));
        assert_eq!(first_programme(&entries[..4]), None);
    }
}
