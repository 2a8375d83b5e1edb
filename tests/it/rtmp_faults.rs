//! RTMP peers that go wrong on a connection that stands: a server that refuses
//! what it has granted, a client whose words are no text, a player that stops
//! inside a message, and one that stops and stays.

use crate::server::Server;
use crate::wire::{self, eventually};
use nearlight::limits::PUBLISHER_SILENCE;
use nearlight::sys::clock::Clock;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// AMF0, 2.2 and 2.4: a number, a string.
fn number(value: f64) -> Vec<u8> {
    [&[0][..], &value.to_be_bytes()].concat()
}

fn string(text: &[u8]) -> Vec<u8> {
    [&[2], &(text.len() as u16).to_be_bytes()[..], text].concat()
}

/// An object (AMF0, 2.5) of strings.
fn object(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = vec![3];
    for (key, value) in fields {
        bytes.extend(&string(key.as_bytes())[1..]);
        bytes.extend(string(value.as_bytes()));
    }
    bytes.extend([0, 0, 9]);
    bytes
}

/// A message of up to 128 bytes, on message stream 1 (RTMP 1.0, 5.3.1).
fn message(kind: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() <= 128, "one chunk");
    let mut bytes = vec![3, 0, 0, 0, 0, 0, payload.len() as u8, kind, 1, 0, 0, 0];
    bytes.extend(payload);
    bytes
}

fn command(name: &str, id: f64, arguments: &[Vec<u8>]) -> Vec<u8> {
    message(20, &[string(name.as_bytes()), number(id), arguments.concat()].concat())
}

const NULL: u8 = 5;

/// A client that has shaken hands and asks for a stream.
fn asks(at: SocketAddr, wish: &str, key: &[u8]) -> TcpStream {
    let mut client = wire::connect(at);
    client.write_all(&[&[3][..], &[0; 1536]].concat()).expect("taken");
    wire::read_exactly(&mut client, 1 + 2 * 1536);
    client.write_all(&[0; 1536]).expect("taken");
    let words = [
        command("connect", 1.0, &[object(&[("app", "live")])]),
        command("createStream", 2.0, &[vec![NULL]]),
        command(wish, 3.0, &[vec![NULL], string(key), string(b"live")]),
    ];
    client.write_all(&words.concat()).expect("taken");
    client
}

/// Reads until that has come.
fn read_to(socket: &mut TcpStream, what: &[u8]) {
    let mut heard = Vec::new();
    while !heard.ends_with(what) {
        heard.extend(wire::read_exactly(socket, 1));
    }
}

fn stop() -> Vec<u8> {
    command("deleteStream", 4.0, &[vec![NULL], number(1.0)])
}

#[test]
fn a_server_that_takes_its_word_back_is_asked_again_with_growing_pauses() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let url = format!("rtmp://{}/live/SECRET?stream=a", listener.local_addr().expect("bound"));
    let origin = thread::spawn(move || {
        let start = Clock::now();
        for _ in 0..4 {
            let (mut caller, _) = listener.accept().expect("it calls");
            caller.set_read_timeout(Some(wire::PATIENCE)).expect("SO_RCVTIMEO");
            wire::read_exactly(&mut caller, 1537);
            caller.write_all(&[&[3][..], &[0; 2 * 1536]].concat()).expect("taken");
            wire::read_exactly(&mut caller, 1536);
            let status = |level, code| {
                let info = object(&[("level", level), ("code", code)]);
                command("onStatus", 0.0, &[vec![NULL], info])
            };
            let words = [
                command("_result", 1.0, &[vec![NULL]]),
                command("_result", 4.0, &[vec![NULL], number(1.0)]),
                status("status", "NetStream.Play.Start"),
                status("error", "NetStream.Play.StreamNotFound"),
            ];
            caller.write_all(&words.concat()).expect("taken");
            wire::wait_for_close(&mut caller);
        }
        Clock::now().since(start)
    });
    let server = Server::start_with(&[], &["-v", "--pull", &url]);
    let took = origin.join().expect("four calls");
    assert!(took > Duration::from_millis(125 + 250 + 500), "{took:?} for four");
    eventually("all are counted", || server.metric("dial_failures_total{reason=\"refused\"}") >= 4);
    let log = server.log();
    assert_eq!(log.matches("StreamNotFound: ; trying again").count(), 1, "{log}");
    assert!(log.contains("/live/***?stream=a") && !log.contains("SECRET"), "{log}");
}

#[test]
fn what_a_client_is_called_by_writes_no_lines_of_its_own() {
    let server = Server::start(&["rtmp://127.0.0.1:0"]);
    let mut client = asks(server.at(0), "publish", b"a\nINJ\x1b[31m");
    wire::wait_for_close(&mut client);
    server.wait_for_log("INJ");
    let log = server.log();
    assert!(log.contains("a?INJ?[31m"), "{log:?}");
}

/// The start of an FLV, and its first key picture, of so many bytes.
fn film(size: usize) -> (Vec<u8>, Vec<u8>) {
    let tag = |data: &[u8]| {
        let length = (data.len() as u32).to_be_bytes();
        let head = [9, length[1], length[2], length[3], 0, 0, 0, 0, 0, 0, 0];
        [&head, data, &(data.len() as u32 + 11).to_be_bytes()[..]].concat()
    };
    let mut picture = vec![b'q'; size];
    picture[..5].copy_from_slice(&[0x17, 1, 0, 0, 0]);
    let header = tag(b"\x17\0\0\0\0\x01\x42\0\x1e\xff\xe1\0\x03\x67AB\x01\0\x02\x68C");
    ([&b"FLV\x01\x01\0\0\0\x09\0\0\0\0"[..], &header].concat(), tag(&picture))
}

#[test]
fn a_player_that_stops_inside_a_message_hears_nothing_but_the_end() {
    const SIZE: usize = 9 << 20;
    for last in [stop(), command("publish", 5.0, &[vec![NULL], string(b"b")])] {
        let server = Server::start_with(
            &["tcp://127.0.0.1:0?publish=live/a&framing=flv", "rtmp://127.0.0.1:0"],
            &["--max-lag", "20s", "--window-bytes", "64M"],
        );
        let mut publisher = wire::connect(server.at(0));
        let (start, picture) = film(SIZE);
        publisher.write_all(&start).expect("taken");
        let mut player = asks(server.at(1), "play", b"a");
        read_to(&mut player, b"|RtmpSampleAccess\x01\x01\x01\x01");
        publisher.write_all(&picture).expect("taken");
        // The head of the picture's message, and the start of it.
        read_to(&mut player, b"\x17\x01\0\0\0");
        // A ping, whose answer waits for the end of the message, and goodbye.
        let ping = message(4, &[0, 6, 1, 2, 3, 4]);
        player.write_all(&[ping, last].concat()).expect("taken");
        let mut heard = Vec::new();
        player.read_to_end(&mut heard).expect("an orderly end");
        assert!(heard.len() < SIZE - 5, "it had the whole message");
        let odd = heard.iter().position(|&byte| byte != b'q');
        assert_eq!(odd, None, "of {}", heard.len());
    }
}

#[test]
fn a_client_that_has_stopped_may_not_stay() {
    let server = Server::start(&["rtmp://127.0.0.1:0"]);
    let mut client = asks(server.at(0), "publish", b"a");
    read_to(&mut client, b"the stream is live\0\0\x09");
    let start = Clock::now();
    client.write_all(&stop()).expect("taken");
    read_to(&mut client, b"the stream has ended\0\0\x09");
    // What it still says gives it no more time.
    client.set_read_timeout(Some(Duration::from_secs(1))).expect("SO_RCVTIMEO");
    let ended = loop {
        client.write_all(&stop()).expect("still there");
        match client.read(&mut [0]) {
            Ok(len) => break len,
            Err(why) => assert_eq!(why.kind(), std::io::ErrorKind::WouldBlock),
        }
        assert!(Clock::now().since(start) < 2 * PUBLISHER_SILENCE, "it stays");
    };
    assert_eq!(ended, 0);
    let took = Clock::now().since(start);
    assert!(took >= PUBLISHER_SILENCE, "{took:?}: it may close by itself");
    assert!(!server.log().contains("refused"), "{}", server.log());
    client.shutdown(Shutdown::Both).expect("open");
}
