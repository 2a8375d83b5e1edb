//! MPEG audio headers (ISO/IEC 11172-3 2.4.1.3, ISO/IEC 13818-3 2.4.1.3) of
//! layer III, with the lower rates known as MPEG-2.5, and of layer II, which FLV
//! does not know.

use super::audio::{AudioCodec, Frame, Front};
use super::mux::AudioFormat;

/// Bytes of a header.
const HEADER: usize = 4;
/// Bit rates in kbit/s, from index 1, of MPEG-1 layer III ...
const RATES_1: [u32; 14] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
/// ... of MPEG-1 layer II ...
const RATES_1_2: [u32; 14] = [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384];
/// ... and of both in MPEG-2 and 2.5.
const RATES_2: [u32; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

/// What stands at the front of `bytes`.
pub(super) fn front(bytes: &[u8]) -> Front {
    const LAYER_2: u8 = 0b10;
    const LAYER_3: u8 = 0b01;
    let Some(&header) = bytes.first_chunk::<HEADER>() else {
        return match bytes {
            [0xFF, second, ..] if second & 0xE0 == 0xE0 => Front::Short,
            [0xFF] | [] => Front::Short,
            _ => Front::Nothing,
        };
    };
    let (version, layer) = (header[1] >> 3 & 3, header[1] >> 1 & 3);
    let rates = match (version, layer) {
        (3, LAYER_3) => &RATES_1,
        (3, LAYER_2) => &RATES_1_2,
        (_, LAYER_3 | LAYER_2) => &RATES_2,
        _ => return Front::Nothing,
    };
    let bit_rate = usize::from(header[2] >> 4).checked_sub(1).and_then(|at| rates.get(at));
    let divisor = match version {
        3 => 1,
        2 => 2,
        0 => 4,
        _ => return Front::Nothing,
    };
    let (Some(&bit_rate), Some(&full)) =
        (bit_rate, [44_100, 48_000, 32_000].get(usize::from(header[2] >> 2 & 3)))
    else {
        return Front::Nothing;
    };
    if header[0] != 0xFF || header[1] & 0xE0 != 0xE0 {
        return Front::Nothing;
    }
    let rate = full / divisor;
    let samples = if version == 3 || layer == LAYER_2 { 1152 } else { 576 };
    let padding = u32::from(header[2] >> 1 & 1);
    let length = samples / 8 * bit_rate * 1000 / rate + padding;
    let channels = if header[3] >> 6 == 3 { 1 } else { 2 };
    let format = AudioFormat { codec: AudioCodec::Mp3, rate, channels, config: [0; 2] };
    let is_foreign = layer != LAYER_3;
    Front::Frame(Frame { bytes: length as usize, header: 0, samples, is_foreign, format })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: [u8; 4]) -> Option<(usize, u32, u32, u8)> {
        match front(&bytes) {
            Front::Frame(frame) => {
                let format = frame.format;
                Some((frame.bytes, frame.samples, format.rate, format.channels))
            }
            Front::Short | Front::Nothing => None,
        }
    }

    #[test]
    fn headers_are_read() {
        assert_eq!(frame([0xFF, 0xFB, 0x90, 0x00]), Some((417, 1152, 44_100, 2)));
        assert_eq!(frame([0xFF, 0xFB, 0x92, 0xC0]), Some((418, 1152, 44_100, 1)));
        assert_eq!(frame([0xFF, 0xF3, 0x80, 0x00]), Some((208, 576, 22_050, 2)));
        assert_eq!(frame([0xFF, 0xE3, 0x18, 0xC0]), Some((72, 576, 8_000, 1)));
        assert_eq!(frame([0xFF, 0xFB, 0x94, 0x00]), Some((384, 1152, 48_000, 2)));
    }

    #[test]
    fn what_is_none_is_told_apart() {
        for bytes in [
            [0xFE, 0xFB, 0x90, 0],
            [0xFF, 0xDB, 0x90, 0],
            [0xFF, 0xEB, 0x90, 0],
            [0xFF, 0xFF, 0x90, 0],
            [0xFF, 0xFB, 0x00, 0],
            [0xFF, 0xFB, 0xF0, 0],
            [0xFF, 0xFB, 0x9C, 0],
        ] {
            assert_eq!(front(&bytes), Front::Nothing, "{bytes:x?}");
        }
        let Front::Frame(second) = front(&[0xFF, 0xFD, 0xA4, 0]) else {
            panic!("layer II is a frame");
        };
        assert!(second.is_foreign && second.bytes == 576, "192 kbit/s, 48 kHz");
        assert_eq!(front(&[0xFF, 0xFB, 0x90]), Front::Short);
    }
}
