//! Derived streams: what comes in one container is had in the other, from a
//! clean start, and goes when nobody wants it.

use crate::film::{Decoder, frames};
use crate::server::Server;
use crate::wire::{self, Reply, eventually};
use nearlight::framing::flv::{HEAD_BYTES, TagHead, TagKind};
use std::io::Write;
use std::net::Shutdown;

const FILE_BYTES: usize = 13;

/// The tags of an FLV that begins with its file header.
fn tags(flv: &[u8]) -> Vec<(TagHead, &[u8])> {
    assert!(flv.starts_with(b"FLV\x01"), "{:?}", &flv[..flv.len().min(16)]);
    let (mut rest, mut tags) = (&flv[FILE_BYTES..], Vec::new());
    while let Some((head, behind)) = rest.split_first_chunk::<HEAD_BYTES>() {
        let head = TagHead::parse(head).expect("a tag");
        let (data, behind) = behind.split_at(head.size);
        let (size, behind) = behind.split_first_chunk().expect("its size behind it");
        assert_eq!(u32::from_be_bytes(*size) as usize, HEAD_BYTES + head.size);
        tags.push((head, data));
        rest = behind;
    }
    assert!(rest.is_empty(), "a torn tag");
    tags
}

/// The pictures of an FLV: time, and whether it is a key.
fn pictures(flv: &[u8]) -> Vec<(u32, bool)> {
    let video = tags(flv).into_iter().filter(|(head, _)| head.kind == TagKind::Video);
    let pictures = video.filter(|(_, data)| data[1] == 1);
    pictures.map(|(head, data)| (head.timestamp, data[0] >> 4 == 1)).collect()
}

#[test]
fn mpeg_ts_is_had_as_flv_from_a_key_picture_to_the_end() {
    let server = Server::start(&["tcp://127.0.0.1:0?publish=cam"]);
    let film = frames(50);
    let mut publisher = wire::sent(server.at(0), &film[..30].concat());
    eventually("two join points have come", || {
        server.stream("cam", "position").is_some_and(|at| at > 0)
            && server.stream("cam", "received_bytes") == Some(film[..30].concat().len() as u64)
    });
    let (reply, mut first) = server.get("/cam.flv?join=last-key");
    assert_eq!((reply.status, reply.field("content-type")), (200, Some("video/x-flv")));
    let (_, mut second) = server.get("/cam.flv?join=last-key");
    // The same stream for both, and as it is for who asks for that.
    let (reply, mut plain) = server.get("/cam.ts?join=last-key");
    assert_eq!(reply.field("content-type"), Some("video/mp2t"));
    server.wait_for_subscribers("cam", 3);
    publisher.write_all(&film[30..].concat()).expect("it is read");
    publisher.shutdown(Shutdown::Write).expect("open");
    let flv = wire::read_to_end(&mut first);
    assert_eq!(wire::read_to_end(&mut second), flv);
    assert!(wire::read_to_end(&mut plain).starts_with(&[0x47]));
    let pictures = pictures(&flv);
    assert!(pictures[0].1, "it starts with a key");
    assert_eq!(pictures.len(), 25, "from the second key on, all of them");
    let times: Vec<u32> = pictures.iter().map(|(at, _)| at - pictures[0].0).collect();
    assert_eq!(times, (0..25).map(|n| 40 * n).collect::<Vec<_>>());
    let sequence = tags(&flv).into_iter().find(|(head, _)| head.kind == TagKind::Video);
    assert_eq!(sequence.expect("video").1[..2], [0x17, 0], "a sequence header first");
    // Once on each shard that somebody of these is on.
    eventually("it was made", || server.log().contains("cam is made flv of"));
    let made = server.log().matches("cam is made flv of").count();
    assert!((1..=2).contains(&made), "made {made} times");
}

#[test]
fn who_asks_before_it_is_known_what_comes_gets_all_of_it() {
    let server = Server::start(&["tcp://127.0.0.1:0?publish=cam"]);
    let waits = ["/cam.flv?wait=30s", "/cam.ts?wait=30s"].map(|path| {
        let request = wire::request("GET", path, server.http(), "");
        wire::sent(server.http(), request.as_bytes())
    });
    eventually("they wait", || server.connections() == 2);
    // One packet is too few to tell.
    let film = frames(25).concat();
    let mut publisher = wire::sent(server.at(0), &film[..188]);
    server.wait_for_stream("cam", true);
    publisher.write_all(&film[188..]).expect("it is read");
    publisher.shutdown(Shutdown::Write).expect("open");
    let [mut flv, mut ts] = waits;
    assert_eq!(
        Reply::read(&mut flv).expect("an answer").field("content-type"),
        Some("video/x-flv")
    );
    assert_eq!(pictures(&wire::read_to_end(&mut flv)).len(), 25);
    assert_eq!(Reply::read(&mut ts).expect("an answer").field("content-type"), Some("video/mp2t"));
    let mut decoder = Decoder::default();
    decoder.handle_bytes(&wire::read_to_end(&mut ts));
    assert_eq!(decoder.errors, 0);
}

#[test]
fn a_derived_stream_goes_with_the_last_who_wanted_it_and_is_made_again() {
    let server = Server::start(&[]);
    let film = frames(50);
    let mut publisher = server.put("/cam.ts", &film[..26].concat());
    server.wait_for_stream("cam", true);
    for round in 1..=3 {
        let (reply, mut viewer) = server.get("/cam.flv?join=last-key");
        assert_eq!(reply.status, 200);
        assert!(wire::read_exactly(&mut viewer, 1000).starts_with(b"FLV\x01"));
        drop(viewer);
        // A send tells that it is gone.
        eventually("nobody is left", || {
            publisher.write_all(&film[26]).expect("it is read");
            server.stream("cam", "subscribers") == Some(0)
        });
        eventually("it is made for each", || {
            server.log().matches("cam is made flv of").count() == round
        });
    }
}

#[test]
fn what_is_no_container_has_no_flv() {
    let server = Server::start(&[]);
    let _publisher = server.put("/log?framing=lines", b"one\ntwo\n");
    server.wait_for_stream("log", true);
    let (reply, _socket) = server.get("/log.flv");
    assert_eq!(reply.status, 404);
    assert_eq!(server.refused("not_found"), 1);
    assert_eq!(server.get("/log.ts?join=live").0.status, 200, "as it is");
}

#[test]
fn a_stream_that_is_over_at_once_is_not_missed_by_who_waits_to_hear_what_it_is() {
    let server = Server::start(&["tcp://127.0.0.1:0?publish=cam"]);
    let film = frames(25).concat();
    for round in 0..20 {
        let request = wire::request("GET", "/cam.flv?wait=30s", server.http(), "");
        let mut viewer = wire::sent(server.http(), request.as_bytes());
        eventually("it waits", || server.connections() == 1);
        let publisher = wire::sent(server.at(0), &film);
        publisher.shutdown(Shutdown::Write).expect("open");
        assert_eq!(Reply::read(&mut viewer).expect("an answer").status, 200, "round {round}");
        assert_eq!(pictures(&wire::read_to_end(&mut viewer)).len(), 25, "round {round}");
        drop((viewer, publisher));
        eventually("all are gone", || server.connections() == 0);
    }
}

#[test]
fn who_waits_to_hear_what_never_comes_is_told_when_the_stream_ends() {
    let server = Server::start(&[]);
    let publisher = server.put("/cam", b"");
    server.wait_for_stream("cam", true);
    let request = wire::request("GET", "/cam.flv", server.http(), "");
    let mut viewer = wire::sent(server.http(), request.as_bytes());
    eventually("it waits", || server.connections() == 2);
    drop(publisher);
    assert_eq!(Reply::read(&mut viewer).expect("an answer").status, 404);
}
