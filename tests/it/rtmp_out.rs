//! What comes by RTMP goes out by all other ways, and what comes by others goes
//! out by RTMP; and who plays too slowly goes on at a key picture.

use crate::film::{Decoder, frames};
use crate::peer::{Peer, message};
use crate::remux::{CLIP, FILE_HEADER, is_clip};
use crate::server::Server;
use crate::tags::{FILE, film, greeting, picture, skips, tag, tags};
use crate::wire::{self, NEVER, Reply, eventually};
use nearlight::client::{ClientOptions, Event, Subscriber, Target};
use nearlight::framing::flv::{HEAD_BYTES, TagHead, TagKind};
use nearlight::protocol::rtmp::Purpose;
use std::io::Write;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const RTMP: &str = "rtmp://127.0.0.1:0?wait=20s&max_lag=20s";

/// The clip's tags, `later` ms later.
fn clip(later: u32) -> Vec<u8> {
    let mut bytes = CLIP[FILE_HEADER..].to_vec();
    let mut at = 0;
    while let Some(head) = bytes[at..].first_chunk().and_then(TagHead::parse) {
        let [t3, t2, t1, t0] = (head.timestamp + later).to_be_bytes();
        bytes[at + 4..at + 8].copy_from_slice(&[t2, t1, t0, t3]);
        at += head.whole();
    }
    bytes
}

/// A TS that a decoder would like, and that has all of the clip.
fn assert_clip(ts: &[u8], what: &str) {
    let mut decoder = Decoder::default();
    decoder.handle_bytes(ts);
    assert_eq!((decoder.errors, decoder.jumps), (0, 0), "{what}: continuity");
    assert_eq!(decoder.units.len(), 49, "{what}: pictures, but for the last");
    assert!(is_clip(ts), "{what}: other units");
}

/// Reads a WebSocket to its end.
fn messages(mut viewer: Subscriber) -> Vec<u8> {
    let mut all = Vec::new();
    eventually("the end", || {
        loop {
            match viewer.receive().expect("unbroken") {
                Event::Bytes(bytes) => all.extend_from_slice(bytes),
                Event::Idle => return false,
                Event::End => return true,
            }
        }
    });
    all
}

#[test]
fn what_comes_by_rtmp_goes_out_by_every_way() {
    let pushed = wire::udp();
    let push = format!("udp://{}?stream=live/cam", pushed.local_addr().expect("bound"));
    let listeners = [
        RTMP,
        "tcp://127.0.0.1:0?subscribe=live/cam&max_lag=20s",
        "udp://127.0.0.1:0?subscribe=live/cam&handshake=off",
    ];
    let server = Server::start_with(&listeners, &["-v", "--push", &push]);
    let mut raw = wire::connect(server.at(1));
    let joined = wire::udp();
    joined.send_to(b"let me in, please", server.at(2)).expect("sent");
    server.wait_for_log("joins live/cam over UDP");
    let mut player = Peer::plays(server.at(0), "live/cam");
    let asks = ["/live/cam", "/live/cam.ts", "/live/cam.flv"].map(|path| {
        let path = format!("{path}?wait=20s&max_lag=20s");
        wire::sent(server.http(), wire::request("GET", &path, server.http(), "").as_bytes())
    });
    let sockets = ["/live/cam.ts", "/live/cam.flv"].map(|path| {
        let url = server.url("ws", &format!("{path}?wait=20s&max_lag=20s"));
        let target: Target = url.parse().expect("a URL");
        thread::spawn(move || {
            let viewer = Subscriber::open(&target, &ClientOptions::default(), &NEVER);
            messages(viewer.expect("granted"))
        })
    });
    eventually("all wait", || server.connections() == 7);
    let mut publisher = Peer::publishes(server.at(0), "live/cam");
    // Datagrams begin with the newest key that there is: the second is to come
    // when they have begun.
    let film = clip(0);
    let begun = tags(&film)[..20].iter().map(|(head, _)| head.whole()).sum();
    publisher.send(&film[..begun]);
    let datagrams = [(pushed, "udp push"), (joined, "udp")];
    let datagrams = datagrams.map(|(socket, what)| (wire::datagram(&socket), socket, what));
    publisher.send(&film[begun..]);
    player.until_tags(film.len());
    publisher.finish();
    // Tags as they came, the film's header in front where it is a file.
    assert!(player.into_tags() == film, "rtmp");
    let types = ["video/mp2t", "video/mp2t", "video/x-flv"];
    let mut bodies = Vec::new();
    for (mut socket, kind) in asks.into_iter().zip(types) {
        let reply = Reply::read(&mut socket).expect("an answer");
        assert_eq!(reply.field("content-type"), Some(kind));
        bodies.push(wire::read_to_end(&mut socket));
    }
    let [ws_ts, ws_flv] = sockets.map(|viewer| viewer.join().expect("no panic"));
    let flv = bodies.pop().expect("three");
    assert!(flv[FILE_HEADER..] == film, "http flv");
    assert!(ws_flv == flv, "websocket flv");
    bodies.extend([wire::read_to_end(&mut raw), ws_ts]);
    for (ts, what) in bodies.iter().zip(["http", "http ts", "tcp", "websocket ts"]) {
        assert_clip(ts, what);
    }
    for (mut ts, socket, what) in datagrams {
        while !is_clip(&ts) {
            ts.extend(wire::datagram(&socket));
        }
        assert_clip(&ts, what);
    }
    assert_eq!(server.metric("skips_total"), 0);
}

#[test]
fn what_is_made_of_a_stream_goes_and_takes_its_memory_along() {
    let server = Server::start(&["rtmp://127.0.0.1:0", "tcp://127.0.0.1:0?subscribe=live/cam"]);
    let mut publisher = Peer::publishes(server.at(0), "live/cam");
    publisher.send(&clip(0));
    let made = || server.log().matches("live/cam is made ts of").count();
    let memory = [0; 60].map(|_| {
        let before = made();
        let mut viewers = vec![wire::connect(server.at(1))];
        viewers.extend(["", ".ts", ".flv"].map(|kind| {
            let (reply, socket) = server.get(&format!("/live/cam{kind}?join=last-key"));
            assert_eq!(reply.status, 200);
            socket
        }));
        publisher.send(&clip(0));
        for viewer in &mut viewers {
            wire::read_exactly(viewer, 1000);
        }
        eventually("it is made anew", || made() > before);
        drop(viewers);
        // A sound is enough to be told that they are gone, and is soon forgotten.
        let sound = tag(TagKind::Audio, 2000, b"\xAF\x01sound");
        eventually("nobody is left", || {
            publisher.send(&sound);
            server.stream("live/cam", "subscribers") == Some(0)
        });
        server.memory()
    });
    // A segment that each derived stream left behind would be 10 MB.
    assert!(memory[59] <= memory[19] + 3072, "memory grew: {memory:?}");
}

#[test]
fn mpeg_ts_is_played_over_rtmp_as_it_is_had_as_flv() {
    let server = Server::start(&[RTMP, "tcp://127.0.0.1:0?publish=live/cam&max_lag=20s"]);
    let mut player = Peer::plays(server.at(0), "live/cam");
    let film = frames(50);
    let mut publisher = wire::sent(server.at(1), &film[..26].concat());
    player.until("it may play", |player| player.is_granted);
    let (reply, mut viewer) = server.get("/live/cam.flv?wait=10s&join=last-key");
    assert_eq!(reply.field("content-type"), Some("video/x-flv"));
    let mut late = Peer::plays(server.at(0), "live/cam?join=last-key");
    server.wait_for_subscribers("live/cam", 3);
    publisher.write_all(&film[26..].concat()).expect("it is read");
    publisher.shutdown(Shutdown::Write).expect("open");
    late.until("it may play", |player| player.is_granted);
    let flv = wire::read_to_end(&mut viewer);
    assert!(late.into_tags() == flv[FILE_HEADER..], "not the same tags");
    let got = player.into_tags();
    let keys = tags(&got).iter().filter(|(_, data)| data.starts_with(&[0x17, 1])).count();
    let pictures = tags(&got).iter().filter(|(_, data)| data.get(1) == Some(&1)).count();
    assert_eq!((keys, pictures), (2, 50));
    let total: usize = tags(&got).iter().map(|(head, _)| head.whole()).sum();
    assert!(total == got.len() && total > 50 * HEAD_BYTES, "whole tags");
}

/// Ends the publisher, however the test goes.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Publishes pictures until told to stop; answers how many.
fn publish_on(mut publisher: Peer, stop: &AtomicBool) -> u32 {
    publisher.send(&film(0));
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            publisher.finish();
            return n;
        }
        publisher.send(&picture(n, 10_000));
        wire::measure_for(Duration::from_millis(1));
    }
    0
}

#[test]
fn who_plays_too_slowly_goes_on_with_sequence_headers_at_a_key_picture() {
    let server = Server::start(&[RTMP, "rtmp://127.0.0.1:0?wait=20s&max_lag=100ms"]);
    let socket = wire::connect_small(server.at(1), Some(32 << 10));
    let mut slow = Peer::asks_on(socket, Purpose::Play, "live/cam");
    let fast = Peer::plays(server.at(0), "live/cam");
    let publisher = Peer::publishes(server.at(0), "live/cam");
    slow.until("it may play", |peer| peer.is_granted);
    let stop = AtomicBool::new(false);
    let (published, fast) = thread::scope(|scope| {
        let publisher = scope.spawn(|| publish_on(publisher, &stop));
        let fast = scope.spawn(|| fast.into_tags());
        let stops = Stops(&stop);
        eventually("it is skipped", || server.metric("skips_total") > 0);
        // It is in the middle of a message, and the answer has to wait.
        slow.write(&message(2, 4, b"\0\x06ping", 128).repeat(20));
        // It wakes up, and reads on; then it sleeps again.
        slow.until_tags(3 << 20);
        let skips = server.metric("skips_total");
        eventually("it is skipped again", || server.metric("skips_total") > skips);
        slow.until_tags(slow.tags.len() + (3 << 20));
        drop(stops);
        (publisher.join().expect("no panic"), fast.join().expect("no panic"))
    });
    let all = (0..published).flat_map(|n| picture(n, 10_000));
    assert!(fast == film(0).into_iter().chain(all).collect::<Vec<u8>>(), "the other is disturbed");
    let counted = server.metric("skips_total");
    slow.until("the stream's end", |slow| slow.is_over);
    let pongs = slow.heard.windows(6).filter(|bytes| bytes == b"\0\x07ping").count();
    assert_eq!(pongs, 20, "each ping is answered, between two messages");
    let got = slow.into_tags();
    let beginning = greeting(0).split_off(FILE.len());
    assert_eq!(got[..beginning.len()], beginning);
    let got = tags(&got[beginning.len()..]);
    assert!(got.iter().all(|(head, _)| head.kind != TagKind::Script), "metadata again");
    let seen = skips(&got) as u64;
    assert!(seen >= 2 && seen <= counted, "{seen} skips seen, {counted} counted");
}
