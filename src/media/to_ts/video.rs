//! Pictures: NAL units with a length before each become a byte stream with
//! start codes (ITU-T H.264 and H.265, annex B), which is how a TS has them.
//!
//! Parameter sets stand in the sequence header (ISO/IEC 14496-15, 5.3.3 and
//! 8.3.3) and must come before each picture that can be decoded on its own;
//! those that are in the pictures anyway are left where they are.

use crate::limits::TS_SETS_BYTES;

/// What the two codecs have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    H264,
    H265,
}

/// What a NAL unit is to a remuxer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Delimiter,
    /// Parameter set; which, as a bit.
    Set(u8),
    Key,
    Other,
}

/// A start code as each unit gets it.
const START: [u8; 4] = [0, 0, 0, 1];

impl Codec {
    /// `stream_type` in the PMT, ISO/IEC 13818-1 table 2-34.
    pub(super) const fn stream_type(self) -> u8 {
        match self {
            Self::H264 => 0x1B,
            Self::H265 => 0x24,
        }
    }

    /// Reads a unit's type (H.264 table 7-1, H.265 table 7-1).
    const fn unit(self, first: u8) -> Unit {
        match self {
            Self::H264 => match first & 0x1F {
                9 => Unit::Delimiter,
                7 => Unit::Set(1),
                8 => Unit::Set(2),
                5 => Unit::Key,
                _ => Unit::Other,
            },
            Self::H265 => match first >> 1 & 0x3F {
                35 => Unit::Delimiter,
                kind @ 32..=34 => Unit::Set(1 << (kind - 32)),
                16..=23 => Unit::Key,
                _ => Unit::Other,
            },
        }
    }

    /// The bits of all the sets that a picture needs.
    const fn all_sets(self) -> u8 {
        match self {
            Self::H264 => 3,
            Self::H265 => 7,
        }
    }

    /// An access unit delimiter that allows any kind of slice.
    const fn delimiter(self) -> &'static [u8] {
        match self {
            Self::H264 => &[0x09, 0xF0],
            Self::H265 => &[0x46, 0x01, 0x50],
        }
    }
}

/// A video's sequence header, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) codec: Codec,
    /// Bytes of the length before each unit.
    length: usize,
    /// Parameter sets with start codes.
    sets: Vec<u8>,
}

/// Takes the front of a slice.
fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (front, behind) = rest.split_at_checked(count)?;
    *rest = behind;
    Some(front)
}

fn take_byte(rest: &mut &[u8]) -> Option<u8> {
    Some(*take(rest, 1)?.first()?)
}

/// Appends `count` units, each with 16 bits of length before it.
fn take_sets(rest: &mut &[u8], count: u16, sets: &mut Vec<u8>) -> Option<()> {
    for _ in 0..count {
        let length = u16::from_be_bytes(*take(rest, 2)?.first_chunk()?);
        let unit = take(rest, usize::from(length))?;
        sets.extend_from_slice(&START);
        sets.extend_from_slice(unit);
    }
    Some(())
}

impl Config {
    /// Reads an `AVCDecoderConfigurationRecord` or an
    /// `HEVCDecoderConfigurationRecord`; `None`: it is none.
    pub(super) fn parse(codec: Codec, record: &[u8]) -> Option<Self> {
        let mut sets = Vec::new();
        let mut rest = record;
        let length = match codec {
            Codec::H264 => {
                let head = take(&mut rest, 5)?;
                let count = take_byte(&mut rest)? & 0x1F;
                take_sets(&mut rest, u16::from(count), &mut sets)?;
                let count = take_byte(&mut rest)?;
                take_sets(&mut rest, u16::from(count), &mut sets)?;
                head[4] & 3
            }
            Codec::H265 => {
                let head = take(&mut rest, 22)?;
                for _ in 0..take_byte(&mut rest)? {
                    let _type = take_byte(&mut rest)?;
                    let count = u16::from_be_bytes(*take(&mut rest, 2)?.first_chunk()?);
                    take_sets(&mut rest, count, &mut sets)?;
                }
                head[21] & 3
            }
        };
        Some(Self { codec, length: usize::from(length) + 1, sets })
    }

    /// Whether the sets are too many to go before every key picture.
    pub(super) fn is_too_large(&self) -> bool {
        self.sets.len() > TS_SETS_BYTES
    }

    /// Appends a picture as an access unit. `is_key`: its tag says that it can
    /// be decoded on its own; `may_add`: the sets may go before it. Answers how
    /// many bytes of sets did; `None`: there was nothing in it.
    pub(super) fn put(
        &self,
        data: &[u8],
        is_key: bool,
        may_add: bool,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        let kinds = || self.units(data).filter_map(|unit| Some(self.codec.unit(*unit.first()?)));
        let mut sets = 0;
        let mut needs_sets = is_key;
        for kind in kinds() {
            match kind {
                Unit::Set(bit) => sets |= bit,
                Unit::Key => needs_sets = true,
                Unit::Delimiter | Unit::Other => {}
            }
        }
        let first = kinds().next()?;
        if first != Unit::Delimiter {
            put_unit(self.codec.delimiter(), out);
        }
        let adds = may_add && needs_sets && sets != self.codec.all_sets();
        let mut wants_sets = adds;
        for (n, unit) in self.units(data).enumerate() {
            let is_delimiter = n == 0 && first == Unit::Delimiter;
            if wants_sets && !is_delimiter {
                out.extend_from_slice(&self.sets);
                wants_sets = false;
            }
            put_unit(unit, out);
        }
        Some(if adds { self.sets.len() } else { 0 })
    }

    /// The units of a picture, up to one that is longer than what is there.
    fn units<'a>(&self, data: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let length = self.length;
        let mut rest = data;
        std::iter::from_fn(move || {
            loop {
                let prefix = take(&mut rest, length)?;
                let size = prefix.iter().fold(0, |size, byte| size << 8 | usize::from(*byte));
                let unit = take(&mut rest, size)?;
                if !unit.is_empty() {
                    return Some(unit);
                }
            }
        })
    }
}

fn put_unit(unit: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&START);
    out.extend_from_slice(unit);
}

#[cfg(test)]
mod tests {
    use super::*;

    const AVC: &[u8] = b"\x01\x42\0\x1E\xFF\xE1\0\x03\x67AB\x01\0\x02\x68C";
    const S: &[u8] = &START;

    fn put(config: &Config, data: &[u8], is_key: bool) -> Vec<u8> {
        let mut out = Vec::new();
        config.put(data, is_key, true, &mut out);
        out
    }

    fn avc() -> Config {
        Config::parse(Codec::H264, AVC).expect("a record")
    }

    #[test]
    fn parameter_sets_go_before_key_pictures_and_a_delimiter_before_all() {
        let config = avc();
        let (aud, sets) = ([S, b"\x09\xF0"].concat(), [S, b"\x67AB", S, b"\x68C"].concat());
        let key = b"\0\0\0\x02\x06s\0\0\0\x03\x65xy";
        let expected = [&aud, &sets, S, b"\x06s", S, b"\x65xy"].concat();
        assert_eq!(put(&config, key, true), expected);
        assert_eq!(put(&config, key, false), expected, "its units say so too");
        let other = b"\0\0\0\x02\x41z";
        assert_eq!(put(&config, other, false), [&aud, S, b"\x41z"].concat());
        assert_eq!(put(&config, other, true), [&aud, &sets, S, b"\x41z"].concat());
    }

    #[test]
    fn what_is_in_the_picture_is_not_put_there_again() {
        let key = b"\0\0\0\x02\x09\x10\0\0\0\x02\x67n\0\0\0\x02\x68n\0\0\0\x02\x65x";
        let expected = [S, b"\x09\x10", S, b"\x67n", S, b"\x68n", S, b"\x65x"].concat();
        assert_eq!(put(&avc(), key, true), expected);
        let only_delimiter = b"\0\0\0\x02\x09\x10\0\0\0\x02\x65x";
        let out = put(&avc(), only_delimiter, true);
        assert_eq!(out[..10], [S, b"\x09\x10", S].concat());
        assert_eq!(out[10], 0x67);
    }

    #[test]
    fn lengths_may_have_one_byte_and_may_be_wrong() {
        let mut record = AVC.to_vec();
        record[4] = 0xFC;
        let config = Config::parse(Codec::H264, &record).expect("a record");
        let aud = [S, b"\x09\xF0"].concat();
        assert_eq!(put(&config, b"\x02\x41z\0\xFF\x41", false), [&aud, S, b"\x41z"].concat());
        for nothing in [&b""[..], b"\0", b"\0\0", b"\x02\x65"] {
            assert_eq!(config.put(nothing, true, true, &mut Vec::new()), None);
        }
        for cut in 0..AVC.len() {
            assert_eq!(Config::parse(Codec::H264, &AVC[..cut]), None);
        }
    }

    #[test]
    fn h265_has_three_sets() {
        let mut record = vec![0; 21];
        record.extend_from_slice(b"\x03\x03\xA0\0\x01\0\x03\x40\x01V\xA1\0\x01\0\x03\x42\x01S");
        record.extend_from_slice(b"\xA2\0\x01\0\x03\x44\x01P");
        let config = Config::parse(Codec::H265, &record).expect("a record");
        let expected = [
            S,
            b"\x46\x01\x50",
            S,
            b"\x40\x01V",
            S,
            b"\x42\x01S",
            S,
            b"\x44\x01P",
            S,
            b"\x26\x01k",
        ]
        .concat();
        assert_eq!(put(&config, b"\0\0\0\x03\x26\x01k", false), expected);
        for cut in 0..record.len() {
            assert_eq!(Config::parse(Codec::H265, &record[..cut]), None, "{cut}");
        }
    }
}
