//! FLV: tags however split, what is replayed to whom, and what is refused.

use super::tag::LOOK_BYTES;
use super::*;
use crate::framing::Kind;
use crate::framing::testing::{Feed, Rng, any_split};
use crate::limits::{FLV_KEPT_BYTES, FLV_KEPT_TAGS, FLV_OWED_BYTES, FLV_TAG_BYTES};

const FILE: &[u8] = b"FLV\x01\x05\0\0\0\x09\0\0\0\0";
/// A file header of ours, of a stream with sound and pictures.
const BOTH: &[u8] = FILE;
const METADATA: &[u8] = b"\x02\0\x0AonMetaData\x08\0\0\0\0\0\0\x09";
const AVC_HEADER: &[u8] = b"\x17\0\0\0\0the record";
const AVC_KEY: &[u8] = b"\x17\x01\0\0\0\0\0\0\x02\x65\x88";
const AVC_OTHER: &[u8] = b"\x27\x01\0\0\0\0\0\0\x02\x41\x88";
const AAC_HEADER: &[u8] = b"\xAF\0\x12\x10";
const AAC: &[u8] = b"\xAF\x01sound";

fn tag(kind: TagKind, timestamp: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_tag(&mut bytes, kind, timestamp, &[data]);
    bytes
}

fn video(timestamp: u32, data: &[u8]) -> Vec<u8> {
    tag(TagKind::Video, timestamp, data)
}

fn audio(timestamp: u32, data: &[u8]) -> Vec<u8> {
    tag(TagKind::Audio, timestamp, data)
}

fn headers(timestamp: u32) -> Vec<u8> {
    [video(timestamp, AVC_HEADER), audio(timestamp, AAC_HEADER)].concat()
}

/// A stream as encoders send it: its bytes, where its tags start, and where its
/// key pictures do, with their timestamps.
struct Film {
    bytes: Vec<u8>,
    starts: Vec<u64>,
    keys: Vec<(u64, u32)>,
}

impl Film {
    fn new(seed: u64, pictures: u32) -> Self {
        let mut rng = Rng::new(seed);
        let mut film = Self { bytes: Vec::new(), starts: Vec::new(), keys: Vec::new() };
        film.add(&tag(TagKind::Script, 0, METADATA));
        film.add(&video(0, AVC_HEADER));
        film.add(&audio(0, AAC_HEADER));
        for n in 0..pictures {
            let at = 5000 + n * 40;
            let is_key = n % 10 == 0;
            if is_key {
                film.keys.push((film.bytes.len() as u64, at));
            }
            let size = rng.below(3000);
            let start = if is_key { AVC_KEY } else { AVC_OTHER };
            film.add(&video(at, &[start, &rng.bytes(size)].concat()));
            film.add(&audio(at + 7, AAC));
        }
        film
    }

    fn add(&mut self, tag: &[u8]) {
        self.starts.push(self.bytes.len() as u64);
        self.bytes.extend_from_slice(tag);
    }
}

fn fed(bytes: &[u8]) -> Feed {
    let mut feed = Feed::bytes(Kind::Flv);
    feed.receive(bytes);
    feed
}

#[test]
fn tags_are_frames_and_key_pictures_join_points_however_split() {
    for seed in 0..2 {
        let film = Film::new(seed, 30);
        let file = [FILE, &film.bytes].concat();
        for (kind, input) in [(Kind::Flv, &film.bytes), (Kind::Flv, &file), (Kind::Auto, &file)] {
            let outcome = any_split(kind, input, 30);
            assert_eq!(outcome.kept, film.bytes, "the file header alone is left out");
            assert_eq!(outcome.leaves, film.starts);
            assert!(!outcome.error);
            let places: Vec<_> = outcome.joins.iter().map(|join| join.0).collect();
            assert_eq!(places, film.keys.iter().map(|key| key.0).collect::<Vec<_>>());
            for ((_, fresh, resume), (_, at)) in outcome.joins.iter().zip(&film.keys) {
                assert_eq!(*resume, headers(*at));
                let metadata = tag(TagKind::Script, 0, METADATA);
                assert_eq!(*fresh, [BOTH, &metadata, resume].concat());
            }
        }
    }
}

#[test]
fn a_tag_is_passed_on_as_it_comes() {
    let mut feed = Feed::bytes(Kind::Flv);
    let large = video(0, &[AVC_OTHER, &[0; 5000]].concat());
    feed.receive(&large[..HEAD_BYTES + LOOK_BYTES - 1]);
    assert!(feed.kept.is_empty(), "it is not known yet what it is");
    feed.receive(&large[HEAD_BYTES + LOOK_BYTES - 1..1000]);
    assert_eq!(feed.kept, large[..1000]);
    assert!(feed.frames.is_empty());
    feed.receive(&large[1000..]);
    assert_eq!(feed.leaves(), [0]);
    let short = audio(0, b"");
    feed.receive(&short[..HEAD_BYTES]);
    assert_eq!(feed.kept.len(), large.len() + HEAD_BYTES, "of an empty tag all is known");
}

#[test]
fn the_newest_of_each_is_replayed_at_the_time_of_the_join() {
    let late = 0xFF12_3456;
    let stream = [
        video(1, b"\x17\0\0\0\0old"),
        video(2, AVC_HEADER),
        audio(2, AAC_HEADER),
        tag(TagKind::Script, 3, METADATA),
        tag(TagKind::Script, 3, b"\x02\0\x0AonCuePoint"),
        video(late, AVC_KEY),
    ]
    .concat();
    let feed = fed(&stream);
    let fresh = [BOTH, &tag(TagKind::Script, 0, METADATA), &headers(late)].concat();
    assert_eq!(*feed.joins[0].fresh, *fresh);
    assert_eq!(*feed.joins[0].resume, *headers(late));
}

#[test]
fn what_is_too_large_to_keep_is_passed_on_and_replaces_what_was_kept() {
    let most = FLV_KEPT_BYTES - HEAD_BYTES - TAIL_BYTES;
    let header = |size: usize| {
        let mut data = AVC_HEADER.to_vec();
        data.resize(size, 0);
        data
    };
    let largest = fed(&[video(0, &header(most)), video(0, AVC_KEY)].concat());
    assert_eq!(*largest.joins[0].resume, *video(0, &header(most)));
    let stream = [video(0, AVC_HEADER), video(0, &header(most + 1)), video(0, AVC_KEY)].concat();
    let feed = fed(&stream);
    assert_eq!(feed.kept, stream);
    assert!(feed.joins[0].resume.is_empty());
}

#[test]
fn sound_alone_is_joined_once_a_second() {
    let seconds = |from: u32| (0..150u32).map(move |n| audio((from + n * 20) % 5000, AAC));
    let stream: Vec<u8> = [audio(0, AAC_HEADER)].into_iter().chain(seconds(0)).flatten().collect();
    let feed = fed(&stream);
    assert_eq!(feed.joins.len(), 3);
    let fresh = [&b"FLV\x01\x04\0\0\0\x09\0\0\0\0"[..], &audio(1000, AAC_HEADER)].concat();
    assert_eq!(*feed.joins[1].fresh, *fresh);
    // A clock that is set back costs no join point.
    let feed = fed(&seconds(4000).flatten().collect::<Vec<_>>());
    assert_eq!(feed.joins.len(), 3, "at 4000, 0 and 1000");
}

#[test]
fn sound_beside_pictures_is_joined_only_when_those_have_ended() {
    let sounds = |from: u32, to: u32| (from..to).step_by(20).map(|at| audio(at, AAC));
    let mut stream = video(0, AVC_HEADER);
    stream.extend(sounds(0, 10_001).flatten());
    assert!(fed(&stream).joins.is_empty());
    stream.extend(sounds(10_020, 12_000).flatten());
    assert_eq!(fed(&stream).joins.len(), 2);
    // A picture that is a little ahead has not been gone for long.
    let wrapping = [video(10, AVC_OTHER), audio(u32::MAX - 10, AAC), audio(5, AAC)].concat();
    assert!(fed(&wrapping).joins.is_empty());
}

#[test]
fn a_file_behind_another_begins_afresh() {
    let sound = [audio(0, AAC_HEADER), audio(0, AAC)].concat();
    let first = Film::new(1, 10).bytes;
    let of_sound = b"FLV\x01\x04\0\0\0\x09\0\0\0\0";
    let outcome = any_split(Kind::Flv, &[FILE, &first, of_sound, &sound].concat(), 60);
    assert_eq!(outcome.kept, [&first[..], &sound].concat());
    assert_eq!(outcome.joins.len(), 2);
    assert_eq!(outcome.joins[0].1[4], 5, "sound is announced before it comes");
    assert_eq!(outcome.joins[1].1[4], 4, "no pictures any more");
    assert_eq!(outcome.joins[1].2, audio(0, AAC_HEADER));
    let longer = [b"FLV\x01\x05\0\0\0\x0Cext\0\0\0\0", &first[..]].concat();
    let mut feed = fed(&longer);
    assert_eq!(feed.kept, first);
    assert_eq!(feed.framing.stats().skipped_bytes, 16);
    feed.receive(b"FLV\x01\x05\0\0\0\x08");
    assert_eq!(feed.error, Some(FramingError::BadFileHeader { bytes: 8 }));
}

#[test]
fn a_lost_boundary_ends_the_publisher_after_what_was_right() {
    let film = Film::new(2, 5);
    let outcome = any_split(Kind::Flv, &[&film.bytes, &b"GARBAGE"[..]].concat(), 60);
    assert!(outcome.error);
    assert_eq!((outcome.kept, outcome.leaves), (film.bytes.clone(), film.starts.clone()));
    let error = fed(&[&film.bytes, &b"\x2F"[..]].concat()).error.expect("no tag");
    assert_eq!(error, FramingError::NoTag { tag: 14, found: 0x2F });
    assert!(error.to_string().contains("0x2f where FLV tag 14"), "{error}");
    // A file header that turns out to be none.
    assert_eq!(fed(b"FLW").error, Some(FramingError::NoTag { tag: 1, found: b'F' }));
    let most = FLV_TAG_BYTES - 15;
    let of_size = |size| {
        let head = TagHead { kind: TagKind::Video, is_filtered: false, size, timestamp: 0 };
        fed(&head.bytes()).error
    };
    assert_eq!(of_size(most), None, "the longest there may be");
    for size in [most + 1, 0xFF_FFFF] {
        assert_eq!(of_size(size), Some(FramingError::TagTooLong { bytes: size as u64 + 15 }));
    }
}

#[test]
fn sizes_behind_tags_are_not_believed() {
    let mut bytes = [video(0, AVC_HEADER), video(0, AVC_KEY)].concat();
    let end = bytes.len();
    bytes[end - 4..].fill(0xAB);
    let feed = fed(&bytes);
    assert_eq!((feed.error, feed.kept == bytes, feed.joins.len()), (None, true, 1));
}

#[test]
fn roles_are_read_from_the_first_bytes() {
    let role = |kind, data: &[u8]| {
        let head = TagHead { kind, is_filtered: false, size: data.len(), timestamp: 0 };
        Role::of(&head, data)
    };
    let (video, audio) = (TagKind::Video, TagKind::Audio);
    for (kind, data, expected) in [
        (video, &b""[..], Role::Other),
        (video, b"\x1C\0\0\0\0record", Role::Kept(Slot::Video(0))),
        (video, b"\x1C\x01\0\0\0", Role::Key),
        (video, b"\x17\x02\0\0\0", Role::Other),
        (video, b"\x12\0", Role::Key),
        (video, b"\x57\x01", Role::Other),
        (video, b"\x90hvc1", Role::Kept(Slot::Video(0))),
        (video, b"\x90av01\0\0\0", Role::Kept(Slot::Video(0))),
        (video, b"\x95av01", Role::Kept(Slot::Video(0))),
        (video, b"\x91hvc1\0\0\0", Role::Key),
        (video, b"\x93hvc1", Role::Key),
        (video, b"\xA1hvc1", Role::Other),
        (video, b"\x92hvc1", Role::Other),
        (video, b"\x94hvc1colorInfo", Role::Kept(Slot::Colours(0))),
        (video, b"\xD1\x00", Role::Other),
        // A modifier of 3 bytes, then a key picture.
        (video, b"\x97\x02\x01\x02\x03\x01hvc1", Role::Key),
        // One of 257 bytes, beyond what is looked at.
        (video, b"\x97\xFF\x01\x00\x01\x02", Role::Other),
        // One track of several: its header is kept, its pictures are no joins.
        (video, b"\x96\x00hvc1\x03", Role::Kept(Slot::Video(3))),
        (video, b"\x96\x01hvc1\x03", Role::Other),
        (video, b"\x96\x11hvc1\x00\x00\x00\x09", Role::Key),
        (audio, b"\xAF\0\x12\x10", Role::Kept(Slot::Audio(0))),
        (audio, b"\xAF\x01", Role::Sound),
        (audio, b"\x2F", Role::Sound),
        (audio, b"", Role::Sound),
        (audio, b"\x90Opus", Role::Kept(Slot::Audio(0))),
        (audio, b"\x91Opus", Role::Sound),
        (audio, b"\x94Opus\x01\x02", Role::Kept(Slot::Channels(0))),
        (audio, b"\x95\x00Opus\x02", Role::Kept(Slot::Audio(2))),
        (TagKind::Script, METADATA, Role::Kept(Slot::Metadata)),
        (TagKind::Script, b"\x02\0\x0AonCuePoint", Role::Other),
    ] {
        assert_eq!(role(kind, data), expected, "{data:x?}");
    }
    let head = TagHead { kind: video, is_filtered: true, size: 5, timestamp: 0 };
    assert_eq!(Role::of(&head, b"\x17\x01\0\0\0"), Role::Other, "encrypted");
    assert_eq!(TagHead::parse(&head.bytes()), Some(head));
}

#[test]
fn so_many_tracks_are_kept_and_no_more() {
    let tracks: Vec<u8> =
        (0..=255).flat_map(|track| video(0, &[b"\x96\x00hvc1", &[track][..]].concat())).collect();
    let feed = fed(&[&tracks[..], &video(0, AVC_KEY)].concat());
    let tag = video(0, b"\x96\x00hvc1\x00").len();
    assert_eq!(feed.joins[0].resume.len(), FLV_KEPT_TAGS * tag);
}

/// A sequence header of a track, of so many bytes in all.
fn track(track: u8, whole: usize) -> Vec<u8> {
    let mut data = [b"\x96\x00hvc1", &[track][..]].concat();
    data.resize(whole - HEAD_BYTES - TAIL_BYTES, 0);
    video(0, &data)
}

#[test]
fn what_is_kept_is_bounded_together_and_metadata_makes_room() {
    let third = FLV_KEPT_BYTES / 3;
    let tracks: Vec<u8> = (0..16).flat_map(|n| track(n, third)).collect();
    let feed = fed(&[&tracks[..], &video(0, AVC_KEY)].concat());
    assert_eq!(*feed.joins[0].resume, tracks[..3 * third]);
    // One that is replaced takes no room beside its own.
    let again = [&tracks[..3 * third], &track(1, third), &video(0, AVC_KEY)].concat();
    assert_eq!(*fed(&again).joins[0].resume, tracks[..3 * third]);
    let mut listing = METADATA.to_vec();
    listing.resize(2 * third, 0);
    let metadata = tag(TagKind::Script, 0, &listing);
    let stream = [&metadata, &tracks[..2 * third], &metadata, &video(0, AVC_KEY)].concat();
    let feed = fed(&stream);
    assert_eq!(
        *feed.joins[0].fresh,
        [&b"FLV\x01\x01\0\0\0\x09\0\0\0\0"[..], &tracks[..2 * third]].concat()
    );
}

/// Headers that are large and key pictures that are tiny, however far apart, with
/// headers that change in between and without.
#[test]
fn join_points_copy_no_more_than_came() {
    let large = track(1, FLV_KEPT_BYTES - 1000);
    for header in [&b""[..], &video(0, AVC_HEADER)] {
        let mut feed = Feed::bytes(Kind::Flv);
        feed.receive(&large);
        for n in 0..4000 {
            feed.receive(&[header, &video(n * 5000, AVC_KEY)].concat());
        }
        assert_eq!(feed.error, None);
        let copied: usize =
            feed.joins.iter().map(|join| join.fresh.len() + join.resume.len()).sum();
        let most = feed.kept.len() + FLV_OWED_BYTES + 2 * FLV_KEPT_BYTES;
        assert!((2 * large.len()..most).contains(&copied), "{copied} of {}", feed.kept.len());
        // When enough has come a key picture is a join point again.
        let joins = feed.joins.len();
        feed.receive(&video(0, &[AVC_OTHER, &vec![0; 3 * FLV_KEPT_BYTES]].concat()));
        feed.receive(&video(0, AVC_KEY));
        assert_eq!(feed.joins.len(), joins + 1);
    }
    // Small headers leave hundreds of tiny key pictures in a row what they are.
    let keys: Vec<u8> = (0..500).flat_map(|n| video(n, AVC_KEY)).collect();
    assert_eq!(fed(&[headers(0), keys].concat()).joins.len(), 500);
}

/// Films with bytes changed, lost and doubled, and noise that looks like tags.
#[test]
fn nothing_a_peer_sends_makes_it_stumble() {
    let mut errors = 0;
    for seed in 0..150 {
        let mut rng = Rng::new(seed);
        let mut bytes = Film::new(seed, 12).bytes;
        for _ in 0..rng.below(6) {
            let from = rng.below(bytes.len());
            let to = bytes.len().min(from + rng.below(40));
            match rng.below(3) {
                0 => drop(bytes.drain(from..to)),
                1 => bytes[from] = [rng.byte(), 8, 9, 18, b'F', 0][rng.below(6)],
                _ => drop(bytes.splice(from..from, FILE.iter().copied())),
            }
        }
        let outcome = any_split(Kind::Flv, &bytes, 4);
        errors += usize::from(outcome.error);
        assert!(outcome.kept.len() <= bytes.len());
    }
    assert!((15..140).contains(&errors), "{errors}");
}
