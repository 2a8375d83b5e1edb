//! The web page: its files and what stands around them, the news that open
//! pages get, and pages that mean no good.

use crate::server::Server;
use crate::wire::{self, Reply, ask, eventually, request};
use nearlight::limits::{QUEUED_BYTES, VIEWERS};
use nearlight::sys::clock::Clock;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

const BROWSER: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";
/// What a page may do; each part is a promise.
const POLICY: [&str; 10] = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "media-src blob:",
    "worker-src blob:",
    "img-src 'self' data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
];

fn fetch(server: &Server, method: &str, path: &str, fields: &str) -> Reply {
    let mut socket = wire::connect(server.http());
    socket.write_all(request(method, path, server.http(), fields).as_bytes()).expect("it reads");
    if method != "HEAD" {
        return Reply::read(&mut socket).expect("an answer");
    }
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Reply { status, head, body: Vec::new() }
}

#[test]
fn browsers_get_the_page_and_others_text() {
    let server = Server::start(&[]);
    for path in ["/", "/watch/live/cam"] {
        let page = fetch(&server, "GET", path, BROWSER);
        assert_eq!(
            (page.status, page.field("content-type")),
            (200, Some("text/html; charset=utf-8"))
        );
        let policy = page.field("content-security-policy").expect("a policy");
        let parts: Vec<&str> = policy.split(';').map(str::trim).collect();
        assert_eq!(parts, POLICY, "{path}");
        assert_eq!(page.field("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.field("referrer-policy"), Some("no-referrer"));
        assert!(page.text().starts_with("<!doctype html>"), "{path}");
        let head = fetch(&server, "HEAD", path, BROWSER);
        let length = page.body.len().to_string();
        assert_eq!((head.status, head.field("content-length")), (200, Some(length.as_str())));
    }
    let plain = fetch(&server, "GET", "/", "Accept: */*\r\n");
    assert_eq!(plain.field("content-type"), Some("text/plain; charset=utf-8"));
    assert!(plain.text().starts_with("nearlight\n"), "{}", plain.text());
    for path in ["/watch/", "/watch/a..b/..", "/api/page/none.js", "/api/page/../style.css"] {
        assert_eq!(fetch(&server, "GET", path, BROWSER).status, 404, "{path}");
    }
    let foreign = format!("GET / HTTP/1.1\r\nHost: evil.example\r\n{BROWSER}\r\n");
    assert_eq!(ask(server.http(), &foreign).status, 421, "another name for this server");
}

/// Files that a page names, and those that they name.
fn files(server: &Server) -> Vec<(String, Reply)> {
    let mut found: Vec<(String, Reply)> = Vec::new();
    let mut wanted = vec!["/".to_owned(), "/watch/a".to_owned()];
    while let Some(path) = wanted.pop() {
        if found.iter().any(|(known, _)| *known == path) {
            continue;
        }
        let reply = fetch(server, "GET", &path, BROWSER);
        let text = reply.text();
        if !path.contains("mpegts") {
            let mut rest = text.as_str();
            while let Some(at) = rest.find("/api/page/") {
                let end = rest[at..].find('"').expect("in quotes");
                wanted.push(rest[at..at + end].to_owned());
                rest = &rest[at + end..];
            }
            for part in text.split("from \"./").skip(1) {
                let end = part.find('"').expect("in quotes");
                wanted.push(format!("/api/page/{}", &part[..end]));
            }
        }
        found.push((path, reply));
    }
    found
}

#[test]
fn every_file_has_its_type_and_is_sent_once() {
    let server = Server::start(&[]);
    let files = files(&server);
    assert!(files.len() >= 10, "pages, style, scripts, player: {}", files.len());
    for (path, reply) in files {
        assert_eq!(reply.status, 200, "{path}");
        let wanted = match path.rsplit_once('.').map(|(_, suffix)| suffix) {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("txt") => "text/plain; charset=utf-8",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(reply.field("content-type"), Some(wanted), "{path}");
        assert_eq!(reply.field("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(reply.field("content-security-policy").is_some(), "{path}");
        let tag = reply.field("etag").expect("a tag");
        let again = fetch(&server, "GET", &path, &format!("{BROWSER}If-None-Match: {tag}\r\n"));
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        let is_fixed = reply.field("cache-control").is_some_and(|said| said.contains("immutable"));
        assert_eq!(is_fixed, path.contains("mpegts-"), "{path}");
    }
}

/// An open page: a WebSocket, and what it is told.
struct OpenPage {
    socket: TcpStream,
}

impl OpenPage {
    fn of(server: &Server, path: &str) -> Self {
        let mut socket = wire::connect(server.http());
        let fields = format!(
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://{}\r\n",
            server.http()
        );
        let request = request("GET", path, server.http(), &fields);
        let reply = Reply::of(&mut socket, request.as_bytes()).expect("an answer");
        assert_eq!(reply.status, 101, "{}", reply.head);
        assert_eq!(reply.field("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        Self { socket }
    }

    fn say(&mut self, text: &[u8]) {
        self.socket.write_all(&masked(0x81, text)).expect("it reads");
    }

    /// The next frame: its first byte and its payload.
    fn frame(&mut self) -> (u8, Vec<u8>) {
        let head = wire::read_exactly(&mut self.socket, 2);
        let len = match head[1] {
            126 => {
                let len = wire::read_exactly(&mut self.socket, 2);
                usize::from(u16::from_be_bytes([len[0], len[1]]))
            }
            127 => panic!("a message of more than 64 KiB"),
            short => usize::from(short),
        };
        (head[0], wire::read_exactly(&mut self.socket, len))
    }

    fn message(&mut self) -> Value {
        let (first, payload) = self.frame();
        assert_eq!(first, 0x81, "a whole text message");
        serde_json::from_slice(&payload).expect("JSON")
    }

    /// The next news for which `is_so`.
    fn news(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut found = None;
        eventually(what, || {
            let message = self.message();
            found = (message.get("pong").is_none() && is_so(&message)).then_some(message);
            found.is_some()
        });
        found.expect("just found")
    }
}

/// A client's frame.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match u8::try_from(payload.len()) {
        Ok(short @ ..126) => frame.push(0x80 | short),
        _ => {
            frame.push(0x80 | 126);
            let len = u16::try_from(payload.len()).expect("no longer than that");
            frame.extend(len.to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

#[test]
fn open_pages_are_told_what_is_live_and_how_it_does() {
    let server = Server::start(&["tcp://127.0.0.1:0?publish=cam&framing=lines"]);
    let (mut list, mut watch) =
        (OpenPage::of(&server, "/api/live"), OpenPage::of(&server, "/api/live/cam"));
    let empty = list.news("news", |_| true);
    assert_eq!(empty["streams"], serde_json::json!([]));
    assert_eq!(empty.get("stream"), None, "it shows none");
    let load = empty["shards"][0]["load"].as_f64().expect("a share");
    assert!((0.0..=1.0).contains(&load), "{load}");
    assert!(watch.news("news", |_| true)["stream"].is_null(), "it is not live");

    let mut publisher = wire::sent(server.at(0), b"first\n");
    let mut subscriber = wire::sent(
        server.http(),
        request("GET", "/cam?join=live&wait=10s", server.http(), "").as_bytes(),
    );
    server.wait_for_subscribers("cam", 1);
    let reader = thread::spawn(move || wire::read_to_end(&mut subscriber));
    let mut told = Value::Null;
    eventually("a rate and a residence", || {
        for _ in 0..64 {
            publisher.write_all(b"a line\n").expect("it reads");
        }
        told = watch.message();
        let rate = told["stream"]["rate_bytes_per_s"].as_f64().unwrap_or(0.0);
        rate > 0.0 && told["stream"]["residence_ns"]["p50"].is_u64()
    });
    let stream = &told["stream"];
    assert_eq!((&stream["name"], &stream["framing"]), (&"cam".into(), &"lines".into()));
    assert_eq!((&stream["subscribers"], &stream["skips"]), (&1.into(), &0.into()));
    assert!(stream["worst_lag_ns"].is_u64(), "{stream}");
    let listed = list.news("the stream is listed", |news| news["streams"][0]["name"] == "cam");
    assert!(listed["server"]["received_bytes_per_s"].as_f64().is_some(), "{listed}");
    assert!(told["shards"].as_array().is_some_and(|shards| !shards.is_empty()));
    drop(publisher);
    watch.news("the stream is over", |news| news["stream"].is_null());
    assert!(reader.join().expect("it reads to the end").ends_with(b"a line\n"));
}

#[test]
fn a_ping_tells_the_servers_clock_between_its_two_ends() {
    let server = Server::start(&[]);
    let mut page = OpenPage::of(&server, "/api/live");
    for number in [0_u64, 1, 4_294_967_295] {
        let asked = Clock::now().as_nanos() / 1000;
        page.say(format!("{{\"ping\":{number}}}").as_bytes());
        let pong = loop {
            let message = page.message();
            if message.get("pong").is_some() {
                break message;
            }
        };
        let answered = Clock::now().as_nanos() / 1000;
        assert_eq!(pong["pong"], number);
        let (received, sent) = (&pong["received_us"], &pong["sent_us"]);
        let (received, sent) = (received.as_u64().expect("µs"), sent.as_u64().expect("µs"));
        assert!(
            asked <= received && received <= sent && sent <= answered,
            "{asked} {pong} {answered}"
        );
    }
    // What is no ping is passed over, and the next one is answered.
    for other in ["", "hello", "{\"ping\":-1}", "{\"ping\":1e3}", "{\"ping\":99999999999}"] {
        page.say(other.as_bytes());
    }
    page.say(b"{\"ping\":7}");
    while page.message().get("pong").is_none_or(|number| *number != 7) {}
    page.socket.write_all(&masked(0x89, b"beat")).expect("it reads");
    while page.frame() != (0x8A, b"beat".to_vec()) {}
    page.socket.write_all(&masked(0x88, &1000_u16.to_be_bytes())).expect("it reads");
    while page.frame() != (0x88, 1000_u16.to_be_bytes().to_vec()) {}
    wire::wait_for_close(&mut page.socket);
}

#[test]
fn pages_that_mean_no_good_are_ended_and_leave_nothing_behind() {
    let server = Server::start(&[]);
    let mut other = OpenPage::of(&server, "/api/live");
    let mut large = OpenPage::of(&server, "/api/live");
    large.socket.write_all(&[0x81, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4]).expect("it reads");
    while large.frame() != (0x88, 1009_u16.to_be_bytes().to_vec()) {}
    wire::wait_for_close(&mut large.socket);
    let mut plain = OpenPage::of(&server, "/api/live");
    plain.socket.write_all(&[0x81, 1, b'x']).expect("it reads");
    while plain.frame() != (0x88, 1002_u16.to_be_bytes().to_vec()) {}
    wire::wait_for_close(&mut plain.socket);

    // One that asks and never reads: what is queued for it is bounded.
    let memory = server.memory();
    let mut deaf = OpenPage::of(&server, "/api/live");
    let pings = masked(0x81, b"{\"ping\":1}").repeat(4096);
    let limit = 64 * 1024 * 1024 / pings.len();
    let is_ended = (0..limit).any(|_| deaf.socket.write_all(&pings).is_err());
    assert!(is_ended, "it went on for 64 MiB");
    let grown = server.memory().saturating_sub(memory) * 1024;
    assert!(grown < 16 * QUEUED_BYTES as u64, "{grown} bytes");

    drop((deaf, large, plain));
    other.news("others are told as before", |_| true);
    drop(other);
    eventually("all are gone", || server.connections() == 0);
}

#[test]
fn one_page_too_many_is_told_to_come_back() {
    let server = Server::start(&[]);
    let pages: Vec<OpenPage> = (0..VIEWERS).map(|_| OpenPage::of(&server, "/api/live")).collect();
    let mut late = OpenPage::of(&server, "/api/live");
    assert_eq!(late.frame(), (0x88, 1013_u16.to_be_bytes().to_vec()));
    wire::wait_for_close(&mut late.socket);
    drop(pages);
    // Once they are seen to have gone there is room again.
    eventually("room", || {
        let mut page = OpenPage::of(&server, "/api/live");
        page.frame().0 == 0x81
    });
}
