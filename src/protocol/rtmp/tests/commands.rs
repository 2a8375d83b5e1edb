//! Commands and what is answered, protocol control, and when a client has to
//! have said what it wants.

use super::*;
use crate::limits::{PUBLISHER_SILENCE, QUEUED_BYTES, RTMP_STEP_TIME, RTMP_WINDOW};
use crate::protocol::Refusal;

/// What a client that says so after the handshake is told.
fn told(bytes: &[u8]) -> Heard {
    let bytes = [handshake(), bytes.to_vec()].concat();
    let whole = drive(&bytes, &[bytes.len()]);
    for sizes in [&[1][..], &[7, 1, 300]] {
        assert_eq!(drive(&bytes, sizes), whole);
    }
    whole
}

/// A session that has asked, and was given no answer yet.
fn asked(wish: &str, key: &str) -> Session {
    let mut session = Session::new(NOW).unwrap();
    let bytes = opening(wish, key, 128);
    let (used, event) = session.handle_bytes(&bytes, NOW).unwrap();
    assert!(used < bytes.len() && event.is_some());
    session
}

#[test]
fn a_publisher_is_told_what_it_waits_for() {
    let heard = published(b"", 128);
    assert_eq!(heard.events, ["publish live/a"]);
    assert_eq!(
        said(&heard.output),
        [
            "_result 1 NetConnection.Connect.Success",
            "_result 2",
            "_result 3",
            "onFCPublish 0 NetStream.Publish.Start",
            "_result 4 1",
            "onStatus 0 NetStream.Publish.Start",
        ]
    );
}

#[test]
fn the_handshake_is_the_plain_one() {
    let heard = drive(&handshake(), &[100]);
    assert_eq!(heard.output.len(), 1 + 2 * 1536);
    assert_eq!(heard.output[0], 3);
    assert_eq!(heard.output[1..9], [0; 8], "a version here would ask for digests");
    assert_eq!(heard.output[1537..], handshake()[1..1537], "theirs comes back");
    for wrong in [b"\x06", b"G", b"\x00"] {
        assert_eq!(drive(wrong, &[1]).refused.map(|denied| denied.0), Some(Refusal::WrongProtocol));
    }
}

#[test]
fn a_player_hears_of_the_chunk_size_before_any_media() {
    let heard = drive(&opening("play", "a?max_lag=200ms", 128), &[64]);
    assert_eq!(heard.events, ["play live/a"]);
    let said = said(&heard.output);
    assert_eq!(said[5..], ["onStatus 0 NetStream.Play.Reset", "onStatus 0 NetStream.Play.Start"]);
    let at = |what: &[u8]| heard.output.windows(what.len()).position(|bytes| bytes == what);
    let size = at(b"\x02\0\0\0\0\0\x04\x01\0\0\0\0\0\xff\xff\xff").unwrap();
    let begin = at(b"\x02\0\0\0\0\0\x06\x04\0\0\0\0\0\0\0\0\0\x01").unwrap();
    let start = at(b"NetStream.Play.Start").unwrap();
    let access = at(b"\x12\x01\0\0\0\x02\0\x11|RtmpSampleAccess\x01\x01\x01\x01").unwrap();
    assert!(size < begin && begin < start && start < access);
    assert_eq!(access + 29, heard.output.len());
}

#[test]
fn media_may_come_right_behind_the_command() {
    // Nothing of it is lost while the name is being claimed.
    let mut session = asked("publish", "a");
    let media = message(4, 5, kind::AUDIO, b"early", 128);
    assert_eq!(session.handle_bytes(&media, NOW), Ok((0, None)));
    assert_eq!(session.poll_timeout(), None, "it waits for us");
    session.publish_granted();
    let mut heard = Heard::default();
    feed(&mut session, &media, &[3], &mut heard);
    assert_eq!(heard.tags, tag(kind::AUDIO, 5, b"early"));
}

#[test]
fn media_of_whoever_does_not_publish_is_passed_over() {
    let media = message(4, 5, kind::VIDEO, &bytes_of(200_000, 1), 128);
    let play = drive(&[opening("play", "a", 128), media.clone()].concat(), &[1000]);
    assert!(play.tags.is_empty() && play.refused.is_none());
    let mut early = [handshake(), connect()].concat();
    // Half of it comes before it may.
    let (first, second) = media.split_at(129 * 100 + 11);
    early.extend(first);
    early.extend(command(Writer::command("publish", 5.0).null().string("a")));
    early.extend(second);
    early.extend(message(4, 9, kind::AUDIO, b"on time", 128));
    assert_eq!(drive(&early, &[1000]).tags, tag(kind::AUDIO, 9, b"on time"));
}

#[test]
fn whoever_stops_says_so() {
    for name in ["deleteStream", "closeStream", "FCUnpublish"] {
        let stop = command(Writer::command(name, 0.0).null().number(1.0));
        let mut bytes = [opening("publish", "a", 128), stop.clone()].concat();
        bytes.extend(message(4, 5, kind::AUDIO, b"late", 128));
        let heard = drive(&bytes, &[500]);
        assert_eq!(heard.events, ["publish live/a", "end"], "{name}");
        assert!(heard.tags.is_empty());
        assert_eq!(said(&heard.output).last().unwrap(), "onStatus 0 NetStream.Unpublish.Success");
        // Before it begins it means an earlier one.
        let early = [connect(), stop, command(Writer::command("play", 1.0).null().string("b"))];
        assert_eq!(told(&early.concat()).events, ["play live/b"], "{name}");
    }
}

#[test]
fn an_ended_stream_is_told_to_players() {
    let mut session = asked("play", "a");
    session.play_granted();
    session.output().clear();
    session.play_ended();
    let output = session.output().clone();
    assert!(output.starts_with(b"\x02\0\0\0\0\0\x06\x04\0\0\0\0\0\x01\0\0\0\x01"), "{output:x?}");
    let framed = [vec![3; 3073], output].concat();
    assert_eq!(said(&framed), ["onStatus 0 NetStream.Play.UnpublishNotify"]);
}

#[test]
fn refusals_have_the_codes_that_programs_know() {
    for (wish, why, code) in [
        ("publish", Refusal::Busy, "NetStream.Publish.BadName"),
        ("publish", Refusal::BadName, "NetStream.Publish.Denied"),
        ("publish", Refusal::Full, "NetStream.Publish.Denied"),
        ("play", Refusal::NotFound, "NetStream.Play.StreamNotFound"),
        ("play", Refusal::Draining, "NetStream.Play.Failed"),
    ] {
        let mut session = asked(wish, "a");
        session.refused(why, "no\nway");
        let output = session.output().clone();
        assert_eq!(*said(&output).last().unwrap(), format!("onStatus 0 {code}"));
        assert!(output.ends_with(b"no?way\0\0\x09"));
        assert_eq!(session.handle_bytes(b"more", NOW), Ok((4, None)), "it is over");
    }
    for (bytes, why, last) in [
        (opening("publish", "a b", 9), Refusal::BadName, "onStatus 0 NetStream.Publish.Denied"),
        (opening("play", "a?x=y", 9), Refusal::BadOption, "onStatus 0 NetStream.Play.Failed"),
    ] {
        let heard = drive(&bytes, &[50]);
        assert_eq!(heard.refused.as_ref().map(|denied| denied.0), Some(why));
        assert_eq!(said(&heard.output).last().unwrap(), last);
    }
}

#[test]
fn commands_come_in_their_order() {
    let publish = command(Writer::command("publish", 5.0).null().string("a"));
    let heard = told(&publish);
    assert_eq!(heard.refused.map(|denied| denied.0), Some(Refusal::BadRequest));
    assert_eq!(said(&heard.output), ["_error 1 NetConnection.Connect.Rejected"]);
    let heard = told(&[connect(), connect()].concat());
    assert_eq!(said(&heard.output).last().unwrap(), "onStatus 0 NetConnection.Connect.Closed");
    for wish in ["publish", "play"] {
        let heard = drive(&[opening(wish, "a", 128), publish.clone()].concat(), &[77]);
        assert!(heard.refused.unwrap().1.contains("one stream"));
    }
    let nameless = command(Writer::command("play", 5.0).null().number(1.0));
    assert!(told(&[connect(), nameless].concat()).refused.unwrap().1.contains("name"));
}

#[test]
fn other_commands_are_answered_where_an_answer_is_wanted() {
    let mut bytes = connect();
    for (name, id) in [
        ("getStreamLength", 7.0),
        ("_checkbw", 8.0),
        ("FCSubscribe", 0.0),
        ("launch", 9.0),
        ("launch", 0.0),
        ("_result", 1.0),
        ("receiveAudio", 10.0),
        ("play2", 11.0),
    ] {
        bytes.extend(command(Writer::command(name, id).null().string("x")));
    }
    bytes.extend(command(Writer::command("pause", 0.0).null().boolean(true).number(0.0)));
    bytes.extend(command(Writer::command("pause", 0.0).null().boolean(false).number(0.0)));
    bytes.extend(command(Writer::command("seek", 0.0).null().number(0.0)));
    assert_eq!(
        said(&told(&bytes).output)[1..],
        [
            "_result 7 0",
            "_result 8",
            "onFCSubscribe 0 NetStream.Play.Start",
            "_error 9 NetConnection.Call.Failed",
            "_error 11 NetConnection.Call.Failed",
            "onStatus 0 NetStream.Pause.Notify",
            "onStatus 0 NetStream.Unpause.Notify",
            "onStatus 0 NetStream.Seek.Notify",
        ]
    );
}

#[test]
fn commands_in_amf3_messages_are_amf0_behind_a_byte() {
    let connect = Writer::command("connect", 1.0).object().key("app").string("x/y").end();
    let publish = Writer::command("publish", 2.0).null().string("z").string("record");
    let amf3 = |writer: Writer| {
        message(3, 0, kind::COMMAND_AMF3, &[vec![0], writer.bytes()].concat(), 128)
    };
    assert_eq!(told(&[amf3(connect), amf3(publish)].concat()).events, ["publish x/y/z"]);
}

#[test]
fn an_enhanced_client_is_answered_in_kind() {
    let list = Writer::default().strings(&["av01", "hvc1"]).bytes();
    let connect = Writer::command("connect", 1.0)
        .object()
        .key("app")
        .string("live")
        .key("fourCcList")
        .value(&list)
        .key("videoFourCcInfoMap")
        .object()
        .key("hvc1")
        .number(3.0)
        .end()
        .key("capsEx")
        .number(3.0)
        .end();
    let output = told(&command(connect)).output;
    let has = |what: &[u8]| output.windows(what.len()).any(|bytes| bytes == what);
    assert!(has(&[b"\0\x0afourCcList".to_vec(), list].concat()));
    assert!(has(b"videoFourCcInfoMap\x03\0\x01*\0\x40\x10"));
    assert!(has(b"capsEx\0\x40\x2c") && !has(b"audioFourCc"));
    let plain = told(&super::connect()).output;
    assert!(!plain.windows(6).any(|bytes| bytes == b"fourCc" || bytes == b"capsEx"));
}

#[test]
fn bytes_are_acknowledged_each_window() {
    let window = message(2, 0, kind::WINDOW, &5000u32.to_be_bytes(), 128);
    let media = message(4, 0, kind::AUDIO, &bytes_of(20_000, 1), 30_000);
    let opening = opening("publish", "a", 30_000);
    let plain = drive(&opening, &[999]).output.len();
    let bytes = [opening.clone(), window.clone(), media].concat();
    let heard = drive(&bytes, &[999]);
    assert_eq!(drive(&bytes, &[1]), heard);
    assert_eq!(drive(&bytes, &[bytes.len()]), heard);
    let from = (opening.len() + window.len()) as u32;
    let mut wanted = Vec::new();
    for n in 1..=4 {
        wanted.extend(b"\x02\0\0\0\0\0\x04\x03\0\0\0\0");
        wanted.extend((from + n * 5000).to_be_bytes());
    }
    assert_eq!(heard.output[plain..], wanted);
    let much = message(4, 0, kind::AUDIO, &vec![1; RTMP_WINDOW as usize], 30_000);
    let heard = drive(&[opening, much].concat(), &[60_000]);
    assert_eq!(heard.output.len() - plain, 16, "unasked, each 2.5 MB");
}

#[test]
fn a_ping_is_answered() {
    let ping = message(2, 0, kind::USER_CONTROL, b"\0\x06abcd", 128);
    let before = told(&connect()).output.len();
    let output = told(&[connect(), ping].concat()).output;
    assert_eq!(output[before..], *b"\x02\0\0\0\0\0\x06\x04\0\0\0\0\0\x07abcd");
    for other in [&b""[..], b"\0", b"\0\x03\0\0\0\x01\0\0\0\x64", b"\x01\x06"] {
        let message = message(2, 0, kind::USER_CONTROL, other, 128);
        assert_eq!(told(&[connect(), message].concat()).output.len(), before);
    }
}

#[test]
fn whoever_asks_without_reading_is_refused() {
    let mut session = asked("publish", "a");
    session.publish_granted();
    let ping = message(2, 0, kind::USER_CONTROL, b"\0\x06abcd", 128);
    let mut total = 0;
    while let Ok((used, None)) = session.handle_bytes(&ping, NOW) {
        total += used;
        assert!(total < 10 * QUEUED_BYTES);
    }
    assert!(session.output().len() < QUEUED_BYTES + 8192);
}

#[test]
fn each_step_has_its_time() {
    let late = |nanos| Instant::from_nanos(nanos);
    let mut session = Session::new(late(0)).unwrap();
    assert_eq!(session.poll_timeout(), Some(late(0) + RTMP_STEP_TIME));
    session.handle_bytes(&handshake()[..3000], late(1)).unwrap();
    assert_eq!(session.poll_timeout(), Some(late(0) + RTMP_STEP_TIME));
    session.handle_bytes(&handshake()[3000..], late(2)).unwrap();
    assert_eq!(session.poll_timeout(), Some(late(2) + RTMP_STEP_TIME));
    let opening = opening("play", "a", 128);
    let connect = connect();
    session.handle_bytes(&connect, late(3)).unwrap();
    assert_eq!(session.poll_timeout(), Some(late(3) + RTMP_STEP_TIME));
    session.handle_bytes(&opening[handshake().len() + connect.len()..], late(4)).unwrap();
    assert_eq!(session.poll_timeout(), None);
    session.play_granted();
    assert_eq!(session.poll_timeout(), None);
    // Then it is to close, and what it says meanwhile gives it no more time.
    let stop = command(Writer::command("deleteStream", 0.0).null().number(1.0));
    assert!(!session.has_left());
    let (_, event) = session.handle_bytes(&stop, late(5)).unwrap();
    assert_eq!(event, Some(Event::End));
    session.handle_bytes(&stop, late(6)).unwrap();
    assert!(session.has_left());
    assert_eq!(session.poll_timeout(), Some(late(5) + PUBLISHER_SILENCE));
}
