//! What a server says of the time that frames spend in it.

use crate::server::Server;
use crate::wire::{self, eventually};
use serde_json::Value;
use std::io::Write;
use std::net::{SocketAddr, UdpSocket};

const FRAMES: u64 = 1200;

fn streams(server: &Server, path: &str) -> Value {
    serde_json::from_str(&server.page(path)).expect("it is JSON")
}

/// A UDP subscriber that has been taken in.
fn join(at: SocketAddr) -> UdpSocket {
    let socket = wire::udp();
    socket.send_to(&[0; 16], at).expect("it is loopback");
    socket
}

#[test]
fn residence_is_told_of_each_stream_and_subscriber() {
    let server = Server::start(&[
        "tcp://127.0.0.1:0?publish=cam&framing=lines",
        "tcp://127.0.0.1:0?subscribe=cam",
        "udp://127.0.0.1:0?subscribe=cam&handshake=off",
    ]);
    let mut publisher = wire::sent(server.at(0), b"first\n");
    server.wait_for_stream("cam", true);
    let mut viewer = wire::connect(server.at(1));
    server.wait_for_subscribers("cam", 1);
    let _member = join(server.at(2));
    server.wait_for_log("joins cam over UDP");
    // The first wakes the UDP member; the rest are nobody's burst.
    for n in 0..=FRAMES {
        let line = format!("{n:05}\n");
        publisher.write_all(line.as_bytes()).expect("it is read");
        assert_eq!(wire::read_exactly(&mut viewer, 6), line.as_bytes());
    }
    let residence = |of: &Value| {
        let p = |key: &str| of["residence_ns"][key].as_u64();
        (p("count").expect("always"), p("p50"), p("p99"))
    };
    let told = || streams(&server, "/api/streams/cam");
    let of = |over: &str| {
        let told = told();
        let list = told["subscriber_list"].as_array().expect("a list").clone();
        list.into_iter().find(|one| one["transport"] == over).expect("it is there")
    };
    eventually("all is counted", || residence(&of("tcp")).0 == FRAMES + 1);
    eventually("over UDP, too", || residence(&of("udp")).0 >= FRAMES);
    for one in [of("tcp"), of("udp"), told()] {
        let (_, p50, p99) = residence(&one);
        let (p50, p99) = (p50.expect("samples enough"), p99.expect("samples enough"));
        // Loopback on a busy machine; and never nothing, or a second.
        assert!(0 < p50 && p50 <= p99 && p99 < 1_000_000_000, "{one}");
        assert_eq!(one["residence_ns"]["p999"], Value::Null, "{one}");
    }
    let all = residence(&told()).0;
    assert_eq!(all, residence(&of("tcp")).0 + residence(&of("udp")).0);
    assert_eq!(told()["residence_from"], "kernel");
    assert_eq!(of("tcp")["state"], "live");
    assert_eq!(of("tcp")["sent_bytes"], 6 * (FRAMES + 1));
    let page = server.page("/metrics");
    let counts = page.lines().filter(|line| line.starts_with("nearlight_residence_seconds_count{"));
    let counts = counts.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
    assert_eq!(counts.sum::<u64>(), all, "of all shards");
    let reply =
        wire::ask(server.http(), &wire::request("GET", "/api/streams/none", server.http(), ""));
    assert_eq!(reply.status, 404, "{}", reply.text());
}

#[test]
fn without_stamps_it_counts_from_ingest_and_says_so() {
    let server = Server::start(&["tcp://127.0.0.1:0?publish=cam&framing=lines&timestamp=off"]);
    let mut publisher = wire::sent(server.at(0), b"first\n");
    publisher.write_all(b"second\n").expect("it is read");
    server.wait_for_stream("cam", true);
    assert_eq!(streams(&server, "/api/streams/cam")["residence_from"], "ingest");
}
