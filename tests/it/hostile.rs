//! Bad input on every listener: it is counted, nothing of it is kept, and a
//! live stream beside it loses no byte. `hostile_http` goes on with requests.

use crate::server::Server;
use crate::wire::{self, Random, Reply, eventually};
use crate::witness::{self, Witness};
use std::io::Write;
use std::net::SocketAddr;

/// Each attack is made so often, and once more to compare memory.
pub(crate) const TIMES: u64 = 200;
/// What an allocator may keep for itself, in KiB; a leak of one attack's bytes
/// each time would be thirteen times as much.
const SLACK: u64 = 1024;

/// A server under attack, and its witness.
pub(crate) struct Siege {
    pub(crate) server: Server,
    witness: Witness,
}

impl Siege {
    pub(crate) fn of(listeners: &[&str]) -> Self {
        let listeners = [listeners, &witness::LISTENERS].concat();
        let server = Server::start_with(&listeners, &[]);
        let witness = Witness::start(&server);
        Self { server, witness }
    }

    /// Attacks, twice [`TIMES`] times; `counter` counts each.
    pub(crate) fn withstand(
        &self,
        what: &str,
        counter: impl Fn(&Server) -> u64,
        mut attack: impl FnMut(&Server),
    ) {
        let server = &self.server;
        let connections = server.connections();
        let mut once = || {
            let before = counter(server);
            for _ in 0..TIMES {
                attack(server);
            }
            // A shard that is slow to answer is left out of a page.
            let counted = || counter(server).saturating_sub(before) >= TIMES;
            eventually(&format!("{what}: counted each time"), counted);
            let is_free = || server.connections() == connections;
            eventually(&format!("{what}: no connection is kept"), is_free);
            server.memory()
        };
        let (before, after) = (once(), once());
        assert!(after <= before + SLACK, "{what}: memory grew from {before} to {after} KiB");
        self.witness.sees_more();
    }

    /// The witness must have seen everything.
    pub(crate) fn end(self) {
        self.witness.finish();
        self.server.page("/healthz");
    }
}

/// Sends what the peer takes of it, and goes.
pub(crate) fn hit(addr: SocketAddr, bytes: &[u8]) {
    let mut socket = wire::connect(addr);
    let _taken = socket.write_all(bytes);
}

#[test]
fn random_bytes_on_tcp_listeners() {
    let siege = Siege::of(&[
        "tcp://127.0.0.1:0?publish=junk",
        "tcp://127.0.0.1:0?publish=junk.ts&framing=ts",
        "tcp://127.0.0.1:0?publish=junk.len32&framing=len32",
        "tcp://127.0.0.1:0?subscribe=nothing",
        "tcp://127.0.0.1:0?echo",
    ]);
    let mut random = Random::new(11);
    let received = |server: &Server| server.metric("received_bytes_total");
    let accepted = |server: &Server| server.metric("accepted_total");
    let mut attack = |n: usize| {
        let bytes = random.bytes(1 << 16);
        move |server: &Server| hit(server.at(n), &bytes)
    };
    siege.withstand("auto", received, attack(0));
    siege.withstand("ts", received, attack(1));
    // A frame of such a length is refused; so is who comes before that is done.
    let mut bytes = Random::new(12).bytes(1 << 16);
    bytes[0] = 0xFF;
    siege.withstand("len32", Server::refusals, |server| hit(server.at(2), &bytes));
    assert!(siege.server.refused("bad_frame") > 0);
    siege.withstand("subscribe", accepted, attack(3));
    siege.withstand("echo", accepted, attack(4));
    siege.end();
}

#[test]
fn random_bytes_on_http() {
    let siege = Siege::of(&[]);
    let mut random = Random::new(13);
    siege.withstand("http", Server::refusals, |server| {
        let bytes = random.bytes(1 << 16);
        hit(server.http(), &bytes);
    });
    siege.end();
}

#[test]
fn random_datagrams_of_every_size() {
    let siege = Siege::of(&[
        "udp://127.0.0.1:0?publish=junk&window_bytes=512K",
        "udp://127.0.0.1:0?publish=junk.ts&framing=ts&window_bytes=512K",
        "udp://127.0.0.1:0?publish=junk.lines&framing=lines&window_bytes=512K",
        "udp://127.0.0.1:0?subscribe=witness",
        "udp://127.0.0.1:0?echo",
    ]);
    let mut random = Random::new(14);
    let socket = wire::udp();
    let mut attack = |n: usize| {
        let socket = socket.try_clone().expect("a second handle");
        let mut bytes = random.bytes(65_507);
        let mut sizes = Random::new(n as u64);
        let mut sent = 0;
        move |server: &Server| {
            sent += 1;
            if sent % 16 == 0 {
                // It has read what is there before it answers: no buffer overflows.
                server.page("/healthz");
            }
            bytes.rotate_left(1);
            let len = [0, 1, 15, 16, 1316, 65_507][sizes.below(6)];
            socket.send_to(&bytes[..len], server.at(n)).expect("sent");
        }
    };
    let received = |server: &Server| server.metric("receives_total");
    for (n, what) in ["auto", "ts", "lines"].into_iter().enumerate() {
        siege.withstand(what, received, attack(n));
    }
    let heard =
        |server: &Server| server.metric("udp_tokens_total") + server.metric("udp_ignored_total");
    siege.withstand("subscribe", heard, attack(3));
    let echoed = |server: &Server| {
        server.metric("datagrams_sent_total") + server.metric("datagrams_dropped_total")
    };
    siege.withstand("echo", echoed, attack(4));
    siege.end();
}

#[test]
fn datagrams_of_other_sources() {
    let siege = Siege::of(&["udp://127.0.0.1:0?publish=mine"]);
    let owner = wire::udp();
    owner.send_to(b"mine", siege.server.at(0)).expect("sent");
    siege.server.wait_for_stream("mine", true);
    let foreigner = wire::udp();
    let foreign = |server: &Server| server.refused("foreign_source");
    siege.withstand("foreign", foreign, |server| {
        foreigner.send_to(&[0x47; 1316], server.at(0)).expect("sent");
    });
    assert_eq!(siege.server.stream("mine", "received_bytes"), Some(4));
    siege.end();
}

/// A TLS 1.3 ClientHello begins so; so does what OBS and ffmpeg send to an
/// RTMP server.
pub(crate) const FOREIGN: [(&str, [u8; 16]); 2] = [
    ("TLS", [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3, 1, 2, 3, 4, 5]),
    ("RTMP", [3, 0, 0, 0, 0, 9, 0, 124, 2, 1, 2, 3, 4, 5, 6, 7]),
];

#[test]
fn tls_and_rtmp_on_the_wrong_port_are_closed_and_the_log_says_which() {
    let siege = Siege::of(&["tcp://127.0.0.1:0?publish=cam"]);
    let wrong = |server: &Server| server.refused("wrong_protocol");
    for (name, first) in FOREIGN {
        siege.withstand(name, wrong, |server| {
            for addr in [server.at(0), server.http()] {
                let mut socket = wire::sent(addr, &first);
                wire::wait_for_close(&mut socket);
            }
        });
        siege.server.wait_for_log(&format!("{name} handshake"));
        siege.server.wait_for_log(&format!("{name} on a"));
    }
    assert_eq!(siege.server.stream("cam", "epoch"), None, "no stream was made of it");
    siege.end();
}

#[test]
fn websocket_frames_against_the_rules_end_the_connection() {
    let siege = Siege::of(&[]);
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let accepted = |server: &Server| server.metric("accepted_total");
    for (what, frame) in [
        ("not masked", &[0x82, 1, b'x'][..]),
        ("reserved bits", &[0xF2, 0x81, 0, 0, 0, 0, b'x']),
        ("a ping of 126 bytes", &[0x89, 0xFE, 0, 126, 0, 0, 0, 0]),
        ("a terabyte", &[0x82, 0xFF, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ] {
        siege.withstand(what, accepted, |server| {
            let request = wire::request("GET", "/witness", server.http(), upgrade);

            let mut socket = wire::sent(server.http(), request.as_bytes());
            assert_eq!(Reply::read(&mut socket).expect("an answer").status, 101);
            socket.write_all(frame).expect("open");
            wire::wait_for_close(&mut socket);
        });
    }
    siege.end();
}
