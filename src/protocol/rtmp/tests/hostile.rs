//! Damaged bytes, to either side: nothing panics, memory stays in proportion to
//! what came, whatever is passed on is tags, and no split changes anything.

use super::*;
use crate::limits::QUEUED_BYTES;
use crate::protocol::testing::Random;

/// How many cases of each kind: a few seconds' worth here, and by hand as many
/// as one likes, with `FUZZ_CASES=10000000 cargo test --release --lib rtmp`.
fn cases() -> u64 {
    let given = std::env::var("FUZZ_CASES").ok();
    given.map_or(60_000, |text| text.parse().expect("FUZZ_CASES is a number"))
}

/// Media of all kinds, in small chunks and interleaved.
fn media() -> Vec<u8> {
    let video = chunks(0, 6, 40, kind::VIDEO, &bytes_of(40, 1), 16);
    let audio = chunks(0, 4, 0x100_0000, kind::AUDIO, &bytes_of(20, 2), 16);
    let set = Writer::default().string("@setDataFrame").string("onMetaData").object().end();
    let packed = [tag(kind::AUDIO, 9, b"one"), tag(kind::VIDEO, 12, b"two")].concat();
    let mut bytes = message(5, 0, kind::DATA, &set.bytes(), 16);
    for part in [&video[0], &audio[0], &video[1], &audio[1], &video[2]] {
        bytes.extend(part);
    }
    bytes.extend(message(7, 50, kind::AGGREGATE, &packed, 16));
    bytes.extend(message(2, 0, kind::USER_CONTROL, b"\0\x06ping", 16));
    bytes.extend(message(2, 0, kind::WINDOW, &2000u32.to_be_bytes(), 16));
    bytes.extend(chunks(1, 4, 20, kind::AUDIO, b"more", 16).concat());
    bytes.extend(chunks(2, 4, 20, 0, b"more", 16).concat());
    bytes.extend(chunks(3, 4, 0, 0, b"more", 16).concat());
    bytes.extend(message(2, 0, kind::ABORT, &4u32.to_be_bytes(), 16));
    bytes.extend(message(2, 0, kind::SET_CHUNK_SIZE, &99u32.to_be_bytes(), 16));
    bytes.extend(message(1000, 60, kind::VIDEO, &bytes_of(130, 3), 99));
    bytes.extend(message(3, 0, kind::COMMAND, &leaving().bytes(), 99));
    bytes
}

fn leaving() -> Writer {
    Writer::command("deleteStream", 0.0).null().number(1.0)
}

/// A stage of a session, and what a client may send next.
struct Stage {
    session: Session,
    next: Vec<u8>,
}

fn stages() -> Vec<Stage> {
    let shaken = handshake();
    let ready = opening("publish", "a", 16);
    let stage = |given: &[u8], next: Vec<u8>| {
        let mut session = Session::new(NOW).unwrap();
        feed(&mut session, given, &[given.len()], &mut Heard::default());
        Stage { session, next }
    };
    let commands = ready[shaken.len()..].to_vec();
    let play = opening("play", "b?join=live", 64)[shaken.len()..].to_vec();
    vec![
        stage(b"", shaken[..40].to_vec()),
        stage(&shaken, [commands, media()].concat()),
        stage(&shaken, play),
        stage(&ready, media()),
        stage(&ready, media()),
    ]
}

/// Whole tags, the last of them perhaps cut off.
fn assert_tags(mut tags: &[u8]) {
    while let Some(head) = tags.first_chunk::<11>() {
        assert!([kind::AUDIO, kind::VIDEO, kind::DATA].contains(&head[0]), "{head:x?}");
        assert_eq!(head[8..], [0; 3]);
        let Some((_, data, rest)) = tag::split_tag(tags) else { return };
        let Some(size) = tags.get(11 + data.len()..15 + data.len()) else { return };
        assert_eq!(size, (11 + data.len() as u32).to_be_bytes());
        tags = rest;
    }
}

fn sizes(random: &mut Random) -> [usize; 3] {
    [1 + random.below(9), 1 + random.below(60), 1 + random.below(3000)]
}

/// Each byte that comes takes so many at most: the shortest unknown command is
/// answered with ten times as much, and vectors grow to twice what they need.
fn room(came: usize) -> usize {
    32 * came + 8192
}

#[test]
fn fuzz_sessions() {
    let stages = stages();
    let mut random = Random::new(1);
    let mut through = 0;
    for case in 0..cases() {
        let stage = &stages[random.below(stages.len())];
        let bytes = random.mutate(&stage.next);
        let sizes = sizes(&mut random);
        let mut session = stage.session.clone();
        let before = session.memory();
        let mut heard = Heard::default();
        feed(&mut session, &bytes, &sizes, &mut heard);
        assert!(session.memory() <= before + room(bytes.len()), "case {case}: {bytes:x?}");
        assert!(heard.output.len() <= room(bytes.len()), "case {case}: {bytes:x?}");
        assert_tags(&heard.tags);
        through += u64::from(heard.refused.is_none());
        if case % 4 == 0 {
            let (mut again, mut whole) = (stage.session.clone(), Heard::default());
            feed(&mut again, &bytes, &[bytes.len()], &mut whole);
            assert_eq!(heard, whole, "case {case}: {bytes:x?} by {sizes:?}");
        }
    }
    assert!(through > cases() / 4, "damage that lets some through: {through}");
}

#[test]
fn fuzz_commands() {
    let seeds = [
        Writer::command("connect", 1.0).object().key("app").string("live").key("capsEx").object(),
        Writer::command("connect", 1.0).object().key("fourCcList").strings(&["av01", "hvc1"]),
        Writer::command("publish", 5.0).null().string("a?max_lag=1s&join=live").string("live"),
        Writer::command("play", 5.0).null().string("mp4:a/b?wait=2s").number(-2.0).boolean(true),
        Writer::command("pause", 6.0).null().boolean(true).number(1.0),
        leaving(),
    ]
    .map(Writer::bytes);
    let greeted = drive_to(&handshake());
    let connected = drive_to(&[handshake(), connect()].concat());
    let mut random = Random::new(2);
    for case in 0..cases() {
        let seed = &seeds[random.below(seeds.len())];
        let payload = random.mutate(seed);
        let mut session = if random.below(3) == 0 { greeted.clone() } else { connected.clone() };
        let bytes = message(3, 0, kind::COMMAND, &payload, 128);
        let mut heard = Heard::default();
        feed(&mut session, &bytes, &[bytes.len()], &mut heard);
        assert!(heard.output.len() <= room(bytes.len()), "case {case}: {payload:x?}");
        assert!(session.memory() <= room(bytes.len()), "case {case}: {payload:x?}");
    }
}

fn drive_to(bytes: &[u8]) -> Session {
    let mut session = Session::new(NOW).unwrap();
    feed(&mut session, bytes, &[bytes.len()], &mut Heard::default());
    session
}

/// A caller that has sent `connect`, and what a server that grants everything
/// sends it from there on.
fn call(purpose: Purpose) -> (Caller, Vec<u8>) {
    let mut caller = Caller::new(purpose, "rtmp://x/live", "live", "a", NOW).unwrap();
    caller.handle_bytes(&handshake(), NOW).unwrap();
    caller.output().clear();
    let (wish, end) = match purpose {
        Purpose::Publish => ("publish", Vec::new()),
        Purpose::Play => ("play", media()),
    };
    let mut answers = drive(&opening(wish, "a", 16), &[1 << 16]).output.split_off(3073);
    answers.extend(message(2, 0, kind::SET_CHUNK_SIZE, &16u32.to_be_bytes(), 128));
    answers.extend(end);
    (caller, answers)
}

#[test]
fn fuzz_callers() {
    let calls = [call(Purpose::Publish), call(Purpose::Play), call(Purpose::Play)];
    let mut random = Random::new(3);
    let mut granted = 0;
    for case in 0..cases() {
        let (caller, answers) = &calls[random.below(calls.len())];
        let bytes = random.mutate(answers);
        let mut caller = caller.clone();
        let mut tags = Vec::new();
        let mut left = bytes.as_slice();
        'fed: while !left.is_empty() {
            let (mut piece, rest) = left.split_at(left.len().min(1 + random.below(2000)));
            left = rest;
            loop {
                let Ok((used, answer)) = caller.handle_bytes(piece, NOW) else { break 'fed };
                piece = &piece[used..];
                match answer {
                    None => break,
                    Some(Answer::Media(bytes)) => tags.extend(bytes),
                    Some(Answer::Granted) => granted += 1,
                    Some(Answer::End) => {}
                }
            }
        }
        assert_tags(&tags);
        assert!(caller.memory() <= room(bytes.len()), "case {case}: {bytes:x?}");
        assert!(caller.output().len() <= QUEUED_BYTES, "case {case}: {bytes:x?}");
    }
    assert!(granted > cases() / 4, "damage that lets some through: {granted}");
}
