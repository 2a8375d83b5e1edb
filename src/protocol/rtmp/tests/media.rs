//! Media in all the ways in which chunks may bring it, and what becomes of it.

use super::*;
use crate::limits::{RTMP_CHUNK_STREAMS, RTMP_HELD_BYTES};
use crate::protocol::Refusal;
use proptest::prelude::*;

const AUDIO: u8 = kind::AUDIO;
const VIDEO: u8 = kind::VIDEO;

fn tags_of(media: &[u8], size: usize) -> Vec<u8> {
    let heard = published(media, size);
    assert_eq!(heard.refused, None);
    heard.tags
}

fn refused(media: &[u8], size: usize) -> Denied {
    published(media, size).refused.expect("a refusal")
}

#[test]
fn a_message_becomes_a_tag_whatever_its_chunks() {
    for length in [0, 1, 2, 127, 128, 129, 300] {
        let data = bytes_of(length, 7);
        for size in [1, 3, 100, 128, 0x7fff_ffff] {
            let media = message(6, 40, VIDEO, &data, size);
            assert_eq!(tags_of(&media, size), tag(VIDEO, 40, &data), "{length} by {size}");
        }
    }
}

#[test]
fn payload_is_passed_on_from_the_input_as_it_comes() {
    let mut session = Session::new(NOW).unwrap();
    feed(&mut session, &opening("publish", "a", 1 << 20), &[1 << 16], &mut Heard::default());
    let before = session.memory();
    let data = bytes_of(1 << 20, 1);
    let media = message(6, 40, VIDEO, &data, 1 << 20);
    let (first, second) = media.split_at(1 << 19);
    let mut heard = Heard::default();
    feed(&mut session, first, &[1 << 16], &mut heard);
    assert_eq!(heard.tags.len(), first.len() - 1, "a head of 12 becomes one of 11; all is out");
    feed(&mut session, second, &[1 << 16], &mut heard);
    assert_eq!(heard.tags, tag(VIDEO, 40, &data));
    assert_eq!(session.memory(), before, "nothing was copied to anywhere");
    let (used, event) = session.handle_bytes(&media, NOW).unwrap();
    assert!(matches!(event, Some(Event::Media(head)) if head.len() == 11 && used == 12));
    let (used, event) = session.handle_bytes(&media[12..], NOW).unwrap();
    let Some(Event::Media(piece)) = event else { panic!("{event:?}") };
    assert_eq!((used, piece.as_ptr()), (data.len(), media[12..].as_ptr()));
}

#[test]
fn chunk_streams_of_all_three_lengths() {
    for stream in [2, 3, 63, 64, 65, 319, 320, 1000, 65_599] {
        let media = message(stream, 1, AUDIO, &bytes_of(9, 1), 4);
        assert_eq!(tags_of(&media, 4), tag(AUDIO, 1, &bytes_of(9, 1)), "{stream}");
    }
    let many: Vec<u8> = (0..RTMP_CHUNK_STREAMS as u32)
        .flat_map(|n| message(100 + n, n, AUDIO, b"ab", 128))
        .collect();
    assert_eq!(refused(&many, 128).0, Refusal::BadRequest);
    // Two are in use by commands and control.
    let most = 14 * (RTMP_CHUNK_STREAMS - 2) + 62;
    assert!(
        drive(&[opening("publish", "a", 128), many[..most].to_vec()].concat(), &[999])
            .refused
            .is_none()
    );
}

#[test]
fn times_are_absolute_or_differences() {
    let data = b"xy";
    let mut media = message(4, 1000, AUDIO, data, 128);
    media.extend(chunks(1, 4, 20, VIDEO, b"long", 128).concat());
    media.extend(chunks(2, 4, 30, 0, b"four", 128).concat());
    media.extend(chunks(3, 4, 0, 0, b"five", 128).concat());
    let mut wanted = tag(AUDIO, 1000, data);
    wanted.extend(tag(VIDEO, 1020, b"long"));
    wanted.extend(tag(VIDEO, 1050, b"four"));
    wanted.extend(tag(VIDEO, 1080, b"five"));
    // Behind a type 0, the difference is its time (5.3.1.2.4).
    media.extend(message(4, 500, AUDIO, data, 128));
    media.extend(chunks(3, 4, 0, 0, data, 128).concat());
    wanted.extend(tag(AUDIO, 500, data));
    wanted.extend(tag(AUDIO, 1000, data));
    // Back, and round.
    media.extend(chunks(2, 4, 0u32.wrapping_sub(200), 0, data, 128).concat());
    wanted.extend(tag(AUDIO, 800, data));
    media.extend(message(4, u32::MAX - 9, AUDIO, data, 128));
    media.extend(chunks(2, 4, 20, 0, data, 128).concat());
    wanted.extend(tag(AUDIO, u32::MAX - 9, data));
    wanted.extend(tag(AUDIO, 10, data));
    // librtmp begins a chunk stream with type 1.
    media.extend(chunks(1, 9, 70, AUDIO, data, 128).concat());
    wanted.extend(tag(AUDIO, 70, data));
    assert_eq!(tags_of(&media, 128), wanted);
}

#[test]
fn extended_times_are_repeated_or_not() {
    let data = bytes_of(20, 3);
    for time in [0xff_fffe, 0xff_ffff, 0x100_0000, 0xfedc_ba98] {
        let wanted = [tag(VIDEO, time, &data), tag(AUDIO, 7, b"next")].concat();
        let behind = message(4, 7, AUDIO, b"next", 5);
        let repeated = [message(6, time, VIDEO, &data, 5), behind.clone()].concat();
        assert_eq!(tags_of(&repeated, 5), wanted, "{time:x} repeated");
        let mut left_out = chunk_head(0, 6, time, data.len(), VIDEO);
        for (at, piece) in data.chunks(5).enumerate() {
            left_out.extend(if at > 0 { chunk_head(3, 6, 0, 0, 0) } else { Vec::new() });
            left_out.extend(piece);
        }
        left_out.extend(behind);
        assert_eq!(tags_of(&left_out, 5), wanted, "{time:x} left out");
    }
}

#[test]
fn payload_that_begins_like_the_time_that_is_left_out() {
    // The whole time in the first chunk, one to three of its bytes in the next,
    // as many of which end the message as there is room for.
    let time = 0xc0c0_c0c1_u32;
    for alike in 1..4 {
        for left in 1..6 {
            let mut data = vec![0; 8];
            data.extend(&time.to_be_bytes()[..alike.min(left)]);
            data.resize(8 + left, 0xee);
            let mut media = chunk_head(0, 6, time, data.len(), VIDEO);
            media.extend(&data[..8]);
            media.push(0xc6);
            media.extend(&data[8..]);
            // Looks like the rest of the time where the message is too short.
            media.extend(message(4, 7, AUDIO, b"next", 8));
            let wanted = [tag(VIDEO, time, &data), tag(AUDIO, 7, b"next")].concat();
            assert_eq!(tags_of(&media, 8), wanted, "{alike} alike, {left} left");
        }
    }
}

#[test]
fn a_time_that_runs_on_into_the_next_header() {
    // One byte of payload is left, the same as the time's first; chunk stream 0
    // (two bytes of basic header) of type 3 follows, whose bytes look like the
    // second and the third; the fourth does not.
    let time = 0x11c0_0599_u32;
    let data = [bytes_of(8, 1), vec![0x11]].concat();
    let mut media = message(69, 4, AUDIO, b"123", 8);
    media.extend(chunk_head(0, 6, time, data.len(), VIDEO));
    media.extend(&data[..8]);
    media.extend([0xc6, 0x11]);
    media.extend([0xc0, 0x05, b'7', b'8', b'9']);
    let wanted = [tag(AUDIO, 4, b"123"), tag(VIDEO, time, &data), tag(AUDIO, 8, b"789")].concat();
    assert_eq!(tags_of(&media, 8), wanted);
}

#[test]
fn of_interleaved_messages_the_first_is_passed_on_and_others_follow_whole() {
    let (video, audio) = (bytes_of(25, 1), bytes_of(15, 2));
    let v = chunks(0, 6, 40, VIDEO, &video, 10);
    let a = chunks(0, 4, 39, AUDIO, &audio, 10);
    let media = [&v[0], &a[0], &v[1], &a[1], &v[2]].map(Vec::as_slice).concat();
    let wanted = [tag(VIDEO, 40, &video), tag(AUDIO, 39, &audio)].concat();
    assert_eq!(tags_of(&media, 10), wanted);
    // One that is not complete yet becomes the one that is passed on.
    let d = message(5, 38, kind::DATA, b"\x02\0\x01x", 10);
    let media = [&v[0], &a[0], &d, &v[1], &v[2], &a[1]].map(Vec::as_slice).concat();
    let wanted =
        [tag(VIDEO, 40, &video), tag(kind::DATA, 38, b"\x02\0\x01x"), tag(AUDIO, 39, &audio)]
            .concat();
    assert_eq!(tags_of(&media, 10), wanted);
    let media = [&v[0], &a[0], &v[1], &v[2]].map(Vec::as_slice).concat();
    assert_eq!(tags_of(&media, 10), tag(VIDEO, 40, &video), "the rest has not come");
}

#[test]
fn what_is_held_is_bounded() {
    let mut media = chunks(0, 6, 0, VIDEO, &bytes_of(200, 1), 100)[0].clone();
    let large = vec![7; RTMP_HELD_BYTES];
    media.extend(message(4, 0, AUDIO, &large, 100));
    let bytes = [opening("publish", "a", 100), media].concat();
    let mut session = Session::new(NOW).unwrap();
    let mut heard = Heard::default();
    feed(&mut session, &bytes, &[65_536], &mut heard);
    assert_eq!(heard.refused.map(|denied| denied.0), Some(Refusal::BadRequest));
    assert!(session.memory() <= 2 * RTMP_HELD_BYTES + 65_536, "{}", session.memory());
}

#[test]
fn metadata_is_for_players_and_not_for_the_server() {
    let plain = Writer::default().string("onMetaData").object().key("a").null().end().bytes();
    let set = [b"\x02\0\x0d@setDataFrame".to_vec(), plain.clone()].concat();
    let mut media = message(5, 3, kind::DATA, &set, 16);
    media.extend(message(5, 4, kind::DATA, &plain, 16));
    media.extend(message(5, 5, kind::DATA_AMF3, &[vec![0], set].concat(), 16));
    media.extend(message(5, 6, kind::DATA_AMF3, b"", 16));
    let access = Writer::default().string("|RtmpSampleAccess").boolean(true).boolean(true);
    media.extend(message(5, 7, kind::DATA, &access.bytes(), 16));
    let mut wanted = Vec::new();
    for time in 3..6 {
        wanted.extend(tag(kind::DATA, time, &plain));
    }
    wanted.extend(tag(kind::DATA, 6, b""));
    assert_eq!(tags_of(&media, 16), wanted);
}

#[test]
fn aggregates_are_unpacked() {
    let inner = [
        tag(AUDIO, 5000, b"aa"),
        tag(VIDEO, 5010, &bytes_of(30, 1)),
        tag(31, 5011, b"what is no tag"),
        tag(kind::DATA, 5020, b"\x02\0\x0d@setDataFrame\x02\0\x01x"),
        tag(AUDIO, 4990, b""),
        tag(AUDIO, 5030, b"cut off")[..14].to_vec(),
    ]
    .concat();
    let media = message(6, 100, kind::AGGREGATE, &inner, 16);
    let wanted = [
        tag(AUDIO, 100, b"aa"),
        tag(VIDEO, 110, &bytes_of(30, 1)),
        tag(kind::DATA, 120, b"\x02\0\x01x"),
        tag(AUDIO, 90, b""),
    ]
    .concat();
    assert_eq!(tags_of(&media, 16), wanted);
}

#[test]
fn enhanced_tags_pass_unchanged() {
    // ExVideoTagHeader (Enhanced RTMP v1): bit 7, frame type, packet type, FourCC.
    let hevc_start =
        b"\x90hvc1\x01\x01\x60\0\0\0\xb0\0\0\0\0\0\x5d\xf0\0\xfc\xfd\xf8\xf8\0\0\x0f\0";
    let hevc_frames = b"\x91hvc1\0\0\x28\0\0\0\x02\x26\x01";
    let av1_start = b"\x90av01\x81\x05\x0c\0\x0a\x0b\0\0\0\x24\xce\x3f";
    let av1_frames = b"\xa1av01\x12\0\x32\x01\xff";
    // ExAudioTagHeader (v2): sound format 9; and a multitrack video tag.
    let opus = b"\x90OpusOpusHead\x01\x02";
    let multitrack = b"\x96\x00hvc1\x01\x26";
    let mut media = Vec::new();
    let mut wanted = Vec::new();
    let all: [(u8, &[u8]); 6] = [
        (VIDEO, hevc_start),
        (VIDEO, hevc_frames),
        (VIDEO, av1_start),
        (VIDEO, av1_frames),
        (AUDIO, opus),
        (VIDEO, multitrack),
    ];
    for (time, (kind, data)) in (40..).zip(all) {
        media.extend(message(4, time, kind, data, 10));
        wanted.extend(tag(kind, time, data));
    }
    assert_eq!(tags_of(&media, 10), wanted);
}

#[test]
fn messages_of_unknown_types_are_passed_over() {
    let mut media = message(8, 0, 16, &bytes_of(300, 1), 128);
    media.extend(message(8, 0, 99, &bytes_of(3, 1), 128));
    media.extend(message(4, 5, AUDIO, b"a", 128));
    assert_eq!(tags_of(&media, 128), tag(AUDIO, 5, b"a"));
}

#[test]
fn a_message_may_be_given_up_unless_it_was_passed_on() {
    let video = chunks(0, 6, 40, VIDEO, &bytes_of(25, 1), 10);
    let audio = chunks(0, 4, 39, AUDIO, &bytes_of(15, 2), 10);
    let abort = |stream: u32| message(2, 0, kind::ABORT, &stream.to_be_bytes(), 10);
    let again = message(4, 50, AUDIO, b"anew", 10);
    let media = [&video[0], &audio[0], &abort(4), &again, &video[1], &video[2]];
    let wanted = [tag(VIDEO, 40, &bytes_of(25, 1)), tag(AUDIO, 50, b"anew")].concat();
    assert_eq!(tags_of(&media.map(Vec::as_slice).concat(), 10), wanted);
    assert_eq!(tags_of(&abort(77), 10), b"", "nothing is open there");
    let (why, text) = refused(&[video[0].clone(), abort(6)].concat(), 10);
    assert!(why == Refusal::BadRequest && text.contains("abort"), "{text}");
}

#[test]
fn broken_chunk_streams_are_refused() {
    let video = chunks(0, 6, 40, VIDEO, &bytes_of(25, 1), 10);
    for (what, media) in [
        ("inside another", [video[0].clone(), video[0].clone()].concat()),
        ("without a message header", chunk_head(2, 50, 1, 0, 0)),
        ("without a message header", chunk_head(3, 50, 1, 0, 0)),
        ("chunk size 0", message(2, 0, kind::SET_CHUNK_SIZE, &[0; 4], 10)),
        ("chunk size 2147483648", message(2, 0, kind::SET_CHUNK_SIZE, &[128, 0, 0, 0], 10)),
        ("too short", message(2, 0, kind::SET_CHUNK_SIZE, &[1; 3], 10)),
        ("at most 64", message(2, 0, kind::USER_CONTROL, &[0; 65], 10)),
        ("at most 16384", chunk_head(0, 3, 0, 16_385, kind::COMMAND)),
        ("no AMF0", message(3, 0, kind::COMMAND, b"\x05", 10)),
    ] {
        // The byte behind a header is what has it looked at.
        let (why, text) = refused(&[media, vec![0]].concat(), 10);
        assert!(why == Refusal::BadRequest && text.contains(what), "{what}: {text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_messages_in_any_chunks_and_any_split(
        list in prop::collection::vec((0..3u8, any::<u32>(), 0..700usize, any::<bool>()), 1..12),
        size in 1..400usize,
        sizes in prop::collection::vec(1..900usize, 1..8),
        turns in prop::collection::vec(0..4usize, 1..40),
    ) {
        // Each of three chunk streams has its messages in order; whose chunk is
        // next, `turns` say.
        let mut queues = [const { Vec::new() }; 3];
        let mut wanted = Vec::new();
        for (at, (stream, time, length, far)) in list.into_iter().enumerate() {
            let time = if far { time } else { time & 0xff_ffff };
            let kind = [AUDIO, VIDEO, VIDEO][usize::from(stream)];
            let data = bytes_of(length, at as u8);
            queues[usize::from(stream)].extend(chunks(0, 4 + u32::from(stream), time, kind, &data, size));
            wanted.push(tag(kind, time, &data));
        }
        let mut media = Vec::new();
        for turn in turns.iter().cycle() {
            if let Some(queue) = queues.get_mut(turn % 3).filter(|queue| !queue.is_empty()) {
                media.extend(queue.remove(0));
            } else if let Some(queue) = queues.iter_mut().find(|queue| !queue.is_empty()) {
                media.extend(queue.remove(0));
            } else {
                break;
            }
        }
        let bytes = [opening("publish", "a", size), media].concat();
        let whole = drive(&bytes, &[bytes.len()]);
        prop_assert_eq!(&drive(&bytes, &sizes), &whole);
        prop_assert_eq!(&whole.refused, &None);
        // All tags came out, each whole; the order is that of interleaving.
        let mut tags = Vec::new();
        let mut rest = whole.tags.as_slice();
        while let Some((_, data, behind)) = tag::split_tag(rest) {
            let (one, _) = rest.split_at(15 + data.len());
            tags.push(one.to_vec());
            rest = behind;
        }
        prop_assert!(rest.is_empty());
        tags.sort();
        wanted.sort();
        prop_assert_eq!(tags, wanted);
    }
}
