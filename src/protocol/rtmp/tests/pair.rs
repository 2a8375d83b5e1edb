//! Both sides with each other, in memory and in any split; and tags as messages.

use super::*;
use crate::protocol::Refusal;
use crate::protocol::testing::Random;

/// A stream: metadata, sequence headers, frames; the last beyond 4.66 hours.
fn stream() -> Vec<u8> {
    let metadata = Writer::default().string("onMetaData").object().key("a").null().end().bytes();
    let mut flv = tag(kind::DATA, 0, &metadata);
    flv.extend(tag(kind::VIDEO, 0, b"\x17\0\0\0\0\x01"));
    flv.extend(tag(kind::AUDIO, 0, b"\xaf\0\x12\x10"));
    for (at, time) in [0, 40, 41, 0xff_fffe, 0xff_ffff, 0x100_0000, u32::MAX, 3].iter().enumerate()
    {
        flv.extend(tag(kind::VIDEO, *time, &bytes_of(at * 700, at as u8)));
    }
    flv
}

/// Carries bytes from one side to the other, some at a time.
#[derive(Default)]
struct Pipe(Vec<u8>);

impl Pipe {
    fn next(&mut self, random: &mut Random) -> Vec<u8> {
        let count = (1 + random.below(900)).min(self.0.len());
        self.0.drain(..count).collect()
    }
}

/// Both sides until nothing moves; answers what the caller was answered, and
/// the tags that arrived at either.
fn run(purpose: Purpose, seed: u64, decide: fn(&mut Session)) -> (Vec<String>, Vec<u8>, Denied) {
    let mut random = Random::new(seed);
    let url = "rtmp://example/live";
    let mut caller = Caller::new(purpose, url, "live", "a?_=1", NOW).unwrap();
    let mut session = Session::new(NOW).unwrap();
    let (mut up, mut down) = (Pipe::default(), Pipe::default());
    let (mut log, mut tags) = (Vec::new(), Vec::new());
    loop {
        up.0.append(caller.output());
        down.0.append(session.output());
        if up.0.is_empty() && down.0.is_empty() {
            return (log, tags, (Refusal::Timeout, String::new()));
        }
        let piece = up.next(&mut random);
        let mut at = 0;
        loop {
            let (used, event) = session.handle_bytes(&piece[at..], NOW).unwrap();
            at += used;
            match event {
                None => break,
                Some(Event::Media(bytes)) => tags.extend(bytes),
                Some(Event::Publish { name, .. } | Event::Play { name, .. }) => {
                    assert_eq!(name.as_str(), "live/a");
                    decide(&mut session);
                    if purpose == Purpose::Play && session.poll_timeout().is_none() {
                        down.0.append(session.output());
                        down.0.extend(messages(&stream()));
                        session.play_ended();
                    }
                }
                Some(Event::End) => log.push("left".to_owned()),
            }
        }
        let piece = down.next(&mut random);
        let mut at = 0;
        loop {
            let (used, answer) = match caller.handle_bytes(&piece[at..], NOW) {
                Ok(answer) => answer,
                Err(denied) => return (log, tags, denied),
            };
            at += used;
            match answer {
                None => break,
                Some(Answer::Media(bytes)) => tags.extend(bytes),
                Some(Answer::End) => log.push("ended".to_owned()),
                Some(Answer::Granted) => {
                    assert_eq!(caller.poll_timeout(), None);
                    log.push("granted".to_owned());
                    if purpose == Purpose::Publish {
                        up.0.append(caller.output());
                        up.0.extend(publish_messages(&stream()));
                        caller.finish();
                    }
                }
            }
        }
    }
}

#[test]
fn a_stream_goes_either_way_unchanged() {
    for seed in 0..50 {
        let (log, tags, _) = run(Purpose::Publish, seed, Session::publish_granted);
        assert_eq!(log, ["granted", "left"]);
        assert!(tags == stream(), "published, seed {seed}");
        let (log, tags, _) = run(Purpose::Play, seed, Session::play_granted);
        assert_eq!(log, ["granted", "ended"]);
        assert!(tags == stream(), "played, seed {seed}");
    }
}

#[test]
fn a_refusal_arrives_with_its_reason_and_its_words() {
    let (_, _, (why, text)) =
        run(Purpose::Publish, 1, |session| session.refused(Refusal::Busy, "somebody is there"));
    assert_eq!(why, Refusal::Busy);
    assert!(text.contains("BadName: somebody is there"), "{text}");
    let (_, _, (why, text)) =
        run(Purpose::Play, 1, |session| session.refused(Refusal::NotFound, "nothing there"));
    assert_eq!(why, Refusal::NotFound);
    assert!(text.contains("nothing there"), "{text}");
}

#[test]
fn a_caller_gives_up_on_servers_that_go_wrong() {
    let call = || {
        let mut caller = Caller::new(Purpose::Publish, "rtmp://x/a", "a", "b", NOW).unwrap();
        caller.handle_bytes(&handshake(), NOW).unwrap();
        assert!(caller.poll_timeout().is_some());
        caller
    };
    let result = |id: f64| Writer::command("_result", id).null();
    for (bytes, what) in [
        (command(Writer::command("_error", 1.0).null().null()), "refuses"),
        ([command(result(1.0)), command(result(4.0).number(7.0))].concat(), "stream 7"),
        ([command(result(1.0)), command(result(4.0).null())].concat(), "stream 0"),
        ([command(result(1.0)), command(result(4.0).number(f64::NAN))].concat(), "stream NaN"),
    ] {
        let (_, text) = call().handle_bytes(&bytes, NOW).unwrap_err();
        assert!(text.contains(what), "{text}");
    }
    let (why, _) = Caller::new(Purpose::Play, "rtmp://x/a", "a", "b", NOW)
        .unwrap()
        .handle_bytes(b"HTTP/1.1 400 Bad Request\r\n", NOW)
        .unwrap_err();
    assert_eq!(why, Refusal::WrongProtocol);
}

#[test]
fn a_tag_is_one_message_in_one_chunk() {
    let head = |time: u32| -> [u8; 11] { tag(0x29, time, &[7; 0x102])[..11].try_into().unwrap() };
    let (bytes, count) = message_head(&head(0x01_0203));
    assert_eq!(bytes[..count], *b"\x06\x01\x02\x03\0\x01\x02\x09\x01\0\0\0");
    let (bytes, count) = message_head(&head(0xff_fffe));
    assert_eq!((count, &bytes[1..4]), (12, &b"\xff\xff\xfe"[..]));
    for time in [0xff_ffff_u32, 0x100_0000, 0x8901_0203] {
        let (bytes, count) = message_head(&head(time));
        let long = [&b"\x06\xff\xff\xff\0\x01\x02\x09\x01\0\0\0"[..], &time.to_be_bytes()].concat();
        assert_eq!(bytes[..count], long);
    }
}

#[test]
fn a_row_of_tags_may_have_a_files_header_and_may_be_cut() {
    let flv = stream();
    let plain = messages(&flv);
    let file = [b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec(), flv.clone()].concat();
    assert_eq!(messages(&file), plain);
    let mut by_tag: Vec<u8> = Vec::new();
    let mut rest = flv.as_slice();
    while let Some((tag, data, behind)) = tag::split_tag(rest) {
        let (head, count) = message_head(tag);
        by_tag.extend(&head[..count]);
        by_tag.extend(data);
        rest = behind;
    }
    assert_eq!(plain, by_tag);
    for end in 0..file.len() {
        assert!(plain.starts_with(&messages(&file[..end])), "cut at {end}");
    }
    let pushed = publish_messages(&flv);
    assert_eq!(pushed.len(), plain.len() + 16);
    assert_eq!(published(&[&pushed[..300], &pushed[300..]].concat(), 1 << 24).tags, flv);
}
