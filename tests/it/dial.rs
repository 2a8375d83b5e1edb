//! Pulls and pushes over connections: between two servers byte by byte, against
//! targets that are down, refuse, are slow or say nothing.

use crate::film::{assert_joined, film, frames};
use crate::server::Server;
use crate::wire::{self, eventually};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

const PUBLISH: &str = "tcp://127.0.0.1:0?publish=cam&framing=lines&max_lag=20s";
const SUBSCRIBE: &str = "tcp://127.0.0.1:0?subscribe=cam&max_lag=20s";

fn serve(listeners: &[&str], dials: &[(&str, &str)]) -> Server {
    let dials = dials.iter().flat_map(|(flag, url)| [*flag, *url]);
    let more: Vec<&str> = std::iter::once("-v").chain(dials).collect();
    Server::start_with(listeners, &more)
}

/// A listener of the test's own.
fn bound() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let at = listener.local_addr().expect("bound");
    (listener, at)
}

fn accepted(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).expect("O_NONBLOCK");
    let mut came = None;
    eventually("somebody connects", || {
        came = listener.accept().ok();
        came.is_some()
    });
    let (socket, _) = came.expect("just seen");
    socket.set_nonblocking(false).expect("O_NONBLOCK");
    socket.set_read_timeout(Some(wire::PATIENCE)).expect("SO_RCVTIMEO");
    socket
}

/// The head of a request, and no byte more.
fn head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(wire::read_exactly(socket, 1));
    }
    String::from_utf8(head).expect("text")
}

fn failures(server: &Server, reason: &str) -> u64 {
    server.metric(&format!("dial_failures_total{{reason=\"{reason}\"}}"))
}

/// A stream goes through two servers, by `dials` of the second one.
fn relayed(dial: impl Fn(&Server) -> String) {
    let origin = serve(&[PUBLISH, SUBSCRIBE], &[]);
    let edge = serve(&[SUBSCRIBE], &[("--pull", &dial(&origin))]);
    let mut viewer = wire::connect(edge.at(0));
    eventually("all wait", || edge.connections() == 1 && origin.connections() == 1);
    let mut publisher = wire::sent(origin.at(0), b"first\nsecond\n");
    assert_eq!(wire::read_exactly(&mut viewer, 13), b"first\nsecond\n");
    publisher.write_all(b"third\n").expect("it is read");
    publisher.shutdown(Shutdown::Write).expect("open");
    assert_eq!(wire::read_to_end(&mut viewer), b"third\n");
    edge.wait_for_log("trying again");
    assert_eq!((edge.metric("dialed_total"), failures(&edge, "broken")), (1, 1));
}

#[test]
fn a_pull_over_tcp_waits_for_the_source_and_brings_every_byte() {
    relayed(|origin| format!("tcp://{}?stream=cam&framing=lines", origin.at(1)));
}

#[test]
fn a_pull_over_http_does_too_and_passes_on_what_is_not_ours() {
    relayed(|origin| {
        format!("http://{}/cam?wait=20s&stream=cam&framing=lines&timeout=30s", origin.http())
    });
}

#[test]
fn a_push_over_tcp_has_every_byte_of_each_life_of_the_stream() {
    let edge = serve(&[PUBLISH, SUBSCRIBE], &[]);
    let push = format!("tcp://{}?stream=cam&max_lag=20s", edge.at(0));
    pushed_twice(&edge, &push);
}

#[test]
fn a_push_over_http_does_too() {
    for method in ["post", "put"] {
        let edge = serve(&[SUBSCRIBE], &[]);
        let at = edge.http();
        let push = format!("http://{at}/cam?stream=cam&max_lag=20s&method={method}&framing=lines");
        pushed_twice(&edge, &push);
    }
}

fn pushed_twice(edge: &Server, push: &str) {
    let origin = serve(&[PUBLISH], &[("--push", push)]);
    let viewing = edge.urls.len() - 2;
    for life in ["one", "two"] {
        let mut viewer = wire::connect(edge.at(viewing));
        eventually("the viewer waits", || edge.connections() == 1);
        let lines: String = (0..5000).map(|n| format!("{life} {n}\n")).collect();
        let half = lines.find("2500\n").expect("a line of it") + 5;
        let (early, late) = lines.as_bytes().split_at(half);
        let mut publisher = wire::sent(origin.at(0), early);
        assert_eq!(wire::read_exactly(&mut viewer, early.len()), early);
        let page = origin.page("/api/streams/cam");
        assert!(page.contains("\"subscribers\":1,"), "it is a subscriber: {page}");
        publisher.write_all(late).expect("it is read");
        publisher.shutdown(Shutdown::Write).expect("open");
        assert_eq!(wire::read_to_end(&mut viewer), late);
        origin.wait_for_log("all of it is sent");
        drop((publisher, viewer));
        eventually("all have gone", || edge.connections() == 0 && origin.connections() == 0);
    }
    assert_eq!(origin.metric("dialed_total"), 2);
    assert!(!origin.log().contains("trying again"), "{}", origin.log());
}

#[test]
fn films_go_through_both_ways() {
    let edge = serve(&[SUBSCRIBE], &[]);
    let push = format!("http://{}/cam?stream=cam&max_lag=20s", edge.http());
    let middle =
        serve(&["tcp://127.0.0.1:0?publish=cam&max_lag=20s", SUBSCRIBE], &[("--push", &push)]);
    let pull = format!("tcp://{}?stream=pulled&max_lag=20s", middle.at(1));
    let last = serve(&["tcp://127.0.0.1:0?subscribe=pulled&max_lag=20s"], &[("--pull", &pull)]);
    let mut viewers = [wire::connect(edge.at(0)), wire::connect(last.at(0))];
    eventually("all wait", || {
        edge.connections() == 1 && last.connections() == 1 && middle.connections() == 1
    });
    let film = film();
    // One that ended before the push is connected would not be had there.
    let (early, late) = film.split_at(film.len() / 2);
    let mut publisher = wire::sent(middle.at(0), early);
    edge.wait_for_stream("cam", true);
    publisher.write_all(late).expect("it is read");
    publisher.shutdown(Shutdown::Write).expect("open");
    assert_joined(&wire::read_to_end(&mut viewers[0]), &film);
    let got = wire::read_to_end(&mut viewers[1]);
    assert!(got.ends_with(&film[film.len() / 2..]), "{} bytes of {}", got.len(), film.len());
}

#[test]
fn a_target_that_is_down_is_found_when_it_is_up() {
    let (listener, at) = bound();
    drop(listener);
    let server = serve(&[PUBLISH], &[("--push", &format!("tcp://{at}?stream=cam&max_lag=20s"))]);
    let mut publisher = wire::sent(server.at(0), b"lost\n");
    server.wait_for_log("can't connect to");
    eventually("it tries again", || failures(&server, "connect") > 2);
    let listener = TcpListener::bind(at).expect("the port is free again");
    let mut target = accepted(&listener);
    server.wait_for_log("connected to");
    eventually("it is a subscriber", || server.stream("cam", "subscribers") == Some(1));
    publisher.write_all(b"found\n").expect("it is read");
    let mut got = Vec::new();
    while !got.ends_with(b"found\n") {
        got.extend(wire::read_exactly(&mut target, 1));
    }
    drop(target);
    // Broken off, it comes back, and nothing is sent twice.
    eventually("it is missed", || {
        publisher.write_all(b"x\n").expect("it is read");
        failures(&server, "broken") == 1
    });
    let mut target = accepted(&listener);
    eventually("it is a subscriber", || server.stream("cam", "subscribers") == Some(1));
    publisher.write_all(b"again\n").expect("it is read");
    let mut got = Vec::new();
    while !got.ends_with(b"again\n") {
        got.extend(wire::read_exactly(&mut target, 1));
    }
    assert!(!got.starts_with(b"lost"), "{}", String::from_utf8_lossy(&got));
    let log = server.log();
    let told = log.lines().filter(|line| line.contains("can't connect to"));
    let aloud = told.filter(|line| !line.contains("failures in a row"));
    assert_eq!(aloud.count(), 1, "{log}");
}

#[test]
fn who_refuses_is_asked_again_with_growing_pauses_and_named_once() {
    let (listener, at) = bound();
    let push = format!("http://{at}/cam?stream=cam&max_lag=20s");
    let server = serve(&[PUBLISH], &[("--push", &push)]);
    let mut publisher = wire::sent(server.at(0), b"first\n");
    let start = nearlight::sys::clock::Clock::now();
    for n in 0..4 {
        let mut target = accepted(&listener);
        // A line for each that joins: it has nothing of before.
        eventually("it subscribes", || server.stream("cam", "subscribers") == Some(1));
        if n > 0 {
            // A head that waits for its first chunk would be timed out.
            target.set_nonblocking(true).expect("O_NONBLOCK");
            let nothing = target.read(&mut [0]).expect_err("there is nothing to send");
            assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
            target.set_nonblocking(false).expect("O_NONBLOCK");
        }
        publisher.write_all(b"more\n").expect("it is read");
        let head = head(&mut target);
        assert!(head.starts_with("POST /cam HTTP/1.1\r\n"), "{head}");
        target.write_all(b"HTTP/1.1 409 Conflict\r\nConnection: close\r\n\r\n").expect("read");
        wire::wait_for_close(&mut target);
        eventually("it is counted", || failures(&server, "refused") == n + 1);
    }
    let took = nearlight::sys::clock::Clock::now().since(start);
    assert!(took > Duration::from_millis(125 + 250 + 500), "{took:?} for four");
    let said = |text: &str| server.log().matches(text).count();
    eventually("all is said", || said("409 Conflict (") == 3);
    assert_eq!(said("409 Conflict; trying again"), 1, "{}", server.log());
}

#[test]
fn a_server_that_closes_without_an_answer_is_missed_before_there_is_more_to_send() {
    let (listener, at) = bound();
    let push = format!("http://{at}/cam?stream=cam&max_lag=20s");
    let server = serve(&[PUBLISH], &[("--push", &push)]);
    let _publisher = wire::sent(server.at(0), b"first\n");
    let mut target = accepted(&listener);
    head(&mut target);
    assert_eq!(wire::read_exactly(&mut target, 9), b"6\r\nfirst\n");
    target.shutdown(Shutdown::Write).expect("open");
    eventually("it is missed", || failures(&server, "broken") == 1);
}

/// A listener whose queue is full: the kernel answers no SYN to it any more.
fn full() -> (socket2::Socket, Vec<TcpStream>, SocketAddr) {
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let listener = listener.expect("a socket");
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    listener.bind(&any.into()).expect("loopback");
    listener.listen(0).expect("listening");
    let at = listener.local_addr().expect("bound").as_socket().expect("IPv4");
    let mut queued = Vec::new();
    while let Ok(socket) = TcpStream::connect_timeout(&at, Duration::from_millis(300)) {
        queued.push(socket);
    }
    (listener, queued, at)
}

#[test]
fn a_pull_says_what_is_wrong() {
    let origin = serve(&[], &[]);
    let missing = format!("http://{}/none?stream=a", origin.http());
    let lost = "http://nowhere.invalid/x?stream=b";
    let (silent, at) = bound();
    let mute = format!("http://me:word@{at}/x?stream=c&timeout=1s");
    let (closed, nobody) = bound();
    drop(closed);
    let down = format!("tcp://{nobody}?stream=d");
    let (_full, _queued, at) = full();
    let deaf = format!("tcp://{at}?stream=e");
    let dials: Vec<_> = [&*missing, lost, &mute, &down, &deaf].map(|url| ("--pull", url)).into();
    let mut server = serve(&[PUBLISH, SUBSCRIBE], &dials);
    server.wait_for_log("404 Not Found: no such stream there now");
    server.wait_for_log("'nowhere.invalid' can't be looked up");
    server.wait_for_log("can't connect to");
    server.wait_for_log("it takes connections and does not answer");
    assert!(!server.log().contains("word"), "a password in the log");
    let mut socket = accepted(&silent);
    let head = head(&mut socket);
    assert!(head.contains("\r\nAuthorization: Basic bWU6d29yZA==\r\n"), "{head}");
    for reason in ["lookup", "connect", "answer", "refused"] {
        assert!(failures(&server, reason) > 0, "{reason}");
    }
    // Nobody who waits for another host holds the loop up, nor its end.
    let mut viewer = wire::connect(server.at(1));
    eventually("the viewer waits", || server.connections() == 1);
    let mut publisher = wire::connect(server.at(0));
    let mut worst = Duration::ZERO;
    for _ in 0..200 {
        let ((), took) = wire::time(|| {
            publisher.write_all(b"tick\n").expect("it is read");
            assert_eq!(wire::read_exactly(&mut viewer, 5), b"tick\n");
        });
        worst = worst.max(took);
    }
    assert!(worst < Duration::from_millis(500), "{worst:?}");
    drop((publisher, viewer));
    let (status, took) = wire::time(|| {
        server.terminate();
        server.wait()
    });
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn redirections_are_followed_and_bodies_end_where_they_say() {
    let (listener, at) = bound();
    let text = b"one\ntwo\nthree\n";
    let bodies = [
        "Content-Length: 14\r\n\r\none\ntwo\nthree\n".to_owned(),
        "Transfer-Encoding: chunked\r\n\r\n5\r\none\nt\r\n9;x=y\r\nwo\nthree\n\r\n0\r\n\r\n"
            .to_owned(),
        "\r\none\ntwo\nthree\n".to_owned(),
    ];
    let (go, begun) = channel();
    let source = thread::spawn(move || {
        for body in bodies {
            let mut asked = accepted(&listener);
            assert!(head(&mut asked).starts_with("GET /from?a=b HTTP/1.1\r\n"));
            asked.write_all(b"HTTP/1.1 302 Found\r\nLocation: to/it?c=d\r\n\r\n").expect("read");
            let mut asked = accepted(&listener);
            assert!(head(&mut asked).starts_with("GET /to/it?c=d HTTP/1.1\r\n"));
            begun.recv().expect("somebody views it");
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{body}");
            let (begin, rest) = answer.split_at(answer.len() - 3);
            asked.write_all(begin.as_bytes()).expect("read");
            asked.write_all(rest.as_bytes()).expect("read");
        }
    });
    let pull = format!("http://{at}/from?a=b&stream=cam&framing=lines");
    let server = serve(&[SUBSCRIBE], &[("--pull", &pull)]);
    for n in 1..=3 {
        let mut viewer = wire::connect(server.at(0));
        eventually("the viewer waits", || server.connections() == 1);
        go.send(()).expect("it listens");
        assert_eq!(wire::read_to_end(&mut viewer), text, "body {n}");
        drop(viewer);
        eventually("it has gone", || server.connections() == 0);
    }
    source.join().expect("no panic");
    let (looping, at) = bound();
    let rounds = thread::spawn(move || {
        for n in 0..=5 {
            let mut asked = accepted(&looping);
            assert!(head(&mut asked).starts_with(&format!("GET /{} ", "x".repeat(n))));
            let place = format!("HTTP/1.1 301 M\r\nLocation: /{}\r\n\r\n", "x".repeat(n + 1));
            asked.write_all(place.as_bytes()).expect("read");
        }
    });
    let server = serve(&[], &[("--pull", &format!("http://{at}/?stream=cam"))]);
    server.wait_for_log("more than 5 redirections");
    rounds.join().expect("no panic");
}

#[test]
fn a_name_that_is_taken_is_pulled_once_it_is_free() {
    let (listener, at) = bound();
    let mut publisher = None;
    let pull = format!("tcp://{at}?stream=cam&framing=lines");
    let server = serve(&[PUBLISH, SUBSCRIBE], &[("--pull", &pull)]);
    // It is connected and waits for bytes when another takes the name.
    let mut source = accepted(&listener);
    publisher.replace(wire::sent(server.at(0), b"local\n"));
    server.wait_for_stream("cam", true);
    source.write_all(b"remote\n").expect("read");
    server.wait_for_log("cam has a live publisher already");
    drop(publisher.take());
    server.wait_for_stream("cam", false);
    let mut viewer = wire::connect(server.at(1));
    let mut source = accepted(&listener);
    source.write_all(b"remote\n").expect("read");
    assert_eq!(wire::read_exactly(&mut viewer, 7), b"remote\n");
    assert!(failures(&server, "refused") >= 1);
}

#[test]
fn a_target_that_reads_slowly_skips_and_is_never_further_behind_than_said() {
    for scheme in ["tcp", "http"] {
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)
            .expect("a socket");
        // Inherited by what it accepts.
        listener.set_recv_buffer_size(32 << 10).expect("SO_RCVBUF");
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        listener.bind(&any.into()).expect("loopback");
        listener.listen(1).expect("listening");
        let listener = TcpListener::from(listener);
        let at = listener.local_addr().expect("bound");
        let push = format!("{scheme}://{at}/?stream=cam&max_lag=200ms&sndbuf=32K");
        let server = serve(&["tcp://127.0.0.1:0?publish=cam"], &[("--push", &push)]);
        let film = frames(200);
        let mut publisher = wire::connect(server.at(0));
        let feeder = thread::spawn(move || {
            for frame in film.iter().cycle().take(600) {
                publisher.write_all(frame).expect("it is read");
                wire::measure_for(Duration::from_millis(5));
            }
        });
        let mut target = accepted(&listener);
        eventually("it skips", || server.metric("skips_total") > 0);
        // It reads again, and the stream goes on at a join point.
        let mut all = Vec::new();
        target.read_to_end(&mut all).expect("an orderly end");
        feeder.join().expect("no panic");
        let body = if scheme == "http" { unchunked(&all) } else { all };
        assert_eq!(body.len() % 188, 0, "{scheme}");
        assert!(body.chunks(188).all(|packet| packet[0] == 0x47), "{scheme}");
        server.wait_for_log("all of it is sent");
        assert_eq!(server.metric("lag_closes_total"), 0);
    }
}

/// A request's body out of its chunks; the last one has to be there.
fn unchunked(request: &[u8]) -> Vec<u8> {
    let at = request.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let (head, mut body) = request.split_at(at);
    assert!(head.ends_with(b"Content-Type: video/mp2t\r\n\r\n"));
    let mut decoder = nearlight::protocol::Body::chunked();
    let mut bytes = std::mem::take(&mut body).to_vec();
    let decoded = decoder.decode(&mut bytes).expect("chunks");
    assert!(decoded.done && decoded.consumed == bytes.len(), "the last chunk");
    bytes.truncate(decoded.payload);
    bytes
}
