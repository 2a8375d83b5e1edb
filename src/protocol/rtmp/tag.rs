//! The form of an FLV tag (FLV 10.1, annex E.4).

/// The type of a tag that holds data, such as metadata; of a message too.
pub(super) const DATA: u8 = 18;
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
