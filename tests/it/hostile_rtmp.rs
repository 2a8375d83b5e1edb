//! Bad input over RTMP: random bytes, half handshakes, messages that are
//! declared and never sent, commands without end. It is counted and nothing of
//! it is kept; a live stream beside it loses no byte.

use crate::hostile::{Siege, TIMES, hit};
use crate::peer::{Peer, command, message};
use crate::server::Server;
use crate::tags::{film, picture};
use crate::wire::{self, Random, eventually};
use nearlight::limits::{RTMP_CHUNK_STREAMS, RTMP_COMMAND_BYTES};
use std::io::Write;

const RTMP: &str = "rtmp://127.0.0.1:0?max_lag=20s";

/// What a client says up to the end of its handshake.
fn shaken() -> Vec<u8> {
    [&[3][..], &[0xEE; 3072]].concat()
}

/// The same and the commands up to `publish`, which is granted.
fn publishes(stream: &str) -> Vec<u8> {
    let text = [&[2, 0, stream.len() as u8], stream.as_bytes()].concat();
    [shaken(), command("connect", 1.0, b""), command("publish", 5.0, &text)].concat()
}

/// The first header of a message that is longer than what follows.
fn declared(stream: u8, kind: u8, length: u32) -> Vec<u8> {
    let [_, l2, l1, l0] = length.to_be_bytes();
    vec![stream, 0, 0, 0, l2, l1, l0, kind, 1, 0, 0, 0]
}

#[test]
fn random_bytes_before_and_behind_the_handshake() {
    let siege = Siege::of(&[RTMP]);
    let bytes = Random::new(21).bytes(1 << 16);
    let wrong = |server: &Server| server.refused("wrong_protocol");
    let random = [&[4], &bytes[..]].concat();
    siege.withstand("no version", wrong, |server| hit(server.at(0), &random));
    let bad = |server: &Server| server.refused("bad_request");
    let first = shaken();
    let mut at = 0;
    siege.withstand("behind a handshake", bad, |server| {
        at += 1;
        let random = [&first[..], &Random::new(at).bytes(1 << 16)].concat();
        let mut socket = wire::connect(server.at(0));
        let _taken = socket.write_all(&random);
        wire::wait_for_close(&mut socket);
    });
    let refused = |server: &Server| server.refusals();
    let publish = publishes("junk");
    siege.withstand("in a stream", refused, |server| {
        at += 1;
        let random = [&publish[..], &Random::new(at).bytes(1 << 16)].concat();
        let mut socket = wire::connect(server.at(0));
        let _taken = socket.write_all(&random);
        wire::wait_for_close(&mut socket);
    });
    siege.end();
}

#[test]
fn half_handshakes_are_closed_in_time_and_hold_nothing() {
    let siege = Siege::of(&[RTMP]);
    let server = &siege.server;
    let accepted = |server: &Server| server.metric("accepted_total");
    let half = &shaken()[..2000];
    siege.withstand("and gone", accepted, |server| hit(server.at(0), half));
    let sockets: Vec<_> = (0..TIMES).map(|_| wire::sent(server.at(0), half)).collect();
    eventually("all are closed", || server.refused("timeout") == TIMES);
    drop(sockets);
    siege.end();
}

#[test]
fn messages_that_are_declared_and_not_sent_are_not_kept_room_for() {
    let siege = Siege::of(&[RTMP]);
    let bad = |server: &Server| server.refused("bad_request");
    let long = declared(3, 20, 0xFF_FFFF);
    let commands = [shaken(), long, vec![2]].concat();
    siege.withstand("a command of 16 MB", bad, |server| {
        let mut socket = wire::sent(server.at(0), &commands);
        wire::wait_for_close(&mut socket);
    });
    // As many streams of chunks as there may be, a message begun on each; then
    // one more.
    let begun = (0..=RTMP_CHUNK_STREAMS).flat_map(|n| {
        let wide = [&[0, n as u8][..], &declared(0, 20, RTMP_COMMAND_BYTES as u32)[1..]].concat();
        [wide, vec![2; 128]].concat()
    });
    let many = [shaken(), begun.collect()].concat();
    siege.withstand("many streams of chunks", bad, |server| {
        let mut socket = wire::connect(server.at(0));
        let _taken = socket.write_all(&many);
        wire::wait_for_close(&mut socket);
    });
    // Of data, which is held until it is whole, a publisher may begin 4 MB.
    let size = message(2, 1, &[0, 0xFF, 0xFF, 0xFF], 128);
    let data = [publishes("junk"), size, declared(4, 18, 0xFF_FFFF), vec![7; 5 << 20]].concat();
    let memory = [(); 20].map(|()| {
        let mut socket = wire::connect(siege.server.at(0));
        let _taken = socket.write_all(&data);
        wire::wait_for_close(&mut socket);
        siege.server.wait_for_stream("junk", false);
        siege.server.memory()
    });
    assert!(memory[19] <= memory[9] + 1024, "memory grew: {memory:?}");
    siege.end();
}

#[test]
fn calls_without_end_whose_answers_nobody_reads_end_the_connection() {
    let siege = Siege::of(&[RTMP]);
    let server = &siege.server;
    let connections = server.connections();
    let connect = [shaken(), command("connect", 1.0, b"")].concat();
    let calls = command("_checkbw", 2.0, b"").repeat(10_000);
    let pings = message(2, 4, b"\0\x06ping", 128).repeat(20_000);
    let once = || {
        // Whoever is refused has a second to read why: all at a time.
        let flooded = (0..TIMES as usize).map(|n| {
            let mut socket = wire::connect_small(server.at(0), Some(4096));
            socket.write_all(&connect).expect("it is read");
            let _taken = socket.write_all(if n % 2 == 0 { &calls } else { &pings });
            socket
        });
        let flooded: Vec<_> = flooded.collect();
        eventually("none is kept", || server.connections() == connections);
        drop(flooded);
        server.memory()
    };
    let (before, after) = (once(), once());
    assert!(after <= before + 1024, "memory grew from {before} to {after} KiB");
    // A slow machine may come to the deadline of some first.
    eventually("floods are told", || server.log().contains("asks on and on"));
    siege.end();
}

#[test]
fn a_crowd_of_all_kinds_does_not_disturb_a_stream_over_rtmp() {
    let siege = Siege::of(&[RTMP]);
    let server = &siege.server;
    let mut player = Peer::plays(server.at(0), "live/cam?wait=20s");
    eventually("it waits", || server.connections() == 3);
    let mut publisher = Peer::publishes(server.at(0), "live/cam");
    publisher.send(&film(0));
    let mut expected = film(0);
    let connect = [shaken(), command("connect", 1.0, b"")].concat();
    let says = [
        shaken(),
        shaken()[..1000].to_vec(),
        [connect.clone(), declared(6, 9, 0xFF_FFFF), vec![1; 100]].concat(),
        [connect, command("_checkbw", 2.0, b"").repeat(2000)].concat(),
        publishes("live/cam"),
        Random::new(7).bytes(1 << 14),
    ];
    let mut crowd = Vec::new();
    for n in 0..TIMES as u32 {
        let mut socket = wire::connect_small(server.at(0), Some(4096));
        let _taken = socket.write_all(&says[n as usize % says.len()]);
        crowd.push(socket);
        publisher.send(&picture(n, 2000));
        expected.extend(picture(n, 2000));
    }
    player.until_tags(expected.len());
    assert!(player.tags == expected, "it lost something");
    // Random bytes and a busy name are refused each time.
    eventually("all are answered", || {
        server.refused("wrong_protocol") == TIMES / 6 && server.refused("busy") == TIMES / 6
    });
    drop(crowd);
    eventually("they are gone", || server.connections() == 4);
    assert_eq!(server.metric("skips_total"), 0);
    siege.end();
}
