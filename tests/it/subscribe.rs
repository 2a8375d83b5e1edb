//! Ways out on connections: whoever asks gets the stream from a join point on.

use crate::film::{assert_joined, film};
use crate::server::Server;
use crate::wire::{self, NEVER, Reply, eventually};
use nearlight::client::{ClientOptions, Subscriber, Target, subscribe};
use nearlight::sys::clock::Clock;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

const PUBLISH: &str = "tcp://127.0.0.1:0?publish=cam";

/// Publishes the film and ends the stream.
fn publish(server: &Server, film: &[u8]) {
    let publisher = wire::sent(server.at(0), film);
    publisher.shutdown(Shutdown::Write).expect("open");
}

fn get(server: &Server, path: &str, fields: &str) -> TcpStream {
    let request = wire::request("GET", path, server.http(), fields);
    wire::sent(server.http(), request.as_bytes())
}

#[test]
fn a_raw_tcp_subscriber_waits_for_a_stream_that_is_not_there_yet() {
    let server = Server::start(&[PUBLISH, "tcp://127.0.0.1:0?subscribe=cam"]);
    let mut viewers: Vec<_> = (0..3).map(|_| wire::connect(server.at(1))).collect();
    eventually("they are accepted", || server.connections() == 3);
    let film = film();
    publish(&server, &film);
    for viewer in &mut viewers {
        assert_joined(&wire::read_to_end(viewer), &film);
    }
}

#[test]
fn one_that_comes_later_joins_at_the_newest_join_point() {
    let server = Server::start(&[
        "tcp://127.0.0.1:0?publish=cam&max_lag=20s",
        "tcp://127.0.0.1:0?subscribe=cam&max_lag=20s",
    ]);
    let film = film();
    let publisher = wire::sent(server.at(0), &film);
    let all = film.len() as u64;
    eventually("it is received", || server.stream("cam", "position") == Some(all));
    let mut viewer = wire::connect(server.at(1));
    server.wait_for_subscribers("cam", 1);
    publisher.shutdown(Shutdown::Write).expect("open");
    let got = wire::read_to_end(&mut viewer);
    assert_joined(&got, &film);
    assert!(got.len() < film.len() * 3 / 5, "{} bytes: not the newest", got.len());
}

#[test]
fn http_get_is_404_without_wait_and_the_stream_with() {
    let server = Server::start(&[PUBLISH]);
    let reply = wire::ask(server.http(), &wire::request("GET", "/cam", server.http(), ""));
    assert_eq!(reply.status, 404);
    assert!(reply.text().contains("cam") && reply.text().contains("wait="), "{}", reply.text());
    assert_eq!(server.refused("not_found"), 1);
    let mut viewer = get(&server, "/cam.ts?wait=20s", "");
    eventually("it waits", || server.connections() == 1);
    let film = film();
    publish(&server, &film);
    let reply = Reply::read(&mut viewer).expect("an answer");
    assert_eq!(reply.status, 200);
    for (field, value) in [
        ("cache-control", Some("no-store")),
        ("access-control-allow-origin", Some("*")),
        ("connection", Some("close")),
        ("content-length", None),
        ("transfer-encoding", None),
    ] {
        assert_eq!(reply.field(field), value, "{}", reply.head);
    }
    assert_joined(&wire::read_to_end(&mut viewer), &film);
}

#[test]
fn http_wait_ends_with_404() {
    let server = Server::start(&[]);
    let request = wire::request("GET", "/cam?wait=50ms", server.http(), "");
    let (reply, took) = wire::time(|| wire::ask(server.http(), &request));
    assert_eq!(reply.status, 404);
    assert!((0.05..5.0).contains(&took.as_secs_f64()), "{took:?}");
    eventually("nothing is kept", || server.connections() == 0);
}

#[test]
fn http_head_has_the_fields_and_no_stream_and_range_is_ignored() {
    let server = Server::start(&["tcp://127.0.0.1:0?publish=cam"]);
    let film = film();
    let publisher = wire::sent(server.at(0), &film);
    eventually("it is known to be a TS", || {
        server.page("/api/streams").contains("\"framing\":\"ts\"")
    });
    let request = wire::request("HEAD", "/cam", server.http(), "");
    let mut socket = wire::sent(server.http(), request.as_bytes());
    let reply = Reply::read(&mut socket).expect("an answer");
    assert_eq!((reply.status, reply.field("content-type")), (200, Some("video/mp2t")));
    assert_eq!(wire::read_to_end(&mut socket), b"");
    let mut viewer = get(&server, "/cam?join=last-key", "Range: bytes=1000-\r\n");
    assert_eq!(Reply::read(&mut viewer).expect("an answer").status, 200);
    server.wait_for_subscribers("cam", 1);
    publisher.shutdown(Shutdown::Write).expect("open");
    assert_joined(&wire::read_to_end(&mut viewer), &film);
}

#[test]
fn websocket_messages_are_frames() {
    let server = Server::start(&[PUBLISH]);
    let target: Target = server.url("ws", "/cam?wait=20s&join=last-key").parse().expect("a URL");
    let viewer = std::thread::spawn(move || {
        let mut viewer =
            Subscriber::open(&target, &ClientOptions::default(), &NEVER).expect("granted");
        let mut got = Vec::new();
        let until = Some(Clock::now() + wire::PATIENCE);
        let outcome = subscribe(&mut viewer, &mut got, None, until, &NEVER).expect("unbroken");
        assert!(outcome.ended);
        got
    });
    let film = film();
    let publisher = wire::sent(server.at(0), &film);
    server.wait_for_subscribers("cam", 1);
    publisher.shutdown(Shutdown::Write).expect("open");
    assert_joined(&viewer.join().expect("no panic"), &film);
}

#[test]
fn a_websocket_ping_is_answered_and_a_close_is_confirmed() {
    let server = Server::start(&["tcp://127.0.0.1:0?publish=cam&framing=lines"]);
    let publisher = wire::sent(server.at(0), b"first\n");
    server.wait_for_stream("cam", true);
    let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut socket = get(&server, "/cam", fields);
    let reply = Reply::read(&mut socket).expect("an answer");
    // RFC 6455 1.3 has this key and this answer.
    assert_eq!(reply.field("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    socket.write_all(&[0x89, 0x82, 0, 0, 0, 0, b'h', b'i']).expect("open");
    assert_eq!(wire::read_exactly(&mut socket, 4), [0x8A, 2, b'h', b'i']);
    socket.write_all(&[0x88, 0x82, 0, 0, 0, 0, 3, 0xE8]).expect("open");
    assert_eq!(wire::read_to_end(&mut socket), [0x88, 2, 3, 0xE8]);
    let mut last = get(&server, "/cam", fields);
    assert_eq!(Reply::read(&mut last).expect("an answer").status, 101);
    server.wait_for_subscribers("cam", 1);
    drop(publisher);
    // The end of the stream is told, 1001, before that of the connection.
    assert_eq!(wire::read_to_end(&mut last), [0x88, 2, 3, 0xE9]);
}

#[test]
fn echo_gives_back_every_byte() {
    let server = Server::start(&["tcp://127.0.0.1:0?echo", "udp://127.0.0.1:0?echo"]);
    let bytes = wire::Random::new(7).bytes(300_000);
    let mut socket = wire::connect(server.at(0));
    let mut out = socket.try_clone().expect("a second handle");
    let writer = {
        let bytes = bytes.clone();
        std::thread::spawn(move || {
            out.write_all(&bytes).expect("open");
            out.shutdown(Shutdown::Write).expect("open");
        })
    };
    let mut got = Vec::new();
    socket.read_to_end(&mut got).expect("in time");
    assert_eq!(got, bytes);
    writer.join().expect("no panic");
    let socket = wire::udp();
    for len in [1, 1316, 65_507] {
        socket.send_to(&bytes[..len], server.at(1)).expect("sent");
        assert_eq!(wire::datagram(&socket), &bytes[..len]);
    }
}
