//! The form of an FLV tag (FLV 10.1, annex E.4), and the numbers of message types,
//! three of which are those of tags.

/// Message types, RTMP 1.0 sections 5.4, 6.2 and 7.1.
pub(super) mod kind {
    pub(in super::super) const SET_CHUNK_SIZE: u8 = 1;
    pub(in super::super) const ABORT: u8 = 2;
    pub(in super::super) const ACKNOWLEDGEMENT: u8 = 3;
    pub(in super::super) const USER_CONTROL: u8 = 4;
    pub(in super::super) const WINDOW: u8 = 5;
    pub(in super::super) const BANDWIDTH: u8 = 6;
    pub(in super::super) const AUDIO: u8 = 8;
    pub(in super::super) const VIDEO: u8 = 9;
    pub(in super::super) const DATA_AMF3: u8 = 15;
    pub(in super::super) const COMMAND_AMF3: u8 = 17;
    pub(in super::super) const DATA: u8 = 18;
    pub(in super::super) const COMMAND: u8 = 20;
    pub(in super::super) const AGGREGATE: u8 = 22;
}

/// Bytes of a tag's head.
pub(super) const TAG_HEAD: usize = 11;
/// Bytes of the size behind each tag.
pub(super) const TAG_TAIL: usize = 4;
/// What a publisher says to have its metadata kept for those who join later,
/// as AMF0 string: it is no part of the metadata.
pub(super) const SET_DATA_FRAME: &[u8; 16] = b"\x02\x00\x0d@setDataFrame";

pub(super) fn uint24(bytes: &[u8]) -> u32 {
    bytes.iter().take(3).fold(0, |number, byte| number << 8 | u32::from(*byte))
}

pub(super) fn uint32(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// The time of a tag: 24 bits, and the upper 8 behind them.
pub(super) fn time_of(tag: &[u8; TAG_HEAD]) -> u32 {
    u32::from(tag[7]) << 24 | uint24(&tag[4..])
}

/// Splits the first tag off a row of tags: head, data, what follows. A file's
/// header in front is passed over.
pub(super) fn split_tag(flv: &[u8]) -> Option<(&[u8; TAG_HEAD], &[u8], &[u8])> {
    let flv = match flv.strip_prefix(b"FLV") {
        Some(header) => flv.get(header.get(2..6).map_or(0, uint32) as usize + TAG_TAIL..)?,
        None => flv,
    };
    let (tag, rest) = flv.split_first_chunk::<TAG_HEAD>()?;
    let (data, rest) = rest.split_at_checked(uint24(&tag[1..]) as usize)?;
    Some((tag, data, rest.get(TAG_TAIL..).unwrap_or_default()))
}
