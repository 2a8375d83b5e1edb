//! Sound: raw AAC gets an ADTS header before each frame (ISO/IEC 14496-3, 1.A.2),
//! made of what the sequence header says; MP3 has headers of its own.

/// Bytes of an ADTS header without a checksum.
const ADTS_BYTES: usize = 7;
/// The longest frame, its header included, that the header can tell of.
const ADTS_MOST: usize = 0x1FFF;

/// Samples a second by `samplingFrequencyIndex`, ISO/IEC 14496-3 table 1.18.
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

/// What an `AudioSpecificConfig` says that an ADTS header must too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Aac {
    /// `audioObjectType` less one: 0 Main, 1 LC, 2 SSR, 3 LTP.
    profile: u8,
    rate: u8,
    channels: u8,
}

/// Bits from the front of a few bytes.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    fn object_type(&mut self) -> Option<u32> {
        match self.take(5)? {
            31 => Some(32 + self.take(6)?),
            small => Some(small),
        }
    }

    /// An index, or a rate in full that has one.
    fn rate(&mut self) -> Option<u8> {
        let index = match self.take(4)? {
            15 => {
                let rate = self.take(24)?;
                RATES.iter().position(|known| *known == rate)?
            }
            index => index as usize,
        };
        (index < RATES.len()).then_some(index as u8)
    }
}

impl Aac {
    /// Reads an `AudioSpecificConfig` (ISO/IEC 14496-3, 1.6.2.1). `None`: it is
    /// none, or of a kind that ADTS can't tell of: other object types, other
    /// rates, channels that are described elsewhere.
    pub(super) fn parse(config: &[u8]) -> Option<Self> {
        let mut bits = Bits { bytes: config, at: 0 };
        let mut object = bits.object_type()?;
        let rate = bits.rate()?;
        let channels = bits.take(4)? as u8;
        if matches!(object, 5 | 29) {
            // HE-AAC: what it extends is what ADTS tells of.
            let _extended = bits.rate()?;
            object = bits.object_type()?;
        }
        let is_told = matches!(object, 1..=4) && matches!(channels, 1..=7);
        is_told.then(|| Self { profile: object as u8 - 1, rate, channels })
    }

    /// Appends a frame with its header; answers whether it could be.
    pub(super) fn put(self, frame: &[u8], out: &mut Vec<u8>) -> bool {
        let length = ADTS_BYTES + frame.len();
        if frame.is_empty() || length > ADTS_MOST {
            return false;
        }
        let Self { profile, rate, channels } = self;
        let [hi, lo] = (length as u16).to_be_bytes();
        out.extend_from_slice(&[
            0xFF,
            // MPEG-4, no checksum.
            0xF1,
            profile << 6 | rate << 2 | channels >> 2,
            channels << 6 | hi >> 3,
            hi << 5 | lo >> 3,
            // Fullness of the buffer: not told.
            lo << 5 | 0x1F,
            0xFC,
        ]);
        out.extend_from_slice(frame);
        true
    }
}

/// `stream_type` of an MP3 frame, ISO/IEC 13818-1 table 2-34: by whether its
/// rate is one of MPEG-1; `None`: it does not begin with a header.
pub(super) fn mp3_stream_type(frame: &[u8]) -> Option<u8> {
    match frame {
        [0xFF, second, ..] if second & 0xE0 == 0xE0 => {
            Some(if second & 0x18 == 0x18 { 0x03 } else { 0x04 })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_what_the_config_says() {
        let lc = Aac::parse(&[0x11, 0x90]).expect("LC, 48 kHz, stereo");
        assert_eq!(lc, Aac { profile: 1, rate: 3, channels: 2 });
        let mut out = Vec::new();
        assert!(lc.put(&[0xAB; 0x0FF], &mut out));
        assert_eq!(out[..8], [0xFF, 0xF1, 0x4C, 0x80, 0x20, 0xDF, 0xFC, 0xAB]);
        // HE-AAC told openly: of 24 kHz, and what it extends is LC.
        assert_eq!(Aac::parse(&[0x2B, 0x11, 0x88]), Some(Aac { profile: 1, rate: 6, channels: 2 }));
        // 44100 in full.
        let full = [0x17, 0x80, 0x56, 0x22, 0x10];
        assert_eq!(Aac::parse(&full), Some(Aac { profile: 1, rate: 4, channels: 2 }));
    }

    #[test]
    fn what_adts_cannot_tell_is_refused() {
        for config in [
            &[][..],
            &[0x11],
            // Channels described in the config; a reserved rate; ER AAC ELD; 22 kHz odd.
            &[0x11, 0x80],
            &[0x16, 0x90],
            &[0xF8, 0xE6, 0x40],
            &[0x17, 0x80, 0x56, 0x23, 0x10],
        ] {
            assert_eq!(Aac::parse(config), None, "{config:x?}");
        }
        let lc = Aac::parse(&[0x11, 0x90]).expect("LC");
        assert!(!lc.put(&[], &mut Vec::new()));
        assert!(lc.put(&[0; ADTS_MOST - 7], &mut Vec::new()));
        assert!(!lc.put(&[0; ADTS_MOST - 6], &mut Vec::new()));
    }

    #[test]
    fn mp3_is_told_by_its_header() {
        assert_eq!(mp3_stream_type(&[0xFF, 0xFB, 0x90]), Some(0x03));
        assert_eq!(mp3_stream_type(&[0xFF, 0xF3, 0x90]), Some(0x04));
        assert_eq!(mp3_stream_type(&[0xFF, 0x1B]), None);
        assert_eq!(mp3_stream_type(b"ID3"), None);
    }
}
