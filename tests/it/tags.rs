//! FLV tags by hand: a film of which every byte is known, and its tags again.

use crate::wire::Random;
use nearlight::framing::flv::{HEAD_BYTES, TAIL_BYTES, TagHead, TagKind, put_tag};

pub(crate) const FILE: &[u8] = b"FLV\x01\x05\0\0\0\x09\0\0\0\0";
pub(crate) const METADATA: &[u8] = b"\x02\0\x0AonMetaData\x08\0\0\0\0\0\0\x09";
pub(crate) const AVC_HEADER: &[u8] = b"\x17\0\0\0\0the record";
pub(crate) const AAC_HEADER: &[u8] = b"\xAF\0\x12\x10";
/// Pictures from one key to the next.
pub(crate) const GOP: u32 = 10;

pub(crate) fn tag(kind: TagKind, timestamp: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_tag(&mut bytes, kind, timestamp, &[data]);
    bytes
}

pub(crate) fn headers(timestamp: u32) -> Vec<u8> {
    let video = tag(TagKind::Video, timestamp, AVC_HEADER);
    [video, tag(TagKind::Audio, timestamp, AAC_HEADER)].concat()
}

/// Picture `n`, every tenth a key, and the sound beside it.
pub(crate) fn picture(n: u32, size: usize) -> Vec<u8> {
    let start: &[u8] = if n.is_multiple_of(GOP) { b"\x17\x01\0\0\0" } else { b"\x27\x01\0\0\0" };
    let video = [start, &Random::new(u64::from(n)).bytes(size)].concat();
    let sound = tag(TagKind::Audio, 40 * n + 3, b"\xAF\x01sound");
    [tag(TagKind::Video, 40 * n, &video), sound].concat()
}

pub(crate) fn film(pictures: u32) -> Vec<u8> {
    let metadata = tag(TagKind::Script, 0, METADATA);
    let start = [metadata, headers(0)].into_iter();
    start.chain((0..pictures).map(|n| picture(n, 2000))).flatten().collect()
}

/// What a subscriber is sent first that joins at `timestamp`.
pub(crate) fn greeting(timestamp: u32) -> Vec<u8> {
    [FILE, &tag(TagKind::Script, 0, METADATA), &headers(timestamp)].concat()
}

/// The whole tags of some bytes.
pub(crate) fn tags(bytes: &[u8]) -> Vec<(TagHead, &[u8])> {
    let mut rest = bytes;
    let mut tags = Vec::new();
    while let Some(first) = rest.first_chunk() {
        let head = TagHead::parse(first).expect("no half tag before it");
        if rest.len() < head.whole() {
            break;
        }
        let (tag, next) = rest.split_at(head.whole());
        let data = &tag[HEAD_BYTES..tag.len() - TAIL_BYTES];
        tags.push((head, data));
        rest = next;
    }
    tags
}
