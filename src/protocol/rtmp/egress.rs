//! From FLV tags to messages: each tag becomes one message in one chunk with a
//! full header, so that none depends on what was sent before it, and a tag's
//! data is sent as it lies in the ring.

use super::tag::{DATA, SET_DATA_FRAME, TAG_HEAD, split_tag, time_of};
use crate::limits::{FLV_TAG_BYTES, RTMP_CHUNK_BYTES, RTMP_PUSH_CHUNK_BYTES};

/// Bytes of the longest header that [`message_head`] makes: basic header 1,
/// message header 11, extended timestamp 4 (RTMP 1.0, 5.3.1).
pub const HEAD_BYTES: usize = 16;

/// Chunk stream of media, as ffmpeg numbers video's.
const MEDIA_STREAM: u8 = 6;
/// The message stream that every connection has, little-endian.
pub(super) const MEDIA_ON: [u8; 4] = [1, 0, 0, 0];

const _: () = assert!(FLV_TAG_BYTES <= RTMP_PUSH_CHUNK_BYTES && FLV_TAG_BYTES <= RTMP_CHUNK_BYTES);

/// The header of the message that an FLV tag becomes, made of the tag's head,
/// and how many bytes of it count: 12, or 16 from 4.66 hours on (0xFFFFFF ms).
/// The tag's data follows, without the size behind it.
///
/// The tag's data is one chunk: no tag of a stream is longer than
/// `limits::FLV_TAG_BYTES`, and the chunk sizes that we announce are that or more.
pub fn message_head(tag: &[u8; 11]) -> ([u8; HEAD_BYTES], usize) {
    with_length(tag, [tag[1], tag[2], tag[3]])
}

fn with_length(tag: &[u8; TAG_HEAD], [l2, l1, l0]: [u8; 3]) -> ([u8; HEAD_BYTES], usize) {
    let time = time_of(tag);
    let is_extended = time >= 0xff_ffff;
    let [t3, t2, t1, t0] = time.to_be_bytes();
    let [s2, s1, s0] = if is_extended { [0xff; 3] } else { [t2, t1, t0] };
    let [m0, m1, m2, m3] = MEDIA_ON;
    // Of a tag's first byte, five bits are the type (FLV 10.1, E.4.1).
    let kind = tag[0] & 0x1f;
    let head = [MEDIA_STREAM, s2, s1, s0, l2, l1, l0, kind, m0, m1, m2, m3, t3, t2, t1, t0];
    (head, if is_extended { HEAD_BYTES } else { HEAD_BYTES - 4 })
}

/// A row of whole FLV tags, with or without a file's header in front, as
/// messages to a player: what one that joins is sent first.
pub fn messages(flv: &[u8]) -> Vec<u8> {
    row(flv, false)
}

/// The same towards a server: metadata goes as `@setDataFrame`, which has the
/// server keep it for those who join later.
pub fn publish_messages(flv: &[u8]) -> Vec<u8> {
    row(flv, true)
}

fn row(mut flv: &[u8], to_server: bool) -> Vec<u8> {
    const METADATA: &[u8] = b"\x02\x00\x0aonMetaData";
    let mut out = Vec::with_capacity(flv.len() + 64);
    while let Some((tag, data, rest)) = split_tag(flv) {
        let is_metadata = tag[0] & 0x1f == DATA && data.starts_with(METADATA);
        let prefix = if to_server && is_metadata { &SET_DATA_FRAME[..] } else { &[] };
        let length = u32::try_from(prefix.len() + data.len()).unwrap_or(0).to_be_bytes();
        let (head, count) = with_length(tag, [length[1], length[2], length[3]]);
        out.extend(head.iter().take(count));
        out.extend(prefix);
        out.extend(data);
        flv = rest;
    }
    out
}
