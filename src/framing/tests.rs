//! What every framing owes: the same frames for any split of the input, bounds
//! kept, nothing held that could go on. `ts` has more tests of its own.

use super::testing::{Feed, Rng, any_split};
use super::*;
use crate::limits::{AUTO_HOLD, FRAME_BYTES};

#[test]
fn raw_keeps_each_receive_as_one_frame() {
    let mut feed = Feed::bytes(Kind::Raw);
    feed.receive(b"one");
    feed.receive(b"");
    feed.receive(b"two and three");
    let ends: Vec<_> = feed.frames.iter().map(|frame| frame.end).collect();
    assert_eq!(ends, [3, 16]);
    assert!(feed.frames.iter().all(|frame| frame.leave));
    assert!(feed.held.is_empty() && feed.joins.is_empty());
    let input = Rng::new(1).bytes(5000);
    assert_eq!(any_split(Kind::Raw, &input, 100).kept, input);
}

#[test]
fn without_room_nothing_is_kept() {
    for kind in [Kind::Raw, Kind::Flv, Kind::Lines, Kind::Len32, Kind::Datagram] {
        let mut marks = Marks::default();
        let mut framing = Framing::new(kind, Transport::Bytes);
        let input = b"\0\0\0\x01\n\0\0\0\x00";
        let step = framing.step(input, Position::ZERO, Instant::ZERO, &mut marks);
        assert_eq!(step, Ok(Step::HOLD), "{kind:?}");
        assert!(marks.frames.is_empty());
    }
}

#[test]
fn room_is_used_up_frame_by_frame() {
    let mut marks = Marks { room: 2, ..Marks::default() };
    let mut framing = Framing::new(Kind::Lines, Transport::Bytes);
    let step = framing.step(b"a\nb\nc\n", Position(10), Instant::ZERO, &mut marks);
    assert_eq!(step, Ok(Step { skip: 0, keep: 4 }));
    assert_eq!(marks.room, 0);
    let ends: Vec<_> = marks.frames.iter().map(|mark| mark.end.0).collect();
    assert_eq!(ends, [12, 14]);
}

#[test]
fn lines_end_with_their_newline_however_split() {
    let mut rng = Rng::new(2);
    let mut input = Vec::new();
    let mut starts = Vec::new();
    for _ in 0..200 {
        starts.push(input.len() as u64);
        for _ in 0..rng.below(60) {
            input.push(b'a' + rng.below(26) as u8);
        }
        input.push(b'\n');
    }
    input.extend_from_slice(b"not yet ended");
    let outcome = any_split(Kind::Lines, &input, 300);
    assert_eq!(outcome.leaves, starts);
    assert_eq!(outcome.kept, input, "an incomplete line is kept as it comes");
    assert_eq!(outcome.joins, []);
}

#[test]
fn len32_frames_end_where_they_say_however_split() {
    let mut rng = Rng::new(3);
    let mut input = Vec::new();
    let mut starts = Vec::new();
    for _ in 0..200 {
        starts.push(input.len() as u64);
        let payload = rng.below(80);
        input.extend_from_slice(&(payload as u32).to_be_bytes());
        input.extend_from_slice(&rng.bytes(payload));
    }
    let whole = input.len();
    input.extend_from_slice(&[0, 0, 1]);
    let outcome = any_split(Kind::Len32, &input, 300);
    assert_eq!(outcome.leaves, starts);
    assert_eq!(outcome.kept, input[..whole], "only a cut prefix is held");
    let mut feed = Feed::bytes(Kind::Len32);
    feed.receive(&input);
    feed.receive(&[0, 7]);
    assert_eq!(feed.kept.len(), whole + 5, "payload is not waited for");
}

#[test]
fn a_frame_of_length_zero_is_its_prefix() {
    let mut feed = Feed::bytes(Kind::Len32);
    feed.receive(&[0, 0, 0, 0, 0, 0, 0, 0]);
    let ends: Vec<_> = feed.frames.iter().map(|frame| frame.end).collect();
    assert_eq!(ends, [4, 8]);
}

#[test]
fn frames_that_are_too_long_end_the_publisher_after_those_before() {
    let too_long = FramingError::FrameTooLong { bytes: FRAME_BYTES as u64 + 1 };
    let mut input = b"fine\n".to_vec();
    input.resize(5 + FRAME_BYTES + 1, b'x');
    let mut feed = Feed::bytes(Kind::Lines);
    feed.receive(&input);
    assert_eq!(feed.error, Some(too_long));
    assert_eq!(feed.leaves(), [0]);

    let mut feed = Feed::bytes(Kind::Lines);
    input.truncate(5 + FRAME_BYTES);
    *input.last_mut().expect("not empty") = b'\n';
    feed.receive(&input);
    assert_eq!(feed.error, None, "the longest there may be");
    assert_eq!(feed.leaves(), [0, 5]);

    let mut prefix = 0u32.to_be_bytes().to_vec();
    prefix.extend_from_slice(&(FRAME_BYTES as u32 - 3).to_be_bytes());
    let outcome = any_split(Kind::Len32, &prefix, 20);
    assert!(outcome.error);
    assert_eq!(outcome.leaves, [0]);
    let mut feed = Feed::bytes(Kind::Len32);
    feed.receive(&prefix);
    assert_eq!(feed.error, Some(too_long));
    assert!(too_long.to_string().contains("16777217"));
}

#[test]
fn long_lines_cost_no_more_than_their_bytes() {
    // Quadratic rescanning of a held line would take minutes here.
    let mut feed = Feed::bytes(Kind::Lines);
    for _ in 0..FRAME_BYTES / 16 / 4 {
        feed.receive(&[b'x'; 16]);
    }
    assert!(feed.held.is_empty() && feed.frames.is_empty());
}

#[test]
fn auto_decides_on_the_first_byte_of_anything() {
    let mut feed = Feed::bytes(Kind::Auto);
    assert_eq!(feed.framing.kind(), Kind::Auto);
    assert!(!feed.framing.joins_anywhere());
    feed.receive(b"hello\n");
    assert_eq!(feed.framing.kind(), Kind::Raw);
    assert!(feed.framing.joins_anywhere());
    assert_eq!(feed.kept, b"hello\n");
    any_split(Kind::Auto, b"FLV\x01 and so on", 50);
    any_split(Kind::Auto, b"no signature at all", 50);
}

#[test]
fn auto_lets_a_short_text_go_at_its_deadline() {
    let mut feed = Feed::bytes(Kind::Auto);
    feed.receive(b"Good");
    let deadline = feed.framing.poll_timeout().expect("bytes are held");
    assert_eq!(deadline, feed.now + AUTO_HOLD);
    assert!(feed.kept.is_empty());
    feed.now = deadline;
    feed.receive(b"");
    assert_eq!(feed.kept, b"Good");
    assert_eq!(feed.framing.kind(), Kind::Raw);
    assert_eq!(feed.framing.poll_timeout(), None);
}

#[test]
fn datagrams_are_frames() {
    for kind in [Kind::Auto, Kind::Raw, Kind::Datagram] {
        let mut feed = Feed::datagrams(kind);
        feed.datagram(b"");
        assert_eq!(feed.framing.kind(), kind, "nothing to decide on");
        feed.datagram(b"one");
        feed.datagram(b"GG");
        let ends: Vec<_> = feed.frames.iter().map(|frame| frame.end).collect();
        assert_eq!(ends, [3, 5]);
        assert!(feed.framing.joins_anywhere());
        assert_eq!(feed.framing.stats(), FramingStats::default());
    }
}

#[test]
fn of_datagrams_with_lines_or_prefixes_whole_frames_are_kept() {
    let mut feed = Feed::datagrams(Kind::Lines);
    let step = feed.datagram(b"a\nbc\nrest");
    assert_eq!(step, Step { skip: 0, keep: 5 });
    assert_eq!(feed.leaves(), [0, 2]);
    assert_eq!(feed.framing.stats().skipped_bytes, 4);
    feed.datagram(b"d\n");
    assert_eq!(feed.kept, b"a\nbc\nd\n");

    let mut feed = Feed::datagrams(Kind::Len32);
    feed.datagram(b"\0\0\0\x02ab\0\0\0\x00\xFF\xFF\xFF\xFF\x01");
    assert_eq!(feed.leaves(), [0, 6]);
    assert_eq!(feed.framing.stats().skipped_bytes, 5);
    feed.datagram(b"\0\0\0");
    assert_eq!(feed.framing.stats().skipped_bytes, 8);
}

#[test]
fn trim_is_what_the_framing_added() {
    let trim = |kind| Framing::new(kind, Transport::Bytes).trim();
    assert_eq!(trim(Kind::Lines), Trim { front: 0, back: 1 });
    assert_eq!(trim(Kind::Len32), Trim { front: 4, back: 0 });
    for kind in [Kind::Auto, Kind::Raw, Kind::Ts, Kind::Flv, Kind::Datagram] {
        assert_eq!(trim(kind), Trim::default());
    }
}

#[test]
fn no_input_makes_a_framing_stumble() {
    const KINDS: [Kind; 7] =
        [Kind::Auto, Kind::Raw, Kind::Ts, Kind::Flv, Kind::Lines, Kind::Len32, Kind::Datagram];
    for (seed, kind) in (0..).zip(KINDS) {
        let mut rng = Rng::new(seed);
        let mut feed = Feed::bytes(kind);
        let mut datagrams = Feed::datagrams(kind);
        for _ in 0..400 {
            let count = rng.below(1500);
            let mut bytes = rng.bytes(count);
            for byte in &mut bytes {
                // Small lengths, newlines and sync bytes more often.
                *byte = match *byte {
                    0..=60 => 0,
                    61..=80 => 0x47,
                    81..=90 => b'\n',
                    other => other,
                };
            }
            (feed.room, datagrams.room) = (1 + rng.below(3), rng.below(20));
            feed.receive(&bytes);
            datagrams.datagram(&bytes);
            if feed.error.is_some() {
                feed = Feed::bytes(kind);
            }
            assert!(feed.held.len() <= 4 * 188, "{kind:?}");
        }
    }
}
