//! ADTS headers (ISO/IEC 14496-3 1.A.2.2) and the AudioSpecificConfig that says
//! the same (1.6.2.1).

use super::audio::{AudioCodec, Frame, Front};
use super::mux::AudioFormat;

/// Bytes of a header without checksum, and of a checksum.
const HEADER: usize = 7;
const CHECKSUM: usize = 2;
/// Samples of a frame.
const SAMPLES: u32 = 1024;
/// Table 1.18.
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

/// What stands at the front of `bytes`.
pub(super) fn front(bytes: &[u8]) -> Front {
    let Some(&header) = bytes.first_chunk::<HEADER>() else {
        return match bytes {
            [0xFF, second, ..] if second & 0xF6 == 0xF0 => Front::Short,
            [0xFF] | [] => Front::Short,
            _ => Front::Nothing,
        };
    };
    if header[0] != 0xFF || header[1] & 0xF6 != 0xF0 {
        return Front::Nothing;
    }
    let index = header[2] >> 2 & 0x0F;
    let channels = (header[2] & 1) << 2 | header[3] >> 6;
    let length = u32::from_be_bytes([0, header[3] & 3, header[4], header[5]]) as usize >> 5;
    let blocks = header[6] & 3;
    let front = HEADER + if header[1] & 1 == 0 { CHECKSUM } else { 0 };
    let Some(&rate) = RATES.get(usize::from(index)) else {
        return Front::Nothing;
    };
    if length <= front {
        return Front::Nothing;
    }
    // Channel configuration 0 is told within the frame, and several blocks in
    // one frame would have to be cut apart by decoding them.
    let is_foreign = channels == 0 || blocks > 0;
    let object = (header[2] >> 6) + 1;
    let config = [object << 3 | index >> 1, index << 7 | channels << 3];
    let format = AudioFormat { codec: AudioCodec::Aac, rate, channels, config };
    Front::Frame(Frame { bytes: length, header: front, samples: SAMPLES, is_foreign, format })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AAC LC, 44.1 kHz, stereo, 100 bytes in all.
    const STEREO: [u8; 7] = [0xFF, 0xF1, 0x50, 0x80, 0x0C, 0x9F, 0xFC];

    #[test]
    fn a_header_is_read() {
        let format =
            AudioFormat { codec: AudioCodec::Aac, rate: 44_100, channels: 2, config: [0x12, 0x10] };
        let frame = Frame { bytes: 100, header: 7, samples: 1024, is_foreign: false, format };
        assert_eq!(front(&STEREO), Front::Frame(frame));
        let mut checked = STEREO;
        checked[1] = 0xF8;
        assert_eq!(front(&checked), Front::Frame(Frame { header: 9, ..frame }));
        for end in 0..7 {
            assert_eq!(front(&STEREO[..end]), Front::Short);
        }
    }

    #[test]
    fn what_is_none_is_told_apart() {
        let changed = |at: usize, byte: u8| {
            let mut bytes = STEREO;
            bytes[at] = byte;
            front(&bytes)
        };
        assert_eq!(changed(0, 0xFE), Front::Nothing);
        assert_eq!(changed(1, 0xF3), Front::Nothing, "a layer");
        assert_eq!(changed(2, 0x7C), Front::Nothing, "a reserved rate");
        assert_eq!(changed(4, 0x00), Front::Nothing, "shorter than its header");
        let is_foreign = |front| matches!(front, Front::Frame(Frame { is_foreign: true, .. }));
        assert!(is_foreign(changed(3, 0x00)), "channels told within");
        assert!(is_foreign(changed(6, 0xFD)), "two blocks");
        assert!(!is_foreign(front(&STEREO)));
        assert_eq!(front(b"no"), Front::Nothing);
    }
}
