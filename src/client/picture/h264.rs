//! Just enough H.264 to be seen: constrained baseline, every macroblock either
//! I_PCM (its samples as they are) or, in P slices, skipped (as in the picture
//! before). Clauses are those of ITU-T H.264 (08/2021).

use super::canvas::{Canvas, HEIGHT, MACROBLOCKS, MB_SAMPLES, WIDTH};

/// Pictures from one IDR to the next: one second.
pub(super) const GOP: u64 = 25;

/// `nal_ref_idc` and `nal_unit_type` of the NAL units written, Table 7-1.
const NAL_AUD: u8 = 9;
const NAL_SPS: u8 = 3 << 5 | 7;
const NAL_PPS: u8 = 3 << 5 | 8;
const NAL_IDR: u8 = 3 << 5 | 5;
const NAL_P: u8 = 2 << 5 | 1;

/// `slice_type` where all slices of the picture are alike, Table 7-6.
const SLICE_P: u32 = 5;
const SLICE_I: u32 = 7;
/// `mb_type` of I_PCM in I slices (Table 7-11) and in P slices (7.4.5).
const I_PCM: u32 = 25;
const I_PCM_IN_P: u32 = 5 + I_PCM;
/// Bits of `frame_num`: more than a GOP's pictures.
const FRAME_NUM_BITS: u32 = 5;

const _: () = assert!(GOP < 1 << FRAME_NUM_BITS);

/// Which macroblocks of a picture are sent; the others are skipped.
pub(super) type Coded = [bool; MACROBLOCKS];

/// Appends a picture that needs no other: access unit delimiter, parameter
/// sets, IDR slice. Neighbouring IDRs must differ in `idr_pic_id`.
pub(super) fn idr(canvas: &Canvas, idr_pic_id: u32, out: &mut Vec<u8>) {
    delimiter(0, out);
    sps(out);
    pps(out);
    let mut nal = Nal::start(NAL_IDR, false, out);
    slice_header(&mut nal, SLICE_I, 0, Some(idr_pic_id));
    let mut samples = [0; MB_SAMPLES];
    for index in 0..MACROBLOCKS {
        nal.ue(I_PCM);
        canvas.macroblock(index, &mut samples);
        nal.align_zero();
        nal.bytes(&samples);
    }
    nal.end();
}

/// Appends a picture that builds on the one before: access unit delimiter and
/// P slice with the macroblocks of `coded`.
pub(super) fn predicted(canvas: &Canvas, frame_num: u32, coded: &Coded, out: &mut Vec<u8>) {
    delimiter(1, out);
    let mut nal = Nal::start(NAL_P, false, out);
    slice_header(&mut nal, SLICE_P, frame_num, None);
    let mut samples = [0; MB_SAMPLES];
    let mut skipped = 0;
    for (index, sent) in coded.iter().enumerate() {
        if !sent {
            skipped += 1;
            continue;
        }
        // 7.3.4: mb_skip_run stands before each macroblock that is sent.
        nal.ue(skipped);
        skipped = 0;
        nal.ue(I_PCM_IN_P);
        canvas.macroblock(index, &mut samples);
        nal.align_zero();
        nal.bytes(&samples);
    }
    if skipped > 0 {
        nal.ue(skipped);
    }
    nal.end();
}

/// 7.3.2.4; `kind` 0: I slices alone, 1: I and P.
fn delimiter(kind: u32, out: &mut Vec<u8>) {
    let mut nal = Nal::start(NAL_AUD, true, out);
    nal.bits(kind, 3);
    nal.end();
}

/// 7.3.2.1.1 with the VUI of E.1.1.
fn sps(out: &mut Vec<u8>) {
    let mut nal = Nal::start(NAL_SPS, true, out);
    nal.bits(66, 8); // profile_idc: baseline
    nal.bits(0b1100_0000, 8); // constraint_set0 and 1: constrained baseline
    // Level 3 is the lowest whose bit rate (10 Mbit/s, Table A-1) has room for
    // I_PCM in every picture; the picture size alone would fit level 1.
    nal.bits(30, 8);
    nal.ue(0); // seq_parameter_set_id
    nal.ue(FRAME_NUM_BITS - 4);
    nal.ue(2); // pic_order_cnt_type: shown in the order decoded
    nal.ue(1); // max_num_ref_frames
    nal.bits(0, 1); // gaps_in_frame_num_value_allowed_flag
    nal.ue((WIDTH / 16 - 1) as u32);
    nal.ue((HEIGHT / 16 - 1) as u32);
    nal.bits(1, 1); // frame_mbs_only_flag
    nal.bits(1, 1); // direct_8x8_inference_flag
    nal.bits(0, 1); // frame_cropping_flag
    nal.bits(1, 1); // vui_parameters_present_flag
    vui(&mut nal);
    nal.end();
}

fn vui(nal: &mut Nal<'_>) {
    nal.bits(1, 1); // aspect_ratio_info_present_flag
    nal.bits(1, 8); // square samples
    nal.bits(0, 1); // overscan_info_present_flag
    nal.bits(1, 1); // video_signal_type_present_flag
    nal.bits(5, 3); // video_format: unspecified
    nal.bits(0, 1); // video range
    nal.bits(1, 1); // colour_description_present_flag
    for _ in 0..3 {
        nal.bits(1, 8); // primaries, transfer and matrix: BT.709
    }
    nal.bits(0, 1); // chroma_loc_info_present_flag
    nal.bits(1, 1); // timing_info_present_flag
    nal.bits(1, 32); // num_units_in_tick
    nal.bits(50, 32); // time_scale: in fields, so 25 frames a second
    nal.bits(1, 1); // fixed_frame_rate_flag
    nal.bits(0, 1); // nal_hrd_parameters_present_flag
    nal.bits(0, 1); // vcl_hrd_parameters_present_flag
    nal.bits(0, 1); // pic_struct_present_flag
    nal.bits(1, 1); // bitstream_restriction_flag
    nal.bits(1, 1); // motion_vectors_over_pic_boundaries_flag
    nal.ue(0); // max_bytes_per_pic_denom: no limit
    nal.ue(0); // max_bits_per_mb_denom: no limit
    nal.ue(0); // log2_max_mv_length_horizontal
    nal.ue(0); // log2_max_mv_length_vertical
    nal.ue(0); // max_num_reorder_frames: a decoder shows each at once
    nal.ue(1); // max_dec_frame_buffering
}

/// 7.3.2.2.
fn pps(out: &mut Vec<u8>) {
    let mut nal = Nal::start(NAL_PPS, true, out);
    nal.ue(0); // pic_parameter_set_id
    nal.ue(0); // seq_parameter_set_id
    nal.bits(0, 1); // entropy_coding_mode_flag: CAVLC
    nal.bits(0, 1); // bottom_field_pic_order_in_frame_present_flag
    nal.ue(0); // num_slice_groups_minus1
    nal.ue(0); // num_ref_idx_l0_default_active_minus1
    nal.ue(0); // num_ref_idx_l1_default_active_minus1
    nal.bits(0, 1); // weighted_pred_flag
    nal.bits(0, 2); // weighted_bipred_idc
    nal.ue(0); // pic_init_qp_minus26; zero is coded alike signed and unsigned
    nal.ue(0); // pic_init_qs_minus26
    nal.ue(0); // chroma_qp_index_offset
    nal.bits(1, 1); // deblocking_filter_control_present_flag
    nal.bits(0, 1); // constrained_intra_pred_flag
    nal.bits(0, 1); // redundant_pic_cnt_present_flag
    nal.end();
}

/// 7.3.3; `idr_pic_id` is there for IDR pictures alone.
fn slice_header(nal: &mut Nal<'_>, slice_type: u32, frame_num: u32, idr_pic_id: Option<u32>) {
    nal.ue(0); // first_mb_in_slice
    nal.ue(slice_type);
    nal.ue(0); // pic_parameter_set_id
    nal.bits(frame_num, FRAME_NUM_BITS);
    match idr_pic_id {
        Some(id) => {
            nal.ue(id);
            nal.bits(0, 1); // no_output_of_prior_pics_flag
            nal.bits(0, 1); // long_term_reference_flag
        }
        None => {
            nal.bits(0, 1); // num_ref_idx_active_override_flag
            nal.bits(0, 1); // ref_pic_list_modification_flag_l0
            nal.bits(0, 1); // adaptive_ref_pic_marking_mode_flag
        }
    }
    nal.ue(0); // slice_qp_delta
    nal.ue(1); // disable_deblocking_filter_idc: samples stay as drawn
}

/// One NAL unit being written, bits first, with emulation prevention (7.3.1).
struct Nal<'a> {
    out: &'a mut Vec<u8>,
    /// Bits not yet written, the last `held` of `acc`; fewer than 8 between
    /// calls.
    acc: u64,
    held: u32,
    /// Zero bytes just written.
    zeros: u32,
}

impl<'a> Nal<'a> {
    /// Writes start code and header. B.1.2 wants the longer start code before
    /// parameter sets and the first NAL unit of an access unit.
    fn start(header: u8, long: bool, out: &'a mut Vec<u8>) -> Self {
        if long {
            out.push(0);
        }
        out.extend_from_slice(&[0, 0, 1, header]);
        Self { out, acc: 0, held: 0, zeros: 0 }
    }

    /// The lower `count` bits of `value`, at most 32.
    fn bits(&mut self, value: u32, count: u32) {
        self.acc = self.acc << count | u64::from(value);
        self.held += count;
        while self.held >= 8 {
            self.held -= 8;
            self.byte((self.acc >> self.held) as u8);
        }
    }

    /// Exp-Golomb, 9.1; values below 2^16.
    fn ue(&mut self, value: u32) {
        let code = value + 1;
        let digits = u32::BITS - code.leading_zeros();
        self.bits(code, 2 * digits - 1);
    }

    fn align_zero(&mut self) {
        if self.held > 0 {
            self.bits(0, 8 - self.held);
        }
    }

    /// Whole bytes, when aligned.
    fn bytes(&mut self, bytes: &[u8]) {
        debug_assert_eq!(self.held, 0);
        for &byte in bytes {
            self.byte(byte);
        }
    }

    /// 7.3.2.11: a one and zeros up to the byte's end.
    fn end(mut self) {
        self.bits(1, 1);
        self.align_zero();
    }

    fn byte(&mut self, byte: u8) {
        if self.zeros >= 2 && byte <= 3 {
            self.out.push(3);
            self.zeros = 0;
        }
        self.zeros = if byte == 0 { self.zeros + 1 } else { 0 };
        self.out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_is_table_9_2() {
        let mut out = Vec::new();
        let mut nal = Nal::start(0, false, &mut out);
        for value in [0, 1, 2, 3, 7] {
            nal.ue(value);
        }
        nal.end();
        // 1 010 011 00100 0001000 then the stop bit
        assert_eq!(out[4..], [0b1010_0110, 0b0100_0001, 0b0001_0000]);
    }

    #[test]
    fn start_codes_are_not_emulated() {
        let mut out = Vec::new();
        let mut nal = Nal::start(0x41, false, &mut out);
        nal.bytes(&[0, 0, 0, 0, 0, 1, 0, 0, 3, 0, 0, 4]);
        nal.end();
        let expected = [0, 0, 3, 0, 0, 3, 0, 1, 0, 0, 3, 3, 0, 0, 4, 0x80];
        assert_eq!(out[4..], expected);
    }
}
