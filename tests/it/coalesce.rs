//! `coalesce=`: frames gather for so long before they are sent, and no longer.

use crate::server::Server;
use crate::wire;
use nearlight::sys::clock::Clock;
use std::io::{Read, Write};
use std::time::Duration;

const ROUNDS: usize = 10;
/// The most that may be asked for.
const SPAN: Duration = Duration::from_millis(100);
/// Shorter than the pause between two rounds.
const SHORT: Duration = Duration::from_millis(20);

/// How many calls of a kind the server has made.
fn calls(server: &Server, call: &str) -> u64 {
    server.metric(&format!("calls_total{{call=\"{call}\"}}"))
}

#[test]
fn lines_that_come_one_by_one_are_sent_together_in_time_and_after_a_pause_at_once() {
    let server = Server::start(&[
        "tcp://127.0.0.1:0?publish=cam&framing=lines&coalesce=100ms",
        "tcp://127.0.0.1:0?subscribe=cam",
        "tcp://127.0.0.1:0?subscribe=cam&coalesce=0",
        "tcp://127.0.0.1:0?subscribe=cam&coalesce=20ms",
        "udp://127.0.0.1:0?subscribe=cam&handshake=off",
    ]);
    let mut publisher = wire::sent(server.at(0), b"first\n");
    server.wait_for_stream("cam", true);
    let [mut viewer, mut hasty, mut brisk] = [1, 2, 3].map(|n| wire::connect(server.at(n)));
    server.wait_for_subscribers("cam", 3);
    let member = wire::udp();
    member.send_to(&[0; 16], server.at(4)).expect("it is loopback");
    server.wait_for_log("joins cam over UDP");
    let before = calls(&server, "sendmmsg");
    let (mut waits, mut chunks, mut quick) = (Vec::new(), 0, 0);
    for _ in 0..ROUNDS {
        let start = Clock::now();
        publisher.write_all(b"one\n").expect("it is read");
        assert_eq!(wire::read_exactly(&mut brisk, 4), b"one\n");
        quick += usize::from(Clock::now().since(start) < SHORT);
        assert_eq!(wire::read_exactly(&mut viewer, 4), b"one\n");
        assert_eq!(wire::read_exactly(&mut hasty, 4), b"one\n");
        let start = Clock::now();
        for line in [b"two\n", b"six\n"] {
            publisher.write_all(line).expect("it is read");
            // Whoever wants none of it has each line at once.
            assert_eq!(wire::read_exactly(&mut hasty, 4), line);
        }
        let mut got: Vec<u8> = Vec::new();
        while got.len() < 8 {
            let mut space = [0; 64];
            let len = viewer.read(&mut space).expect("it comes");
            got.extend_from_slice(&space[..len]);
            chunks += 1;
        }
        waits.push(Clock::now().since(start));
        assert_eq!(got, b"two\nsix\n");
        assert_eq!(wire::read_exactly(&mut brisk, 8), got);
        for line in [&b"one"[..], b"two", b"six"] {
            let mut space = [0; 64];
            let len = member.recv(&mut space).expect("it comes");
            assert_eq!(&space[..len], line);
        }
    }
    // A first line that comes a little late gathers alone, and goes with the second
    // then: the third is sent by itself.
    assert!(chunks < 2 * ROUNDS, "{chunks} sends for {ROUNDS} rounds");
    let sent = calls(&server, "sendmmsg") - before;
    assert!(sent <= 3 * ROUNDS as u64, "{sent} calls for {ROUNDS} rounds over UDP");
    let short = waits.iter().filter(|wait| **wait < SPAN).count();
    // A pause of the machine between two lines is one after which nothing waits.
    assert!(short < ROUNDS / 2, "sent before the time was up: {waits:?}");
    assert!(quick > 0, "what came after a pause was never sent at once");
}
