//! `coalesce=`: frames gather for so long before they are sent, and no longer.

use crate::server::Server;
use crate::wire;
use nearlight::sys::clock::Clock;
use std::io::{Read, Write};
use std::time::Duration;

const ROUNDS: usize = 10;
/// The most that may be asked for.
const SPAN: Duration = Duration::from_millis(100);

/// How many calls of a kind the server has made.
fn calls(server: &Server, call: &str) -> u64 {
    server.metric(&format!("calls_total{{call=\"{call}\"}}"))
}

#[test]
fn lines_that_come_one_by_one_are_sent_together_in_time() {
    let server = Server::start(&[
        "tcp://127.0.0.1:0?publish=cam&framing=lines&coalesce=100ms",
        "tcp://127.0.0.1:0?subscribe=cam",
        "tcp://127.0.0.1:0?subscribe=cam&coalesce=0",
        "udp://127.0.0.1:0?subscribe=cam&handshake=off",
    ]);
    let mut publisher = wire::sent(server.at(0), b"first\n");
    server.wait_for_stream("cam", true);
    let (mut viewer, mut hasty) = (wire::connect(server.at(1)), wire::connect(server.at(2)));
    server.wait_for_subscribers("cam", 2);
    let member = wire::udp();
    member.send_to(&[0; 16], server.at(3)).expect("it is loopback");
    server.wait_for_log("joins cam over UDP");
    let before = calls(&server, "sendmmsg");
    let (mut waits, mut chunks) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let start = Clock::now();
        for line in [b"one\n", b"two\n", b"six\n"] {
            publisher.write_all(line).expect("it is read");
            // Whoever wants none of it has each line at once.
            assert_eq!(wire::read_exactly(&mut hasty, 4), line);
        }
        let mut got: Vec<u8> = Vec::new();
        while got.len() < 12 {
            let mut space = [0; 64];
            let len = viewer.read(&mut space).expect("it comes");
            got.extend_from_slice(&space[..len]);
            chunks += 1;
        }
        waits.push(Clock::now().since(start));
        assert_eq!(got, b"one\ntwo\nsix\n");
        for line in [&b"one"[..], b"two", b"six"] {
            let mut space = [0; 64];
            let len = member.recv(&mut space).expect("it comes");
            assert_eq!(&space[..len], line);
        }
    }
    // A machine that stands still for so long may part a round.
    assert!(chunks <= 2 * ROUNDS, "{chunks} sends for {ROUNDS} rounds");
    let sent = calls(&server, "sendmmsg") - before;
    assert!(sent <= 2 * ROUNDS as u64, "{sent} calls for {ROUNDS} rounds over UDP");
    // The first round is no burst for whoever was at the head.
    let short = waits.iter().filter(|wait| **wait < SPAN).count();
    assert!(short <= 1, "sent before the time was up: {waits:?}");
}
