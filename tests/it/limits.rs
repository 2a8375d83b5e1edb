//! At the limits of the machine: no descriptors, nobody who reads the log,
//! thousands of idle subscribers, subscribers that take nothing.

use crate::server::Server;
use crate::wire::{self, NEVER, Random, eventually};
use crate::witness::{self, Witness};
use nearlight::client::pace::{Wait, sleep_until};
use nearlight::sys::clock::Clock;
use nearlight::sys::process::raise_nofile;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

#[test]
fn without_descriptors_streams_go_on_the_cpu_idles_and_accepting_resumes_by_itself() {
    let server = Server::start_with_files(40, &witness::LISTENERS);
    let witness = Witness::start(&server);
    server.page("/healthz");
    // The kernel accepts what the server can't yet.
    let crowd: Vec<TcpStream> = (0..60).map(|_| wire::connect(server.http())).collect();
    eventually("it has run out", || server.metric("accept_failures_total") > 0);
    let (failures, cpu) = (server.metric("accept_failures_total"), server.cpu());
    wire::measure_for(Duration::from_secs(1));
    let used = server.cpu() - cpu;
    let tries = server.metric("accept_failures_total") - failures;
    assert!(used < 300, "{used} ms of CPU in a second");
    assert!((1..=20).contains(&tries), "{tries} tries in a second");
    witness.sees_more();
    let accepted = server.metric("accepted_total");
    drop(crowd);
    eventually("it accepts again", || server.metric("accepted_total") > accepted);
    let health = wire::request("GET", "/healthz", server.http(), "");
    assert_eq!(wire::ask(server.http(), &health).status, 200);
    eventually("the crowd is gone", || server.connections() == 2);
    witness.finish();
}

#[test]
fn a_full_stderr_pipe_does_not_move_a_stream() {
    let mut server = Server::start_unread(&witness::LISTENERS, &["-v", "-v"]);
    let witness = Witness::start(&server);
    // A pipe holds 64 KiB and the queue 1024 lines; each of these is a line.
    let get = wire::request("GET", &format!("/{}", "n".repeat(200)), server.http(), "");
    for _ in 0..3000 {
        wire::wait_for_close(&mut wire::sent(server.http(), get.as_bytes()));
    }
    assert_eq!(server.refused("not_found"), 3000);
    witness.sees_more();
    witness.finish();
    server.read_log();
    server.wait_for_log("log lines were dropped: stderr is read too slowly");
    assert!(server.log().len() > 60_000, "the pipe was full");
    server.terminate();
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn two_thousand_idle_subscribers_are_served_when_a_publisher_comes() {
    const CROWD: usize = 2000;
    let files = raise_nofile().expect("getrlimit");
    assert!(files > CROWD as u64 + 500, "this test needs more than {files} descriptors");
    let listeners = [
        "tcp://127.0.0.1:0?publish=cam&framing=lines&max_lag=20s",
        "tcp://127.0.0.1:0?subscribe=cam&max_lag=20s",
    ];
    let server = Server::start_with(&listeners, &[]);
    let mut crowd: Vec<_> = (0..CROWD).map(|_| wire::connect(server.at(1))).collect();
    eventually("all are accepted", || server.connections() == CROWD as u64);
    let mut publisher = wire::sent(server.at(0), b"hello\n");
    server.wait_for_subscribers("cam", CROWD as u64);
    publisher.write_all(b"goodbye\n").expect("it is read");
    drop(publisher);
    for subscriber in &mut crowd {
        assert_eq!(wire::read_to_end(subscriber), b"hello\ngoodbye\n");
    }
    drop(crowd);
    eventually("nothing is kept", || server.connections() == 0);
}

#[test]
fn what_a_burst_took_goes_back_to_the_kernel() {
    let server = Server::start(&["tcp://127.0.0.1:0?publish=cam&framing=len32"]);
    server.page("/healthz");
    let before = server.memory();
    let len = 16 << 20;
    let mut publisher = wire::sent(server.at(0), &(len as u32 - 4).to_be_bytes());
    publisher.write_all(&vec![7; len - 4]).expect("it is read");
    eventually("it is kept", || server.memory() > before + (16 << 10));
    drop(publisher);
    eventually("little is kept", || server.memory() < before + (3 << 10));
}

/// Numbered lines of 1000 bytes, 4 MB/s, until it is told to stop.
fn flood(addr: SocketAddr, stop: &AtomicBool) {
    let mut socket = wire::connect(addr);
    let padding = "x".repeat(980);
    let mut due = Clock::now();
    for number in (0u64..).step_by(8) {
        let line = |n| format!("{:018} {padding}\n", number + n);
        let lines: String = (0..8).map(line).collect();
        if stop.load(Ordering::Relaxed) || socket.write_all(lines.as_bytes()).is_err() {
            return;
        }
        due = due + Duration::from_millis(2);
        sleep_until(due, Wait::Sleep, &NEVER);
    }
}

/// Stops the flood, however the test goes.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `watch` with a flood of a stream and a subscriber that doesn't read.
fn stalled(framing: &str, subscribe: &str, watch: impl FnOnce(&Server, TcpStream)) {
    let publish = format!("tcp://127.0.0.1:0?publish=cam&framing={framing}");
    let fast = "tcp://127.0.0.1:0?subscribe=cam&max_lag=20s&policy=skip";
    let server = Server::start(&[&publish, subscribe, fast]);
    let viewer = wire::connect_small(server.at(1), Some(32 << 10));
    let reader = wire::connect(server.at(2));
    eventually("both wait", || server.connections() == 2);
    let stop = AtomicBool::new(false);
    let to = server.at(0);
    thread::scope(|scope| {
        scope.spawn(|| flood(to, &stop));
        let reader = scope.spawn(|| numbers(reader));
        let stops = Stops(&stop);
        watch(&server, viewer);
        drop(stops);
        let numbers = reader.join().expect("no panic");
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "a fast one misses some");
    });
}

/// Every line whole; answers their numbers.
fn numbers(socket: TcpStream) -> Vec<u64> {
    let mut numbers = Vec::new();
    for line in BufReader::new(socket).lines() {
        let line = line.expect("in time");
        assert_eq!(line.len(), 999, "a torn line: {line}");
        numbers.push(line[..18].parse().expect("a number"));
    }
    numbers
}

#[test]
fn policy_close_ends_a_subscriber_that_is_too_slow() {
    let subscribe = "tcp://127.0.0.1:0?subscribe=cam&policy=close&max_lag=200ms";
    stalled("lines", subscribe, |server, mut viewer| {
        eventually("it is ended", || server.metric("lag_closes_total") == 1);
        server.wait_for_subscribers("cam", 1);
        wire::wait_for_close(&mut viewer);
        assert_eq!(server.metric("skips_total"), 0);
    });
}

#[test]
fn raw_closes_by_default_for_nobody_could_skip_in_it() {
    let subscribe = "tcp://127.0.0.1:0?subscribe=cam&max_lag=200ms";
    stalled("raw", subscribe, |server, mut viewer| {
        eventually("it is ended", || server.metric("lag_closes_total") == 1);
        wire::wait_for_close(&mut viewer);
        assert_eq!(server.metric("skips_total"), 0);
    });
}

#[test]
fn lines_skip_by_default_and_no_line_is_torn() {
    let subscribe = "tcp://127.0.0.1:0?subscribe=cam&max_lag=200ms";
    stalled("lines", subscribe, |server, viewer| {
        eventually("it is skipped", || server.metric("skips_total") > 0);
        // It wakes up and reads on: what it gets now is of now.
        viewer.set_read_timeout(Some(wire::PATIENCE)).expect("SO_RCVTIMEO");
        let mut lines = BufReader::new(viewer).lines();
        let mut jumps = 0;
        let mut last = None;
        let mut random = Random::new(1);
        for _ in 0..500 + random.below(100) {
            let line = lines.next().expect("no end").expect("in time");
            assert_eq!(line.len(), 999, "a torn line: {line}");
            let number: u64 = line[..18].parse().expect("a number");
            let expected = last.map_or(number, |last| last + 1);
            assert!(number >= expected, "backwards: {number} after {last:?}");
            jumps += u64::from(number > expected);
            last = Some(number);
        }
        assert!(jumps > 0, "a jump forward");
        assert_eq!(server.metric("lag_closes_total"), 0);
    });
}
