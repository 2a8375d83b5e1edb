//! RTMP end to end: who publishes and who plays, what each is told, and that
//! what comes out is what went in, tag by tag.

use crate::peer::{Peer, command, message};
use crate::server::Server;
use crate::tags::{FILE, GOP, METADATA, film, greeting, picture, tag, tags};
use crate::wire::{self, eventually};
use nearlight::framing::flv::{HEAD_BYTES, TAIL_BYTES, TagKind};
use nearlight::protocol::Refusal;
use nearlight::protocol::rtmp::Purpose;
use std::io::Write;
use std::net::Shutdown;
use std::time::Duration;

/// The lag bounds are generous: a machine that is busy with tests may be slow.
const WAITS: &str = "rtmp://127.0.0.1:0?wait=20s&max_lag=20s";
const NOW: &str = "rtmp://127.0.0.1:0?max_lag=20s";

/// What a player is sent first that joins at `timestamp`.
fn headers(timestamp: u32) -> Vec<u8> {
    greeting(timestamp).split_off(FILE.len())
}

fn pictures(from: u32, to: u32) -> Vec<u8> {
    (from..to).flat_map(|n| picture(n, 2000)).collect()
}

fn all_has_come(server: &Server, name: &str, bytes: usize) {
    let what = format!("{bytes} bytes of {name}");
    eventually(&what, || server.stream(name, "position") == Some(bytes as u64));
}

#[test]
fn who_waits_gets_all_tags_and_is_told_of_the_end() {
    let server = Server::start(&[WAITS]);
    let players = [(); 2].map(|()| Peer::plays(server.at(0), "live/cam"));
    let film = film(25);
    let mut publisher = Peer::publishes(server.at(0), "live/cam");
    let messages = nearlight::protocol::rtmp::publish_messages(&film);
    messages.chunks(997).for_each(|piece| publisher.write(piece));
    // All that was in its film, and nothing else.
    let mut players = players.map(|mut player| {
        player.until_tags(film.len());
        player
    });
    publisher.finish();
    publisher.until("an answer", |peer| peer.has_heard(b"NetStream.Unpublish.Success"));
    for player in &mut players {
        assert!(player.is_granted);
        player.until("the stream's end", |player| player.is_over);
    }
    for player in players {
        assert!(player.into_tags() == film, "not the published tags");
    }
    server.wait_for_stream("live/cam", false);
    // It is the publisher who closes.
    assert_eq!(server.connections(), 1);
    publisher.socket.shutdown(Shutdown::Write).expect("open");
    publisher.until_closed();
    eventually("nobody is left", || server.connections() == 0);
    assert_eq!(server.refusals(), 0);
    let label = format!("{{listener=\"rtmp://{}\"}}", server.at(0));
    let received = server.metric(&format!("listener_received_bytes_total{label}"));
    let beyond = received - messages.len() as u64;
    assert!(beyond < 200, "{beyond} bytes of commands");
    assert_eq!(received, server.metric("received_bytes_total"));
    let sent = server.metric(&format!("listener_sent_bytes_total{label}"));
    assert_eq!(sent, 2 * nearlight::protocol::rtmp::messages(&film).len() as u64);
}

#[test]
fn tags_in_small_chunks_and_of_every_length_come_out_whole() {
    let server = Server::start(&[WAITS]);
    let mut player = Peer::plays(server.at(0), "live/cam");
    let mut publisher = Peer::publishes(server.at(0), "live/cam");
    let mut expected = headers(0);
    publisher.send(&expected);
    let mut key = vec![0x17, 1, 0, 0, 0];
    let mut before = 10 << 20;
    for size in [128, 1, 4096, 65_536] {
        publisher.write(&message(2, 1, &(size as u32).to_be_bytes(), before));
        before = size;
        for len in [0, 1, 127, 128, 129, 4096, 300_000] {
            key.resize(5 + len, len as u8);
            if size == 1 && len > 4096 {
                continue;
            }
            publisher.write(&message(6, 9, &key, size));
            expected.extend(tag(TagKind::Video, 0, &key));
        }
    }
    player.until_tags(expected.len());
    publisher.finish();
    assert!(player.into_tags() == expected, "not the published tags");
}

#[test]
fn a_late_player_starts_with_metadata_sequence_headers_and_a_key_picture() {
    let server = Server::start(&[NOW]);
    let film = film(35);
    let mut publisher = Peer::publishes(server.at(0), "live/cam");
    publisher.send(&film);
    all_has_come(&server, "live/cam", film.len());
    let mut late = Peer::plays(server.at(0), "live/cam?join=last-key");
    let mut next = Peer::plays(server.at(0), "live/cam?join=next-key");
    server.wait_for_subscribers("live/cam", 2);
    publisher.send(&pictures(35, 45));
    let expected = [headers(30 * 40), pictures(30, 45)].concat();
    late.until_tags(expected.len());
    assert!(late.tags == expected);
    let expected = [headers(40 * 40), pictures(40, 45)].concat();
    next.until_tags(expected.len());
    assert!(next.tags == expected);
    // One that comes when the stream has gone on is told so at once.
    publisher.finish();
    server.wait_for_stream("live/cam", false);
    let (why, text) = Peer::refused(server.at(0), Purpose::Play, "live/cam");
    assert_eq!(why, Refusal::NotFound, "{text}");
}

#[test]
fn commands_of_who_waits_are_answered_when_its_stream_comes() {
    let server = Server::start(&[WAITS]);
    let mut player = Peer::plays(server.at(0), "live/cam");
    // A call, and a ping (event 6) of user control (4).
    player.write(&command("_checkbw", 9.0, b""));
    player.write(&message(2, 4, b"\0\x06ping", 128));
    eventually("it waits", || server.connections() == 1);
    let mut publisher = Peer::publishes(server.at(0), "live/cam");
    player.until("it may play", |peer| peer.is_granted);
    let result = [&b"_result\0"[..], &9_f64.to_be_bytes()].concat();
    player.until("an answer to the call", |peer| peer.has_heard(&result));
    player.until("an answer to the ping", |peer| peer.has_heard(b"\0\x07ping"));
    publisher.send(&film(3));
    player.until_tags(film(3).len());
    // One that leaves while it waits is not left over.
    let mut fickle = Peer::plays(server.at(0), "live/other");
    fickle.write(&command("deleteStream", 0.0, &[&[0][..], &1_f64.to_be_bytes()].concat()));
    let mut publisher = Peer::publishes(server.at(0), "live/other");
    fickle.until("it may play", |peer| peer.is_granted);
    publisher.send(&film(3));
    all_has_come(&server, "live/other", film(3).len());
    server.wait_for_subscribers("live/other", 0);
    assert_eq!(fickle.tags.len() % film(3).len(), 0);
}

#[test]
fn who_can_not_have_what_it_wants_is_told_why() {
    let server = Server::start(&[NOW]);
    let (why, text) = Peer::refused(server.at(0), Purpose::Play, "live/cam");
    assert_eq!(why, Refusal::NotFound);
    assert!(text.contains("NetStream.Play.StreamNotFound"), "{text}");
    assert_eq!(server.refused("not_found"), 1);
    let mut publisher = Peer::publishes(server.at(0), "live/cam");
    let mut player = Peer::plays(server.at(0), "live/cam");
    publisher.send(&film(5));
    let (why, text) = Peer::refused(server.at(0), Purpose::Publish, "live/cam");
    assert_eq!(why, Refusal::Busy);
    assert!(text.contains("NetStream.Publish.BadName"), "{text}");
    assert_eq!(server.refused("busy"), 1);
    for (purpose, stream, reason) in [
        (Purpose::Publish, "live/a b", "bad_name"),
        (Purpose::Play, "live/cam?colour=red", "bad_option"),
        (Purpose::Publish, "live/cam?framing=ts", "bad_option"),
    ] {
        let before = server.refused(reason);
        let (_, text) = Peer::refused(server.at(0), purpose, stream);
        let code = if purpose == Purpose::Play { "Play.Failed" } else { "Publish.Denied" };
        assert!(text.contains(code), "{stream}: {text}");
        assert_eq!(server.refused(reason), before + 1, "{stream}");
    }
    // Whoever has it goes on.
    publisher.send(&pictures(5, 9));
    player.until_tags(film(9).len());
    assert!(player.tags == film(9));
}

#[test]
fn a_publisher_that_breaks_off_inside_a_tag_leaves_whole_tags() {
    let server = Server::start(&[WAITS]);
    for is_reset in [false, true] {
        let mut player = Peer::plays(server.at(0), "live/cam");
        let mut publisher = Peer::publishes(server.at(0), "live/cam");
        publisher.send(&film(5));
        let key = [&[0x17, 1, 0, 0, 0][..], &[0xEE; 100_000]].concat();
        let torn = message(6, 9, &key, 1 << 20);
        publisher.write(&torn[..60_000]);
        player.until_tags(film(5).len());
        let begun = (film(5).len() + HEAD_BYTES) as u64;
        eventually("its beginning has come", || {
            server.stream("live/cam", "received_bytes").is_some_and(|bytes| bytes > begun)
        });
        if is_reset {
            wire::reset(publisher.socket);
        } else {
            drop(publisher);
        }
        assert!(player.into_tags() == film(5), "something of the torn tag");
        server.wait_for_stream("live/cam", false);
    }
}

#[test]
fn who_leaves_disturbs_nobody() {
    let server = Server::start(&[NOW]);
    let mut publisher = Peer::publishes(server.at(0), "live/cam");
    let mut players: Vec<_> =
        (0..4).map(|_| Peer::plays(server.at(0), "live/cam?join=last-key")).collect();
    publisher.send(&film(10));
    for player in &mut players {
        player.until_tags(film(10).len());
    }
    drop(players.remove(0));
    wire::reset(players.remove(0).socket);
    let mut polite = players.remove(0);
    polite.finish();
    let mut n = 10;
    eventually("three have gone", || {
        publisher.send(&picture(n, 2000));
        n += 1;
        server.stream("live/cam", "subscribers") == Some(1)
    });
    let expected = [film(10), pictures(10, n)].concat();
    let mut player = players.remove(0);
    player.until_tags(expected.len());
    publisher.finish();
    assert!(player.into_tags() == expected);
    assert_eq!(server.metric("skips_total"), 0);
}

#[test]
fn a_silent_publisher_is_ended_and_its_players_are_told() {
    let server = Server::start(&["rtmp://127.0.0.1:0?wait=20s&max_lag=20s&timeout=1s"]);
    let player = Peer::plays(server.at(0), "live/cam");
    let mut publisher = Peer::publishes(server.at(0), "live/cam");
    publisher.send(&film(5));
    let (got, took) = wire::time(|| player.into_tags());
    assert!(got == film(5));
    assert!(took > Duration::from_millis(700), "{took:?}");
    publisher.until_closed();
    assert_eq!(server.refused("timeout"), 1);
    server.wait_for_log("silent for too long");
    eventually("nobody is left", || server.connections() == 0);
}

#[test]
fn who_does_not_say_in_time_what_it_wants_is_closed() {
    let server = Server::start(&[NOW]);
    let hello = [&[3][..], &[0; 1536]].concat();
    let shaken = [&hello[..], &[0; 1536]].concat();
    let steps = [&[][..], &hello[..700], &hello, &shaken[..2000], &shaken];
    let waiting = steps.map(|said| wire::sent(server.at(0), said));
    let (_, took) = wire::time(|| {
        for mut socket in waiting {
            wire::wait_for_close(&mut socket);
        }
    });
    assert!((3..9).contains(&took.as_secs()), "{took:?}");
    assert_eq!(server.refused("timeout"), steps.len() as u64);
    eventually("nobody is left", || server.connections() == 0);
}

#[test]
fn who_asks_and_does_not_come_to_the_point_is_closed() {
    let server = Server::start(&[NOW]);
    let mut publisher = Peer::publishes(server.at(0), "live/cam");
    let shaken = [&[3][..], &[0; 3072]].concat();
    let connect = command("connect", 1.0, b"");
    let mut socket = wire::sent(server.at(0), &[shaken, connect].concat());
    // Calls are answered, and don't count.
    let ((), took) = wire::time(|| {
        while socket.write_all(&command("releaseStream", 2.0, b"")).is_ok() {
            publisher.send(&film(1));
            wire::measure_for(Duration::from_millis(200));
            assert!(server.connections() < 3);
            if server.refused("timeout") > 0 {
                break;
            }
        }
        wire::wait_for_close(&mut socket);
    });
    assert!((3..9).contains(&took.as_secs()), "{took:?}");
    assert_eq!(server.refused("timeout"), 1);
    server.wait_for_stream("live/cam", true);
}

#[test]
fn sigterm_ends_streams_over_rtmp_and_exits_0() {
    let mut server = Server::start(&[WAITS]);
    let mut publisher = Peer::publishes(server.at(0), "live/cam");
    let mut player = Peer::plays(server.at(0), "live/cam?join=last-key");
    let mut waiting = Peer::plays(server.at(0), "live/other");
    let idle = wire::sent(server.at(0), &[3, 0, 0]);
    publisher.send(&film(5));
    player.until_tags(film(5).len());
    eventually("all are there", || server.connections() == 4);
    let ((), took) = wire::time(|| {
        server.terminate();
        assert!(player.into_tags() == film(5));
        waiting.until("it is refused", |peer| peer.refusal.is_some());
        waiting.until_closed();
        publisher.until_closed();
        drop((idle, publisher, waiting));
        assert_eq!(server.wait().code(), Some(0));
    });
    assert!(took < Duration::from_secs(1), "{took:?} although it is empty at once");
}

#[test]
fn metadata_is_what_the_publisher_says_last() {
    let server = Server::start(&[NOW]);
    let mut publisher = Peer::publishes(server.at(0), "live/cam");
    publisher.send(&film(GOP));
    let changed = [METADATA, b"more"].concat();
    publisher.send(&tag(TagKind::Script, 390, &changed));
    publisher.send(&picture(GOP, 2000));
    let all = film(GOP).len() + changed.len() + HEAD_BYTES + TAIL_BYTES + picture(GOP, 2000).len();
    all_has_come(&server, "live/cam", all);
    let mut player = Peer::plays(server.at(0), "live/cam?join=last-key");
    player.until_tags(picture(GOP, 2000).len() + changed.len());
    let (head, data) = tags(&player.tags)[0];
    assert_eq!((head.kind, data), (TagKind::Script, &changed[..]));
}
