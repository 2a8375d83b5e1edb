//! One publisher after another: a name has one at a time, and is free as soon
//! as that one is gone, however it went.

use crate::server::Server;
use crate::wire::{self, Reply, eventually};
use std::io::Write;
use std::net::{Shutdown, TcpStream};

const PUBLISH: &str = "tcp://127.0.0.1:0?publish=cam&framing=lines";
const SUBSCRIBE: &str = "tcp://127.0.0.1:0?subscribe=cam";

/// A publisher and a subscriber that has its first line.
fn live(publish: &str) -> (Server, TcpStream, TcpStream) {
    let server = Server::start(&[publish, SUBSCRIBE]);
    let mut viewer = wire::connect(server.at(1));
    eventually("a subscriber waits", || server.connections() == 1);
    let publisher = wire::sent(server.at(0), b"first\n");
    assert_eq!(wire::read_exactly(&mut viewer, 6), b"first\n");
    (server, publisher, viewer)
}

#[test]
fn a_second_publisher_is_told_409_or_closed_and_the_first_goes_on() {
    let (server, mut publisher, mut viewer) = live(PUBLISH);
    let fields = "Content-Length: 4\r\nExpect: 100-continue\r\n";
    let put = wire::request("PUT", "/cam", server.http(), fields);
    let reply = wire::ask(server.http(), &put);
    assert_eq!(reply.status, 409, "{}", reply.head);
    assert!(reply.text().contains("cam"), "{}", reply.text());
    assert_eq!(server.refused("busy"), 1);
    let mut second = wire::sent(server.at(0), b"other\n");
    wire::wait_for_close(&mut second);
    assert_eq!(server.refused("busy"), 2);
    server.wait_for_log("cam has a live publisher already");
    publisher.write_all(b"second\n").expect("it is read");
    assert_eq!(wire::read_exactly(&mut viewer, 7), b"second\n");
}

#[test]
fn a_udp_publisher_of_a_live_name_is_dropped_and_counted() {
    let listeners = [PUBLISH, SUBSCRIBE, "udp://127.0.0.1:0?publish=cam"];
    let server = Server::start(&listeners);
    let _publisher = wire::sent(server.at(0), b"first\n");
    server.wait_for_stream("cam", true);
    wire::udp().send_to(b"other\n", server.at(2)).expect("sent");
    eventually("it is counted", || server.refused("busy") == 1);
    assert_eq!(server.stream("cam", "received_bytes"), Some(6));
}

/// However the publisher goes, the subscriber sees the end after the last
/// frame, and the name is free for the next.
fn goes(publish: &str, go: impl FnOnce(TcpStream) -> Option<TcpStream>) {
    let (server, publisher, mut viewer) = live(publish);
    let before = server.stream("cam", "epoch").expect("live");
    let _kept = go(publisher);
    assert_eq!(wire::read_to_end(&mut viewer), b"");
    let accepted = server.metric("accepted_total");
    let mut next = wire::connect(server.at(1));
    eventually("it waits", || server.metric("accepted_total") > accepted);
    let _publisher = wire::sent(server.at(0), b"next\n");
    assert_eq!(wire::read_exactly(&mut next, 5), b"next\n");
    assert!(server.stream("cam", "epoch").expect("live again") > before);
    assert_eq!(server.refusals(), server.refused("timeout"));
}

#[test]
fn a_publisher_that_closes_ends_its_stream() {
    goes(PUBLISH, |publisher| {
        publisher.shutdown(Shutdown::Write).expect("open");
        Some(publisher)
    });
}

#[test]
fn a_publisher_that_is_reset_ends_its_stream() {
    goes(PUBLISH, |publisher| {
        wire::reset(publisher);
        None
    });
}

#[test]
fn a_publisher_that_falls_silent_ends_its_stream() {
    goes("tcp://127.0.0.1:0?publish=cam&framing=lines&timeout=300ms", Some);
}

#[test]
fn what_was_sent_before_the_end_still_arrives() {
    let (server, mut publisher, mut viewer) = live(PUBLISH);
    let line = [&[b'x'; 99_999][..], b"\n"].concat();
    publisher.write_all(&line).expect("it is read");
    drop(publisher);
    assert!(wire::read_to_end(&mut viewer) == line);
    eventually("nothing is kept", || server.connections() == 0);
}

fn put(server: &Server, socket: &mut TcpStream, path: &str, body: &str) {
    let fields = format!("Content-Length: {}\r\n", body.len());
    let head = wire::request("PUT", path, server.http(), &fields);
    let reply = Reply::of(socket, (head + body).as_bytes()).expect("an answer");
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[test]
fn a_series_of_puts_on_one_connection_is_one_stream() {
    let server = Server::start(&["tcp://127.0.0.1:0?subscribe=cam"]);
    let mut viewer = wire::connect(server.at(0));
    eventually("a subscriber waits", || server.connections() == 1);
    let mut socket = wire::connect(server.http());
    put(&server, &mut socket, "/cam?framing=lines", "one\ntw");
    put(&server, &mut socket, "/cam?framing=lines", "o\n");
    assert_eq!(wire::read_exactly(&mut viewer, 8), b"one\ntwo\n");
    assert_eq!(server.stream("cam", "epoch"), Some(1));
    put(&server, &mut socket, "/cam?framing=lines", "three\n");
    assert_eq!(server.stream("cam", "epoch"), Some(1));
    // A PUT of another name ends it.
    put(&server, &mut socket, "/other?framing=lines", "four\n");
    assert_eq!(wire::read_to_end(&mut viewer), b"three\n");
    assert_eq!(server.refusals(), 0);
}

#[test]
fn a_series_of_puts_that_stops_is_a_publisher_that_falls_silent() {
    let server = Server::start(&["tcp://127.0.0.1:0?subscribe=cam"]);
    let mut viewer = wire::connect(server.at(0));
    eventually("a subscriber waits", || server.connections() == 1);
    let mut socket = wire::connect(server.http());
    put(&server, &mut socket, "/cam?framing=lines&timeout=300ms", "one\n");
    let (got, took) = wire::time(|| wire::read_to_end(&mut viewer));
    assert_eq!(got, b"one\n");
    assert!(took.as_secs() < 3, "{took:?}");
    // The connection itself is none the worse.
    put(&server, &mut socket, "/cam?framing=lines&timeout=300ms", "two\n");
}

#[test]
fn pipelined_puts_by_the_thousand_are_taken_one_by_one() {
    let server = Server::start(&["tcp://127.0.0.1:0?subscribe=cam"]);
    let mut viewer = wire::connect(server.at(0));
    eventually("a subscriber waits", || server.connections() == 1);
    let put = "PUT /cam?framing=lines HTTP/1.1\r\nHost:a\r\nContent-Length:2\r\n\r\n.\n";
    let put = put.replace("Host:a", &format!("Host:{}", server.http()));
    const PUTS: usize = 3000;
    let mut socket = wire::connect(server.http());
    let mut out = socket.try_clone().expect("a second handle");
    let all = put.repeat(PUTS);
    let writer = std::thread::spawn(move || out.write_all(all.as_bytes()).expect("it is read"));
    for n in 0..PUTS {
        let reply = Reply::read(&mut socket).unwrap_or_else(|why| panic!("PUT {n}: {why}"));
        assert_eq!(reply.status, 200, "PUT {n}");
    }
    writer.join().expect("no panic");
    assert_eq!(wire::read_exactly(&mut viewer, 2 * PUTS), b".\n".repeat(PUTS));
}

#[test]
fn a_put_of_no_bytes_is_answered_at_once() {
    let server = Server::start(&[]);
    let mut socket = wire::connect(server.http());
    for _ in 0..2 {
        put(&server, &mut socket, "/cam", "");
    }
    assert_eq!(server.stream("cam", "received_bytes"), Some(0));
}
