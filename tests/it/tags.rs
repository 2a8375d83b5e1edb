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

/// How often a film of [`picture`]s goes on later than it left off: each time
/// with both sequence headers and a key picture, and nowhere else.
pub(crate) fn skips(tags: &[(TagHead, &[u8])]) -> usize {
    let is_header = |data: &[u8]| matches!(data, [0x17 | 0xAF, 0, ..]);
    let pictures = tags
        .iter()
        .enumerate()
        .filter(|(_, (head, data))| head.kind == TagKind::Video && !is_header(data));
    let (mut jumps, mut last) = (0, None);
    for (at, (head, data)) in pictures {
        let expected = last.map_or(0, |last| last + 40);
        last = Some(head.timestamp);
        if head.timestamp == expected {
            continue;
        }
        jumps += 1;
        assert!(head.timestamp > expected, "backwards: {} < {expected}", head.timestamp);
        assert_eq!(data[0], 0x17, "it resumes at a key picture");
        let before: Vec<_> =
            tags[at - 2..at].iter().map(|(head, data)| (head.timestamp, *data)).collect();
        assert_eq!(before, [(head.timestamp, AVC_HEADER), (head.timestamp, AAC_HEADER)]);
    }
    let headers = tags.iter().filter(|(_, data)| is_header(data)).count();
    assert_eq!(headers, 2 * jumps, "sequence headers");
    jumps
}
