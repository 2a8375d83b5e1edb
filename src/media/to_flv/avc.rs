//! H.264: what NAL units are for, and the decoder configuration made of
//! parameter sets (ITU-T H.264 7.3.2.1, ISO/IEC 14496-15 5.3.3.1).

use super::bits::Bits;
use super::sets::{Nal, PPS, Parameters, SPS, Sets};

/// Profiles whose sequence parameter sets tell the chroma format.
const WITH_CHROMA: &[u32] = &[44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244];

/// What a NAL unit is for, by its type (table 7-1).
pub(super) fn classify(nal: &[u8]) -> Nal {
    const IDR: u8 = 5;
    match nal.first() {
        None => Nal::Idle,
        Some(header) if header & 0x80 != 0 => Nal::Idle,
        Some(header) => match header & 0x1F {
            IDR => Nal::Slice { key: true },
            1..=4 => Nal::Slice { key: false },
            7 => Nal::Set(SPS),
            8 => Nal::Set(PPS),
            // Access unit delimiter, filler data.
            9 | 12 => Nal::Idle,
            _ => Nal::Other,
        },
    }
}

/// The identifier of a parameter set.
pub(super) fn id(kind: usize, nal: &[u8]) -> Option<u32> {
    let mut bits = Bits::new(nal.get(1..)?);
    if kind == SPS {
        bits.skip(24)?;
    }
    bits.unsigned()
}

/// AVCDecoderConfigurationRecord and the picture's size, once there are an SPS
/// and a PPS that can be read.
pub(super) fn parameters(sets: &[Sets; 3]) -> Option<Parameters> {
    let newest = sets[SPS].newest()?;
    let sps = Sps::parse(newest)?;
    sets[PPS].newest()?;
    let &[_, profile, compatibility, level] = newest.first_chunk()?;
    // Reserved bits, lengths of 4 bytes.
    let mut record = vec![1, profile, compatibility, level, 0xFC | 3];
    for (kind, reserved) in [(SPS, 0xE0), (PPS, 0)] {
        record.push(reserved | sets[kind].count());
        sets[kind].write(&mut record);
    }
    if let Some([format, luma, chroma]) = sps.chroma {
        // No extensions of sequence parameter sets.
        record.extend([0xFC | format, 0xF8 | luma, 0xF8 | chroma, 0]);
    }
    Some(Parameters { record, width: sps.width, height: sps.height })
}

/// The part of a sequence parameter set that a container has to know.
#[derive(Debug, PartialEq, Eq)]
struct Sps {
    width: u32,
    height: u32,
    /// Format, and bit depths less 8.
    chroma: Option<[u8; 3]>,
}

impl Sps {
    fn parse(nal: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(nal.get(1..)?);
        let profile = bits.number(8)?;
        bits.skip(16)?;
        bits.unsigned()?;
        let (mut format, mut planes, mut chroma) = (1, false, None);
        if WITH_CHROMA.contains(&profile) {
            format = bits.unsigned().filter(|&format| format <= 3)?;
            planes = format == 3 && bits.flag()?;
            let depths = [bits.unsigned()?, bits.unsigned()?];
            if depths.iter().any(|&depth| depth > 6) {
                return None;
            }
            chroma = Some([format as u8, depths[0] as u8, depths[1] as u8]);
            bits.flag()?;
            if bits.flag()? {
                scaling_matrix(&mut bits, if format == 3 { 12 } else { 8 })?;
            }
        }
        order_count(&mut bits)?;
        bits.unsigned()?;
        bits.flag()?;
        let across = bits.unsigned()?.checked_add(1)?.checked_mul(16)?;
        let map_units = bits.unsigned()?.checked_add(1)?;
        let frames_only = bits.flag()?;
        if !frames_only {
            bits.flag()?;
        }
        let fields = if frames_only { 1 } else { 2 };
        let down = map_units.checked_mul(16 * fields)?;
        bits.flag()?;
        let [left, right, top, bottom] = window(&mut bits)?;
        let (unit_across, unit_down) = if planes { (1, 1) } else { subsampling(format) };
        Some(Self {
            width: cropped(across, left, right, unit_across)?,
            height: cropped(down, top, bottom, unit_down * fields)?,
            chroma,
        })
    }
}

/// Samples of luma for one of chroma, across and down (table 6-1).
pub(super) fn subsampling(format: u32) -> (u32, u32) {
    match format {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    }
}

/// A flag and, if it is set, four offsets: left, right, top, bottom.
pub(super) fn window(bits: &mut Bits<'_>) -> Option<[u32; 4]> {
    if !bits.flag()? {
        return Some([0; 4]);
    }
    Some([bits.unsigned()?, bits.unsigned()?, bits.unsigned()?, bits.unsigned()?])
}

/// What a window leaves of a size; `None` if that is nothing.
pub(super) fn cropped(size: u32, before: u32, behind: u32, unit: u32) -> Option<u32> {
    let cut = before.checked_add(behind)?.checked_mul(unit)?;
    size.checked_sub(cut).filter(|&left| left > 0)
}

/// Passes over `log2_max_frame_num` and the picture order count's fields.
fn order_count(bits: &mut Bits<'_>) -> Option<()> {
    const CYCLE_MAX: u32 = 255;
    bits.unsigned()?;
    match bits.unsigned()? {
        0 => drop(bits.unsigned()?),
        1 => {
            bits.flag()?;
            bits.signed()?;
            bits.signed()?;
            let cycle = bits.unsigned().filter(|&cycle| cycle <= CYCLE_MAX)?;
            for _ in 0..cycle {
                bits.signed()?;
            }
        }
        _ => {}
    }
    Some(())
}

/// Passes over scaling lists (7.3.2.1.1.1).
fn scaling_matrix(bits: &mut Bits<'_>, lists: usize) -> Option<()> {
    for list in 0..lists {
        if !bits.flag()? {
            continue;
        }
        let (mut last, mut next) = (8_i32, 8_i32);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                next = last.wrapping_add(bits.signed()?).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_real_parameter_sets() {
        let size = |nal: &[u8]| Sps::parse(nal).map(|sps| (sps.width, sps.height, sps.chroma));
        // x264, 1920 x 1080, high profile: cropped by 8 lines.
        let high = [
            0x67, 0x64, 0x00, 0x28, 0xAC, 0xD9, 0x40, 0x78, 0x02, 0x27, 0xE5, 0x84, 0x00, 0x00,
            0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xF0, 0x3C, 0x60, 0xC6, 0x58,
        ];
        assert_eq!(size(&high), Some((1920, 1080, Some([1, 0, 0]))));
        for end in 0..14 {
            let _ = size(&high[..end]);
        }
        assert_eq!(size(&high[..8]), None);
    }

    #[test]
    fn a_size_that_is_cut_to_nothing_is_none() {
        assert_eq!(cropped(16, 3, 4, 2), Some(2));
        assert_eq!(cropped(16, 4, 4, 2), None);
        assert_eq!(cropped(16, u32::MAX, 4, 2), None);
    }
}
