//! Requests that are not granted: each gets the status that says why, is
//! counted under its reason, and leaves nothing behind.

use crate::hostile::{Siege, hit};
use crate::server::Server;
use crate::wire::{self, Reply, eventually};
use nearlight::client::pace::{Wait, sleep_until};
use nearlight::sys::clock::Clock;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// `HOST` stands for the server's address.
const EMPTY: &str = "Host: HOST\r\nContent-Length: 0\r\n";
const UPGRADE: &str = "Host: HOST\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

/// Request line without version, fields, status, reason.
type Case<'a> = (&'a str, &'a str, u16, &'a str);

const CASES: [Case<'static>; 31] = [
    ("DELETE /cam", EMPTY, 405, "method"),
    ("PATCH /cam", EMPTY, 405, "method"),
    ("BREW /cam", EMPTY, 405, "method"),
    ("CONNECT a:1", EMPTY, 400, "bad_request"),
    ("DELETE /metrics", EMPTY, 405, "method"),
    ("PUT /../cam", EMPTY, 400, "bad_name"),
    ("PUT /a//b", EMPTY, 400, "bad_name"),
    ("PUT /a/", EMPTY, 400, "bad_name"),
    ("PUT /%00", EMPTY, 400, "bad_name"),
    ("PUT /%2e%2e/cam", EMPTY, 400, "bad_name"),
    ("PUT /metrics", EMPTY, 400, "bad_name"),
    ("POST /api/cam", EMPTY, 400, "bad_name"),
    ("PUT /watch/cam", EMPTY, 400, "bad_name"),
    ("GET /caf%C3%A9", EMPTY, 400, "bad_name"),
    ("PUT /cam?max_lag=soon", EMPTY, 400, "bad_option"),
    ("PUT /cam?nonsense=1", EMPTY, 400, "bad_option"),
    ("GET /cam", "", 400, "bad_request"),
    ("GET cam", EMPTY, 400, "bad_request"),
    ("PUT /cam", "Host: HOST\r\n", 411, "length_required"),
    ("PUT /cam", "Host: HOST\r\nTransfer-Encoding: gzip, chunked\r\n", 501, "coding"),
    ("PUT /cam", "Host: HOST\r\nContent-Length: 1\r\nExpect: tea\r\n", 417, "expectation"),
    ("GET /nowhere", EMPTY, 404, "not_found"),
    ("GET /api/nowhere", EMPTY, 404, "not_found"),
    ("GET /metrics", "Host: evil.example\r\n", 421, "host"),
    ("GET /api/streams", "Host: evil.example\r\n", 421, "host"),
    ("PUT /cam", "Host: evil.example\r\nContent-Length: 0\r\n", 421, "host"),
    ("GET /metrics", "Host: HOST\r\nOrigin: http://evil.example\r\n", 403, "origin"),
    ("GET /api/streams", "Host: HOST\r\nOrigin: null\r\n", 403, "origin"),
    (
        "PUT /cam",
        "Host: HOST\r\nContent-Length: 0\r\nOrigin: http://evil.example\r\n",
        403,
        "origin",
    ),
    ("GET /big", "Host: HOST\r\nX: LONG\r\n", 431, "head_too_large"),
    ("GET /many", "Host: HOST\r\nMANY", 431, "head_too_large"),
];

fn written(server: &Server, (line, fields, ..): Case<'_>) -> String {
    let fields = fields
        .replace("HOST", &server.http().to_string())
        .replace("LONG", &"x".repeat(9000))
        .replace("MANY", &"a: b\r\n".repeat(100));
    format!("{line} HTTP/1.1\r\n{fields}\r\n")
}

fn refuse_all(siege: &Siege, cases: &[Case<'_>]) {
    for case in cases {
        let (line, _, status, reason) = *case;
        let server = &siege.server;
        let request = written(server, *case);
        let before = server.refused(reason);
        let reply = wire::ask(server.http(), &request);
        assert_eq!(reply.status, status, "{line}: {}", reply.text());
        assert_eq!(server.refused(reason), before + 1, "{line}: {}", reply.text());
        assert!(reply.text().trim().len() > 9, "{line}: says why");
        assert!(reply.head.contains("\r\nConnection: close\r\n"), "{line}");
        assert_eq!(reply.field("allow").is_some(), status == 405, "{line}");
    }
}

#[test]
fn requests_that_are_not_granted_get_the_status_that_says_why() {
    let siege = Siege::of(&[]);
    refuse_all(&siege, &CASES);
    let long = format!("PUT /{}", "n".repeat(256));
    let foreign = UPGRADE.to_owned() + "Origin: http://evil.example\r\n";
    let rebound = UPGRADE.replace("HOST", "evil.example");
    let old = UPGRADE.replace("Version: 13", "Version: 8");
    let gzip = "Host: HOST\r\nContent-Length: 1\r\nContent-Encoding: gzip\r\n";
    refuse_all(
        &siege,
        &[
            (&long, EMPTY, 400, "bad_name"),
            ("GET /witness", &foreign, 403, "origin"),
            ("GET /witness", &rebound, 421, "host"),
            ("GET /witness", &old, 426, "websocket_version"),
            ("PUT /cam", gzip, 415, "media_type"),
        ],
    );
    siege.end();
}

#[test]
fn refusals_leave_nothing_behind() {
    let siege = Siege::of(&[]);
    let mut cases = CASES.iter().cycle();
    siege.withstand("refused requests", Server::refusals, |server| {
        let case = cases.next().expect("for ever");
        let mut socket = wire::sent(server.http(), written(server, *case).as_bytes());
        wire::wait_for_close(&mut socket);
    });
    siege.end();
}

#[test]
fn media_may_be_fetched_by_any_page_from_any_name() {
    let server = Server::start(&["tcp://127.0.0.1:0?publish=cam&framing=lines"]);
    let _publisher = wire::sent(server.at(0), b"first\n");
    server.wait_for_stream("cam", true);
    let request = "GET /cam HTTP/1.1\r\nHost: cdn.example\r\nOrigin: http://page.example\r\n\r\n";
    let reply = wire::ask(server.http(), request);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.field("access-control-allow-origin"), Some("*"));
}

#[test]
fn half_requests_that_are_given_up() {
    let siege = Siege::of(&[]);
    let accepted = |server: &Server| server.metric("accepted_total");
    let halves = [
        "G",
        "GET /cam HTTP/1.1\r\nHo",
        "PUT /half HTTP/1.1\r\nHost: HOST\r\nContent-Length: 1000\r\n\r\nhalf",
        "PUT /half HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nhalf",
        "PUT /half HTTP/1.1\r\nHost: HOST\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
        "GET /nothing?wait=60s HTTP/1.1\r\nHost: HOST\r\n\r\n",
    ];
    for half in halves {
        for resets in [false, true] {
            siege.withstand(half, accepted, |server| {
                let half = half.replace("HOST", &server.http().to_string());
                let socket = wire::sent(server.http(), half.as_bytes());
                if resets {
                    wire::reset(socket);
                }
            });
        }
    }
    siege.server.wait_for_stream("half", false);
    siege.end();
}

#[test]
fn bodies_in_broken_chunks_end_their_stream() {
    let siege = Siege::of(&[]);
    for body in ["zz\r\n", "ffffffffffffffffff\r\n", "1\r\nxx", "1;LONG\r\n"] {
        let body = body.replace("LONG", &"x".repeat(300));
        siege.withstand(&body, Server::refusals, |server| {
            let fields = "Transfer-Encoding: chunked\r\n";
            let head = wire::request("PUT", "/junk", server.http(), fields);
            let mut socket = wire::sent(server.http(), (head + &body).as_bytes());
            let reply = Reply::read(&mut socket).expect("an answer");
            assert_eq!((reply.status, reply.text().contains("broken request body")), (400, true));
            wire::wait_for_close(&mut socket);
        });
    }
    siege.server.wait_for_stream("junk", false);
    siege.end();
}

#[test]
fn one_that_pipelines_and_never_reads_is_not_kept_nor_its_answers() {
    let siege = Siege::of(&[]);
    let accepted = |server: &Server| server.metric("accepted_total");
    siege.withstand("pipelined", accepted, |server| {
        let request = wire::request("GET", "/metrics", server.http(), "");
        hit(server.http(), request.repeat(20).as_bytes());
    });
    siege.end();
}

/// Reads a response that comes while the client still drips its request.
fn drip(mut socket: TcpStream, request: &str) -> (u16, Duration) {
    let start = Clock::now();
    socket.set_read_timeout(Some(Duration::from_millis(250))).expect("SO_RCVTIMEO");
    let mut answer = Vec::new();
    for byte in request.bytes().cycle().take(80) {
        let _gone = socket.write_all(&[byte]);
        let mut buffer = [0; 512];
        match socket.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => answer.extend_from_slice(&buffer[..len]),
            Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_reset) => break,
        }
    }
    let answer = String::from_utf8(answer).expect("text");
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    (status.unwrap_or_else(|| panic!("no answer: {answer}")), Clock::now().since(start))
}

#[test]
fn a_head_must_be_complete_within_5_seconds_however_it_drips() {
    let siege = Siege::of(&[]);
    let (server, before) = (&siege.server, siege.server.connections());
    let late = 4.5..8.0;
    std::thread::scope(|scope| {
        for request in ["GET /cam HTTP/1.1\r\nHost: a\r\n", "x", "PUT /cam HTTP/1.1\r\na: b\r\n"] {
            let socket = wire::connect(server.http());
            let late = late.clone();
            scope.spawn(move || {
                let (status, took) = drip(socket, request);
                assert_eq!(status, 408, "{request}");
                assert!(late.contains(&took.as_secs_f64()), "{request}: {took:?}");
            });
        }
        let mut half = wire::sent(server.http(), b"GET /cam HTTP/1.1\r\nHost");
        let (reply, took) = wire::time(|| Reply::read(&mut half));
        assert_eq!(reply.expect("an answer").status, 408);
        assert!(late.contains(&took.as_secs_f64()), "{took:?}");
    });
    assert_eq!(server.refused("timeout"), 4);
    eventually("no connection is kept", || server.connections() == before);
    siege.end();
}

#[test]
fn a_slow_body_is_no_slow_head() {
    let server = Server::start(&["tcp://127.0.0.1:0?subscribe=cam"]);
    let mut viewer = wire::connect(server.at(0));
    eventually("a subscriber waits", || server.connections() == 1);
    let fields = "Content-Length: 6\r\nConnection: close\r\n";
    let head = wire::request("PUT", "/cam?framing=lines", server.http(), fields);
    let mut publisher = wire::sent(server.http(), head.as_bytes());
    let start = Clock::now();
    for (n, byte) in b"slow!\n".iter().enumerate() {
        sleep_until(start + Duration::from_millis(1100) * n as u32, Wait::Sleep, &wire::NEVER);
        publisher.write_all(&[*byte]).expect("it is read");
    }
    assert_eq!(Reply::read(&mut publisher).expect("an answer").status, 200);
    assert_eq!(wire::read_to_end(&mut viewer), b"slow!\n");
}
