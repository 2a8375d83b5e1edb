//! SIGTERM and SIGINT: streams end, what is queued goes out, the exit is 0,
//! and nobody can hold it up for more than two seconds.

use crate::server::Server;
use crate::wire::{self, Reply, eventually};
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::Duration;

const PUBLISH: &str = "tcp://127.0.0.1:0?publish=cam&framing=lines&max_lag=20s";
const SUBSCRIBE: &str = "tcp://127.0.0.1:0?subscribe=cam&max_lag=20s";

/// What the contract allows, and a little for a busy machine.
const BOUND: Duration = Duration::from_millis(2500);

fn ends_well(signal: &str) {
    let mut server = Server::start(&[PUBLISH, SUBSCRIBE, "tcp://127.0.0.1:0?echo"]);
    let mut viewer = wire::connect(server.at(1));
    let mut other = wire::connect(server.at(1));
    let mut echo = wire::connect(server.at(2));
    eventually("they are accepted", || server.connections() == 3);
    let mut publisher = wire::sent(server.at(0), b"first\n");
    assert_eq!(wire::read_exactly(&mut viewer, 6), b"first\n");
    let ((), took) = wire::time(|| {
        server.signal(signal);
        assert_eq!(wire::read_to_end(&mut viewer), b"");
        assert_eq!(wire::read_to_end(&mut other), b"first\n");
        wire::wait_for_close(&mut publisher);
        wire::wait_for_close(&mut echo);
        drop((publisher, viewer, other, echo));
        assert_eq!(server.wait().code(), Some(0));
    });
    assert!(took < Duration::from_secs(1), "{took:?} although it is empty at once");
}

#[test]
fn sigterm_ends_streams_and_exits_0() {
    ends_well("TERM");
}

#[test]
fn sigint_does_the_same() {
    ends_well("INT");
}

/// A server whose only subscriber takes nothing, with much queued for it.
fn stalled() -> (Server, TcpStream, TcpStream) {
    let server = Server::start(&[PUBLISH, SUBSCRIBE]);
    let viewer = wire::connect_small(server.at(1), Some(32 << 10));
    eventually("it is accepted", || server.connections() == 1);
    let line = [&[b'x'; 99_999][..], b"\n"].concat();
    let publisher = wire::sent(server.at(0), &line.repeat(50));
    eventually("it is behind", || {
        server.stream("cam", "behind") == Some(1)
            && server.stream("cam", "position") == Some(5_000_000)
    });
    (server, viewer, publisher)
}

#[test]
fn a_stalled_subscriber_holds_it_up_for_two_seconds_at_most() {
    let (mut server, viewer, publisher) = stalled();
    let (status, took) = wire::time(|| {
        server.terminate();
        server.wait()
    });
    assert_eq!(status.code(), Some(0));
    assert!(took < BOUND, "{took:?}");
    drop((viewer, publisher));
}

#[test]
fn a_subscriber_that_reads_on_gets_all_of_it_before_the_exit() {
    let (mut server, mut viewer, publisher) = stalled();
    server.terminate();
    let got = wire::read_to_end(&mut viewer);
    assert_eq!(got.len(), 5_000_000);
    drop((viewer, publisher));
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn nothing_new_starts_on_the_way_down() {
    let (server, _viewer, mut publisher) = stalled();
    server.terminate();
    server.wait_for_log("going down");
    wire::wait_for_close(&mut publisher);
    for n in 0..2 {
        let refused = TcpStream::connect(server.at(n)).expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }
}

#[test]
fn who_waits_for_a_stream_over_http_is_told_503() {
    let mut server = Server::start(&[]);
    let get = wire::request("GET", "/cam?wait=60s", server.http(), "");
    let mut waiting = wire::sent(server.http(), get.as_bytes());
    eventually("it waits", || server.connections() == 1);
    server.terminate();
    let reply = Reply::read(&mut waiting).expect("an answer");
    assert_eq!((reply.status, reply.field("retry-after")), (503, Some("1")));
    drop(waiting);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_second_sigterm_ends_it_at_once() {
    let (mut server, _viewer, mut publisher) = stalled();
    server.terminate();
    server.wait_for_log("going down");
    let (status, took) = wire::time(|| {
        server.terminate();
        server.wait()
    });
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(1), "{took:?}");
    let _broken = publisher.write_all(b"late\n");
}

#[test]
fn a_server_whose_log_nobody_reads_goes_on() {
    let mut child = crate::server::nearlight(&["serve", "--listen", "http://127.0.0.1:0"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(child.stderr.take());
    let mut lines = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut lines, &mut line).expect("a line");
    let at = crate::server::address(line.trim().strip_prefix("listening ").expect("where"));
    for _ in 0..50 {
        // Refused, and logged so, by a thread that may be a few lines behind.
        let reply = wire::ask(at, &wire::request("GET", "/none", at, ""));
        assert_eq!(reply.status, 404);
    }
    assert!(child.try_wait().expect("a child").is_none(), "it has ended");
    child.kill().expect("it runs");
    child.wait().expect("it ended");
}

#[test]
fn a_server_whose_log_can_not_be_written_goes_on() {
    let full = std::fs::File::options().write(true).open("/dev/full").expect("every Linux has it");
    let mut child = crate::server::nearlight(&["serve", "--listen", "http://127.0.0.1:0"])
        .stdout(std::process::Stdio::piped())
        .stderr(full)
        .spawn()
        .expect("it starts");
    let mut lines = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut lines, &mut line).expect("a line");
    let at = crate::server::address(line.trim().strip_prefix("listening ").expect("where"));
    for _ in 0..50 {
        let reply = wire::ask(at, &wire::request("GET", "/none", at, ""));
        assert_eq!(reply.status, 404);
    }
    child.kill().expect("it runs");
    child.wait().expect("it ended");
}
