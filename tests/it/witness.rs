//! A live stream beside a test: numbered lines through the server, one each
//! millisecond, and a subscriber that must get every one of them.

use crate::server::{Server, address};
use crate::wire::{self, NEVER, eventually};
use nearlight::client::pace::{Wait, sleep_until};
use nearlight::sys::clock::Clock;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The listeners of a witness, for the end of a server's list. The lag bound
/// is generous: a machine that is busy with tests may be slow, not lossy.
pub(crate) const LISTENERS: [&str; 2] = [
    "tcp://127.0.0.1:0?publish=witness&framing=lines&max_lag=20s",
    "tcp://127.0.0.1:0?subscribe=witness&max_lag=20s",
];

/// From one line to the next.
const PERIOD: Duration = Duration::from_millis(4);

/// A stream and its subscriber.
pub(crate) struct Witness {
    stop: Arc<AtomicBool>,
    seen: Arc<AtomicU64>,
    publisher: JoinHandle<u64>,
    subscriber: JoinHandle<u64>,
}

impl Witness {
    /// Watches a server whose listeners end with [`LISTENERS`].
    pub(crate) fn start(server: &Server) -> Self {
        let [.., publish, subscribe] = &server.urls[..] else {
            panic!("no listeners");
        };
        let (publish, subscribe) = (address(publish), address(subscribe));
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(AtomicU64::new(0));
        let subscriber = {
            let seen = Arc::clone(&seen);
            let socket = wire::connect(subscribe);
            thread::spawn(move || read(socket, &seen))
        };
        let publisher = {
            let stop = Arc::clone(&stop);
            thread::spawn(move || write(publish, &stop))
        };
        let witness = Self { stop, seen, publisher, subscriber };
        witness.sees_more();
        witness
    }

    /// Waits until it has seen more: the stream goes on.
    pub(crate) fn sees_more(&self) {
        let seen = self.seen.load(Ordering::Relaxed);
        eventually("the witness sees more", || self.seen.load(Ordering::Relaxed) > seen + 20);
    }

    /// Ends the stream; every line must have come.
    pub(crate) fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        let written = self.publisher.join().expect("the publisher is not disturbed");
        let read = self.subscriber.join().expect("the subscriber is not disturbed");
        assert_eq!(read, written, "the last line");
    }
}

/// Publishes until it is stopped; answers the number of the line after the last.
fn write(addr: SocketAddr, stop: &AtomicBool) -> u64 {
    let mut socket = wire::connect(addr);
    let mut number = 0;
    let mut due = Clock::now();
    while !stop.load(Ordering::Relaxed) {
        writeln!(socket, "line {number}").expect("the server reads on");
        number += 1;
        due = due + PERIOD;
        sleep_until(due, Wait::Sleep, &NEVER);
    }
    socket.shutdown(Shutdown::Write).expect("still open");
    wire::wait_for_close(&mut socket);
    number
}

/// Reads to the end of the stream; answers the number that would be next.
fn read(socket: std::net::TcpStream, seen: &AtomicU64) -> u64 {
    let mut next = None;
    for line in BufReader::new(socket).lines() {
        let line = line.expect("in time");
        let number = line.strip_prefix("line ").and_then(|n| n.parse::<u64>().ok());
        let number = number.unwrap_or_else(|| panic!("not a line of ours: {line}"));
        assert_eq!(number, next.unwrap_or(number), "a line is missing");
        next = Some(number + 1);
        seen.fetch_add(1, Ordering::Relaxed);
    }
    next.expect("at least a line")
}
