//! Whether a video PES begins with a picture that a decoder can start at, for
//! encoders that set no `random_access_indicator`.
//!
//! The scan sees the packets' payloads one after the other, so a start code
//! may be split anywhere. It ends with the first slice of the picture: in
//! practice some ten bytes into a PES, and after parameter sets in a key.

use super::programme::Codec;
use crate::framing::find::through;

/// Bytes of a PES header before the part of variable length, the length of
/// which is in the last of them (ISO/IEC 13818-1 2.4.3.6).
const FIXED_HEADER: u8 = 9;

/// The scan of one PES.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan {
    codec: Codec,
    stage: Stage,
    /// Zero bytes right before the next one, two at most: what a start code
    /// that is split between payloads leaves behind.
    zeros: u8,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// So many bytes of the fixed PES header have come.
    Header(u8),
    /// So many bytes of the variable one are yet to come; never none.
    Skip(u8),
    /// Between start codes.
    Search,
    /// Right behind a start code; so many bytes until the one with the type.
    Type(u8),
}

/// What the scan knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing yet: go on with the next payload.
    Nothing,
    /// A decoder can start with this PES.
    Key,
    /// It can't, or it can't be told.
    Other,
}

impl Scan {
    /// A scan that begins with the first byte of a PES.
    pub(super) const fn new(codec: Codec) -> Self {
        Self { codec, stage: Stage::Header(0), zeros: 0 }
    }

    /// Looks at the next payload of the PES. Once it has found out, it must
    /// not be asked again.
    pub(super) fn feed(&mut self, payload: &[u8]) -> Found {
        if matches!(self.codec, Codec::Audio | Codec::Flagged) {
            return Found::Other;
        }
        let mut rest = payload;
        while let Some(&byte) = rest.first() {
            let mut used = 1;
            match self.stage {
                Stage::Header(at @ 0..3) if byte != u8::from(at == 2) => return Found::Other,
                Stage::Header(at) if at + 1 == FIXED_HEADER => self.stage = skip(byte),
                Stage::Header(at) => self.stage = Stage::Header(at + 1),
                Stage::Skip(left) => self.stage = skip(left - 1),
                Stage::Search => used = self.search(rest),
                Stage::Type(0) => match classify(self.codec, byte) {
                    Found::Nothing => {
                        self.zeros = u8::from(byte == 0);
                        self.stage = Stage::Search;
                    }
                    found @ (Found::Key | Found::Other) => return found,
                },
                Stage::Type(left) => self.stage = Stage::Type(left - 1),
            }
            rest = &rest[used..];
        }
        Found::Nothing
    }

    /// Looks for the next byte 1, and whether it ends a start code. Says how
    /// many bytes that took.
    fn search(&mut self, bytes: &[u8]) -> usize {
        let Some(used) = through(1, bytes) else {
            self.zeros = zeros(self.zeros, bytes);
            return bytes.len();
        };
        if zeros(self.zeros, &bytes[..used - 1]) == 2 {
            // H.266 has the type in the second byte of its NAL header.
            self.stage = Stage::Type(u8::from(self.codec == Codec::H266));
        }
        self.zeros = 0;
        used
    }
}

/// The stage in which `left` more bytes of the PES header come.
fn skip(left: u8) -> Stage {
    if left == 0 { Stage::Search } else { Stage::Skip(left) }
}

/// Zero bytes at the end of `bytes`, two at most, after `before` of them.
fn zeros(before: u8, bytes: &[u8]) -> u8 {
    match bytes {
        [] => before,
        [0] => (before + 1).min(2),
        [.., 0, 0] => 2,
        [.., 0] => 1,
        _ => 0,
    }
}

/// What the byte with the type says; `Nothing` for what stands before a
/// picture's first slice.
fn classify(codec: Codec, byte: u8) -> Found {
    match codec {
        // ITU-T H.264 table 7-1: 1 to 5 are slices, 5 those of an IDR picture.
        Codec::H264 => match byte & 0x1F {
            5 => Found::Key,
            1..=4 => Found::Other,
            _ => Found::Nothing,
        },
        // ITU-T H.265 table 7-1: below 32 are slices; BLA, IDR, CRA.
        Codec::H265 => match (byte >> 1) & 0x3F {
            16..=21 => Found::Key,
            0..=31 => Found::Other,
            _ => Found::Nothing,
        },
        // ITU-T H.266 table 5: below 12 are slices; IDR and CRA.
        Codec::H266 => match byte >> 3 {
            7..=9 => Found::Key,
            0..=11 => Found::Other,
            _ => Found::Nothing,
        },
        // ISO/IEC 13818-2 table 6-1: sequence header; picture and slices.
        Codec::Mpeg2 => match byte {
            0xB3 => Found::Key,
            0x00..=0xAF => Found::Other,
            _ => Found::Nothing,
        },
        Codec::Data | Codec::Audio | Codec::Flagged => Found::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pes(es: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 1, 0xE0, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1];
        bytes.extend_from_slice(es);
        bytes
    }

    /// The answer must not depend on where payloads are split.
    fn scan(codec: Codec, bytes: &[u8]) -> Found {
        let whole = Scan::new(codec).feed(bytes);
        for at in 0..=bytes.len() {
            let mut scan = Scan::new(codec);
            let found = match scan.feed(&bytes[..at]) {
                Found::Nothing => scan.feed(&bytes[at..]),
                found @ (Found::Key | Found::Other) => found,
            };
            assert_eq!(found, whole, "split at {at}");
        }
        whole
    }

    #[test]
    fn h264() {
        let key = pes(&[
            0, 0, 0, 1, 0x09, 0x10, 0, 0, 0, 1, 0x67, 0x42, 0, 0, 0, 1, 0x68, 0xCE, 0, 0, 1, 0x65,
            0x88,
        ]);
        let other = pes(&[0, 0, 0, 1, 0x09, 0x30, 0, 0, 0, 1, 0x41, 0x9A, 0, 0, 1, 0x65]);
        assert_eq!(scan(Codec::H264, &key), Found::Key);
        assert_eq!(scan(Codec::H264, &other), Found::Other);
        assert_eq!(scan(Codec::H264, &key[..30]), Found::Nothing);
    }

    #[test]
    fn h265() {
        for (kind, found) in [
            (15, Found::Other),
            (16, Found::Key),
            (19, Found::Key),
            (21, Found::Key),
            (22, Found::Other),
            (1, Found::Other),
            (32, Found::Nothing),
        ] {
            let bytes = pes(&[0, 0, 0, 1, 0x46, 1, 0x50, 0, 0, 1, kind << 1, 1, 0x80]);
            assert_eq!(scan(Codec::H265, &bytes), found, "type {kind}");
        }
    }

    #[test]
    fn h266_has_its_type_in_the_second_byte() {
        for (kind, found) in [(0, Found::Other), (7, Found::Key), (10, Found::Other)] {
            let bytes = pes(&[0, 0, 1, 0x00, 20 << 3 | 1, 0x50, 0, 0, 1, 0x00, kind << 3 | 1]);
            assert_eq!(scan(Codec::H266, &bytes), found, "type {kind}");
        }
    }

    #[test]
    fn mpeg2() {
        assert_eq!(scan(Codec::Mpeg2, &pes(&[0, 0, 1, 0xB3, 0x2D])), Found::Key);
        let group_and_picture = pes(&[0, 0, 1, 0xB8, 0, 8, 0, 0, 1, 0x00, 0]);
        assert_eq!(scan(Codec::Mpeg2, &group_and_picture), Found::Other);
    }

    #[test]
    fn start_codes_are_found_after_any_bytes() {
        for before in [
            &[][..],
            &[0],
            &[0, 0],
            &[1],
            &[0, 1],
            &[0, 0, 2],
            &[0, 0, 1, 0x06, 1, 0, 1, 0],
            &[0, 0, 1, 0x06, 0],
        ] {
            let with = |end: &[u8]| scan(Codec::H264, &pes(&[before, end].concat()));
            assert_eq!(with(&[0, 0, 1, 0x65]), Found::Key, "{before:?}");
            assert_eq!(with(&[2, 0, 1, 0x65]), Found::Nothing, "{before:?}");
            assert_eq!(with(&[0, 0, 2, 1, 1, 0x65]), Found::Nothing, "{before:?}");
        }
    }

    #[test]
    fn what_looks_like_a_key_in_the_header_is_none() {
        let mut bytes = vec![0, 0, 1, 0xE0, 0, 0, 0x80, 0x80, 10];
        bytes.extend_from_slice(&[0, 0, 1, 0x65, 0, 0, 0, 1, 0x65, 0]);
        bytes.extend_from_slice(&[0, 0, 1, 0x41]);
        assert_eq!(scan(Codec::H264, &bytes), Found::Other);
        assert_eq!(scan(Codec::H264, b"\0\0\x02no PES"), Found::Other);
    }
}
