//! Ways in: what any publisher sends reaches a subscriber byte by byte.

use crate::film::{assert_joined, film, frames};
use crate::server::Server;
use crate::wire::{self, NEVER, Reply, eventually};
use nearlight::client::{ClientOptions, Publisher, Target};
use std::io::Write;
use std::net::{Ipv4Addr, Shutdown, TcpStream};

/// A server, and a raw TCP subscriber that waits for `cam`.
fn viewed(more: &[&str]) -> (Server, TcpStream) {
    let listeners = [&["tcp://127.0.0.1:0?subscribe=cam"], more].concat();
    let server = Server::start(&listeners);
    let viewer = wire::connect(server.at(0));
    eventually("the viewer is accepted", || server.connections() == 1);
    (server, viewer)
}

fn put(server: &Server, method: &str, fields: &str) -> TcpStream {
    let head = wire::request(method, "/cam.ts", server.http(), fields);
    wire::sent(server.http(), head.as_bytes())
}

/// Chunked coding with chunks of odd sizes, an extension and a trailer.
fn chunked(bytes: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    let mut rest = bytes;
    for size in (1..).map(|n: usize| n * 331 % 4099 + 1) {
        let (chunk, later) = rest.split_at(size.min(rest.len()));
        rest = later;
        write!(coded, "{:x};n=v\r\n", chunk.len()).expect("memory");
        if chunk.is_empty() {
            break;
        }
        coded.extend_from_slice(chunk);
        coded.extend_from_slice(b"\r\n");
    }
    coded.extend_from_slice(b"Trailer: yes\r\n\r\n");
    coded
}

#[test]
fn raw_tcp() {
    let (server, mut viewer) = viewed(&["tcp://127.0.0.1:0?publish=cam"]);
    let film = film();
    let publisher = wire::sent(server.at(1), &film);
    publisher.shutdown(Shutdown::Write).expect("open");
    assert_joined(&wire::read_to_end(&mut viewer), &film);
}

#[test]
fn put_with_content_length_is_answered_200_when_all_is_taken() {
    let (server, mut viewer) = viewed(&[]);
    let film = film();
    let fields = format!("Content-Length: {}\r\nConnection: close\r\n", film.len());
    let mut publisher = put(&server, "PUT", &fields);
    publisher.write_all(&film).expect("it is read");
    assert_eq!(Reply::read(&mut publisher).expect("an answer").status, 200);
    assert_joined(&wire::read_to_end(&mut viewer), &film);
}

#[test]
fn post_in_chunks_loses_the_coding_and_nothing_else() {
    let (server, mut viewer) = viewed(&[]);
    let film = film();
    let mut publisher = put(&server, "POST", "Transfer-Encoding: chunked\r\nConnection: close\r\n");
    for piece in chunked(&film).chunks(7919) {
        publisher.write_all(piece).expect("it is read");
    }
    assert_eq!(Reply::read(&mut publisher).expect("an answer").status, 200);
    assert_joined(&wire::read_to_end(&mut viewer), &film);
}

#[test]
fn expect_100_continue_is_answered_before_the_body() {
    let (server, mut viewer) = viewed(&[]);
    let film = film();
    let fields = format!("Content-Length: {}\r\nExpect: 100-continue\r\n", film.len());
    let mut publisher = put(&server, "PUT", &fields);
    assert_eq!(Reply::read(&mut publisher).expect("leave to send").status, 100);
    publisher.write_all(&film).expect("it is read");
    assert_eq!(Reply::read(&mut publisher).expect("an answer").status, 200);
    drop(publisher);
    assert_joined(&wire::read_to_end(&mut viewer), &film);
}

#[test]
fn the_client_library_publishes_over_http() {
    let (server, mut viewer) = viewed(&[]);
    let target: Target = server.url("http", "/cam").parse().expect("a URL");
    let mut publisher =
        Publisher::open(&target, &ClientOptions::default(), &NEVER).expect("granted");
    let film = frames(50);
    for frame in &film {
        publisher.send(frame, &NEVER).expect("taken");
    }
    publisher.finish().expect("confirmed");
    assert_joined(&wire::read_to_end(&mut viewer), &film.concat());
}

#[test]
fn a_body_that_fits_behind_its_head_is_a_whole_stream_too() {
    let (server, mut viewer) = viewed(&[]);
    let head = wire::request(
        "PUT",
        "/cam?framing=lines",
        server.http(),
        "Content-Length: 12\r\nConnection: close\r\n",
    );
    let reply = wire::ask(server.http(), &(head + "hello\nworld\n"));
    assert_eq!(reply.status, 200);
    assert_eq!(wire::read_to_end(&mut viewer), b"hello\nworld\n");
}

/// Sends a film frame by frame, each when the one before has arrived: what is
/// lost between two UDP sockets of this machine is not what is tested.
fn send_datagrams(server: &Server, size: usize, send: impl Fn(&[u8])) -> Vec<u8> {
    let film = frames(30);
    let mut sent = 0;
    let mut held = Vec::new();
    for (n, frame) in film.iter().enumerate() {
        held.extend_from_slice(frame);
        // Programs that know nothing of packets send what fills a datagram.
        let whole = if n + 1 == film.len() { held.len() } else { held.len() / size * size };
        for datagram in held[..whole].chunks(size) {
            send(datagram);
        }
        held.drain(..whole);
        sent += whole as u64;
        eventually("the frame's arrival", || {
            server.stream("cam", "received_bytes").is_some_and(|bytes| bytes >= sent)
        });
    }
    film.concat()
}

#[test]
fn udp_ends_when_it_falls_silent() {
    let (server, mut viewer) = viewed(&["udp://127.0.0.1:0?publish=cam&timeout=2s"]);
    let socket = wire::udp();
    let film = send_datagrams(&server, 1316, |datagram| {
        socket.send_to(datagram, server.at(1)).expect("sent");
    });
    assert_joined(&wire::read_to_end(&mut viewer), &film);
}

#[test]
fn packets_that_datagrams_cut_are_put_together_and_the_log_says_so() {
    for framing in ["auto", "ts"] {
        let listener = format!("udp://127.0.0.1:0?publish=cam&timeout=1s&framing={framing}");
        let (server, mut viewer) = viewed(&[&listener]);
        let socket = wire::udp();
        let film = send_datagrams(&server, 1472, |datagram| {
            socket.send_to(datagram, server.at(1)).expect("sent");
        });
        server.wait_for_log("?pkt_size=1316");
        assert_eq!(server.stream("cam", "continuity_errors"), Some(0));
        assert_joined(&wire::read_to_end(&mut viewer), &film);
    }
}

#[test]
fn multicast() {
    let group = Ipv4Addr::new(239, 192, 7, 1);
    let listener = format!("udp://{group}:0?publish=cam&group={group}&iface=127.0.0.1&timeout=2s");
    let (server, mut viewer) = viewed(&[&listener]);
    let socket = socket2::Socket::from(wire::udp());
    socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).expect("loopback");
    let to = (group, server.at(1).port());
    let socket = std::net::UdpSocket::from(socket);
    let film = send_datagrams(&server, 1316, |datagram| {
        socket.send_to(datagram, to).expect("sent");
    });
    assert_joined(&wire::read_to_end(&mut viewer), &film);
}
