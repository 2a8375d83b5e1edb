//! H.265: what NAL units are for, and the decoder configuration made of
//! parameter sets (ITU-T H.265 7.3.2.2, ISO/IEC 14496-15 8.3.3.1).

use super::avc::{cropped, subsampling, window};
use super::bits::Bits;
use super::sets::{Nal, PPS, Parameters, SPS, Sets, VPS};

/// What a NAL unit is for, by its type (table 7-1). Only the base layer is
/// passed on.
pub(super) fn classify(nal: &[u8]) -> Nal {
    let Some(&[high, low]) = nal.first_chunk() else {
        return Nal::Idle;
    };
    if high & 0x81 != 0 || low & 0xF8 != 0 {
        return Nal::Idle;
    }
    match high >> 1 & 0x3F {
        16..=21 => Nal::Slice { key: true },
        0..=31 => Nal::Slice { key: false },
        32 => Nal::Set(VPS),
        33 => Nal::Set(SPS),
        34 => Nal::Set(PPS),
        // Access unit delimiter, filler data.
        35 | 38 => Nal::Idle,
        _ => Nal::Other,
    }
}

/// The identifier of a parameter set.
pub(super) fn id(kind: usize, nal: &[u8]) -> Option<u32> {
    let mut bits = Bits::new(nal.get(2..)?);
    match kind {
        VPS => bits.number(4),
        SPS => Levels::parse(&mut bits).and_then(|_| bits.unsigned()),
        _ => bits.unsigned(),
    }
}

/// HEVCDecoderConfigurationRecord and the picture's size, once there is one
/// set of each kind that can be read.
pub(super) fn parameters(sets: &[Sets; 3]) -> Option<Parameters> {
    let sps = Sps::parse(sets[SPS].newest()?)?;
    sets[VPS].newest().and(sets[PPS].newest())?;
    let mut record = vec![1];
    record.extend(sps.levels.general);
    // Segmentation and parallelism: not told. Then chroma, depths, and a frame
    // rate that isn't told either.
    record.extend([0xF0, 0, 0xFC, 0xFC | sps.format]);
    record.extend([0xF8 | sps.depths[0], 0xF8 | sps.depths[1], 0, 0]);
    let nested = u8::from(sps.levels.nested);
    // Lengths of 4 bytes; three arrays.
    record.extend([sps.levels.layers << 3 | nested << 2 | 3, 3]);
    for (kind, of) in [(VPS, 32), (SPS, 33), (PPS, 34)] {
        // `array_completeness`: there are none in the pictures.
        record.extend([0x80 | of, 0, sets[kind].count()]);
        sets[kind].write(&mut record);
    }
    Some(Parameters { record, width: sps.width, height: sps.height })
}

/// Profile, tier, level and layers.
#[derive(Debug, PartialEq, Eq)]
struct Levels {
    /// From `general_profile_space` to `general_level_idc`, as they are.
    general: [u8; 12],
    /// Temporal layers.
    layers: u8,
    nested: bool,
}

impl Levels {
    /// Reads a sequence parameter set from behind its NAL header through
    /// `profile_tier_level` (7.3.3).
    fn parse(bits: &mut Bits<'_>) -> Option<Self> {
        bits.number(4)?;
        let more_layers = bits.number(3)?;
        let nested = bits.flag()?;
        let mut general = [0; 12];
        for byte in &mut general {
            *byte = bits.number(8)? as u8;
        }
        let mut present = 0;
        for _ in 0..more_layers {
            present += if bits.flag()? { 88 } else { 0 };
            present += if bits.flag()? { 8 } else { 0 };
        }
        if more_layers > 0 {
            bits.skip(2 * (8 - more_layers))?;
        }
        bits.skip(present)?;
        Some(Self { general, layers: more_layers as u8 + 1, nested })
    }
}

/// The part of a sequence parameter set that a container has to know.
#[derive(Debug, PartialEq, Eq)]
struct Sps {
    levels: Levels,
    width: u32,
    height: u32,
    format: u8,
    /// Bit depths of luma and chroma, less 8.
    depths: [u8; 2],
}

impl Sps {
    fn parse(nal: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(nal.get(2..)?);
        let levels = Levels::parse(&mut bits)?;
        bits.unsigned()?;
        let format = bits.unsigned().filter(|&format| format <= 3)?;
        let planes = format == 3 && bits.flag()?;
        let (across, down) = (bits.unsigned()?, bits.unsigned()?);
        let [left, right, top, bottom] = window(&mut bits)?;
        let depths = [bits.unsigned()?, bits.unsigned()?];
        if depths.iter().any(|&depth| depth > 7) {
            return None;
        }
        let (unit_across, unit_down) = if planes { (1, 1) } else { subsampling(format) };
        Some(Self {
            levels,
            width: cropped(across, left, right, unit_across)?,
            height: cropped(down, top, bottom, unit_down)?,
            format: format as u8,
            depths: depths.map(|depth| depth as u8),
        })
    }
}
