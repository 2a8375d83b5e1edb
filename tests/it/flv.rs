//! FLV end to end: who joins gets what a decoder needs first, who is too slow
//! goes on at a key picture, and nobody gets half a tag.

use crate::server::Server;
use crate::tags::{FILE, film, greeting, picture, skips, tags};
use crate::wire::{self, NEVER, eventually};
use nearlight::client::{ClientOptions, Event, Subscriber, Target};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

#[test]
fn a_late_joiner_starts_with_headers_and_a_key_picture() {
    let server = Server::start(&["tcp://127.0.0.1:0?subscribe=cam"]);
    let film = film(35);
    let mut publisher = server.put("/cam.flv", &[FILE, &film].concat());
    let all = (FILE.len() + film.len()) as u64;
    eventually("all has arrived", || server.stream("cam", "received_bytes") == Some(all));
    let from_key: Vec<u8> = (30..35).flat_map(|n| picture(n, 2000)).collect();
    let expected = [greeting(30 * 40), from_key].concat();
    let late = ["/cam.flv", "/cam"].map(|path| server.get(&format!("{path}?join=last-key")));
    let mut raw = wire::connect(server.at(0));
    server.wait_for_subscribers("cam", 3);
    for (reply, mut socket) in late {
        assert_eq!((reply.status, reply.field("content-type")), (200, Some("video/x-flv")));
        assert_eq!(wire::read_exactly(&mut socket, expected.len()), expected);
    }
    // Who joins at the next tag needs the headers too.
    let (_, mut live) = server.get("/cam.flv?join=live");
    server.wait_for_subscribers("cam", 4);
    let (next, key) = (picture(39, 99), picture(40, 99));
    publisher.write_all(&[&next[..], &key].concat()).expect("it is read");
    let expected = [greeting(30 * 40), next, key.clone()].concat();
    assert_eq!(wire::read_exactly(&mut live, expected.len()), expected);
    drop(publisher);
    let raw = wire::read_to_end(&mut raw);
    assert!(raw.starts_with(&greeting(30 * 40)) || raw.starts_with(&greeting(40 * 40)));
    assert!(raw.ends_with(&key));
}

#[test]
fn over_tcp_it_is_told_by_its_signature_and_who_waits_gets_all_tags() {
    let listeners = ["tcp://127.0.0.1:0?publish=cam", "tcp://127.0.0.1:0?subscribe=cam"];
    let server = Server::start(&listeners);
    let mut viewer = wire::connect(server.at(1));
    eventually("it is accepted", || server.connections() == 1);
    let film = film(25);
    // In two pieces, the file header cut.
    let mut publisher = wire::sent(server.at(0), &FILE[..3]);
    publisher.write_all(&[&FILE[3..], &film].concat()).expect("it is read");
    publisher.shutdown(Shutdown::Write).expect("open");
    let pictures: Vec<u8> = (0..25).flat_map(|n| picture(n, 2000)).collect();
    assert_eq!(wire::read_to_end(&mut viewer), [greeting(0), pictures].concat());
}

#[test]
fn a_websocket_message_is_one_tag() {
    let server = Server::start(&[]);
    let target: Target = server.url("ws", "/cam.flv?wait=20s").parse().expect("a URL");
    let publisher = server.put("/cam.flv", FILE);
    server.wait_for_stream("cam", true);
    let mut viewer = Subscriber::open(&target, &ClientOptions::default(), &NEVER).expect("granted");
    server.wait_for_subscribers("cam", 1);
    (&publisher).write_all(&film(3)).expect("it is read");
    let mut messages = Vec::new();
    eventually("the messages", || {
        match viewer.receive().expect("unbroken") {
            Event::Bytes(bytes) => messages.push(bytes.to_vec()),
            Event::Idle => {}
            Event::End => panic!("the stream is over"),
        }
        messages.len() == 7
    });
    assert_eq!(messages.remove(0), greeting(0));
    for (n, pair) in (0..).zip(messages.chunks(2)) {
        assert_eq!(pair.concat(), picture(n, 2000));
        assert_eq!(tags(&pair[0]).len(), 1, "one tag is one message");
    }
}

#[test]
fn a_lost_boundary_ends_the_publisher_and_the_log_says_where() {
    let server = Server::start(&[]);
    let mut publisher = server.put("/cam.flv", &[&film(2)[..], b"\x47garbage"].concat());
    wire::wait_for_close(&mut publisher);
    server.wait_for_log("0x47 where FLV tag 8 begins");
    assert_eq!(server.refused("bad_frame"), 1);
}

/// Ends the publisher, however the test goes.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Publishes pictures until told to stop.
fn publish_on(mut socket: TcpStream, stop: &AtomicBool) {
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        socket.write_all(&picture(n, 10_000)).expect("it is read");
        wire::measure_for(Duration::from_millis(1));
    }
}

#[test]
fn who_is_too_slow_goes_on_with_sequence_headers_at_a_key_picture() {
    let subscribe = "tcp://127.0.0.1:0?subscribe=cam&max_lag=100ms";
    let server = Server::start(&[subscribe]);
    let mut viewer = wire::connect_small(server.at(0), Some(32 << 10));
    eventually("it is accepted", || server.connections() == 1);
    let publisher = server.put("/cam.flv", &[FILE, &film(0)].concat());
    let stop = AtomicBool::new(false);
    let got = thread::scope(|scope| {
        scope.spawn(|| publish_on(publisher, &stop));
        let _stops = Stops(&stop);
        eventually("it is skipped", || server.metric("skips_total") > 0);
        // It wakes up and reads on.
        let mut got = vec![0; 3 << 20];
        viewer.read_exact(&mut got).expect("in time");
        got
    });
    let greeting = greeting(0);
    assert_eq!(got[..greeting.len()], greeting);
    assert!(skips(&tags(&got[greeting.len()..])) > 0);
}
